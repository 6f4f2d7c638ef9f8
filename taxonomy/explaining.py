"""Explanations: why a fact holds, what contradicts it, and why a fact that might be expected does not follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy import deduction
from taxonomy.deduction import Edge, Fact, Knowledge, Proof, is_unconditional

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a fact holds: who asserts it, what a run found, or from what it follows. `str()` prints the whole chain."""

    fact: Fact
    edges: tuple[Edge, ...]
    proof: Proof | None
    evidence: Evidence | None
    premises: tuple[Explanation, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import text_html

        return text_html(self.text)


@dataclass(frozen=True, slots=True)
class BlockedChain:
    """A chain by which a fact would follow, and the premises that keep it from doing so, each with the reason. `str()` prints all of it."""

    fact: Fact
    proof: Proof
    obstacles: tuple[tuple[Fact, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.fact}", f"  would follow ({self.proof.rule}) from", *(f"    {premise}" for premise in self.proof.premises)]
        return "\n".join([*lines, *(f"  but {reason}" for _, reason in self.obstacles)])

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import text_html

        return text_html(str(self))


def explain(atlas: Atlas, knowledge: Knowledge, fact: Fact) -> Explanation:
    """The explanation of a known fact, with what contradicts it at the end."""
    found = _explain(atlas, knowledge, fact, 0, frozenset())
    opposite = Fact(fact.subject, deduction.OPPOSITES.get(fact.relation, fact.relation), fact.object)
    if opposite == fact or opposite not in knowledge:
        return found
    against = _explain(atlas, knowledge, opposite, 1, frozenset())
    return Explanation(fact, found.edges, found.proof, found.evidence, found.premises, f"{found.text}\n  contradicted by\n{_deeper(against.text)}")


def _deeper(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _explain(atlas: Atlas, knowledge: Knowledge, fact: Fact, depth: int, above: frozenset[Fact]) -> Explanation:
    indent = "  " * depth
    edges, proof = tuple(knowledge.edges.get(fact, ())), knowledge.proofs.get(fact)
    found = atlas.evidence.get("/".join(fact))
    lines = [str(fact)]
    for edge in edges:
        places = "; ".join(atlas.cite(source) for source in edge.sources) or f"record {edge.holder}"
        holder = f" (by {edge.holder})" if edge.holder != fact.subject else ""
        lines.append(f"  asserted{holder}: {places}")
        if edge.condition:
            lines.append(f"  on condition: {_line(edge.condition)}")
        if (about := atlas.evidence.get(f"{edge.holder}/statement")) is not None and (edge.refuted or edge.found):
            lines += _run_lines(about, of=edge.holder)
    if found is not None:
        lines += _run_lines(found)
    premises: list[Explanation] = []
    if proof is not None and not edges:
        lines += [f"  on condition: {_line(text)}" for text in proof.conditions]
        lines.append(f"  follows ({proof.rule}) from")
        for premise in proof.premises:
            if premise not in above:
                premises.append(_explain(atlas, knowledge, premise, depth + 2, above | {fact}))
    text = "\n".join([*(indent + line for line in lines), *(premise.text for premise in premises)])
    return Explanation(fact, edges, proof, found, tuple(premises), text)


def _run_lines(found: Evidence, of: str = "") -> list[str]:
    lines = [f"  run{f' of {of}' if of else ''}: {found.status}" + (f" ({_line(found.finding)})" if found.finding else "")]
    if found.status == "holds under condition" and found.condition:
        lines.append(f"  holds if: {_line(found.condition)}")
    return lines


def _line(text: str) -> str:
    return " ".join(text.split())


def why_not(atlas: Atlas, knowledge: Knowledge, fact: Fact) -> list[BlockedChain]:
    """The chains by which a fact that is neither asserted nor derived would follow if every premise counted, each with what blocks it."""
    supposed = Knowledge(knowledge.records, lenient=True)
    for edges in knowledge.edges.values():
        for edge in edges:
            supposed.assert_edge(edge)
    deduction.deduce(supposed)
    if fact in knowledge or fact not in supposed:
        return []
    proofs = {proof.premises: proof for rule in deduction.RULES for found, proof in rule(supposed) if found == fact}
    chains = [BlockedChain(fact, proof, tuple(_obstacles(atlas, knowledge, supposed, fact, proof, frozenset({fact})))) for proof in proofs.values()]
    # A chain that only leads back to the fact explains nothing.
    return sorted((chain for chain in chains if chain.obstacles), key=lambda chain: (len(chain.obstacles), chain.proof.rule, chain.proof.premises))


def _obstacles(atlas: Atlas, knowledge: Knowledge, supposed: Knowledge, fact: Fact, proof: Proof, above: frozenset[Fact]) -> list[tuple[Fact, str]]:
    """What keeps a proof from counting, followed down through premises that do not follow themselves."""
    found: dict[Fact, str] = {}
    for premise in proof.premises:
        conditions = knowledge.conditions(premise)
        if conditions is None:
            if premise in knowledge:
                found[premise] = _objection(atlas, knowledge, premise)
            elif premise not in above and (inner := supposed.proofs.get(premise)) is not None:
                found |= dict(_obstacles(atlas, knowledge, supposed, premise, inner, above | {premise}))
        elif conditions and fact.relation == "violates" != premise.relation:
            needed = " ".join(_line(text) for text in conditions)
            found[premise] = f"`{premise}` holds only on a condition, and the violation may lie where it is not met: {needed}"
    if not found and proof.rule.startswith("verdict on") and all(knowledge.usable(premise) for premise in proof.premises):
        found[fact] = f"a run refutes the verdict of {proof.ground} for another member, so it is no verdict on all of them"
    return list(found.items())


def _objection(atlas: Atlas, knowledge: Knowledge, fact: Fact) -> str:
    """Why a known fact is no premise."""
    turned = Fact(fact.object, fact.relation, fact.subject)
    edges = [*knowledge.edges.get(fact, ()), *knowledge.edges.get(turned, ())]
    for name in ("/".join(fact), "/".join(turned), *(f"{edge.holder}/statement" for edge in edges if edge.refuted)):
        evidence = atlas.evidence.get(name)
        if evidence is not None and evidence.status == "fails":
            about = f"`{fact}`" if name == "/".join(fact) else f"`{name}`, on which `{fact}` rests"
            return f"a run refutes {about}: {_line(evidence.finding or evidence.statement)}"
    if stated := next((edge.condition for edge in edges if edge.condition and not is_unconditional(edge)), None):
        return f"`{fact}` is stated on a condition only: {_line(stated)}"
    return f"`{fact}` is disputed"
