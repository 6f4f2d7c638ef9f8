"""Writing YAML as the records have it: plain where that is safe, quoted where it is not, prose folded; unset fields as comments."""

from __future__ import annotations

import re
import textwrap
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from taxonomy.authoring.order import field_order
from taxonomy.reading import parse
from taxonomy.records import KINDS, Claim, Model
from taxonomy.relations import RELATIONS

WIDTH = 150
_PLAIN = re.compile(r"[A-Za-z0-9_\\(][^\x00-\x1f]*")
_UNSAFE = re.compile(r": |:$| #|[\t\n]|^\s|\s$")
Value = str | Sequence[Any] | Mapping[str, Any]


def header(kind: str) -> str:
    """The line by which editors find the schema."""
    return f"# yaml-language-server: $schema=../schema/{kind}.json\n"


def quoted(text: str, *, in_flow: bool = False) -> str:
    """A text as a YAML scalar on one line."""
    plain = bool(_PLAIN.fullmatch(text)) and not _UNSAFE.search(text) and not (in_flow and re.search(r"[,\[\]{}:]", text))
    return text if plain else "'" + text.replace("'", "''") + "'"


def flow(value: Any) -> str:
    """A value on one line: `{work: x, at: 'Table III, row y'}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        return quoted(value, in_flow=True)
    return "[" + ", ".join(map(flow, value)) + "]"


def entry(name: str, value: Value, indent: str = "") -> str:
    """`name: value` with its line end; long or several-lined prose folded, mappings in lists one per line.

    Raises
    ------
    ValueError
        If what was written does not read back as the value.
    """
    text = _entry(name, value, indent)
    document, problems = parse(textwrap.dedent(text), name)
    if problems or not alike(document.values, {name: value}):
        raise ValueError(f"`{name}` cannot be written as YAML")
    return text


def _entry(name: str, value: Value, indent: str) -> str:
    if isinstance(value, str):
        line = f"{indent}{name}: {quoted(value)}\n"
        if "\n" not in value and len(line) <= WIDTH:
            return line
        folded = [textwrap.fill(" ".join(part.split()), WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False)
                  for part in re.split(r"\n\s*\n", value.strip())]  # fmt: skip
        # Folded, one empty line inside is one line break: two of them keep paragraphs apart.
        return f"{indent}{name}: >-\n" + textwrap.indent("\n\n\n".join(folded), indent + "  ") + "\n"
    if isinstance(value, Mapping):
        return f"{indent}{name}: {flow(value)}\n"
    if value and all(isinstance(one, Mapping) for one in value):
        return f"{indent}{name}:\n" + "".join(item(one, indent + "  ") for one in value if isinstance(one, Mapping))
    return f"{indent}{name}: {flow(value)}\n"


def item(value: Mapping[str, Any], indent: str) -> str:
    """An entry of a list of mappings: on one line if it fits and holds no further list of mappings."""
    line = f"{indent}- {flow(value)}\n"
    nested = any(isinstance(inner, Sequence) and not isinstance(inner, str) and inner and isinstance(inner[0], Mapping) for inner in value.values())
    if len(line) <= WIDTH and not nested:
        return line
    text = "".join(_entry(name, inner, indent + "  ") for name, inner in value.items())
    return f"{indent}- {text[len(indent) + 2 :]}"


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same but for white space inside texts."""
    if isinstance(one, str) and isinstance(other, str):
        return one.split() == other.split() and one.strip().count("\n\n") == other.strip().count("\n\n")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str) and not isinstance(other, str):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def record_text(kind: str, values: Mapping[str, Value]) -> str:
    """A whole record: the fields that are set, and each of the others as a comment that says what it holds."""
    fields = {info.alias or name: info for name, info in KINDS[kind].model_fields.items()}
    unset = [name for name in field_order(kind) if name not in values]
    lines = [header(kind)]
    for name in field_order(kind):
        if name in values:
            lines.append(entry(name, values[name]))
        elif name in unset and name not in {"status", "definitional", "check"}:
            lines.append(_comment(name, fields[name]))
    return "".join(lines)


def _comment(name: str, info: Any) -> str:
    shape = shape_of(info.annotation, info.metadata)
    line = f"# {name}: {shape}\n"
    meaning = RELATIONS[name].meaning if name in RELATIONS else ""
    description = " ".join((info.description or meaning).split())
    if not description:
        return line
    explained = f"# {name}: {shape}  # {description}\n"
    return explained if len(explained) <= WIDTH else f"{textwrap.fill(description, WIDTH - 2, initial_indent='# ', subsequent_indent='# ')}\n{line}"


def shape_of(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a field takes, as YAML that shows its form: `[text]`, `outputs | gradients`, `{symbol: LaTeX, meaning: text}`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return shape_of(inner, extra)
    if origin in (Union, types.UnionType):
        return shape_of(next(one for one in get_args(annotation) if one is not type(None)), metadata)
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin is tuple:
        return f"[{shape_of(get_args(annotation)[0])}]"
    if origin is dict:
        return "{question: answer}"
    if annotation is Claim:
        return '{to: id, sources: [{work: id, at: "Table III, row IG"}]}'
    if isinstance(annotation, type) and issubclass(annotation, Model):
        required = {info.alias or name: info for name, info in annotation.model_fields.items() if info.is_required()}
        shown = required or {info.alias or name: info for name, info in annotation.model_fields.items()}
        return "{" + ", ".join(f"{name}: {shape_of(info.annotation, info.metadata)}" for name, info in shown.items()) + "}"
    if annotation is bool:
        return "true"
    if annotation is int or annotation is float:
        return "number"
    checks = {getattr(getattr(one, "func", None), "__name__", "") for one in metadata}
    return "LaTeX" if "check_formula" in checks else "text"
