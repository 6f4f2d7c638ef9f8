"""`references.bib`: keys with their lines, and entries as plain data."""

import pytest

from taxonomy.bibliography import check, parse

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
