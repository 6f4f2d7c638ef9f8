"""Coverage of the sources: for each section, table, equation and theorem how many records cite it, and what nothing cites."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from atlas_pages.context import Site, address, place_anchor, slug
from atlas_pages.markup import box, bullets, escape, fold, link, paragraphs, plural, section, table
from atlas_pages.parts import index_front
from taxonomy import locators
from taxonomy.records import Document

NUMBERED = {"equation": "Eq.", "theorem": "Theorem", "proposition": "Proposition", "footnote": "Footnote", "reference": "Ref."}
KINDS = {
    "section": "Sections", "exhibit": "Tables and figures", "row": "Rows of tables and figures", "equation": "Numbered equations",
    "theorem": "Theorems", "proposition": "Propositions", "footnote": "Footnotes", "reference": "Works of the reference list",
}  # fmt: skip


@dataclass(frozen=True)
class Covered:
    """A place of a source: what it is, its name, its anchor on the source's page, and the ids of the records that cite it."""

    kind: str
    name: str
    anchor: str
    records: frozenset[str]


def covered(site: Site, document: Document) -> list[Covered]:
    """Every place of a source's inventory, in its order.

    A locator with a range of equations counts for each of them, one that names a row for the table too, and a work cited by its key for its
    number in the reference list. A section does not inherit what is cited from the sections inside it.
    """
    cited: dict[tuple[str, str], set[str]] = defaultdict(set)
    for place, records in site.coverage.get(document.id, {}).items():
        ids = {record.id for record in records} - {document.id}
        if place.kind in NUMBERED:
            for number in range(place.first, place.last + 1):
                cited[place.kind, str(number)] |= ids
        else:
            cited[place.kind, place.label] |= ids
            if place.row:
                cited["row", f"{place.label}, row {place.row}"] |= ids
    for number, key in enumerate(document.bibliography, 1):
        cited["reference", str(number)] |= {record.id for record in site.cited_by.get(key, ())} - {document.id}
    return [Covered(kind, name, anchor, frozenset(cited[kind, key])) for kind, key, name, anchor in _inventory(document)]


def _inventory(document: Document) -> Iterable[tuple[str, str, str, str]]:
    for part in document.sections:
        title = f" {part.title}" if part.title != part.label else ""
        yield "section", part.label, f"{part.label}{title}", place_anchor(locators.Place("section", part.label))
    for exhibit in document.exhibits:
        yield "exhibit", exhibit.label, exhibit.label, slug(exhibit.label)
        for row in exhibit.rows:
            yield "row", f"{exhibit.label}, row {row}", f"{exhibit.label}, row {row}", slug(exhibit.label)
    for kind, sign in NUMBERED.items():
        count = len(document.bibliography) if kind == "reference" else getattr(document, f"{kind}s")
        for number in range(1, count + 1):
            yield kind, str(number), f"{sign} {number}", f"{kind}-{number}"


def share(places: list[Covered]) -> Fraction:
    """Part of the places that a record cites; the list may not be empty."""
    return Fraction(sum(bool(place.records) for place in places), len(places))


def page(site: Site) -> str:
    """The page."""
    documents = [record for record in site.of_kind("source") if isinstance(record, Document)]
    parts = [section(escape(document.short[0].upper() + document.short[1:]), _document(site, document), anchor=document.id) for document in documents]
    lead = (
        "A place counts as covered if a record names it as its source. That a place is cited does not mean that all of it is encoded; that "
        "nothing cites it means that nothing of it is, unless another place says the same. A section counts by itself, apart from the sections "
        "inside it; a reference counts if a record cites the work at all."
    )
    front = index_front("Coverage of the sources", "What the records cite of each encoded work, place by place, and what nothing cites.")
    return paragraphs(front, lead, *parts) + "\n"


def _document(site: Site, document: Document) -> str:
    places = covered(site, document)
    rows, gaps = [], []
    for kind, name in KINDS.items():
        own = [place for place in places if place.kind == kind]
        if not own:
            continue
        rows.append(
            [name, f"{sum(bool(place.records) for place in own)} of {len(own)}", bar(share(own)), str(len(set().union(*(p.records for p in own))))]
        )
        missing = [place for place in own if not place.records]
        if missing:
            links = ", ".join(link(place.name, address(document, place.anchor)) + _parts_of(place, own) for place in missing)
            gaps.append(f"**{name}** ({len(missing)}): {links}")
    if not rows:
        return f"[{escape(document.title)}]({address(document)}) has no inventory of places: records cite it as a whole."
    detail = [f"{link(place.name, address(document, place.anchor))} – {plural(len(place.records), 'record')}" for place in places if place.records]
    return paragraphs(
        f"[{escape(document.title)}]({address(document)}), with the records that cite each place.",
        box("scroll coverage-bars", table(["Part", "Cited", "Share", "Records"], rows)),
        "Nothing cites:" if gaps else "Every place is cited.",
        bullets(gaps),
        fold(f"Records per place ({plural(len(detail), 'place')})", bullets(detail)),
    )


def _parts_of(place: Covered, own: list[Covered]) -> str:
    label = place.name.partition(" ")[0]
    inside = [other for other in own if other.name.startswith(f"{label}-") and other.records]
    return f" (of the sections inside it, {len(inside)} {'is' if len(inside) == 1 else 'are'} cited)" if place.kind == "section" and inside else ""


def bar(part: Fraction) -> str:
    """A share as a bar with its number; full only if it is the whole, empty only if it is nothing."""
    percent = 100 if part == 1 else 0 if part == 0 else min(99, max(1, round(100 * part)))
    return f'<span class="bar" aria-hidden="true"><span style="width:{percent}%"></span></span> {percent} %'
