"""Methods side by side."""

from __future__ import annotations

import json

import pytest

import taxonomy
from taxonomy import cli
from taxonomy.comparison import compare, labels, profile
from taxonomy.deduction import Fact
from taxonomy.guide.standing import measured


@pytest.fixture(scope="module")
def atlas():
    return taxonomy.load()


def value(found, label):
    return next([cell.text for cell in row.cells] for row in found.rows if row.label == label)


def test_needs_families_and_properties_side_by_side(atlas):
    found = compare(atlas, "IG", "Shapley value", "LIME")
    assert found.methods == ("integrated-gradients", "shapley-value", "lime")
    assert value(found, "Access to the model") == ["gradients", "outputs", "outputs"]
    assert value(found, "Evaluations") == ["100", "2ⁿ", "1000"]
    assert value(found, "Completeness") == ["satisfies", "satisfies", "violates"]
    game = next(row for row in found.rows if row.label == "Game-theoretic")
    assert [cell.support for cell in game.cells] == ["refuted", "confirmed", ""]
    assert game.cells[0].claim == "integrated-gradients/reformulates-as/game-theoretic"


def test_differences_are_marked_and_nothing_else(atlas):
    found = compare(atlas, "LRP-0", "LRP-ε")
    same = [row.label for row in found.rows if not row.differs]
    assert {"Access to the model", "Kind of model"} <= set(same)
    assert all(len({cell.text for cell in row.cells}) == 1 for row in found.rows if not row.differs)
    assert set(found.differences) == {row for row in found.rows if row.differs}


def test_every_claim_of_a_profile_is_known(atlas):
    for method in atlas.of_kind("method"):
        for key, cell in profile(atlas, method).items():
            assert key in labels(atlas)
            if cell.claim:
                fact = Fact(*cell.claim.split("/"))
                assert fact in atlas or measured(atlas, fact.subject, fact.object).fact == fact


def test_a_row_stands_only_where_something_is_known(atlas):
    found = compare(atlas, "IG", "Grad-CAM")
    assert all(any(cell.text != "–" for cell in row.cells) for row in found.rows)


def test_unknown_names_and_single_methods_are_refused(atlas):
    with pytest.raises(KeyError, match="did you mean"):
        compare(atlas, "IG", "integrated-gradient")
    with pytest.raises(ValueError, match="at least two different methods"):
        compare(atlas, "IG", "Integrated Gradients")


def test_command(capsys):
    assert cli.main(["compare", "IG", "LIMEE"]) == 1
    assert "did you mean" in capsys.readouterr().err
    assert cli.main(["compare", "IG", "LIME", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["methods"] == ["integrated-gradients", "lime"]
    assert any(row["differs"] for row in found["rows"])
    assert cli.main(["compare", "IG", "LIME", "--differences"]) == 0
    assert "Auxiliary training" not in capsys.readouterr().out
    assert cli.main(["compare", "IG"]) == 2
    assert "at least two" in capsys.readouterr().err
