"""Curves and small pictures of a reproduction, drawn without a library: SVG in the colours of the page, and PNG for grids.

Series differ by dash and by the shape of their points as well as by colour. Colours come from the style sheet (`--series-0` and so on), so that
one drawing serves the light and the dark scheme.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atlas_pages.markup import attribute
from taxonomy.reproduction import Chart, Series

WIDTH, HEIGHT = 520, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 50
COLOURS = 8
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 4", "1 2", "6 2 1 2 1 2")
SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.8L4.6 3.4H-4.6z", "M0-5L5 0 0 5-5 0z", "M0 4.8L4.6-3.4H-4.6z",
    "M-4.6-1.5h3.1v-3.1h3v3.1h3.1v3h-3.1v3.1h-3v-3.1h-3.1z", "M-4.4-2.4L-2.4-4.4 0-2 2.4-4.4 4.4-2.4 2 0 4.4 2.4 2.4 4.4 0 2-2.4 4.4-4.4 2.4-2 0z",
    "M0-5L1.3-1.7 4.8-1.5 2.1.7 3 4.1 0 2.2-3 4.1-2.1.7-4.8-1.5-1.3-1.7z",
)  # fmt: skip
LEVELS = 15
POSITIVE, NEGATIVE = (217, 130, 43), (63, 111, 209)


@dataclass(frozen=True)
class Axis:
    """A scale from values to places on the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        low, high, value = (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Whether the value has a place: a logarithm wants it positive."""
        return value > 0 if self.log else True

    def ticks(self) -> list[float]:
        """Round values within the axis, five or so."""
        found = self._within(_log_ticks(self.low, self.high)) if self.log else []
        return found if len(found) > 1 else self._within(_linear_ticks(self.low, self.high))

    def _within(self, ticks: list[float]) -> list[float]:
        room = 1e-9 * (self.high - self.low)
        return [tick for tick in ticks if self.low - room <= tick <= self.high + room]


def axis(values: Sequence[float], start: float, end: float, *, log: bool) -> Axis:
    """An axis that holds all values, with a little room."""
    shown = [value for value in values if not log or value > 0] or [1.0]
    low, high = min(shown), max(shown)
    if log:
        room = max((high / low) ** 0.05, 1.15)
        return Axis(low / room, high * room, start, end, True)
    room = 0.05 * (high - low) or abs(high) * 0.5 or 1.0
    return Axis(0.0 if low >= 0 and low - room < 0.1 * high else low - room, high + room, start, end, False)


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 3 else (1, 2, 5)
    step = max(1, (last - first) // 7)
    return [float(f"{factor}e{power}") for power in range(first, last + 1, step) for factor in factors]


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def plain_number(value: float) -> str:
    """A number as a reader wants it: no exponent unless it is very small or large.

    >>> plain_number(0.02), plain_number(1e-13), plain_number(1200.0), plain_number(-0.5)
    ('0.02', '1 × 10⁻¹³', '1200', '−0.5')
    """
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        digits, power = f"{value:.2e}".split("e")
        digits = digits.rstrip("0").rstrip(".")
        return f"{digits} × 10{str(int(power)).translate(_RAISED)}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−") if abs(value) < 1e4 else f"{value:.0f}".replace("-", "−")


def _tick(value: float) -> str:
    """A number on an axis: a power of ten without a factor, which would not fit beside it."""
    return plain_number(value).removeprefix("1 × ")


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def drawing(chart: Chart) -> str:
    """The chart as one SVG element, without its legend."""
    xs = [value for series in chart.series for value in series.x]
    ys = [value for series in chart.series for value in (*series.y, *series.low, *series.high)]
    across = axis(xs, LEFT, WIDTH - RIGHT, log=chart.x_scale == "log")
    up = axis(ys, HEIGHT - BOTTOM, TOP, log=chart.y_scale == "log")
    label = f"{chart.title}. Across: {chart.x_label}. Up: {chart.y_label}. The numbers are in the table below."
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{attribute(label)}">'
        + "".join(_frame(chart, across, up))
        + "".join(_series(place, series, chart, across, up) for place, series in enumerate(chart.series))
        + "</svg>"
    )


def _frame(chart: Chart, across: Axis, up: Axis) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [f"M{LEFT} {up(tick):.1f}H{right}" for tick in up.ticks()] + [f"M{across(tick):.1f} {TOP}V{bottom}" for tick in across.ticks()]
    yield f'<path class="grid" d="{"".join(lines)}"/>'
    yield f'<path class="axes" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
    for tick in across.ticks():
        yield f'<text x="{across(tick):.1f}" y="{bottom + 17}" text-anchor="middle">{_tick(tick)}</text>'
    for tick in up.ticks():
        yield f'<text x="{LEFT - 7}" y="{up(tick) + 4.5:.1f}" text-anchor="end">{_tick(tick)}</text>'
    yield f'<text class="label" x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 9}" text-anchor="middle">{attribute(chart.x_label)}</text>'
    yield f'<text class="label" x="10" y="20">{attribute(chart.y_label)}</text>'


def _series(place: int, series: Series, chart: Chart, across: Axis, up: Axis) -> str:
    few, joined = len(chart.series) <= COLOURS, chart.marks == "lines"
    fine = 1 if few else 0
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if across.shows(x) and up.shows(y)]
    parts = []
    if series.low and few:  # more bands than that hide one another; the table has their ends
        rim = [(x, v) for x, v in zip(series.x, series.high, strict=True)] + [
            (x, v) for x, v in reversed(list(zip(series.x, series.low, strict=True)))
        ]
        corners = " ".join(f"{across(x):.1f},{up(v):.1f}" for x, v in rim if across.shows(x) and up.shows(v))
        parts.append(f'<polygon class="band" points="{corners}"/>')
    if joined and len(points) > 1:
        corners = " ".join(f"{across(x):.{fine}f},{up(y):.{fine}f}" for x, y in points)
        parts.append(f'<polyline{_dash(place)} points="{corners}"/>')
    parts.append(f'<defs><path id="{chart.id}-{place}" d="{_shape(place)}"/></defs>')
    # Many points stand close enough that every third shows which curve it is, each curve beginning at another.
    step = 1 if not joined or len(points) <= 10 else 3
    for x, y in points[place % step :: step]:
        use = f'<use href="#{chart.id}-{place}" x="{across(x):.{fine}f}" y="{up(y):.{fine}f}"'
        said = f"<title>{attribute(series.name)}: {plain_number(y)} at {plain_number(x)}</title>"
        parts.append(f"{use}>{said}</use>" if few else f"{use}/>")
    return f'<g class="series s{place % COLOURS}">{"".join(parts)}</g>'


def _dash(place: int) -> str:
    """With each round of the colours dashes and shapes move on, so that no two of 64 series look the same."""
    dash = DASHES[(place + 5 * (place // COLOURS)) % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _shape(place: int) -> str:
    return SHAPES[(place + 3 * (place // COLOURS)) % len(SHAPES)]


def key(place: int, *, joined: bool) -> str:
    """A sample of a series for the legend."""
    line = f'<polyline{_dash(place)} points="1,7 35,7"/>' if joined else ""
    mark = f'<path transform="translate(18 7)" d="{_shape(place)}"/>'
    return f'<svg class="key series s{place % COLOURS}" viewBox="0 0 36 14" width="36" height="14" aria-hidden="true">{line}{mark}</svg>'


# -- small pictures --------------------------------------------------------------------------------------------------------------------------


def picture(values: Sequence[Sequence[float]]) -> str:
    """A matrix as a PNG in a data address: orange above zero, blue below, stronger for more, nothing at zero; one pixel for each value.

    The scale is the matrix's own. Rows are stored uncompressed, so that equal values give equal bytes with every version of zlib.
    """
    top = max((abs(v) for row in values for v in row), default=0.0) or 1.0
    rows = b"".join(b"\0" + bytes(_level(v / top) for v in row) for row in values)
    colours = bytes(part for k in range(2 * LEVELS + 1) for part in (POSITIVE if k > LEVELS else NEGATIVE))
    alphas = bytes(round(255 * abs(k - LEVELS) / LEVELS) for k in range(2 * LEVELS + 1))
    header = struct.pack(">IIBBBBB", max((len(row) for row in values), default=1), len(values), 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"tRNS", alphas), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _level(share: float) -> int:
    return LEVELS + round(LEVELS * share)
