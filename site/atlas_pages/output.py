"""All pages as files, and the way they reach the disk: a whole new folder, put in place at once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from atlas_pages import (
    bibliography,
    changes,
    compare,
    drawn_evidence,
    explorer,
    exports,
    findings,
    glossary,
    guide,
    home,
    implementations,
    indexes,
    machine,
    matrix,
    metadata,
    pictures,
    reference,
    reproductions,
    source_coverage,
    tables,
    tutorials,
)
from atlas_pages.context import Site, page_of, table_page
from atlas_pages.markup import relative
from atlas_pages.record_page import record_json, record_page
from taxonomy.disk import replaced
from taxonomy.records import KINDS

HERE = Path(__file__).parent.parent
ASSETS = HERE / "assets"
GENERATED: dict[str, Callable[[Site], str]] = {
    "index.md": home.home,
    "guide/index.md": guide.guide,
    "compare/index.md": compare.compare,
    "bibliography.md": bibliography.bibliography,
    "glossary.md": glossary.glossary,
    changes.PAGE: changes.page,
    tutorials.INDEX: tutorials.index,
    "sources/coverage.md": source_coverage.page,
    "tables/index.md": tables.index,
    "findings/index.md": findings.findings,
    "findings/counterexamples.md": drawn_evidence.album,
    "findings/unchecked.md": findings.unchecked,
    "findings/stubs.md": findings.stubs,
    "findings/relations.md": findings.relations,
    "pictures/index.md": pictures.album,
    "reproductions/index.md": reproductions.index,
    "implementations/index.md": implementations.implementations,
    "implementations/conformance.md": implementations.conformance,
    "implementations/audits.md": implementations.audits,
    "implementations/speed.md": implementations.speed,
}


def pages(site: Site) -> Iterator[tuple[str, str]]:
    """Every file of text as (path, text), a page with what its head says to machines, and the indexes for programs last."""
    found = []
    for path, text in _written(site):
        if path.endswith(".md"):
            found.append(machine.listed(path, text))
            text = metadata.stamped(site, path, text)
        yield path, text
    yield from machine.files(site, [page for page in found if page is not None])


def _written(site: Site) -> Iterator[tuple[str, str]]:
    """Every page and its data as (path, text); addresses are relative already."""
    for file in sorted((HERE / "pages").glob("*.md")):
        yield file.name, file.read_text(encoding="utf-8")
    for path, write in GENERATED.items():
        yield path, relative(write(site), path)
    for name, write in tables.PAGES.items():
        path = table_page(name)
        yield path, relative(write(site), path)
    for kind, record_type in KINDS.items():
        path = f"{record_type.folder}/index.md"
        yield path, relative(indexes.index(site, kind), path)
    for record in site.records.values():
        path = page_of(record)
        yield path, relative(record_page(site, record), path)
        yield path.removesuffix(".md") + ".json", record_json(record)
    yield guide.DATA, guide.data(site)
    yield compare.DATA, compare.data(site)
    yield pictures.DATA, pictures.data(site)
    for path, text in (*explorer.pages(site), *matrix.pages(site), *reference.pages(site), *tutorials.files(site)):
        yield path, relative(text, path) if path.endswith(".md") else text
    yield from pictures.files(site.gallery)
    yield from changes.files(site)


def write(site: Site, docs: Path) -> int:
    """Write all pages and the hand-written files into `docs`, which is replaced as a whole; returns the number of generated files."""
    count = 0
    with replaced(docs) as folder:
        shutil.copytree(ASSETS, folder / "assets", dirs_exist_ok=True)
        for path, content in itertools.chain(encoded(site), late(site)):
            target = folder / path
            if target.exists():
                raise FileExistsError(f"two pages want to be {path}")
            _put(target, content)
            count += 1
    return count


def encoded(site: Site) -> Iterator[tuple[str, bytes]]:
    """Every page and its data as they stand in a file: UTF-8, a line feed after each line."""
    for path, text in pages(site):
        yield path, text.encode()


LATE = ("data/", f"{bibliography.FOLDER}/")
"""Folders of what `late` gives."""


def late(site: Site) -> Iterator[tuple[str, bytes]]:
    """The exports of all records and of each work: files that no page shows, and each of which says of what state of all records it is."""
    yield from exports.files(site)
    for path, text in bibliography.files(site):
        yield path, text.encode()


def assets() -> Iterator[tuple[str, bytes]]:
    """The hand-written files as (path, content)."""
    for file in sorted(path for path in ASSETS.rglob("*") if path.is_file()):
        yield f"assets/{file.relative_to(ASSETS).as_posix()}", file.read_bytes()


def update(files: Iterable[tuple[str, bytes]], docs: Path) -> list[str]:
    """Write those files that are not in `docs` with this content already; returns their paths."""
    changed = []
    for path, content in files:
        target = docs / path
        if not (target.is_file() and target.read_bytes() == content):
            _put(target, content)
            changed.append(path)
    return changed


def _put(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
