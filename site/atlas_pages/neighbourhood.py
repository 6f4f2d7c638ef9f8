"""A small picture of a record's neighbourhood for its page: what points to it on the left, what it says of others on the right."""

from __future__ import annotations

from collections.abc import Sequence

from atlas_pages.claims import INCOMING, OUTGOING, short
from atlas_pages.context import Site, Statement
from atlas_pages.explorer import KINDS, bar, line_class
from atlas_pages.explorer_layout import fitted, text_width
from atlas_pages.markup import attribute, plural
from taxonomy.records import Record
from taxonomy.relations import RELATIONS

MOST = 12
WIDTH, SIDE, MIDDLE, ROW, HEAD = 762, 236, 190, 18, 15
LONGEST = 30

Groups = list[tuple[str, list[Statement]]]
Parts = dict[str, list[str]]


def neighbourhood(site: Site, record: Record) -> str:
    """The picture, folded; nothing for a record of one relation or none, whose page says as much in a line."""
    incoming = [s for s in site.incoming(record.id) if not RELATIONS[s.fact.relation].symmetric]
    outgoing = site.outgoing(record.id)
    count = len(incoming) + len(outgoing)
    if count < 2:
        return ""
    left, right = _shares(len(incoming), len(outgoing))
    before, after = _nearest(incoming, left), _nearest(outgoing, right)
    drawn = sum(len(statements) for _, statements in (*before, *after))
    title = f"Neighbourhood: {plural(count, 'relation')}" if drawn == count else f"Neighbourhood: {drawn} of {count} relations"
    more = f'<p class="small"><a href="@/explorer/index.html#?node={record.id}">In the explorer</a></p>' if record.kind in KINDS else ""
    picture = _picture(site, record, before, after, (len(incoming), len(outgoing)))
    return (
        f'<details class="fold nearby-fold" data-search-exclude>\n<summary>{title}</summary>\n'
        f'<div class="nearby" tabindex="0" role="group" aria-label="Neighbourhood">{picture}</div>{more}\n</details>'
    )


def _shares(incoming: int, outgoing: int) -> tuple[int, int]:
    """How many records either side gets; one that needs fewer than half leaves the rest to the other."""
    left = min(incoming, max(MOST // 2, MOST - outgoing))
    return left, min(outgoing, MOST - left)


def _nearest(statements: Sequence[Statement], most: int) -> Groups:
    """Some of the statements by relation: in turn one of each relation, what is asserted before what follows, what is merely about it last."""
    groups: dict[str, list[Statement]] = {name: [] for name in RELATIONS}
    for statement in sorted(statements, key=lambda s: (not s.edges, line_class(s) == "n", s.fact)):
        groups[statement.fact.relation].append(statement)
    taken: Groups = [(name, []) for name in RELATIONS]
    for last in (False, True):
        turn = 0
        while most and any(len(groups[name]) > turn for name in RELATIONS if (name == "concerns") is last):
            for name, own in taken:
                if (name == "concerns") is last and len(groups[name]) > turn and most:
                    own.append(groups[name][turn])
                    most -= 1
            turn += 1
    return [(name, own) for name, own in taken if own]


def _picture(site: Site, record: Record, before: Groups, after: Groups, totals: tuple[int, int]) -> str:
    tall = max(_height(before, totals[0]), _height(after, totals[1]), 2 * ROW)
    label = fitted(record.name, short(record), LONGEST - 6)
    width = min(MIDDLE, 26 + text_width(label))
    parts: Parts = {"edges": [], "heads": [], "nodes": []}
    _side(site, record, before, totals[0], parts, at_left=True, tall=tall, reach=(WIDTH - width) // 2)
    _side(site, record, after, totals[1], parts, at_left=False, tall=tall, reach=(WIDTH + width) // 2)
    parts["nodes"].append(bar(record, label, (WIDTH - width) // 2, tall // 2, width, titled=False).replace('class="', 'class="self ', 1))
    inside = "".join(f'<g class="{name}">{"".join(items)}</g>' for name, items in parts.items())
    words = attribute(_words(site, record, before, after))
    return f'<svg class="graph" viewBox="-1 -1 {WIDTH + 2} {tall + 2}" role="group" aria-label="{words}">{inside}</svg>'


def _side(site: Site, record: Record, groups: Groups, total: int, parts: Parts, *, at_left: bool, tall: int, reach: int) -> None:
    """One side of the picture: relations as small headings, records below them, lines to the record in the middle."""
    names, end = (INCOMING, "subject") if at_left else (OUTGOING, "object")
    edge = SIDE if at_left else WIDTH - SIDE
    anchor = ' text-anchor="end"' if at_left else ""
    y = (tall - _height(groups, total)) // 2
    for relation, statements in groups:
        parts["heads"].append(f'<text x="{edge}" y="{y + 11}"{anchor}>{attribute(names[relation])}</text>')
        y += HEAD
        for statement in statements:
            other = site.records[getattr(statement.fact, end)]
            text = fitted(other.name, short(other), LONGEST)
            width = min(SIDE, 24 + text_width(text))
            parts["edges"].append(_line(statement, edge, y + ROW // 2, reach, tall // 2))
            parts["nodes"].append(bar(other, text, edge - width if at_left else edge, y + ROW // 2, width, titled=text != other.name))
            y += ROW
    if rest := total - sum(len(statements) for _, statements in groups):
        more = f'<text class="more" x="{edge}" y="{y + 13}"{anchor}>and {rest} more</text>'
        parts["nodes"].append(f'<a href="#{_listed(site, record, incoming=at_left)}">{more}</a>')


def _listed(site: Site, record: Record, *, incoming: bool) -> str:
    """Anchor of the section of the page that lists all statements of one side."""
    if incoming:
        return "incoming" if any(site.records[s.fact.subject].kind != "discrepancy" for s in site.incoming(record.id)) else "discrepancies"
    return "standing" if any(s.fact.relation != "concerns" for s in site.outgoing(record.id)) else "concerns"


def _height(groups: Groups, total: int) -> int:
    shown = sum(len(statements) for _, statements in groups)
    return len(groups) * HEAD + shown * ROW + (ROW if total > shown else 0)


def _line(statement: Statement, near: int, y: int, far: int, middle: int) -> str:
    bend = (near + far) // 2
    css = line_class(statement) + ("" if statement.edges else " d")
    return f'<path class="{css}" d="M{near} {y}C{bend} {y} {bend} {middle} {far} {middle}"/>'


def _words(site: Site, record: Record, before: Groups, after: Groups) -> str:
    """The picture in words."""
    sides = [(OUTGOING, "object", after), (INCOMING, "subject", before)]
    said = [
        f"{names[relation]}: {', '.join(short(site.records[getattr(s.fact, end)]) for s in statements)}"
        for names, end, groups in sides for relation, statements in groups
    ]  # fmt: skip
    return f"{record.name}. {'. '.join(said)}."
