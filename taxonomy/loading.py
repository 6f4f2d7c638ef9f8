"""Reading a record folder: every file is parsed and typed, and every problem of every file is collected before anyone is told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxonomy import bibliography
from taxonomy.characters import described, shown
from taxonomy.guarded import links_below
from taxonomy.problems import Problem, did_you_mean
from taxonomy.reading import MOST_PROBLEMS, Document, read
from taxonomy.records import KINDS, Record

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

FOLDERS: dict[str, type[Record]] = {record_type.folder: record_type for record_type in KINDS.values()}
_NOT_RECORDS = frozenset({"schema", "evidence", "conformance"})
RESERVED = frozenset({"index", "con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))})
"""Ids whose page would stand in the place of another, or whose file some systems cannot have."""
_PLAIN_NAME = re.compile(r"[\w./ +,@=-]+", re.ASCII)


@dataclass(slots=True)
class Folder:
    """What was read from a record folder: typed records, where they stand, and what was wrong."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)  # ids whose files have faults of their own: a reference to one of them is none


def record_files(kb: Path) -> list[tuple[str, Path]]:
    """The YAML files of a record folder as (name within the folder, path), sorted by name."""
    files: list[tuple[str, Path]] = []
    for root, folders, names in os.walk(kb):
        inner = os.path.relpath(root, kb)
        folders[:] = [name for name in folders if not name.startswith(".") and (inner != "." or name not in _NOT_RECORDS)]
        for name in names:
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                files.append((name if inner == "." else f"{inner.replace(os.sep, '/')}/{name}", Path(root, name)))
    return sorted(files)


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
    for link in links_below(kb):
        folder.problems.append(
            Problem("link", "a record folder holds no symbolic links", file_shown(f"{kb.name}/{link}"), suggestion="put the file itself there")
        )
    for name, path in record_files(kb):
        if path.is_symlink():
            folder.unread.add(path.stem)
            continue
        _read_record(folder, name, path, file_shown(f"{kb.name}/{name}"))
    return folder


def file_shown(name: str) -> str:
    """The name of a file as messages show it: what cannot be printed, or would be taken for something else, is written as an escape."""
    return name if _PLAIN_NAME.fullmatch(name) else ascii(name)[1:-1]


def _read_record(folder: Folder, name: str, path: Path, file: str) -> None:
    record_type = FOLDERS.get(name.rpartition("/")[0])
    if record_type is None:
        hint = did_you_mean(name.partition("/")[0], FOLDERS) or f"kinds: {', '.join(FOLDERS)}"
        folder.problems.append(Problem("folder", f"`{file_shown(name)}` lies in no folder of a record kind", file, suggestion=hint))
        return
    shown_name = file_shown(path.name)
    if path.suffix != ".yaml":
        folder.problems.append(
            Problem("file-name", f"`{shown_name}` is not read: records end in `.yaml`", file, suggestion=f"rename it to {file_shown(path.stem)}.yaml")
        )
        return
    document, problems = read(path, file)
    folder.problems += problems
    faulty = document.values is None or any(problem.rule == "yaml" for problem in problems)
    record = None if faulty else typed(record_type, document, folder.problems)
    if record is None:
        folder.unread.add(path.stem)
        return
    if record.id != path.stem:
        line, column = document.position(("id",))
        message = f"id `{record.id}` differs from the file name `{shown_name}`"
        advice = f"rename the file to {record.id}.yaml or the record to {file_shown(path.stem)}"
        folder.problems.append(Problem("id", message, file, line, column, "id", advice))
        folder.unread.add(path.stem)
    if record.id in RESERVED:
        line, column = document.position(("id",))
        folder.problems.append(Problem("id", f"id `{record.id}` is reserved for another file or page", file, line, column, "id", "choose another id"))
        folder.unread.add(path.stem)
        return
    if record.id in folder.records:
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
    for detail in error.errors(include_url=False)[:MOST_PROBLEMS]:
        path = tuple(detail["loc"])
        unknown = detail["type"] == "extra_forbidden"
        line, column = document.position(path, of_key=unknown)
        message, suggestion = _explain(detail, record_type, document.values)
        problems.append(Problem(_RULES.get(detail["type"], "value"), message, document.file, line, column, shown(dotted(path)), suggestion))
    return problems


_RULES = {"extra_forbidden": "unknown-field", "missing": "missing-field"}


def _explain(detail: ErrorDetails, record_type: type[Record], values: Mapping[str, Any]) -> tuple[str, str]:
    kind, loc = detail["type"], detail["loc"]
    name = shown(dotted(loc[-2:] if loc and isinstance(loc[-1], int) else loc[-1:])) or record_type.kind
    given = shown(str(detail["input"]))
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(record_type, loc[:-1])
        return f"unknown field `{name}`", did_you_mean(name, known) or f"fields here: {', '.join(known)}"
    if kind == "missing":
        return f"field `{name}` is missing", ""
    if kind == "literal_error":
        allowed = [word.strip().strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        return f"`{given}` is not allowed for `{name}`", did_you_mean(given, allowed) or f"one of {', '.join(allowed)}"
    if kind == "value_error":
        return str(context["error"]), ""
    if kind == "string_pattern_mismatch":
        strange = next((f"; it holds {described(sign)}" for sign in str(detail["input"]) if ord(sign) > 126), "")
        return f"`{given}` does not fit the form of `{name}`: {context['pattern']}{strange}", ""
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"`{name}` must be a mapping of fields", ""
    if kind == "tuple_type":
        return f"`{name}` must be a list", ""
    if kind == "too_short":
        return f"`{name}` needs at least {context['min_length']} {'entry' if context['min_length'] == 1 else 'entries'}", ""
    return f"`{name}`: {detail['msg'][0].lower()}{detail['msg'][1:]}", ""


def _fields_at(record_type: type[Record], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields allowed where `path` leads, as written in YAML."""
    from taxonomy.schema import model_at

    model = model_at(record_type, path)
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def dotted(path: tuple[str | int, ...]) -> str:
    """A path inside a record as text: `sources[0].at`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
