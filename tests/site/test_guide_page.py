"""The guide in the browser: it filters what Python computed, so for any answers both must agree."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from taxonomy.guide import choose, questions
from taxonomy.guide.choice import candidates

SCRIPT = """() => ({
  ranked: [...document.querySelectorAll(".guide-ranking > li")].map(item => [item.dataset.method, Number(item.dataset.score)]),
  out: [...document.querySelectorAll(".guide-out li")].map(item => item.dataset.out),
})"""


def combinations(atlas: Any, number: int, seed: int = 5) -> list[dict[str, Any]]:
    """Random answers: one to six questions each."""
    draw = random.Random(seed)
    found = []
    for _ in range(number):
        answers: dict[str, Any] = {}
        for question in draw.sample(questions(atlas), draw.randint(1, 6)):
            options = [option.id for option in question.options]
            answers[question.id] = draw.sample(options, draw.randint(1, 2)) if question.several else draw.choice(options)
        found.append(answers)
    return found


def fragment(answers: dict[str, Any]) -> str:
    return "#?" + "&".join(f"{name}={given if isinstance(given, str) else ','.join(given)}" for name, given in answers.items()).replace(" ", "%20")


def test_browser_and_python_agree_on_forty_combinations(opened: Any, to_fragment: Any, built: Any) -> None:
    atlas = built.site.atlas
    page = opened("guide/index.html")
    for answers in [{}, *combinations(atlas, 40)]:
        to_fragment(page, fragment(answers))
        shown = page.evaluate(SCRIPT)
        choice = choose(atlas, answers)
        assert [tuple(item) for item in shown["ranked"]] == [(item.method, item.score) for item in choice.ranked], answers
        assert shown["out"] == [item.method for item in choice.ruled_out], answers


def test_clicking_answers_keeps_them_in_the_address(opened: Any) -> None:
    page = opened("guide/index.html")
    page.get_by_label("Its outputs").check()
    page.get_by_label("Completeness", exact=True).check()
    assert page.evaluate("location.hash") == "#?access=outputs&requires=completeness"
    page.get_by_role("button", name="Start again").click()
    page.wait_for_function("!location.hash")
    expect(page.locator(".guide-out")).to_be_hidden()


def test_open_stands_for_no_answer(opened: Any) -> None:
    page = opened("guide/index.html")
    access = page.locator("input[name=access]")
    assert access.first.is_checked()
    page.get_by_label("Its outputs").check()
    access.first.check()
    page.wait_for_function("!location.hash")
    expect(page.locator(".guide-out")).to_be_hidden()


def test_keyboard_alone_answers_and_opens_a_method(opened: Any) -> None:
    page = opened("guide/index.html")
    page.locator("input[name=access]").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == "#?access=outputs"
    second = page.locator(".guide-ranking > li summary").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".guide-ranking > li").nth(1).locator(".guide-points")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_page_fits_and_shows_every_point(opened: Any, width: int) -> None:
    page = opened("guide/index.html", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first = page.locator(".guide-ranking > li").first
    values = [float(text.replace("−", "-")) for text in first.locator(".guide-points b").all_text_contents()]
    assert sum(values) == pytest.approx(float(first.get_attribute("data-score")))
    assert "$" not in first.locator(".guide-detail").inner_text()


def test_without_a_script_a_table_stands_there(built: Any) -> None:
    html = built.html("guide/index.html")
    assert len(re.findall(r"<tr>", html)) > 60
    assert "Evaluations, 10 features" in html


def test_links_of_the_data_lead_somewhere(built: Any) -> None:
    data = json.loads(built.docs.joinpath("guide/data.js").read_text(encoding="utf-8").removeprefix("window.atlasGuide = ").removesuffix(";\n"))
    addresses = {text for text in data["texts"] if text.startswith("../")} | {method["url"] for method in data["methods"]}
    assert len(addresses) > 200
    pages: dict[str, str] = {}
    for address in addresses:
        path, _, anchor = address.removeprefix("../").partition("#")
        html = pages.setdefault(path, built.html(path))
        assert not anchor or f'id="{anchor}"' in html, address


def test_an_anchor_leaves_the_answers(opened: Any, to_fragment: Any) -> None:
    page = opened("guide/index.html")
    to_fragment(page, "#?model=cnn&baseline=none")
    before = page.locator(".guide-status").text_content()
    assert "24 of 85" in before
    to_fragment(page, "#" + page.locator("h1").get_attribute("id"))
    assert page.locator(".guide-status").text_content() == before
    to_fragment(page, "")
    expect(page.locator(".guide-out")).to_be_hidden()


def test_what_the_audit_found_violated_is_listed_and_counts_nothing(opened: Any, to_fragment: Any) -> None:
    page = opened("guide/index.html")
    to_fragment(page, "#?model=cnn&baseline=none")
    point = page.locator(".guide-ranking > li[data-method=lrp-epsilon] .guide-points li", has_text="satisfies allocation completeness")
    expect(point.locator("b")).to_have_text("0")
    expect(point).to_contain_text("have no biases")
    expect(point).to_contain_text("our audit finds it violated")


def test_counts_say_what_they_count(built: Any, opened: Any) -> None:
    every, inside = len(built.site.of_kind("method")), len(candidates(built.site.atlas))
    page = opened("guide/index.html")
    expect(page.locator("article")).to_contain_text(f"among {inside} of the {every} methods recorded: the other {every - inside} have no reference")
    costs = page.locator(".guide-cost").all_text_contents()
    assert "1 evaluation" in costs
    assert "1 evaluations" not in costs
    assert not [text for text in page.locator(".guide-form label, .guide-cost").all_text_contents() if re.search(r"\d\d{3}|\d \d{3}", text)]
