"""Pages of methods: one order of sections, every symbol explained, claims that open, the code that runs, and lists that say when to use it."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from atlas_pages import source_code
from atlas_pages.claims import RUN
from atlas_pages.method_page import SECTIONS
from atlas_pages.notation import ELEMENTARY, STANDARD, explained, identifiers, unexplained
from playwright.sync_api import expect

from taxonomy.guide.usage import usage
from taxonomy.records.method import Symbol

HEADING = re.compile(r'<h2\b[^>]*\bid="([^"]+)"[^>]*>(.*?)</h2>', re.DOTALL)
ALWAYS = {"code", "references", "cite"}
WITH_FUNCTION = ALWAYS | {"formula", "use", "costs"}


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def part(page: str, anchor: str) -> str:
    """The part of a page below a heading of the second level, up to the next."""
    found = re.search(rf'<h2\b[^>]*\bid="{anchor}"', page)
    after = page[found.end() :] if found else ""
    return after.split("<h2 ", 1)[0].split("</article>", 1)[0]


@pytest.fixture(scope="module")
def pages(built: Any) -> dict[str, str]:
    """The finished page of every method."""
    return {record.id: built.html(f"methods/{record.id}.html") for record in built.site.of_kind("method")}


def test_every_page_keeps_the_order(built: Any, pages: dict[str, str]) -> None:
    assert len(pages) >= 91
    for name, page in pages.items():
        found = [(anchor, text_of(title).removesuffix("#").strip()) for anchor, title in HEADING.findall(page)]
        assert found == [(anchor, title) for anchor, title in SECTIONS.items() if anchor in dict(found)], name
        needed = WITH_FUNCTION if built.site.records[name].implementation else ALWAYS
        assert needed <= set(dict(found)), name


def test_a_section_is_missing_only_where_there_is_nothing_to_say(built: Any, pages: dict[str, str]) -> None:
    for name, page in pages.items():
        record = built.site.records[name]
        present = {anchor for anchor, _ in HEADING.findall(page)}
        assert ("formula" in present) == bool(record.formula), name
        assert ("standing" in present) >= bool(record.belongs_to or record.satisfies or record.violates), name
        assert ("costs" in present) >= bool(record.cost), name
        assert ("equivalences" in present) >= bool(record.approximates or built.site.about(name, "theorem")), name
        assert ("discrepancies" in present) == bool(built.site.about(name, "discrepancy")), name
        compared = any(item.method == name for library in built.site.atlas.conformance.values() for item in library.methods)
        assert ("libraries" in present) >= compared, name


def test_the_summary_comes_first_and_the_facts_stand_above_the_first_heading(built: Any, pages: dict[str, str]) -> None:
    for name, page in pages.items():
        top = page[page.index("<h1") : page.index("<h2")]
        assert 'class="lead"' in top, name
        assert ('class="facts"' in top) == (built.site.records[name].needs is not None or bool(built.site.records[name].explains)), name


def test_every_statement_about_families_rationales_and_principles_is_at_a_glance(built: Any, pages: dict[str, str]) -> None:
    shown = 0
    for name, page in pages.items():
        top = page[page.index("<h1") : page.index("<h2")]
        for statement in built.site.outgoing(name):
            if statement.fact.relation not in {"belongs-to", "reformulates-as", "grounded-in", "satisfies", "violates", "context-dependent"}:
                continue
            chip = re.search(rf'<a class="chip[^"]*" href="#{statement.anchor}">(.*?)</a>', top, re.DOTALL)
            if statement.edges or statement.evidence:
                assert chip, (name, statement.id)
                shown += 1
            if chip and statement.evidence:
                assert RUN[statement.run][0] in text_of(chip.group(1)), statement.id
            assert page.count(f'id="{statement.anchor}"') == 1
    assert shown > 200


# -- symbols -------------------------------------------------------------------------------------------------------------------------------


def test_every_symbol_of_every_formula_is_explained(atlas_site: Any) -> None:
    missing = {
        record.id: left
        for record in atlas_site.of_kind("method")
        if record.formula and (left := [name for name in unexplained(record.formula, record.symbols) if name not in STANDARD])
    }
    assert not missing


def test_a_missing_symbol_is_noticed_and_a_standard_one_is_added() -> None:
    known = [Symbol(symbol="a_i", meaning="attribution of $x_i$")]
    assert unexplained(r"a_i = \mathbb{E}[f(x) \, w]", known) == ["𝔼", "f", "w"]
    assert [symbol.symbol for symbol in explained(r"a_i = \mathbb{E}[f(x)]", known)] == ["a_i", r"\mathbb{E}"]
    assert explained(r"\mathbb{E}", known)[1].meaning.startswith("expectation")
    assert explained(r"\mathbb{E}", [Symbol(symbol="a_i", meaning="Attribution.")])[1].meaning.endswith("beside it.")
    assert unexplained(r"\sum_{k \in S} v_k", known) == ["S", "v"]
    assert unexplained(r"\int \frac{\partial a}{\partial x} \, dx", known) == []
    assert identifiers(r"\mathcal{N}") == ("𝒩",)


def test_standard_signs_stand_on_the_page_and_none_is_listed_in_vain(built: Any, pages: dict[str, str]) -> None:
    used = set()
    for record in built.site.of_kind("method"):
        for name in unexplained(record.formula, record.symbols) if record.formula else ():
            used.add(name)
            assert STANDARD[name][1].split(",")[0].lower() in text_of(part(pages[record.id], "formula")).lower(), (record.id, name)
    formulas = {name for record in built.site.of_kind("method") if record.formula for name in identifiers(record.formula)}
    assert used == set(STANDARD)
    assert formulas & ELEMENTARY


# -- when to use it ------------------------------------------------------------------------------------------------------------------------


def test_both_lists_stand_on_every_page_and_lead_somewhere(built: Any, pages: dict[str, str]) -> None:
    for record in built.site.of_kind("method"):
        if record.implementation is None:
            continue
        lists = part(pages[record.id], "use").split('class="side-title"')
        assert [text_of(side[1:])[:4] for side in lists[1:]] == ["Use ", "Do n"], record.id
        for side in lists[1:]:
            assert side.count("<li>") >= 2, record.id
            for line in re.findall(r"<li>(.*?)</li>", side, re.DOTALL):
                assert "<a " in line, (record.id, text_of(line))


def test_what_a_run_found_violated_is_among_the_reasons_against(built: Any, pages: dict[str, str]) -> None:
    counted = 0
    for name, page in pages.items():
        against = part(page, "use").rpartition("Do not use it when")[2]
        for statement in built.site.outgoing(name, "violates"):
            record = built.site.records[statement.fact.object]
            if statement.run in {"holds", "holds under condition"} and not built.site.atlas.parts_of(record.id):
                assert f'href="#{statement.anchor}"' in against, statement.id
                counted += 1
    assert counted > 20


def test_advice_stands_with_those_it_favours_and_those_it_does_not(pages: dict[str, str]) -> None:
    assert "shows the places that matter for a class" in part(pages["grad-cam"], "use").partition("Do not use")[0]
    lime = part(pages["lime"], "use").rpartition("Do not use it when")[2]
    assert "said to vary less from run to run than LIME" in text_of(lime)
    assert 'href="baylime.html"' in lime


# -- code ----------------------------------------------------------------------------------------------------------------------------------


def test_the_function_and_the_tested_script_stand_on_the_page(built: Any, pages: dict[str, str]) -> None:
    guide = json.loads(built.html("guide/data.js").removeprefix("window.atlasGuide = ").rstrip().removesuffix(";"))
    shown_by_the_guide = {method["id"]: method["code"] for method in guide["methods"]}
    for record in built.site.of_kind("method"):
        code = part(pages[record.id], "code")
        if record.implementation is None:
            assert "no reference function" in code, record.id
            continue
        listings = [html.unescape(re.sub(r"<[^>]*>", "", listing)).strip() for listing in re.findall(r"<pre>(.*?)</pre>", code, re.DOTALL)]
        module, _, name = record.implementation.partition(":")
        body = source_code.body_of(module, name)
        assert body is not None
        assert listings == [body.text, usage(built.site.atlas, record.id).code], record.id
        assert shown_by_the_guide[record.id] == listings[1]
        assert '"""' not in body.text
        assert f"def {name}(" in body.text


def test_calls_of_a_function_lead_to_their_entries() -> None:
    body = source_code.body_of("executable.methods.gradient_times_input", "integrated_gradients")
    assert body is not None
    assert [call.name for call in body.calls][-2:] == ["prepare", "exact_mean_gradient"]
    assert "Integrated gradients" not in body.text
    assert source_code.body_of("executable.methods", "no_such_function") is None


# -- in the browser ------------------------------------------------------------------------------------------------------------------------


def test_claims_are_folded_and_a_chip_opens_its_claim(opened: Any) -> None:
    page = opened("methods/integrated-gradients.html")
    claim = page.locator("#satisfies-completeness")
    inside = claim.locator(".places").first
    expect(inside).not_to_be_visible()
    page.locator('.glance a[href="#satisfies-completeness"]').click()
    expect(inside).to_be_visible()
    page.evaluate("location.hash = '#evidence-satisfies-completeness'")
    expect(page.locator("#evidence-satisfies-completeness")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_are_of_bearable_length_and_no_wider_than_the_window(opened: Any, width: int) -> None:
    for name in ("integrated-gradients", "lrp-epsilon", "shapley-value"):
        page = opened(f"methods/{name}.html", width=width)
        height, wide = page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]")
        assert height < (8_000 if width == 1440 else 11_500), (name, height)
        assert wide == width, name


def test_a_claim_opens_by_the_keyboard(opened: Any) -> None:
    page = opened("methods/lrp-epsilon.html")
    summary = page.locator("details.claim > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details.claim").first.locator(".places").first).to_be_visible()
