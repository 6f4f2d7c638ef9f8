"""Studies rerun on our own data, from `kb/reproductions/`: a section on the page of the record, and the page that lists them all."""

from __future__ import annotations

from collections.abc import Sequence

from atlas_pages import charts
from atlas_pages.claims import short, to
from atlas_pages.context import Site, address, html_address
from atlas_pages.markup import attribute, badge, box, bullets, code, escape, first_paragraph, fold, one_line, paragraphs, plural, section, table
from atlas_pages.parts import index_front
from taxonomy.evidence import Control, Measurement
from taxonomy.records import Record
from taxonomy.reproduction import Chart, Grid, Reproduction, ResultTable, Series

TITLE = "Rerun on our own data"
ANCHOR = "rerun"
UNBROKEN = 16
"""Characters up to which a cell, such as a number with its error, stays on one line."""
LEAD = "Studies of the sources, run again on data and networks that come with this project."


def index(site: Site) -> str:
    """Every rerun study with its question and what came out."""
    cards = [_card(site, found) for name, found in sorted(site.atlas.reproductions.items()) if name in site.records]
    body = box("cards reruns", "\n\n".join(cards)) if cards else "No study has been rerun yet; `atlas reproduce` does it."
    return paragraphs(
        index_front("Reproductions", LEAD),
        f"{LEAD} The numbers of a study depend on its data and training, so what can be held against the printed ones is said each time. "
        f"`atlas reproduce` runs all of them anew. {plural(len(cards), 'study', 'studies')}.",
        body,
    ) + "\n"  # fmt: skip


def _card(site: Site, found: Reproduction) -> str:
    record = site.records[found.study]
    return box(
        "card",
        paragraphs(
            f"**{to(record, text=record.title)}**",
            f"*{first_paragraph(found.question)}*",
            first_paragraph(found.finding),
            f"[Numbers and figures]({address(record, ANCHOR)}){{ .more }}",
        ),
    )


def rerun_section(site: Site, record: Record) -> str:
    """What came of rerunning the study that a record describes; on the page of a metric, the studies that measure it."""
    found = site.atlas.reproductions.get(record.id)
    body = paragraphs(_whole(site, found) if found else "", _elsewhere(site, record))
    return section(TITLE, body, anchor=ANCHOR)


def _elsewhere(site: Site, record: Record) -> str:
    """Studies that use a metric, on its page."""
    items = []
    for name, found in sorted(site.atlas.reproductions.items()):
        study = site.records.get(name)
        if study is not None and study is not record and getattr(study, "metric", None) == record.id:
            items.append(f"[{escape(study.title)}]({address(study, ANCHOR)}) – {first_paragraph(found.finding)}")
    return box("data", bullets(items)) if items else ""


def _whole(site: Site, found: Reproduction) -> str:
    made = ", ".join(f"{escape(name)} {escape(version)}" for name, version in found.versions.items())
    return paragraphs(
        f"**Question.** {first_paragraph(found.question)}",
        f"**Finding.** {first_paragraph(found.finding)}",
        f"**Setup.** {first_paragraph(found.setup)}",
        *(_table(site, item) for item in found.tables),
        *(_chart(site, item) for item in found.charts),
        *(_grid(site, item) for item in found.grids),
        section("What can be compared with the source", bullets(map(one_line, found.comparable)), level=3, anchor="comparable", searched=False),
        section("What cannot", bullets(map(one_line, found.not_comparable)), level=3, anchor="not-comparable", searched=False),
        _measured(found.measurements),
        _controls(found.controls),
        f"Computed by {code(found.script)}, seed {found.seed}"
        + (f", {made}" if made else "")
        + f"; rerun with {code(f'atlas reproduce {found.study}')}.",
    )


# -- tables ----------------------------------------------------------------------------------------------------------------------------------


def _table(site: Site, item: ResultTable) -> str:
    rows = [[_head(site, row[0]), *(_cell(cell) for cell in row[1:])] for row in item.rows]
    numbers = " numbers" if all(isinstance(cell, float) or cell is None for row in item.rows for cell in row[1:]) else ""
    body = paragraphs(one_line(item.caption), box(f"scroll results{numbers}", table([_cell(name) for name in item.columns], rows)))
    return section(escape(item.title), body, level=3, anchor=f"table-{item.id}", searched=False)


def _head(site: Site, value: str | float | None) -> str:
    """The first cell of a row: a method given by its id is linked under its name."""
    record = site.records.get(value) if isinstance(value, str) else None
    return to(record, text=short(record)) if record is not None and record.kind == "method" else _cell(value)


def _cell(value: str | float | None) -> str:
    if value is None:
        return "–"
    if not isinstance(value, str):
        return charts.plain_number(value)
    text = escape(value)
    return text if len(value) > UNBROKEN else text.replace(" ", "&nbsp;")


def _measured(items: Sequence[Measurement]) -> str:
    if not items:
        return ""
    rows = [[one_line(escape(m.name)), charts.plain_number(m.value), _bound(m), one_line(m.note or "")] for m in items]
    outside = sum(not m.within for m in items)
    bounded = sum(m.bound is not None for m in items)
    title = plural(len(items), "number") + (f", {bounded} with a bound" + (f", {outside} outside it" if outside else "") if bounded else "")
    return fold(title, box("scroll", table(["Measured", "Value", "Bound", "Note"], rows)), opened=bool(outside))


def _bound(m: Measurement) -> str:
    if m.bound is None:
        return "–"
    sign = "≤" if m.relation == "<=" else "≥"
    return f"{sign} {charts.plain_number(m.bound)} " + (badge("kept", "run holds") if m.within else badge("not kept", "run fails"))


def _controls(items: Sequence[Control]) -> str:
    if not items:
        return ""
    rows = [[one_line(c.description), charts.plain_number(c.value), charts.plain_number(c.bound), "yes" if c.detected else "no"] for c in items]
    lead = "Cases whose outcome is known; the study's own computation has to tell them apart."
    return fold(plural(len(items), "control"), paragraphs(lead, box("scroll", table(["Control", "Value", "Bound", "Noticed"], rows))))


# -- figures ---------------------------------------------------------------------------------------------------------------------------------


def _chart(site: Site, chart: Chart) -> str:
    joined = chart.marks == "lines"
    legend = "".join(f"<li>{charts.key(place, joined=joined)}{_name(site, series)}</li>" for place, series in enumerate(chart.series))
    figure = f'<figure class="rerun">{charts.drawing(chart)}<ul class="keys">{legend}</ul></figure>'
    hidden = any(series.low for series in chart.series) and len(chart.series) > charts.COLOURS
    note = " With so many curves bands would hide one another; the numbers below have their ends." if hidden else ""
    body = paragraphs(one_line(chart.caption) + note, figure, fold("The numbers of this figure", box("scroll numbers", _points(chart))))
    return section(escape(chart.title), body, level=3, anchor=f"chart-{chart.id}", searched=False)


def _name(site: Site, series: Series) -> str:
    record = site.records.get(series.method) if series.method else None
    if record is None:
        return attribute(series.name)
    name = short(record) if series.name == record.id else series.name
    return f'<a href="{html_address(record)}">{attribute(name)}</a>'


def _points(chart: Chart) -> str:
    """The values: a column for each series where all share their x, else a row for each point."""
    first = chart.series[0].x
    if all(series.x == first for series in chart.series):
        rows = [[charts.plain_number(x), *(_value(series, k) for series in chart.series)] for k, x in enumerate(first)]
        return table([escape(chart.x_label), *(escape(series.name) for series in chart.series)], rows)
    rows = [[escape(series.name), charts.plain_number(x), _value(series, k)] for series in chart.series for k, x in enumerate(series.x)]
    return table(["Series", escape(chart.x_label), escape(chart.y_label)], rows)


def _value(series: Series, place: int) -> str:
    text = charts.plain_number(series.y[place])
    if not series.low:
        return text
    low, high = (charts.plain_number(float(f"{end[place]:.3g}")) for end in (series.low, series.high))
    return f"{text} ({low} to {high})"


def _grid(site: Site, grid: Grid) -> str:
    head = "<td></td>" + "".join(f'<th scope="col">{_column(site, name)}</th>' for name in grid.columns)
    rows = []
    for label, cells in zip(grid.rows, grid.cells, strict=True):
        shown = "".join(f"<td>{_picture(f'{label}, {name}', cell)}</td>" for name, cell in zip(grid.columns, cells, strict=True))
        rows.append(f'<tr><th scope="row">{attribute(label)}</th>{shown}</tr>')
    drawn = f'<div class="scroll"><table class="pictures"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    marks = '<span class="swatch plus"></span> above zero, <span class="swatch minus"></span> below'
    scale = f"<figcaption>{marks}; each picture has its own scale.</figcaption>"
    body = paragraphs(one_line(grid.caption), f'<figure class="rerun">{drawn}{scale}</figure>')
    return section(escape(grid.title), body, level=3, anchor=f"grid-{grid.id}", searched=False)


def _column(site: Site, name: str) -> str:
    record = site.records.get(name)
    return f'<a href="{html_address(record)}">{attribute(short(record))}</a>' if record is not None and record.kind == "method" else attribute(name)


def _picture(alt: str, cell: Sequence[Sequence[float]] | None) -> str:
    return f'<img src="{charts.picture(cell)}" alt="{attribute(alt)}" width="64" height="64">' if cell else "–"
