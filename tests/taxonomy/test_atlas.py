"""What can be asked of an atlas."""

import pickle
import subprocess
import sys

import networkx
import pytest
from pydantic import ValidationError

import taxonomy
from taxonomy import deduction
from taxonomy.atlas import Neighbor
from taxonomy.deduction import Fact
from taxonomy.graph import path
from taxonomy.records import KINDS, Evaluation, Method
from taxonomy.relations import INVERSES, RELATIONS


def ids(records):
    return [record.id for record in records]


class TestFind:
    @pytest.mark.parametrize("name", ["mean-gradient", "Mean gradient", "MEAN GRADIENT", "MG", "mg"])
    def test_by_id_name_and_abbreviation(self, atlas, name):
        assert atlas.find(name).id == "mean-gradient"
        assert atlas.method(name).abbreviation == "MG"

    def test_by_alias(self, atlas):
        assert atlas.find("leave ONE out").id == "removal"

    def test_kind_narrows(self, atlas):
        assert atlas.find("Path", "reformulation-family").id == "path"
        with pytest.raises(KeyError, match="no method is known as `path`"):
            atlas.method("path")

    def test_id_wins_over_name(self, kb):
        file = kb / "axioms" / "equal-names.yaml"
        file.write_text(file.read_text().replace("name: Equal names", "name: gradient"))
        loaded = taxonomy.load(kb, cache=False)
        assert loaded.find("gradient").kind == "method"
        assert loaded.find("gradient", "axiom").id == "equal-names"

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda a: a.find("shaply"), "no record is known as `shaply`; did you mean `shapley`"),
            (lambda a: a.method("SHAPLY"), "no method is known as `SHAPLY`; did you mean `shapley`"),
            (lambda a: a.find("qqqq"), "no record is known as `qqqq`; try `atlas list`"),
            (lambda a: a.record("gradien"), "no record `gradien`; did you mean `gradient`"),
            (lambda a: a.of_kind("methods"), "no kind `methods`; did you mean `method`"),
            (lambda a: a.relation("belongs"), "no relation `belongs`; did you mean `belongs-to`"),
            (lambda a: a.edges_from("gradien"), "did you mean `gradient`"),
            (lambda a: a.edges_to("gradien"), "did you mean `gradient`"),
            (lambda a: a.facts_about("gradien"), "did you mean `gradient`"),
            (lambda a: a.neighbors("gradient", "belong-to"), "did you mean `belongs-to`"),
            (lambda a: a.methods(family="lokal"), "no formulation-family or group is known as `lokal`; did you mean `local`"),
            (lambda a: a.methods(satisfies="keep-zero"), "no principle or axiom is known as `keep-zero`; did you mean `keeps-zero`"),
            (lambda a: a.methods(access="gradient"), "no access level `gradient`; levels: outputs, gradients"),
            (lambda a: a.why("shapley", "satisfies", "stable"), "neither asserted nor derived; but `shapley violates stable` is"),
            (lambda a: a.why("gradient", "satisfies", "keeps-zero"), "neither asserted nor derived'"),
        ],
    )
    def test_typo_is_a_key_error_with_close_matches(self, atlas, call, message):
        with pytest.raises(KeyError) as caught:
            call(atlas)
        assert message in repr(caught.value.args[0])


def test_records_are_ordered_by_kind_and_id(atlas):
    order = list(KINDS)
    assert list(atlas.records) == sorted(atlas.records, key=lambda id_: (order.index(atlas.records[id_].kind), id_))
    assert ids(atlas.of_kind("axiom")) == ["efficiency", "equal-names", "symmetry"]


class TestMethods:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"family": "local"}, ["gradient", "mean-gradient", "straight-path"]),
            ({"family": "gradient-based"}, ["gradient", "mean-gradient", "straight-path"]),
            ({"family": "Masking"}, ["removal", "shapley"]),
            ({"reformulation": "path"}, ["gradient", "mean-gradient", "shapley", "straight-path"]),
            ({"rationale": "sensitivity-rationale"}, ["mean-gradient", "shapley", "straight-path"]),
            ({"satisfies": "keeps-both"}, ["shapley"]),
            ({"satisfies": ["keeps-both", "symmetry"]}, ["shapley"]),
            ({"satisfies": ["keeps-both", "stable"]}, []),
            ({"violates": ("stable",)}, ["gradient", "removal", "removal-by-noise", "shapley"]),
            ({"access": "outputs"}, ["removal", "shapley"]),
            ({"access": "gradients"}, ["gradient", "mean-gradient", "removal", "shapley"]),
            ({"access": "training"}, ["gradient", "mean-gradient", "removal", "shapley"]),
            ({"explains": "patches"}, ["removal", "shapley"]),
            ({"implemented": True}, ["gradient"]),
            ({"implemented": False, "status": "full"}, ["mean-gradient", "removal", "shapley"]),
            ({"status": "stub"}, ["removal-by-noise", "shapley-sampling", "straight-path"]),
            ({"family": "masking", "reformulation": "path", "violates": "stable", "access": "outputs"}, ["shapley"]),
            ({"family": "local", "status": "stub"}, ["straight-path"]),
            ({"family": "local", "access": "outputs"}, []),
        ],
    )
    def test_filters(self, atlas, filters, expected):
        assert ids(atlas.methods(**filters)) == expected

    def test_no_filter(self, atlas):
        assert atlas.methods() == atlas.of_kind("method")


class TestNeighbors:
    @pytest.mark.parametrize(
        ("name", "relation", "direction", "expected"),
        [
            ("shapley", "reformulates-as", "out", [("out", "coalition"), ("out", "path")]),
            ("path", "reformulates-as", "in", [("in", i) for i in ("gradient", "mean-gradient", "shapley", "straight-path")]),
            ("path", "unifies", "out", [("in", i) for i in ("gradient", "mean-gradient", "shapley", "straight-path")]),
            ("shapley", "unifies", "in", [("out", "coalition"), ("out", "path")]),
            ("path", "reformulates-as", "out", []),
            ("mean-gradient", "equivalent-to", "out", [("out", "gradient")]),
            ("gradient", "equivalent-to", "both", [("in", "mean-gradient"), ("out", "mean-gradient")]),
            ("efficiency", "corresponds-to", "out", [("out", "keeps-sum")]),
            ("removal", "has-variant", "out", [("in", "removal-by-noise")]),
            ("gradient", "provided-by", "out", [("in", "maps")]),
        ],
    )
    def test_both_ways_and_by_inverse_names(self, atlas, name, relation, direction, expected):
        found = atlas.neighbors(name, relation, direction)
        assert [(neighbor.direction, neighbor.id) for neighbor in found] == expected

    def test_derived_ones_are_marked(self, atlas):
        assert Neighbor("violates", "out", "stable", derived=True) in atlas.neighbors("Shap")
        assert Neighbor("violates", "out", "keeps-sum", derived=False) in atlas.neighbors("Shap")

    def test_any_relation_in_table_order(self, atlas):
        names = [neighbor.relation for neighbor in atlas.neighbors("shapley", direction="both")]
        assert names == sorted(names, key=list(RELATIONS).index)
        assert {"belongs-to", "approximates", "characterises", "concerns"} <= set(names)

    def test_every_inverse_leads_back(self, atlas):
        for edge in atlas.edges:
            relation = RELATIONS[edge.relation]
            back = atlas.neighbors(edge.object, relation.inverse if not relation.symmetric else relation.name)
            assert edge.subject in {neighbor.id for neighbor in back}, edge.id


class TestWhy:
    def test_asserted_fact_with_evidence(self, atlas):
        explanation = atlas.why("MG", "reformulates-as", "Path")
        assert str(explanation) == (
            "mean-gradient reformulates-as path\n"
            "  asserted: the survey, Table III, row Path; the survey, Fig. 4, row Grad/MG, column Path\n"
            "  run: holds (They agree to twelve digits.)"
        )
        assert explanation.evidence.status == "holds"
        assert explanation.proof is None

    def test_condition_is_told(self, atlas):
        assert "  on condition: The output is linear in $x$." in str(atlas.why("gradient", "reformulates-as", "path")).splitlines()

    def test_chain_of_deduction(self, atlas):
        explanation = atlas.why("straight-path", "violates", "keeps-both")
        assert str(explanation) == (
            "straight-path violates keeps-both\n"
            "  follows (verdict on others members) from\n"
            "    straight-path reformulates-as path\n"
            "      follows (special case) from\n"
            "        straight-path special-case-of mean-gradient\n"
            "          asserted: the paper, Eq. 3\n"
            "        mean-gradient reformulates-as path\n"
            "          asserted: the survey, Table III, row Path; the survey, Fig. 4, row Grad/MG, column Path\n"
            "          run: holds (They agree to twelve digits.)\n"
            "    path-keeps-both evaluates path\n"
            "      asserted: the survey, Table VI, row Path\n"
            "    path-keeps-both tests keeps-both\n"
            "      asserted: the survey, Table VI, row Path"
        )
        assert [premise.fact.subject for premise in explanation.premises] == ["straight-path", "path-keeps-both", "path-keeps-both"]

    def test_holder_is_named_where_it_is_another_record(self, atlas):
        assert "  asserted (by path-keeps-both): the survey, Table VI, row Path" in str(atlas.why("shapley", "satisfies", "keeps-both"))

    def test_inverse_name_and_record_without_place(self, atlas):
        assert str(atlas.why("maps", "provides", "gradient")).endswith("asserted: record maps")

    def test_every_derived_fact_can_be_explained_down_to_sources(self, atlas):
        for fact in atlas.derived:
            text = str(atlas.why(*fact))
            assert text.startswith(f"{fact}\n  follows (")
            assert "the survey" in text or "the paper" in text

    def test_every_fact_of_the_whole_atlas_can_be_explained(self, kb_atlas):
        for fact in kb_atlas.derived:
            assert "asserted" in str(kb_atlas.why(*fact))


class TestWhyNot:
    """What would prove a fact that is not known, and what blocks it."""

    def test_a_refuted_tick_passes_no_verdict_on(self, kb_atlas):
        fact = ("deeplift-revealcancel", "violates", "output-sensitivity")
        tick = kb_atlas.evidence["deeplift-revealcancel/reformulates-as/nonnegative-backprop"]
        assert tick.status == "fails"
        assert fact not in {tuple(known) for known, _, _ in kb_atlas.facts()}
        (chain,) = kb_atlas.why_not(*fact)
        ((premise, reason),) = chain.obstacles
        assert premise == Fact("deeplift-revealcancel", "reformulates-as", "nonnegative-backprop")
        assert reason == f"a run refutes `{premise}`: {' '.join(tick.finding.split())}"
        told = str(kb_atlas.why(*fact))
        assert "no source says so, and it does not follow" in told
        assert reason in told

    def test_a_violation_is_not_passed_on_along_a_condition(self, kb_atlas):
        (chain,) = kb_atlas.why_not("lrp-0", "violates", "axiomatic-fidelity")
        assert "holds only on a condition, and the violation may lie where it is not met" in str(chain)

    def test_whatever_the_rules_pass_over_is_explained(self, kb_atlas, atlas):
        for each in (kb_atlas, atlas):
            supposed = deduction.Knowledge(each.records, lenient=True)
            for edge in each.edges:
                supposed.assert_edge(edge)
            deduction.deduce(supposed)
            passed_over = [fact for fact, proof in supposed.proofs.items() if fact not in each and proof.rule != "symmetry"]
            for fact in passed_over[:: max(1, len(passed_over) // 12)]:
                assert each.why_not(*fact), fact

    def test_nothing_to_tell(self, atlas):
        assert atlas.why_not("gradient", "satisfies", "keeps-zero") == []
        assert atlas.why_not("straight-path", "violates", "keeps-both") == [], "it does follow"
        with pytest.raises(KeyError, match="did you mean"):
            atlas.why_not("gradien", "satisfies", "keeps-zero")


class TestWhatRunsRefuted:
    def test_every_one_is_a_finding_that_is_known_and_explained(self, kb_atlas):
        assert kb_atlas.refuted
        for fact, evidence in kb_atlas.refuted.items():
            assert evidence.status == "fails"
            text = str(kb_atlas.why(*fact))
            assert "run: fails" in text
            assert "asserted" in text

    def test_no_derived_fact_rests_on_one(self, kb_atlas):
        refuted = set(kb_atlas.refuted)
        theorems = {claim.removesuffix("/statement") for claim, found in kb_atlas.evidence.items() if found.status == "fails"}
        for fact, proof in kb_atlas.derived.items():
            assert not refuted & set(proof.premises), fact
            for premise in proof.premises:
                held_by = [edge.holder for edge in kb_atlas.assertions(premise) if edge.relation == "equivalent-to"]
                assert not held_by or set(held_by) - theorems, fact

    def test_both_sides_of_a_contradiction_are_explained(self, kb_atlas, atlas):
        assert kb_atlas.contradictions
        for each in (kb_atlas, atlas):
            for found in each.contradictions:
                for side, other in ((found.first, found.second), (found.second, found.first)):
                    text = str(each.why(*side))
                    assert text.startswith(f"{side}\n")
                    assert f"\n  contradicted by\n    {other}\n" in text


class TestGraph:
    def test_nodes_hold_records(self, atlas):
        graph = atlas.graph
        assert isinstance(graph, networkx.MultiDiGraph)
        assert set(graph) == set(atlas.records)
        assert graph.nodes["gradient"] == {"record": atlas.record("gradient"), "kind": "method", "name": "Gradient"}
        assert atlas.graph is graph

    def test_asserted_edge(self, atlas):
        (data,) = atlas.graph.get_edge_data("mean-gradient", "path").values()
        assert (data["relation"], data["derived"], data["proof"], data["holder"]) == ("reformulates-as", False, None, "mean-gradient")
        assert [source.at for source in data["sources"]] == ["Table III, row Path", "Fig. 4, row Grad/MG, column Path"]
        assert data["evidence"].check == "path/straight-line"

    def test_derived_edge_holds_its_proof(self, atlas):
        data = next(iter(atlas.graph.get_edge_data("removal", "stable").values()))
        assert (data["derived"], data["holder"], data["sources"]) == (True, "coalition-stability", ())
        assert data["proof"].premises[0] == Fact("removal", "reformulates-as", "coalition")

    def test_two_relations_of_one_pair_are_two_edges(self, atlas):
        relations = {data["relation"] for data in atlas.graph.get_edge_data("shapley", "keeps-sum").values()}
        assert relations == {"satisfies", "violates"}

    def test_conditional_edge_keeps_its_condition(self, atlas):
        (data,) = atlas.graph.get_edge_data("gradient", "path").values()
        assert data["condition"] == "The output is linear in $x$."

    def test_counts(self, atlas):
        edges = list(atlas.graph.edges(data=True))
        assert sum(not data["derived"] for *_, data in edges) == len(atlas.edges)
        symmetric = [fact for fact, _, proof in atlas.facts() if proof and proof.rule == "symmetry"]
        assert sum(data["derived"] for *_, data in edges) == len(atlas.derived) + len(symmetric)

    def test_path(self, atlas):
        assert path(atlas, "Grad", "MG") == [("gradient", "equivalent-to", "mean-gradient")]
        assert path(atlas, "maps", "local") == [("maps", "provides", "gradient"), ("gradient", "belongs-to", "local")]
        assert path(atlas, "local", "maps") == [("local", "has-member", "gradient"), ("gradient", "provided-by", "maps")]
        assert path(atlas, "maps", "maps") == []

    def test_no_path(self, atlas):
        with pytest.raises(KeyError, match="no path joins `model` and `gradient`"):
            path(atlas, "model", "gradient")


class TestImmutability:
    @pytest.mark.parametrize("change", [lambda r: setattr(r, "name", "x"), lambda r: setattr(r, "other", 1), lambda r: delattr(r, "name")])
    def test_records_are_frozen(self, atlas, change):
        with pytest.raises((ValidationError, AttributeError)):
            change(atlas.record("gradient"))
        assert atlas.record("gradient").name == "Gradient"

    def test_claims_and_facts_are_frozen(self, atlas):
        edge = atlas.edges_from("gradient")[0]
        for target, name in ((edge, "holder"), (edge.statement, "to"), (edge.fact, "subject"), (atlas.neighbors("gradient")[0], "id")):
            with pytest.raises((ValidationError, AttributeError)):
                setattr(target, name, "x")

    def test_lists_are_the_callers_own(self, atlas):
        for get in (lambda: atlas.of_kind("method"), lambda: atlas.edges_from("shapley"), lambda: atlas.edges_to("path"), lambda: atlas.table("II")):
            size = len(get())
            get().clear()
            assert len(get()) == size > 0


def test_pickling_keeps_everything(atlas):
    copy = pickle.loads(pickle.dumps(atlas))
    assert copy.records == atlas.records
    assert copy.edges == atlas.edges
    assert copy.derived == atlas.derived
    assert copy.evidence == atlas.evidence
    assert copy.bibliography == atlas.bibliography
    assert repr(copy) == repr(atlas) == "<Atlas: 36 records, 42 relations, 25 derived>"


def test_open_questions(atlas):
    assert ("gradient", "keeps-zero") in atlas.open_questions
    assert not {("shapley", "stable"), ("removal", "keeps-both"), ("removal-by-noise", "keeps-zero")} & set(atlas.open_questions)


def test_parts_of(atlas):
    assert atlas.parts_of("keeps-both") == ["keeps-sum", "keeps-zero"]
    assert atlas.parts_of("keeps-sum") == atlas.parts_of("efficiency") == []


def test_cite(atlas):
    (source,) = atlas.record("product").sources
    assert atlas.cite(source) == "the paper, Eq. 9"


def test_json_of_a_record_uses_yaml_keys(atlas):
    data = atlas.record("mean-gradient").as_json()
    assert data["kind"] == "method"
    assert data["reformulates-as"][0]["proof"] == ["adams2001gradients"]
    assert "violates" not in data
    assert Method.model_validate({key: value for key, value in data.items() if key != "kind"}) == atlas.record("mean-gradient")


class TestRelations:
    def test_relations_name_kinds_that_exist(self):
        for relation in RELATIONS.values():
            assert relation.from_kinds <= set(KINDS)
            assert relation.to_kinds - {"*"} <= set(KINDS)
            assert (relation.name == relation.inverse) == relation.symmetric

    def test_names_and_inverses_are_distinct(self):
        assert not set(RELATIONS) & set(INVERSES)
        assert len(INVERSES) == sum(not relation.symmetric for relation in RELATIONS.values())

    def test_relations_written_in_records_are_fields_of_every_kind_they_start_from(self):
        for relation in RELATIONS.values():
            for kind in relation.from_kinds:
                field = relation.name.replace("-", "_")
                assert (field in KINDS[kind].model_fields) or not relation.field, (relation.name, kind)


def test_evaluation_names_nobody_twice(kb_atlas):
    for record in kb_atlas.of_kind("evaluation"):
        assert isinstance(record, Evaluation)
        for verdict in record.verdicts:
            assert len(set(verdict.methods)) == len(verdict.methods), record.id


LIGHT = """
import sys, taxonomy
atlas = taxonomy.load(sys.argv[1] or None, cache=False)
atlas.why("shapley", "violates", "stable"), atlas.table("II"), atlas.methods(access="outputs"), atlas.contradictions
print(*sorted({"torch", "networkx", "numpy", "rich", "pybtex"} & set(sys.modules)))
"""


def test_loading_and_asking_import_nothing_heavy(valid):
    done = subprocess.run([sys.executable, "-c", LIGHT, str(valid)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
