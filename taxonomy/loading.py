"""Reading a record folder: every file is parsed and typed, and every problem of every file is collected before anyone is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxonomy import bibliography
from taxonomy.problems import Problem, did_you_mean
from taxonomy.reading import Document, read
from taxonomy.records import KINDS, Record

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

FOLDERS: dict[str, type[Record]] = {record_type.folder: record_type for record_type in KINDS.values()}
_NOT_RECORDS = frozenset({"schema", "evidence"})


@dataclass(slots=True)
class Folder:
    """What was read from a record folder: typed records, where they stand, and what was wrong."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def record_files(kb: Path) -> list[tuple[str, Path]]:
    """The YAML files of a record folder as (name within the folder, path), sorted by name."""
    files: list[tuple[str, Path]] = []
    for entry in sorted(os.scandir(kb), key=lambda e: e.name):
        if entry.is_dir() and entry.name not in _NOT_RECORDS:
            files += [(f"{entry.name}/{name}", Path(entry.path, name)) for name in sorted(os.listdir(entry.path)) if name.endswith(".yaml")]
        elif entry.name.endswith(".yaml"):
            files.append((entry.name, Path(entry.path)))
    return files


def read_folder(kb: Path) -> Folder:
    """Read every record of `kb`.

    Raises
    ------
    FileNotFoundError
        If `kb` is not a folder.
    """
    if not kb.is_dir():
        raise FileNotFoundError(f"no record folder at {kb}")
    folder = Folder(kb)
    folder.keys, problems = bibliography.check(kb / "references.bib", f"{kb.name}/references.bib")
    folder.problems += problems
    for name, path in record_files(kb):
        _read_record(folder, name, path, f"{kb.name}/{name}")
    return folder


def _read_record(folder: Folder, name: str, path: Path, file: str) -> None:
    record_type = FOLDERS.get(name.rpartition("/")[0])
    if record_type is None:
        hint = did_you_mean(name.partition("/")[0], FOLDERS)
        folder.problems.append(
            Problem("folder", f"`{name}` lies in no folder of a record kind", file, suggestion=hint or f"kinds: {', '.join(FOLDERS)}")
        )
        return
    document, problems = read(path, file)
    folder.problems += problems
    if document.values is None or any(problem.rule == "yaml" for problem in problems):
        return
    record = typed(record_type, document, folder.problems)
    if record is None:
        return
    if record.id != path.stem:
        line, column = document.position(("id",))
        message = f"id `{record.id}` differs from the file name `{path.name}`"
        folder.problems.append(Problem("id", message, file, line, column, "id", f"rename the file to {record.id}.yaml or the record to {path.stem}"))
    elif record.id in folder.records:
        line, column = document.position(("id",))
        other = folder.documents[record.id].file
        folder.problems.append(Problem("id", f"id `{record.id}` is taken by {other}", file, line, column, "id", "ids are unique over all kinds"))
        return
    folder.records[record.id] = record
    folder.documents[record.id] = document


def typed(record_type: type[Record], document: Document, problems: list[Problem]) -> Record | None:
    """The record in `document`, or None after its problems were appended."""
    from pydantic import ValidationError

    if not isinstance(document.values, dict):
        problems.append(Problem("type", "a record is a mapping of fields", document.file))
        return None
    try:
        return record_type.model_validate(document.values)
    except ValidationError as error:
        problems += located(error, record_type, document)
        return None


def located(error: ValidationError, record_type: type[Record], document: Document) -> list[Problem]:
    """Each fault that pydantic found, at its place in the file."""
    problems = []
    for detail in error.errors(include_url=False):
        path = tuple(detail["loc"])
        unknown = detail["type"] == "extra_forbidden"
        line, column = document.position(path, of_key=unknown)
        message, suggestion = _explain(detail, record_type, document.values)
        problems.append(Problem(_RULES.get(detail["type"], "value"), message, document.file, line, column, _dotted(path), suggestion))
    return problems


_RULES = {"extra_forbidden": "unknown-field", "missing": "missing-field"}


def _explain(detail: ErrorDetails, record_type: type[Record], values: Mapping[str, Any]) -> tuple[str, str]:
    kind, name = detail["type"], str(detail["loc"][-1]) if detail["loc"] else record_type.kind
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(record_type, detail["loc"][:-1])
        return f"unknown field `{name}`", did_you_mean(name, known) or f"fields here: {', '.join(known)}"
    if kind == "missing":
        return f"field `{name}` is missing", ""
    if kind == "literal_error":
        allowed = [word.strip().strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        return f"`{detail['input']}` is not allowed for `{name}`", did_you_mean(str(detail["input"]), allowed) or f"one of {', '.join(allowed)}"
    if kind == "value_error":
        return str(context["error"]), ""
    if kind == "string_pattern_mismatch":
        return f"`{detail['input']}` does not fit the form of `{name}`: {context['pattern']}", ""
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"`{name}` must be a mapping of fields", ""
    if kind == "tuple_type":
        return f"`{name}` must be a list", ""
    return f"`{name}`: {detail['msg'][0].lower()}{detail['msg'][1:]}", ""


def _fields_at(record_type: type[Record], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields allowed where `path` leads, as written in YAML."""
    from taxonomy.schema import model_at

    model = model_at(record_type, path)
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
