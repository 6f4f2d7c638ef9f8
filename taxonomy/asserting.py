"""What is asserted: every relation that a record states, with what runs found of it, as the premises of deduction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from taxonomy import records as record_types
from taxonomy.deduction import Edge, Fact, Knowledge
from taxonomy.links import links_of
from taxonomy.relations import THEOREMS_OWN

if TYPE_CHECKING:
    from taxonomy.evidence import Evidence
    from taxonomy.records import Evaluation, Record


def knowledge_of(records: dict[str, Record], evidence: Mapping[str, Evidence]) -> Knowledge:
    """What records assert and runs found; the rules are still to be applied."""
    runs = {Fact(*claim.split("/")): found for claim, found in evidence.items() if claim.count("/") == 2}
    refuted = frozenset(fact for fact, found in runs.items() if found.status == "fails")
    knowledge = Knowledge(records, refuted, {fact: text for fact, found in runs.items() if (text := _found(found))}, frozenset(runs))
    for edge in _edges(records.values()):
        theorem = evidence.get(f"{edge.holder}/statement") if edge.relation in THEOREMS_OWN else None
        knowledge.assert_edge(dataclasses.replace(edge, refuted=theorem.status == "fails", found=_found(theorem)) if theorem else edge)
    return knowledge


def _found(evidence: Evidence) -> str | None:
    return evidence.condition if evidence.status == "holds under condition" else None


def _edges(records: Iterable[Record]) -> Iterator[Edge]:
    """Every assertion in the records."""
    for record in records:
        for relation, _, target, claim in links_of(record):
            fact = Fact(record.id, relation.name, target)
            if claim is not None:
                yield Edge(fact, record.id, claim, claim.sources, claim.condition)
            else:
                theorem = record if isinstance(record, record_types.Theorem) and relation.name != "concerns" else None
                open_ = theorem is not None and theorem.standing in {"conditional", "disputed"}
                yield Edge(fact, record.id, None, theorem.sources if theorem else (), "see the theorem" if open_ else None)
        if isinstance(record, record_types.Evaluation):
            yield from _verdict_edges(record)
        elif isinstance(record, record_types.Theorem) and record.type == "equivalence":
            condition = None if record.unconditional else " ".join(record.conditions) or "see the theorem"
            for number, first in enumerate(record.between):
                for second in record.between[number + 1 :]:
                    yield Edge(Fact(first, "equivalent-to", second), record.id, record, record.sources, condition)
        elif isinstance(record, record_types.Library):
            for item in record.provides:
                yield Edge(Fact(record.id, "provides", item.method), record.id, None, item.sources)


def _verdict_edges(record: Evaluation) -> Iterator[Edge]:
    for verdict in record.verdicts:
        for method in verdict.methods:
            for test in record.tests:
                yield Edge(Fact(method, verdict.verdict, test.to), record.id, verdict, verdict.sources, verdict.condition)
