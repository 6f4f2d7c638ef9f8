"""Several files written together: all of them or none, and never over a file that came into being or changed in the meantime."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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
    """Write all files, or none if anything is in the way.

    Raises
    ------
    WritingError
        If a new file exists, an old one is gone or has changed since it was read, or the disk refuses; what had been written is taken back.
    """
    places = [(change, inside(root, change.path)) for change in changes]
    if len({place for _, place in places}) != len(places):
        raise WritingError("two changes of one file")
    for change, place in places:
        _refuse(change, place)
    made: list[Path] = []
    done: list[tuple[Change, Path]] = []
    try:
        for change, place in places:
            made += _folders(place.parent)
            _put(change, place)
            done.append((change, place))
    except (OSError, KeyboardInterrupt) as error:
        _take_back(done, made)
        if isinstance(error, KeyboardInterrupt):
            raise
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
            now = place.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WritingError(f"{change.path} cannot be read: {error}") from error
        if now != change.before:
            raise WritingError(f"{change.path} has changed since it was read")


def _folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
    return list(reversed(missing))


def _put(change: Change, place: Path) -> None:
    data = change.after.encode("utf-8")
    if change.is_new:
        try:
            with open(place, "xb") as file:
                file.write(data)
        except FileExistsError:
            raise
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return
    temporary = place.with_name(f".{place.name}.writing")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        temporary.chmod(place.stat().st_mode)
        os.replace(temporary, place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _take_back(done: Sequence[tuple[Change, Path]], made: Sequence[Path]) -> None:
    for change, place in reversed(done):
        if change.before is None:
            place.unlink(missing_ok=True)
        else:
            place.write_bytes(change.before.encode("utf-8"))
    for folder in reversed(made):
        folder.rmdir()
