"""How an export reaches the disk: each file whole, a new folder at once, and nothing overwritten without being told to."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from taxonomy.disk import is_special, locked, put, put_all, replaced

Files = dict[str, bytes]
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip archive can hold


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of the files, the same bytes whenever it is made."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            packed.writestr(entry, content)
    return stream.getvalue()


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a whole file or nothing.

    Raises
    ------
    FileExistsError
        If the file is there and `force` is not given, or if a folder has the name. A pipe or a terminal holds nothing that could be lost.
    OSError
        If it cannot be written.
    """
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder: name a file in it")
    if path.exists() and not force and not is_special(path):
        raise FileExistsError(f"{path} exists; add --force to replace it")
    put(path, content)


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write the files of a folder, all of them or none; a new folder appears in one step.

    A folder that exists stays the one it is, so that a shell that stands in it still does: each file takes its place there, in one step and with the
    permissions of the file that it replaces, and what else lies in the folder stays as it is. Of two exports into one folder the later waits.

    Raises
    ------
    FileExistsError
        If the folder is not empty and `force` is not given, or if a file has the name.
    OSError
        If it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise FileExistsError(f"{folder} is not empty; add --force to replace the files of the same names")
    if not folder.exists() and _appeared(folder, files):
        return
    with locked(folder):
        contents = {folder / name: content for name, content in files.items()}
        put_all(contents, new=() if force else contents.keys())


def _appeared(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make a new folder of the files in one step; False, and nothing done, if another process has made one meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):
        if folder.exists():
            return False
        with replaced(folder) as fresh:
            for name, content in files.items():
                target = fresh / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return True
