"""The explorer: the graph of the records as a picture that stands in the page, with data for the script that filters, searches and finds paths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atlas_pages import explorer_layout as drawing
from atlas_pages.claims import RUN, VERBS, css_of
from atlas_pages.context import Site, Statement, html_address
from atlas_pages.explorer_layout import BAR, SHAPES, Block, Column, Layout
from atlas_pages.markup import attribute, paragraphs
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.records import Record
from taxonomy.relations import RELATIONS

PAGE, DATA = "explorer/index.md", "explorer/data.js"
DESCRIPTION = "The records and the relations between them as one picture, with filters, search and paths."
LEAD = (
    "Each bar is a record and leads to its page; each line is a relation that a source asserts, or, once these are asked for, one that no source "
    "asserts and that follows. The colour and the dashes of a line tell what our run of the claim found. Choose a record to see what it is joined to."
)
PATHS = (
    "A path over all records: `atlas graph lime shapley-value` in a terminal; in Python, "
    '`taxonomy.graph.path(taxonomy.load(), "lime", "shapley-value")`.'
)

# Kinds in the picture, and whether they are there at the start.
KINDS = {
    "method": True, "formulation-family": True, "reformulation-family": True, "rationale": True, "paradigm": True, "principle": True, "axiom": True,
    "group": False, "evaluation": False, "theorem": False, "library": False,
}  # fmt: skip

# Classes of lines by what a run found; what has no run shares one.
LINES = {"holds": "h", "holds under condition": "c", "fails": "f", "empirical": "m"}
MARGIN = 41
LINE_WORDS = {css: RUN[run][0].removeprefix("run: ") for run, css in LINES.items()} | {"n": "no run, or nothing to run"}


@dataclass
class Graph:
    """The part of the graph that the explorer draws."""

    site: Site

    @cached_property
    def records(self) -> list[Record]:
        """Records of the drawn kinds, in order of kind and name."""
        return [record for kind in KINDS for record in self.site.of_kind(kind)]

    @cached_property
    def statements(self) -> list[Statement]:
        """Relations between them that are asserted or follow, the asserted ones first; one that holds both ways is drawn once."""
        known = {record.id for record in self.records}
        inside = [s for s in self.site.statements.values() if {s.fact.subject, s.fact.object} <= known]
        found = [s for s in inside if s.edges or (s.proof is not None and s.proof.rule != "symmetry")]
        return sorted(found, key=lambda s: not s.edges)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What stands on each bar, no label twice in a kind."""
        widest = {"theorem": 44, "evaluation": 40, "group": 40, "method": 26}
        found = {r.id: drawing.fitted(r.name, getattr(r, "abbreviation", None) or "", widest.get(r.kind, 30)) for r in self.records}
        twice = Counter((record.kind, found[record.id]) for record in self.records)
        return {r.id: r.name if twice[r.kind, found[r.id]] > 1 else found[r.id] for r in self.records}

    @cached_property
    def layout(self) -> Layout:
        """Everybody's place."""
        asserted = [s for s in self.statements if s.edges]
        return drawing.arrange(self._columns(), self.labels, [(s.fact.subject, s.fact.object) for s in asserted], main=(1, 2, 3))

    def _columns(self) -> list[Column]:
        def block(kind: str) -> Block:
            return Block(kind, KIND_NAMES[kind][1], [record.id for record in self.site.of_kind(kind)])

        families: dict[str, list[str]] = {record.id: [] for record in self.site.of_kind("formulation-family")}
        rest: list[str] = []
        for method in self.site.of_kind("method"):
            own = [s.fact.object for s in self.site.outgoing(method.id, "belongs-to") if s.fact.object in families]
            (families[own[0]] if own else rest).append(method.id)
        grouped = [Block("method", "", ids) for ids in families.values() if ids]
        if grouped:
            grouped[0].title = "Methods by formulation family"
        return [
            Column([block("library"), block("group"), block("evaluation")], side=-1, gap=90),
            Column([block("paradigm"), block("rationale"), block("formulation-family")], side=-1, gap=80),
            Column(grouped, gap=100, movable=True),
            Column([block("reformulation-family"), block("principle"), block("axiom")], gap=50),
            Column([Block("method", "Other methods", rest)], gap=100),
            Column([block("theorem")]),
        ]


def line_class(statement: Statement) -> str:
    """Class of a statement's line."""
    return LINES.get(statement.run, "n")


def pages(site: Site) -> Iterator[tuple[str, str]]:
    """The page and its data."""
    graph = Graph(site)
    yield PAGE, paragraphs(
        index_front("Explorer", DESCRIPTION, hide=("navigation", "toc")),
        LEAD,
        f'<div class="explorer" id="graph-explorer" data-search-exclude>\n<div class="explorer-side"></div>\n'
        f'<div class="explorer-box" tabindex="0" role="region" aria-label="Picture of the graph">{picture(graph)}</div>\n</div>',
        _legend(),
        PATHS,
        '<script src="data.js" defer></script>\n<script src="../assets/js/explorer.js" defer></script>',
    ) + "\n"  # fmt: skip
    yield DATA, data(graph)


def _legend() -> str:
    derived = _key("n d", "derived")
    lines = "".join(_key(css, words) for css, words in LINE_WORDS.items())
    return f'<div class="legend explorer-legend" data-search-exclude>Lines by what a run found: {lines}{derived}</div>'


def _key(css: str, words: str) -> str:
    line = f'<svg width="34" height="10" aria-hidden="true" class="graph"><g class="edges"><path class="{css}" d="M1 5H33"/></g></svg>'
    return f'<span class="explorer-key">{line} {words}</span>'


def extent(graph: Graph) -> tuple[int, int, int, int]:
    """The part of the drawing that holds the kinds shown at the start: left, top, width, height."""
    shown = [graph.layout.places[record.id] for record in graph.records if KINDS[record.kind]]
    if not shown:
        return 0, 0, 100, 100
    left, right = min(p.x for p in shown) - MARGIN, max(p.x + p.width for p in shown) + MARGIN
    return left, 0, right - left, max(p.y for p in shown) + BAR


def picture(graph: Graph) -> str:
    """The whole drawing; kinds and relations that are not shown at the start have the class `off`."""
    view = " ".join(map(str, extent(graph)))
    return (
        f'<svg class="graph" id="graph" viewBox="{view}" role="group" aria-label="Records and relations">'
        f'<g class="edges" aria-hidden="true">{"".join(_lines(graph))}</g><g class="heads" aria-hidden="true">{"".join(_heads(graph))}</g>'
        f'<g class="nodes">{"".join(_bars(graph))}</g></svg>'
    )


def _lines(graph: Graph) -> Iterator[str]:
    kind = {record.id: record.kind for record in graph.records}
    seen: Counter[frozenset[str]] = Counter()
    for statement in graph.statements:
        subject, _, object_ = statement.fact
        pair = frozenset((subject, object_))
        shift = (0, 3, -3, 5)[min(seen[pair], 3)]
        seen[pair] += 1
        css = line_class(statement)
        if not statement.edges:
            css += " d off"
        elif not (KINDS[kind[subject]] and KINDS[kind[object_]]):
            css += " off"
        yield f'<path class="{css}" d="{drawing.line(graph.layout, subject, object_, shift)}"/>'


def _heads(graph: Graph) -> Iterator[str]:
    for x, y, kind, text in graph.layout.heads:
        yield f'<text class="k-{kind}{"" if KINDS[kind] else " off"}" x="{x}" y="{y}">{attribute(text)}</text>'


def _bars(graph: Graph) -> Iterator[str]:
    for record in graph.records:
        place = graph.layout.places[record.id]
        yield bar(record, graph.labels[record.id], place.x, place.y, place.width, off=not KINDS[record.kind])


def bar(record: Record, label: str, x: int, y: int, width: int, *, off: bool = False, titled: bool = True) -> str:
    """A record as a bar with the mark of its kind and its label, and a link to its page; `titled` names it in full, with its kind."""
    kind = record.kind if record.kind in SHAPES else "other"
    title = f"<title>{attribute(record.title)}, {KIND_NAMES[record.kind][0]}</title>" if titled else ""
    return (
        f'<a class="k-{kind}{" off" if off else ""}" href="{html_address(record)}" transform="translate({x + 9} {y})">'
        f'{title}<rect x="-9" y="-{BAR // 2}" width="{width}" height="{BAR}"/>'
        f'<path d="{SHAPES[kind]}"/><text x="9" y="4">{attribute(label)}</text></a>'
    )


def data(graph: Graph) -> str:
    """The script's data, records and relations by number in the order of the drawing.

    A record is [id, label, title, kind, folder, x, y, width, other names], a relation [subject, object, relation, run, derived].
    """
    kinds, relations, runs = list(KINDS), list(RELATIONS), list(RUN)
    number = {record.id: place for place, record in enumerate(graph.records)}
    nodes = []
    for record in graph.records:
        place = graph.layout.places[record.id]
        names = [name for name in (record.name, getattr(record, "abbreviation", None), *record.aliases) if name and name != record.title]
        own = [record.id, graph.labels[record.id], record.title, kinds.index(record.kind), record.folder, place.x, place.y, place.width]
        nodes.append([*own, list(dict.fromkeys(names))])
    edges = [
        [number[s.fact.subject], number[s.fact.object], relations.index(s.fact.relation), runs.index(s.run), int(not s.edges)]
        for s in graph.statements
    ]
    found: dict[str, Any] = {
        "kinds": [[kind, KIND_NAMES[kind][1], int(shown), SHAPES[kind]] for kind, shown in KINDS.items()],
        "relations": [[name, VERBS[name]] for name in relations],
        "runs": [[css_of(run), RUN[run][0]] for run in runs],
        "nodes": nodes,
        "edges": edges,
        "margin": MARGIN,
        "foot": BAR,
    }
    return f"window.atlasExplorer = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"
