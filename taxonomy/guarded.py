"""Reading files that strangers wrote: regular files of the record folder, of bounded size, and nothing else.

A link may lead out of the folder, and its target would be quoted in an error message; a pipe or a device never ends; a file of a gigabyte need not
be read to be refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 200_000
"""Of a record."""
MOST_JSON = 4_000_000
"""Of a file of recorded results."""
MOST_BIBLIOGRAPHY = 8_000_000

# Without O_NONBLOCK the opening of a pipe would wait for someone who writes into it.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"))
_LINK = "is a symbolic link; the records are plain files, so that nothing outside the folder is read"


class RefusedFileError(ValueError):
    """A file that is not read; `str()` says why, without its path."""


def read_bytes(path: Path | str, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises
    ------
    RefusedFileError
        If it is a link, no regular file, too large, or cannot be read.
    """
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        raise RefusedFileError(_LINK if os.path.islink(path) else f"cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise RefusedFileError("is no regular file, but a folder, pipe, socket or device")
        if found.st_size > most:
            raise RefusedFileError(f"has {found.st_size} bytes; at most {most} are read")
        content = _whole(handle, most + 1, found.st_size + 1)
    except OSError as error:
        raise RefusedFileError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)
    if len(content) > most:
        raise RefusedFileError(f"has more than {most} bytes; at most {most} are read")
    return content


def _whole(handle: int, most: int, expected: int) -> bytes:
    # No buffered reader: it asks the system twice as often, and hundreds of records are read.
    content = os.read(handle, min(expected, most))
    while len(content) >= expected and len(content) < most and (more := os.read(handle, most - len(content))):
        content += more
    return content


def read_text(path: Path | str, most: int) -> str:
    """As `read_bytes`, decoded from UTF-8; a file of another encoding is refused too."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedFileError(f"not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}") from None


def links_below(folder: Path) -> list[str]:
    """Paths, relative to `folder`, of the symbolic links below it, but hidden ones: such a one is the lock of an editor, and nothing reads it."""
    found: list[str] = []
    stack = [""]
    while stack:
        inner = stack.pop()
        with os.scandir(os.path.join(folder, inner)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    found.append(inner + entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    stack.append(f"{inner}{entry.name}/")
    return sorted(found)
