"""How other libraries' implementations compare with the reference methods: one JSON file per library under `kb/conformance/`.

The files are written by `atlas conformance`, which runs both sides; they are read here, so that queries and pages
need neither torch nor the libraries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from taxonomy.disk import put
from taxonomy.evidence import to_json
from taxonomy.problems import Problem, did_you_mean
from taxonomy.recorded import files_of, need, parsed, surveyed
from taxonomy.records import Library, Method, Record
from taxonomy.records.base import Id, Model
from taxonomy.text import Prose

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

FOLDER = "conformance"
Verdict = Literal["agrees", "agrees under options", "agrees in part", "differs"]


class ComparedCase(Model):
    """One setting on which both implementations ran."""

    setting: str = Field(min_length=1, description="The model and the input.")
    options: str = Field("", description="How the library was called; empty for its defaults.")
    error: float | None = Field(None, description="Largest difference relative to the largest attribution of ours; absent if it is not finite.")
    tolerance: float
    agrees: bool
    because: Prose | None = Field(None, description="Why the two differ.")

    @model_validator(mode="after")
    def _explained(self) -> ComparedCase:
        if not self.agrees and not self.because:
            raise ValueError(f"`{self.setting}` differs without a `because`")
        return self


class ComparedMethod(Model):
    """All cases of one method under one name of the library."""

    method: Id
    name: str = Field(description="Dotted path in the library.")
    cases: tuple[ComparedCase, ...] = Field(min_length=1)

    @property
    def verdict(self) -> Verdict:
        """What the cases say together.

        `agrees`: in every case. `differs`: in none. In between, `agrees under options` if the setting of every case that differs also has a case
        that agrees with other options, else `agrees in part`: there are models or inputs on which no option helps.
        """
        agreeing = {case.setting for case in self.cases if case.agrees}
        differing = {case.setting for case in self.cases if not case.agrees}
        if not differing:
            return "agrees"
        if not agreeing:
            return "differs"
        return "agrees under options" if differing <= agreeing else "agrees in part"


class LibraryConformance(Model):
    """What was found for one library."""

    library: Id
    version: str = Field(description="Version of the library that ran.")
    torch: str = Field(description="Version of torch that ran.")
    methods: tuple[ComparedMethod, ...]

    def to_json(self) -> str:
        """The file's text."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))


def write(found: LibraryConformance, kb: Path) -> Path:
    """Store a library's results below the record folder and return the file's path."""
    path = kb / FOLDER / f"{found.library}.json"
    put(path, found.to_json())
    return path


def read(path: Path) -> LibraryConformance:
    """Read one file.

    Raises
    ------
    ValueError
        If it is not valid; the message begins with the path.
    """
    found = parsed(LibraryConformance, path, "conformance file")
    if path.stem != found.library:
        raise ValueError(f"{path}: holds results for `{found.library}`, which belong in {found.library}.json")
    return found


def load(kb: Path) -> dict[str, LibraryConformance]:
    """All results below a record folder, by library.

    Raises
    ------
    ValueError
        If a file is invalid.
    """
    return {found.library: found for found in map(read, files_of(kb / FOLDER))}


def among(atlas: Atlas, libraries: Sequence[str], methods: Sequence[str]) -> dict[str, LibraryConformance]:
    """The recorded results for these libraries and methods, in all their spellings; for all if none are named.

    Raises
    ------
    KeyError
        If a name is unknown, or nothing is recorded of one.
    """
    named = [atlas.find(name, "library").id for name in libraries]
    need(named, atlas.conformance, "comparison with")
    found = {name: atlas.conformance[name] for name in named or atlas.conformance}
    if not methods:
        return found
    wanted = [atlas.method(name).id for name in methods]
    need(wanted, {item.method for compared in found.values() for item in compared.methods}, "comparison of")
    chosen = {name: tuple(item for item in compared.methods if item.method in wanted) for name, compared in found.items()}
    return {name: found[name].model_copy(update={"methods": items}) for name, items in chosen.items() if items}


def survey(kb: Path, records: Mapping[str, Record]) -> tuple[dict[str, LibraryConformance], list[Problem]]:
    """All results by library, and what is wrong with the files: not valid, or about methods and libraries that are not there."""

    def problem(path: Path, fault: str) -> Problem:
        advice = "delete the file and run `atlas conformance`"
        return Problem("conformance", fault, f"{kb.name}/{FOLDER}/{path.name}", suggestion=advice)

    return surveyed(files_of(kb / FOLDER), read, lambda found: _strangers(found, records), problem)


def _strangers(found: LibraryConformance, records: Mapping[str, Record]) -> Iterable[str]:
    library = records.get(found.library)
    if not isinstance(library, Library):
        yield f"there is no library `{found.library}`"
        return
    provided = {(item.method, item.name) for item in library.provides}
    for item in found.methods:
        if not isinstance(records.get(item.method), Method):
            hint = did_you_mean(item.method, [record.id for record in records.values() if isinstance(record, Method)])
            yield f"there is no method `{item.method}`" + (f"; {hint}" if hint else "")
        elif (item.method, item.name) not in provided:
            yield f"`{item.name}` was compared with `{item.method}`, but the library's record does not list it under `provides`"
