"""The query language and the command that reads it."""

import csv
import io
import json
import time

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from taxonomy.cli import main
from taxonomy.querying import QueryError, parse


class TestReading:
    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("method", "method"),
            ("", "method"),
            ("methods", "method"),
            ("principles", "principle"),
            ("METHOD Satisfies keeps-sum", "method satisfies keeps-sum"),
            ("satisfies 'Keeps The Sum'", "method satisfies keeps-sum"),
            ("satisfies keeps-sum but not violates stable", "method satisfies keeps-sum and not violates stable"),
            ("status full or status stub and implemented", "method status full or status stub and implemented"),
            ("(status full or status stub) and implemented", "method (status full or status stub) and implemented"),
            ("((status full))", "method status full"),
            ("not (status full and implemented)", "method not (status full and implemented)"),
            ("not not implemented", "method not not implemented"),
            ("family local", "method belongs-to local"),
            ("family gradient-based", "method belongs-to gradient-based"),
            ("reformulation Path", "method reformulates-as path"),
            ('explains "input features"', 'method explains "input features"'),
            ('mentions "and"', 'method mentions "and"'),
            ('mentions "a \\"b\\" c"', 'method mentions "a \\"b\\" c"'),
            ("principle satisfied-by Shap", "principle satisfied-by shapley"),
            ("needs\n  gradients", "method needs gradients"),
            ("anything and implemented", "method anything and implemented"),
        ],
    )
    def test_canonical_text(self, atlas, text, canonical):
        assert str(parse(atlas, text)) == canonical
        assert str(parse(atlas, canonical)) == canonical

    def test_and_binds_more_closely_than_or(self, atlas):
        together = set(atlas.query("family local or family masking and implemented").ids)
        assert together == set(atlas.query("family local").ids) | set(atlas.query("family masking and implemented").ids)

    @pytest.mark.parametrize(
        ("text", "position", "message"),
        [
            ("methd status full", 0, "did you mean `method`"),
            ("satisfies", 9, "expected a name or value after `satisfies`, found the end"),
            ("satisfies and implemented", 10, "expected a name or value after `satisfies`, found `and`"),
            ("satisfies keep-sum", 10, "did you mean `keeps-sum`"),
            ("status ful", 7, "one of: full, stub"),
            ("status full implemented", 12, "expected `and`, `or` or the end, found `implemented`"),
            ("satisfies keeps sum", 10, "no principle or axiom is known as `keeps`"),
            ("(status full", 12, "the `)` that closes the bracket at column 1, found the end"),
            ("status full)", 11, "expected `and`, `or` or the end, found `)`"),
            ("()", 1, "expected a condition on a method"),
            ("not", 3, "expected a condition on a method (such as `satisfies completeness`), found the end"),
            ("status full and", 15, "found the end"),
            ("status full or or implemented", 15, "found `or`"),
            ('mentions "open', 9, "this quote is never closed"),
            ("mentions a\\b", 10, "stands outside quotes"),
            ("principle access outputs", 10, "nothing of a principle is called `access`"),
            ("axiom comprises x", 6, "no axiom comprises anything"),
            ("implemented yes", 12, "expected `and`, `or` or the end"),
            ("status full\nand satisfies keep-sum", 26, "did you mean `keeps-sum`"),
        ],
    )
    def test_a_mistake_is_pointed_at(self, atlas, text, position, message):
        with pytest.raises(QueryError) as caught:
            parse(atlas, text)
        assert message in caught.value.message
        assert caught.value.position == position
        *_, line, caret = str(caught.value).split("\n")
        start = text.rfind("\n", 0, position) + 1
        assert line == "  " + text[start:].split("\n", 1)[0]
        assert caret == "  " + " " * (position - start) + "^"

    def test_many_brackets_are_refused_before_the_stack_ends(self, atlas):
        with pytest.raises(QueryError, match="more than 100 brackets"):
            parse(atlas, "(" * 5000 + "implemented" + ")" * 5000)
        with pytest.raises(QueryError, match="more than 100 brackets"):
            parse(atlas, "not " * 5000 + "implemented")
        assert str(parse(atlas, "(" * 90 + "implemented" + ")" * 90)) == "method implemented"

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        text=st.one_of(
            st.text(max_size=30),
            st.lists(
                st.sampled_from(["method", "not", "and", "or", "(", ")", "satisfies", "keeps-sum", '"', "needs", "status", "full", "mentions"]),
                max_size=9,
            ).map(" ".join),
        )
    )
    def test_any_text_is_read_or_refused_with_a_place(self, atlas, text):
        try:
            query = parse(atlas, text)
        except QueryError as caught:
            place = caught.position
            assert 0 <= place <= len(text)
        else:
            assert parse(atlas, str(query)) == query


@pytest.fixture
def ask(valid, capsys):
    def run(*arguments):
        code = main(["query", *arguments, "--kb", str(valid)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


class TestCommand:
    def test_members_and_counts(self, ask):
        code, out, _ = ask("family local and access gradients")
        assert code == 0
        assert out.splitlines() == [
            "id\tstanding\tbecause",
            "gradient\tyes\tgradient belongs-to local: the survey, Table II, row Local; the survey, Fig. 4, row Grad/MG; needs the model's gradients",
            "mean-gradient\tyes\tmean-gradient belongs-to local: the survey, Table II, row Local; the survey, Fig. 4, row Grad/MG; "
            "needs the model's gradients",
            "standing\trecords", "yes\t2", "contested\t0", "unknown\t3", "no\t2",
        ]  # fmt: skip

    def test_everything(self, ask, atlas):
        lines = ask("family local", "--all")[1].splitlines()
        assert {line.split("\t")[0] for line in lines} >= {method.id for method in atlas.of_kind("method")}

    def test_impossible(self, ask):
        out = ask("satisfies keeps-both and violates keeps-sum")[1]
        assert out.startswith("impossible: every method that satisfies keeps-both satisfies keeps-sum\n")

    def test_json(self, ask, atlas):
        data = json.loads(ask("satisfies keeps-sum", "--json")[1])
        assert data == atlas.query("satisfies keeps-sum").answer().as_json()

    def test_csv(self, ask, atlas):
        rows = list(csv.DictReader(io.StringIO(ask("satisfies keeps-sum", "--csv")[1])))
        assert rows == atlas.query("satisfies keeps-sum").answer().rows()

    def test_basis(self, ask):
        assert ask("satisfies keeps-sum", "--by", "sources", "--json")[1] != ask("satisfies keeps-sum", "--json")[1]

    def test_a_mistake_is_exit_code_2_with_a_caret(self, ask):
        code, out, err = ask("family lokal")
        assert (code, out) == (2, "")
        assert err == ("atlas: no formulation-family or group is known as `lokal`; did you mean `local`?\n  family lokal\n         ^\n")

    def test_json_and_csv_exclude_each_other(self, ask):
        assert ask("method", "--json", "--csv")[0] == 2

    def test_same_as_list(self, valid, capsys, ask):
        main(["list", "--family", "local", "--violates", "stable", "--access", "gradients", "--json", "--kb", str(valid)])
        listed = [record["id"] for record in json.loads(capsys.readouterr().out)]
        data = json.loads(ask("family local and violates stable and access gradients", "--json", "--by", "sources")[1])
        assert [item["id"] for item in data["records"] if item["standing"] in ("yes", "contested")] == listed


def test_a_query_on_the_whole_atlas_is_quick(kb_atlas):
    text = "satisfies completeness and not needs internals or (violates linearity but not family gradient-based) and satisfies additivity"
    kb_atlas.query(text).answer()
    taken = []
    for _ in range(5):
        started = time.process_time()
        kb_atlas.query(text).answer()
        taken.append(time.process_time() - started)
    assert min(taken) < 0.3
