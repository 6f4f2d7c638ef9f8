"""The matrix: methods against reformulation families, requirements and libraries, each cell a claim with its standing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from atlas_pages.claims import LITERATURE, RUN, css_of, own_sources
from atlas_pages.context import Site, Statement, html_address
from atlas_pages.markup import attribute, box, paragraphs, plain, section
from atlas_pages.parts import index_front
from taxonomy.deduction import Fact
from taxonomy.guide.standing import WORDS as WORDS_OF_SUPPORT
from taxonomy.guide.standing import Standing, measured, requirement
from taxonomy.records import Library, Method, Record

DATA = "matrix/data.js"
LEAD = (
    "Every method against the forms it can be rewritten in, the properties it has or lacks, and the libraries that ship it. A cell is a claim: it "
    "shows what the literature says and what our run found, and leads to the claim. Point at a cell, or reach it with the Tab key, to read both."
)
DESCRIPTION = "Methods against families, properties and libraries, with what the literature says and what a run found."
GLYPHS = {"reformulates-as": "●", "satisfies": "✓", "violates": "✗", "context-dependent": "~"}
WORDS = {
    "reformulates-as": "can be rewritten as",
    "satisfies": "satisfies",
    "violates": "violates",
    "context-dependent": "satisfies or violates, depending on the context,",
}
VERDICTS = {"agrees": "holds", "agrees under options": "holds-under-condition", "agrees in part": "holds-under-condition", "differs": "fails"}


@dataclass(frozen=True)
class View:
    """One matrix."""

    id: str
    title: str
    columns: tuple[Record, ...]
    relations: tuple[str, ...]


def views(site: Site) -> tuple[View, ...]:
    """The three matrices."""
    families = tuple(site.of_kind("reformulation-family"))
    requirements = tuple(record for kind in ("principle", "axiom") for record in site.of_kind(kind))
    return (
        View("families", "Methods and reformulation families", families, ("reformulates-as",)),
        View("properties", "Methods, principles and axioms", requirements, ("satisfies", "violates", "context-dependent")),
        View("libraries", "Methods and libraries", tuple(site.of_kind("library")), ()),
    )


class Tips:
    """What is told of a cell when it is pointed at: the script's data, by number."""

    def __init__(self) -> None:
        self.all: list[list[str]] = []

    def number(self, *lines: str) -> int:
        """Keep the lines that are not empty."""
        self.all.append([line for line in lines if line])
        return len(self.all) - 1


def pages(site: Site) -> Iterator[tuple[str, str]]:
    """The page and its data."""
    tips = Tips()
    bodies = [section(view.title, _table(site, view, tips), anchor=view.id, searched=False) for view in views(site)]
    yield "matrix/index.md", paragraphs(
        index_front("The matrix", DESCRIPTION, hide=("navigation", "toc")),
        LEAD,
        _legend(),
        box("matrix-tools", "", anchor="matrix-tools"),
        *bodies,
        '<script src="data.js" defer></script>\n<script src="../assets/js/matrix.js" defer></script>',
    ) + "\n"  # fmt: skip
    yield DATA, f"window.atlasMatrix = {json.dumps(tips.all, ensure_ascii=False, separators=(',', ':'))};\n"


def _legend() -> str:
    runs = " ".join(
        f'<span class="cell {css_of(status)}" data-result="{css_of(status)}" data-words="{RUN[status][0]}"><span class="glyph">✓</span> '
        f"{RUN[status][0]}</span>" for status in ("holds", "holds under condition", "fails", "empirical", "no check yet")
    )  # fmt: skip
    literature = (
        '<span class="cell lit-derived"><span class="glyph">✓</span> dashed frame: derived, no source says it</span> '
        '<span class="cell lit-measured"><span class="glyph">✓</span> dotted frame: measured by us alone</span>'
    )
    return box("legend matrix-legend", f"✓ satisfies, ✗ violates, ~ depends on the context, ● can be rewritten so. {runs} {literature}")


def _table(site: Site, view: View, tips: Tips) -> str:
    heads = "".join(
        f'<th scope="col" data-column="{record.id}"><a href="{html_address(record)}">{attribute(_short(record))}</a></th>' for record in view.columns
    )
    lines = [f'<div class="scroll"><table class="matrix alive" id="table-{view.id}"><thead><tr><th scope="col">Method</th>{heads}</tr></thead>']
    for family, methods in _groups(site):
        rows = [(method, [_cells(site, view, method, column, tips) for column in view.columns]) for method in methods]
        rows = [(method, cells) for method, cells in rows if any(cells)]
        if rows:
            name = attribute(family)
            lines.append(f'<tbody data-family="{name}">')
            lines.append(f'<tr class="group"><th colspan="{len(view.columns) + 1}" scope="rowgroup">{name}</th></tr>')
            lines += [_row(method, cells) for method, cells in rows]
            lines.append("</tbody>")
    return "\n".join([*lines, "</table></div>"])


def _row(method: Method, cells: list[str]) -> str:
    name, title = attribute(method.abbreviation or method.name), attribute(method.title)
    head = f'<th scope="row"><a href="{html_address(method)}" title="{title}">{name}</a></th>'
    inside = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr data-method="{method.id}" data-name="{title}">{head}{inside}</tr>'


def _short(record: Record) -> str:
    return str(getattr(record, "label", None) or record.name)


def _groups(site: Site) -> list[tuple[str, list[Method]]]:
    """Methods by formulation family, those of none last."""
    found: dict[str, list[Method]] = {record.name: [] for record in site.of_kind("formulation-family")}
    rest: list[Method] = []
    for method in site.of_kind("method"):
        families = [s.fact.object for s in site.outgoing(method.id, "belongs-to")]
        (found[site.records[families[0]].name] if families else rest).append(method)
    return [*found.items(), ("In no family of Table II", rest)]


def _cells(site: Site, view: View, method: Method, column: Record, tips: Tips) -> str:
    if isinstance(column, Library):
        return _provided(site, method, column, tips)
    found = []
    for relation in view.relations:
        statement = site.statements.get(Fact(method.id, relation, column.id))
        if statement is not None:
            found.append(_cell(site, statement, tips))
    if not found and column.kind in ("principle", "axiom"):
        ours = measured(site.atlas, method.id, column.id)
        if ours is not None:
            found.append(_measured(method, column, ours, tips))
    return "".join(found)


def _cell(site: Site, statement: Statement, tips: Tips) -> str:
    subject, relation, object_ = statement.fact
    run, literature = statement.run, statement.literature
    own = [source for edge in statement.edges for source in own_sources(site.records[subject], edge)]
    places = "; ".join(dict.fromkeys(site.atlas.cite(source) for source in own))
    said = f"{site.records[subject].name} {WORDS[relation]} {site.records[object_].name}"
    number = tips.number(
        said,
        f"Literature: {LITERATURE[literature][0]}" + (f" – {places}" if places else ""),
        f"Run: {RUN[run][0].removeprefix('run: ')}" + (f" – {_statistic(statement)}" if statement.evidence else ""),
        plain(statement.evidence.finding) if statement.evidence is not None and statement.evidence.finding else "",
        _audited(site, statement.fact),
    )
    css = f"cell {css_of(run)} lit-{literature} {relation}"
    address = html_address(site.records[subject], statement.anchor)
    return _anchor(css, address, number, GLYPHS[relation], f"{said}: literature {literature}, {RUN[run][0]}", run)


def _audited(site: Site, fact: Fact) -> str:
    """What our audit says against a claim that no run has tested; the guide counts such a claim as nothing."""
    if fact.relation != "satisfies":
        return ""
    satisfied, _ = requirement(site.atlas, fact.subject, fact.object)
    return WORDS_OF_SUPPORT[satisfied.support].capitalize() if satisfied is not None and satisfied.support.startswith("violated") else ""


def _anchor(css: str, address: str, number: int, glyph: str, words: str, run: str) -> str:
    return (
        f'<a class="{css}" href="{address}" data-tip="{number}" data-run="{css_of(run)}">'
        f'<span class="glyph" aria-hidden="true">{glyph}</span><span class="sr">{attribute(words)}</span></a>'
    )


def _statistic(statement: Statement) -> str:
    assert statement.evidence is not None
    for measurement in statement.evidence.measurements:
        if measurement.bound is not None:
            return f"{measurement.name}: {measurement.value:g} {measurement.relation} {measurement.bound:g}"
    return f"{statement.evidence.trials} trials"


def _measured(method: Method, column: Record, ours: Standing, tips: Tips) -> str:
    verdict = ours.fact.relation
    said = f"{method.name} {verdict} {column.name}"
    number = tips.number(said, "Literature: nothing", f"Run: {ours.words}")
    return _anchor(f"cell empirical lit-measured {verdict}", html_address(method), number, GLYPHS[verdict], f"{said}: measured by us", "empirical")


def _provided(site: Site, method: Method, library: Library, tips: Tips) -> str:
    compared = site.atlas.conformance.get(library.id)
    verdicts = {item.name: item.verdict for item in compared.methods if item.method == method.id} if compared else {}
    found = []
    for provided in library.provides:
        if provided.method != method.id:
            continue
        verdict = verdicts.get(provided.name)
        css = VERDICTS.get(str(verdict), "no-check-yet")
        said = f"{provided.name} computes {method.name}"
        number = tips.number(said, f"Compared with the reference function: {verdict or 'not yet'}")
        found.append(_anchor(f"cell {css} provides", f"{html_address(library)}", number, "●", f"{said}: {verdict or 'not compared'}", css))
    return "".join(found)
