"""Small pieces of Markdown: what goes in as plain text comes out as that text."""

from __future__ import annotations

import html
import re

import markdown
import pytest
from atlas_pages import markup, mathml
from atlas_pages.claims import compact_json, family_name, number
from atlas_pages.context import slug
from atlas_pages.pictures import digit, heatmap

EXTENSIONS = ["attr_list", "md_in_html", "tables", mathml.MathExtension()]
NASTY = [
    "LRP-α*β*",
    "a_b_c",
    "x|y",
    "<script>",
    "a & b",
    "[1](x)",
    "`code`",
    "C:\\dir",
    "$5 and $6",
    "**",
    "# no heading",
    "1. x",
    "{ .a }",
    "~~x~~",
    '"quoted"',
]


def render(text: str) -> str:
    return markdown.markdown(text, extensions=EXTENSIONS)


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", page)).strip()


@pytest.mark.parametrize("text", NASTY)
def test_escaped_text_shows_itself(text: str) -> None:
    assert text_of(render(f"x {markup.escape(text)}")) == f"x {text}"


@pytest.mark.parametrize("text", NASTY)
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    page = render(markup.table(["a", "b"], [[markup.escape(text), "second"]]))
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert [text_of(cell) for cell in cells] == [text, "second"]


def test_a_line_break_in_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line break, with which the table would end: 'a\\nb'"):
        markup.table(["Head"], [["a\nb"]])


def test_a_long_list_folds_its_rest() -> None:
    assert markup.few([], 2) == "–"
    assert markup.few(["a", "b"], 2) == "a, b"
    assert text_of(render(markup.few(["a", "b", "c", "d"], 2))) == "a, band 2 morec, d"


def test_names_with_marks_end_in_a_comma_but_the_last() -> None:
    assert markup.together([]) == ""
    assert text_of(render(markup.together(["[a](x) *", "b"]))) == "a *, b"


@pytest.mark.parametrize("text", NASTY)
def test_link_text_is_plain(text: str) -> None:
    page = render(markup.link(text, "a.md#b"))
    assert page.count("<a ") == 1
    assert 'href="a.md#b"' in page
    assert text_of(page) == text


@pytest.mark.parametrize("text", ["a`b", "``", "`x", "plain", "a|b"])
def test_code_spans_hold_anything(text: str) -> None:
    assert text_of(render(f"see {markup.code(text)}")) == f"see {text}"


def test_attribute_cannot_be_left() -> None:
    assert '"' not in markup.attribute('" onclick="x')
    assert "<" not in markup.attribute("<b>")


def test_one_line_keeps_formulas_and_code_and_splits_no_cell() -> None:
    line = markup.one_line("Size $|x|$ and `a|b`\nor a|b.")
    page = render(markup.table(["a"], [[line]]))
    assert page.count("<td") == 1
    assert "<math" in page
    assert "a|b" in text_of(page)


@pytest.mark.parametrize(
    ("address", "page", "expected"),
    [
        ("[a](@/methods/x.md#y)", "methods/z.md", "[a](x.md#y)"),
        ("[a](@/methods/x.md)", "index.md", "[a](methods/x.md)"),
        ("[a](@/index.md)", "methods/z.md", "[a](../index.md)"),
        ("[a](@/methods/z.md#y)", "methods/z.md", "[a](z.md#y)"),
        ('<a href="@/tables/t.html#r">', "methods/z.md", '<a href="../tables/t.html#r">'),
        ('<img src="@/pictures/p.svg">', "index.md", '<img src="pictures/p.svg">'),
        ("`@/not/a/link`", "index.md", "`@/not/a/link`"),
    ],
)
def test_addresses_become_relative(address: str, page: str, expected: str) -> None:
    assert markup.relative(address, page) == expected


def test_plain_text_of_prose() -> None:
    assert markup.plain(r"The *path* of $\frac{a}{b} \times x_i$ in `code`, [here](x.md).") == "The path of a/b × x_i in code, here."


def test_first_paragraph() -> None:
    assert markup.first_paragraph("One\ntwo.\n\nThree.") == "One two."


@pytest.mark.parametrize(
    ("text", "expected"), [("Fig. 4", "fig-4"), ("LRP-αβ/DTD", "lrp-alpha-beta-dtd"), ("x^(l)", "x-l"), ("S̄", "s-bar"), ("M,+", "m-plus"), ("∅", "x")]
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_slugs_of_a_table_differ(atlas_site) -> None:  # type: ignore[no-untyped-def]
    for document in atlas_site.of_kind("source"):
        for exhibit in document.exhibits:
            if (
                exhibit.label in {"Table I", "Table II", "Table III", "Table IV", "Table V", "Table VI", "Table VII", "Fig. 4"}
                and document.id == "deng2025attribution"
            ):
                anchors = [slug(row) for row in exhibit.rows]
                assert len(set(anchors)) == len(anchors), exhibit.label


@pytest.mark.parametrize(
    ("value", "expected"), [(3.2e-12, "3.2 × 10⁻¹²"), (0.98123, "0.9812"), (12.0, "12"), (0.0, "0"), (-1.5e7, "−1.5 × 10⁷"), (1e-9, "1 × 10⁻⁹")]
)
def test_numbers(value: float, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("author", "expected"), [("Mukund Sundararajan", "Sundararajan"), ("L. van der Maaten", "van der Maaten"), ("K.-R. Müller", "Müller"), ("X", "X")]
)
def test_family_names(author: str, expected: str) -> None:
    assert family_name(author) == expected


def test_json_lists_stay_on_one_line() -> None:
    assert '"x": [1, 2]' in compact_json({"x": [1, 2], "y": {"z": ["a, b"]}})


# -- mathematics -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "latex",
    [
        r"\sum_{i=1}^n \left\{ x_i \right\}",
        r"\int_0^1 f(t)\,dt",
        "a > b",
        "a < b",
        "x_1 * x_2 * x_3",
        "|x|",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
    ],
)
def test_formulas_become_mathml(latex: str) -> None:
    for text, display in ((f"${latex}$", False), (f"$$\n{latex}\n$$", True)):
        page = render(f"Before\n{text} after")
        assert page.count("<math") == 1
        assert ('display="block"' in page) == display
        assert "<em>" not in page
        assert "$" not in page
        assert "<blockquote>" not in page


@pytest.mark.parametrize("text", ["`$x$`", "``a ` $x$``", "\\$5 and \\$6"])
def test_no_mathematics_in_code_or_after_a_backslash(text: str) -> None:
    page = render(text)
    assert "<math" not in page
    assert "$" in text_of(page)


def test_formula_in_a_table_cell_and_in_html() -> None:
    assert render("| a | b |\n|---|---|\n| $|x|$ | $y$ |").count("<math") == 2
    assert "<math" in render('<div class="x">$x$</div>')
    assert "<math" in render('<div markdown="span">$x$</div>')


def test_punctuation_stays_with_its_formula() -> None:
    assert re.search(r'<span class="together">\(<math.*</math>\)\.</span>', render("at ($t = 0$). Next"))
    assert 'href="a.md"' in render("[$x$](a.md)")


def test_a_bad_formula_stops_the_build_with_its_place() -> None:
    with pytest.raises(ValueError, match="formula does not parse"):
        render(r"Bad: $\frac{a}$")


# -- pictures --------------------------------------------------------------------------------------------------------------------------------


def test_heatmap_has_both_colours_and_scales_to_its_largest_value() -> None:
    picture = heatmap([[2.0, -1.0], [0.0, 0.001]])
    assert 'fill-opacity="1.00" d="M0 0h1v1h-1z"' in picture
    assert 'fill-opacity="0.50" d="M1 0h1v1h-1z"' in picture
    assert picture.count("<path") == 2


def test_pictures_of_nothing() -> None:
    assert "<path" not in heatmap([[0.0, 0.0]])
    assert "<path" not in digit([[0.0]])
