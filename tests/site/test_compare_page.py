"""Methods side by side in the browser: the same cells as Python gives."""

from __future__ import annotations

from typing import Any

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


def test_page_fits_a_phone(opened: Any) -> None:
    page = opened("compare/index.html", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
