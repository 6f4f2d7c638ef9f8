"""The one way in which files reach the disk: whole or not at all, whatever fails, is killed, or is written by another process at the same time.

A file is written beside its place under a hidden name that ends in `.tmp`, and takes its place in one step; a folder likewise. A process that is
killed leaves at worst such a hidden file or folder, which the next one to write there removes once it is old enough to belong to nobody.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LEFT_BEHIND = 3600.0
"""Seconds after which what has a name for unfinished things is nobody's work in progress."""
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{12}\.tmp", re.DOTALL)


def put(path: Path, content: bytes | str, *, new: bool = False) -> None:
    r"""Write one file whole, or leave what is there as it was.

    Parameters
    ----------
    path
        The file. Missing folders above it are made; a link is followed. What is neither file nor folder (a terminal, a pipe) is written to directly.
    content
        Its bytes; text becomes UTF-8 with the line ends it has.
    new
        Whether there must be no such file yet.

    Raises
    ------
    FileExistsError
        If `new` is given and something has that name already, however late it came.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     put(Path(folder, "new", "a.txt"), "α\n")
    ...     Path(folder, "new", "a.txt").read_bytes()
    b'\xce\xb1\n'
    """
    put_all({path: content}, new=(path,) if new else ())


def put_all(files: Mapping[Path, bytes | str], *, new: Collection[Path] = ()) -> None:
    """Write several files, all of them or none.

    All are written beside their places before the first takes its place, so a full disk is noticed while nothing has changed yet. A process killed
    between two of the last steps leaves the first ones new and the others old, each of them whole; the files take their places in the order given.

    Parameters
    ----------
    files
        Content by path, as for `put`.
    new
        Those that must not exist yet.

    Raises
    ------
    FileExistsError
        If one that must be new exists.
    OSError
        If one cannot be written. What had been done is undone.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     put_all({folder / "a": b"1", folder / "b": b"2"})
    ...     try:
    ...         put_all({folder / "a": b"3", folder / "b": b"4"}, new=[folder / "b"])
    ...     except FileExistsError:
    ...         [path.read_bytes() for path in sorted(folder.iterdir())]
    [b'1', b'2']
    """
    made: list[Path] = []
    staged: list[_Staged] = []
    try:
        for path, content in files.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            if path not in new and is_special(path):  # before links are followed: that of a pipe leads to a name that nothing has
                with open(path, "wb") as stream:
                    stream.write(data)
                continue
            place = Path(path) if path in new else Path(os.path.realpath(path))
            _make_above(place, made)
            staged.append(_Staged(place, data, new=path in new, undoable=len(files) > 1))
        for one in staged:
            one.take_place()
    except BaseException:
        for one in reversed(staged):
            one.undo()
            one.clear()
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another process may have put something into it
                folder.rmdir()
        raise
    finally:
        for one in staged:
            one.clear()


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new empty folder, to be filled, that takes the place of `folder` at the end in one step; if anything fails, `folder` stays as it was.

    Whoever looks sees the whole old folder or the whole new one. Of two processes that do this at once, the later one's folder stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as name:
    ...     for text in ("1", "2"):
    ...         with replaced(Path(name, "site")) as fresh:
    ...             put(fresh / "index.html", text)
    ...     [path.read_text() for path in Path(name).rglob("*.html")]
    ['2']
    """
    place = Path(os.path.realpath(folder))
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent, place.name)
    fresh = _unfinished(place)
    try:
        fresh.mkdir()
        yield fresh
        _swap(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone at work in a folder: another process that asks for the same waits. Nothing is written for it; without such locks nobody waits."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_special(path: Path) -> bool:
    """Whether something is there that is neither file nor folder: a terminal, a pipe, a device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left unfinished in a folder: all of it, or what was to become `name`.

    What is not old yet is left alone, and so is what another program calls `.tmp`: ours end in twelve hexadecimal digits before that.
    """
    begins = "." if name is None else f".{_short(name)}."
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(begins) and _UNFINISHED.fullmatch(entry.name):
                with contextlib.suppress(OSError):  # another process removed it first
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_BEHIND:
                        _remove(Path(entry.path))


@dataclass
class _Staged:
    """A file that lies beside its place, until it takes it."""

    place: Path
    data: bytes
    new: bool
    undoable: bool

    def __post_init__(self) -> None:
        if self.new and os.path.lexists(self.place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.place))
        sweep(self.place.parent, self.place.name)
        self.backup: Path | None = None
        self.taken = False
        self.temporary = _unfinished(self.place)
        try:
            with _naming(self.place):
                with open(self.temporary, "xb") as stream:  # with the permissions that the user's umask gives
                    stream.write(self.data)
                    stream.flush()
                    os.fsync(stream.fileno())
                with contextlib.suppress(FileNotFoundError):
                    os.chmod(self.temporary, stat.S_IMODE(self.place.stat().st_mode))
        except BaseException:
            self.clear()
            raise

    def take_place(self) -> None:
        with _naming(self.place):
            if self.new:
                _moved_where_nothing_is(self.temporary, self.place)
            else:
                if self.undoable and self.place.exists():
                    backup = _unfinished(self.place)
                    _linked(self.place, backup)
                    self.backup = backup
                os.replace(self.temporary, self.place)
        self.taken = True

    def undo(self) -> None:
        if self.taken:
            with contextlib.suppress(OSError):
                if self.backup is not None:
                    os.replace(self.backup, self.place)
                else:
                    self.place.unlink()

    def clear(self) -> None:
        for path in (self.temporary, self.backup):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()


@contextlib.contextmanager
def _naming(place: Path) -> Iterator[None]:
    """Errors name the file that was to be written: the name of the hidden one beside it says nothing to anybody."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(place)) from error


def _short(name: str) -> str:
    return name[:50]  # a name may have 255 bytes, a letter up to four, and more is to be added to it


def _unfinished(place: Path) -> Path:
    return place.with_name(f".{_short(place.name)}.{os.urandom(6).hex()}.tmp")


def _make_above(place: Path, made: list[Path]) -> None:
    """Make the folders above a place, and add those that were missing to the list."""
    missing = []
    folder = place.parent
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        made.append(folder)


def _linked(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copy2(old, new)


def _moved_where_nothing_is(old: Path, new: Path) -> None:
    """Give a file a new name, unless something has that name: a link fails then, a renaming would not."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: nothing forbids that another process comes in between
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.rename(old, new)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _swap(fresh: Path, place: Path) -> None:
    """Put a folder where another one may be; afterwards the other, if any, has the name of the first."""
    for _ in range(100):
        try:
            os.rename(fresh, place)  # nothing there, or an empty folder
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM}:
                raise
        if _exchanged(fresh, place):
            return
        old = _unfinished(place)
        try:
            os.rename(place, old)
        except FileNotFoundError:  # another process is at the same place: once more
            continue
        try:
            os.rename(fresh, place)
        except OSError as error:
            if os.path.lexists(place) and error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                shutil.rmtree(old, ignore_errors=True)
                continue
            os.rename(old, place)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(place))


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system has no such step."""
    import ctypes  # late: most writing is of single files

    name, here, flag = {"linux": ("renameat2", -100, 2), "darwin": ("renameatx_np", -2, 2)}.get(sys.platform, ("", 0, 0))
    try:
        exchange = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return False
    return bool(exchange(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(flag)) == 0)
