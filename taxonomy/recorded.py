"""Reading a file of recorded results (evidence, audits, reproductions, conformance): bounded, checked for what nobody sees, then typed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from taxonomy.characters import shown, unseen
from taxonomy.guarded import MOST_JSON, RefusedFileError, read_text
from taxonomy.problems import Problem, did_you_mean

Kind = TypeVar("Kind", bound=BaseModel)
MOST_DEPTH = 12
MOST_FAULTS = 20


def parsed(kind: type[Kind], path: Path, what: str) -> Kind:
    """The typed content of a JSON file.

    Raises
    ------
    ValueError
        If it is not valid; the message begins with the path and names the field or the line.
    """
    try:
        text = read_text(path, MOST_JSON)
        _refuse_unseen(text)
        return kind.model_validate_json(text)
    except RefusedFileError as error:
        raise ValueError(f"{path}: not a valid {what}: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: not a valid {what}: {_faults(error)}") from error


def files_of(folder: Path) -> list[Path]:
    """The files of one sort of recorded results, sorted; hidden ones are an editor's, and a folder that is a link is not followed."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def fault_in(path: Path, error: ValueError) -> str:
    """What `parsed` says of a file, without its path, on one line."""
    return " ".join(str(error).removeprefix(f"{path}: ").split())


def surveyed(
    files: Iterable[Path], read: Callable[[Path], Kind], faults: Callable[[Kind], Iterable[str]], problem: Callable[[Path, str], Problem]
) -> tuple[dict[str, Kind], list[Problem]]:
    """The content of each file that can be read, by the file's name, and a problem for each fault of each file."""
    found: dict[str, Kind] = {}
    problems: list[Problem] = []
    for path in files:
        try:
            found[path.stem] = read(path)
        except ValueError as error:
            problems.append(problem(path, fault_in(path, error)))
        else:
            problems += [problem(path, fault) for fault in faults(found[path.stem])]
    return found, problems


def need(names: Iterable[str], recorded: Iterable[str], what: str) -> None:
    """Raise KeyError for the first name of which nothing is recorded; `what` says of what sort, as `comparison with`."""
    known = sorted(recorded)
    for name in names:
        if name not in known:
            raise KeyError(f"no {what} `{name}` is recorded; {did_you_mean(name, known) or 'recorded: ' + (', '.join(known) or 'none')}")


def _faults(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    faults = [f"{shown('.'.join(map(str, detail['loc'])))}: {detail['msg']}".removeprefix(": ") for detail in details[:MOST_FAULTS]]
    return "; ".join([*faults, *([f"and {len(details) - MOST_FAULTS} more"] if len(details) > MOST_FAULTS else [])])


def _refuse_unseen(text: str) -> None:
    if found := unseen(text):
        raise RefusedFileError(f"line {text.count(chr(10), 0, found[0]) + 1} holds {found[1]}, which nobody would see; remove it")
    if "\\u" not in text:
        return
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return  # the typed reading says what is wrong
    for string in _strings(values):
        if found := unseen(string):
            raise RefusedFileError(f"`{shown(string, 40)}` holds {found[1]}, which nobody would see; remove it")


def _strings(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item


def check_plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return plain JSON values unchanged if every number is finite and they are not nested too deep."""
    stack: list[tuple[Any, int]] = [(values, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MOST_DEPTH:
            raise ValueError(f"values are nested deeper than {MOST_DEPTH} levels")
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"`{item}` is no JSON number")
        if isinstance(item, dict):
            stack += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, (list, tuple)):
            stack += [(inner, depth + 1) for inner in item]
    return values


Plain = Annotated[dict[str, Any], AfterValidator(check_plain)]
