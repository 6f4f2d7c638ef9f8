"""Mechanical repairs of record files, line by line so that comments stay. A repair that changed what a record says is not made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, SequenceNode

from taxonomy.authoring.files import UnreadableError, text_of
from taxonomy.authoring.order import in_order
from taxonomy.authoring.writing import Change, write
from taxonomy.authoring.yaml_text import alike, header
from taxonomy.guarded import MOST_BIBLIOGRAPHY, MOST_BYTES
from taxonomy.loading import FOLDERS, Folder, read_folder, record_files
from taxonomy.reading import parse
from taxonomy.relations import RELATIONS

_HEADER = re.compile(r"# yaml-language-server: \$schema=\S*\n")


@dataclass(frozen=True, slots=True)
class Fix:
    """A repaired file, and in words what was done to it; `left` says what was not done and why."""

    change: Change
    done: tuple[str, ...]
    left: tuple[str, ...] = ()


def fix(kb: Path) -> list[Fix]:
    """Repair the files of a record folder, all of them or none; returns what was done, file by file.

    Raises
    ------
    taxonomy.authoring.writing.WritingError
        If a file cannot be written.
    """
    found = proposed(kb)
    write(kb.resolve().parent, [one.change for one in found if one.done])
    return found


def proposed(kb: Path) -> list[Fix]:
    """The repairs that `fix` would make."""
    name = kb.resolve().name
    dropped = _dropped(read_folder(kb))
    found = []
    for file, path in record_files(kb):
        record_type = FOLDERS.get(file.rpartition("/")[0])
        if record_type is not None:
            found.append(_fixed(f"{name}/{file}", path, record_type.kind, dropped.get(path.stem, [])))
    found.append(_spaced(f"{name}/references.bib", kb / "references.bib"))
    return [one for one in found if one is not None and (one.done or one.left)]


def _read(path: Path, most: int) -> str | None:
    try:
        return text_of(path, most)
    except UnreadableError:  # the check reports it
        return None


def _spaced(file: str, path: Path) -> Fix | None:
    before = _read(path, MOST_BIBLIOGRAPHY)
    if before is None:
        return None
    after, done = cleaned(before)
    return Fix(Change(file, after, before), tuple(done))


def cleaned(text: str) -> tuple[str, list[str]]:
    """The text without byte order mark, carriage returns, spaces at line ends, and with one line end at its end; and what was done."""
    done = []
    if text.startswith("\ufeff"):
        text, done = text[1:], ["byte order mark removed"]
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        done.append("line ends made `\\n`")
    lines = text.split("\n")
    trailing = sum(line != line.rstrip(" \t") for line in lines)
    if trailing:
        text = "\n".join(line.rstrip(" \t") for line in lines)
        done.append(f"spaces removed from the end of {trailing} line{'s' * (trailing > 1)}")
    if text and text != text.rstrip("\n") + "\n":
        text = text.rstrip("\n") + "\n"
        done.append("one line end put at the end")
    return text, done


def _fixed(file: str, path: Path, kind: str, dropped: Sequence[tuple[str, int, str]]) -> Fix | None:
    before = _read(path, MOST_BYTES)
    if before is None:
        return None
    original, problems = parse(before.removeprefix("\ufeff"), file)
    if problems or not isinstance(original.values, dict):
        return None
    text, done = cleaned(before)
    left: list[str] = []
    if not text.startswith(header(kind)):
        text = header(kind) + _HEADER.sub("", text, count=1)
        done.append("first line names the schema")
    text, moved, reason = ordered(text, kind)
    done += [f"fields put in order: {', '.join(moved)} moved"] if moved else []
    left += [reason] if reason else []
    expected = dict(original.values)
    for field, index, other in sorted(dropped, reverse=True):
        shorter = without_item(text, field, index)
        if shorter is None:
            left.append(f"`{field}` stands here and in `{other}`; the list is on one line, so one of them is to be removed by hand")
            continue
        text = shorter
        expected[field] = [item for number, item in enumerate(expected[field]) if number != index]
        if not expected[field]:
            del expected[field]
        done.append(f"`{field}` removed that `{other}` declares with the same sources")
    after, problems = parse(text, file)
    if problems or not alike(dict(sorted(after.values.items())), dict(sorted(expected.items()))):
        return Fix(Change(file, before, before), (), ("a repair would change what the record says; none was made",))
    return Fix(Change(file, text, before), tuple(done), tuple(left))


def ordered(text: str, kind: str) -> tuple[str, list[str], str]:
    """The text with its fields in the order of the kind: the text, the fields moved, and why none was if comments forbid it.

    A comment goes with the field that follows it directly. One that stands alone between empty lines could belong to either side: then nothing moves.
    """
    document, _ = parse(text, kind)
    root = document.root
    if not isinstance(root, MappingNode) or root.flow_style:
        return text, [], ""
    names = [str(key.value) for key, _ in root.value]
    wanted = in_order(kind, names)
    if names == wanted or len(set(names)) != len(names):
        return text, [], ""
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in root.value]
    first = starts[0]
    while first > 0 and lines[first - 1].startswith("#") and not _HEADER.fullmatch(lines[first - 1]):
        first -= 1
    blocks: dict[str, list[str]] = {}
    begins = [first, *(_with_comments(start, lines) for start in starts[1:])]
    for number, name in enumerate(names):
        end = begins[number + 1] if number + 1 < len(names) else len(lines)
        blocks[name] = lines[begins[number] : end]
    for block in blocks.values():
        body = "".join(block).rstrip("\n").splitlines()
        alone = any(not one.strip() and other.startswith("#") for one, other in itertools.pairwise(body))
        if alone or any(line.startswith("#") for line in _after_value(block)):
            return text, [], "the fields are not in order, and a comment between empty lines may belong to either side: put them in order by hand"
    moved = _moved(names, wanted)
    after = "".join(lines[:first]) + "".join("".join(blocks[name]) for name in wanted)
    return after, moved, ""


def _with_comments(line: int, lines: Sequence[str]) -> int:
    while lines[line - 1].startswith("#"):
        line -= 1
    return line


def _after_value(block: Sequence[str]) -> list[str]:
    """Lines at the end of a block that are no part of its value: what would stand in the middle once the block has moved."""
    body = list(block)
    tail: list[str] = []
    while body and (not body[-1].strip() or body[-1].startswith("#")):
        tail.append(body.pop())
    return tail


def _moved(names: list[str], wanted: list[str]) -> list[str]:
    """The fewest fields that explain the new order, by the longest run that keeps its order."""
    place = {name: number for number, name in enumerate(wanted)}
    best: list[list[str]] = []
    for name in names:
        longest = max((run for run in best if place[run[-1]] < place[name]), key=len, default=[])
        best.append([*longest, name])
    kept = max(best, key=len)
    return [name for name in names if name not in kept]


def without_item(text: str, field: str, index: int) -> str | None:
    """The text without one entry of a list, and without the field if it was the only one; None for a list on one line."""
    root = parse(text, field)[0].root
    assert isinstance(root, MappingNode)
    number = next(number for number, (key, _) in enumerate(root.value) if key.value == field)
    key, node = root.value[number]
    if not isinstance(node, SequenceNode) or node.flow_style:
        return None
    lines = text.splitlines(keepends=True)
    after = root.value[number + 1][0].start_mark.line if number + 1 < len(root.value) else len(lines)
    while after > 0 and (not lines[after - 1].strip() or lines[after - 1].startswith("#")):
        after -= 1
    starts = [*(item.start_mark.line for item in node.value), after]
    if len(node.value) == 1:
        del lines[key.start_mark.line : after]
    else:
        del lines[starts[index] : starts[index + 1]]
    return "".join(lines)


def _dropped(folder: Folder) -> dict[str, list[tuple[str, int, str]]]:
    """Entries of symmetric relations that the record at the other end declares too, saying as much or more: (field, index, other record)."""
    found: dict[str, list[tuple[str, int, str]]] = {}
    for relation in RELATIONS.values():
        if not (relation.symmetric and relation.field):
            continue
        declared: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
        for id_, document in folder.documents.items():
            for index, item in enumerate(document.values.get(relation.name, [])):
                declared[id_, item["to"]] = (index, item)
        gone: set[tuple[str, str]] = set()
        for (one, other), (index, item) in sorted(declared.items(), reverse=True):
            if (other, one) in declared and (other, one) not in gone and _covers(declared[other, one][1], item):
                gone.add((one, other))
                found.setdefault(one, []).append((relation.name, index, other))
    return found


def _covers(kept: Mapping[str, Any], dropped: Mapping[str, Any]) -> bool:
    rest = {name: value for name, value in dropped.items() if name not in {"to", "sources"}}
    return all(source in kept["sources"] for source in dropped["sources"]) and all(alike(kept.get(name), value) for name, value in rest.items())
