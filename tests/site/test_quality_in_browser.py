"""Every type of page in headless Chromium: no barrier that axe knows in either scheme, no sideways scrolling at any width, readable on paper.

The fixture `opened` sees to it besides that nothing is logged as an error and no other host is asked.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}, "preload": False}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "preload": False}
"""The scheme changes colours only, so that in the second scheme the one rule about colours is enough."""
WIDTHS = (360, 768, 1440, 2560)
UNFOLD = "document.querySelectorAll('.md-content details').forEach(part => { part.open = true; })"
PAGES = [
    "index.html",
    "guide/index.html#?access=outputs&requires=completeness",
    "matrix/index.html#?status=fails",
    "explorer/index.html#?node=lime",
    "compare/index.html#?methods=lime,shapley-value,grad-cam",
    "pictures/index.html",
    "methods/index.html",
    "methods/smoothgrad.html",
    "formulation-families/perturbation.html",
    "reformulation-families/index.html",
    "groups/gradient-based.html",
    "principles/parameter-sensitivity.html",
    "theorems/index.html",
    "theorems/banzhaf-uniqueness.html",
    "discrepancies/baseline-two-meanings.html",
    "evaluations/taylor-complete-allocation.html",
    "insights/index.html",
    "findings/index.html",
    "findings/counterexamples.html",
    "findings/relations.html",
    "reproductions/index.html",
    "studies/shap-sample-efficiency.html",
    "implementations/index.html",
    "implementations/audits.html",
    "implementations/conformance.html",
    "implementations/speed.html",
    "tables/table-2.html",
    "tables/table-3.html",
    "tables/table-4.html",
    "tables/table-5.html",
    "tables/table-6.html",
    "tables/table-7.html",
    "tables/figure-4.html",
    "tables/notation.html",
    "sources/coverage.html",
    "sources/deng2025attribution.html",
    "bibliography.html",
    "glossary.html",
    "reference/index.html",
    "reference/executable.metrics.html",
    "data.html",
    "python.html",
    "reading.html",
    "tutorials/index.html",
    "tutorials/explain-a-cnn.html",
    "contributing.html",
    "changes.html",
    "404.html",
]
# Pages with hundreds of entries made alike: axe, which would need a minute for each, sees the first of each list and table, still folded.
LONG = {
    "findings/index.html",
    "implementations/index.html",
    "implementations/audits.html",
    "implementations/conformance.html",
    "reference/index.html",
    "sources/coverage.html",
    "sources/deng2025attribution.html",
    "principles/parameter-sensitivity.html",
    "bibliography.html",
    "glossary.html",
    "changes.html",
}
SHORTEN = """document.querySelectorAll('.md-content :is(li, tr, .claim, .entry):nth-of-type(n+9)').forEach(part => part.remove());
document.querySelectorAll('.md-content details').forEach((part, number) => { if (number > 5) part.remove(); })"""


def shown(opened: Any, path: str, **options: Any) -> Any:
    """A page at an address with a fragment."""
    page, _, fragment = path.partition("#")
    found = opened(page, **options)
    if fragment:
        found.evaluate("fragment => { location.hash = fragment }", f"#{fragment}")
        found.reload()
    found.emulate_media(reduced_motion="reduce")
    return found


def barriers(page: Any, options: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What axe finds: rule, element, and what it measured."""
    found = Axe().run(page, options={**options, "resultTypes": ["violations"]}).response["violations"]
    return [(rule["id"], node["html"][:160], node.get("failureSummary", "")[:200]) for rule in found for node in rule["nodes"]][:12]


@pytest.mark.parametrize("path", PAGES)
def test_no_barrier_in_either_scheme_and_no_sideways_scrolling(opened: Any, path: str) -> None:
    page = shown(opened, path)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    page.set_viewport_size({"width": 1440, "height": 900})
    page.evaluate(SHORTEN if path in LONG else UNFOLD)
    assert barriers(page, WCAG) == []
    page.evaluate("document.body.dataset.mdColorScheme = 'slate'")
    assert barriers(page, CONTRAST) == []


def test_every_folder_of_the_site_has_a_page_here(built: Any) -> None:
    folders = {path.parent.name for path in built.public.glob("*/index.html")}
    # Pages made alike: lists and records of kinds whose layout others of the list have.
    alike = {"axioms", "rationales", "paradigms", "metrics", "examples", "libraries", "symbols"}
    assert folders - alike - {path.split("/")[0] for path in PAGES} == set()
    assert all((built.public / path.split("#")[0]).exists() for path in PAGES)


def test_the_open_search_has_no_barrier(opened: Any) -> None:
    page = shown(opened, "index.html")
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("lime")
    page.locator(".md-search-result__item").first.wait_for(state="visible", timeout=20_000)
    assert barriers(page, WCAG) == []


def test_an_address_that_is_not_there_leads_back(opened: Any) -> None:
    page = opened("404.html")
    page.get_by_role("link", name="Methods").click()
    page.wait_for_url("**/methods/index.html")
    expect(page.locator("h1")).to_contain_text("Methods")


# -- paper ---------------------------------------------------------------------------------------------------------------------------------

FRAME = (".md-header", ".md-tabs", ".md-sidebar", ".md-footer", ".md-top", ".headerlink", ".md-clipboard")
PRINTED = [
    "index.html",
    "guide/index.html",
    "matrix/index.html#?text=lime",
    "explorer/index.html",
    "methods/smoothgrad.html",
    "findings/index.html",
    "tables/table-3.html",
]
CUT = """() => [...document.querySelectorAll('.md-content *')].filter(part => {
  const look = getComputedStyle(part);
  if (part.matches('.sr, .sr *, svg *, math *') || !part.clientWidth || look.overflowX === 'visible') return false;
  return part.scrollWidth > part.clientWidth + 1;
}).map(part => part.outerHTML.slice(0, 120))"""
HIDDEN = """() => [...document.querySelectorAll('.md-content details > :not(summary)')]
  .filter(part => part.textContent.trim() && !part.closest('.nearby-fold, .explorer-side') && !part.checkVisibility({ contentVisibilityAuto: true }))
  .map(part => part.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("path", PRINTED)
def test_on_paper_nothing_is_folded_or_cut(opened: Any, path: str) -> None:
    page = shown(opened, path, scheme="dark", width=1000)
    page.emulate_media(media="print", reduced_motion="reduce")
    for part in FRAME:
        assert not [element for element in page.locator(part).all() if element.is_visible()], part
    assert page.locator("h1").is_visible()
    assert page.evaluate(CUT) == []
    assert page.evaluate(HIDDEN) == []
    lightness = page.evaluate("getComputedStyle(document.body).getPropertyValue('--md-default-bg-color').trim()")
    assert lightness in {"#fff", "#ffffff"}
    ink = page.evaluate("getComputedStyle(document.querySelector('h1')).color.match(/[0-9]+/g).slice(0, 3).map(Number)")
    assert max(ink) < 80, "ink is dark also for those who read by night"


def test_addresses_of_links_that_leave_are_printed(opened: Any) -> None:
    page = opened("libraries/captum.html")
    address = page.locator(".md-content a[href^=http]").first
    page.emulate_media(media="print")
    href = address.get_attribute("href")
    assert href in address.evaluate("link => getComputedStyle(link, '::after').content")
