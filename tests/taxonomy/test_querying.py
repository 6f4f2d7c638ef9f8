"""Selecting records: filters, answers with reasons, what is impossible, and the ways out to pandas, networkx and notebooks."""

import builtins
import multiprocessing
import pickle
import re
import sys
import threading

import networkx
import pandas as pd
import pytest

import taxonomy
from taxonomy.deduction import Fact
from taxonomy.querying import QueryError, Selection
from taxonomy.querying.fields import choices, flags
from taxonomy.querying.naming import relations_of, words_of
from taxonomy.querying.notebook import table
from taxonomy.records import KINDS, Method, Paradigm, Principle
from taxonomy.relations import INVERSES, RELATIONS


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"family": "local"}, ("gradient", "mean-gradient", "straight-path")),
            ({"belongs_to": "gradient-based"}, ("gradient", "mean-gradient", "straight-path")),
            ({"satisfies": ["keeps-sum", "keeps-zero"], "access": "outputs"}, ()),
            ({"needs": "gradients"}, ("gradient", "mean-gradient")),
            ({"needs": ["gradients", "outputs"]}, ("gradient", "mean-gradient")),
            ({"implemented": True}, ("gradient",)),
            ({"mentions": "SHAPLEY", "status": "full"}, ("shapley",)),
            ({"status": None, "family": "masking"}, ("removal", "shapley")),
            ({"has_variant": "removal-by-noise"}, ("removal",)),
            ({"provided_by": "maps"}, ("gradient",)),
        ],
    )
    def test_definite_members(self, atlas, filters, expected):
        assert atlas.select("method").where(**filters).ids == expected

    def test_a_contested_cell_is_no_definite_member_but_passes_as_before(self, atlas):
        chosen = atlas.select("method").where(satisfies="keeps-both")
        assert chosen.ids == ()
        assert [item.record.id for item in chosen.answer().contested] == ["shapley"]
        assert [method.id for method in atlas.methods(satisfies="keeps-both")] == ["shapley"]

    def test_of_other_kinds(self, atlas):
        assert set(atlas.select("principle").where(category="robustness").ids) == {"stable"}
        assert atlas.select(Principle).where(part_of="keeps-both").ids == ("keeps-sum", "keeps-zero")
        assert atlas.select("principle").without(part_of="keeps-both").ids == ("keeps-both", "stable")
        assert all(isinstance(record, Paradigm) for record in atlas.select(Paradigm))

    def test_without_turns_every_filter_round(self, atlas):
        both = atlas.select("method").without(access="outputs", status="stub")
        assert both.ids == atlas.select("method").without(access="outputs").without(status="stub").ids == ("gradient", "mean-gradient")

    def test_what_a_stub_does_not_say_is_not_known(self, atlas):
        answer = atlas.select("method").where(access="outputs").answer()
        assert {item.record.id for item in answer.unknown} == {"removal-by-noise", "shapley-sampling", "straight-path"}
        assert answer.unknown[0].because == "the record of removal-by-noise does not say (access)"

    def test_selections_never_change_and_are_lazy(self, atlas, monkeypatch):
        every = atlas.select("method")
        few = every.where(family="local")
        monkeypatch.setattr(taxonomy.querying.selection, "Judge", None)
        fewer = few.where("satisfies keeps-sum")
        assert (str(every), str(few), str(fewer)) == ("method", "method belongs-to local", "method belongs-to local and satisfies keeps-sum")
        with pytest.raises(AttributeError):
            few.kind = "axiom"

    def test_membership_and_length(self, atlas):
        chosen = atlas.select("method").where(family="local")
        assert len(chosen) == 3
        assert "gradient" in chosen
        assert atlas.record("gradient") in chosen
        assert atlas.record("shapley") not in chosen
        assert not atlas.select("method").where(family="local", access="outputs")
        with pytest.raises(KeyError, match="did you mean `gradient`"):
            assert "gradien" in chosen

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_word_of_every_kind_makes_a_condition(self, kb_atlas, kind):
        """Each relation, field and flag that is offered can be asked for, and judges every record without an error."""
        every = kb_atlas.select(kind)
        for name, kinds in relations_of(kind).items():
            target = next(record.id for end in kinds for record in kb_atlas.of_kind(end))
            assert sum(every.where(**{name.replace("-", "_"): target}).answer().counts.values()) == len(every)
        for name, options in choices(kind).items():
            for value in options.values:
                assert sum(every.where(**{name: value}).answer().counts.values()) == len(every)
        for name in flags(kind):
            assert len(every.where(**{name: True})) + len(every.where(**{name: False})) == len(every)

    def test_words_cover_all_relations_both_ways(self):
        words = {word for kind in KINDS for word in words_of(kind)}
        assert set(RELATIONS) | set(INVERSES) <= words


class TestMistakes:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda a: a.select("methds"), "no kind `methds`; did you mean `methods` or `method`"),
            (lambda a: a.select().where(famly="local"), "nothing of a method is called `famly`; did you mean `family`"),
            (lambda a: a.select().where(family="lokal"), "did you mean `local`"),
            (lambda a: a.select().where(satisfies=["keeps-zero", "keep-sum"]), "did you mean `keeps-sum`"),
            (lambda a: a.select().where(status="ful"), "no status `ful`; one of: full, stub"),
            (lambda a: a.select().where(explains="interaction"), "no explains `interaction`; one of: input features, patches"),
            (lambda a: a.select().where(needs="interals"), "did you mean `internals`"),
            (lambda a: a.select("axiom").where(satisfies="stable"), "no axiom satisfies anything; relations of `axiom`: satisfied-by"),
            (lambda a: a.select().by("source"), "no basis `source`; did you mean `sources`"),
            (lambda a: a.select().answer().of_standing("no-one"), "no standing `no-one`; one of: yes, contested, unknown, no"),
            (lambda a: a.methods(status="ful"), "one of: full, stub"),
            (lambda a: a.methods(explains="interaction"), "one of: input features"),
            (lambda a: a.neighbors("gradient", direction="outt"), "no direction `outt`; one of: out, in, both"),
            (lambda a: a.parts_of("keeps-bot"), "did you mean `keeps-both`"),
            (lambda a: a.assertions(Fact("gradien", "satisfies", "keeps-sum")), "did you mean `gradient`"),
            (lambda a: a.assertions(Fact("gradient", "satisfys", "keeps-sum")), "did you mean `satisfies`"),
            (lambda a: a.subgraph("gradien"), "did you mean `gradient`"),
            (lambda a: a.subgraph("gradient", relations=["satisfys"]), "did you mean `satisfies`"),
            (lambda a: a.path("gradien", "path"), "did you mean `gradient`"),
            (lambda a: a.to_pandas("claim"), "did you mean `claims`"),
        ],
    )
    def test_a_typo_is_a_key_error_with_close_matches(self, atlas, call, message):
        with pytest.raises(KeyError) as caught:
            call(atlas)
        assert message in caught.value.args[0]

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            ({"implemented": "yes"}, "True or False"),
            ({"family": 3}, "takes a name or several"),
            ({"family": [3]}, "takes names"),
            ({"family": True}, "takes"),
        ],
    )
    def test_a_value_of_another_type(self, atlas, filters, message):
        with pytest.raises(TypeError, match=message):
            atlas.select().where(**filters)

    def test_selections_of_different_kinds_do_not_combine(self, atlas, kb_atlas):
        for other in (atlas.select("axiom"), kb_atlas.select("method"), atlas.select("method").by("sources")):
            with pytest.raises(ValueError, match="selections combine within one atlas, kind and basis"):
                atlas.select("method") & other
        with pytest.raises(TypeError):
            atlas.select("method") & {"gradient"}

    def test_negative_depth(self, atlas):
        with pytest.raises(ValueError, match="not -1"):
            atlas.subgraph("gradient", depth=-1)


class TestAnswers:
    def test_every_record_has_one_standing(self, kb_atlas):
        answer = kb_atlas.select("method").where(satisfies="completeness").answer()
        parts = (answer.members, answer.contested, answer.unknown, answer.excluded)
        assert sorted(item.record.id for part in parts for item in part) == sorted(record.id for record in kb_atlas.of_kind("method"))
        assert answer.members
        assert answer.unknown
        assert answer.excluded

    def test_reasons_can_be_asked_about(self, kb_atlas):
        answer = kb_atlas.query("method satisfies completeness").answer()
        for item in (*answer.members, *answer.excluded, *answer.contested):
            assert item.reasons
            for reason in item.reasons:
                assert str(kb_atlas.why(*reason.fact)), item.record.id
        for item in answer.unknown:
            (reason,) = item.reasons
            assert (reason.ground, reason.fact) == ("silent", (item.record.id, "satisfies", "completeness"))
            assert reason.fact not in kb_atlas

    def test_a_refuted_fact_is_contested_by_the_run(self, kb_atlas):
        facts = [fact for fact in kb_atlas.refuted if fact.relation in ("satisfies", "reformulates-as", "grounded-in")]
        assert facts
        for fact in facts:
            chosen = kb_atlas.select("method").where(**{fact.relation.replace("-", "_"): fact.object})
            judged = {item.record.id: item for item in chosen.answer().judged}[fact.subject]
            assert judged.standing == "contested", fact
            assert "run" in {reason.ground for reason in judged.reasons}

    def test_what_counts_can_be_chosen(self, kb_atlas):
        fact = next(fact for fact in kb_atlas.refuted if fact.relation == "reformulates-as")
        chosen = kb_atlas.select("method").where(reformulation=fact.object)
        assert fact.subject not in chosen
        assert fact.subject in chosen.by("sources")

    def test_audits_fill_cells_of_which_no_source_speaks(self, kb_atlas):
        for requirement in ("completeness", "linearity", "symmetry"):
            chosen = kb_atlas.select("method").where(satisfies=requirement)
            without = {item.record.id: item.standing for item in chosen.answer().judged}
            counted = {item.record.id: item for item in chosen.by("audits").answer().judged}
            for id_, standing in without.items():
                outcomes = {verdict.outcome for verdict in kb_atlas.measured(id_, requirement)} - {"not applicable"}
                expected = {frozenset({"satisfies"}): "yes", frozenset({"violates"}): "no", frozenset(): "unknown"}.get(
                    frozenset(outcomes), "contested"
                )
                assert counted[id_].standing == (standing if standing != "unknown" else expected), (id_, requirement)

    def test_a_verdict_that_depends_on_the_context_leaves_the_cell_open_and_is_the_reason(self, kb_atlas):
        facts = [fact for fact, _, _ in kb_atlas.facts() if fact.relation == "context-dependent"]
        assert facts
        seen = set()
        for fact in facts:
            for basis in ("runs", "audits"):
                chosen = kb_atlas.select("method").where(satisfies=fact.object).by(basis)
                judged = {item.record.id: item for item in chosen.answer().judged}[fact.subject]
                if judged.standing == "unknown":
                    (reason,) = judged.reasons
                    assert (reason.ground, reason.fact) == ("context", fact)
                    assert str(kb_atlas.why(*reason.fact))
                seen.add(judged.standing)
        assert "unknown" in seen

    def test_conditions_come_with_the_reasons(self, atlas):
        (item,) = (item for item in atlas.query("reformulates-as path").answer().judged if item.record.id == "gradient")
        assert item.standing == "yes"
        assert item.reasons[0].conditions == ("The output is linear in $x$.",)
        assert item.because.endswith("; on condition: The output is linear in $x$.")

    def test_a_method_listed_under_another_family_is_not_in_this_one(self, atlas):
        judged = {item.record.id: item for item in atlas.query("family masking").answer().judged}
        assert judged["gradient"].standing == "no"
        assert judged["gradient"].because == "listed under local"
        assert judged["removal-by-noise"].standing == "unknown"

    def test_text_and_json(self, kb_atlas):
        answer = kb_atlas.query("method satisfies linearity and not satisfies additivity").answer()
        assert str(answer).startswith("method satisfies linearity and not satisfies additivity\n  yes: 0, contested: ")
        data = answer.as_json()
        assert data["impossible"] is True
        assert data["counts"] == answer.counts
        assert len(data["records"]) == len(kb_atlas.of_kind("method"))


class TestImpossible:
    @pytest.mark.parametrize(
        ("query", "premises"),
        [
            ("satisfies axiomatic-fidelity and not satisfies missingness", ["axiomatic-fidelity comprises missingness"]),
            ("satisfies linearity and violates additivity", ["linearity implies additivity"]),
            ("not (not satisfies linearity or satisfies additivity)", ["linearity implies additivity"]),
            ("satisfies completeness and not satisfies completeness", []),
            ("(satisfies linearity and access outputs or satisfies axiomatic-fidelity) and not satisfies additivity and violates missingness",
             ["linearity implies additivity", "axiomatic-fidelity comprises missingness"]),
        ],
    )  # fmt: skip
    def test_the_proof_is_told(self, kb_atlas, query, premises):
        answer = kb_atlas.query(query).answer()
        assert answer.impossible
        assert not answer.members
        assert not answer.unknown
        found = {str(premise): premise for obstacle in answer.obstacles for premise in obstacle.premises}
        assert set(premises) <= set(found)
        for premise in found.values():
            assert str(kb_atlas.why(*premise)).split("\n", 1)[0] in str(answer)

    @pytest.mark.parametrize(
        "query",
        [
            "satisfies additivity and not satisfies missingness",
            "satisfies linearity",
            "satisfies linearity and not satisfies additivity or satisfies missingness",
            "violates linearity and not satisfies additivity",
            "principle satisfied-by IG and not satisfied-by IG",
        ],
    )
    def test_what_is_possible_is_not_called_impossible(self, kb_atlas, query):
        assert not kb_atlas.query(query).answer().impossible

    def test_all_parts_make_the_composite(self, atlas):
        answer = atlas.query("satisfies keeps-sum and satisfies keeps-zero but not satisfies keeps-both").answer()
        assert answer.impossible
        (obstacle,) = answer.obstacles
        assert (obstacle.satisfied, obstacle.violated, obstacle.conditions) == (("keeps-sum", "keeps-zero"), "keeps-both", ())

    def test_what_holds_under_a_condition_only_is_a_note(self, kb_atlas):
        """A link that a run found to hold under a condition leaves room where the condition is not met."""
        links = [*kb_atlas._knowledge.pairs("implies"), *kb_atlas._knowledge.pairs("corresponds-to")]
        tried = set()
        for link in links:
            answer = kb_atlas.query(f"satisfies {link.subject} and not satisfies {link.object}").answer()
            (obstacle,) = answer.obstacles
            assert answer.impossible == (not obstacle.conditions), link
            tried.add(answer.impossible)
        assert True in tried

    def test_no_record_contradicts_what_is_proved_impossible_without_being_contested(self, kb_atlas):
        for link in kb_atlas._knowledge.pairs("comprises"):
            answer = kb_atlas.query(f"satisfies {link.subject} and violates {link.object}").answer()
            assert not answer.members, link


class TestGraphs:
    def test_subgraph_around_a_record(self, atlas):
        graph = atlas.subgraph("MG", relations=["reformulates-as", "has-member"])
        assert isinstance(graph, networkx.MultiDiGraph)
        assert set(graph) == {"mean-gradient", "path", "coalition", "local"}
        assert {data["relation"] for *_, data in graph.edges(data=True)} == {"reformulates-as", "belongs-to"}

    def test_it_is_the_graph_within_a_distance(self, kb_atlas):
        undirected = kb_atlas.graph.to_undirected(as_view=True)
        for depth in (0, 1, 2):
            near = networkx.single_source_shortest_path_length(undirected, "integrated-gradients", cutoff=depth)
            graph = kb_atlas.subgraph("IG", depth=depth)
            assert set(graph) == set(near)
            assert sorted(graph.edges(keys=True)) == sorted(kb_atlas.graph.subgraph(near).edges(keys=True))

    def test_asserted_only(self, atlas):
        assert "stable" in atlas.subgraph("removal")
        assert "stable" not in atlas.subgraph("removal", derived=False)

    def test_it_is_the_callers_own(self, atlas):
        graph = atlas.subgraph("gradient")
        graph.clear()
        assert "gradient" in atlas.graph

    def test_of_a_selection(self, atlas):
        chosen = atlas.select("method").where(family="local")
        assert set(chosen.to_networkx()) == set(chosen.ids)
        assert {"path", "local"} <= set(chosen.to_networkx(depth=1))

    def test_path(self, atlas):
        assert atlas.path("maps", "local") == [("maps", "provides", "gradient"), ("gradient", "belongs-to", "local")]

    def test_path_along_some_relations(self, atlas):
        assert atlas.path("maps", "local", relations=["provided-by", "belongs-to"]) == atlas.path("maps", "local")
        assert atlas.path("local", "MG", relations=["has-member"]) == [("local", "has-member", "mean-gradient")]
        assert atlas.path("MG", "MG", relations=[]) == []
        with pytest.raises(KeyError, match="no path along belongs-to joins `maps` and `local`"):
            atlas.path("maps", "local", relations=["belongs-to"])
        with pytest.raises(KeyError, match="did you mean `belongs-to`"):
            atlas.path("maps", "local", relations=["belong-to"])


class TestPandas:
    def test_records_of_a_selection(self, atlas):
        frame = atlas.select("method").where(family="local").to_pandas()
        assert list(frame.index) == ["gradient", "mean-gradient", "straight-path"]
        assert frame.loc["gradient", "access"] == "gradients"
        assert frame.loc["mean-gradient", "reformulates-as"] == ("coalition", "path")
        assert bool(frame.loc["gradient", "implemented"]) is True

    def test_answers(self, atlas):
        answer = atlas.query("satisfies keeps-both").answer()
        frame = answer.to_pandas()
        assert frame["standing"].value_counts().to_dict() == {standing: count for standing, count in answer.counts.items() if count}

    @pytest.mark.parametrize("name", ["records", "facts", "claims", *KINDS])
    def test_tables_of_the_whole(self, kb_atlas, name):
        frame = kb_atlas.to_pandas(name)
        assert isinstance(frame, pd.DataFrame)
        sizes = {"records": len(kb_atlas.records), "facts": sum(1 for _ in kb_atlas.facts())}
        if name in sizes or name in KINDS:
            assert len(frame) == (sizes[name] if name in sizes else len(kb_atlas.of_kind(name)))

    def test_no_rows_still_have_columns(self, atlas):
        assert "status" in atlas.select("method").where(mentions="qqqq").to_pandas().columns

    def test_without_pandas_the_error_says_what_to_do(self, atlas, monkeypatch):
        original = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name == "pandas":
                raise ImportError(name)
            return original(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(ImportError, match=r"pip install 'attribution-atlas\[pandas\]'"):
            atlas.to_pandas()


class TestNotebooks:
    def shown(self, atlas):
        yield atlas
        yield atlas.why("integrated-gradients", "satisfies", "completeness")
        yield atlas.compare("IG", "Grad×Input")
        yield atlas.choose(access="outputs")
        yield atlas.query("satisfies linearity but not satisfies additivity")
        yield atlas.query("satisfies completeness").answer()
        yield atlas.why_not("lrp-0", "violates", "axiomatic-fidelity")[0]
        yield from atlas.records.values()

    def test_everything_is_well_formed_html_without_scripts(self, kb_atlas):
        import xml.etree.ElementTree as ET

        for item in self.shown(kb_atlas):
            html = item._repr_html_()
            root = ET.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")
            assert {element.tag for element in root.iter()} <= {
                "div",
                "p",
                "strong",
                "code",
                "br",
                "pre",
                "table",
                "thead",
                "tbody",
                "tr",
                "th",
                "td",
            }
            assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)

    def test_texts_are_escaped(self, kb):
        path = kb / "methods" / "removal.yaml"
        path.write_text(re.sub(r"(?m)^name: .*$", "name: 'A & B < C'", path.read_text(), count=1))
        atlas = taxonomy.load(kb, cache=False)
        for item in (atlas.record("removal"), atlas.query("mentions 'A & B <'"), atlas.query("family masking").answer()):
            assert "A &amp; B &lt; C" in item._repr_html_()
            assert "A & B" not in item._repr_html_()

    def test_long_tables_are_cut(self):
        assert table([[str(number)] for number in range(41)]).endswith('<tr><td colspan="1">and 1 more</td></tr></tbody></table>')


def ids_of(selection):
    """For another process: what a selection holds there."""
    return selection.ids, selection.atlas.record("gradient")


class TestSharing:
    def test_selections_and_answers_can_be_pickled(self, atlas):
        chosen = atlas.query("satisfies keeps-sum or family local")
        copy = pickle.loads(pickle.dumps(chosen))
        assert copy.ids == chosen.ids
        assert pickle.loads(pickle.dumps(chosen.answer())) == chosen.answer()
        assert pickle.loads(pickle.dumps(QueryError("m", "text", 2))).position == 2

    def test_every_record_can_be_pickled(self, kb_atlas):
        for record in kb_atlas.records.values():
            assert pickle.loads(pickle.dumps(record)) == record

    def test_another_process_finds_the_same(self, atlas):
        chosen = atlas.select("method").where(family="local")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            ids, record = pool.apply(ids_of, (chosen,))
        assert ids == chosen.ids
        assert record == atlas.record("gradient")

    def test_threads_may_ask_a_deferred_atlas_at_once(self, kb, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        expected = taxonomy.load(kb)
        questions = [
            lambda a: a.query("satisfies keeps-sum and not needs internals").ids,
            lambda a: [str(item.because) for item in a.query("family gradient-based").answer().judged],
            lambda a: str(a.why("straight-path", "violates", "keeps-both")),
            lambda a: [neighbor.id for neighbor in a.neighbors("path", "unifies")],
            lambda a: sorted(a.subgraph("gradient")),
            lambda a: [str(found) for found in a.contradictions],
            lambda a: a.open_questions,
            lambda a: [method.id for method in a.methods(satisfies="keeps-both")],
        ]
        answers = [ask(expected) for ask in questions]
        old = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(5):
                atlas, found, failed = taxonomy.load(kb), {}, []
                barrier = threading.Barrier(2 * len(questions))

                def work(number, atlas=atlas, found=found, failed=failed, barrier=barrier):
                    barrier.wait()
                    try:
                        found[number] = questions[number % len(questions)](atlas)
                    except BaseException as error:
                        failed.append(error)

                threads = [threading.Thread(target=work, args=(number,)) for number in range(2 * len(questions))]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert failed == []
                assert [found[number] for number in range(2 * len(questions))] == [*answers, *answers]
        finally:
            sys.setswitchinterval(old)


def test_types_survive_selection(atlas):
    chosen = atlas.select(Method)
    assert isinstance(chosen, Selection)
    assert all(isinstance(method, Method) for method in chosen)


def test_schema_version_is_recorded():
    from taxonomy.schema import schema_of

    assert isinstance(taxonomy.SCHEMA_VERSION, int)
    assert {schema_of(record_type)["x-version"] for record_type in KINDS.values()} == {taxonomy.SCHEMA_VERSION}
