"""Several files written together: all of them or none, and never over a file that came into being or changed in the meantime."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taxonomy import disk
from taxonomy.authoring.files import UnreadableError, text_of


class WritingError(Exception):
    """The files could not be written; none of them was changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file to be: its path below the root and its whole text. `before` is None for a file that must not exist yet."""

    path: str
    after: str
    before: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether the file is to be created."""
        return self.before is None

    def preview(self) -> str:
        """The new file, or what changes in an old one, as a unified diff."""
        before = (self.before or "").splitlines(keepends=True)
        source = "/dev/null" if self.before is None else f"a/{self.path}"
        return "".join(difflib.unified_diff(before, self.after.splitlines(keepends=True), source, f"b/{self.path}", n=2))


def inside(root: Path, path: str) -> Path:
    """The path below the root.

    Raises
    ------
    WritingError
        If it leads out of the root, also by a link.
    """
    resolved_root = root.resolve()
    place = (resolved_root / path).resolve()
    if not place.is_relative_to(resolved_root):
        raise WritingError(f"`{path}` leads out of {root}")
    return place


def write(root: Path, changes: Sequence[Change]) -> None:
    """Write all files, or none if anything is in the way. Two commands that write below the same root do so one after the other.

    Raises
    ------
    WritingError
        If a new file exists, an old one is gone or has changed since it was read, or the disk refuses; what had been written is taken back.
    """
    places = [(change, inside(root, change.path)) for change in changes]
    if len({place for _, place in places}) != len(places):
        raise WritingError("two changes of one file")
    # A record comes last: a process that is killed before may leave code or a reference that no record names,
    # but no record that names what is not there.
    places.sort(key=lambda item: item[1].suffix == ".yaml")
    with disk.locked(root):
        for change, place in places:
            _refuse(change, place)
        try:
            disk.put_all({place: change.after for change, place in places}, new=[place for change, place in places if change.is_new])
        except OSError as error:
            raise WritingError(f"nothing was written: {error}") from error


def _refuse(change: Change, place: Path) -> None:
    if change.is_new:
        if place.exists() or place.is_symlink():
            raise WritingError(f"{change.path} exists; it is not overwritten")
        same = [other.name for other in place.parent.iterdir() if other.name.casefold() == place.name.casefold()] if place.parent.is_dir() else []
        if same:
            raise WritingError(f"{change.path} differs from {same[0]} in upper and lower case only")
    else:
        try:
            now = text_of(place)
        except UnreadableError as error:
            raise WritingError(f"{change.path}: {error}") from error
        if now != change.before:
            raise WritingError(f"{change.path} has changed since it was read; nothing was written, run the command again")
