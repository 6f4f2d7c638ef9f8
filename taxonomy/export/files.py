"""How an export reaches the disk: a whole file or folder, put in place at once, and nothing overwritten without being told to."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from taxonomy.disk import put, put_all, replaced

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
        If the file is there and `force` is not given, or if a folder has the name.
    OSError
        If it cannot be written.
    """
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder: name a file in it")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; add --force to replace it")
    put(path, content)


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a new folder, whole or not at all.

    With `force`, a folder that holds only files of these names, as an earlier export does, is replaced in one step. In one that holds other things
    too, those stay as they are, so that a slip of the pen deletes nothing: there the files are put in place one after the other, all of them or none.

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
    if _holds_more(folder, files):
        put_all({folder / name: content for name, content in files.items()})
        return
    with replaced(folder) as fresh:
        for name, content in files.items():
            target = fresh / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _holds_more(folder: Path, files: Mapping[str, bytes]) -> bool:
    return folder.is_dir() and any(
        path.is_symlink() or not (path.is_dir() or path.relative_to(folder).as_posix() in files) for path in folder.rglob("*")
    )
