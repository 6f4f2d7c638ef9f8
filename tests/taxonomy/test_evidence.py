"""Evidence files: written whole or not at all, read back the same, refused with a reason."""

import json
import os

import pytest

import taxonomy
from taxonomy import evidence
from taxonomy.evidence import Evidence, Measurement

FIELDS = {
    "claim": "a/satisfies/b", "check": "b/holds", "status": "fails", "statement": "Both sides of $a = b$ agree.", "domain": "polynomials",
    "trials": 3, "seed": 0, "measurements": [{"name": "error", "value": 2e-16, "bound": 1e-9, "relation": "<="}],
    "counterexample": {"description": "The point 1.", "data": {"x": [1.0, "ε"]}, "code": "print(1)"},
    "controls": [{"description": "A false claim.", "value": 1.0, "bound": 0.1, "detected": True}],
}  # fmt: skip


@pytest.fixture
def found():
    return Evidence.model_validate(FIELDS)


def test_round_trip(found, tmp_path):
    path = evidence.write(found, tmp_path)
    assert path == tmp_path / "a" / "satisfies" / "b.json"
    assert evidence.read(path) == found
    assert evidence.load_evidence(tmp_path) == {"a/satisfies/b": found}
    text = path.read_text("utf-8")
    assert text == found.to_json()
    assert "ε" in text
    assert text.endswith("}\n")
    assert oct(path.stat().st_mode & 0o777) == "0o644"


def test_an_interrupted_write_leaves_the_old_file(found, tmp_path, monkeypatch):
    path = evidence.write(found, tmp_path)
    before = path.read_text("utf-8")

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evidence.write(found.model_copy(update={"seed": 1}), tmp_path)
    assert path.read_text("utf-8") == before
    assert [item.name for item in path.parent.iterdir()] == ["b.json"]


@pytest.mark.parametrize("claim", ["a//b", "/a/b", "a/b/", "../a/b", "a/./b", ""])
def test_a_claim_id_never_leads_out_of_the_folder(claim):
    with pytest.raises(ValueError, match="is no claim id"):
        evidence.evidence_path(claim)


@pytest.mark.parametrize(
    ("bound", "relation", "within"),
    [(1.0, "<=", True), (0.1, "<=", False), (0.1, ">=", True), (1.0, ">=", False), (None, None, True), (0.1, None, True)],
)
def test_measurement_keeps_its_bound(bound, relation, within):
    assert Measurement(name="error", value=0.5, bound=bound, relation=relation).within is within


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "maybe"}, "status: Input should be 'holds'"),
        ({"claim": "a"}, "claim: String should match pattern"),
        ({"trials": -1}, "trials: Input should be greater than or equal to 0"),
        ({"surplus": 1}, "surplus: Extra inputs are not permitted"),
        ({"statement": "An odd $x."}, "unbalanced"),
    ],
)
def test_what_is_no_evidence_is_refused(tmp_path, change, reason):
    path = tmp_path / "a" / "satisfies" / "b.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FIELDS | change))
    with pytest.raises(ValueError, match="not a valid evidence file") as caught:
        evidence.load_evidence(tmp_path)
    assert reason in str(caught.value)
    (problem,) = evidence.check(tmp_path, "kb")
    assert problem.file == "kb/evidence/a/satisfies/b.json"
    assert reason in problem.message
    assert str(tmp_path) not in problem.message


def test_not_a_number_is_never_stored(found, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        evidence.to_json({"value": float("nan")})


def test_only_the_gallery_at_the_top_is_no_evidence(found, tmp_path):
    (tmp_path / evidence.GALLERY).write_text("{}")
    assert evidence.load_evidence(tmp_path) == {}
    assert evidence.check(tmp_path, "kb") == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / evidence.GALLERY).write_text("{}")
    assert len(evidence.check(tmp_path, "kb")) == 1


def test_what_one_load_hands_out_is_in_no_other(valid):
    one = taxonomy.load(valid, cache=False).evidence
    for claim in one:
        one[claim].parameters["changed"] = one[claim].versions["changed"] = "by a caller"
    other = taxonomy.load(valid, cache=False).evidence
    assert one.keys() == other.keys()
    assert not [claim for claim, found in other.items() if "changed" in {**found.parameters, **found.versions}]


def test_evidence_of_the_atlas_answers_claims_that_name_its_check(kb_atlas):
    checks = {edge.id: edge.check for edge in kb_atlas.edges if edge.check}
    # The check of a verdict on all members says itself which claims it decides.
    on_all = {verdict.check for record in kb_atlas.of_kind("evaluation") for verdict in record.verdicts if verdict.quantifier != "named"}
    assert checks
    for claim, found in kb_atlas.evidence.items():
        if claim.count("/") == 2:
            assert checks.get(claim) == found.check or (claim not in checks and found.check in on_all), claim
            assert all(control.detected for control in found.controls), claim
            assert (found.status == "fails") <= (found.counterexample is not None), claim
