"""From a YAML file to plain values that remember their places.

Scalars stay strings: which of them are numbers or booleans is for the record type to say, so `no` is never a boolean by accident. Nothing in a
file can run or import anything; tags, anchors and merge keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from taxonomy.characters import shown, unseen
from taxonomy.guarded import MOST_BYTES, RefusedFileError, read_bytes
from taxonomy.problems import Problem

MOST_DEPTH = 20
MOST_PROBLEMS = 50
"""Of one file; the rest are most likely consequences."""
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


_TAGS = {ScalarNode: "tag:yaml.org,2002:str", SequenceNode: "tag:yaml.org,2002:seq", MappingNode: "tag:yaml.org,2002:map"}
_OPENER = re.compile(r"[\[{]|[-?:][ \t]+(?=[-?])")
_FAR_INDENTED = re.compile(r"^ {50}", re.MULTILINE)
_MANY = 200
_TOO_DEEP = f"nested deeper than {MOST_DEPTH} levels"


class _Parser(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """libyaml's parser without implicit types; without path resolvers too, since asking them for every node takes a third of the time."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        return _TAGS[kind]

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its values, and the tree that knows the position of each."""

    file: str
    values: Any
    root: Node | None

    def position(self, path: Sequence[str | int], *, of_key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at `path`, or of the nearest enclosing value that exists."""
        node = self.root
        mark = node.start_mark if node is not None else None
        for depth, step in enumerate(path):
            key, child = _child(node, step)
            if child is None:
                break
            last = depth == len(path) - 1
            mark = key.start_mark if key is not None and of_key and last else child.start_mark
            node = child
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node | None]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None


def read(path: Path, file: str) -> tuple[Document, list[Problem]]:
    """Parse one file; problems of YAML itself are returned, not raised."""
    try:
        raw = read_bytes(path, MOST_BYTES)
    except RefusedFileError as error:
        rule = "file-size" if " bytes; " in str(error) else "file"
        return Document(file, None, None), [Problem(rule, f"file {error}", file, suggestion="a record is a small plain file of YAML")]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(file, None, None), [Problem("encoding", f"not UTF-8: byte {raw[error.start]:#04x}", file, line, suggestion="save as UTF-8")]
    return parse(text, file)


def parse(text: str, file: str) -> tuple[Document, list[Problem]]:
    """Parse YAML text; see `read`."""
    if found := unseen(text):
        return Document(file, None, None), [_unseen_at(text, *found, file)]
    try:
        _refuse_depth(text)
        loader = _Parser(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        return Document(file, None, None), [Problem("yaml", f"YAML does not parse: {shown(reason, 300)}", file, line, column)]
    except yaml.YAMLError as error:
        return Document(file, None, None), [Problem("yaml", f"YAML does not parse: {str(error).splitlines()[0]}", file)]
    if root is None:
        return Document(file, None, None), [Problem("yaml", "file is empty", file)]
    problems: list[Problem] = []
    values = _values(root, file, problems, set(), "", 1)
    return Document(file, values, root), problems[:MOST_PROBLEMS]


def _unseen_at(text: str, position: int, what: str, file: str) -> Problem:
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    if position == 0 and text[0] == "\ufeff":
        return Problem("encoding", "the file begins with a byte order mark", file, suggestion="save as UTF-8 without it")
    return Problem("character", f"the file holds {what}, which nobody would see", file, line, column, suggestion="remove it")


def _refuse_depth(text: str) -> None:
    # libyaml recurses while it builds the tree and would exhaust the stack. Hundreds of levels, which do no harm, take many openers or far indented
    # lines; only such text is looked at twice.
    if len(_OPENER.findall(text)) <= _MANY and not _FAR_INDENTED.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MOST_DEPTH:
                raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=event.start_mark)  # type: ignore[arg-type]
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


def _values(node: Node, file: str, problems: list[Problem], seen: set[int], field: str, depth: int) -> Any:
    mark = node.start_mark
    if id(node) in seen:
        problems.append(Problem("yaml", "anchors and aliases are not allowed in a record", file, mark.line + 1, mark.column + 1, field))
        return None
    seen.add(id(node))
    if node.tag not in _PLAIN_TAGS:
        problems.append(Problem("yaml", f"YAML tag `{shown(node.tag)}` is not allowed in a record", file, mark.line + 1, mark.column + 1, field))
        return None
    if isinstance(node, ScalarNode):
        if node.style == '"' and (found := unseen(node.value)):
            problems.append(Problem("yaml", f"the text holds {found[1]}, which nobody would see", file, mark.line + 1, mark.column + 1, field))
            return None
        return node.value
    if depth > MOST_DEPTH:
        problems.append(Problem("yaml", f"YAML does not parse: {_TOO_DEEP}", file, mark.line + 1, mark.column + 1))
        return None
    if isinstance(node, SequenceNode):
        return [_values(item, file, problems, seen, f"{field}[{index}]", depth + 1) for index, item in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, mark = key_node.value, key_node.start_mark
        if not isinstance(key_node, ScalarNode):
            problems.append(Problem("yaml", "a key must be plain text", file, mark.line + 1, mark.column + 1, field))
            continue
        if key_node.style == '"' and unseen(key):
            problems.append(
                Problem("yaml", f"key `{shown(key)}` holds a character that nobody would see", file, mark.line + 1, mark.column + 1, field)
            )
            continue
        inner = f"{field}.{key}" if field else key
        if key in mapping and len(problems) < MOST_PROBLEMS:
            message = f"key `{shown(key)}` is written twice; the first stands at line {_line_of(node, key)}"
            problems.append(Problem("duplicate-key", message, file, mark.line + 1, mark.column + 1, inner))
        mapping[key] = _values(value_node, file, problems, seen, inner, depth + 1)
    return mapping


def _line_of(node: Node, key: str) -> int:
    return next(int(k.start_mark.line) + 1 for k, _ in node.value if k.value == key)
