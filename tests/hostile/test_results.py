"""Hostile bibliographies and files of recorded results: refused with a place, or made harmless."""

import json

import pytest

import taxonomy
from taxonomy import AtlasError, bibliography, gallery
from taxonomy.evidence import Evidence
from taxonomy.guide.cost import value_of
from taxonomy.locators import parse as parse_locator
from taxonomy.recorded import parsed

ENTRY = "@misc{{evil,\n  title = {{{title}}},\n  year = {{2020}},\n  {more}\n}}\n"
REFUSED_BIBTEX = [
    ENTRY.format(title="<script>alert(1)</script>", more=""),
    ENTRY.format(title="x", more="url = {javascript:alert(1)}"),
    ENTRY.format(title="x", more='url = "data:text/html,x"'),
    ENTRY.format(title="x", more="url = {https://a.example/ <b>}"),
    ENTRY.format(title="x", more="doi = {10.1/x) [a](javascript:x)}"),
    ENTRY.format(title="x", more="eprint = {1234.5678|<b>}"),
    ENTRY.format(title="x", more="crossref = {evil}"),
    ENTRY.format(title="x\u202e", more=""),
    "@string{a = {b}}\n",
    '@preamble{ "\\input{x}" }\n',
    "@comment{x}\n",
    "@misc{../../etc/passwd,\n  title = {x}\n}\n",
    "@misc{a`b,\n  title = {x}\n}\n",
    "".join(f"@string{{a{n + 1} = a{n} # a{n}}}\n" for n in range(60)),
]
BROKEN_BIBTEX = [
    "@misc{evil, title = {x",
    "@misc{evil, title = x y}",
    "@misc{evil, title = {" + "{" * 5000 + "}" * 5000 + "}}",
    "@misc{evil, author = {a, b, c, d, e}}",
    "@misc{evil, year = {x}, year = {y}}",
    "@misc{",
]


def problems_of(kb, file):
    return [problem for problem in taxonomy.check(kb) if problem.file == f"kb/{file}"]


@pytest.mark.parametrize("text", REFUSED_BIBTEX)
def test_hostile_bibliography_is_refused_when_records_load(kb, text):
    before = (kb / "references.bib").read_text()
    (kb / "references.bib").write_text(before + "\n" + text, encoding="utf-8")
    found = problems_of(kb, "references.bib")
    assert found
    assert all(before.count("\n") < problem.line <= before.count("\n") + 70 for problem in found)
    with pytest.raises(AtlasError):
        taxonomy.load(kb, cache=False)


@pytest.mark.parametrize("text", BROKEN_BIBTEX)
def test_broken_bibliography_is_located(kb, text):
    with (kb / "references.bib").open("a") as file:
        file.write("\n" + text)
    assert problems_of(kb, "references.bib")
    with pytest.raises(AtlasError, match="BibTeX does not parse"):
        bibliography.parse((kb / "references.bib").read_text())


@pytest.mark.parametrize(
    ("field", "value", "address"),
    [
        ("doi", "10.1/x_(y)<z>", "https://doi.org/10.1/x_(y)%3Cz%3E"),
        ("doi", 'x" onclick="y', "https://doi.org/x%22%20onclick%3D%22y"),
        ("eprint", "1](javascript:x", "https://arxiv.org/abs/1%5D%28javascript%3Ax"),
        ("url", "javascript:alert(1)", ""),
        ("url", "https://a.example/ b", ""),
    ],
)
def test_addresses_of_works_lead_where_they_say(field, value, address):
    entry = bibliography.Entry("x", "misc", {field: value}, (), "")
    assert entry.url == address


# -- recorded results ------------------------------------------------------------------------------------------------------------------------


EVIDENCE = {"claim": "gradient/satisfies/keeps-zero", "check": "a/b", "status": "holds", "statement": "x", "domain": "x", "trials": 1, "seed": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "<script>alert(1)</script>"},
        {"finding": "[x](javascript:x)"},
        {"statement": "# x"},
        {"statement": "a\u202eb"},
        {"claim": "../../../etc/passwd"},
        {"claim": "a/../b"},
        {"status": "proved"},
        {"trials": -1},
        {"trials": 1e400},
        {"seed": "x"},
        {"new": 1},
        {"measurements": [{"name": "x", "value": float("nan")}]},
        {"measurements": [{"name": "$<b>", "value": 1}]},
        {"parameters": {"x": float("inf")}},
        {"parameters": {"x": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}},
        {"parameters": [1]},
        {"counterexample": {"description": "x", "data": {}, "code": "```\n<script>"}},
        {"domain": "$x$ <b>"},
        {"statement": None},
        {"counterexample": {"description": "*x*{ onclick=x }", "data": {}, "code": ""}},
        {"statement": ""},
        {"statement": ["x"]},
    ],
)
def test_hostile_evidence_is_refused_with_its_field(kb, change):
    path = kb / "evidence" / "gradient" / "satisfies" / "keeps-zero.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(EVIDENCE | change), encoding="utf-8")
    (problem,) = problems_of(kb, "evidence/gradient/satisfies/keeps-zero.json")
    assert next(iter(change)) in problem.message or "U+202E" in problem.message
    with pytest.raises(AtlasError):
        taxonomy.load(kb, cache=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{}" * 3,
        b'"x"',
        b"9" * 10_000,
        b'{"claim": "\\ud800"}',
        b'{"claim": "\x00"}',
        b'{"claim": "a\\u202eb"}',
        b"NaN",
    ],
)
@pytest.mark.parametrize("folder", ["evidence", "audits", "conformance", "reproductions"])
def test_broken_json_is_located(kb, folder, content):
    (kb / folder).mkdir(exist_ok=True)
    (kb / folder / "broken.json").write_bytes(content)
    (problem,) = problems_of(kb, f"{folder}/broken.json")
    assert len(str(problem)) < 3000
    assert str(problem).isprintable()


def test_wrong_shapes_name_their_place(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(EVIDENCE | {"measurements": [{"name": "x", "value": "y"}]}))
    with pytest.raises(ValueError, match=r"measurements\.0\.value"):
        parsed(Evidence, tmp_path / "x.json", "evidence file")


GALLERY = {
    "model": {"description": "x", "accuracy": 0.9},
    "images": [{"label": 1, "probability": 0.5, "pixels": [[0.0]]}],
    "targets": [1],
    "attributions": {"gradient": [[[1.0]]]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"attributions": {"../../../evil": [[[1.0]]]}},
        {"attributions": {"gradient": []}},
        {"attributions": {"gradient": [[["x"]]]}},
        {"targets": []},
        {"images": []},
        {"images": [{"label": "<b>", "probability": 0.5, "pixels": [[0.0]]}]},
        {"model": {"description": "", "accuracy": 0.9}},
        {"attributions": {"gradient": [[[float("nan")]]]}},
        {"models": {"gradient": "none"}},
        {"attributions": {"gradient": [[[0.0] * 999]]}},
        {"completeness": {"gradient": {"compared": "x", "sums": [], "expected": []}}},
        {"settings": ["x"]},
    ],
)
def test_hostile_gallery_is_refused_before_pages_are_made(kb, change):
    path = kb / "evidence" / "gallery.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(GALLERY))
    assert problems_of(kb, "evidence/gallery.json") == []
    assert gallery.load(kb)["targets"] == [1]
    path.write_text(json.dumps(GALLERY | change))
    (problem,) = problems_of(kb, "evidence/gallery.json")
    assert problem.suggestion == "delete the file and run `atlas verify`", "which leaves a file as it is whose code has not changed"
    with pytest.raises(AtlasError):
        gallery.load(kb)


@pytest.mark.parametrize(
    "text",
    [
        "0**(0-1)",
        "(0-2)**2**(0-1)",
        "n" + "+n" * 90,
        "(" * 150 + "n" + ")" * 10,
        "-" * 100,
        "9" * 5000,
        "n n",
        "min()",
        "min",
        "n(n)",
        "",
        "**",
        "min(n=n)",
        "True",
        "n.n",
        "'n'",
        "f'{n}'",
        "lambda: n",
        "n if n else n",
    ],
)
def test_hostile_costs_are_refused(text):
    if text.startswith("n+n"):
        assert value_of(text, 2) == 182
        return
    with pytest.raises(ValueError, match=r"cost|expression|value"):
        value_of(text, 10)


def test_towers_of_powers_are_infinite_at_once():
    assert value_of("9**9**9**9**9", 10) == float("inf")
    assert value_of("min(9**9**9**9, 5)", 10) == 5


@pytest.mark.parametrize(
    "text", ["Eq. " + "9" * 5000, "Table I" + ", row x" * 50_000, "Sec. " + "(a)" * 50_000, "Fig. \u0661", "Eqs. 1-2-3", "", "\n"]
)
def test_hostile_locators_are_not_understood(text):
    assert parse_locator(text) is None
