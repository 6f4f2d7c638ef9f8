"""How a method stands to a property, and how far a run supports it: what requirements and points both rest on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from taxonomy.deduction import OPPOSITES, Fact, is_unconditional

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

Support = Literal[
    "confirmed", "under condition", "refuted", "measured", "measured in part", "empirical", "not run", "violated by audit",
    "violated by audit in part",
]  # fmt: skip
SUPPORT: dict[str, Support] = {
    "holds": "confirmed", "holds under condition": "under condition", "fails": "refuted", "empirical": "empirical",
}  # fmt: skip
WEIGHT: dict[Support, float] = {
    "confirmed": 1.0, "under condition": 0.5, "measured": 0.5, "measured in part": 0.0, "empirical": 0.5, "not run": 0.5, "refuted": 0.0,
    "violated by audit": 0.0, "violated by audit in part": 0.0,
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
    "violated by audit": "our audit finds it violated",
    "violated by audit in part": "our audit finds it violated in one reading of the requirement, not in another",
}
OURS: tuple[Support, ...] = ("measured", "measured in part")
UNMET: tuple[Support, ...] = ("refuted", "violated by audit", "violated by audit in part")
"""What a statement that a method satisfies something is worth nothing with: such a method is not taken to satisfy it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One statement about a method: who says it, and what a run found."""

    fact: Fact
    support: Support
    sources: tuple[str, ...]
    condition: str = ""
    """The condition under which it follows, if no source asserts it and it follows only under one."""

    @property
    def claim(self) -> str:
        """Id of the claim."""
        return "/".join(self.fact)

    @property
    def words(self) -> str:
        """Sources and run in one line: `Table VI; confirmed by run`, `derived under a condition (no biases); our audit finds it violated`."""
        derived = f"derived under a condition ({_cut(self.condition)})" if self.condition else "derived"
        places = "; ".join(self.sources) or (derived if self.support not in OURS else "")
        return "; ".join(part for part in (places, WORDS[self.support]) if part)


def standing(atlas: Atlas, fact: Fact) -> Standing | None:
    """How a fact stands, if a source asserts it or it follows; None if nothing is known of it."""
    if fact not in atlas:
        return None
    found = atlas.evidence.get("/".join(fact))
    places = tuple(dict.fromkeys(atlas.cite(source) for edge in atlas.assertions(fact) for source in edge.sources))
    proof = None if places else atlas.derived.get(fact)
    condition = proof.condition if proof is not None else None
    return Standing(fact, SUPPORT.get(found.status, "not run") if found else "not run", _shortened(places), condition or "")


def _shortened(places: tuple[str, ...], most: int = 2) -> tuple[str, ...]:
    return places if len(places) <= most else (*places[:most], f"{len(places) - most} more")


def _cut(condition: str, most: int = 160) -> str:
    """As many whole sentences of a condition as fit, at least the first; the claim has the rest."""
    kept, *rest = re.split(r"(?<=\.)\s+(?=[A-Z$])", condition.strip())
    while rest and len(kept) + len(rest[0]) < most:
        kept = f"{kept} {rest.pop(0)}"
    return f"{kept} …" if rest else kept.rstrip(".")


def requirement(atlas: Atlas, method: str, property_: str) -> tuple[Standing | None, Standing | None]:
    """How a method stands to a property: the statement that it satisfies it, and the statement that it violates it.

    What our audit measured overrides a statement that it satisfies it if no run tested that and no source asserts it without a condition.
    """
    satisfied, violated = (standing(atlas, Fact(method, relation, property_)) for relation in OPPOSITES)
    ours = measured(atlas, method, property_)
    if ours is None:
        return satisfied, violated
    if satisfied is None and violated is None:
        return (ours, None) if ours.fact.relation == "satisfies" else (None, ours)
    if satisfied is not None and ours.fact.relation == "violates" and _untested(atlas, satisfied):
        satisfied = replace(satisfied, support="violated by audit" if ours.support == "measured" else "violated by audit in part")
    return satisfied, violated


def _untested(atlas: Atlas, found: Standing) -> bool:
    """Whether a statement has no run of its own and is only derived, or asserted only under a condition or against a dispute."""
    return found.support == "not run" and not any(is_unconditional(edge) for edge in atlas.assertions(found.fact))


def measured(atlas: Atlas, method: str, property_: str) -> Standing | None:
    """What our audit of the reference function found, if it could test the property: violated if it is in any reading."""
    outcomes = {verdict.outcome for verdict in atlas.measured(method, property_)} - {"not applicable"}
    if not outcomes:
        return None
    relation = "violates" if "violates" in outcomes else "satisfies"
    return Standing(Fact(method, relation, property_), "measured" if len(outcomes) == 1 else "measured in part", ())
