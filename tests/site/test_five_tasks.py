"""Five things that people come for, done by clicking from the home page; each within the number of clicks that is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api").expect


class Clicks:
    """A reader who only clicks, and counts."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.count = 0

    def on(self, locator: Any) -> None:
        locator.click()
        self.count += 1

    def link(self, name: str, *, inside: str = "article") -> None:
        """Click the first link of this name."""
        self.on(self.page.locator(inside).get_by_role("link", name=name, exact=True).first)


@pytest.fixture(params=[390, 1440])
def clicks(opened: Callable[..., Any], request: pytest.FixtureRequest) -> Clicks:
    return Clicks(opened("index.html", width=request.param))


def test_does_lrp_epsilon_equal_gradient_times_input(clicks: Clicks) -> None:
    clicks.link("LRP-ε")
    claim = clicks.page.locator("#equivalent-to-grad-times-input")
    expect(claim.locator("summary").first).to_contain_text("fails")
    clicks.on(claim.locator("summary").first)
    expect(claim).to_contain_text("ReLU")
    assert clicks.count == 2


def test_choose_a_method_for_a_black_box_on_a_table_that_must_sum_to_the_output(clicks: Clicks) -> None:
    clicks.link("Which method?")
    clicks.on(clicks.page.get_by_label("Its outputs"))
    clicks.on(clicks.page.get_by_label("Something that has no gradient"))
    clicks.on(clicks.page.get_by_label("Completeness", exact=True))
    first = clicks.page.locator(".guide-ranking > li").first
    expect(first).to_have_attribute("data-method", "shapley-value")
    expect(first).to_contain_text("completeness")
    expect(first.locator("pre")).to_contain_text("shapley_value")
    assert clicks.count == 4


def test_which_claims_of_table_vi_fail_when_run(clicks: Clicks) -> None:
    clicks.link("Tables II to VII, Fig. 4")
    clicks.on(clicks.page.locator("article a[href$='table-6.html']").locator("visible=true").first)
    expect(clicks.page.locator("article")).to_contain_text("Fails as printed")
    assert clicks.count == 2


def test_cite_the_page_on_deep_taylor_decomposition(clicks: Clicks) -> None:
    clicks.link("Methods")
    clicks.on(clicks.page.locator("article a[href='deep-taylor-decomposition.html']").first)
    expect(clicks.page.locator("article")).to_contain_text("methods-deep-taylor-decomposition")
    expect(clicks.page.locator("#cite")).to_be_visible()
    assert clicks.count == 2


def test_run_integrated_gradients_on_my_model(clicks: Clicks) -> None:
    clicks.link("IG")
    code = clicks.page.locator("#example ~ .highlight pre").first
    expect(code).to_contain_text("from executable import integrated_gradients")
    expect(code).to_be_visible()
    assert clicks.count == 1
