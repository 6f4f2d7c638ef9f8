"""Locators: the forms that are understood, and what is checked against a work's inventory."""

import pytest

from taxonomy.locators import Place, faults, parse

FORMS = [
    ("Table III", Place("exhibit", "Table III")),
    ("Table III, caption", Place("exhibit", "Table III")),
    ("Table III, row Path", Place("exhibit", "Table III", row="Path")),
    ("Table VI, row Path, column Violating", Place("exhibit", "Table VI", row="Path", column="Violating")),
    ("Table VI, column Violating", Place("exhibit", "Table VI", column="Violating")),
    ("Fig. 4, row Grad/MG, column Path", Place("exhibit", "Fig. 4", row="Grad/MG", column="Path")),
    ("Sec. II-A", Place("section", "II-A")),
    ("Sec. II-A(4)", Place("section", "II-A")),
    ("Sec. II-A(1)(ii)", Place("section", "II-A")),
    ("Sec. A Heading (of sorts)", Place("section", "A Heading (of sorts)")),
    ("Eq. 12", Place("equation", "Eq. 12", first=12, last=12)),
    ("Eqs. 9-16", Place("equation", "Eqs. 9-16", first=9, last=16)),
    ("Theorem 7", Place("theorem", "Theorem 7", first=7, last=7)),
    ("Proposition 1", Place("proposition", "Proposition 1", first=1, last=1)),
    ("Ref. 60", Place("reference", "Ref. 60", first=60, last=60)),
    ("Footnote 1", Place("footnote", "Footnote 1", first=1, last=1)),
    ("Abstract", Place("front", "Abstract")),
    ("Index Terms", Place("front", "Index Terms")),
    ("Title", Place("front", "Title")),
]


@pytest.mark.parametrize(("locator", "place"), FORMS)
def test_forms(locator, place):
    assert parse(locator) == place


@pytest.mark.parametrize(
    "locator", ["", "Table 3", "Tab. III", "page 7", "Section II", "Sec. ", "Eq. twelve", "Eq. 1, 2", "Theorem", "abstract", " Title", "Eq. 1\n"]
)
def test_other_forms_are_not_understood(locator, atlas):
    assert parse(locator) is None
    (fault,) = faults(locator, atlas.records["deng2025attribution"])
    assert fault.startswith(f"locator `{locator}` is not understood; write one of `Table III, row X`")


@pytest.mark.parametrize(
    ("locator", "fault"),
    [
        ("Table II, row Local, column Methods", None),
        ("Fig. 4, row Shap, column Path", None),
        ("Sec. II-B(3)", None),
        ("Eqs. 1-4", None),
        ("Ref. 3", None),
        ("Footnote 1", None),
        ("Abstract", None),
        ("Table VIII", "the survey has no table or figure `Table VIII`; did you mean `Table VII` or `Table III` or `Table VI`?"),
        ("Table II, row Locl", "the survey has no row `Locl` in Table II; did you mean `Local`?"),
        ("Table II, column Method", "the survey has no column `Method` in Table II; did you mean `Methods`?"),
        ("Table V, row Sensitivity, column Any", "the survey has no column `Any` in Table V"),
        ("Sec. III", "the survey has no section `III`"),
        ("Eq. 5", "`Eq. 5` does not exist: the survey has 4 equations"),
        ("Eq. 0", "`Eq. 0` does not exist: the survey has 4 equations"),
        ("Eqs. 3-5", "`Eqs. 3-5` does not exist: the survey has 4 equations"),
        ("Eqs. 3-2", "`Eqs. 3-2` does not exist: the survey has 4 equations"),
        ("Theorem 1", "`Theorem 1` does not exist: the survey has 0 theorems"),
        ("Ref. 4", "`Ref. 4` does not exist: the survey has 3 references"),
        ("Footnote 2", "`Footnote 2` does not exist: the survey has 1 footnote"),
    ],
)
def test_places_are_held_against_the_work(locator, fault, atlas):
    assert list(faults(locator, atlas.records["deng2025attribution"])) == ([fault] if fault else [])


def test_row_and_column_are_both_reported(atlas):
    assert len(list(faults("Fig. 4, row Nobody, column Nothing", atlas.records["deng2025attribution"]))) == 2


def test_every_locator_of_the_atlas_is_understood(kb_atlas):
    places = {source.at for edge in kb_atlas.edges for source in edge.sources}
    assert len(places) > 200
    assert [place for place in places if parse(place) is None] == []
