"""How a method stands to a property, and how far a run supports it: what requirements and points both rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from taxonomy.deduction import OPPOSITES, Fact

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

Support = Literal["confirmed", "under condition", "refuted", "measured", "measured in part", "empirical", "not run"]
SUPPORT: dict[str, Support] = {
    "holds": "confirmed", "holds under condition": "under condition", "fails": "refuted", "empirical": "empirical",
}  # fmt: skip
WEIGHT: dict[Support, float] = {
    "confirmed": 1.0, "under condition": 0.5, "measured": 0.5, "measured in part": 0.0, "empirical": 0.5, "not run": 0.5, "refuted": 0.0,
}  # fmt: skip
"""How much of a point a statement is worth by what a run found of it."""
WORDS: dict[Support, str] = {
    "confirmed": "confirmed by run",
    "under condition": "a run found it under a condition",
    "refuted": "refuted by run",
    "measured": "measured by us; no source says so",
    "measured in part": "measured by us in one reading of the requirement, not in another; no source says so",
    "empirical": "measured on data",
    "not run": "no run",
}
OURS: tuple[Support, ...] = ("measured", "measured in part")


@dataclass(frozen=True, slots=True)
class Standing:
    """One statement about a method: who says it, and what a run found."""

    fact: Fact
    support: Support
    sources: tuple[str, ...]

    @property
    def claim(self) -> str:
        """Id of the claim."""
        return "/".join(self.fact)

    @property
    def words(self) -> str:
        """Sources and run in one line: `Table VI; confirmed by run`."""
        places = "; ".join(self.sources) or ("derived" if self.support not in OURS else "")
        return "; ".join(part for part in (places, WORDS[self.support]) if part)


def standing(atlas: Atlas, fact: Fact) -> Standing | None:
    """How a fact stands, if a source asserts it or it follows; None if nothing is known of it."""
    if fact not in atlas:
        return None
    found = atlas.evidence.get("/".join(fact))
    places = tuple(dict.fromkeys(atlas.cite(source) for edge in atlas.assertions(fact) for source in edge.sources))
    return Standing(fact, SUPPORT.get(found.status, "not run") if found else "not run", _shortened(places))


def _shortened(places: tuple[str, ...], most: int = 2) -> tuple[str, ...]:
    return places if len(places) <= most else (*places[:most], f"{len(places) - most} more")


def requirement(atlas: Atlas, method: str, property_: str) -> tuple[Standing | None, Standing | None]:
    """How a method stands to a property: the statement that it satisfies it, and the statement that it violates it."""
    satisfied, violated = (standing(atlas, Fact(method, relation, property_)) for relation in OPPOSITES)
    if satisfied is None and violated is None and (ours := measured(atlas, method, property_)) is not None:
        return (ours, None) if ours.fact.relation == "satisfies" else (None, ours)
    return satisfied, violated


def measured(atlas: Atlas, method: str, property_: str) -> Standing | None:
    """What our audit of the reference function found, if it could test the property: violated if it is in any reading."""
    outcomes = {verdict.outcome for verdict in atlas.measured(method, property_)} - {"not applicable"}
    if not outcomes:
        return None
    relation = "violates" if "violates" in outcomes else "satisfies"
    return Standing(Fact(method, relation, property_), "measured" if len(outcomes) == 1 else "measured in part", ())
