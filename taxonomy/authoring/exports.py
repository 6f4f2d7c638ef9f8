"""Adding a name to an `__init__.py`: to its imports and to `__all__`, in alphabetical order, all other lines as they are."""

from __future__ import annotations

import ast
import re

from taxonomy.authoring.files import tree_of

WIDTH = 150


class ExportError(ValueError):
    """The file has not the form that can be edited safely; the edit is left to its author."""


def with_export(text: str, module: str, name: str) -> str:
    """The text of an `__init__.py` that also imports `name` from `module` and lists it in `__all__`.

    Raises
    ------
    ExportError
        If the name is there already, or the file has no `__all__` list of plain strings, or no imports to put it among.
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    tree = tree_of(text)
    if name in _names(tree):
        raise ExportError(f"`{name}` is defined there already")
    changed = _with_listed(_with_import(text, tree, module, name), name)
    tree_of(changed)
    return changed


def exported(text: str) -> frozenset[str]:
    """The names that a module lists in `__all__`; empty if it has no such list of plain strings.

    Raises
    ------
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    for node in tree_of(text).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.List)
            and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]
        ):
            return frozenset(str(item.value) for item in node.value.elts if isinstance(item, ast.Constant))
    return frozenset()


def _names(tree: ast.Module) -> set[str]:
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def with_import(text: str, module: str, name: str) -> str:
    """The text of a module that also imports `name` from `module`, among the imports of the same package.

    Raises
    ------
    ExportError
        If there are no such imports, or the one of that module renames something.
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    return _with_import(text, tree_of(text), module, name)


def _with_import(text: str, tree: ast.Module, module: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == module.split(".")[0]]
    if not imports:
        raise ExportError("it has no imports of the package to put another one among")
    for node in imports:
        if node.module == module:
            if any(alias.asname for alias in node.names) or node.end_lineno is None:
                raise ExportError(f"the import from {module} renames something")
            names = sorted({name, *(alias.name for alias in node.names)}, key=_isort)
            exploded = lines[node.lineno - 1].rstrip().endswith("(")
            lines[node.lineno - 1 : node.end_lineno] = [_import(module, names, exploded=exploded)]
            return "".join(lines)
    later = next((node for node in imports if str(node.module) > module), None)
    place = later.lineno - 1 if later is not None else (imports[-1].end_lineno or imports[-1].lineno)
    lines.insert(place, _import(module, [name], exploded=False))
    return "".join(lines)


def _import(module: str, names: list[str], *, exploded: bool) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    if exploded or len(line) > WIDTH + 1:
        return f"from {module} import (\n{''.join(f'    {name},{chr(10)}' for name in names)})\n"
    return line


def _isort(name: str) -> tuple[int, str]:
    # Constants, then classes, then the rest, as the linter sorts.
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name)


def _with_listed(text: str, name: str) -> str:
    tree = tree_of(text)
    node = next(
        (n for n in tree.body if isinstance(n, ast.Assign) and [t.id for t in n.targets if isinstance(t, ast.Name)] == ["__all__"]),
        None,
    )
    if node is None or not isinstance(node.value, ast.List) or not all(isinstance(item, ast.Constant) for item in node.value.elts):
        raise ExportError("it has no `__all__` that is a list of strings")
    listed = [str(item.value) for item in node.value.elts if isinstance(item, ast.Constant)]
    lines = text.splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    if first == last:
        names = sorted({*listed, name}, key=_isort)
        line = f"__all__ = [{', '.join(chr(34) + one + chr(34) for one in names)}]\n"
        one_each = "".join(f'    "{one}",\n' for one in names)
        lines[first] = line if len(line) <= WIDTH + 1 else f"__all__ = [\n{one_each}]\n"
        return "".join(lines)
    each_on_its_line = all(re.fullmatch(r'\s+"\w+",\s*', line) for line in lines[first + 1 : last])
    place = last
    if each_on_its_line:  # behind the last one that comes before it, whether or not all of the list is in order
        place = first + 1 + max((number for number, one in enumerate(listed, start=1) if _isort(one) < _isort(name)), default=0)
    lines.insert(place, f'    "{name}",\n')
    return "".join(lines)
