"""All pages as files, and the way they reach the disk: a whole new folder, put in place at once."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from atlas_pages import (
    bibliography,
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
)
from atlas_pages.context import Site, page_of, table_page
from atlas_pages.markup import relative
from atlas_pages.record_page import record_json, record_page
from taxonomy.records import KINDS

HERE = Path(__file__).parent.parent
GENERATED: dict[str, Callable[[Site], str]] = {
    "index.md": home.home,
    "guide/index.md": guide.guide,
    "compare/index.md": compare.compare,
    "bibliography.md": bibliography.bibliography,
    "glossary.md": glossary.glossary,
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
    for path, text in (*explorer.pages(site), *matrix.pages(site), *reference.pages(site)):
        yield path, relative(text, path) if path.endswith(".md") else text
    yield from pictures.files(site.gallery)
    yield from bibliography.files(site)


def write(site: Site, docs: Path) -> int:
    """Write all pages and the hand-written files into `docs`, which is replaced as a whole; returns the number of generated files."""
    count = 0
    with replaced(docs) as folder:
        shutil.copytree(HERE / "assets", folder / "assets", dirs_exist_ok=True)
        for path, text in pages(site):
            target = folder / path
            if target.exists():
                raise FileExistsError(f"two pages want to be {path}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
            count += 1
        for path, content in exports.files(site):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            count += 1
    return count


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new empty folder that takes the place of `folder` at the end; if anything fails, `folder` stays as it was."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        fresh.chmod(0o755)
        yield fresh
        old = fresh.with_name(fresh.name + "-old")
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
