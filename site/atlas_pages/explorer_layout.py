"""Where the explorer's records stand: columns by kind, ordered so that few lines cross.

The drawing is made when the site is built. Every place is a whole number and every mean a fraction, so that all machines draw the same bytes.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

ROW, HEAD, GAP, BAR = 16, 26, 8, 14
TOP, HEIGHT = 12, 800
SWEEPS = 16
LEFT, WIDEST = 30, 36

# Advance widths of the sans in thousandths of its size, by groups of characters; the tests compare them with what a browser draws.
_WIDTHS = dict.fromkeys("iljI.,:;'|!", 280) | dict.fromkeys("ftr()-[]/ ", 370) | dict.fromkeys("mwMWÖ@–—…", 880)
_WIDTHS |= dict.fromkeys("ABCDEGHKNOPQRSTUVXYZ×&αγ", 690)

# One outline per kind, about a point of 10 by 10, so that colour is never the only mark of a kind.
SHAPES = {
    "method": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "formulation-family": "M-4-4h8v8h-8z", "reformulation-family": "M0-5 5 0 0 5-5 0z",
    "group": "M-5-3h10v6h-10z", "rationale": "M0-5 5 4h-10z", "paradigm": "M0-5 5-1 3 5h-6L-5-1z", "principle": "M-2.5-4.5h5L5 0 2.5 4.5h-5L-5 0z",
    "axiom": "M0 5-5-4h10z", "evaluation": "M-2-5h4v3h3v4h-3v3h-4v-3h-3v-4h3z", "theorem": "M-5-5h10v3h-3.5v7h-3v-7h-3.5z",
    "library": "M-3-4h8l-2 8h-8z",
    "other": "M-3-3h6v6h-6z",
}  # fmt: skip


@dataclass
class Block:
    """Records of one kind that stand together, in order; a block without a title continues the one above it."""

    kind: str
    title: str
    ids: list[str]


@dataclass
class Column:
    """A column of blocks, its left edge and its width; lines within the column bend out on `side` (-1 left, 1 right)."""

    blocks: list[Block]
    side: int = 1
    gap: int = 100
    movable: bool = False
    x: int = 0
    width: int = 0


@dataclass(frozen=True)
class Place:
    """Left end and middle of a record's bar."""

    x: int
    y: int
    width: int
    column: int


@dataclass
class Layout:
    """Places of all records, headings as (x, y, kind, text), and the columns."""

    columns: list[Column]
    places: dict[str, Place] = field(default_factory=dict)
    heads: list[tuple[int, int, str, str]] = field(default_factory=list)


def text_width(text: str, size: int = 12) -> int:
    """Width of a text in the sans at `size` pixels, rounded up."""
    return -(-sum(_WIDTHS.get(c, 590) for c in text) * size // 1000)


def fitted(name: str, short: str = "", most: int = WIDEST) -> str:
    """The name if it fits, else the abbreviation, else the name cut between words."""
    if len(name) <= most:
        return name
    if short and len(short) <= most:
        return short
    return name[: most - 1].rsplit(" ", 1)[0].rstrip(" ,–-") + "…"


def arrange(columns: list[Column], labels: Mapping[str, str], links: Sequence[tuple[str, str]], *, main: Sequence[int]) -> Layout:
    """Order the records of each column by barycentre sweeps and give every record its place.

    Parameters
    ----------
    columns
        Columns from left to right; the order of their records is only a start.
    labels
        What stands on each record's bar.
    links
        Joined records.
    main
        Numbers of the neighbouring columns whose crossings are counted; the others are ordered once, at the end.
    """
    around: dict[str, list[str]] = defaultdict(list)
    home = {id_: number for number, column in enumerate(columns) for block in column.blocks for id_ in block.ids}
    for first, second in links:
        if home[first] != home[second]:
            around[first].append(second)
            around[second].append(first)
    counted = [pair for pair in links if {home[pair[0]], home[pair[1]]} <= set(main) and abs(home[pair[0]] - home[pair[1]]) == 1]
    best, fewest = _orders(columns), crossings(_heights(columns), counted, home)
    for sweep in range(SWEEPS):
        for number in main if sweep % 2 else reversed(main):
            others = {id_ for other in main if abs(other - number) == 1 for block in columns[other].blocks for id_ in block.ids}
            _sort(columns[number], {id_: [o for o in around[id_] if o in others] for id_ in home}, _heights(columns))
        found = crossings(_heights(columns), counted, home)
        if found < fewest:
            best, fewest = _orders(columns), found
    for column, order in zip(columns, best, strict=True):
        column.blocks = order
    for number, column in enumerate(columns):
        if number not in main:
            _sort(column, around, _heights(columns))
    return _placed(columns, labels)


def crossings(heights: Mapping[str, int], links: Iterable[tuple[str, str]], home: Mapping[str, int]) -> int:
    """How often links between the same two columns cross."""
    between: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for first, second in links:
        left, right = sorted((first, second), key=lambda id_: home[id_])
        between[home[left], home[right]].append((heights[left], heights[right]))
    count = 0
    for ends in between.values():
        seen: list[int] = []
        group: list[int] = []
        last = None
        for left_y, right_y in sorted(ends):
            if left_y != last:
                for y in group:
                    bisect.insort(seen, y)
                group, last = [], left_y
            count += len(seen) - bisect.bisect_right(seen, right_y)
            group.append(right_y)
    return count


def _orders(columns: Sequence[Column]) -> list[list[Block]]:
    return [[Block(block.kind, block.title, list(block.ids)) for block in column.blocks] for column in columns]


def _heights(columns: Sequence[Column]) -> dict[str, int]:
    """Middle of every record's bar. A column with few records is spread over the height of the drawing."""
    found: dict[str, int] = {}
    for column in columns:
        rows = sum(len(block.ids) for block in column.blocks)
        heads = sum(HEAD + GAP if block.title else GAP for block in column.blocks)
        pitch = min(max(ROW, (HEIGHT - heads) // max(rows, 1)), 2 * ROW)
        y = TOP
        for block in column.blocks:
            y += HEAD if block.title else 0
            for id_ in block.ids:
                found[id_] = y
                y += pitch
            y += GAP
    return found


def _sort(column: Column, around: Mapping[str, Sequence[str]], heights: Mapping[str, int]) -> None:
    """Order each block by the mean height of what its records are joined to; in a movable column, the blocks by the mean of their records."""
    mean = {}
    for block in column.blocks:
        for id_ in block.ids:
            near = [heights[other] for other in around.get(id_, ())]
            mean[id_] = Fraction(sum(near), len(near)) if near else Fraction(heights[id_])
        block.ids.sort(key=lambda id_: (mean[id_], id_))
    if column.movable:
        titles = [block.title for block in column.blocks]
        column.blocks.sort(key=lambda block: (sum((mean[id_] for id_ in block.ids), Fraction(0)) / max(len(block.ids), 1), block.ids))
        for block, title in zip(column.blocks, titles, strict=True):
            block.title = title


def _placed(columns: list[Column], labels: Mapping[str, str]) -> Layout:
    layout, heights, x = Layout(columns), _heights(columns), LEFT
    for number, column in enumerate(columns):
        ids = [id_ for block in column.blocks for id_ in block.ids]
        column.x, column.width = x, max((24 + text_width(labels[id_]) for id_ in ids), default=0)
        for block in column.blocks:
            for id_ in block.ids:
                layout.places[id_] = Place(x, heights[id_], column.width, number)
            if block.title and block.ids:
                layout.heads.append((x, heights[block.ids[0]] - BAR - 1, block.kind, block.title))
        x += column.width + column.gap
    return layout


def line(layout: Layout, first: str, second: str, shift: int = 0) -> str:
    """The path of a line between two bars: from side to side, or a bow beside the column that holds both."""
    a, b = layout.places[first], layout.places[second]
    y, z = a.y + shift, b.y + shift
    if a.column == b.column:
        side = layout.columns[a.column].side
        x = a.x + a.width if side > 0 else a.x
        out = x + side * min(14 + abs(z - y) // 8, 52)
        return f"M{x} {y}C{out} {y} {out} {z} {x} {z}"
    start, end = (a.x + a.width, b.x) if a.column < b.column else (a.x, b.x + b.width)
    middle = (start + end) // 2
    return f"M{start} {y}C{middle} {y} {middle} {z} {end} {z}"
