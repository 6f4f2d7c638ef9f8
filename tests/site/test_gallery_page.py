"""The gallery: the page on which network, input and class are chosen, the still one without scripting, pictures on other pages."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from atlas_pages import pictures

PAGE = "pictures/index.html"
STILL = range(3)


@pytest.fixture(scope="module")
def page(built: Any) -> str:
    return str(built.html(PAGE))


def rows(html: str) -> dict[str, str]:
    """Rows of the tables of pictures by the method they link to."""
    return {found[1]: found[0] for found in re.finditer(r'<tr><th scope="row"><a href="../methods/([a-z0-9-]+)\.html">.*?</tr>', html)}


# -- without scripting -----------------------------------------------------------------------------------------------------------------------


def test_every_method_has_its_row(built: Any, page: str) -> None:
    gallery = built.site.gallery
    found = rows(page)
    assert len(found) > 50
    assert set(found) == set(gallery["attributions"])
    for method, row in found.items():
        images = re.findall(r'<img class="pixels" src="([^"]+)" alt="[^"]+ of the digit \d"[^>]* loading="lazy">', row)
        assert images == [f"{method}-{number}.svg" for number in pictures.STILL]
        assert re.search(r"<small>[^<]+</small>", row), method
    for name in [f"{method}-{number}.svg" for method in found for number in range(6)]:
        assert (built.public / "pictures" / name).is_file()


def test_another_network_is_named(built: Any, page: str) -> None:
    found = rows(page)
    assert "network: transformer" in found["raw-attention"]
    assert "network" not in found["gradient"]
    assert "transformer" in built.html("methods/vit-shapley.html").split('id="picture"')[1].split("<h2")[0]


def test_families_stand_in_order(page: str) -> None:
    headings = re.findall(r'<h2 id="([a-z-]+)"', page)
    assert headings == [
        "modified-gradient", "gradient-times-input", "layerwise-backprop", "perturbation", "influential-subset", "local-surrogate", "attention",
        "other", "absent",
    ]  # fmt: skip
    part = page.split('<h2 id="perturbation"')[1].split("<h2")[0]
    assert {"occlusion-1", "shapley-value", "cxplain"} <= set(rows(part))
    assert "lime" not in rows(part)


def test_methods_without_a_picture_have_a_reason(built: Any, page: str) -> None:
    rest = page.split('<h2 id="absent"')[1]
    for method in built.site.gallery["absent"]:
        assert f'href="../methods/{method}.html"' in rest


def test_without_scripting_the_table_stays(browser: Any, built: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)
    shown = context.new_page()
    shown.goto((built.public / PAGE).as_uri())
    assert shown.locator("#gallery-still").is_visible()
    assert not shown.locator("#gallery-live").is_visible()
    assert shown.locator("#gallery-still img").first.is_visible()
    lefts = {round(image.bounding_box()["x"]) for image in shown.locator("table.album").first.locator("img").all()}
    assert len(lefts) == len(pictures.STILL)
    context.close()


# -- other pages -----------------------------------------------------------------------------------------------------------------------------


def test_caption_says_how_pictures_are_scaled(built: Any, page: str) -> None:
    for text in (page, built.html("index.html"), built.html("methods/lime.html")):
        assert "scaled by its own largest absolute value" in text


def test_home_page_keeps_a_few(built: Any) -> None:
    home = built.html("index.html")
    assert set(re.findall(r"pictures/([a-z0-9-]+)-0\.svg", home)) == {*pictures.ON_HOME_PAGE, "digit"}
    assert 'href="pictures/index.html"' in home


def test_sums_stand_where_they_are_claimed(built: Any) -> None:
    def picture(method: str) -> str:
        return str(built.html(f"methods/{method}.html")).split('id="picture"')[1].split("<h2")[0]

    assert re.search(r"sum (-?[\d.]+), expected \1<", picture("shapley-value"))
    assert "Expected sum: output change from the empty image." in picture("shapley-value")
    assert "expected" not in picture("gradient")


def test_pages_of_methods_lead_to_the_gallery(built: Any) -> None:
    assert 'href="../pictures/index.html#?methods=lime"' in built.html("methods/lime.html")
    assert 'href="../pictures/index.html#?model=word-convolution&amp;methods=lime"' in built.html("methods/lime.html")
    assert 'href="../pictures/index.html#?model=transformer&amp;methods=raw-attention"' in built.html("methods/raw-attention.html")


def test_without_pictures_the_pages_still_come(built: Any) -> None:
    site = replace(built.site, gallery=None)
    assert "No pictures have been made" in pictures.album(site)
    assert pictures.strip(site) == pictures.of_method(site, "gradient") == ""
    assert pictures.data(site) == "window.atlasGallery = null;\n"
    assert list(pictures.files(None)) == []


def test_verdicts_are_marked_links(built: Any) -> None:
    html = built.html("implementations/conformance.html")
    found = re.findall(r'<a class="([^"]*\bverdict\b[^"]*)" href="#([^"]+)"[^>]*>([^<]+)</a>', html)
    expected = {"agrees": "holds", "agrees under options": "holds-under-condition", "agrees in part": "empirical", "differs": "fails"}
    assert len(found) > 20
    for css, anchor, verdict in found:
        assert set(css.split()) == {"verdict", "mark", expected[verdict]}
        assert f'id="{anchor}"' in html


# -- the data --------------------------------------------------------------------------------------------------------------------------------


def test_the_data_are_small_and_complete(built: Any) -> None:
    text = (built.public / pictures.DATA).read_bytes()
    assert len(gzip.compress(text, mtime=0)) < 300_000
    assert len(gzip.compress((built.public / PAGE).read_bytes(), mtime=0)) < 60_000
    given = json.loads(text.decode().removeprefix("window.atlasGallery = ").removesuffix(";\n"))
    gallery = built.site.gallery
    assert {method["id"] for method in given["methods"]} == set(gallery["maps"])
    assert {method["family"] for method in given["methods"]} <= {family["id"] for family in given["families"]}
    assert given["maps"] == gallery["maps"]
    for method in given["methods"]:
        assert (built.public / "pictures" / method["url"]).resolve().is_file()


# -- the page alive --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def visited(opened: Any, to_fragment: Any) -> Any:
    """Opens the page with a fragment."""

    def visit(fragment: str, **settings: Any) -> Any:
        shown = opened(PAGE, **settings)
        to_fragment(shown, fragment)
        return shown

    return visit


def card(shown: Any, method: str) -> Any:
    return shown.locator(f'.gallery-card[data-method="{method}"]')


def ink(shown: Any, method: str) -> str:
    return str(card(shown, method).locator("canvas").evaluate("canvas => canvas.toDataURL()"))


def level(gallery: dict[str, Any], method: str, place: str, number: int, at: int) -> tuple[int, float]:
    """The stored number of a cell, and its value."""
    entry = gallery["maps"][method][place]
    byte = base64.b64decode(entry["maps"][number])[at]
    signed = byte - 256 if byte > 127 else byte
    return signed, signed / 127 * entry["tops"][number]


def number_in(text: str) -> float:
    """The first number with a sign, as the page writes it."""
    found = re.search(r"[:\s]?([+−]?)(\d+(?:\.\d+)?)(?: · 10\^(-?\d+))?", text.split(":")[-1] if ":" in text else text)
    assert found
    return (-1 if found[1] == "−" else 1) * float(found[2]) * 10 ** int(found[3] or 0)


def test_another_class_another_drawing(opened: Any) -> None:
    shown = opened(PAGE)
    assert not shown.locator("#gallery-still").is_visible()
    before = {method: ink(shown, method) for method in ("gradient", "integrated-gradients", "l2x")}
    scores = shown.locator(".gallery-classes input")
    assert scores.count() == 3
    scores.nth(1).check()
    assert ink(shown, "gradient") != before["gradient"]
    assert ink(shown, "integrated-gradients") != before["integrated-gradients"]
    assert ink(shown, "l2x") == before["l2x"]
    assert "same for every class" in str(card(shown, "l2x").text_content())
    shown.locator(".gallery-inputs input").nth(2).check()
    assert ink(shown, "gradient") != before["gradient"]


@pytest.mark.parametrize(("method", "columns"), [("integrated-gradients", 8), ("shapley-value", 4)])
def test_the_pointer_shows_the_value_of_the_data(built: Any, opened: Any, method: str, columns: int) -> None:
    gallery = built.site.gallery
    shown = opened(PAGE)
    canvas = card(shown, method).locator("canvas")
    canvas.scroll_into_view_if_needed()
    for row, column in ((0.56, 0.44), (0.19, 0.56)):
        box = canvas.bounding_box()
        shown.mouse.move(box["x"] + column * box["width"], box["y"] + row * box["height"])
        at = int(row * columns) * columns + int(column * columns)
        signed, value = level(gallery, method, "convolutional", 0, at)
        assert number_in(str(card(shown, method).locator(".value").text_content())) == pytest.approx(value, rel=0.06, abs=1e-12)
        assert f"({round(100 * abs(signed) / 127)} % of its largest)" in str(shown.locator(".gallery-readout").text_content())
        # The same place is read under every other method.
        _, other = level(gallery, "gradient", "convolutional", 0, int(row * 8) * 8 + int(column * 8))
        assert number_in(str(card(shown, "gradient").locator(".value").text_content())) == pytest.approx(other, rel=0.06, abs=1e-12)


def test_the_keyboard_walks_over_cells_and_words(built: Any, opened: Any) -> None:
    gallery = built.site.gallery
    shown = opened(PAGE)
    card(shown, "gradient").locator(".field").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        shown.keyboard.press(key)
    readout = shown.locator(".gallery-readout")
    assert readout.get_attribute("aria-live") == "polite"
    _, value = level(gallery, "gradient", "convolutional", 0, 2 * 8 + 1)
    text = str(readout.text_content())
    assert "row 3, column 2" in text
    assert number_in(text) == pytest.approx(value, rel=0.06)
    shown.keyboard.press("Escape")
    assert "arrow keys" in str(readout.text_content())
    shown.locator("select[aria-label=Network]").select_option("word-transformer")
    field = card(shown, "integrated-gradients").locator(".field")
    field.focus()
    shown.keyboard.press("ArrowRight")
    assert "“film”" in str(readout.text_content())
    _, value = level(gallery, "integrated-gradients", "word-transformer", 0, 1)
    assert number_in(str(readout.text_content())) == pytest.approx(value, rel=0.06)


def test_words_carry_their_sign_as_a_mark(built: Any, visited: Any) -> None:
    shown = visited("#?model=word-convolution&input=1")
    words = card(shown, "integrated-gradients").locator(".word")
    for at in range(words.count()):
        signed, _ = level(built.site.gallery, "integrated-gradients", "word-convolution", 3, at)
        assert words.nth(at).locator(".sign").text_content() == ("+" if signed > 0 else "−" if signed < 0 else "")


def test_the_address_keeps_the_choice(visited: Any) -> None:
    shown = visited("#?model=softplus&input=2&class=1&methods=lime,gradient&only=yes")
    assert shown.locator("select[aria-label=Network]").input_value() == "softplus"
    assert shown.locator(".gallery-inputs input").nth(2).is_checked()
    assert shown.locator(".gallery-classes input:checked").input_value() == "1"
    assert [one.get_attribute("data-method") for one in shown.locator(".gallery-card").all()] == ["gradient", "lime"]
    shown.locator("select[aria-label=Network]").select_option("composed")
    shown.locator(".gallery-inputs input").nth(1).check()
    card(shown, "lime").locator(".pin").click()
    address = shown.url.split("#")[1]
    assert address == "?model=composed&input=1&only=yes&methods=gradient"
    again = visited(f"#{address}")
    assert again.locator(".gallery-card").count() == 1
    assert again.locator(".gallery-inputs input").nth(1).is_checked()


def test_nonsense_in_the_address_is_passed_over(visited: Any) -> None:
    shown = visited("#?model=none&input=99&class=x&methods=nothing&family=no&only=yes")
    assert shown.locator("select[aria-label=Network]").input_value() == "convolutional"
    assert shown.locator(".gallery-card").count() > 50


def test_filters(opened: Any) -> None:
    shown = opened(PAGE)
    every = shown.locator(".gallery-card").count()
    shown.locator("input[type=search][aria-label^=Show]").fill("shap")
    fewer = shown.locator(".gallery-card").count()
    assert 3 < fewer < every
    assert shown.locator(".gallery-count").text_content() == f"{fewer} methods"
    shown.locator("select[aria-label^=Show]").select_option("gradient-times-input")
    assert 0 < shown.locator(".gallery-card").count() < fewer
    assert shown.locator(".gallery-shelf h2").first.text_content() != "Chosen"


def test_every_network_shows_all_its_methods(built: Any, opened: Any) -> None:
    gallery = built.site.gallery
    shown = opened(PAGE)
    for name in gallery["places"]:
        shown.locator("select[aria-label=Network]").select_option(name)
        assert shown.locator(".gallery-card").count() == sum(name in places for places in gallery["maps"].values())
        missing = set(gallery["missing"][name])
        assert shown.locator(".gallery-missing a").count() == len(missing)


def test_sums_stand_beside_what_they_should_be(built: Any, opened: Any) -> None:
    entry = built.site.gallery["maps"]["shapley-value"]["convolutional"]
    shown = opened(PAGE)
    text = str(card(shown, "shapley-value").locator(".sum").text_content())
    assert text == f"sum {entry['sums'][0]:.2f}, expected {entry['expected'][0]:.2f}".replace("-", "−")
    assert card(shown, "gradient").locator(".sum").count() == 0


def test_scores_are_those_of_the_network(built: Any, visited: Any) -> None:
    place = built.site.gallery["places"]["word-transformer"]
    shown = visited("#?model=word-transformer&input=3")
    texts = shown.locator(".gallery-classes .logit").all_text_contents()
    assert [float(text.split()[1].rstrip(",").replace("−", "-")) for text in texts] == pytest.approx(place["logits"][3], abs=0.051)


def test_the_readout_and_the_cards_stay_in_step(opened: Any) -> None:
    shown = opened(PAGE)
    card(shown, "lime").locator(".field").focus()
    shown.keyboard.press("ArrowDown")
    name = shown.locator("input[type=search][aria-label^=Show]")
    for wanted, method in (("lime", "Explanations, row 3–4"), ("occlusion-1", "Occlusion-1, row 4, column 2:")):
        name.fill(wanted)
        assert shown.locator(".gallery-card .value:not(.live)").count() == 0
        readout = str(shown.locator(".gallery-readout").text_content())
        assert method in readout
    name.fill("no such method")
    assert "arrow keys" in str(shown.locator(".gallery-readout").text_content())


def test_one_method_is_one(visited: Any) -> None:
    assert visited("#?methods=lime&only=yes").locator(".gallery-count").text_content() == "1 method"


@pytest.mark.parametrize("width", [360, 1440])
def test_names_break_between_words_and_maps_stand_in_line(opened: Any, width: int) -> None:
    shown = opened(PAGE, width=width)
    link = card(shown, "pattern-attribution").locator(".head a")
    assert link.text_content() == "PatternAttribution"
    tops = shown.locator(".gallery-cards").evaluate_all(
        "rows => rows.flatMap(row => [...row.children].map((card, n) => [row.previousSibling.id, Math.round(card.getBoundingClientRect().top), "
        "Math.round(card.querySelector('canvas').getBoundingClientRect().top)]))"
    )
    places: dict[tuple[str, int], set[int]] = {}
    for group, top, map_top in tops:
        places.setdefault((group, top), set()).add(map_top)
    assert all(len(found) == 1 for found in places.values())
    lines = link.evaluate(
        "a => [...a.childNodes].filter(n => n.nodeType === 3)"
        ".map(n => { const r = document.createRange(); r.selectNodeContents(n); return r.getClientRects().length; })"
    )
    assert lines == [1, 1]


@pytest.mark.parametrize("width", [360, 768, 2560])
@pytest.mark.parametrize("model", ["convolutional", "word-transformer"])
def test_the_page_fits(visited: Any, width: int, model: str) -> None:
    shown = visited(f"#?model={model}", width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", ["composed", "word-convolution"])
def test_nothing_bars_the_way(visited: Any, scheme: str, model: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    shown = visited(f"#?model={model}&methods=gradient,lime", scheme=scheme)
    card(shown, "lime").locator(".field").focus()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "preload": False}
    found = axe.Axe().run(shown, context="#gallery-live", options=options).response["violations"]
    assert [(item["id"], node["target"], node["failureSummary"]) for item in found for node in item["nodes"]] == []
