"""What is about to be written, held against the records that are there before anything is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taxonomy.authoring import names
from taxonomy.authoring.duplicates import bare, likely
from taxonomy.authoring.files import UnreadableError, text_of
from taxonomy.authoring.writing import Change
from taxonomy.characters import shown, unseen
from taxonomy.loading import Folder, read_folder, typed
from taxonomy.problems import Problem, Severity, did_you_mean
from taxonomy.reading import parse
from taxonomy.records import KINDS
from taxonomy.text import check_name
from taxonomy.validation import validate


class AuthoringError(Exception):
    """What was asked for cannot be written; the message says what to change, and nothing was written."""


@dataclass(slots=True)
class Plan:
    """Files to write, what the author should know, and what is left to do by hand."""

    id: str
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def sound_folder(kb: Path) -> Folder:
    """The records, if they have no errors.

    Raises
    ------
    AuthoringError
        If they have: what is new could not be told from what was wrong before.
    """
    folder = read_folder(kb)
    errors = [problem for problem in (*folder.problems, *validate(folder)) if problem.severity is Severity.ERROR]
    if errors:
        raise AuthoringError(f"the records have {len(errors)} error{'s' * (len(errors) > 1)}; `atlas check` lists them. First: {errors[0]}")
    return folder


def plain_file(kb: Path, path: str) -> str:
    """The text of a file of the records.

    Raises
    ------
    AuthoringError
        If it cannot be read.
    """
    try:
        return text_of(kb / path)
    except UnreadableError as error:
        raise AuthoringError(f"{kb.name}/{path}: {error}") from error


def free_id(folder: Folder, id_: str) -> str:
    """The id, if it may be used.

    Raises
    ------
    AuthoringError
        If it is no id, is taken by a record of any kind, or differs from one by hyphens only.
    """
    if fault := names.faulty_id(id_):
        raise AuthoringError(fault)
    if id_ in folder.records:
        raise AuthoringError(f"id `{id_}` is taken by {folder.documents[id_].file}; nothing is overwritten, choose another with --id")
    for other in folder.records:
        if bare(other) == bare(id_):
            raise AuthoringError(f"id `{id_}` differs from `{other}` by its hyphens only; choose another with --id")
    return id_


def plain_text(what: str, text: str) -> str:
    """A name as records may have it: one line of visible Latin and Greek letters, without markup.

    Raises
    ------
    AuthoringError
        If it is empty, has invisible characters or markup, or mixes scripts so that it may look like another name.
    """
    text = text.strip()
    if found := unseen(text):
        raise AuthoringError(f"{what}: `{shown(text)}` holds {found[1]}, which nobody would see; remove it")
    if any(sign in text for sign in "$`<>\\"):
        raise AuthoringError(f"{what}: `{text}` has markup; names are plain text")
    try:
        return check_name(text)
    except ValueError as error:
        raise AuthoringError(f"{what}: {error}") from error


def refuse_duplicates(folder: Folder, kind: str, wanted: Iterable[str], reference: str | None, *, distinct: bool) -> list[str]:
    """Notes on records that may be the same; those whose name is taken, or all unless `distinct`, are an error.

    Raises
    ------
    AuthoringError
        As said.
    """
    found = likely(kind, wanted, reference, folder.records)
    lines = [f"`{one.id}`: {one.reason}" for one in found]
    if any(one.certain for one in found):
        raise AuthoringError(f"a {kind} of that name is there:\n  " + "\n  ".join(lines))
    if found and not distinct:
        raise AuthoringError(f"perhaps that {kind} is there:\n  " + "\n  ".join(lines) + "\nif it is another one, say so with --distinct")
    return [f"looked alike and said to be distinct: {line}" for line in lines]


def record_at(folder: Folder, id_: str, kinds: Sequence[str]) -> str:
    """The id, if it is one of a record of the kinds.

    Raises
    ------
    AuthoringError
        If not; with what was probably meant.
    """
    record = folder.records.get(id_)
    if record is not None and record.kind in kinds:
        return id_
    wanted = " or ".join(kinds)
    hint = did_you_mean(id_, [other.id for other in folder.records.values() if other.kind in kinds])
    raise AuthoringError(f"there is no {wanted} `{shown(id_)}`{'; ' if hint else ''}{hint}")


def held_against(folder: Folder, kind: str, id_: str, text: str, key: str | None = None) -> list[Problem]:
    """Warnings about the record that `text` would be among the others. Replaces an older record of that id.

    Raises
    ------
    AuthoringError
        If it would have errors.
    """
    record_type = KINDS[kind]
    document, problems = parse(text, f"{folder.path.name}/{record_type.folder}/{id_}.yaml")
    record = None if problems else typed(record_type, document, problems)
    if record is None:
        raise AuthoringError(_listed(problems))
    after = Folder(folder.path, folder.records | {id_: record}, folder.documents | {id_: document}, dict(folder.keys))
    if key is not None:
        after.keys.setdefault(key, 1)
    before = {(problem.rule, problem.message) for problem in validate(folder)}
    new = [problem for problem in validate(after) if (problem.rule, problem.message) not in before]
    errors = [problem for problem in new if problem.severity is Severity.ERROR]
    if errors:
        raise AuthoringError(_listed(errors))
    return new


def _listed(problems: Sequence[Problem]) -> str:
    lines = [f"{problem.message}{'; ' if problem.suggestion else ''}{problem.suggestion} [{problem.field}]" for problem in problems]
    return "the record would not pass the checks:\n  " + "\n  ".join(lines)


def source_of(text: str) -> dict[str, str]:
    """A source from `work | place` or `work | place | label as printed`.

    Raises
    ------
    AuthoringError
        If it has another form.
    """
    parts = [part.strip() for part in text.split("|")]
    if len(parts) not in (2, 3) or not all(parts):
        raise AuthoringError(f"a source is written `work | place` or `work | place | as printed`, not `{shown(text)}`")
    return dict(zip(("work", "at", "printed"), parts, strict=False))


def place_of(text: str) -> dict[str, str]:
    """One side of a discrepancy from `work | place | what it says`.

    Raises
    ------
    AuthoringError
        If it has another form.
    """
    parts = [part.strip() for part in text.split("|", 2)]
    if len(parts) != 3 or not all(parts):
        raise AuthoringError(f"a side of a discrepancy is written `work | place | what it says`, not `{shown(text)}`")
    return dict(zip(("work", "at", "says"), parts, strict=True))
