"""The site in headless Chromium from file://: no error, no request, no sideways scrolling, formulas drawn, search that works offline."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

PAGES = ["index.html", "methods/integrated-gradients.html", "tables/figure-4.html", "pictures/index.html"]
OTHERS = [
    "tables/table-3.html",
    "tables/table-6.html",
    "discrepancies/index.html",
    "bibliography.html",
    "sources/deng2025attribution.html",
    "findings/relations.html",
    "implementations/index.html",
    "implementations/conformance.html",
    "implementations/speed.html",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("path", PAGES)
def test_page(opened: Any, path: str, width: int, scheme: str) -> None:
    page = opened(path, width=width, scheme=scheme)
    assert page.locator("h1").is_visible()
    assert page.evaluate("document.body.dataset.mdColorScheme") == ("slate" if scheme == "dark" else "default")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", OTHERS)
def test_nothing_is_wider_than_a_phone(opened: Any, path: str) -> None:
    page = opened(path, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", ["implementations/index.html", "implementations/conformance.html"])
def test_wide_tables_scroll_inside_their_box(opened: Any, path: str) -> None:
    page = opened(path, width=390)
    boxes = "[...document.querySelectorAll('.scroll, .scroll .md-typeset__scrollwrap')]"
    assert page.evaluate(f"{boxes}.some(b => b.scrollWidth > b.clientWidth && getComputedStyle(b).overflowX === 'auto')")


def test_the_scheme_can_be_switched(opened: Any) -> None:
    page = opened("index.html")
    page.locator("label.md-header__button[title*='dark']").first.click()
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")


def test_formulas_are_drawn_with_the_math_font(opened: Any) -> None:
    page = opened("methods/integrated-gradients.html")
    assert page.evaluate("document.fonts.check('16px \"Atlas Math\"', '∫')")
    height = page.evaluate("document.querySelector('#formula ~ .equation mfrac').getBoundingClientRect().height")
    assert height > 25
    sign = page.evaluate("[...document.querySelectorAll('#formula ~ .equation mo')].find(o => o.textContent === '∫').getBoundingClientRect().height")
    assert sign > 30, "the integral sign has to grow in displayed formulas"


def test_a_link_to_a_claim_in_a_folded_part_opens_it(opened: Any, built: Any) -> None:
    statement = next((s for s in built.site.statements.values() if not s.edges and s.proof and s.fact.relation in {"satisfies", "violates"}), None)
    if statement is None:
        pytest.skip("nothing is derived")
    record = built.site.records[statement.fact.subject]
    page = opened(f"{record.folder}/{record.id}.html")
    page.evaluate(f"location.hash = '#{statement.anchor}'")
    expect(page.locator(f"#{statement.anchor}")).to_be_visible()


@pytest.mark.parametrize(("words", "expected"), [("InteGrads", "Integrated Gradients"), ("Shrikumar", "DeepLIFT"), ("Banzhaf", "Banzhaf")])
def test_search_works_offline(opened: Any, words: str, expected: str) -> None:
    page = opened("index.html")
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially(words)
    expect(page.locator(".md-search-result__list")).to_contain_text(expected, timeout=20_000)


def test_search_and_switch_work_where_storage_is_refused(opened: Any) -> None:
    page = opened("index.html")
    page.context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        " Object.defineProperty(window, name, { configurable: true, get() { throw new DOMException('refused', 'SecurityError'); } });"
    )
    page.reload()
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("InteGrads")
    expect(page.locator(".md-search-result__list")).to_contain_text("Integrated Gradients", timeout=20_000)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Switch to dark").or_(page.locator("label[title='Switch to dark']")).first.click()
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
