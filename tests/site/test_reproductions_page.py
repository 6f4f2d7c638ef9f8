"""Studies rerun: the section on a record's page, the page that lists them, and the drawings."""

from __future__ import annotations

import base64
import html
import math
import re
import struct
import zlib
from typing import Any

import pytest
from atlas_pages import charts, reproductions
from atlas_pages.claims import short
from atlas_pages.context import Site

from taxonomy.evidence import Control, Measurement
from taxonomy.reproduction import Chart, Grid, Reproduction, ResultTable, Series


def section_of(built: Any, path: str) -> str:
    """The part of a page under the heading."""
    page = str(built.html(path))
    return page.split('<h2 id="rerun"')[1].split("<h2")[0] if '<h2 id="rerun"' in page else ""


def start(prose: str, most: int) -> str:
    """The first words, up to the first formula."""
    return " ".join(prose.split()).split("$")[0][:most].rstrip()


def words(text: str) -> str:
    """Text without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_every_study_is_listed(built: Any) -> None:
    page = built.html("reproductions/index.html")
    found = built.site.atlas.reproductions
    assert len(found) >= 2
    for name, study in found.items():
        record = built.site.records[name]
        assert f'href="../{record.folder}/{name}.html#rerun"' in page
        assert start(study.question, 40) in words(page)
        assert start(study.finding, 40) in words(page)
    assert 'href="../reproductions/index.html"' in built.html("findings/index.html")


def test_a_study_shows_all_that_is_recorded(built: Any) -> None:
    for name, study in built.site.atlas.reproductions.items():
        record = built.site.records[name]
        part = section_of(built, f"{record.folder}/{name}.html")
        text = words(part)
        for said in (study.question, study.finding, study.setup, *study.comparable, *study.not_comparable):
            assert start(said, 60) in text, (name, said)
        for table in study.tables:
            body = part.split(f'id="table-{table.id}"')[1].split("</table>")[0]
            assert body.count("<tr>") == len(table.rows) + 1
        for chart in study.charts:
            drawn = part.split(f'id="chart-{chart.id}"')[1].split("</figure>")[0]
            assert len(re.findall(r'<g class="series s\d">', drawn)) == len(chart.series)
            for series in chart.series:
                if series.method:
                    known = series.name if series.name != series.method else short(built.site.records[series.method])
                    assert re.search(rf'methods/{series.method}\.html">{re.escape(html.escape(known))}</a></li>', drawn)
                else:
                    assert f"{html.escape(series.name)}</li>" in drawn
        for grid in study.grids:
            drawn = part.split(f'id="grid-{grid.id}"')[1].split("</figure>")[0]
            assert drawn.count("<img ") == sum(cell is not None for row in grid.cells for cell in row)
        assert part.count("<table") >= len(study.tables) + bool(study.measurements) + bool(study.controls)
        assert f"atlas reproduce {name}" in text


def test_pages_stay_light(built: Any) -> None:
    for name in built.site.atlas.reproductions:
        record = built.site.records[name]
        assert (built.public / record.folder / f"{name}.html").stat().st_size < 150_000, name


def test_a_metric_points_to_its_studies(built: Any) -> None:
    part = section_of(built, "metrics/infidelity.html")
    assert 'href="../studies/infidelity-study.html#rerun"' in part
    assert "fitting-error-study" not in part
    assert section_of(built, "methods/lime.html") == ""


# -- a study made up for the purpose ---------------------------------------------------------------------------------------------------------

CHART = Chart(
    id="c", title='Errors & "noise"', caption="A caption.", x_label="a < b", y_label="error", x_scale="log", y_scale="log",
    series=(
        Series(name="one", x=(0.01, 0.1, 1.0), y=(1e-3, 0.0, 10.0)),
        Series(name="two", method="lime", x=(0.01, 0.1, 1.0), y=(1.0, 2.0, 3.0), low=(0.5, 1.0, 2.0), high=(2.0, 3.0, 4.0)),
    ),
)  # fmt: skip


def invented(**changes: Any) -> Reproduction:
    return Reproduction(**({
        "study": "fitting-error-study", "script": "a:b", "question": "Why?", "setup": "S.", "finding": "F.", "seed": 3, "charts": (CHART,),
        "measurements": (
            Measurement(name="kept", value=1.0, bound=2.0, relation="<="), Measurement(name="broken", value=3.0, bound=2.0, relation="<="),
        ),
        "controls": (Control(description="A known one.", value=1.0, bound=0.5, detected=True),),
        "tables": (ResultTable(id="t", title="T", caption="C.", columns=("a", "b"), rows=(("x|y", None), ("z", 1e-13), ("lime", "0.7 ± 0.1"))),),
        "grids": (Grid(id="g", title="G", caption="C.", columns=("a", "b"), rows=("r",), cells=((((1.0, -0.5), (0.0, 0.25)), None),)),),
    } | changes))  # fmt: skip


@pytest.fixture
def shown(atlas_site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(atlas_site.atlas.reproductions, "fitting-error-study", invented())
    return reproductions.rerun_section(atlas_site, atlas_site.records["fitting-error-study"])


def test_a_number_outside_its_bound_is_seen(shown: str) -> None:
    assert '<details class="fold" open markdown>\n<summary>2 numbers, 2 with a bound, 1 outside it' in shown
    assert re.search(r"\| broken \| 3 \| ≤ 2 <span class=\"badge run fails\">not kept", shown)
    assert re.search(r"\| kept \| 1 \| ≤ 2 <span class=\"badge run holds\">kept", shown)


def test_cells_are_written_for_readers(shown: str) -> None:
    assert "| x&#124;y | – |" in shown
    assert "| z | 1 × 10⁻¹³ |" in shown
    assert "| [LIME](@/methods/lime.md) | 0.7&nbsp;±&nbsp;0.1 |" in shown
    assert shown.count("<img ") == 1
    assert 'alt="r, a"' in shown


def test_zero_has_no_place_on_a_logarithmic_axis() -> None:
    drawn = charts.drawing(CHART)
    first, second = drawn.split('<g class="series')[1:]
    assert len(re.findall("<title>one", first)) == 2
    assert len(re.findall("<title>two", second)) == 3
    assert "nan" not in drawn
    assert 'aria-label="Errors &amp; &quot;noise&quot;.' in drawn
    places = [float(x) for x in re.findall(r'<use href="#c-1" x="(\d+\.\d)"', second)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert second.count("<polygon") == 1
    assert first.count("<polygon") == 0


def test_points_are_not_joined() -> None:
    assert charts.drawing(CHART).count("<polyline") == 2
    assert charts.drawing(CHART.model_copy(update={"marks": "points"})).count("<polyline") == 0


def test_series_differ_without_colour() -> None:
    keys = [re.sub(r"series s\d", "", charts.key(place, joined=True)) for place in range(8)]
    assert len(set(keys)) == 8
    assert len({charts.key(place, joined=True) for place in range(64)}) == 64
    assert len(set(charts.SHAPES)) == len(set(charts.DASHES)) == charts.COLOURS == 8
    assert not re.search(r"#[0-9a-f]{6}|rgb\(", charts.drawing(CHART))


def test_many_series_are_drawn_lightly() -> None:
    x = tuple(float(k) for k in range(12))
    one = Series(name="s", x=x, y=x, low=x, high=x)
    drawn = charts.drawing(Chart(id="m", title="M", caption="C.", x_label="x", y_label="y", series=(one,) * 9))
    assert drawn.count("<polygon") == 0
    assert drawn.count("<title>") == 0
    assert drawn.count("<use ") == 9 * 4
    assert charts.drawing(CHART.model_copy(update={"series": (one,) * 8})).count("<polygon") == 8


@pytest.mark.parametrize(
    ("values", "log"), [((0.01, 0.32), True), ((1e-13, 1e2), True), ((3.0, 3.0), True), ((0.0, 1.0), False), ((-5.0, 12.0), False)]
)
def test_axes_hold_their_values(values: tuple[float, ...], log: bool) -> None:
    axis = charts.axis(values, 0.0, 100.0, log=log)
    assert all(-1e-9 <= axis(value) <= 100 + 1e-9 for value in values)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 16
    assert all(axis.low * (1 - 1e-9) - 1e-9 <= tick <= axis.high * (1 + 1e-9) for tick in ticks)
    assert ticks == sorted(ticks)
    assert axis(axis.low) == 0
    assert axis(axis.high) == pytest.approx(100)


def test_a_picture_holds_its_values() -> None:
    data = base64.b64decode(charts.picture(((1.0, -0.5), (0.0, 0.25))).split(",")[1])
    chunks, place = {}, 8
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size])[0] == zlib.crc32(name + body)
        chunks[name] = body
        place += 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (2, 2)
    rows = zlib.decompress(chunks[b"IDAT"])
    levels = [[rows[3 * y + 1 + x] for x in range(2)] for y in range(2)]
    colour = [tuple(chunks[b"PLTE"][3 * level : 3 * level + 3]) for row in levels for level in row]
    opacity = [chunks[b"tRNS"][level] / 255 for row in levels for level in row]
    assert colour[0] == charts.POSITIVE
    assert colour[1] == charts.NEGATIVE
    assert opacity == pytest.approx([1.0, 0.5, 0.0, 0.25], abs=0.04)
    assert math.isclose(opacity[2], 0.0)


def test_one_row_of_zeros_is_a_picture() -> None:
    assert charts.picture(((0.0,),)).startswith("data:image/png;base64,")


def test_without_reruns_the_page_says_so(atlas_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_site.atlas, "reproductions", {})
    assert "No study has been rerun yet" in reproductions.index(atlas_site)
    assert reproductions.rerun_section(atlas_site, atlas_site.records["infidelity"]) == ""
