"""The matrix: complete, honest about standing, usable without a mouse and without a script."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from atlas_pages.claims import RUN
from playwright.sync_api import expect


def cells(built: Any, table: str) -> list[tuple[str, str]]:
    html = built.html("matrix/index.html")
    body = html.split(f'id="table-{table}"')[1].split("</table>")[0]
    return re.findall(r'<a class="(cell [^"]*)" href="([^"]*)"', body)


def test_every_statement_has_its_cell(built: Any) -> None:
    statements = list(built.site.statements.values())
    families = [s for s in statements if s.fact.relation == "reformulates-as"]
    assert len(cells(built, "families")) == len(families)
    judged = [s for s in statements if s.fact.relation in ("satisfies", "violates", "context-dependent")]
    found = cells(built, "properties")
    # What only the audit measured has no claim to lead to, and leads to the method.
    assert len([address for _, address in found if "#" in address]) == len(judged)
    provided = sum(len(library.provides) for library in built.site.of_kind("library"))
    assert len(cells(built, "libraries")) == provided


def test_cells_show_what_the_run_found_and_lead_to_the_claim(built: Any) -> None:
    by_address = {address.split("/")[-1]: css for css, address in cells(built, "families")}
    assert "holds" in by_address["shapley-value.html#reformulates-as-game-theoretic"].split()
    assert "fails" in by_address["integrated-gradients.html#reformulates-as-game-theoretic"].split()
    for name, css in by_address.items():
        page, anchor = name.split("#")
        assert f'id="{anchor}"' in built.html(f"methods/{page}"), css


def test_each_cell_has_words_for_those_who_cannot_see_it_and_a_tip(built: Any) -> None:
    html = built.html("matrix/index.html")
    tips = json.loads(built.docs.joinpath("matrix/data.js").read_text(encoding="utf-8").removeprefix("window.atlasMatrix = ").removesuffix(";\n"))
    numbers = [int(number) for number in re.findall(r'data-tip="(\d+)"', html)]
    assert numbers == list(range(len(tips)))
    assert all(len(tip) >= 2 for tip in tips)
    assert html.count('data-tip="') == len(
        re.findall(r'data-tip="\d+"[^>]*><span class="glyph"[^>]*>.</span><span class="sr">[^<]{10,}</span>', html)
    )


def test_a_cell_that_the_audit_speaks_against_says_so(built: Any) -> None:
    html = built.html("matrix/index.html")
    tips = json.loads(built.docs.joinpath("matrix/data.js").read_text(encoding="utf-8").removeprefix("window.atlasMatrix = ").removesuffix(";\n"))
    found = re.search(r'href="[^"]*lrp-epsilon\.html#satisfies-effect-completeness" data-tip="(\d+)"', html)
    assert found is not None
    assert tips[int(found[1])][-1] == "Our audit finds it violated"
    confirmed = [tip for tip in tips if any(line == "Run: holds" or line.startswith("Run: holds –") for line in tip)]
    assert not [tip for tip in confirmed if "Our audit" in tip[-1]]


def test_pointing_and_focusing_tell_claim_source_and_statistic(opened: Any) -> None:
    page = opened("matrix/index.html")
    cell = page.locator("#table-families tr[data-method=integrated-gradients] a.cell").first
    cell.hover()
    tip = page.locator("#matrix-tip")
    expect(tip).to_contain_text("Integrated Gradients can be rewritten as")
    expect(tip).to_contain_text("Table III")
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()
    cell.focus()
    expect(tip).to_be_visible()
    expect(cell).to_have_attribute("aria-describedby", "matrix-tip")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_filter_sort_group_and_pin(opened: Any) -> None:
    page = opened("matrix/index.html")
    visible = "table => [...table.querySelectorAll('tr[data-method]:not([hidden])')].map(row => row.dataset.method)"
    families = page.locator("#table-families")
    everything = families.evaluate(visible)
    page.get_by_label("Show methods whose name contains").fill("shapley")
    assert set(families.evaluate(visible)) == {"shapley-value", "aumann-shapley-value", "sage"}
    page.get_by_label("Pin Shapley value").first.click()
    page.get_by_label("Show methods whose name contains").fill("lime")
    assert {"shapley-value", "lime"} <= set(families.evaluate(visible))
    assert "pin=shapley-value" in page.evaluate("location.hash")
    page.get_by_label("Show methods whose name contains").fill("")
    page.get_by_label("Show methods with a cell marked").select_option("fails")
    assert "integrated-gradients" in families.evaluate(visible)
    page.get_by_label("Show methods with a cell marked").select_option("")
    page.locator("#table-families th[data-column=game-theoretic] .sort").click()
    order = families.evaluate(visible)
    assert sorted(order) == sorted(everything)
    assert order.index("banzhaf-value") < order.index("integrated-gradients")
    assert page.locator("#table-families th[aria-sort=descending]").count() == 1
    page.get_by_label("grouped by family").uncheck()
    assert sorted(families.evaluate(visible)) == sorted(everything)


def test_a_shared_address_brings_the_same_rows(opened: Any) -> None:
    page = opened("matrix/index.html")
    page.evaluate("location.hash = '#?text=lime&group=no'")
    page.reload()
    shown = page.locator("#table-families tr[data-method]:not([hidden])").evaluate_all("rows => rows.map(row => row.dataset.method)")
    assert shown
    assert all("lime" in method for method in shown)


@pytest.mark.parametrize("width", [360, 1440, 2560])
def test_only_the_tables_scroll_sideways(opened: Any, width: int) -> None:
    page = opened("matrix/index.html", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_new_state_in_the_address_is_taken_up_and_an_anchor_leaves_it(opened: Any, to_fragment: Any) -> None:
    page = opened("matrix/index.html")
    rows = page.locator("#table-families tr[data-method]:not([hidden])")
    every = rows.count()
    to_fragment(page, "#?text=lime&status=holds-under-condition")
    assert 0 < rows.count() < every
    assert page.get_by_label("Show methods whose name contains").input_value() == "lime"
    fewer = rows.count()
    to_fragment(page, "#families")
    assert rows.count() == fewer
    to_fragment(page, "")
    assert rows.count() == every


def test_an_unknown_result_in_the_address_is_passed_over(opened: Any, to_fragment: Any) -> None:
    page = opened("matrix/index.html")
    every = page.locator("tr[data-method]:not([hidden])").count()
    to_fragment(page, "#?status=bogus")
    assert page.get_by_label("Show methods with a cell marked").input_value() == ""
    assert page.locator("tr[data-method]:not([hidden])").count() == every


def test_results_have_one_name_and_rows_are_counted_in_words(opened: Any, to_fragment: Any) -> None:
    page = opened("matrix/index.html")
    words = page.get_by_label("Show methods with a cell marked").locator("option").all_text_contents()
    assert words == ["any result", *(RUN[run][0] for run in ("holds", "holds under condition", "fails", "empirical", "no check yet"))]
    to_fragment(page, "#?text=baylime")
    page.get_by_label("Show methods with a cell marked").select_option("holds")
    shown = page.locator("tr[data-method]:not([hidden])").count()
    assert page.locator(".matrix-count").text_content() == f"{shown} row{'' if shown == 1 else 's'}"
    to_fragment(page, "#?text=no such method")
    assert page.locator(".matrix-count").text_content() == "0 rows"
