"""How an export reaches the disk: a whole file or folder, put in place at once, and nothing overwritten without being told to."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a new folder, whole or not at all.

    With `force`, the files are put into a folder that holds something: those of the same names are replaced, each at once, and all else stays as it
    is, so that a slip of the pen deletes nothing.

    Raises
    ------
    FileExistsError
        If the folder is not empty and `force` is not given, or if a file has the name.
    OSError
        If it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name a folder")
    filled = folder.is_dir() and any(folder.iterdir())
    if filled and not force:
        raise FileExistsError(f"{folder} is not empty; add --force to replace the files of the same names")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        fresh.chmod(0o755)
        for name, content in files.items():
            target = fresh / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if not filled:
            fresh.replace(folder)
            return
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).replace(folder / name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
