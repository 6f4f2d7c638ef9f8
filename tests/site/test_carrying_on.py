"""The glossary, the coverage of the sources, and the tables as run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from atlas_pages import as_run, glossary, source_coverage
from atlas_pages.claims import RUN
from atlas_pages.context import TABLES, slug, table_page

from taxonomy.deduction import Fact

# -- glossary ------------------------------------------------------------------------------------------------------------------------------


def test_every_term_is_one_sentence_with_a_link(atlas_site: Any) -> None:
    found = glossary.terms(atlas_site)
    assert {"Baseline", "Coalition", "Relevance", "Completeness", "Faithfulness"} <= {term.name for term in found}
    for term in found:
        assert term.see, term.name
        assert term.means.endswith("."), term
        assert not re.search(r"[.?!] [A-Z]", term.means), term


def test_every_symbol_and_term_is_linked(built) -> None:  # type: ignore[no-untyped-def]
    html = built.html("glossary.html")
    for record in built.site.of_kind("symbol"):
        assert f'href="symbols/{record.id}.html"' in html
    for kind in glossary.KINDS:
        for record in built.site.of_kind(kind):
            assert f'href="{record.folder}/{record.id}.html"' in html
    for term in glossary.terms(built.site):
        assert f'id="{slug(term.name)}"' in html


@pytest.mark.parametrize(
    ("text", "wrong"), [("- {term: A, means: B., see: [nothing-here]}", "nothing-here"), ("- {term: A, means: B., see: [lime]}\n" * 2, "twice")]
)
def test_a_wrong_term_stops_the_build(atlas_site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str) -> None:
    (tmp_path / "glossary.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(glossary, "FILE", tmp_path / "glossary.yaml")
    glossary._written.cache_clear()
    try:
        with pytest.raises(LookupError, match=wrong):
            glossary.terms(atlas_site)
    finally:
        glossary._written.cache_clear()


@pytest.mark.parametrize(
    ("prose", "first"),
    [
        ("One. Two.", "One."),
        ("With $a. B$ inside. Two.", "With $a. B$ inside."),
        ("See Eq. 3 there. Two.", "See Eq. 3 there."),
        ("Alone", "Alone"),
        ("A\nB.\n\nC.", "A B."),
    ],
)
def test_first_sentence(prose: str, first: str) -> None:
    assert glossary.first_sentence(prose) == first


# -- coverage ------------------------------------------------------------------------------------------------------------------------------


def test_every_place_of_a_source_is_counted(atlas_site: Any) -> None:
    survey = atlas_site.records["deng2025attribution"]
    counted = Counter(place.kind for place in source_coverage.covered(atlas_site, survey))
    assert counted["section"] == len(survey.sections)
    assert counted["row"] == sum(len(exhibit.rows) for exhibit in survey.exhibits)
    assert counted["equation"] == survey.equations
    assert counted["reference"] == len(survey.bibliography)


def test_a_range_counts_for_each_equation_and_a_row_for_its_table(atlas_site: Any) -> None:
    ranges = [
        (work, place, records) for work, places in atlas_site.coverage.items() for place, records in places.items()
        if place.kind == "equation" and place.last > place.first
    ]  # fmt: skip
    assert ranges
    for work, place, records in ranges:
        found = {p.name: p.records for p in source_coverage.covered(atlas_site, atlas_site.records[work])}
        for number in range(place.first, place.last + 1):
            assert {record.id for record in records} - {work} <= found[f"Eq. {number}"]
    found = {p.name: p.records for p in source_coverage.covered(atlas_site, atlas_site.records["deng2025attribution"])}
    assert found["Table III, row Path Integral"] <= found["Table III"]
    assert found["Table III, row Path Integral"]


def test_what_nothing_cites_is_named_and_nothing_else(built) -> None:  # type: ignore[no-untyped-def]
    html = built.html("sources/coverage.html")
    for document in built.site.of_kind("source"):
        part = html[html.index(f'<h2 id="{document.id}"') :].split("<h2", 2)[1]
        gaps, _, detail = part.partition("<details")
        for place in source_coverage.covered(built.site, document):
            address = f'href="{document.id}.html#{place.anchor}">'
            assert address in (detail if place.records else gaps), place
            if place.kind not in {"row", "exhibit"}:
                assert address not in (gaps.partition("Nothing cites")[2] if place.records else detail), place


@pytest.mark.parametrize(
    ("part", "shown"),
    [(Fraction(1), "100 %"), (Fraction(999, 1000), "99 %"), (Fraction(1, 1000), "1 %"), (Fraction(0), "0 %"), (Fraction(1, 2), "50 %")],
)
def test_a_bar_is_full_only_if_all_is_cited(part: Fraction, shown: str) -> None:
    assert source_coverage.bar(part).endswith(f" {shown}")


# -- tables as run -------------------------------------------------------------------------------------------------------------------------


def claims_in(value: Any) -> Iterator[str]:
    """Every claim id in a table's data but those of Fig. 4's row heads, which are no ticks."""
    if isinstance(value, dict):
        yield from ([value["claim"]] if "claim" in value else [])
        yield from value.get("claims", ())
        for inner in value.values():
            yield from claims_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from claims_in(inner)


def test_every_outcome_has_one_column() -> None:
    outcomes = [run for runs in as_run.COLUMNS.values() for run in runs]
    assert sorted(outcomes) == sorted([*RUN, *(outcome for outcome in outcomes if outcome.startswith("audit "))])


def test_a_verdict_without_a_check_says_what_the_audit_of_the_method_found(atlas_site: Any) -> None:
    cells = {(cell.text, cell.about): cell.run for row in as_run.rows(atlas_site, "VI") for cell in row.cells}
    assert cells["LIME", "violates local accuracy"] == "audit agrees"
    readings = {verdict.outcome for verdict in atlas_site.atlas.audits["deeplift-rescale"].readings("allocation-correctness")}
    assert readings == {"satisfies", "violates"}
    assert cells["DL-Res", "satisfies allocation correctness"] == "audit agrees in one reading"
    assert not [cell for cell, run in cells.items() if run == "no check yet" and not cell[1].startswith("depends on the context")]


@pytest.mark.parametrize("name", ["II", "III", "IV", "VII", "figure-4"])
def test_every_claim_of_a_table_is_a_cell(atlas_site: Any, name: str) -> None:
    data = [row["ticks"] for row in atlas_site.atlas.table(name)] if name == "figure-4" else atlas_site.atlas.table(name)
    claims = list(claims_in(data))
    cells = [cell for row in as_run.rows(atlas_site, name) for cell in row.cells]
    extra = sum(len(row["families"]) + len(row["all-members-of"]) for row in data) if name == "IV" else 0
    assert len(cells) == len(claims) + extra > 10
    expected = Counter(atlas_site.statements[Fact(*claim.split("/"))].run for claim in claims)
    if not extra:
        assert Counter("no check yet" if cell.run.startswith("audit ") else cell.run for cell in cells) == expected


def test_verdicts_of_all_and_of_others_are_spelt_out(atlas_site: Any) -> None:
    by_row = {row.label: row.cells for row in as_run.rows(atlas_site, "VI")}
    assert {(cell.text, cell.about) for cell in by_row["Feature Additive"]} >= {("LIME", "violates local accuracy")}
    assert len({cell.text for cell in by_row["Nonnegative BP"]}) > 4


@pytest.mark.parametrize("name", [name for name in TABLES if name != "I"])
def test_the_page_counts_the_cells_and_shows_each(built, name: str) -> None:  # type: ignore[no-untyped-def]
    html = built.html(table_page(name).replace(".md", ".html"))
    part = html[html.index('id="as-run"') :]
    rows = as_run.rows(built.site, name)
    cells = [cell for row in rows for cell in row.cells]
    assert f"{len(cells)} cells: " in part
    failed = sum(cell.run == "fails" for cell in cells)
    assert (f"{failed} fail as printed" in part) == bool(failed)
    for cell in cells:
        assert f'href="{cell.address.replace("@/", "../").replace(".md", ".html")}"' in part
    for row in rows:
        assert f'id="{row.anchor}"' in html
