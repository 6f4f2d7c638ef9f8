"""List every locked package with its version, its licence and what it is needed for: `make licences` writes `docs/licences.md`.

The licences are those that the installed packages declare, so run it in the full environment. A licence that nobody has looked at yet is a fault:
packages that the Atlas needs to run, compute or be built must be permissive or share alike by file (MPL); those that only its tests use, which are
handed on to nobody, may be under the GPL too.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from taxonomy.disk import put

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PAGE = ROOT / "docs" / "licences.md"
PROJECT = "attribution-atlas"
PERMISSIVE = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
})  # fmt: skip
IN_TESTS = PERMISSIVE | {"GPL", "GPL-2.0-or-later", "GPL-3.0-or-later", "LGPL-3.0-or-later"}
_SPELLINGS = {
    "Apache Software License": "Apache-2.0", "Apache 2.0 License": "Apache-2.0", "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0", "BSD License": "BSD",
    "GNU General Public License (GPL)": "GPL", "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC", "MIT License": "MIT", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip

# Its metadata names none: the licence file beside it is MIT's, and the script that it carries, axe-core, is under the MPL.
_STATED = {"axe-playwright-python": "MIT AND MPL-2.0"}


@dataclass(frozen=True)
class Package:
    """A locked package. `parts` names the parts of the Atlas that need it: `core` or extras of pyproject.toml, `test` only if no other does."""

    name: str
    version: str
    licence: str
    parts: tuple[str, ...]

    @property
    def fault(self) -> str:
        """Why its licence will not do, or nothing."""
        allowed = IN_TESTS if self.parts == ("test",) else PERMISSIVE
        if strangers := min((sorted(choice - allowed) for choice in alternatives(self.licence)), key=len):
            return f"{self.name} {self.version}, for {', '.join(self.parts) or 'nothing'}: {', '.join(strangers)} is not among the allowed licences"
        return ""


def locked(text: str) -> dict[str, str]:
    """Versions by name as a lock file pins them."""
    return {name: version for name, _, version in (line.strip().partition("==") for line in text.splitlines()) if version}


def licence_of(about: Mapping[str, str] | metadata.PackageMetadata) -> str:
    """The licence that a package declares, as an SPDX expression where that can be told; `unknown` if it declares none."""
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [value.split(" :: ")[-1] for name, value in about.items() if name == "Classifier" and value.startswith("License ::")]
    named = sorted({_SPELLINGS.get(value, value) for value in classifiers if value != "OSI Approved"})
    field = (about.get("License") or "").strip().partition("\n")[0].strip()
    # Classifiers do not say whether one may choose among them, so all of them are taken to hold.
    return " AND ".join(named) or _SPELLINGS.get(field, field) or _STATED.get(str(about.get("Name")), "unknown")


def alternatives(expression: str) -> list[frozenset[str]]:
    """The sets of licences that an SPDX expression lets one choose among.

    >>> [sorted(choice) for choice in alternatives("MIT AND (Apache-2.0 WITH LLVM-exception OR BSD-2-Clause)")]
    [['Apache-2.0 WITH LLVM-exception', 'MIT'], ['BSD-2-Clause', 'MIT']]
    """
    text = expression.strip()
    if len(choices := _split(text, "OR")) > 1:
        return [found for choice in choices for found in alternatives(choice)]
    if len(terms := _split(text, "AND")) > 1:
        return [frozenset().union(*found) for found in itertools.product(*map(alternatives, terms))]
    return alternatives(text[1:-1]) if text.startswith("(") and text.endswith(")") else [frozenset({text})]


def _split(text: str, word: str) -> list[str]:
    """The parts of an expression between the occurrences of a word outside brackets."""
    parts, depth, begin = [], 0, 0
    for found in re.finditer(rf"[()]|\s+{word}\s+", text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth and found[0] not in "()":
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [*parts, text[begin:]]


def parts(pyproject: Path = ROOT / "pyproject.toml") -> dict[str, tuple[str, ...]]:
    """The parts of the Atlas that need each package, directly or not, by normalised name."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = {"core": project["dependencies"], **project["optional-dependencies"]}
    # Tools that are not locked: what is listed must not depend on whether they happen to be installed.
    for tool in ("fuzz", "zensical"):
        del wanted[tool]
    found: dict[str, list[str]] = {}
    for part, requirements in wanted.items():
        own = [text for text in requirements if not text.startswith(PROJECT)]
        for name in _reached(own):
            if part != "test" or name not in found:
                found.setdefault(name, []).append(part)
    return {name: tuple(named) for name, named in found.items()}


def _reached(requirements: Iterable[str]) -> set[str]:
    waiting = [(Requirement(text), frozenset({""})) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extras_above = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras_above):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras) | {""})
        if key in seen:
            continue
        seen.add(key)
        try:
            more = metadata.requires(requirement.name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting += [(Requirement(text), key[1]) for text in more]
    return {name for name, _ in seen}


def packages() -> list[Package]:
    """Every locked package, by name.

    Raises
    ------
    LookupError
        If one is not installed, or in another version.
    """
    needed = parts()
    found = []
    for name, version in sorted(locked(LOCK.read_text(encoding="utf-8")).items(), key=lambda item: item[0].casefold()):
        try:
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError as error:
            raise LookupError(f"{name} is locked and not installed: run `make .venv/ready`") from error
        if installed != version:
            raise LookupError(f"{name} is locked at {version} and installed at {installed}: run `make .venv/ready`")
        found.append(Package(name, version, licence_of(metadata.metadata(name)), needed.get(canonicalize_name(name), ())))
    return found


def page(found: Iterable[Package]) -> str:
    """The list as Markdown."""
    lines = [
        "<!-- Written by `make licences` from the installed packages; change docs/licences.py or requirements.lock, not this file. -->",
        "",
        "# Licences of the packages",
        "",
        "The Atlas itself is under Apache-2.0 (code) and CC BY 4.0 (records). Its package holds none of these; `pip` fetches them. The built site",
        "holds the files of its theme, mkdocs-material. Each licence is the one that the package declares. `core` is what `import taxonomy` needs,",
        "the other words are extras of `pyproject.toml`; `test` alone means that only the tests use a package.",
        "",
        "| Package | Version | Licence | Needed for |",
        "| --- | --- | --- | --- |",
        *(f"| {item.name} | {item.version} | {item.licence} | {', '.join(item.parts)} |" for item in found),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="List the licences of the locked packages.")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether docs/licences.md is up to date")
    options = parser.parse_args(arguments)
    try:
        found = packages()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    faults = [item.fault for item in found if item.fault]
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    text = page(found)
    if options.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print("docs/licences.md is not up to date: run `make licences`", file=sys.stderr)
            return 1
    else:
        put(PAGE, text)
        print(f"{len(found)} packages: {PAGE.relative_to(ROOT)}")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
