"""The views of the survey's tables against a separately typed copy of the printed ones, cell by cell."""

import re
import runpy
from pathlib import Path

import pytest

import taxonomy

PRINTED = runpy.run_path(str(Path(__file__).parents[1] / "printed" / "tables.py"))
MEANING, OTHERS, ALL, DASH = (PRINTED[name] for name in ("MEANING", "OTHERS", "ALL", "DASH"))


@pytest.fixture(scope="module")
def views(kb_atlas):
    return {name: {row["row"]: row for row in kb_atlas.table(name)} for name in ("II", "III", "IV", "V", "VI", "VII", "figure-4")}


def parts(label):
    return PRINTED["PARTS"].get(label, (label,))


def entries(cell):
    """The (label, references) pairs of a printed list of methods, `LRP-0/ε [12]` taken apart."""
    found = re.findall(r"([^,\[\]]+?)\s*\[(\d+)\](?:,\s*|$)", cell)
    assert ", ".join(f"{label} [{ref}]" for label, ref in found) == cell.rstrip(", ")
    return {(part, (int(ref),)) for label, ref in found for part in parts(label)}


def labels(cell):
    return {part for label in cell.split(", ") for part in parts(label)}


@pytest.mark.parametrize("table", ["TABLE_II", "TABLE_III", "TABLE_IV", "TABLE_V", "TABLE_VI", "TABLE_VII", "FIGURE_4"])
def test_rows_stand_in_printed_order(views, table):
    name = "figure-4" if table == "FIGURE_4" else table.removeprefix("TABLE_")
    assert list(views[name]) == list(PRINTED[table])


@pytest.mark.parametrize(("table", "row"), [(table, row) for table in ("II", "III") for row in PRINTED[f"TABLE_{table}"]])
class TestFamilies:
    def test_family_with_references_and_equation(self, views, table, row):
        family, refs, equation, _, _ = PRINTED[f"TABLE_{table}"][row]
        view = views[table][row]
        assert (view["family"], sorted(view["ref"]), view["equation"]) == (family, sorted(refs), equation)

    def test_methods_with_labels_and_references(self, views, table, row):
        printed = entries(PRINTED[f"TABLE_{table}"][row][3])
        assert {(cell["printed"], tuple(cell["ref"])) for cell in views[table][row]["methods"]} == printed
        assert {(cell["printed"], cell["id"]) for cell in views[table][row]["methods"]} == {(label, MEANING[label]) for label, _ in printed}

    def test_key_difference(self, views, table, row):
        difference = views[table][row]["key-difference"]
        assert ("prints a dash" in difference) != PRINTED[f"TABLE_{table}"][row][4]


@pytest.mark.parametrize("row", PRINTED["TABLE_IV"])
def test_rationales(views, row):
    rationale, refs, methods, family = PRINTED["TABLE_IV"][row]
    view = views["IV"][row]
    assert (view["rationale"], sorted(view["ref"]), view["families"]) == (rationale, sorted(refs), [family])
    assert view["summary"]
    if methods == PRINTED["ALL_TAYLOR_METHODS"]:
        assert (view["all-members-of"], view["methods"]) == (["taylor-interaction"], [])
    else:
        assert view["all-members-of"] == []
        assert {cell["printed"] for cell in view["methods"]} == labels(methods)
        assert {cell["id"] for cell in view["methods"]} == {MEANING[label] for label in labels(methods)}


@pytest.mark.parametrize("row", PRINTED["TABLE_V"])
def test_limitations(views, row):
    rationale, refs = PRINTED["TABLE_V"][row]
    view = views["V"][row]
    assert view["rationale"] == rationale
    assert [sorted(limitation["ref"]) for limitation in view["limitations"]] == [sorted(numbers) for numbers in refs]
    assert all(limitation["text"] for limitation in view["limitations"])


@pytest.mark.parametrize("row", PRINTED["TABLE_VI"])
class TestEvaluations:
    def test_family_references_category_principles(self, views, row):
        family, refs, category, principles, _, _ = PRINTED["TABLE_VI"][row]
        view = views["VI"][row]
        assert (view["families"], sorted(view["ref"]), view["category"]) == ([family], sorted(refs), category)
        assert view["principles"] == principles

    def test_verdicts(self, views, row):
        satisfying, violating = PRINTED["TABLE_VI"][row][4:]
        verdicts = views["VI"][row]["verdicts"]
        if isinstance(satisfying, list):
            assert set(verdicts) == {"context-dependent"}
            assert verdicts["context-dependent"]["depends-on"] == satisfying == violating
            return
        assert set(verdicts) == {"satisfies", "violates"}
        for verdict, printed in (("satisfies", satisfying), ("violates", violating)):
            self.compare(verdicts[verdict], printed)

    @staticmethod
    def compare(cell, printed):
        quantifiers = {OTHERS: "others", ALL: "all"}
        assert cell["quantifier"] == quantifiers.get(printed, "named")
        assert cell["none"] == (printed == DASH)
        if printed in (OTHERS, ALL, DASH):
            assert cell["methods"] == []
            return
        named = entries(printed)
        assert set(cell["methods"]) == {MEANING[label] for label, _ in named}
        assert set(cell["ref"]) == {ref for _, refs in named for ref in refs}
        assert {part for label in cell["printed"].split(", ") for part in parts(label)} == {label for label, _ in named}


@pytest.mark.parametrize("row", PRINTED["TABLE_VII"])
def test_violations(views, kb_atlas, row):
    view = views["VII"][row]
    named = {(label, MEANING[label]) for label in row.split("/")}
    assert {(method["printed"], method["id"]) for method in view["methods"]} == named
    principles = PRINTED["TABLE_VII"][row]
    assert sorted(view["principles"]) == sorted(principles)
    assert set(view["claims"]) == {f"{id_}/violates/{principle}" for _, id_ in named for principle in principles}


def members(row):
    return [(label, id_) for label in row.split("/") for id_ in (PRINTED["LIME_VARIANTS"] if label == "LIME variants" else (MEANING[label],))]


@pytest.mark.parametrize("row", PRINTED["FIGURE_4"])
class TestFigure4:
    def test_family_and_methods(self, views, row):
        view = views["figure-4"][row]
        assert view["family"] == PRINTED["FIGURE_4"][row][0]
        assert sorted((cell["printed"], cell["id"]) for cell in view["methods"]) == sorted(members(row))

    @pytest.mark.parametrize("column", PRINTED["FIGURE_4_COLUMNS"])
    def test_ticks(self, views, row, column):
        ticked = PRINTED["FIGURE_4"][row][1].split()[list(PRINTED["FIGURE_4_COLUMNS"]).index(column)] == "x"
        cells = views["figure-4"][row]["ticks"][column]
        assert sorted((cell["printed"], cell["id"]) for cell in cells) == (sorted(members(row)) if ticked else [])
        assert all(cell["to"] == PRINTED["FIGURE_4_COLUMNS"][column] for cell in cells)


@pytest.mark.parametrize(("row", "ticks"), [("Shapley", 5), ("IG", 4), ("IB", 0)])
def test_figure_4_agrees_with_what_the_text_counts(views, row, ticks):
    assert sum(bool(cells) for cells in views["figure-4"][row]["ticks"].values()) == ticks


def test_unknown_table_names_the_known_ones(kb_atlas):
    with pytest.raises(KeyError, match="did you mean `VII` or `III` or `VI`"):
        kb_atlas.table("VIII")


def test_record_folder_without_the_survey(tmp_path):
    (tmp_path / "references.bib").write_text("")
    with pytest.raises(KeyError, match="hold no Table II"):
        taxonomy.load(tmp_path, cache=False).table("II")
