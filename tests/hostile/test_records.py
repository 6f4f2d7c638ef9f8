"""Hostile text in a record: refused, with the file, the line and the field, and what to do."""

import pytest

import taxonomy
from taxonomy import AtlasError
from taxonomy.reading import parse
from taxonomy.text import MOST_FORMULA, MOST_PROSE, check_address, check_code, check_formula, check_name, check_prose

RECORD = """\
id: keeps-nothing
name: Keeps nothing
category: faithfulness
summary: It keeps nothing.
sources: [{work: deng2025attribution, at: Sec. I}]
"""
HTML = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js>",
    "<img src=x onerror=alert(1)>",
    '<img title="<" onerror=alert(1)>',
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc=x>",
    "<style>@import 'x'</style>",
    '<meta http-equiv="refresh" content="0">',
    "<base href=//evil.example>",
    "<b>",
    "</div>",
    "</ div>",
    "<!-- x -->",
    "<!doctype html>",
    "<?php x ?>",
    "<![CDATA[x]]>",
    "<javascript:alert(1)>",
    "<img src=x onerror=alert(1)",
    "<a\nhref=x>",
    "`x`<b>`y`",
    "$a ` b$ <b> $c ` d$",
    "`a\n\n<b>\n\n`",
    "``<b>`",
    "\\`<b>\\`",
    "$x$<i>",
]
LINKS = [
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,AA)",
    "[x](vbscript:x)",
    "[x](java\tscript:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](java&Tab;script:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](../../../etc/passwd)",
    "[x](/etc/passwd)",
    "[x]( javascript:x)",
    '[x](https://a.example" onclick=x)',
    "[x](https://a.example){ onclick=x }",
    "[x](https://a.example 'javascript:')",
    "[x][y]",
    "[x]\n\n[x]: javascript:x",
    "- [x]: https://a.example",
    "[x](@/index.md)",
    "[x](blob:https://a.example)",
    "[[x](https://a.example)](javascript:x)",
    "[x](https://a.example/\u202e)",
    "[x](http:javascript:x)",
]
BLOCKS = [
    "# x",
    "## x",
    "- # x",
    "> # x",
    "1. # x",
    "x\n===",
    "x\n---",
    "---\ntitle: x\n---",
    "***",
    "- - -",
    "___",
    "```\nx\n```",
    "~~~\nx\n~~~",
    "x\n\n~~~",
    "!!! danger\n    x",
    "??? note",
    "[TOC]",
    "x\n\n[TOC]",
    "*x*{ onclick=x }",
    "*x*{: onclick=x }",
    "x\n{: onclick=x }",
    "x\n{ .a #b }",
    "{ .a }",
    "a cell { onclick=x }",
    "$x${ onclick=x }",
    "`x`{ onclick=x }",
    "{{ config }}",
    "{% include 'x' %}",
    "{# x #}",
    "{onclick=x}",
    "x\n{onclick=x}\ny",
    "[^1]: x",
    "a &# b",
    "`a &# b`",
    "`<!--`",
    "`<?`",
    "&#x",
    "![x](https://evil.example/x.png)",
    "![x][y]",
    "a `b",
    "a `` b` c",
    "costs $5",
    "\\(x\\) $",
    "[" * 80,
]
FORMULAS = [
    r"\frac{1}{2",
    "}{",
    "$x$",
    r"\$ x \$",
    r"\def\a{\a}\a",
    r"\gdef\a{\a}",
    r"\let\a\b",
    r"\newcommand{\a}{\a\a}\a",
    r"\renewcommand{\frac}{x}",
    r"\href{javascript:alert(1)}{x}",
    r"\url{javascript:x}",
    r"\includegraphics{x}",
    r"\htmlClass{a}{x}",
    r"\htmlData{onclick=x}{y}",
    r"\style{x}{y}",
    r"\input{/etc/passwd}",
    r"\write18{ls}",
    r"\catcode`\%=12",
    r"\hspace{9999em}",
    r"\kern9999pt",
    r"\label{x}",
    r"\tag{x}",
    "x % comment",
    "x" * 3000,
    "{" * 40 + "x" + "}" * 40,
    r"\frac{1}{" * 1000 + "x" + "}" * 1000,
    "[" * 30,
    "(" * 30 + "x",
    r"\left(" * 500,
    "{" * 100_000,
    r"\not" * 100_000,
    " ",
    r"\text{a $x$}",
    "&",
    r"\begin{matrix}",
    r"\end{matrix}",
    r"\verb|<script>|",
    r"\unicode{x202e}",
    r"\mbox{$x$}",
]
NAMES = [
    ("Gr\u0430dient", "CYRILLIC SMALL LETTER A"),
    ("\u0410BC", "CYRILLIC"),
    ("Grad\u0399ent", "looks like one"),
    ("\u039fcclusion", "looks like one"),
    ("\U0001d5a6radient", "MATHEMATICAL"),
    ("\uff27radient", "FULLWIDTH"),
    ("\ufb01t", "LIGATURE"),
    ("e\u0301", "separate accents"),
    ("a\nb", "one line"),
    (" a", "one line"),
    ("a  b", "one line"),
    ("a\u00a0b", "one line"),
    ("<b>x</b>", "without markup"),
    ("</title><script>", "without markup"),
    ("\u13aa", "CHEROKEE"),
    ("<!--", "without markup"),
]
ADDRESSES = [
    "javascript:alert(1)",
    "https://a.example/)x",
    "https://a.example\nx",
    "https://a.example/<b>",
    "https://a.example/ x",
    "//a.example",
    "https://",
    "HTTPS://a.example",
    'https://a.example/"onclick=x',
    "data:text/html,x",
    "https://a.example](javascript:x",
]
UNSEEN = [
    "\x00",
    "\x08",
    "\x1b",
    "\x7f",
    "\x85",
    "\u00ad",
    "\u034f",
    "\u061c",
    "\u115f",
    "\u17b4",
    "\u180e",
    "\u200b",
    "\u200d",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u202a",
    "\u202e",
    "\u2060",
    "\u2066",
    "\u2069",
    "\u2800",
    "\u3164",
    "\ufe0f",
    "\ufeff",
    "\uffa0",
    "\ufff9",
    "\uffff",
    "\ue000",
    "\U000e0041",
    "\U000e0100",
    "\U0010ffff",
]


@pytest.mark.parametrize("text", [*HTML, *LINKS, *BLOCKS])
def test_prose_is_refused(text):
    for prose in (text, f"Words before.\n\n{text}", f"Words before.\n{text}\nand after."):
        if text == "# x" or "\n" not in text or prose == text:
            with pytest.raises(ValueError, match=r"not allowed|links|unbalanced|braces|brackets|pictures"):
                check_prose(prose)


@pytest.mark.parametrize("latex", FORMULAS)
def test_formula_is_refused_in_no_time(latex):
    with pytest.raises(ValueError, match="formula"):
        check_formula(latex)
    if "$" not in latex:
        with pytest.raises(ValueError):
            check_prose(f"It is ${latex}$ here.")


@pytest.mark.parametrize(("name", "reason"), NAMES)
def test_name_is_refused(name, reason):
    with pytest.raises(ValueError, match=reason):
        check_name(name)


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_is_refused(address):
    with pytest.raises(ValueError, match="is no address"):
        check_address(address)


@pytest.mark.parametrize("code", ["```\n<script>", "x\n```", "  ~~~\nx", "> ```"])
def test_code_cannot_end_its_block(code):
    with pytest.raises(ValueError, match="would end the block"):
        check_code(code)


def test_lengths_are_bounded():
    with pytest.raises(ValueError, match=f"at most {MOST_PROSE}"):
        check_prose("x" * (MOST_PROSE + 1))
    with pytest.raises(ValueError, match=f"at most {MOST_FORMULA}"):
        check_formula("x+" * 500_000)


@pytest.mark.parametrize(
    "text",
    [
        "a < b and b > c",
        "5 <6",
        "A set {i, j} of two.",
        "[0, 1): half open",
        "a_b*c",
        "x & y",
        "- a\n- b",
        "1. a\n2. b",
        "`{{ x }}` and `<b>`",
        "[x](https://a.example/b?c=d#e)",
        "a | b",
        r"costs \$5",
        "*{a}* b {c} d",
    ],
)
def test_harmless_prose_is_let_through(text):
    if text == "*{a}* b {c} d":
        with pytest.raises(ValueError, match="braces"):
            check_prose(text)
    else:
        assert check_prose(text) is text


# -- in a file -------------------------------------------------------------------------------------------------------------------------------


def problems_with(kb, text):
    path = kb / "principles" / "keeps-nothing.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(AtlasError):
        taxonomy.load(kb)
    found = [problem for problem in taxonomy.check(kb) if problem.file == "kb/principles/keeps-nothing.yaml"]
    lines = path.read_bytes().count(b"\n") + 2
    assert found
    for problem in found:
        assert 1 <= problem.line <= lines
        assert problem.message
        assert str(problem).isprintable() or "\n" in str(problem)
    return found


@pytest.mark.parametrize("sign", UNSEEN, ids=lambda sign: f"U+{ord(sign):04X}")
def test_what_nobody_sees_is_refused_raw_and_as_an_escape(kb, sign):
    (problem,) = problems_with(kb, RECORD.replace("Keeps nothing", f"Keeps {sign}nothing"))
    assert (problem.rule, problem.line, problem.column) == ("character", 2, 13)
    assert f"U+{ord(sign):04X}" in problem.message
    (problem,) = problems_with(kb, RECORD.replace("Keeps nothing", f'"Keeps \\U{ord(sign):08X}nothing"'))
    assert (problem.line, problem.field) == (2, "name")


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        (b"\xef\xbb\xbf" + RECORD.encode(), "encoding", 1),
        (RECORD.encode("utf-16"), "encoding", 1),
        (RECORD.encode() + b"note: \xff\n", "encoding", 6),
        (RECORD + "&a note: *a\n", "unknown-field", 6),
        (RECORD + "a: &a [x]\nb: [*a, *a]\n", "yaml", 6),
        (RECORD + "<<: {name: x}\n", "unknown-field", 6),
        (RECORD + "name: Keeps something\n", "duplicate-key", 6),
        (RECORD + "---\nid: second\n", "yaml", 6),
        (RECORD + "informal: !!python/object/apply:os.system [ls]\n", "yaml", 6),
        (RECORD + "informal: !!bool true\n", "yaml", 6),
        (RECORD + "? [a, b]\n: x\n", "yaml", 6),
        (RECORD + "informal: " + "[" * 5000 + "\n", "yaml", 6),
        (RECORD + "references: [" + "{a: " * 30 + "x" + "}" * 30 + "]\n", "yaml", 6),
        (RECORD + "informal: maybe\n", "value", 6),
        (RECORD + "informal: .nan\n", "value", 6),
        (RECORD.replace("id: keeps-nothing", "id: ../../../tmp/x"), "value", 1),
        (RECORD.replace("id: keeps-nothing", "id: /etc/passwd"), "value", 1),
        (RECORD.replace("id: keeps-nothing", "id: no"), "id", 1),
        (RECORD.replace("id: keeps-nothing", "id: 012"), "id", 1),
        (RECORD.replace("id: keeps-nothing", "id: 1e3"), "id", 1),
        (RECORD.replace("id: keeps-nothing", "id: 2020-01-01"), "id", 1),
        (RECORD.replace("id: keeps-nothing", "id: keeps-n\u043ething"), "value", 1),
        (RECORD.replace("id: keeps-nothing", "id: " + "a" * 100), "value", 1),
        (RECORD.replace("work: deng2025attribution", "work: ../../x"), "value", 5),
        (RECORD.replace("at: Sec. I", "at: Eq. " + "9" * 6000), "locator", 5),
        (RECORD.replace("at: Sec. I", "at: ../../etc/passwd"), "locator", 5),
        (RECORD + "implementation: executable.../../os:system\n", "value", 6),
        (RECORD + "implementation: os:system\n", "value", 6),
        (RECORD + "check: ../../x/y\n", "value", 6),
        (RECORD + "references: ['x) <script>']\n", "unknown-reference", 6),
        (RECORD + "".join(f"f{n}: x\n" for n in range(8000)), "unknown-field", 6),
        (RECORD + "name: x\n" * 12_000, "duplicate-key", 6),
        (RECORD + "f" * 100_000 + ": x\n", "yaml", 6),
        (RECORD + "formula: '" + "{" * 100_000 + "'\n", "value", 6),
        ("- " * 50_000, "yaml", 1),
        ("x", "type", 1),
        ("", "yaml", 1),
        ("\x00" * 100, "character", 1),
    ],
)
def test_broken_yaml_is_located(kb, text, rule, line):
    found = problems_with(kb, text)
    assert rule in {problem.rule for problem in found}
    assert line is None or line in {problem.line for problem in found}
    assert len(found) <= 51
    assert all(len(str(problem)) < 1500 for problem in found)


def test_a_strange_letter_in_an_id_is_named(kb):
    (problem,) = problems_with(kb, RECORD.replace("id: keeps-nothing", "id: keeps-n\u043ething"))
    assert "U+043E (CYRILLIC SMALL LETTER O)" in problem.message


@pytest.mark.parametrize("id_", ["index", "con", "nul", "com1"])
def test_ids_that_a_page_or_a_system_needs_are_reserved(kb, id_):
    (kb / "principles" / f"{id_}.yaml").write_text(RECORD.replace("keeps-nothing", id_))
    (problem,) = taxonomy.check(kb)
    assert (problem.file, problem.line, problem.rule) == (f"kb/principles/{id_}.yaml", 1, "id")
    assert "reserved" in problem.message


def test_billion_laughs_are_refused_at_once(kb):
    text = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
    assert parse(text, "x.yaml")[1]
    assert "anchors" in problems_with(kb, text)[0].message


def test_a_study_of_a_metric_that_is_not_there(kb):
    path = next((kb / "studies").glob("*.yaml"), kb / "studies" / "some-study.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"id: {path.stem}\nname: S\nsummary: S.\nsources: [{{work: deng2025attribution, at: Sec. I}}]\nmetric: nothing\nsetup: S.\nfinding: F.\n"
    )
    (problem,) = [problem for problem in taxonomy.check(kb) if problem.severity is taxonomy.Severity.ERROR]
    assert (problem.rule, problem.line, problem.field) == ("dangling-reference", 5, "metric")
