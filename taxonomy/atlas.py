"""The atlas: typed records, the relations between them, and the questions that can be asked."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from taxonomy import deduction, explaining, tables
from taxonomy import records as record_types
from taxonomy.asserting import knowledge_of
from taxonomy.deduction import Contradiction, Edge, Fact, Proof
from taxonomy.explaining import BlockedChain, Explanation
from taxonomy.problems import did_you_mean
from taxonomy.querying.asking import Asking
from taxonomy.relations import INVERSES, RELATIONS, Relation

if TYPE_CHECKING:
    import networkx as nx

    from taxonomy.audit import AuditReport, AuditVerdict
    from taxonomy.bibliography import Entry
    from taxonomy.comparison import Comparison
    from taxonomy.conformance import LibraryConformance
    from taxonomy.evidence import Evidence
    from taxonomy.guide import Choice
    from taxonomy.records import Method, Record, Source
    from taxonomy.reproduction import Reproduction

Direction = Literal["out", "in", "both"]
_UNPACKING = threading.RLock()
_RANKS = {name: rank for rank, name in enumerate(RELATIONS)}


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A record one relation away."""

    relation: str
    direction: Literal["out", "in"]
    id: str
    derived: bool


class Atlas(Asking):
    """A loaded record folder.

    Made by `taxonomy.load`. Records are immutable, and nothing in an atlas changes after it is made, so it may be shared between threads.
    """

    def __init__(
        self,
        records: Mapping[str, Record],
        evidence: Mapping[str, Evidence],
        bibtex: str,
        conformance: Mapping[str, LibraryConformance] | None = None,
        reproductions: Mapping[str, Reproduction] | None = None,
        audits: Mapping[str, AuditReport] | None = None,
    ) -> None:
        order = {kind: number for number, kind in enumerate(record_types.KINDS)}
        self.records: dict[str, Record] = dict(sorted(records.items(), key=lambda item: (order[item[1].kind], item[0])))
        self.evidence: dict[str, Evidence] = dict(sorted(evidence.items()))
        self.conformance: dict[str, LibraryConformance] = dict(conformance or {})
        self.reproductions: dict[str, Reproduction] = dict(reproductions or {})
        self.audits: dict[str, AuditReport] = dict(audits or {})
        self._bibtex = bibtex
        self._knowledge = knowledge_of(self.records, self.evidence)
        deduction.deduce(self._knowledge)

    @classmethod
    def deferred(cls, content: Callable[[], Atlas]) -> Atlas:
        """An atlas whose content is fetched by `content()` when first asked for."""
        atlas = cls.__new__(cls)
        atlas.__dict__["_content"] = content
        return atlas

    def __getattr__(self, name: str) -> Any:
        # Reached only for attributes that are not there: those of an atlas whose content is still to be fetched.
        with _UNPACKING:
            if (content := self.__dict__.get("_content")) is not None and not name.startswith("__"):
                self.__dict__.update(content().__dict__)
                self.__dict__["_content"] = None
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        names = ("records", "evidence", "conformance", "reproductions", "audits", "_bibtex", "_knowledge")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"<Atlas: {len(self.records)} records, {len(self.edges)} relations, {len(self.derived)} derived>"

    # Records

    def record(self, id_: str) -> Record:
        """The record with this id.

        Raises
        ------
        KeyError
            If there is none; the message names close matches.
        """
        try:
            return self.records[id_]
        except KeyError:
            raise KeyError(f"no record `{id_}`; {did_you_mean(id_, self.records) or 'see Atlas.records'}") from None

    def of_kind(self, kind: str) -> list[Record]:
        """All records of a kind, sorted by id.

        Raises
        ------
        KeyError
            If the kind is unknown.
        """
        if kind not in record_types.KINDS:
            raise KeyError(f"no kind `{kind}`; {did_you_mean(kind, record_types.KINDS) or 'kinds: ' + ', '.join(record_types.KINDS)}")
        return list(self._by_kind.get(kind, []))

    @functools.cached_property
    def _by_kind(self) -> dict[str, list[Record]]:
        grouped: dict[str, list[Record]] = {}
        for record in self.records.values():
            grouped.setdefault(record.kind, []).append(record)
        return grouped

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        """Casefolded names, abbreviations and aliases; where kinds share one, the kind that comes first in `KINDS` wins."""
        names: dict[str, str] = {}
        for record in self.records.values():
            spellings = [
                record.name,
                *([record.abbreviation] if isinstance(record, record_types.Method) and record.abbreviation else []),
                *record.aliases,
            ]
            for spelling in spellings:
                names.setdefault(spelling.casefold(), record.id)
        return names

    def find(self, name: str, kind: str | None = None) -> Record:
        """The record known by an id, name, abbreviation or alias; letter case does not matter.

        Raises
        ------
        KeyError
            If nothing is known by that name; the message names close matches.
        """
        found = self._lookup(name, kind)
        if found is None:
            known = [*self.records, *self._names] if kind is None else [record.id for record in self.of_kind(kind)]
            raise KeyError(f"no {kind or 'record'} is known as `{name}`; {did_you_mean(name.casefold(), known) or 'try `atlas list`'}")
        return found

    def _lookup(self, name: str, kind: str | None) -> Record | None:
        """As `find`; None if nothing is known by that name."""
        id_ = name if name in self.records else self._names.get(name.casefold())
        if id_ is not None and (kind is None or self.records[id_].kind == kind):
            return self.records[id_]
        return self._spelled.get((kind, name.casefold())) if kind is not None else None

    @functools.cached_property
    def _spelled(self) -> dict[tuple[str, str], Record]:
        """Records by kind and casefolded name, abbreviation or alias; the first of a kind wins."""
        found: dict[tuple[str, str], Record] = {}
        for record in self.records.values():
            for spelling in (record.name, getattr(record, "abbreviation", None), *record.aliases):
                if spelling:
                    found.setdefault((record.kind, spelling.casefold()), record)
        return found

    def method(self, name: str) -> Method:
        """The method known by an id, name, abbreviation or alias; see `find`."""
        return cast("Method", self.find(name, "method"))

    def _find_among(self, name: str, kinds: tuple[str, ...]) -> Record:
        for kind in kinds:
            if (found := self._lookup(name, kind)) is not None:
                return found
        known = [record.id for kind in kinds for record in self.of_kind(kind)]
        raise KeyError(f"no {' or '.join(kinds)} is known as `{name}`; {did_you_mean(name, known) or 'known: ' + ', '.join(known)}")

    # Relations

    @functools.cached_property
    def edges(self) -> list[Edge]:
        """All asserted relations, in the order of the records that hold them."""
        return [edge for edges in self._knowledge.edges.values() for edge in edges]

    @property
    def derived(self) -> dict[Fact, Proof]:
        """All derived facts with their proofs (symmetric counterparts left out)."""
        return {fact: proof for fact, proof in self._knowledge.proofs.items() if proof.rule != "symmetry"}

    @functools.cached_property
    def _out(self) -> dict[str, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.subject)

    @functools.cached_property
    def _in(self) -> dict[str, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.object)

    def __contains__(self, fact: object) -> bool:
        """Whether a fact is asserted or follows."""
        return fact in self._knowledge

    def assertions(self, fact: Fact) -> list[Edge]:
        """Everyone who asserts a fact; empty if it only follows, or is not known at all.

        Raises
        ------
        KeyError
            If a record or the relation is unknown.
        """
        self.relation(fact.relation), self.record(fact.subject), self.record(fact.object)
        return list(self._knowledge.edges.get(fact, ()))

    def edges_from(self, id_: str) -> list[Edge]:
        """Asserted relations that start at a record; raises KeyError if there is no such record."""
        return list(self._out.get(self.record(id_).id, []))

    def edges_to(self, id_: str) -> list[Edge]:
        """Asserted relations that point to a record; raises KeyError if there is no such record."""
        return list(self._in.get(self.record(id_).id, []))

    def facts_about(self, id_: str) -> list[tuple[Fact, Proof]]:
        """Derived facts in which a record is subject or object, in order."""
        self.record(id_)
        return sorted((fact, proof) for fact, proof in self.derived.items() if id_ in (fact.subject, fact.object))

    def neighbors(self, name: str, relation: str | None = None, direction: Direction = "out") -> list[Neighbor]:
        """Records one relation away, asserted or derived.

        `relation` may be a relation (`reformulates-as`) or an inverse name (`unifies`), which turns the direction round.

        Raises
        ------
        KeyError
            If the record, the relation or the direction is unknown.
        """
        id_ = self.find(name).id
        if direction not in get_args(Direction):
            raise KeyError(f"no direction `{direction}`; one of: {', '.join(get_args(Direction))}")
        if relation is not None and relation not in RELATIONS:
            relation, turned = self.relation(relation).name, True
            direction = {"out": "in", "in": "out", "both": "both"}[direction] if turned else direction  # type: ignore[assignment]
        found: list[Neighbor] = []
        for fact in self._facts_of.get(id_, ()):
            if relation is not None and fact.relation != relation:
                continue
            derived = fact not in self._knowledge.edges
            if fact.subject == id_ and direction in ("out", "both"):
                found.append(Neighbor(fact.relation, "out", fact.object, derived))
            if fact.object == id_ and direction in ("in", "both"):
                found.append(Neighbor(fact.relation, "in", fact.subject, derived))
        return sorted(found, key=lambda n: (_RANKS[n.relation], n.direction, n.id))

    @functools.cached_property
    def _facts_of(self) -> dict[str, list[Fact]]:
        """The facts in which each record is subject or object, what is asserted first."""
        found: dict[str, list[Fact]] = {}
        for fact in [*self._knowledge.edges, *self._knowledge.proofs]:
            for id_ in {fact.subject, fact.object}:
                found.setdefault(id_, []).append(fact)
        return found

    @functools.cached_property
    def _edges_at(self) -> dict[tuple[str, str], list[tuple[Edge, Source]]]:
        """Asserted relations by relation and place of the survey that they cite, each with the source that cites it."""
        found: dict[tuple[str, str], dict[int, tuple[Edge, Source]]] = {}
        for number, edge in enumerate(self.edges):
            for source in edge.sources:
                if source.work == tables.SURVEY:
                    found.setdefault((edge.relation, source.at), {}).setdefault(number, (edge, source))
        return {place: list(cited.values()) for place, cited in found.items()}

    @staticmethod
    def relation(name: str) -> Relation:
        """The relation of that name or inverse name; raises KeyError with close matches."""
        found = RELATIONS.get(name) or INVERSES.get(name)
        if found is None:
            known = [*RELATIONS, *INVERSES]
            raise KeyError(f"no relation `{name}`; {did_you_mean(name, known) or 'relations: ' + ', '.join(RELATIONS)}")
        return found

    def parts_of(self, principle: str) -> list[str]:
        """The principles that a composite comprises, in order; empty for a simple one. Raises KeyError if there is no such record."""
        record = self.record(principle)
        return [claim.to for claim in record.comprises] if isinstance(record, record_types.Principle) else []

    # Questions

    def why(self, subject: str, relation: str, object_: str) -> Explanation:
        """Why a relation holds: sources, evidence and the chain of deduction.

        Raises
        ------
        KeyError
            If a name is unknown, or if the fact is neither asserted, derived nor measured (the message says whether its opposite is).
        """
        name = self.relation(relation).name
        fact = Fact(self.find(subject).id, name, self._object(name, object_).id)
        if fact not in self._knowledge:
            from taxonomy import audit  # late: only a question that no source answers needs it

            if (measured := audit.explanation(self, fact)) is not None:
                return measured
            opposite = Fact(fact.subject, deduction.OPPOSITES.get(name, name), fact.object)
            hint = f"; but `{opposite}` is" if opposite != fact and opposite in self._knowledge else ""
            blocked = "".join(f"\n{chain}" for chain in self.why_not(*fact))
            raise KeyError(f"`{fact}` is neither asserted nor derived{hint}{audit.contrary(self, fact)}{blocked}")
        return explaining.explain(self, self._knowledge, fact)

    def why_not(self, subject: str, relation: str, object_: str) -> list[BlockedChain]:
        """Why a relation that might be expected does not follow: the chains that would prove it, each with what blocks it.

        A chain is blocked by a premise that a run refuted, that the sources state only on a condition, or that they dispute. Empty if nothing would
        prove the relation, and if it is asserted or derived.

        Raises
        ------
        KeyError
            If a name is unknown.
        """
        name = self.relation(relation).name
        fact = Fact(self.find(subject).id, name, self._object(name, object_).id)
        return explaining.why_not(self, self._knowledge, fact)

    def _object(self, relation: str, name: str) -> Record:
        kinds = RELATIONS[relation].to_kinds
        return self.find(name) if "*" in kinds else self._find_among(name, tuple(kind for kind in record_types.KINDS if kind in kinds))

    def choose(self, **answers: str | Iterable[str]) -> Choice:
        """Rank the methods for a situation; each keyword answers a question of the guide (`taxonomy.guide.questions`).

        Raises
        ------
        KeyError
            If a question or an answer is unknown; the message names close matches.

        Examples
        --------
        >>> import taxonomy
        >>> choice = taxonomy.load().choose(access="gradients", model="cnn", requires=["completeness"])
        >>> [reason.text for item in choice.ruled_out if item.method == "lrp-0" for reason in item.reasons][:1]
        ['needs its layers']
        """
        from taxonomy.guide import choose

        return choose(self, {name: given if isinstance(given, str) else tuple(given) for name, given in answers.items()})

    def compare(self, *names: str) -> Comparison:
        """Two or more methods side by side.

        Raises
        ------
        KeyError
            If a name is not known.
        ValueError
            If fewer than two different methods are named.
        """
        from taxonomy.comparison import compare

        return compare(self, *names)

    def cite(self, source: Source) -> str:
        """A source as a reader would write it: `the survey, Table III, row Path Integral`."""
        work = self.records.get(source.work)
        return f"{work.short if isinstance(work, record_types.Document) else source.work}, {source.at}"

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows of the survey's Table `I` to `VII` or `figure-4`, generated from the records; raises KeyError on another name."""
        return tables.table(self, name)

    @functools.cached_property
    def contradictions(self) -> list[Contradiction]:
        """Methods said to satisfy and to violate one requirement."""
        return deduction.contradictions(self._knowledge)

    @functools.cached_property
    def refuted(self) -> dict[Fact, Evidence]:
        """Facts that sources assert, or that follow from what they assert, and that a run refuted; `why` prints both sides."""
        return {fact: self.evidence["/".join(fact)] for fact in sorted(self._knowledge.refuted) if fact in self._knowledge}

    @functools.cached_property
    def open_questions(self) -> list[tuple[str, str]]:
        """Pairs (method, principle) about which nothing is asserted or derived."""
        principles = [record.id for record in self.of_kind("principle") if not self.parts_of(record.id)]
        return deduction.open_questions(self._knowledge, principles)

    def measured(self, method: str, principle: str) -> tuple[AuditVerdict, ...]:
        """What our own audit found on a method and a principle or axiom, reading by reading: no source's word. Empty if it was not tested.

        Raises
        ------
        KeyError
            If a name is unknown.
        """
        requirement = self._find_among(principle, ("principle", "axiom")).id
        found = self.audits.get(self.method(method).id)
        return found.readings(requirement) if found is not None else ()

    @functools.cached_property
    def bibliography(self) -> dict[str, Entry]:
        """The works of `references.bib` by key."""
        from taxonomy import bibliography

        return bibliography.parse(self._bibtex)

    @functools.cached_property
    def graph(self) -> nx.MultiDiGraph[str]:
        """The typed graph: nodes hold `record`; edges hold `relation`, `sources`, `condition`, `evidence`, `derived` and, if derived, `proof`."""
        from taxonomy.graph import build

        return build(self)

    def facts(self) -> Iterator[tuple[Fact, list[Edge], Proof | None]]:
        """Every fact with its assertions and, if derived, its proof."""
        for fact, edges in self._knowledge.edges.items():
            yield fact, edges, None
        for fact, proof in self._knowledge.proofs.items():
            if fact not in self._knowledge.edges:
                yield fact, [], proof


def _grouped(edges: Iterable[Edge], key: Any) -> dict[str, list[Edge]]:
    grouped: dict[str, list[Edge]] = {}
    for edge in edges:
        grouped.setdefault(key(edge), []).append(edge)
    return grouped
