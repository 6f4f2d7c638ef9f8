"""Methods side by side in the browser: the same cells as Python gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from atlas_pages.claims import RUN
from atlas_pages.compare import AUDIT

from taxonomy.comparison import compare

ROWS = """() => [...document.querySelectorAll("tr[data-label]")].map(row => [row.dataset.label, row.classList.contains("different"),
  [...row.querySelectorAll("td")].map(cell => (cell.querySelector("a")?.textContent ?? cell.textContent).trim())])"""


def test_browser_shows_what_python_compares(opened: Any, to_fragment: Any, built: Any) -> None:
    page = opened("compare/index.html")
    for methods in (["lime", "shapley-value"], ["lrp-0", "lrp-epsilon", "deeplift-rescale"], ["grad-cam", "cam", "score-cam", "rise"]):
        to_fragment(page, "#?methods=" + ",".join(methods))
        expected = [[f"{row.group}: {row.label}", row.differs, [cell.text for cell in row.cells]] for row in compare(built.site.atlas, *methods).rows]
        assert page.evaluate(ROWS) == expected


def test_choosing_adding_and_removing(opened: Any) -> None:
    page = opened("compare/index.html")
    page.get_by_label("Method 3").select_option("lime")
    assert page.evaluate("location.hash") == "#?methods=integrated-gradients,shapley-value,lime"
    assert page.locator("table.compared thead th").count() == 4
    page.get_by_label("Method 3").select_option("")
    assert page.locator("table.compared thead th").count() == 3
    every = page.locator("tr[data-label]").count()
    page.get_by_label("only what differs").check()
    assert 0 < page.locator("tr[data-label]").count() < every
    assert page.locator("tr[data-label]:not(.different)").count() == 0


def test_every_method_page_leads_there(built: Any) -> None:
    known = [method for method in built.site.of_kind("method") if method.needs is not None]
    for method in known:
        assert f"compare/index.html#?methods={method.id}" in built.html(f"methods/{method.id}.html")


def shown(page: Any) -> list[str]:
    """Ids of the methods shown, by their links."""
    links = page.locator("table.compared thead th a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return [link.split("/")[-1].removesuffix(".html") for link in links]


def test_the_address_may_be_encoded_and_an_anchor_leaves_the_choice(opened: Any, to_fragment: Any) -> None:
    page = opened("compare/index.html")
    to_fragment(page, "#?methods=gradient%2Clime")
    assert shown(page) == ["gradient", "lime"]
    to_fragment(page, "#compare-methods")
    assert shown(page) == ["gradient", "lime"]
    to_fragment(page, "")
    assert shown(page) == ["integrated-gradients", "shapley-value"]


def test_a_method_stands_in_one_column(opened: Any, to_fragment: Any) -> None:
    page = opened("compare/index.html")
    to_fragment(page, "#?methods=gradient,lime")
    for number, other in ((1, "lime"), (2, "gradient"), (3, "lime")):
        assert page.get_by_label(f"Method {number}").locator(f"option[value={other}]").is_disabled()
    assert page.get_by_label("Method 1").locator("option:checked").is_enabled()
    page.get_by_label("Method 2").select_option("rise")
    assert page.get_by_label("Method 1").locator("option[value=lime]").is_enabled()
    assert shown(page) == ["gradient", "rise"]


def test_badges_are_those_of_the_claims(built: Any, opened: Any, to_fragment: Any) -> None:
    data = json.loads(built.docs.joinpath("compare/data.js").read_text(encoding="utf-8").removeprefix("window.atlasCompare = ").removesuffix(";\n"))
    words = {text for _, text in data["runs"]}
    assert words == {text for text, _ in RUN.values()} | {text for _, text in AUDIT.values()}
    page = opened("compare/index.html")
    to_fragment(page, "#?methods=integrated-gradients,lrp-epsilon")
    found = page.locator("tr[data-label='Reformulations: Game-theoretic'] td").first.locator(".badge")
    assert found.text_content() == "run: fails"
    audited = page.locator("tr[data-label='Principles and axioms: Effect completeness'] td").nth(1).locator(".badge")
    assert audited.text_content() == "audit disagrees"


@pytest.mark.parametrize("width", [360, 390])
def test_page_fits_a_phone(opened: Any, width: int) -> None:
    page = opened("compare/index.html", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_methods_are_compared_on_a_phone_without_scrolling(opened: Any, to_fragment: Any) -> None:
    page = opened("compare/index.html", width=390)
    box = page.locator("#compare .scroll")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    cells = page.locator("tr[data-label] td")
    assert cells.evaluate_all("cells => cells.every(cell => cell.scrollWidth <= cell.clientWidth + 1)")
    to_fragment(page, "#?methods=cam,lime,rise,grad-cam")
    box.evaluate("box => { box.scrollLeft = 1000; }")
    assert box.evaluate("box => box.scrollLeft") > 0
    first = page.locator("tr[data-label] th").first
    assert first.evaluate("cell => cell.getBoundingClientRect().left - cell.closest('.scroll').getBoundingClientRect().left") < 2
