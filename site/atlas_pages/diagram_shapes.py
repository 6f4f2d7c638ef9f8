"""SVG of the diagrams: plain shapes with classes, coloured by the style sheet; nothing is told by colour alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from atlas_pages.charts import picture
from atlas_pages.markup import attribute

if TYPE_CHECKING:
    from atlas_pages.diagrams import Curves, Network, Plane, Unit

WIDTH = 360
ROW, TOP, RADIUS, COLUMN = 76, 54, 17, 52
APPLIED = {"relu": "relu", "abs": "|·|", "square": "( )²", "cube": "( )³", "identity": "sum"}
_LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def plain(value: float) -> str:
    """A number as short as it can be, thirds and sixths as fractions.

    >>> plain(2.0), plain(-0.5), plain(1 / 3), plain(0.8123456)
    ('2', '−0.5', '1/3', '0.812')
    """
    for below in (3, 6):
        share = value * below
        if abs(share - round(share)) < 1e-9 and abs(value - round(value)) > 1e-9 and math.gcd(round(share), below) == 1:
            return f"{round(share)}/{below}".replace("-", "−")
    rounded = float(f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}")
    return f"{rounded:.10g}".replace("-", "−") if rounded else "0"


def signed(value: float) -> str:
    """`plain` with a sign before what is above zero."""
    return f"+{plain(value)}" if value > 0 and plain(value) != "0" else plain(value)


def subscript(name: str) -> str:
    """`x1` as x₁."""
    return name.translate(_LOW)


def text(x: float, y: float, said: str, css: str = "", anchor: str = "middle") -> str:
    """One line of text."""
    of = f' class="{css}"' if css else ""
    return f'<text{of} x="{x:.4g}" y="{y:.4g}" text-anchor="{anchor}">{attribute(said)}</text>'


def _whole(parts: Sequence[str], height: float, words: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{attribute(words)}">{"".join(parts)}</svg>'


def _beside(texts: Sequence[Sequence[str]], rows: Sequence[float]) -> list[str]:
    """Attributions in columns at the left, each under the letter of its legend."""
    parts = []
    for k, column in enumerate(texts):
        x = 29 + COLUMN * k
        parts.append(text(x, 18, "abcdefgh"[k], "letter"))
        for said, y in zip(column, rows, strict=True):
            parts.append(f'<rect class="share{_sign(said)}" x="{x - 24}" y="{y - 11:.4g}" width="48" height="22" rx="4"/>{text(x, y + 4.5, said)}')
    return parts


def _sign(said: str) -> str:
    return " plus" if said.startswith("+") else " minus" if said.startswith("−") else ""


# -- networks --------------------------------------------------------------------------------------------------------------------------------


def _places(net: Network, left: float) -> dict[str, tuple[float, float]]:
    """Where every unit stands: columns by depth, rows near those it reads."""
    depth = dict.fromkeys(net.inputs, 0)
    row: dict[str, float] = {name: float(k) for k, name in enumerate(net.inputs)}
    columns: dict[int, list[str]] = {}
    for unit in net.units:
        depth[unit.name] = 1 + max(depth[source] for source in unit.of)
        row[unit.name] = sum(row[source] for source in unit.of) / len(unit.of)
        columns.setdefault(depth[unit.name], []).append(unit.name)
    for names in columns.values():
        if len(names) > 1:  # side by side around their common middle, in the order of the file
            middle = sum(row[name] for name in names) / len(names)
            row |= {name: middle + k - (len(names) - 1) / 2 for k, name in enumerate(names)}
    least = min(row.values())
    step = (WIDTH - RADIUS - 14 - left) / max(max(depth.values()), 1)
    return {name: (left + depth[name] * step, TOP + (row[name] - least) * ROW) for name in depth}


def network(net: Network, texts: Sequence[Sequence[str]], words: str) -> str:
    """Inputs at the left with their attributions, units, weights on the edges, the value in each circle."""
    place = _places(net, COLUMN * len(texts) + 40)
    values = net.values()
    edges, nodes = [], []
    for unit in net.units:
        for source, weight in unit.of.items():
            edges += _edge(place[source], place[unit.name], weight)
        nodes += _unit(unit, place[unit.name], values[unit.name], output=unit.name in net.outputs)
    for name in net.inputs:
        x, y = place[name]
        nodes.append(f'<circle class="in" cx="{x:.4g}" cy="{y:.4g}" r="{RADIUS}"/>{text(x, y + 4.5, plain(values[name]))}')
        nodes.append(text(x, y - RADIUS - 6, subscript(name), "name"))
    rows = [place[name][1] for name in net.inputs]
    height = max(y for _, y in place.values()) + (44 if any(unit.bias for unit in net.units) else 32)
    return _whole([*edges, *nodes, *_beside(texts, rows)], height, words)


def _edge(start: tuple[float, float], end: tuple[float, float], weight: float) -> list[str]:
    length = math.dist(start, end)
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    x1, y1 = start[0] + ux * RADIUS, start[1] + uy * RADIUS
    x2, y2 = end[0] - ux * (RADIUS + 1), end[1] - uy * (RADIUS + 1)
    css = "edge none" if weight == 0 else "edge"
    line = f'<path class="{css}" d="M{x1:.4g} {y1:.4g}L{x2:.4g} {y2:.4g}"/>'
    # Near the source, where edges into one unit are still apart.
    at = 0.36 if abs(uy) > 1e-9 else 0.45
    return [line, text(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at + 4.5, plain(weight), "weight")]


def _unit(unit: Unit, at: tuple[float, float], value: float, *, output: bool) -> list[str]:
    x, y = at
    parts = [f'<circle class="unit" cx="{x:.4g}" cy="{y:.4g}" r="{RADIUS}"/>']
    if output:
        parts.append(f'<circle class="ring" cx="{x:.4g}" cy="{y:.4g}" r="{RADIUS - 3}"/>')
    parts += [text(x, y + 4.5, plain(value)), text(x, y - RADIUS - 6, f"{subscript(unit.name)}: {APPLIED[unit.apply]}", "name")]
    if unit.bias:
        parts.append(text(x, y + RADIUS + 15, f"bias {signed(unit.bias)}", "name"))
    return parts


# -- games -----------------------------------------------------------------------------------------------------------------------------------


def lattice(values: Mapping[tuple[int, ...], float], texts: Sequence[Sequence[str]], words: str) -> str:
    """Sets of players from none at the bottom to all at the top; each line is one player who joins, with what that changes."""
    n = max(len(s) for s in values)
    left = COLUMN * len(texts) + 58
    gap = ROW + 6
    place = {}
    for size in range(n + 1):
        level = [s for s in values if len(s) == size]
        for k, s in enumerate(level):
            across = 0.5 if len(level) == 1 else k / (len(level) - 1)
            place[s] = (left + 36 + across * (WIDTH - left - 62), 34 + (n - size) * gap)
    edges, nodes = [], []
    for s, (x, y) in place.items():
        for i in range(n):
            if i not in s:
                upper = tuple(sorted((*s, i)))
                edges += _joins((x, y), place[upper], values[upper] - values[s])
        inside = f"{''.join(str(i + 1) for i in s)}".translate(_LOW) or "∅"
        label = "∅" if not s else f"x{inside}" if len(s) == 1 else ",".join(str(i + 1) for i in s)
        nodes.append(f'<rect class="unit" x="{x - 20:.4g}" y="{y - 13:.4g}" width="40" height="26" rx="5"/>{text(x, y + 4.5, plain(values[s]))}')
        nodes.append(text(x - 24, y + 4.5, label, "name", "end"))
    rows = [58 + 34 * i for i in range(n)]
    named = [text(COLUMN * len(texts) + 20, y + 4.5, f"x{i + 1}".translate(_LOW), "name") for i, y in enumerate(rows)]
    return _whole([*edges, *nodes, *_beside(texts, rows), *named], max(40 + n * gap + 24, rows[-1] + 20), words)


def _joins(low: tuple[float, float], high: tuple[float, float], change: float) -> list[str]:
    (x1, y1), (x2, y2) = (low[0], low[1] - 13), (high[0], high[1] + 13)
    at = 0.5 if abs(x1 - x2) < 1 else 0.36
    line = f'<path class="edge" d="M{x1:.4g} {y1:.4g}L{x2:.4g} {y2:.4g}"/>'
    return [line, text(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at + 4, signed(change), "weight")]


# -- functions ---------------------------------------------------------------------------------------------------------------------------------


def curves(panel: Curves, words: str) -> str:
    """Curves from the baseline to a little beyond the input, with their ends marked and the slope at the input."""
    low, high = panel.baseline[0], panel.input[0]
    end = high + 0.25 * (high - low)
    grid = [low + (end - low) * k / 40 for k in range(41)]
    tops = [f(x) for f in panel.functions for x in grid]
    bottom, top = min(*tops, 0.0), max(tops)

    def at(x: float, y: float) -> tuple[float, float]:
        return 34 + (x - low) / (end - low) * (WIDTH - 100), 190 - (y - bottom) / (top - bottom) * 165

    parts = [f'<path class="axes" d="M34 20V190H{WIDTH - 40}"/>']
    for x in (low, high):
        across = at(x, bottom)[0]
        parts += [f'<path class="edge none" d="M{across:.4g} 190V20"/>', text(across, 207, f"x = {plain(x)}", "name")]
    for k, (f, given) in enumerate(zip(panel.functions, panel.gives, strict=True)):
        points = " ".join(f"{px:.4g},{py:.4g}" for px, py in (at(x, f(x)) for x in grid))
        parts.append(f'<polyline class="curve c{k}" points="{points}"/>')
        if panel.tangents:
            reach = 0.22 * (high - low)
            (ax, ay), (bx, by) = (at(high + d, f(high) + d * f.slope(high)) for d in (-reach, reach))
            parts.append(f'<path class="tangent c{k}" d="M{ax:.4g} {ay:.4g}L{bx:.4g} {by:.4g}"/>')
        ex, ey = at(end, f(end))
        parts.append(text(ex + 5, ey + 4, f"{'abcdefgh'[k]}: {f.name}", "name", "start"))
        for x in (low, high):
            px, py = at(x, f(x))
            parts.append(f'<circle class="dot" cx="{px:.4g}" cy="{py:.4g}" r="4"/>')
        mx, my = at(high, f(high))
        parts.append(text(mx - 8, my - 8 - 16 * k, given.texts[0], "weight", "end"))
    return _whole(parts, 215, words)


def plane(panel: Plane, texts: Sequence[Sequence[str]], words: str) -> str:
    """The function as a picture with the straight path across it; the signs of its waves are printed as well."""
    left, top, size, cells = COLUMN * len(texts) + 48, 26, 190, 36
    (b1, b2), (x1, x2) = panel.baseline, panel.input
    steps = [(k + 0.5) / cells for k in range(cells)]
    rows = [[panel(b1 + (x1 - b1) * u, b2 + (x2 - b2) * v) for u in steps] for v in reversed(steps)]
    parts = [
        f'<image href="{picture(rows)}" x="{left}" y="{top}" width="{size}" height="{size}" preserveAspectRatio="none"/>',
        f'<rect class="frame" x="{left}" y="{top}" width="{size}" height="{size}"/>',
        f'<path class="path" d="M{left} {top + size}L{left + size} {top}"/>',
    ]
    for u, v in itertools.product((0.17, 0.5, 0.83), repeat=2):
        value = panel(b1 + (x1 - b1) * u, b2 + (x2 - b2) * v)
        if abs(value) > 0.1:
            parts.append(text(left + u * size, top + (1 - v) * size + 5, "+" if value > 0 else "−", "over"))
    for px, py, said, anchor in ((left, top + size, "0", "end"), (left + size, top, "0", "start")):
        parts += [f'<circle class="dot" cx="{px}" cy="{py}" r="4"/>', text(px + (-8 if anchor == "end" else 8), py + 4, said, "name", anchor)]
    parts += [text(left + size / 2, top + size + 18, "x₁", "name"), text(left - 8, top + size / 2, "x₂", "name", "end")]
    return _whole([*parts, *_beside(texts, (top + 50, top + 100))], top + size + 28, words)
