"""How claims stand: every claim once, a run before words, and totals that add up; and what `atlas check` says of records without code."""

from types import SimpleNamespace

import pytest

import taxonomy
from taxonomy.coverage import NO_CLAIMS, STANDINGS, claim_standings, evidence_for, standing_of, totals
from taxonomy.problems import Severity
from taxonomy.relations import RELATIONS, THEOREMS_OWN


def said(**fields):
    return SimpleNamespace(**fields)


RUN = said(status="fails")


class TestStanding:
    @pytest.mark.parametrize(
        ("statements", "evidence", "relation", "expected"),
        [
            ([said(check="a/b")], RUN, "satisfies", ("fails", None)),
            ([said(definitional="By its name.")], RUN, "satisfies", ("fails", None)),
            ([said(check="a/b")], None, "satisfies", ("not run", None)),
            ([said(unchecked="No formula."), said(check="a/b")], None, "satisfies", ("not run", None)),
            ([said(unchecked="No\n formula.")], None, "satisfies", ("cited", "No formula.")),
            ([said(unchecked="No formula."), said(definitional="By its name.")], None, "satisfies", ("definitional", "By its name.")),
            ([said()], None, "includes", ("definitional", "The relation `includes` names or sorts things.")),
            ([said(unchecked="No formula.")], None, "includes", ("cited", "No formula.")),
            ([said(), None], None, "satisfies", ("open", None)),
            ([], None, None, ("open", None)),
        ],
    )
    def test_what_counts_first(self, statements, evidence, relation, expected):
        assert standing_of(statements, evidence, relation) == expected


class TestClaims:
    def test_of_the_fixture(self, atlas):
        found = {claim.id: claim for claim in claim_standings(atlas)}
        assert found["mean-gradient/reformulates-as/path"].standing == "holds"
        assert found["mean-gradient/reformulates-as/coalition"].standing == "fails"
        assert found["gradient-equals-mean/statement"].standing == "not run"
        assert found["local-stability/verdict-1"].standing == "not run"
        assert found["shapley/satisfies/keeps-both"].check == "fixture/linked"
        assert "coalition-stability/verdict-1" not in found, "a dash claims nothing"
        assert "path-keeps-both/verdict-1" not in found, "it names its methods"
        assert found["mean-gradient/reformulates-as/path"].about == {"mean-gradient", "path"}
        assert found["local-stability/verdict-1"].about == {"local-stability"}

    def test_every_assertion_is_counted_once(self, kb_atlas):
        found = claim_standings(kb_atlas)
        names = [claim.id for claim in found]
        assert names == sorted(set(names))
        asserted = {edge.id for edge in kb_atlas.edges if edge.relation not in NO_CLAIMS | THEOREMS_OWN}
        assert asserted <= set(names)
        assert set(kb_atlas.evidence) <= set(names)
        theorems = {f"{record.id}/statement" for kind in ("theorem", "rationale", "example") for record in kb_atlas.of_kind(kind)}
        assert theorems <= set(names)

    def test_totals_add_up(self, kb_atlas):
        found = claim_standings(kb_atlas)
        counts = totals(found)
        assert list(counts) == list(STANDINGS)
        assert sum(counts.values()) == len(found)
        assert counts["fails"] == sum(evidence.status == "fails" for evidence in kb_atlas.evidence.values()) > 0

    def test_a_reason_stands_with_what_needs_one(self, kb_atlas):
        for claim in claim_standings(kb_atlas):
            assert bool(claim.reason) == (claim.evidence is None and claim.standing in {"definitional", "cited"}), claim.id

    def test_a_refuted_or_conditional_claim_has_condition_and_counterexample_in_json(self, kb_atlas):
        for claim in claim_standings(kb_atlas):
            if claim.standing in {"fails", "holds under condition"}:
                plain = claim.as_json()
                assert plain["condition"], claim.id
                assert plain["counterexample"]["code"], claim.id

    def test_part_of_a_theorem_stands_as_the_theorem(self, kb_atlas):
        edge = next(edge for edge in kb_atlas.edges if edge.holder == "lrp-epsilon-equals-deeplift-rescale" and edge.relation == "equivalent-to")
        assert evidence_for(kb_atlas, edge.fact, [edge]) is kb_atlas.evidence["lrp-epsilon-equals-deeplift-rescale/statement"]

    def test_relations_that_sort_are_never_open(self, kb_atlas):
        for claim in claim_standings(kb_atlas):
            parts = claim.id.split("/")
            if len(parts) == 3 and RELATIONS[parts[1]].sorts:
                assert claim.standing != "open", claim.id


class TestRecordsWithoutCode:
    def lines(self, kb):
        return [(problem.severity, str(problem)) for problem in taxonomy.check(kb)]

    def write(self, kb, name, old, new):
        path = kb / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    @pytest.mark.parametrize("field", ["unchecked", "definitional"])
    def test_with_a_reason_is_a_note(self, kb, field):
        self.write(kb, "metrics/error.yaml", "check: fixture/linked", f"{field}: It measures people.")
        ((severity, line),) = self.lines(kb)
        assert severity is Severity.NOTE
        assert line == "kb/metrics/error.yaml:1:5: note: metric `error` has neither code nor a check: It measures people. [id] (no-code)"
        assert taxonomy.load(kb, cache=False).records

    def test_without_a_reason_is_a_warning(self, kb):
        self.write(kb, "theorems/shapley-unique.yaml", "check: fixture/linked", "")
        ((severity, line),) = self.lines(kb)
        assert severity is Severity.WARNING
        assert "theorem `shapley-unique` has neither code nor a check, and no reason; link it with `implementation:` or `check:`, or say why" in line

    def test_code_is_enough(self, kb):
        self.write(kb, "principles/stable.yaml", "check: fixture/linked", "implementation: executable.principles:stable")
        assert self.lines(kb) == []

    def test_a_verdict_needs_a_check_or_a_reason_and_a_dash_neither(self, kb):
        self.write(kb, "evaluations/coalition-stability.yaml", "    check: fixture/linked", "")
        ((severity, line),) = self.lines(kb)
        assert (severity, line.split(": ")[0]) == (Severity.WARNING, "kb/evaluations/coalition-stability.yaml:15:5")
        assert "verdict 2 of `coalition-stability` has no check, and no reason; name its `check:`" in line

    def test_stubs_and_sources_need_none(self, valid):
        records = taxonomy.load(valid, cache=False).records.values()
        assert {record.status for record in records if record.kind == "method"} == {"full", "stub"}
        assert taxonomy.check(valid) == []

    def test_errors_come_first(self, kb):
        self.write(kb, "metrics/error.yaml", "check: fixture/linked", "unchecked: It measures people.")
        (kb / "methods" / "gradient.yaml").write_text("id: [", encoding="utf-8")
        assert {severity for severity, _ in self.lines(kb)} == {Severity.ERROR}
