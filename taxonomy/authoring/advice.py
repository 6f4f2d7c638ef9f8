"""Remarks on records that are right and could be better: facts that follow anyway, claims with one source, methods without function or picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from taxonomy import evidence as evidence_module
from taxonomy.asserting import knowledge_of
from taxonomy.deduction import RULES, Fact, Knowledge, Proof, deduce
from taxonomy.links import links_of
from taxonomy.loading import Folder, dotted
from taxonomy.problems import Problem, Severity
from taxonomy.records import Method
from taxonomy.relations import RELATIONS


def advice(folder: Folder) -> list[Problem]:
    """All remarks on the records of a folder that has no errors; each is a note, none blocks anything."""
    found = [*_redundant(folder), *_said_twice(folder), *_one_source(folder), *_without_code(folder)]
    return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column, problem.message))


def _note(folder: Folder, id_: str, rule: str, message: str, path: tuple[str | int, ...], suggestion: str = "") -> Problem:
    document = folder.documents[id_]
    line, column = document.position(path)
    return Problem(rule, message, document.file, line, column, dotted(path), suggestion, Severity.NOTE)


def _redundant(folder: Folder) -> Iterator[Problem]:
    """Claims that would follow from others, with the derivation."""
    knowledge = knowledge_of(folder.records, evidence_module.load_evidence(folder.path / "evidence"))
    places = {
        Fact(record.id, relation.name, target): (record.id, path)
        for record in folder.records.values() for relation, path, target, claim in links_of(record) if claim is not None
    }  # fmt: skip
    for fact, proof in derivable(knowledge).items():
        if fact in places:
            premises = " and ".join(f"`{premise}`" for premise in proof.premises)
            needed = f", under the condition: {proof.condition}" if proof.condition else ""
            message = f"`{fact}` also follows, by {proof.rule} from {premises}{needed}"
            id_, path = places[fact]
            yield _note(folder, id_, "redundant", message, path, "keep it if a source states it for itself")


def derivable(knowledge: Knowledge) -> dict[Fact, Proof]:
    """The asserted facts that follow from other facts, each with a proof in which it is not itself a premise, however far back."""
    deduce(knowledge)
    found: dict[Fact, Proof] = {}
    for rule in RULES:
        for fact, proof in rule(knowledge):
            if fact not in knowledge.edges or fact.subject == fact.object:
                continue
            settled = knowledge.settled(fact, proof)
            if settled is None or _rests_on(knowledge, settled, fact):
                continue
            if fact not in found or (found[fact].conditions and not settled.conditions):
                found[fact] = settled
    return found


def _rests_on(knowledge: Knowledge, proof: Proof, fact: Fact) -> bool:
    ways = {fact} | ({Fact(fact.object, fact.relation, fact.subject)} if RELATIONS[fact.relation].symmetric else set())
    seen: set[Fact] = set()
    left = list(proof.premises)
    while left:
        premise = left.pop()
        if premise in ways:
            return True
        if premise in seen or premise in knowledge.edges:
            continue
        seen.add(premise)
        if premise in knowledge.proofs:
            left += knowledge.proofs[premise].premises
    return False


def _said_twice(folder: Folder) -> Iterator[Problem]:
    """Symmetric relations that both records declare."""
    declared = {
        (record.id, relation.name, target): path
        for record in folder.records.values() for relation, path, target, _ in links_of(record) if relation.symmetric
    }  # fmt: skip
    for (subject, relation, target), path in declared.items():
        if (target, relation, subject) in declared and subject > target:
            message = f"`{relation}` is symmetric, and `{target}` declares it too"
            yield _note(folder, subject, "said-twice", message, path, "declare it on one side, with all its sources")


def _one_source(folder: Folder) -> Iterator[Problem]:
    """Claims that one work alone makes."""
    for record in folder.records.values():
        for relation, path, target, claim in links_of(record):
            if claim is None or relation.sorts or claim.proof:
                continue
            works = sorted({source.work for source in claim.sources})
            if len(works) == 1:
                yield _note(folder, record.id, "one-source", f"`{relation.name}` `{target}` rests on {works[0]} alone, and no proof is named", path)


def _without_code(folder: Folder) -> Iterator[Problem]:
    pictured = _pictured(folder)
    for record in folder.records.values():
        if not isinstance(record, Method) or record.status == "stub":
            continue
        if not record.implementation and not record.unchecked:
            yield _note(
                folder, record.id, "no-function", f"method `{record.id}` has no function", ("id",), "write one, or say why not in `unchecked:`"
            )
        elif record.implementation and pictured is not None and record.id not in pictured:
            yield _note(folder, record.id, "no-picture", f"method `{record.id}` has no picture in the gallery", ("implementation",))


def _pictured(folder: Folder) -> set[str] | None:
    """Methods of the recorded gallery; None if none is recorded."""
    try:
        gallery: Any = json.loads((folder.path / "evidence" / evidence_module.GALLERY).read_text(encoding="utf-8"))
        return set(gallery["attributions"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
