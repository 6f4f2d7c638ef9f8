"""What a result depends on: the source of every module of this package that a check reaches, and the claim as data."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_ROOTS = {"executable": Path(__file__).parent, "taxonomy": Path(__file__).parent.parent / "taxonomy"}
_SHARED = "taxonomy.evidence"


def module_file(name: str) -> Path | None:
    """The file of a module of this project, or None for other modules and for names that are not modules."""
    head, *rest = name.split(".")
    if head not in _ROOTS:
        return None
    base = _ROOTS[head].joinpath(*rest)
    for candidate in (base / "__init__.py", base.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@functools.cache
def _read(name: str) -> tuple[bytes, tuple[str, ...]] | None:
    path = module_file(name)
    if path is None or (not name.startswith("executable") and name != _SHARED):
        return None
    source = path.read_bytes()
    return source, tuple(_imported(ast.parse(source)))


def sources(module: str) -> dict[str, bytes]:
    """Every module of `executable` that `module` imports, directly or not, with its source; itself and the evidence type included."""
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (read := _read(name)) is None:
            continue
        found[name] = read[0]
        waiting.extend(read[1])
    return dict(sorted(found.items()))


def digest(modules: Iterable[str], *parts: Any) -> str:
    """Hash of the modules' sources (with all they import) and of plain values."""
    total = hashlib.sha256()
    code: dict[str, bytes] = {}
    for module in modules:
        code |= sources(module)
    for name, source in sorted(code.items()):
        total.update(name.encode() + b"\0" + hashlib.sha256(source).digest())
    total.update(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode())
    return total.hexdigest()
