"""Deduction: what follows from the asserted relations, with a proof of each step.

A small forward chainer without files and without torch. It starts from edges (relations that some record asserts) and applies the rules of
`RULES` until nothing new follows. A derived fact keeps its first, shortest proof.

What runs found counts too. A fact, asserted or derived, that a run has refuted is never a premise, nor is anything that rests on a theorem which a
run has refuted. Where a run found a condition that the sources do not state, what follows from the fact follows under that condition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    """One assertion of a fact: by a claim of a record, a verdict of an evaluation or a theorem.

    `refuted` and `found` are what a run found of the theorem that asserts it: that it fails, or a condition that it needs.
    """

    fact: Fact
    holder: str
    statement: Claim | Verdict | Theorem | None
    sources: tuple[Source, ...] = ()
    condition: str | None = None
    refuted: bool = False
    found: str | None = None

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
    """How a derived fact follows: the rule, its premises, the record that states the rule's ground, and the conditions if it needs any."""

    rule: str
    premises: tuple[Fact, ...]
    ground: str | None = None
    conditions: tuple[str, ...] = ()

    @property
    def condition(self) -> str | None:
        """All conditions as one text; none if it follows without any."""
        return " And: ".join(" ".join(text.split()) for text in self.conditions) or None


def _empty_index() -> dict[str, defaultdict[str, set[str]]]:
    return {relation: defaultdict(set) for relation in RELATIONS}


@dataclass(slots=True)
class Knowledge:
    """Asserted edges and derived facts, indexed, and what runs found of them.

    `refuted` are the facts a run refuted, `found` the conditions that runs found, `ran` all facts with a run. `lenient` knowledge takes every fact
    for a premise, whatever runs and sources hold against it: it tells what would follow.
    """

    records: dict[str, Record]
    refuted: frozenset[Fact] = frozenset()
    found: Mapping[Fact, str] = field(default_factory=dict)
    ran: frozenset[Fact] = frozenset()
    lenient: bool = False
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
        if fact in self.edges or fact.subject == fact.object or (known is not None and not known.conditions):
            return False
        settled = self.settled(fact, proof)
        if settled is None or (known is not None and settled.conditions):
            return False
        self.proofs[fact] = settled
        self._index(fact)
        return True

    def settled(self, fact: Fact, proof: Proof) -> Proof | None:
        """The proof with the conditions of its premises, or None if under these it proves nothing.

        A violation happens somewhere. If the link along which it is passed on holds only under a condition, it may happen where the link does not.
        """
        conditions = list(proof.conditions)
        for premise in proof.premises:
            needed = self.conditions(premise) or ()
            if needed and fact.relation == "violates" != premise.relation:
                return None
            conditions += needed
        return replace(proof, conditions=tuple(dict.fromkeys(conditions)))

    def _index(self, fact: Fact) -> None:
        self.by_relation[fact.relation][fact.subject].add(fact.object)
        self.by_inverse[fact.relation][fact.object].add(fact.subject)

    def conditions(self, fact: Fact) -> tuple[str, ...] | None:
        """The conditions under which a fact may be a premise, or None if it may not be one.

        A fact is no premise if a run refuted it, if every source that asserts it states a condition or is disputed, or if it rests on theorems that
        runs refuted. A derived fact brings the conditions of its proof, and any fact the condition that a run found of it.
        """
        if self.lenient:
            return () if fact in self else None
        ways = _ways(fact)
        if any(way in self.refuted for way in ways):
            return None
        edges = [edge for way in ways for edge in self.edges.get(way, ())]
        if edges:
            firm = [edge for edge in edges if is_unconditional(edge) and not edge.refuted]
            if not firm:
                return None
            needed: tuple[str, ...] = () if any(edge.found is None for edge in firm) else (str(firm[0].found),)
        elif fact in self.proofs:
            needed = self.proofs[fact].conditions
        else:
            return None
        return tuple(dict.fromkeys((*needed, *(self.found[way] for way in ways if way in self.found))))

    def usable(self, fact: Fact) -> bool:
        """Whether a fact may be a premise, be it under a condition that a run found."""
        return self.conditions(fact) is not None

    def firm(self, fact: Fact) -> bool:
        """Whether a fact may be a premise without any condition."""
        return self.conditions(fact) == ()

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


def _ways(fact: Fact) -> tuple[Fact, ...]:
    """A fact and, if its relation is symmetric, the same fact read the other way round."""
    return (fact, Fact(fact.object, fact.relation, fact.subject)) if RELATIONS[fact.relation].symmetric else (fact,)


def is_unconditional(edge: Edge) -> bool:
    """Whether an assertion is made without a condition and without dispute."""
    statement = edge.statement
    if isinstance(statement, record_types.Theorem):
        return statement.unconditional and statement.standing != "disputed"
    return _is_firm(getattr(statement, "status", "asserted"), edge.condition)


def _is_firm(status: str, condition: str | None) -> bool:
    return condition is None and status not in {"conditional", "disputed"}


Rule = Callable[[Knowledge], Iterator[tuple[Fact, Proof]]]


def members(knowledge: Knowledge, family: str) -> list[tuple[str, Fact]]:
    """The methods in a family or group, each with the fact that puts it there."""
    ways: dict[str, list[Fact]] = defaultdict(list)
    for relation in MEMBERSHIPS:
        for method in knowledge.subjects(relation, family):
            ways[method].append(Fact(method, relation, family))
    for part in knowledge.objects("includes", family):
        if knowledge.records[part].kind == "method":
            ways[part].append(Fact(family, "includes", part))
        else:
            for method, fact in members(knowledge, part):
                ways[method].append(fact)
    return sorted((method, next((fact for fact in facts if knowledge.firm(fact)), facts[0])) for method, facts in ways.items())


def quantified_verdicts(knowledge: Knowledge) -> Iterator[tuple[Fact, Proof]]:
    """What an evaluation says of all (or all other) methods of a family holds of each member."""
    for record in knowledge.records.values():
        if not isinstance(record, record_types.Evaluation):
            continue
        named = {method for verdict in record.verdicts for method in verdict.methods}
        for verdict in record.verdicts:
            if verdict.quantifier == "named" or not _is_firm(verdict.status, verdict.condition):
                continue
            excluded = named if verdict.quantifier == "others" else set()
            for family in knowledge.objects("evaluates", record.id):
                judged = [(method, membership) for method, membership in members(knowledge, family) if method not in excluded]
                for principle in knowledge.objects("tests", record.id):
                    facts = [Fact(method, verdict.verdict, principle) for method, _ in judged]
                    # Once a run refutes it of one member, "all" is false: it says nothing of a member that no run was made for.
                    broken = not knowledge.lenient and not knowledge.refuted.isdisjoint(facts)
                    for fact, (_, membership) in zip(facts, judged, strict=True):
                        if not broken or fact in knowledge.ran:
                            premises = (membership, Fact(record.id, "evaluates", family), Fact(record.id, "tests", principle))
                            yield fact, Proof(f"verdict on {verdict.quantifier} members", premises, record.id)


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
            remaining = [part for part in parts if not knowledge.firm(Fact(method, "satisfies", part))]
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
    """Methods that give the same attributions under a condition satisfy the same principles where it holds; a violation may lie elsewhere.

    Not from one such condition to the next: two conditions, each on the settings of a method, may exclude each other.
    """
    for edge in [edge for edges in knowledge.edges.values() for edge in edges if edge.relation == "equivalent-to"]:
        both_ways = _ways(edge.fact)
        if edge.condition is None or edge.refuted or _is_disputed(edge) or any(way in knowledge.refuted for way in both_ways):
            continue
        conditions = tuple(text for text in (edge.condition, edge.found, *map(knowledge.found.get, both_ways)) if text)
        for first, _, second in both_ways:
            for principle in knowledge.objects("satisfies", first):
                satisfied = Fact(first, "satisfies", principle)
                if satisfied not in knowledge.edges and not knowledge.firm(satisfied):
                    continue
                premises = (Fact(first, "equivalent-to", second), satisfied)
                yield Fact(second, "satisfies", principle), Proof("same attributions under a condition", premises, edge.holder, conditions)


def _is_disputed(edge: Edge) -> bool:
    statement = edge.statement
    return (statement.standing if isinstance(statement, record_types.Theorem) else getattr(statement, "status", "")) == "disputed"


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
    """Two facts that cannot both hold, each asserted or derived; `refuted` are those of them that a run refuted."""

    first: Fact
    second: Fact
    conditional: bool
    refuted: tuple[Fact, ...] = ()

    def __str__(self) -> str:
        sides = " and ".join("the first" if fact == self.first else "the second" for fact in self.refuted)
        note = f" (a run refutes {sides})" if sides else " (one of them only under a condition)" if self.conditional else ""
        return f"{self.first} / {self.second}{note}"


def contradictions(knowledge: Knowledge) -> list[Contradiction]:
    """All pairs `satisfies` / `violates` of one method and one requirement."""
    found = []
    for method in sorted(knowledge.by_relation["satisfies"]):
        for object_ in sorted(knowledge.by_relation["satisfies"][method] & knowledge.by_relation["violates"][method]):
            pair = (Fact(method, "satisfies", object_), Fact(method, "violates", object_))
            refuted = tuple(fact for fact in pair if fact in knowledge.refuted)
            conditional = not refuted and not all(knowledge.firm(fact) for fact in pair)
            found.append(Contradiction(*pair, conditional, refuted))
    return found


def open_questions(knowledge: Knowledge, requirements: Iterable[str]) -> list[tuple[str, str]]:
    """Cells method x requirement about which nothing is asserted or derived."""
    methods = sorted(record.id for record in knowledge.records.values() if record.kind == "method" and record.status == "full")
    return [
        (method, requirement)
        for method in methods
        for requirement in requirements
        if not any(requirement in knowledge.by_relation[verdict][method] for verdict in (*OPPOSITES, "context-dependent"))
    ]
