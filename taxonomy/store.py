"""`load`: from a record folder to an atlas, through a cache that cannot be stale.

The cache is keyed by the content of every file read and of this package, so any change makes a new key; each cached file carries a checksum, and
one that does not fit is ignored and written anew. A cache that cannot be read or written changes nothing but the time taken.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import importlib.util
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from taxonomy import disk
from taxonomy.guarded import MOST_BIBLIOGRAPHY, RefusedFileError, links_below, read_bytes
from taxonomy.problems import AtlasError, Problem, Severity

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.audit import AuditReport
    from taxonomy.conformance import LibraryConformance
    from taxonomy.loading import Folder
    from taxonomy.reproduction import Reproduction

_PACKAGE = Path(__file__).parent
_CHECKSUM = 32
_Results = tuple[dict[str, "LibraryConformance"], dict[str, "Reproduction"], dict[str, "AuditReport"]]


def packaged_kb() -> Path:
    """The record folder that travels with the package: beside it in a checkout, inside it in a wheel."""
    for candidate in (_PACKAGE.parent / "kb", _PACKAGE / "kb"):
        if (candidate / "methods").is_dir():
            # An installer may have made links of the files; the records, which are plain files, are where they lead.
            works = candidate / "references.bib"
            return Path(os.path.realpath(works)).parent if works.is_symlink() else candidate
    raise FileNotFoundError("the record folder kb/ is not installed with the package; pass its path: taxonomy.load(path)")


def load(kb: str | Path | None = None, *, cache: bool = True) -> Atlas:
    """Load a record folder.

    Parameters
    ----------
    kb
        Path of the folder; the Atlas's own records by default.
    cache
        Whether to read and write the cache in the user's cache folder.

    Raises
    ------
    taxonomy.AtlasError
        If the records have errors; it lists all of them.
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> import taxonomy
    >>> atlas = taxonomy.load()
    >>> atlas.find("IG").name
    'Integrated Gradients'
    """
    folder = Path(kb) if kb is not None else packaged_kb()
    if not folder.is_dir():
        raise FileNotFoundError(f"no record folder at {folder}")
    if not cache:
        return _load(folder)
    place = _cache_folder()
    if place is None or links_below(folder):  # links are errors, and the key is made of what files hold
        return _load(folder)
    try:
        key = _digest(folder)
    except RefusedFileError:
        return _load(folder)  # which says what is wrong with the file
    path = place / f"{key}.atlas"
    cached = _recall(path, folder)
    if cached is None:
        cached = _load(folder)
        if _digest(folder) == key:  # another command may have changed a file while it was loaded
            _remember(path, cached)
    return cached


def check(kb: str | Path | None = None) -> list[Problem]:
    """Every problem of a record folder, sorted by place, and notes on what leads to no code and why; empty if there is nothing to say.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    from taxonomy.loading import read_folder

    with without_collection():
        return problems_of(read_folder(Path(kb) if kb is not None else packaged_kb()))


def problems_of(folder: Folder) -> list[Problem]:
    """As `check`, of a folder that was read already."""
    from taxonomy import bibliography, evidence, gallery
    from taxonomy.validation import unlinked, validate

    problems = folder.problems + validate(folder) + evidence.check(folder.path / "evidence", folder.path.name)
    problems += _recorded(folder)[1] + gallery.check(folder.path)
    if not any(problem.severity is Severity.ERROR for problem in problems):
        problems += unlinked(folder)  # what is still to be linked matters once the records can be read
    bib = folder.path / "references.bib"
    if bib.exists() and not any(problem.file.endswith("/references.bib") for problem in problems):
        try:
            bibliography.parse(bib.read_text(encoding="utf-8"))
        except AtlasError as error:
            problems += [dataclasses.replace(problem, file=f"{folder.path.name}/{problem.file}") for problem in error.problems]
    return sorted(problems, key=lambda p: (p.file, p.line, p.column, p.message))


def _recorded(folder: Folder) -> tuple[_Results, list[Problem]]:
    """Recorded results and their problems. That a record is missing which only cannot be read is a consequence of its own fault, and is not told."""
    from taxonomy import audit, conformance, reproduction

    compared, of_compared = conformance.survey(folder.path, folder.records)
    rerun, of_rerun = reproduction.survey(folder.path, folder.records)
    audited, of_audited = audit.survey(folder.path, folder.records)
    faults = (*of_compared, *of_rerun, *of_audited)
    told = [problem for problem in faults if not any(f"`{id_}`" in problem.message for id_ in folder.unread)]
    return (compared, rerun, audited), _no_folders(folder.path) + told


def _no_folders(kb: Path) -> list[Problem]:
    """What has the name of a folder of records or results and is none: nothing would be read of it, and nothing be missed."""
    from taxonomy import audit, conformance, reproduction
    from taxonomy.loading import FOLDERS

    return [
        Problem("folder", f"`{name}` is a file where a folder belongs", f"{kb.name}/{name}", suggestion="move it away")
        for name in (*FOLDERS, "evidence", conformance.FOLDER, reproduction.FOLDER, audit.FOLDER)
        if (kb / name).exists() and not (kb / name).is_dir()
    ]


def _load(kb: Path) -> Atlas:
    # In a function of its own, so that the parsed files are gone before the collector looks at what is left.
    with without_collection():
        return _build(kb)


def _build(kb: Path) -> Atlas:
    from taxonomy import evidence
    from taxonomy.atlas import Atlas
    from taxonomy.loading import read_folder
    from taxonomy.validation import validate

    folder = read_folder(kb)
    problems = folder.problems + validate(folder)
    try:
        found = evidence.load_evidence(kb / "evidence")
    except ValueError:
        problems += evidence.check(kb / "evidence", kb.name)
    results, faults = _recorded(folder)
    problems += faults
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise AtlasError(problems)
    bib = kb / "references.bib"
    bibtex = bib.read_text(encoding="utf-8") if bib.exists() else ""
    return Atlas(folder.records, found, bibtex, *results)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Without the garbage collector."""
    # Loading makes many objects that all stay; looking for garbage among them would take a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _digest(kb: Path) -> str:
    digest = hashlib.blake2b(f"{sys.version_info[:3]}{kb.name}{_pydantic()}".encode(), digest_size=20)
    for root, plain in ((os.fspath(kb), True), (os.fspath(_PACKAGE), False)):
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in {"schema", "__pycache__", "kb"})
            for name in sorted(names):
                if not name.startswith("."):
                    path = os.path.join(folder, name)
                    digest.update(os.fsencode(path[len(root) :]))
                    # An installer may have made links of the files of the package.
                    content = read_bytes(path if plain else os.path.realpath(path), MOST_BIBLIOGRAPHY)
                    digest.update(len(content).to_bytes(8, "little"))
                    digest.update(content)
    return digest.hexdigest()


def _pydantic() -> str:
    """What tells one installed pydantic from another, without importing it: a pickled record belongs to one."""
    spec = importlib.util.find_spec("pydantic")
    return Path(spec.origin).with_name("version.py").read_text(encoding="utf-8") if spec and spec.origin else ""


def _cache_folder() -> Path | None:
    variable, *default = ("LOCALAPPDATA", "AppData", "Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    try:
        base = Path(os.environ.get(variable) or Path.home().joinpath(*default))
    except RuntimeError:  # no home folder
        return None
    return base / "attribution-atlas" if base.is_absolute() else None


def _recall(path: Path, kb: Path) -> Atlas | None:
    """The atlas of a cached file, if the file is whole; its content is unpickled when first asked for."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) <= _CHECKSUM or hashlib.blake2b(content[_CHECKSUM:], digest_size=_CHECKSUM).digest() != content[:_CHECKSUM]:
        return None
    from taxonomy.atlas import Atlas

    return Atlas.deferred(lambda: _unpickled(content[_CHECKSUM:], kb))


def _unpickled(payload: bytes, kb: Path) -> Atlas:
    try:
        with without_collection():
            unpickled: Atlas = pickle.loads(payload)  # our own file, in the user's own cache folder
            unpickled.records  # noqa: B018
    except Exception:  # a cache of any shape must never stop a query
        return _load(kb)
    return unpickled


def _remember(path: Path, atlas: Atlas) -> None:
    payload = pickle.dumps(atlas, protocol=5)
    with contextlib.suppress(OSError):
        disk.put(path, hashlib.blake2b(payload, digest_size=_CHECKSUM).digest() + payload)
        _forget_old(path.parent)


def _forget_old(folder: Path, keep: int = 8) -> None:
    disk.sweep(folder)
    files = sorted(folder.glob("*.atlas"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[keep:]:
        with contextlib.suppress(OSError):
            file.unlink()
