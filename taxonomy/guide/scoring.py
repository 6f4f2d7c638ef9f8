"""Points: the survey's three criteria (Sec. V-A), each counted as far as a run supports it, and cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy.deduction import Fact
from taxonomy.guide.cost import evaluations
from taxonomy.guide.questions import FEATURES
from taxonomy.guide.ruling import effort
from taxonomy.guide.standing import WEIGHT, WORDS, requirement, standing
from taxonomy.records import Insight, Method, Rationale

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.records.document import Advice

CRITERIA = {
    "reformulations": "Reformulations it fits",
    "rationales": "Soundness of its rationales",
    "principles": "Principles it satisfies",
    "cost": "Cost",
    "context": "Advice for the context",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One part of a score."""

    criterion: str
    value: float
    text: str
    claim: str | None = None
    when: tuple[str, str] | None = None
    """The answer (question, option) on which it counts; None if it always does."""


def points(atlas: Atlas, method: Method) -> tuple[Point, ...]:
    """All points of a method, those that depend on an answer included."""
    return (*_theory(atlas, method), *_estimated(atlas, method), *_cost(method), *_context(atlas, method))


def _theory(atlas: Atlas, method: Method) -> Iterator[Point]:
    yield from _reformulations(atlas, method)
    yield from _rationales(atlas, method)
    yield from _principles(atlas, method)


def _estimated(atlas: Atlas, method: Method) -> Iterator[Point]:
    """An estimate has the theory of what it estimates only up to its error: half the points, as far as a run confirms that it is one."""
    for edge in atlas.edges_from(method.id):
        found = standing(atlas, edge.fact) if edge.relation == "approximates" else None
        if found is None or not isinstance(estimated := atlas.records[edge.object], Method):
            continue
        theory = list(_theory(atlas, estimated))
        for criterion in ("reformulations", "rationales", "principles"):
            whole = sum(point.value for point in theory if point.criterion == criterion)
            if whole:
                text = f"estimates {estimated.title}, whose {whole:+g} counts half: {found.words}"
                yield Point(criterion, whole / 2 * WEIGHT[found.support], text, found.claim)


def _reformulations(atlas: Atlas, method: Method) -> Iterator[Point]:
    for family in atlas.of_kind("reformulation-family"):
        found = standing(atlas, Fact(method.id, "reformulates-as", family.id))
        if found is not None:
            yield Point("reformulations", WEIGHT[found.support], f"fits {family.name}: {found.words}", found.claim)


def _rationales(atlas: Atlas, method: Method) -> Iterator[Point]:
    for rationale in atlas.of_kind("rationale"):
        assert isinstance(rationale, Rationale)
        found = standing(atlas, Fact(method.id, "grounded-in", rationale.id))
        if found is None:
            continue
        value, concern = WEIGHT[found.support], ""
        if rationale.limitations:
            value, concern = value / 2, ", halved: Table V has a concern about it"
        yield Point("rationales", value, f"rests on {rationale.name}: {found.words}{concern}", found.claim)


def _principles(atlas: Atlas, method: Method) -> Iterator[Point]:
    counted: set[str] = set()
    for record in atlas.of_kind("principle"):
        if atlas.parts_of(record.id) or record.id in counted:
            continue
        counted |= {record.id, *(n.id for n in atlas.neighbors(record.id, "corresponds-to", "both"))}  # two names of one requirement count once
        satisfied, violated = requirement(atlas, method.id, record.id)
        if satisfied is not None:
            yield Point("principles", WEIGHT[satisfied.support], f"satisfies {record.name.lower()}: {satisfied.words}", satisfied.claim)
        if violated is not None:
            yield Point("principles", -WEIGHT[violated.support], f"violates {record.name.lower()}: {violated.words}", violated.claim)


def _cost(method: Method) -> Iterator[Point]:
    for option, n in FEATURES.items():
        needed = evaluations(method, n)
        if needed is not None:
            value = next((value for limit, value in ((10, 1.0), (100, 0.5), (10_000, 0.0), (1_000_000, -0.5)) if needed <= limit), -1.0)
            yield Point("cost", value, f"{effort(needed)} for {n:,} features", when=("features", option))


def _context(atlas: Atlas, method: Method) -> Iterator[Point]:
    for record in atlas.of_kind("insight"):
        assert isinstance(record, Insight)
        for advice in record.advice:
            for question, option in advice.when.items():
                place = "; ".join(atlas.cite(source) for source in record.sources)
                if _named(atlas, method, advice):
                    yield Point("context", 1.0, f"{advice.because.strip()} ({place})", when=(question, option))
                elif method.id == advice.rather_than:
                    yield Point("context", -0.5, f"{advice.because.strip()} ({place})", when=(question, option))


def _named(atlas: Atlas, method: Method, advice: Advice) -> bool:
    families = {edge.object for edge in atlas.edges_from(method.id) if edge.relation in ("belongs-to", "reformulates-as")}
    return method.id in advice.favours or bool(families & set(advice.favours))


__all__ = ["CRITERIA", "WORDS", "Point", "points"]
