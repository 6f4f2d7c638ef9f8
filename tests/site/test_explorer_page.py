"""The explorer and the small pictures: complete, the same on every machine, legible, and the same paths as Python finds."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from atlas_pages import explorer, explorer_layout, neighbourhood
from atlas_pages.explorer_layout import Block, Column
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from taxonomy.graph import path
from taxonomy.relations import RELATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = "explorer/index.html"
SHOWN = "[...document.querySelectorAll('#graph .%s:not(.off)')].filter(e => e.getBoundingClientRect().width > 0)"
EVERYTHING = f"kinds={','.join(explorer.KINDS)}&derived=yes"


@pytest.fixture(scope="module")
def data(built: Any) -> Any:
    text = (built.public / "explorer" / "data.js").read_text(encoding="utf-8")
    assert len(text.encode()) < 250_000
    return json.loads(text.removeprefix("window.atlasExplorer = ").removesuffix(";\n"))


def core(site: Any) -> Any:
    """The graph of the project, as far as the explorer draws it."""
    return site.atlas.graph.subgraph([record.id for record in site.records.values() if record.kind in explorer.KINDS])


def opened_at(opened: Any, state: str, **options: Any) -> Any:
    """The explorer as a shared address brings it."""
    page = opened(PAGE, **options)
    if state:
        page.evaluate("state => { location.hash = '#?' + state }", state)
        page.reload()
    return page


# -- what is drawn -------------------------------------------------------------------------------------------------------------------------


def test_every_record_and_relation_of_the_graph_is_there(built: Any, data: Any) -> None:
    graph = core(built.site)
    assert {node[0] for node in data["nodes"]} == set(graph)
    assert len(data["nodes"]) == len(graph)
    ids = [node[0] for node in data["nodes"]]
    drawn = {(ids[a], data["relations"][r][0], ids[b], bool(derived)) for a, b, r, _, derived in data["edges"]}
    asserted = {(a, d["relation"], b) for a, b, d in graph.edges(data=True) if not d["derived"]}
    derived = {(a, d["relation"], b) for a, b, d in graph.edges(data=True) if d["derived"]} - asserted
    derived -= {(b, relation, a) for a, relation, b in asserted if RELATIONS[relation].symmetric}  # drawn once, as it is asserted
    assert len(derived) == len(built.site.atlas.derived), "the home page has the same number"
    assert drawn == {(*fact, False) for fact in asserted} | {(*fact, True) for fact in derived}
    assert len(drawn) == len(data["edges"])
    html = built.html(PAGE)
    assert html.split('<g class="edges" aria-hidden="true">')[1].split("</g>")[0].count("<path") == len(drawn)


def test_every_relation_can_be_said() -> None:
    assert explorer.VERBS.keys() == RELATIONS.keys()


def test_every_line_leads_to_a_claim_that_exists(built: Any, data: Any) -> None:
    nodes, missing = data["nodes"], []
    pages: dict[str, set[str]] = {}
    for first, second, relation, _, _ in data["edges"]:
        name, address = data["relations"][relation][0], f"{nodes[first][4]}/{nodes[first][0]}.html"
        if address not in pages:
            pages[address] = set(re.findall(r'id="([^"]+)"', built.html(address)))
        anchor = "concerns" if name == "concerns" else f"{name}-{nodes[second][0]}"
        missing += [f"{address}#{anchor}"] if anchor not in pages[address] else []
    assert not missing


def test_the_same_bytes_whatever_the_order_of_sets(kb: Path) -> None:
    program = (
        "import sys, pathlib; sys.path[:0] = ['site', '.']; import build; from atlas_pages import explorer, neighbourhood\n"
        "site = build.make_site(pathlib.Path(sys.argv[1]))\n"
        "sys.stdout.reconfigure(encoding='utf-8')\n"
        "print(*[text for _, text in explorer.pages(site)], neighbourhood.neighbourhood(site, site.records['lime']))"
    )
    found = set()
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program, str(kb)],
            capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
        found.add(run.stdout)
    assert len(found) == 1
    assert b"viewBox" in found.pop()


def test_sweeps_leave_fewer_crossings(built: Any) -> None:
    graph = explorer.Graph(built.site)
    links = [(s.fact.subject, s.fact.object) for s in graph.statements if s.edges]
    home = {id_: place.column for id_, place in graph.layout.places.items()}
    counted = [pair for pair in links if {home[pair[0]], home[pair[1]]} <= {1, 2, 3} and abs(home[pair[0]] - home[pair[1]]) == 1]
    start = explorer_layout._heights(graph._columns())
    ordered = {id_: place.y for id_, place in graph.layout.places.items()}
    assert explorer_layout.crossings(ordered, counted, home) < 0.9 * explorer_layout.crossings(start, counted, home)


def test_crossings_are_counted() -> None:
    home = {"a": 0, "b": 0, "c": 1, "d": 1}
    heights = {"a": 0, "b": 10, "c": 0, "d": 10}
    assert explorer_layout.crossings(heights, [("a", "d"), ("c", "b")], home) == 1
    assert explorer_layout.crossings(heights, [("a", "c"), ("d", "b"), ("a", "d")], home) == 0
    columns = [Column([Block("method", "M", ["a", "b"])]), Column([Block("axiom", "A", ["c", "d"])])]
    layout = explorer_layout.arrange(columns, dict.fromkeys("abcd", "x"), [("a", "d"), ("b", "c")], main=(0, 1))
    assert (layout.places["a"].y < layout.places["b"].y) is (layout.places["d"].y < layout.places["c"].y)


@pytest.mark.parametrize("state", ["", EVERYTHING])
def test_labels_do_not_overlap_and_fit_their_bars(opened: Any, state: str) -> None:
    shown = opened_at(opened, state)
    boxes = shown.evaluate(
        f"{SHOWN % 'nodes > a'}.map(a => [a.querySelector('text').textContent, ...[a.querySelector('text'), a.querySelector('rect')]"
        ".flatMap(e => {const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]})])"
    )
    assert len(boxes) > 120
    for label, left, top, right, bottom, bar_left, bar_top, bar_right, bar_bottom in boxes:
        assert bar_left < left < right <= bar_right, label
        assert bar_top - 2 < top < bottom < bar_bottom + 2, label
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = one[7] <= other[5] or other[7] <= one[5] or one[8] <= other[6] + 0.5 or other[8] <= one[6] + 0.5
            assert apart, (one[0], other[0])
    assert shown.evaluate(f"Math.min(...{SHOWN % 'nodes > a > text'}.map(t => t.getBoundingClientRect().height))") >= 12


def test_without_scripts_the_picture_links_to_every_record(built: Any, data: Any) -> None:
    nodes = built.html(PAGE).split('<g class="nodes">')[1].split("</svg>")[0]
    links = re.findall(r'<a class="k-[a-z-]+(?: off)?" href="([^"]+)"', nodes)
    assert links == [f"../{node[4]}/{node[0]}.html" for node in data["nodes"]]
    assert all((built.public / "explorer" / link).resolve().exists() for link in links)


# -- in the browser ------------------------------------------------------------------------------------------------------------------------


def test_the_script_starts_with_what_stands_in_the_page(built: Any, opened: Any, data: Any) -> None:
    page = opened(PAGE)
    html = built.html(PAGE)
    assert page.evaluate("document.getElementById('graph').getAttribute('viewBox')") == html.split('id="graph" viewBox="')[1].split('"')[0]
    assert page.evaluate(f"{SHOWN % 'nodes > a'}.length") == sum(data["kinds"][node[3]][2] for node in data["nodes"])
    visible = page.evaluate("[...document.querySelectorAll('#graph .edges path')].map(e => e.classList.contains('off'))")
    static = [
        " off" in css
        for css in re.findall(r'<path class="([^"]*)" d="M\d+ \d+C', html.split('<g class="edges" aria-hidden="true">')[1].split("</g>")[0])
    ]
    assert visible == static
    assert 0 < sum(visible) < len(visible)


def test_filters(opened: Any, data: Any) -> None:
    page = opened(PAGE)
    bars, lines = f"{SHOWN % 'nodes > a'}.length", "document.querySelectorAll('#graph .edges path:not(.off)').length"
    before = page.evaluate(bars), page.evaluate(lines)
    page.locator(".explorer-side input[data-name=theorem]").check()
    assert page.evaluate(bars) == before[0] + sum(data["kinds"][node[3]][0] == "theorem" for node in data["nodes"])
    assert "theorem" in page.evaluate("location.hash")
    page.locator(".explorer-side input[data-name=theorem]").uncheck()
    assert (page.evaluate(bars), page.evaluate(lines)) == before
    page.get_by_text("Relations", exact=True).click()
    page.get_by_role("button", name="none").click()
    assert page.evaluate(lines) == 0
    page.locator(".explorer-side input[data-name=reformulates-as]").check()
    wanted = [e for e in data["edges"] if data["relations"][e[2]][0] == "reformulates-as"]
    assert page.evaluate(lines) == sum(not edge[4] for edge in wanted)
    page.locator(".explorer-side input[data-name=derived]").check()
    assert page.evaluate(lines) == len(wanted)
    again = opened_at(opened, page.evaluate("location.hash").removeprefix("#?"))
    assert again.evaluate(lines) == len(wanted)


def test_an_anchor_leaves_the_choice(opened: Any, to_fragment: Any) -> None:
    page = opened_at(opened, "node=lime&kinds=method")
    before = page.evaluate(f"{SHOWN % 'nodes > a'}.length")
    to_fragment(page, "#graph-explorer")
    expect(page.locator(".explorer-detail h2")).to_contain_text("LIME")
    assert page.evaluate(f"{SHOWN % 'nodes > a'}.length") == before


@pytest.mark.parametrize("state", ["kinds=bogus", "kinds=", "relations=bogus"])
def test_names_that_nobody_knows_say_nothing(opened: Any, data: Any, state: str) -> None:
    page = opened_at(opened, state)
    assert page.evaluate(f"{SHOWN % 'nodes > a'}.length") == sum(data["kinds"][node[3]][2] for node in data["nodes"])
    assert page.evaluate("document.querySelectorAll('#graph .edges path:not(.off)').length") > 100


def test_lead_and_legend_say_what_the_lines_are(built: Any, opened: Any, data: Any) -> None:
    page = opened(PAGE)
    expect(page.locator("article")).to_contain_text("one that no source asserts and that follows")
    box = page.locator(".explorer-checks label", has=page.locator("[data-name=derived]"))
    expect(box).to_contain_text("asserted by no source")
    expect(box.locator("small")).to_have_text(str(len(built.site.atlas.derived)))
    expect(page.locator(".explorer-legend")).to_contain_text("empirical")


@pytest.mark.parametrize(
    ("words", "expected"), [("InteGrads", "integrated-gradients"), ("occ-1", "occlusion-1"), ("Captum", "captum"), ("ig", "integrated-gradients")]
)
def test_search_by_any_name_and_neighbourhood(opened: Any, data: Any, words: str, expected: str) -> None:
    page = opened(PAGE)
    page.get_by_label("Find a record").fill(words)
    page.get_by_label("Find a record").press("Enter")
    number = next(n for n, node in enumerate(data["nodes"]) if node[0] == expected)
    assert page.evaluate("location.hash.match(/node=([^&]+)/)[1]") == expected
    picked = page.evaluate("[...document.querySelectorAll('#graph .nodes > a')].findIndex(a => a.classList.contains('picked'))")
    assert picked == number
    own = {n for n, edge in enumerate(data["edges"]) if number in edge[:2]}
    listed = page.evaluate("[...document.querySelectorAll('.explorer-detail [data-edge]')].map(e => Number(e.dataset.edge))")
    assert sorted(listed) == sorted(own)
    near = page.evaluate("[...document.querySelectorAll('#graph .nodes > a')].flatMap((a, n) => a.classList.contains('near') ? [n] : [])")
    kinds = {n for n, kind in enumerate(data["kinds"]) if kind[2]} | {data["nodes"][number][3]}
    around = {end for n in own for end in data["edges"][n][:2] if not data["edges"][n][4] and data["nodes"][end][3] in kinds}
    assert set(near) == around | {number}


def test_click_enter_and_arrow_keys(opened: Any, data: Any) -> None:
    page = opened(PAGE)
    assert page.locator("#graph .nodes > a[tabindex='0']").count() == 1
    bar = page.locator("#graph .nodes > a[href='../methods/lime.html']")
    bar.click()
    assert page.evaluate("location.hash") == "#?node=lime"
    expect(bar).to_have_attribute("tabindex", "0")
    bar.focus()
    page.keyboard.press("ArrowRight")
    focused = "document.activeElement.getAttribute('href')"
    reached = page.evaluate(focused).split("/")[-1].removesuffix(".html")
    ids = [node[0] for node in data["nodes"]]
    assert any({ids[edge[0]], ids[edge[1]]} == {"lime", reached} for edge in data["edges"])
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == f"#?node={reached}"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused).split("/")[-1] != f"{reached}.html"
    page.keyboard.press("Escape")
    assert "#" not in page.evaluate("location.href")
    assert page.locator("#graph.chosen").count() == 0


def test_paths_are_as_short_as_those_of_python(opened: Any, built: Any, data: Any) -> None:
    page = opened(PAGE)
    graph = core(built.site)
    atlas = SimpleNamespace(find=built.site.atlas.find, graph=graph)
    ids = [node[0] for node in data["nodes"]]
    draw = random.Random(0)
    lengths = set()
    for first, second in (draw.sample(ids, 2) for _ in range(30)):
        found = page.evaluate("([a, b]) => document.getElementById('graph-explorer').atlas.shortest(a, b)", [first, second])
        if not nx.has_path(graph.to_undirected(as_view=True), first, second):
            assert found is None
            continue
        assert len(found) == len(path(atlas, first, second)), (first, second)  # type: ignore[arg-type]
        here = first
        for number in found:
            ends = [ids[end] for end in data["edges"][number][:2]]
            assert here in ends
            here = ends[1 - ends.index(here)]
        assert here == second
        lengths.add(len(found))
    assert len(lengths) > 2


def test_a_path_is_shown_and_said(opened: Any, data: Any) -> None:
    page = opened(PAGE)
    page.get_by_label("Path from").fill("LIME")
    page.get_by_label("Path from").press("Tab")
    page.get_by_label("Path to").fill("Grad-CAM")
    page.get_by_label("Path to").press("Tab")
    steps = page.locator(".explorer-path li")
    assert steps.count() >= 2
    assert page.locator("#graph .edges path.near:not(.off)").count() == steps.count()
    assert page.locator("#graph .nodes > a.near").count() == steps.count() + 1
    assert page.evaluate("location.hash") == "#?from=lime&to=grad-cam"
    for number in page.evaluate("[...document.querySelectorAll('.explorer-path li')].map(e => Number(e.dataset.edge))"):
        assert data["edges"][number][4] == 0, "what is shown is preferred"
    page = opened_at(opened, "from=lime&to=captum")
    expect(page.locator(".explorer-path")).to_contain_text("not joined in the picture")
    assert page.locator("#graph .nodes > a.near:not(.off)").count() == page.locator(".explorer-path li").count() + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_saved_picture_stands_alone(opened: Any, scheme: str) -> None:
    page = opened_at(opened, "node=lime", scheme=scheme)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as SVG").click()
    root = ElementTree.fromstring(Path(waiting.value.path()).read_text(encoding="utf-8"))
    spaced = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{spaced}svg"
    assert float(root.get("width", "0")) > 900
    drawn = [element for element in root.iter() if element.tag in (f"{spaced}path", f"{spaced}rect", f"{spaced}text")]
    assert len(drawn) > 400
    assert all("rgb" in element.get("fill", "") or element.get("fill") == "none" for element in drawn)
    assert not [element for element in root.iter() if element.get("class") or element.get("style")]
    ground, text = (tuple(map(int, re.findall(r"\d+", element.get("fill", "")))) for element in (root[0], drawn[-1]))
    assert (sum(ground) > 600) is (scheme == "light")
    assert abs(sum(ground) - sum(text)) > 400
    texts = [element.text for element in root.iter(f"{spaced}text")]
    assert "LIME" in texts
    assert not [t for t in texts if t and t.startswith("Theorem")]


def test_zoom_keeps_the_middle_and_fits_again(opened: Any) -> None:
    page = opened(PAGE)
    width = "document.getElementById('graph').getBoundingClientRect().width"
    fitted = page.evaluate(width)
    page.get_by_role("button", name="Larger").click()
    page.get_by_role("button", name="Larger").click()
    assert page.evaluate(width) == pytest.approx(fitted * 1.25**2, rel=0.01)
    assert page.evaluate("document.querySelector('.explorer-box').scrollLeft") > 50
    page.locator(".explorer-box").focus()
    page.keyboard.press("-")
    assert page.evaluate(width) == pytest.approx(fitted * 1.25, rel=0.01)
    page.mouse.move(500, 500)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function(f"{width} > {fitted * 1.3}")
    page.get_by_role("button", name="Fit the width").click()
    assert page.evaluate(width) == pytest.approx(fitted, abs=1)


@pytest.mark.parametrize("width", [360, 1440])
def test_only_the_box_scrolls_sideways(opened: Any, width: int) -> None:
    page = opened_at(opened, EVERYTHING + "&node=lime", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = page.evaluate("[document.querySelector('.explorer-box').scrollWidth, document.querySelector('.explorer-box').clientWidth]")
    assert inside[0] > inside[1]
    if width == 360:
        tops = page.evaluate("['.explorer-side', '.explorer-box'].map(css => document.querySelector(css).getBoundingClientRect().top)")
        assert tops[0] < tops[1], "the list comes first"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["", "node=integrated-gradients", "methods/integrated-gradients.html"])
def test_no_barrier_that_axe_knows(opened: Any, address: str, scheme: str) -> None:
    page = opened(address, scheme=scheme) if address.endswith(".html") else opened_at(opened, address, scheme=scheme)
    page.evaluate("document.querySelectorAll('.nearby-fold').forEach(part => { part.open = true; })")
    found = Axe().run(page, context=".nearby-fold" if "methods" in address else ".md-content", options={"preload": False}).response
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 2


# -- small pictures ------------------------------------------------------------------------------------------------------------------------


def test_every_record_page_has_a_small_picture(built: Any) -> None:
    site = built.site
    for record in site.records.values():
        text = neighbourhood.neighbourhood(site, record)
        assert len(text.encode()) < 6 * 1024, record.id
        incoming = [s for s in site.incoming(record.id) if not RELATIONS[s.fact.relation].symmetric]
        count = len(incoming) + len(site.outgoing(record.id))
        assert bool(text) is (count > 1), record.id
        if text:
            ElementTree.fromstring(re.sub(r"&(?!amp|lt|gt|quot|#)", "&amp;", text.replace(" data-search-exclude", "")))
            drawn = text.count("<path class=")
            assert drawn == text.count('transform="translate(') - 1 <= neighbourhood.MOST
            rest = sum(int(more) for more in re.findall(r">and (\d+) more<", text))
            assert drawn + rest == count, record.id
            page = built.html(f"{record.folder}/{record.id}.html")
            assert all(f'id="{anchor}"' in page for anchor in re.findall(r'href="#([a-z]+)"><text', text)), record.id


@pytest.mark.parametrize(("path_", "width"), [("methods/integrated-gradients.html", 1440), ("groups/gradient-based.html", 360)])
def test_small_picture_opens_and_leads_on(opened: Any, built: Any, path_: str, width: int) -> None:
    page = opened(path_, width=width)
    part = page.locator(".nearby-fold")
    expect(part.locator("svg")).to_be_hidden()
    part.locator("summary").click()
    expect(part.locator("svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for text, right, edge in page.evaluate(
        "[...document.querySelectorAll('.nearby a:has(rect)')]"
        ".map(a => [a.textContent, ...['text', 'rect'].map(t => a.querySelector(t).getBoundingClientRect().right)])"
    ):
        assert right <= edge, text
    for link in page.evaluate("[...document.querySelectorAll('.nearby a')].map(a => a.getAttribute('href'))"):
        target = link.split("#")[0]
        assert not target or (built.public / path_).parent.joinpath(target).resolve().exists()
