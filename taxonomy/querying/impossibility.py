"""Combinations of requirements that no method can have, with the proof: what is satisfied implies what is not to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxonomy import deduction
from taxonomy.deduction import Edge, Fact, Knowledge
from taxonomy.querying.conditions import Condition, Literal, Related, alternatives

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

_SUBJECT = "such-a-method"
_BETWEEN_REQUIREMENTS = ("comprises", "corresponds-to", "implies")


@dataclass(frozen=True, slots=True)
class Impossibility:
    """What no method can have together. `str()` prints the proof."""

    satisfied: tuple[str, ...]
    violated: str
    premises: tuple[Fact, ...]
    """The relations between requirements that it rests on, for `Atlas.why`."""
    conditions: tuple[str, ...]
    """Where it holds only there; empty if it always does."""
    text: str

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "satisfied": list(self.satisfied), "violated": self.violated, "premises": [list(premise) for premise in self.premises],
            "conditions": list(self.conditions), "proof": self.text,
        }  # fmt: skip


def impossibilities(atlas: Atlas, condition: Condition) -> tuple[tuple[Impossibility, ...], bool]:
    """What stands in the way of a condition on methods, and whether it stands in the way of every method whatsoever.

    Each way in which the condition can hold is examined by itself: the requirements to be satisfied are supposed of a method, the rules of deduction
    applied, and what follows compared with the requirements not to be satisfied. This finds every consequence of the relations between requirements
    (`implies`, `corresponds-to`, `comprises`), and no other.
    """
    ways = alternatives(condition)
    if ways is None:
        return (), False
    found: dict[str, Impossibility] = {}
    blocked = []
    for way in ways:
        obstacles = _obstacles(atlas, way)
        found |= {obstacle.text: obstacle for obstacle in obstacles}
        blocked.append(any(not obstacle.conditions for obstacle in obstacles))
    return tuple(found.values()), bool(blocked) and all(blocked)


def _requirements(way: tuple[Literal, ...]) -> tuple[list[str], list[str]]:
    """The requirements to be satisfied and those not to be."""
    satisfied: list[str] = []
    violated: list[str] = []
    for condition, holds in way:
        if isinstance(condition, Related) and condition.relation in deduction.OPPOSITES:
            (satisfied if (condition.relation == "satisfies") == holds else violated).append(condition.target)
    return list(dict.fromkeys(satisfied)), list(dict.fromkeys(violated))


def _obstacles(atlas: Atlas, way: tuple[Literal, ...]) -> list[Impossibility]:
    satisfied, violated = _requirements(way)
    if not satisfied or not violated:
        return []
    supposed = _supposing(atlas, satisfied)
    return [_impossibility(atlas, supposed, target) for target in violated if Fact(_SUBJECT, "satisfies", target) in supposed]


def _supposing(atlas: Atlas, satisfied: list[str]) -> Knowledge:
    """What would be known of a method of which only this is known."""
    known = atlas._knowledge
    supposed = Knowledge(known.records, known.refuted, known.found, known.ran)
    for edge in atlas.edges:
        if edge.relation in _BETWEEN_REQUIREMENTS:
            supposed.assert_edge(edge)
    for target in satisfied:
        supposed.assert_edge(Edge(Fact(_SUBJECT, "satisfies", target), _SUBJECT, None))
    deduction.deduce(supposed)
    return supposed


def _impossibility(atlas: Atlas, supposed: Knowledge, target: str) -> Impossibility:
    assumed: dict[str, None] = {}
    links: dict[Fact, None] = {}
    lines: list[str] = []
    conclusion = Fact(_SUBJECT, "satisfies", target)
    _follow(atlas, supposed, conclusion, lines, links, assumed)
    proof = supposed.proofs.get(conclusion)
    conditions = tuple(dict.fromkeys(" ".join(text.split()) for text in (proof.conditions if proof else ())))
    names = " and ".join(assumed)
    if proof is None:
        head = f"no method both satisfies and does not satisfy {target}"
    elif conditions:
        head = f"a method that satisfies {names} can fail {target} only where this is not met: {' And: '.join(conditions)}"
    else:
        head = f"every method that satisfies {names} satisfies {target}"
    text = "\n".join([head, *(f"  {line}" for line in dict.fromkeys(lines))])
    return Impossibility(tuple(assumed), target, tuple(links), conditions, text)


def _follow(atlas: Atlas, supposed: Knowledge, fact: Fact, lines: list[str], links: dict[Fact, None], assumed: dict[str, None]) -> None:
    """Write the proof of a fact from its end; collect the relations it uses and what it supposes."""
    if fact.subject != _SUBJECT:
        if fact not in links:
            links[fact] = None
            lines += str(atlas.why(*fact)).splitlines()
        return
    proof = supposed.proofs.get(fact)
    if proof is None:
        assumed[fact.object] = None
        return
    lines.append(f"it satisfies {fact.object} ({proof.rule}) by")
    for premise in sorted(proof.premises, key=lambda one: one.subject == _SUBJECT):
        _follow(atlas, supposed, premise, lines, links, assumed)
