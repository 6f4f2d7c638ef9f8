"""Prose, summaries and formulas: what is let through, what is refused, and with which reason."""

import pytest

from taxonomy.text import check_formula, check_prose, check_summary, formulas_of, to_mathml

ACCEPTED = [
    "Plain words.",
    "Half of $x_i$ and $$\\sum_i a_i$$ of it.",
    "It costs \\$5, or \\$6.",
    "`find $HOME <file>` is code, ``a ` <b> tick`` too.",
    "It holds if $a < b$ and $b > c$.",
    "An [address](https://example.org/a).",
    "The interval [0, 1]: closed.",
    "5 < 6, and 7 > 2.",
    "* a list\n* of **two**",
]
REFUSED = [
    ("An <b>unused</b> one.", "raw HTML is not allowed in a record: `<b>`"),
    ("A <!-- comment -->.", "raw HTML"),
    ("<https://example.org>", "raw HTML"),
    ("\\`<img src=x onerror=alert(1)>\\`", "raw HTML"),
    ("`` ` `` <i>x</i> ` `", "raw HTML"),
    ("A [page](../methods/gradient.md).", "links may point to https:"),
    ("A [part](#part).", "links may point to https:"),
    ("[x](javascript:alert(1))", "links may point to https:"),
    ("[x]( JavaScript:alert(1))", "links may point to https:"),
    ("[x](java&#115;cript&colon;alert(1))", "links may point to https:"),
    ("[x](data:text/html;base64,AA)", "links may point to https:"),
    ("[x](file:///etc/passwd)", "links may point to https:"),
    ("See [x].\n\n[x]: vbscript:run", "links may point to https:"),
    ("It costs $5.", "unbalanced `$`"),
    ("An odd $x$ and $y.", "unbalanced `$`"),
    ("It is $\\frac{1}{2$.", "formula does not parse"),
    ("It is $$\\nosuchcommand$$.", "Unknown command"),
]


@pytest.mark.parametrize("prose", ACCEPTED)
def test_prose_is_returned_unchanged(prose):
    assert check_prose(prose) is prose


@pytest.mark.parametrize(("prose", "reason"), REFUSED)
def test_prose_is_refused(prose, reason):
    with pytest.raises(ValueError) as caught:
        check_prose(prose)
    assert reason in str(caught.value)


def test_summary_refuses_displayed_math_in_its_first_paragraph_only():
    assert check_summary("Words with $x$.\n\n$$x$$")
    with pytest.raises(ValueError, match="first paragraph of a summary"):
        check_summary("\nWords $$x$$.\n\nMore.")


def test_formulas_of_prose():
    prose = "First $a$ then $$b\n+ c$$, not `$d$` nor \\$ nor ``$e$``, and $f$."
    assert formulas_of(prose) == [("a", False), ("b\n+ c", True), ("f", False)]


class TestFormulas:
    def test_mathml(self):
        assert "<mfrac>" in to_mathml(r"\frac{1}{2}", display=True)
        assert to_mathml("x", display=True) != to_mathml("x", display=False)

    def test_formula_is_returned_unchanged(self):
        assert check_formula(r"\sum_i a_i = f(x) - f(b)") == r"\sum_i a_i = f(x) - f(b)"

    def test_failure_says_what_and_in_which_formula(self):
        with pytest.raises(ValueError, match=r"formula does not parse: .*Unknown command.* in `x \+ \\alpa`"):
            check_formula(r"x + \alpa")

    def test_one_formula_does_not_change_the_next(self):
        with pytest.raises(ValueError):
            check_formula(r"\newcommand{\mine}{x} \mine{")
        with pytest.raises(ValueError):
            check_formula(r"\mine")
