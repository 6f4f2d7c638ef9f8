"""The choice itself: methods that pass the hard requirements in the order of their points, and the others with the reasons against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from taxonomy.guide.cost import evaluations
from taxonomy.guide.questions import FEATURES, Answers, checked
from taxonomy.guide.ruling import Reason, rulings
from taxonomy.guide.scoring import Point, points

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.records import Method

FEWEST = next(iter(FEATURES))


@dataclass(frozen=True, slots=True)
class Ranked:
    """A method that passes, with every point of its score."""

    method: str
    name: str
    score: float
    points: tuple[Point, ...]
    evaluations: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found = [{"criterion": point.criterion, "value": point.value, "text": point.text, "claim": point.claim} for point in self.points]
        return {"method": self.method, "name": self.name, "score": self.score, "evaluations": self.evaluations, "points": found}


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A method that fails a hard requirement, with all reasons."""

    method: str
    name: str
    reasons: tuple[Reason, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"method": self.method, "name": self.name, "reasons": [{"answer": r.question, "text": r.text, "claim": r.claim} for r in self.reasons]}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the guide answers."""

    answers: dict[str, tuple[str, ...]]
    ranked: tuple[Ranked, ...]
    ruled_out: tuple[RuledOut, ...]

    @property
    def best(self) -> Ranked | None:
        """The method with the highest score, if any passes."""
        return self.ranked[0] if self.ranked else None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "answers": {name: list(given) for name, given in self.answers.items()},
            "ranked": [item.as_json() for item in self.ranked],
            "ruled-out": [item.as_json() for item in self.ruled_out],
        }

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import choice_html

        return choice_html(self)


def choose(atlas: Atlas, answers: Answers) -> Choice:
    """Rank the methods for the answers given; see `questions` for what can be answered.

    Raises
    ------
    KeyError
        If a question or an answer is unknown.

    Examples
    --------
    >>> import taxonomy
    >>> choice = choose(taxonomy.load(), {"access": "outputs", "features": "10", "budget": "10000", "baseline": "one"})
    >>> choice.best.name
    'Shapley value'
    """
    given = checked(atlas, answers)
    ranked, out = [], []
    for method in candidates(atlas):
        against = rulings(atlas, method)
        reasons = tuple(against[key] for key in keys(given) if key in against)
        if reasons:
            out.append(RuledOut(method.id, method.title, reasons))
            continue
        counted = tuple(point for point in points(atlas, method) if counts(point, given))
        features = FEATURES[given.get("features", (FEWEST,))[0]]
        score = sum(point.value for point in counted)
        ranked.append(Ranked(method.id, method.title, score, counted, evaluations(method, features)))
    ranked.sort(key=lambda item: (-item.score, item.name.casefold()))
    return Choice(given, tuple(ranked), tuple(out))


def candidates(atlas: Atlas) -> list[Method]:
    """The methods that can be chosen: those with a function."""
    return [method for method in cast("list[Method]", atlas.of_kind("method")) if method.implementation is not None]


def keys(given: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """The answers as they are looked up among the rulings."""
    found = []
    for question, options in given.items():
        for option in options:
            features = given.get("features", (FEWEST,))[0]
            found.append((question, f"{option}|{features}" if question == "budget" else option))
    return found


def counts(point: Point, given: dict[str, tuple[str, ...]]) -> bool:
    """Whether a point counts for the answers; what an explanation costs counts for the fewest features if their number is open."""
    if point.when is None:
        return True
    question, option = point.when
    default = (FEWEST,) if question == "features" else ()
    return option in given.get(question, default)
