"""A new claim, written into the record that holds it: one entry more in a list, all other lines as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, Node

from taxonomy.authoring.order import field_order
from taxonomy.authoring.plan import AuthoringError, Plan, held_against, plain_file, sound_folder, source_of
from taxonomy.authoring.writing import Change
from taxonomy.authoring.yaml_text import alike, item
from taxonomy.loading import Folder
from taxonomy.problems import did_you_mean
from taxonomy.reading import parse
from taxonomy.records import KINDS, Claim, Record
from taxonomy.relations import relations_from

OPTIONS = ("as", "status", "condition", "note", "check", "definitional", "unchecked")
"""Fields of a claim that are one text each."""


def new_claim(
    kb: Path, subject: str, relation: str, object_: str, sources: Sequence[str], options: Mapping[str, Any], proof: Sequence[str] = ()
) -> Plan:
    """The plan for a claim `subject relation object`.

    Raises
    ------
    AuthoringError
        If a name is unknown, the claim is there already, no source is given, or the claim would not pass the checks.
    """
    if not sources:
        raise AuthoringError("a claim has at least one source: --source 'work | place'")
    folder = sound_folder(kb)
    holder, target = _record(folder, subject), _record(folder, object_)
    field = _field(holder, relation)
    number = next((n for n, claim in enumerate(getattr(holder, field.replace("-", "_"))) if claim.to == target.id), None)
    if number is not None:
        document = folder.documents[holder.id]
        raise AuthoringError(f"that claim stands at {document.file}:{document.position((field, number))[0]}; add your source there")
    values: dict[str, Any] = {"to": target.id}
    values |= {"as": options["as"]} if options.get("as") else {}
    values["sources"] = [source_of(text) for text in sources]
    values |= {name: options[name] for name in OPTIONS[1:2] if options.get(name)}
    values |= {"proof": list(proof)} if proof else {}
    values |= {name: options[name] for name in OPTIONS[2:] if options.get(name)}
    path = f"{KINDS[holder.kind].folder}/{holder.id}.yaml"
    before = plain_file(kb, path)
    after = with_claim(before, holder.kind, field, values)
    plan = Plan(f"{holder.id}/{field}/{target.id}")
    for problem in held_against(folder, holder.kind, holder.id, after):
        plan.notes.append(problem.message)
    plan.notes += _derivable(kb, holder.id, field, target.id)
    plan.changes.append(Change(f"{kb.resolve().name}/{path}", after, before))
    if not any(options.get(name) for name in ("check", "definitional", "unchecked")):
        plan.steps.append("executable/checks: a check of the claim, named in `check:`; or say in `unchecked:` why none can decide it")
    if field in {"satisfies", "violates"}:
        plan.steps.append("if a source says the opposite, keep both claims and write a discrepancy: atlas new discrepancy")
    plan.steps.append(f"atlas check, then atlas verify {plan.id}")
    return plan


def with_claim(text: str, kind: str, field: str, values: Mapping[str, Any]) -> str:
    """The text of a record with one claim more in the list `field`.

    Raises
    ------
    AuthoringError
        If the list is written on one line, which would have to be broken up first.
    """
    document, _ = parse(text, field)
    root = document.root
    assert isinstance(root, MappingNode)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    new = item(values, "  ").splitlines(keepends=True)
    if field in document.values:
        node = next(value for key, value in root.value if key.value == field)
        if node.flow_style:
            raise AuthoringError(f"`{field}` is written on one line; write its entries below one another first")
        lines[_end_of(root, node, lines) : _end_of(root, node, lines)] = new
    else:
        place = _place_of(root, kind, field, lines)
        commented = next((n for n, line in enumerate(lines) if line.startswith(f"# {field}: [{{to: id")), None)
        if commented is not None:
            lines[commented : commented + 1] = [f"{field}:\n", *new]
        else:
            lines[place:place] = [f"{field}:\n", *new]
    after = "".join(lines)
    expected = dict(document.values)
    expected[field] = [*expected.get(field, []), dict(values)]
    found, problems = parse(after, field)
    if problems or not alike(dict(sorted(found.values.items())), dict(sorted(expected.items()))):
        raise AuthoringError(f"the claim cannot be put into `{field}` without changing something else; write it by hand")
    return after


def _end_of(root: MappingNode, node: Node, lines: Sequence[str]) -> int:
    """The line after the last one of a top-level value, before comments and empty lines that lead to the next key."""
    later = [key.start_mark.line for key, _ in root.value if key.start_mark.line > node.start_mark.line]
    return _before_comments(min(later, default=len(lines)), lines)


def _before_comments(line: int, lines: Sequence[str]) -> int:
    while line > 0 and (not lines[line - 1].strip() or lines[line - 1].startswith("#")):
        line -= 1
    return line


def _place_of(root: MappingNode, kind: str, field: str, lines: Sequence[str]) -> int:
    order = field_order(kind)
    earlier = [
        (key, value) for key, value in root.value if key.value in order and order.index(key.value) < order.index(field)
    ]  # fmt: skip
    return _end_of(root, earlier[-1][0], lines) if earlier else len(lines)


def _record(folder: Folder, name: str) -> Record:
    from taxonomy.authoring.duplicates import names_of

    if name in folder.records:
        return folder.records[name]
    found = [record for record in folder.records.values() if name.casefold() in (other.casefold() for other in names_of(record))]
    if len(found) == 1:
        return found[0]
    hint = did_you_mean(name, folder.records)
    several = f" is the name of {' and '.join(f'`{record.id}`' for record in found)}; give its id" if found else " is unknown"
    raise AuthoringError(f"record `{name}`{several}{'; ' if hint else ''}{hint}")


def _field(holder: Record, relation: str) -> str:
    fields = {name for name, info in type(holder).model_fields.items() if info.annotation == tuple[Claim, ...]}
    claimable = [one.name for one in relations_from(holder.kind) if one.field and one.name.replace("-", "_") in fields]
    if relation not in claimable:
        hint = did_you_mean(relation, claimable) or (f"relations: {', '.join(claimable)}" if claimable else "")
        raise AuthoringError(f"a {holder.kind} makes no claim `{relation}`{'; ' if hint else ''}{hint}")
    return relation


def _derivable(kb: Path, subject: str, relation: str, object_: str) -> list[str]:
    from taxonomy.deduction import Fact
    from taxonomy.store import load

    proof = load(kb).derived.get(Fact(subject, relation, object_))
    if proof is None:
        return []
    premises = " and ".join(f"`{premise}`" for premise in proof.premises)
    return [f"it follows already, by {proof.rule} from {premises}; a claim of its own is worth having if a source states it"]
