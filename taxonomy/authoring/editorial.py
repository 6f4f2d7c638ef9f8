"""What else a record has to keep: text without gaps, claims whose proof or condition is named, references in use, links that lead to code.

These rules look at finished records, and partly at the code beside them; loading does not depend on them.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxonomy.authoring.duplicates import bare
from taxonomy.authoring.files import Checkout, text_of, tree_of
from taxonomy.authoring.wiring import unwired
from taxonomy.loading import Folder, dotted
from taxonomy.problems import Problem, Severity, did_you_mean
from taxonomy.records import Model, Record, kebab

_GAP = re.compile(r"\b(TODO|TBD|FIXME|XXX|lorem ipsum|placeholder|to be written|coming soon|insert here|n/a)\b|\?\?\?|\.\.\.$", re.IGNORECASE)
_MACHINE = re.compile(r"(^|[\s`(])/(work|tmp|home|root|usr|Users)/")
_MARKUP = re.compile(r"[$`<>\\\n]|\*\*")
_CHECK = re.compile(r'"([a-z0-9-]+/[a-z0-9-]+)"')
_CARD = 500
Place = tuple[str | int, ...]


def editorial(folder: Folder) -> list[Problem]:
    """All problems of finished records of a folder, warnings except for links that lead nowhere."""
    problems: list[Problem] = []
    root = folder.path.resolve().parent
    linked = (root / "executable" / "__init__.py").is_file()
    checkout = Checkout(root)
    checks = _check_ids(checkout) if linked else None
    owners: dict[str, str] = {}
    used: set[str] = set()
    for record in folder.records.values():
        for rule, message, path, suggestion in (*_text_faults(record, used), *_claim_faults(record), *_check_faults(record, checks)):
            problems.append(_problem(folder, record.id, rule, message, path, suggestion))
        for rule, message, path in _link_faults(record, checkout) if linked else ():
            problems.append(_problem(folder, record.id, rule, message, path, severity=Severity.ERROR))
        other = owners.setdefault(bare(record.id), record.id)
        if other != record.id:
            problems.append(_problem(folder, record.id, "id", f"id `{record.id}` differs from `{other}` by hyphens only", ("id",), "choose another"))
    problems += [*_unused(folder, used), *(unwired(folder, checkout) if linked else ())]
    return problems + list(checkout.faults.values())


def _problem(folder: Folder, id_: str, rule: str, message: str, path: Place, suggestion: str = "", severity: Severity = Severity.WARNING) -> Problem:
    document = folder.documents[id_]
    line, column = document.position(path)
    return Problem(rule, message, document.file, line, column, dotted(path), suggestion, severity)


def _texts(value: Any, path: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Model):
        for name in value.model_fields_set:
            yield from _texts(getattr(value, name), (*path, kebab(name)))
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*path, name))


def _text_faults(record: Record, used: set[str]) -> Iterator[tuple[str, str, Place, str]]:
    for path, text in _texts(record):
        used.add(text)
        if gap := _GAP.search(text):
            yield "gap", f"`{gap.group(0)}` stands for something that is still to be written", path, "write it, or leave the field out"
        if _MACHINE.search(text):
            yield "machine-path", "the text names a path of one machine", path, "say what is there instead"
    if len(record.summary.strip().split("\n\n")[0]) > _CARD:
        yield "long-summary", f"the first paragraph of the summary has more than {_CARD} characters; cards show it", ("summary",), "break it up"
    if _MARKUP.search(record.name):
        yield "name", "names are plain text", ("name",), "leave the markup out"


def _claim_faults(record: Record) -> Iterator[tuple[str, str, Place, str]]:
    for path, model in _models(record):
        status = getattr(model, "status", None)
        if status == "proved" and not getattr(model, "proof", ("?",)):
            yield "status", "status `proved` without a work that proves it", (*path, "status"), "name it in `proof:`"
        if status == "conditional" and not getattr(model, "condition", "?"):
            yield "status", "status `conditional` without a condition", (*path, "status"), "state it in `condition:`"


def _check_faults(record: Record, checks: frozenset[str] | None) -> Iterator[tuple[str, str, Place, str]]:
    for path, model in _models(record) if checks is not None else ():
        check = getattr(model, "check", None)
        if check is not None and checks is not None and check not in checks:
            yield "check", f"no check is called `{check}`", (*path, "check"), did_you_mean(check, checks)


def _check_ids(checkout: Checkout) -> frozenset[str] | None:
    """What is written in the checks as the id of one; None if one of the files cannot be read."""
    files = sorted(str(file.relative_to(checkout.root)) for file in (checkout.root / "executable" / "checks").glob("*.py"))
    found = frozenset(found for file in files for found in _CHECK.findall(checkout.text(file)))
    return None if set(files) & set(checkout.faults) else found


def _models(model: Model, path: Place = ()) -> Iterator[tuple[Place, Model]]:
    yield path, model
    for name in model.model_fields_set:
        value = getattr(model, name)
        for index, inner in enumerate(value) if isinstance(value, tuple) else ():
            if isinstance(inner, Model):
                yield from _models(inner, (*path, kebab(name), index))


def _link_faults(record: Record, checkout: Checkout) -> Iterator[tuple[str, str, Place]]:
    root = checkout.root
    link = getattr(record, "implementation", None)
    if link is not None:
        with checkout.reading(_file_of(root, link.partition(":")[0])):
            if fault := broken_link(root, link):
                yield "link", fault, ("implementation",)
    if not (root / "tests").is_dir():
        return
    for index, oracle in enumerate(getattr(record, "oracles", ())):
        file, _, name = oracle.test.partition("::")
        with checkout.reading(file):
            if fault := _broken_test(root / file, file, name):
                yield "link", fault, ("oracles", index, "test")


def _broken_test(path: Path, file: str, name: str) -> str | None:
    known = _names(path)
    if known is None:
        return f"there is no test file {file}"
    hint = did_you_mean(name, _public(known))
    return None if name in known else f"{file} has no test `{name}`{'; ' if hint else ''}{hint}"


def _file_of(root: Path, module: str) -> str:
    place = module.replace(".", "/")
    return f"{place}/__init__.py" if (root / place).is_dir() else f"{place}.py"


def broken_link(root: Path, link: str) -> str | None:
    """Why `module:function` leads to nothing in the code below `root`, or None; the code is read and not run.

    Raises
    ------
    taxonomy.authoring.files.UnreadableError
        If the file of the module cannot be read.
    """
    module, _, name = link.partition(":")
    known = _names(root / _file_of(root, module))
    if known is None:
        return f"there is no module `{module}`"
    if name not in known:
        hint = did_you_mean(name, _public(known))
        return f"`{module}` has no function `{name}`{'; ' if hint else ''}{hint}"
    return None


def _public(names: frozenset[str]) -> list[str]:
    return [name for name in sorted(names) if not name.startswith("_")]


def _names(file: Path) -> frozenset[str] | None:
    try:
        stamp = file.stat().st_mtime_ns
    except OSError:
        return None
    return _names_at(file, stamp)


_TOP = re.compile(r"^(?:async )?(?:def|class) (\w+)|^(\w+)(?:: [^=\n]+)? = ", re.MULTILINE)


@functools.cache
def _names_at(file: Path, stamp: int) -> frozenset[str]:
    # A look at the lines is enough and fifty times as fast as a parser; only where it finds imports does one need to be asked.
    text = text_of(file)
    found = {first or second for first, second in _TOP.findall(text)}
    if file.name == "__init__.py":
        found |= {alias.asname or alias.name for node in tree_of(text).body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return frozenset(found)


def _unused(folder: Folder, used: set[str]) -> list[Problem]:
    cited = used | set(folder.records) | folder.unread
    return [
        Problem("unused-reference", f"no record cites `{key}`", f"{folder.path.name}/references.bib", line, suggestion="cite it or remove it",
                severity=Severity.WARNING)
        for key, line in folder.keys.items() if key not in cited
    ]  # fmt: skip
