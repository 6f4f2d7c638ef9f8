"""The site for programs: an index as plain text for language models, and JSON beside every page that lists records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from atlas_pages import api, glossary, metadata
from atlas_pages.context import Site, page_of, table_page
from atlas_pages.markup import first_paragraph, plain
from atlas_pages.parts import KIND_NAMES
from atlas_pages.tables import PAGES as TABLE_PAGES
from taxonomy.records import KINDS, Record


@dataclass(frozen=True)
class Listed:
    """A page as the indexes name it."""

    path: str
    title: str
    description: str

    @property
    def html(self) -> str:
        """Its finished file."""
        return self.path.removesuffix(".md") + ".html"


def listed(path: str, text: str) -> Listed | None:
    """A written page; None if it has no title."""
    front = metadata.front_of(text)
    return Listed(path, str(front["title"]), str(front.get("description", ""))) if "title" in front else None


def files(site: Site, pages: Iterable[Listed]) -> Iterator[tuple[str, str]]:
    """Every file for programs as (path, text)."""
    others = [page for page in pages if metadata.record_at(site, page.path) is None]
    yield "llms.txt", llms(site, others)
    yield "index.json", _json(whole(site, others))
    for kind, record_type in KINDS.items():
        yield f"{record_type.folder}/index.json", _json({"kind": kind, "records": [_record(record) for record in site.of_kind(kind)]})
    for name in TABLE_PAGES:
        yield table_page(name).removesuffix(".md") + ".json", _json({"table": name, "rows": site.atlas.table(name)})
    yield "glossary.json", _json([
        {"term": term.name, "kind": term.kind, "means": plain(term.means), "see": [record.id for record in term.see]} for term in glossary.terms(site)
    ])  # fmt: skip
    yield f"{api.FOLDER}/index.json", _json([_entry(entry) for entry in api.entries() if not entry.elsewhere])


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def whole(site: Site, others: list[Listed]) -> dict[str, Any]:
    """Version and licence, the pages that list things, and every record with its page and its JSON."""
    found = metadata.release()
    return {
        "name": found.title, "description": found.abstract, "version": found.version, "date": found.date, "licence": metadata.LICENCE,
        "pages": [{"title": page.title, "description": page.description, "page": page.html, "json": _beside(page.path)} for page in others],
        "records": [_record(record, top=True) for record in site.records.values()],
    }  # fmt: skip


def _beside(path: str) -> str | None:
    name = metadata.json_name(path)
    return path[: path.rfind("/") + 1] + name if name else None


def _record(record: Record, *, top: bool = False) -> dict[str, Any]:
    path = page_of(record) if top else f"{record.id}.md"
    found = {"id": record.id, "kind": record.kind, "name": record.title, "summary": plain(first_paragraph(record.summary))}
    return found | {"page": path.removesuffix(".md") + ".html", "json": path.removesuffix(".md") + ".json"}


def _entry(entry: api.Entry) -> dict[str, Any]:
    page = f"{entry.page.name}.html#{entry.anchor}"
    return {
        "name": f"{entry.module}.{entry.item.name}",
        "kind": entry.item.kind,
        "signature": entry.item.signature,
        "file": entry.item.file,
        "page": page,
    }


def llms(site: Site, others: list[Listed]) -> str:
    """An index in the form of llms.txt: what this is, the pages, then every record with its JSON."""
    found = metadata.release()
    lines = [
        f"# {found.title}", "", f"> {found.abstract}", "",
        f"Version {found.version} of {found.date}, licence {metadata.LICENCE}. Addresses are relative to this file. Every record is a page "
        "and, beside it, a JSON file with the same content as the record; `index.json` lists all of them.",
        "", "## Pages", "",
        *(_line(page.title, page.html, page.description, _beside(page.path)) for page in others if not page.path.startswith(f"{api.FOLDER}/exec")),
    ]  # fmt: skip
    for kind, record_type in KINDS.items():
        records = site.of_kind(kind)
        if records:
            lines += ["", f"## {KIND_NAMES[kind][1]}", "", f"- [All as JSON]({record_type.folder}/index.json)"]
        for record in records:
            page = page_of(record).removesuffix(".md")
            lines.append(_line(record.title, f"{page}.html", glossary.first_sentence(record.summary), f"{page}.json"))
    return "\n".join(lines) + "\n"


def _line(title: str, page: str, about: str, beside: str | None) -> str:
    title = title.replace("[", "(").replace("]", ")")
    text = f"- [{title}]({page})" + (f" ([JSON]({beside}))" if beside else "")
    return f"{text}: {plain(about)}" if about else text
