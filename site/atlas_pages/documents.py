"""What the pages of sources, discrepancies, insights, symbols, examples, studies and metrics add to the frame."""

from __future__ import annotations

from typing import Any

from atlas_pages.claims import css_of, locator, reference, short, to
from atlas_pages.context import SURVEY, TABLES, Site, place_anchor, slug, table_page
from atlas_pages.markup import badge, box, bullets, display_math, escape, few, link, one_line, paragraphs, plural, section, table
from atlas_pages.parts import formula_section, grid, implementation
from taxonomy.records import Discrepancy, Document, Example, Insight, Metric, Notation, Record, Study
from taxonomy.records.document import Exhibit

MOST_SHOWN = 12


def source(site: Site, record: Record) -> str:
    """Coverage: every place of the work, with the records that cite it."""
    assert isinstance(record, Document)
    covered: dict[str, dict[str, Record]] = {}
    rows: dict[tuple[str, str, str], dict[str, Record]] = {}
    for place, records in site.coverage.get(record.id, {}).items():
        found = {other.id: other for other in records if other.id != record.id}
        covered.setdefault(place_anchor(place), {}).update(found)
        rows.setdefault((place.label, place.row, place.column), {}).update(found)
    exhibits = [_exhibit(record, exhibit, covered, rows) for exhibit in record.exhibits]
    sections = []
    for part in record.sections:
        anchor = f"sec-{slug(part.label)}"
        title = escape(part.title) if part.title != part.label else ""
        sections.append([f'<span id="{anchor}"></span>{escape(part.label)}', title, _citing(covered.get(anchor, {}))])
    numbered = []
    for kind, count in (
        ("equation", record.equations),
        ("theorem", record.theorems),
        ("proposition", record.propositions),
        ("footnote", record.footnotes),
    ):
        for number in range(1, count + 1):
            anchor = f"{kind}-{number}"
            numbered.append([f'<span id="{anchor}"></span>{kind.capitalize()} {number}', _citing(covered.get(anchor, {}))])
    front = [
        [f'<span id="{slug(name)}"></span>{name}', _citing(covered.get(slug(name), {}))]
        for name in ("Title", "Abstract", "Index Terms")
        if slug(name) in covered
    ]
    reference_rows = [
        f'<span id="reference-{n}"></span>\\[{n}\\] {reference(site, key)}'
        + (f" – {_citing(covered[f'reference-{n}'])}" if f"reference-{n}" in covered else "")
        for n, key in enumerate(record.bibliography, 1)
    ]
    total = len({id_ for records in site.coverage.get(record.id, {}).values() for id_ in (r.id for r in records)} - {record.id})
    intro = f"{record.form.capitalize()}, called *{escape(record.short)}* on these pages. {plural(total, 'record')} cite it."
    intro += f" {link('What nothing cites', f'@/sources/coverage.md#{record.id}')}."
    if record.id in site.atlas.bibliography:
        intro += f" {link('Bibliography entry', f'@/bibliography.md#{record.id}')}"
    return paragraphs(
        intro,
        section(
            "Tables and figures",
            box("scroll coverage", table(["Place", "What it shows", "Records that cite it"], exhibits)) if exhibits else "",
            anchor="exhibits",
        ),
        section(
            "Sections", box("scroll coverage", table(["Section", "Title", "Records that cite it"], sections)) if sections else "", anchor="sections"
        ),
        section(
            "Equations, theorems, footnotes",
            box("scroll coverage", table(["Place", "Records that cite it"], numbered)) if numbered else "",
            anchor="numbered",
        ),
        section("Front matter", box("scroll coverage", table(["Place", "Records that cite it"], front)) if front else "", anchor="front"),
        section("Its reference list", bullets(reference_rows), anchor="reference-list"),
    )


def _exhibit(record: Document, exhibit: Exhibit, covered: dict[str, dict[str, Record]], rows: Any) -> list[str]:
    anchor = slug(exhibit.label)
    name = "figure-4" if exhibit.label == "Fig. 4" else exhibit.label.removeprefix("Table ")
    label = escape(exhibit.label)
    if record.id == SURVEY and name in TABLES:
        label = link(exhibit.label, f"@/{table_page(name)}")
    cited = _citing(covered.get(anchor, {}))
    return [f'<span id="{anchor}"></span>{label}', one_line(exhibit.caption), cited]


def _citing(records: dict[str, Record]) -> str:
    return few([to(record, text=short(record)) for record in records.values()], MOST_SHOWN)


def discrepancy(site: Site, record: Record) -> str:
    """Both places side by side, then what it means and what the base encodes."""
    assert isinstance(record, Discrepancy)
    line = f"{badge(record.severity, f'severity {css_of(record.severity)}')} · type: {record.type}"
    sides = paragraphs(*(
        box("side", paragraphs(f"**{_work(site, place.work)}, {locator(site, place)}**", place.says)) for place in record.between
    ))  # fmt: skip
    return paragraphs(
        line,
        section("What the places say", box("sides", sides), anchor="sides"),
        section("What it means for the reader", record.meaning, anchor="meaning"),
        section("What the Atlas encodes", record.resolution, anchor="resolution"),
    )


def _work(site: Site, work: str) -> str:
    record = site.records.get(work)
    return to(record, text=record.short[0].upper() + record.short[1:]) if isinstance(record, Document) else escape(work)


def insight(site: Site, record: Record) -> str:
    """Its type."""
    assert isinstance(record, Insight)
    return f"Type: {record.type}."


def symbol(site: Site, record: Record) -> str:
    """The symbol, large."""
    assert isinstance(record, Notation)
    return f'<div class="equation" markdown="span">{display_math(record.symbol)}</div>'


def example(site: Site, record: Record) -> str:
    """The formula and the numbers."""
    assert isinstance(record, Example)
    return paragraphs(formula_section(record.formula), section("The numbers of the source", grid(record.values), anchor="values"))


def study(site: Site, record: Record) -> str:
    """What was measured, on what, with which result."""
    assert isinstance(record, Study)
    metric = f"Metric: {to(site.records[record.metric])}." if record.metric else ""
    return paragraphs(
        metric,
        section("Set-up", record.setup, anchor="setup"),
        section("Finding", record.finding, anchor="finding"),
        section("The numbers of the source", grid(record.values), anchor="values"),
        section("What one would need to repeat it", bullets(one_line(item) for item in record.unspecified), anchor="unspecified"),
    )


def metric(site: Site, record: Record) -> str:
    """The formula, which way is better, and the function that computes it."""
    assert isinstance(record, Metric)
    return paragraphs(
        f"The {record.better}, the better.", formula_section(record.formula, equation=record.equation), implementation(site, record.implementation)
    )


BODIES: dict[str, Any] = {
    "source": source, "discrepancy": discrepancy, "insight": insight, "symbol": symbol, "example": example, "study": study, "metric": metric,
}  # fmt: skip
