"""Formulas as plain text: nothing of what they say is lost."""

import json
import re

import pytest
from atlas_pages.mathtext import plain_math

import taxonomy
from taxonomy.text import TOKENS


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"f(x) = \max(0, x_1) - \max(0, x_2)", "f(x) = max(0, x_1) - max(0, x_2)"),
        (r"1-\operatorname{relu}(1-x)", "1 - relu(1 - x)"),
        (r"\tanh 2\ne2\tanh1", "tanh 2 ≠ 2 tanh 1"),
        (r"-\ln u", "-ln u"),
        (r"x_1^2x_2", "x_1^2 x_2"),
        (r"(2,-1,3/2)", "(2, -1, 3/2)"),
        (r"\tfrac{1}{2}(a+b)", "1/2 (a + b)"),
        (r"\frac{x-b}{2\sqrt{n}}", "(x - b)/(2√n)"),
        (r"\sum_{i' \in N^\pm} z_{i'j}", "∑_(i′ ∈ N^±) z_i′j"),
        (r"b_{\bar S}", "b_S̄"),
        (r"\mathbb{E}_{b \sim p(b)}[f(b)]", "E_(b ∼ p(b))[f(b)]"),
        (r"\{w_S^{\mathcal{A}}\}", "{w_S^A}"),
        (r"x \mapsto \lvert x \rvert", "x ↦ |x|"),
        (r"a < b & c", "a < b & c"),
        (r"\unknown{x", r"\unknown{x"),
    ],
)
def test_text_of_a_formula(latex: str, text: str) -> None:
    assert plain_math(latex) == text


def _formulas(value: object) -> set[str]:
    if isinstance(value, str):
        return {found for match in TOKENS.finditer(value) if (found := match["display"] or match["inline"])}
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(_formulas, inside))


def test_every_formula_of_the_records_keeps_its_letters_and_brackets() -> None:
    formulas = set().union(*(_formulas(json.loads(record.model_dump_json())) for record in taxonomy.load().records.values()))
    assert len(formulas) > 300
    for latex in formulas:
        text = plain_math(latex)
        assert "\\" not in text, latex
        assert "&" not in text, latex
        assert text.count("(") == text.count(")"), (latex, text)
        bare = re.sub(r"\\[A-Za-z]+", " ", latex)
        assert set(re.findall(r"[A-Za-z0-9]", bare)) <= set(text), (latex, text)
