"""`references.bib`: keys with their lines, and entries as plain data."""

import pytest

import taxonomy
from taxonomy.bibliography import check, faults, parse
from taxonomy.problems import Severity

TEXT = r"""
@article{one2001first,
  title = {The {F}irst \& Only},
  author = {Knuth, Donald E. and van der Berg, Jan and {The Group}},
  journal = {Journal of {T}hings},
  year = {2001},
  doi = {10.1/2}
}
@misc{two2002second, title = {Second}, author = {Ann Two and Bob Two}, eprint = {2002.00002}, year = 2002}
@inproceedings{three2003third, title = {Third}, author = {Three, Cy}, booktitle = {Proceedings}, year = {2003}, url = {https://example.org/3}}
@misc{five2005fifth, title = {Fifth}, year = {2005}}
@book{four2004fourth, title = {Fourth}, editor = {Four, Di}, publisher = {Press}, year = {2004}}
"""


@pytest.fixture(scope="module")
def entries():
    return parse(TEXT)


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("one2001first", "title", "The First & Only"),
        ("one2001first", "authors", ("Donald E. Knuth", "Jan van der Berg", "The Group")),
        ("one2001first", "venue", "Journal of Things"),
        ("one2001first", "url", "https://doi.org/10.1/2"),
        ("one2001first", "citation", "Donald E. Knuth et al.: The First & Only. Journal of Things, 2001."),
        ("two2002second", "type", "misc"),
        ("two2002second", "year", "2002"),
        ("two2002second", "venue", "arXiv:2002.00002"),
        ("two2002second", "url", "https://arxiv.org/abs/2002.00002"),
        ("two2002second", "citation", "Ann Two and Bob Two: Second. arXiv:2002.00002, 2002."),
        ("three2003third", "venue", "Proceedings"),
        ("three2003third", "url", "https://example.org/3"),
        ("five2005fifth", "citation", "Fifth. 2005."),
        ("four2004fourth", "authors", ("Di Four",)),
        ("four2004fourth", "url", ""),
    ],
)
def test_entries(entries, key, field, value):
    assert getattr(entries[key], field) == value


def test_bibtex_round_trip(entries):
    for key, entry in entries.items():
        again = parse(entry.bibtex)[key]
        assert (again.title, again.authors, again.fields) == (entry.title, entry.authors, entry.fields)


def test_keys_with_lines(tmp_path):
    path = tmp_path / "references.bib"
    path.write_text(TEXT)
    keys, problems = check(path, "kb/references.bib")
    assert keys == {"one2001first": 2, "two2002second": 9, "three2003third": 10, "five2005fifth": 11, "four2004fourth": 12}
    assert problems == []


@pytest.mark.parametrize(
    "field",
    [
        "title = {On $a<b$ and $p < q$}",
        "doi = {10.1002/(SICI)1097-0258(19980815)17:15<1661::AID-SIM968>3.0.CO;2-2}",
        'doi = "10.1002/(SICI)1097-0258(1998)17:15<L61::AID-SIM968>3.0.CO;2-2"',
    ],
)
def test_formulas_and_older_dois_are_no_markup(field):
    assert faults(f"@misc{{a,\n  {field},\n}}\n", "kb/references.bib") == []


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("title = {On $a$ and <b>$c$</b>}", "`<b`"),
        ("title = {On $a<b>c$}", "`<b`"),
        ("title = {On $</b$}", "`</b$}`"),
        ("title = {a \\$ <b $ x}", "`<b $ x}`"),
        ("doi = {10.1/<b>}", "`10.1/<b>`"),
        ("doi = {10.1/<1::2> <b>}", "`<b`"),
        ("url = {https://a.example/<1::2>}", "`https://a.example/<1::2>`"),
    ],
)
def test_markup_beside_them_is_refused_as_it_is_written(field, what):
    found = faults(f"@misc{{a,\n  {field}\n}}\n", "kb/references.bib")
    assert what in " ".join(problem.message for problem in found)
    assert {problem.line for problem in found} == {2}


@pytest.mark.parametrize("spoilt", ["folder", "no BibTeX"])
def test_one_cause_is_told_once(kb, spoilt):
    path = kb / "references.bib"
    text = path.read_text()
    path.unlink()
    if spoilt == "folder":
        path.mkdir()
    elif spoilt == "no BibTeX":
        path.write_text(text.replace("@article{adams2001gradients,", "@article{ ,"))
    (problem,) = [problem for problem in taxonomy.check(kb) if problem.severity is Severity.ERROR]
    assert problem.file == "kb/references.bib"
    with pytest.raises(taxonomy.AtlasError):
        taxonomy.load(kb, cache=False)


def test_entries_of_an_unusual_form_are_keys_too(kb):
    path = kb / "references.bib"
    path.write_text(path.read_text().replace("@article{adams2001gradients,", "@article {\n adams2001gradients ,") + "\n@misc(x, title = {X})\n")
    keys, problems = check(path, "kb/references.bib")
    assert problems == []
    assert {"adams2001gradients", "x"} <= set(keys)
    assert "y" not in keys


def test_a_problem_names_the_file_as_it_is_asked_to():
    with pytest.raises(taxonomy.AtlasError, match=r"^1 error in the records\nkb/references.bib:2:1: error: BibTeX does not parse"):
        parse("@misc{a, title = {x}}\n@misc{b, title = {", "kb/references.bib")


def test_entries_of_the_atlas(atlas):
    assert list(atlas.bibliography) == ["adams2001gradients", "brown2002removal", "clark2003games"]
    assert (
        atlas.bibliography["adams2001gradients"].citation == "Ann Adams and Bo de la Cruz: Gradients as Explanations. Journal of Maps & Tables, 2001."
    )


def test_every_entry_of_the_atlas_can_be_cited(kb_atlas):
    for key, entry in kb_atlas.bibliography.items():
        assert entry.title, key
        assert entry.citation.startswith(entry.authors[0] if entry.authors else entry.title), key
        assert entry.year.isdigit(), key
        assert "{" not in entry.citation, key
        assert "\\" not in entry.citation, key
