"""Deduction: what follows from the asserted relations, with a proof of each step.

A small forward chainer without files and without torch. It starts from edges (relations that some record asserts) and applies the rules of
`RULES` until nothing new follows. A derived fact keeps its first, shortest proof. A membership that a run has refuted is never a premise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from taxonomy import records as record_types
from taxonomy.relations import RELATIONS

if TYPE_CHECKING:
    from taxonomy.records import Claim, Record, Source, Theorem, Verdict

OPPOSITES = {"satisfies": "violates", "violates": "satisfies"}
MEMBERSHIPS = ("belongs-to", "reformulates-as")


class Fact(NamedTuple):
    """A relation between two records, whoever asserts it."""

    subject: str
    relation: str
    object: str

    def __str__(self) -> str:
        return f"{self.subject} {self.relation} {self.object}"


@dataclass(frozen=True, slots=True)
class Edge:
    """One assertion of a fact: by a claim of a record, a verdict of an evaluation or an equivalence of a theorem."""

    fact: Fact
    holder: str
    statement: Claim | Verdict | Theorem | None
    sources: tuple[Source, ...] = ()
    condition: str | None = None

    @property
    def subject(self) -> str:
        """Id of the record the relation starts from."""
        return self.fact.subject

    @property
    def relation(self) -> str:
        """Name of the relation."""
        return self.fact.relation

    @property
    def object(self) -> str:
        """Id of the record the relation points to."""
        return self.fact.object

    @property
    def id(self) -> str:
        """Id of the claim, under which evidence is filed."""
        return "/".join(self.fact)

    @property
    def check(self) -> str | None:
        """Id of the check that tests the assertion."""
        return getattr(self.statement, "check", None)


@dataclass(frozen=True, slots=True)
class Proof:
    """How a derived fact follows: the rule, its premises, the record that states the rule's ground, and the condition if it needs one."""

    rule: str
    premises: tuple[Fact, ...]
    ground: str | None = None
    condition: str | None = None


def _empty_index() -> dict[str, defaultdict[str, set[str]]]:
    return {relation: defaultdict(set) for relation in RELATIONS}


@dataclass(slots=True)
class Knowledge:
    """Asserted edges and derived facts, indexed."""

    records: dict[str, Record]
    refuted: frozenset[Fact] = frozenset()
    edges: dict[Fact, list[Edge]] = field(default_factory=dict)
    proofs: dict[Fact, Proof] = field(default_factory=dict)
    by_relation: dict[str, defaultdict[str, set[str]]] = field(default_factory=_empty_index)
    by_inverse: dict[str, defaultdict[str, set[str]]] = field(default_factory=_empty_index)

    def __contains__(self, fact: object) -> bool:
        return fact in self.edges or fact in self.proofs

    def assert_edge(self, edge: Edge) -> None:
        """Add an asserted relation; a symmetric one also holds the other way round."""
        self.edges.setdefault(edge.fact, []).append(edge)
        self._index(edge.fact)
        if RELATIONS[edge.relation].symmetric:
            mirrored = Fact(edge.object, edge.relation, edge.subject)
            if mirrored not in self:
                self.proofs[mirrored] = Proof("symmetry", (edge.fact,), edge.holder)
                self._index(mirrored)

    def derive(self, fact: Fact, proof: Proof) -> bool:
        """Add a derived fact; returns whether it was new. A proof without a condition replaces one with a condition."""
        known = self.proofs.get(fact)
        if fact in self.edges or fact.subject == fact.object or (known is not None and (known.condition is None or proof.condition is not None)):
            return False
        self.proofs[fact] = proof
        self._index(fact)
        return True

    def _index(self, fact: Fact) -> None:
        self.by_relation[fact.relation][fact.subject].add(fact.object)
        self.by_inverse[fact.relation][fact.object].add(fact.subject)

    def usable(self, fact: Fact) -> bool:
        """Whether a fact may be a premise: it is known, no run refuted it, and at least one assertion of it is unconditional."""
        if fact in self.refuted:
            return False
        if RELATIONS[fact.relation].symmetric:
            mirrored = Fact(fact.object, fact.relation, fact.subject)
            edges = [*self.edges.get(fact, ()), *self.edges.get(mirrored, ())]
            return mirrored not in self.refuted and any(is_unconditional(edge) for edge in edges)
        asserted = self.edges.get(fact)
        if asserted is None:
            return fact in self.proofs and self.proofs[fact].condition is None
        return any(is_unconditional(edge) for edge in asserted)

    def objects(self, relation: str, subject: str) -> list[str]:
        """Objects of usable facts `subject relation ?`, sorted."""
        return sorted(o for o in self.by_relation[relation][subject] if self.usable(Fact(subject, relation, o)))

    def subjects(self, relation: str, object_: str) -> list[str]:
        """Subjects of usable facts `? relation object`, sorted."""
        return sorted(s for s in self.by_inverse[relation][object_] if self.usable(Fact(s, relation, object_)))

    def pairs(self, relation: str) -> Iterator[Fact]:
        """All usable facts of a relation, in order."""
        for subject in sorted(self.by_relation[relation]):
            for object_ in self.objects(relation, subject):
                yield Fact(subject, relation, object_)


def is_unconditional(edge: Edge) -> bool:
    """Whether an assertion is made without a condition and without dispute."""
    statement = edge.statement
    status = getattr(statement, "status", "asserted")
    if isinstance(statement, record_types.Theorem):
        return statement.unconditional
    return _is_firm(status, edge.condition)


def _is_firm(status: str, condition: str | None) -> bool:
    return condition is None and status not in {"conditional", "disputed"}


Rule = Callable[[Knowledge], Iterator[tuple[Fact, Proof]]]


def members(knowledge: Knowledge, family: str) -> list[tuple[str, Fact]]:
    """The methods in a family or group, each with the fact that puts it there."""
    found: dict[str, Fact] = {}
    for relation in MEMBERSHIPS:
        for method in knowledge.subjects(relation, family):
            found.setdefault(method, Fact(method, relation, family))
    for part in knowledge.objects("includes", family):
        if knowledge.records[part].kind == "method":
            found.setdefault(part, Fact(family, "includes", part))
        else:
            for method, fact in members(knowledge, part):
                found.setdefault(method, fact)
    return sorted(found.items())


def quantified_verdicts(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """What an evaluation says of all (or all other) methods of a family holds of each member."""
    for record in knowledge.records.values():
        if not isinstance(record, record_types.Evaluation):
            continue
        named = {method for verdict in record.verdicts for method in verdict.methods}
        for verdict in record.verdicts:
            if verdict.quantifier == "named" or verdict.verdict == "context-dependent" or not _is_firm(verdict.status, verdict.condition):
                continue
            excluded = named if verdict.quantifier == "others" else set()
            for family in knowledge.objects("evaluates", record.id):
                for method, membership in members(knowledge, family):
                    if method in excluded:
                        continue
                    for principle in knowledge.objects("tests", record.id):
                        premises = (membership, Fact(record.id, "evaluates", family), Fact(record.id, "tests", principle))
                        yield Fact(method, verdict.verdict, principle), Proof(f"verdict on {verdict.quantifier} members", premises, record.id)


def composites(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """A composite principle is satisfied exactly if each of its parts is."""
    for composite in sorted({fact.subject for fact in knowledge.pairs("comprises")}):
        parts = knowledge.objects("comprises", composite)
        comprises = tuple(Fact(composite, "comprises", part) for part in parts)
        for method in knowledge.subjects("satisfies", composite):
            for part, link in zip(parts, comprises, strict=True):
                yield Fact(method, "satisfies", part), Proof("part of a satisfied composite", (Fact(method, "satisfies", composite), link), composite)
        for part, link in zip(parts, comprises, strict=True):
            for method in knowledge.subjects("violates", part):
                yield Fact(method, "violates", composite), Proof("violated part", (Fact(method, "violates", part), link), composite)
        if len(parts) < len(knowledge.by_relation["comprises"][composite]):
            continue  # whether a further part belongs to it is open
        for method in sorted(set.intersection(*(set(knowledge.subjects("satisfies", part)) for part in parts))):
            premises = tuple(Fact(method, "satisfies", part) for part in parts)
            yield Fact(method, "satisfies", composite), Proof("all parts satisfied", premises + comprises, composite)
        for method in knowledge.subjects("violates", composite):
            remaining = [part for part in parts if not knowledge.usable(Fact(method, "satisfies", part))]
            if len(remaining) == 1:
                premises = (Fact(method, "violates", composite), *(Fact(method, "satisfies", part) for part in parts if part != remaining[0]))
                yield Fact(method, "violates", remaining[0]), Proof("only part not satisfied", premises, composite)


def correspondences(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """Two names of one requirement share their verdicts."""
    for pair in knowledge.pairs("corresponds-to"):
        for relation in OPPOSITES:
            for method in knowledge.subjects(relation, pair.subject):
                yield Fact(method, relation, pair.object), Proof("another name", (Fact(method, relation, pair.subject), pair))


def implications(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """Modus ponens for what is satisfied, modus tollens for what is violated."""
    for implication in knowledge.pairs("implies"):
        stronger, _, weaker = implication
        for method in knowledge.subjects("satisfies", stronger):
            yield Fact(method, "satisfies", weaker), Proof("implied requirement", (Fact(method, "satisfies", stronger), implication))
        for method in knowledge.subjects("violates", weaker):
            yield Fact(method, "violates", stronger), Proof("implied requirement violated", (Fact(method, "violates", weaker), implication))


def uniqueness(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """The only method with certain axioms has these axioms."""
    for characterisation in knowledge.pairs("characterises"):
        theorem, _, method = characterisation
        for axiom in knowledge.objects("assumes", theorem):
            yield Fact(method, "satisfies", axiom), Proof("uniqueness result", (characterisation, Fact(theorem, "assumes", axiom)), theorem)


def special_cases(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """What holds of a method for all its parameters holds of its special case: principles it satisfies and families it is in."""
    for case in knowledge.pairs("special-case-of"):
        for relation in ("satisfies", *MEMBERSHIPS):
            for object_ in knowledge.objects(relation, case.object):
                yield Fact(case.subject, relation, object_), Proof("special case", (case, Fact(case.object, relation, object_)))


def equivalences(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """Methods that always give the same attributions share verdicts and reformulations."""
    for equivalence in knowledge.pairs("equivalent-to"):
        for relation in (*OPPOSITES, "reformulates-as"):
            for object_ in knowledge.objects(relation, equivalence.subject):
                premises = (equivalence, Fact(equivalence.subject, relation, object_))
                yield Fact(equivalence.object, relation, object_), Proof("same attributions", premises)


def conditional_equivalences(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """Methods that give the same attributions under a condition satisfy the same principles where it holds; a violation may lie elsewhere."""
    for edge in [edge for edges in knowledge.edges.values() for edge in edges if edge.relation == "equivalent-to"]:
        both_ways = (edge.subject, edge.object), (edge.object, edge.subject)
        if edge.condition is None or any(Fact(first, edge.relation, second) in knowledge.refuted for first, second in both_ways):
            continue
        for first, second in both_ways:
            for principle in knowledge.objects("satisfies", first):
                premises = (Fact(first, "equivalent-to", second), Fact(first, "satisfies", principle))
                yield Fact(second, "satisfies", principle), Proof("same attributions under a condition", premises, edge.holder, edge.condition)


def rationales(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """A rationale said to ground all members of a family grounds each."""
    for grounding in knowledge.pairs("grounds-members-of"):
        for method, membership in members(knowledge, grounding.object):
            yield Fact(method, "grounded-in", grounding.subject), Proof("rationale of the family", (membership, grounding), grounding.subject)


def transitivity(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """Chains of a transitive relation."""
    for relation in RELATIONS.values():
        if not relation.transitive:
            continue
        for first in knowledge.pairs(relation.name):
            for target in knowledge.objects(relation.name, first.object):
                premises = (first, Fact(first.object, relation.name, target))
                yield Fact(first.subject, relation.name, target), Proof("transitivity", premises)


RULES: tuple[Rule, ...] = (quantified_verdicts, uniqueness, correspondences, composites, implications, special_cases, equivalences, rationales,
                           transitivity, conditional_equivalences)  # fmt: skip


def deduce(knowledge: Knowledge) -> None:
    """Apply all rules, round by round, until nothing new follows; each round uses only what the rounds before it knew, so proofs stay short."""
    while True:
        found = [item for rule in RULES for item in rule(knowledge)]
        new = sum(knowledge.derive(fact, proof) for fact, proof in found)
        if not new:
            return


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two facts that cannot both hold, each asserted or derived."""

    first: Fact
    second: Fact
    conditional: bool

    def __str__(self) -> str:
        return f"{self.first} / {self.second}" + (" (one of them only under a condition)" if self.conditional else "")


def contradictions(knowledge: Knowledge) -> list[Contradiction]:
    """All pairs `satisfies` / `violates` of one method and one requirement."""
    found = []
    for method in sorted(knowledge.by_relation["satisfies"]):
        for object_ in sorted(knowledge.by_relation["satisfies"][method] & knowledge.by_relation["violates"][method]):
            pair = (Fact(method, "satisfies", object_), Fact(method, "violates", object_))
            conditional = not all(knowledge.usable(fact) for fact in pair)
            found.append(Contradiction(*pair, conditional))
    return found


def open_questions(knowledge: Knowledge, requirements: Iterable[str]) -> list[tuple[str, str]]:
    """Cells method x requirement about which nothing is asserted or derived."""
    methods = sorted(record.id for record in knowledge.records.values() if record.kind == "method" and record.status == "full")
    return [
        (method, requirement)
        for method in methods
        for requirement in requirements
        if requirement not in knowledge.by_relation["satisfies"][method] | knowledge.by_relation["violates"][method]
    ]
