"""The Python source as data, read with `ast`: the site is built where PyTorch is not installed, so nothing of `executable` is imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_ON_A_LINE = 96
"""A signature longer than this has one parameter per line."""


@dataclass(frozen=True)
class Field:
    """A field of a class: its name, its annotation, its value where that is short, and the string below it."""

    name: str
    annotation: str = ""
    value: str = ""
    doc: str = ""


@dataclass(frozen=True)
class Item:
    """A function, class or constant: where it is defined, its signature and its docstring."""

    name: str
    kind: str
    """`function`, `method`, `property`, `class` or `constant`."""
    signature: str
    doc: str
    file: str
    line: int
    fields: tuple[Field, ...] = ()
    methods: tuple[Item, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """What it is known by, however many packages export it: file and name."""
        return self.file, self.name


@dataclass(frozen=True)
class Call:
    """A function or class of the project that a function calls, and where it is defined."""

    name: str
    file: str
    line: int


@dataclass(frozen=True)
class Body:
    """The source of a function without its docstring."""

    text: str
    file: str
    line: int
    lines: int
    """How many lines follow the signature."""
    calls: tuple[Call, ...]


@functools.cache
def _tree(module: str) -> tuple[ast.Module, str] | None:
    """The parsed module with its file, or None if it is not one of ours."""
    place = ROOT.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8")), file.relative_to(ROOT).as_posix()
    return None


def module_doc(module: str) -> str:
    """The docstring of a module.

    Raises
    ------
    LookupError
        If there is no such module.
    """
    return ast.get_docstring(_existing(module)[0]) or ""


def _existing(module: str) -> tuple[ast.Module, str]:
    found = _tree(module)
    if found is None:
        raise LookupError(f"no module {module}")
    return found


def public_names(module: str) -> list[str]:
    """The names in `__all__`; without it, the public functions and classes that the module defines itself."""
    tree, _ = _existing(module)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in _targets(node) and isinstance(node.value, ast.List | ast.Tuple):
            return [str(ast.literal_eval(element)) for element in node.value.elts]
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node.name for node in defined if not node.name.startswith("_") and ast.get_docstring(node)]


@functools.cache
def find(module: str, name: str) -> Item | None:
    """What a module calls by a name, followed through its imports and further names to the definition; None if that is outside the project."""
    found = _tree(module)
    if found is None:
        return None
    tree, file = found
    for node in _statements(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return _item(node, file)
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
            # `completeness = efficiency`: another name for the same function.
            other = find(module, node.value.id) if isinstance(node.value, ast.Name) else None
            return other or _constant(tree, node, name, file)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find(node.module, alias.name) or _module_item(f"{node.module}.{alias.name}", name)
    return None


@functools.cache
def body_of(module: str, name: str) -> Body | None:
    """The source of a function without its docstring, and what of the project it calls; None if it is not one of ours."""
    item = find(module, name)
    found = _tree(item.file.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")) if item else None
    node = next((n for n in ast.walk(found[0]) if isinstance(n, ast.FunctionDef) and n.name == item.name), None) if found and item else None
    if item is None or node is None:
        return None
    source = (ROOT / item.file).read_text(encoding="utf-8").splitlines()
    first, last = node.body[0], node.end_lineno or node.lineno
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    after = (first.end_lineno or first.lineno) if doc else first.lineno - 1
    head = source[min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1 : first.lineno - 1]
    rest = source[after:last]
    home = item.file.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    return Body("\n".join([*head, *rest]), item.file, node.lineno, len(rest), tuple(_calls(node, home)))


def _calls(node: ast.FunctionDef, home: str) -> Iterator[Call]:
    """What a function calls by a plain name and the project defines, in order, each once."""
    named = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    names = sorted((n for n in named if isinstance(n, ast.Name)), key=lambda n: (n.lineno, n.col_offset))
    for name in dict.fromkeys(n.id for n in names):
        item = find(home, name)
        if item is not None and item.kind in {"function", "class"} and item.name != node.name:
            yield Call(item.name, item.file, item.line)


def _module_item(module: str, name: str) -> Item | None:
    found = _tree(module)
    return Item(name, "module", f"module {module}", module_doc(module), found[1], 1) if found else None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under `if TYPE_CHECKING` and `try` too; a later definition overrides, which none of ours does."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _item(node: ast.FunctionDef | ast.ClassDef, file: str) -> Item:
    doc = ast.get_docstring(node) or ""
    if isinstance(node, ast.FunctionDef):
        return Item(node.name, "function", _function(node), doc, file, node.lineno)
    bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
    methods = [_method(inner, file) for inner in node.body if isinstance(inner, ast.FunctionDef) and _shown(inner)]
    head = f"class {node.name}" + (f"({bases})" if bases else "")
    return Item(node.name, "class", head, doc, file, node.lineno, tuple(_fields(node)), tuple(methods))


def _shown(node: ast.FunctionDef) -> bool:
    return bool(ast.get_docstring(node)) and (not node.name.startswith("_") or node.name in {"__call__", "__contains__", "__iter__", "__len__"})


def _method(node: ast.FunctionDef, file: str) -> Item:
    marks = {ast.unparse(mark).rpartition(".")[2].partition("(")[0] for mark in node.decorator_list}
    doc = ast.get_docstring(node) or ""
    if marks & {"property", "cached_property", "computed_field"}:
        returns = f": {ast.unparse(node.returns)}" if node.returns else ""
        return Item(node.name, "property", f"{node.name}{returns}", doc, file, node.lineno)
    mark = next((f"@{name}\n" for name in ("classmethod", "staticmethod") if name in marks), "")
    return Item(node.name, "method", mark + _function(node, bound=not marks & {"staticmethod"}), doc, file, node.lineno)


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for place, inner in enumerate(node.body):
        if not isinstance(inner, ast.AnnAssign) or not isinstance(inner.target, ast.Name) or inner.target.id.startswith("_"):
            continue
        doc = _string_after(node.body, place) or _described(inner.value)
        value = "" if inner.value is None or isinstance(inner.value, ast.Call) else ast.unparse(inner.value)
        yield Field(inner.target.id, ast.unparse(inner.annotation), value if len(value) < 40 else "", doc)


def _string_after(body: list[ast.stmt], place: int) -> str:
    after = body[place + 1] if place + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return " ".join(after.value.value.split())
    return ""


def _described(value: ast.expr | None) -> str:
    """The `description` of a pydantic field."""
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg == "description" and isinstance(keyword.value, ast.Constant):
                return " ".join(str(keyword.value.value).split())
    return ""


def _constant(tree: ast.Module, node: ast.Assign | ast.AnnAssign, name: str, file: str) -> Item:
    value = ast.unparse(node.value) if node.value else ""
    annotation = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    shown = f" = {value}" if value and len(value) < MOST_ON_A_LINE else " = …" if value else ""
    doc = _string_after(tree.body, tree.body.index(node)) if node in tree.body else ""
    return Item(name, "constant", f"{name}{annotation}{shown}", doc, file, node.lineno)


def _function(node: ast.FunctionDef, *, bound: bool = False) -> str:
    """The line that one would write to define it, without the first argument of a bound method."""
    parts = _parameters(node.args)
    if bound and parts:
        parts = parts[1:]
    # The stroke after positional-only arguments says nothing where the receiver was the only one.
    parts = parts[1:] if parts[:1] == ["/"] else parts
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({', '.join(parts)}){returns}"
    if len(line) <= MOST_ON_A_LINE:
        return line
    return f"{node.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _parameters(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [_parameter(argument, default) for argument, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parts.append("*" + _parameter(arguments.vararg, None))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_parameter(argument, default) for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append("**" + _parameter(arguments.kwarg, None))
    return parts


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    if default is None:
        return argument.arg + annotation
    return f"{argument.arg}{annotation} = {ast.unparse(default)}" if annotation else f"{argument.arg}={ast.unparse(default)}"
