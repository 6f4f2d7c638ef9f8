"""From YAML to plain values that remember their places."""

import pytest

from taxonomy.loading import dotted, record_files
from taxonomy.problems import AtlasError, Problem, Severity, did_you_mean
from taxonomy.reading import parse

TEXT = """\
id: one
sources:
  - {work: a, at: Sec. I}
  - work: b
    at: |-
      Sec. II
flags: [no, 1.50, 0x1F, 2020-01-01, ~]
"""


class TestValues:
    def test_scalars_stay_text(self):
        document, problems = parse(TEXT, "one.yaml")
        assert problems == []
        assert document.values == {
            "id": "one",
            "sources": [{"work": "a", "at": "Sec. I"}, {"work": "b", "at": "Sec. II"}],
            "flags": ["no", "1.50", "0x1F", "2020-01-01", "~"],
        }

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
    def test_nothing(self, text):
        document, problems = parse(text, "none.yaml")
        assert not document.values
        assert [problem.message for problem in problems] in (["file is empty"], [])

    @pytest.mark.parametrize("text", ["a: &x 1\nb: *x\n", "a: &x {b: 1}\nc: {<<: *x}\n", "a: &x [*x]\n", "a: &x [1]\nb: [*x, *x]\n"])
    def test_aliases_are_refused(self, text):
        problems = parse(text, "alias.yaml")[1]
        assert {problem.message for problem in problems} == {"anchors and aliases are not allowed in a record"}

    @pytest.mark.parametrize("tag", ["!!int 1", "!!python/object/apply:os.system [ls]", "!custom x", "!!set {a}", "!!binary aGk="])
    def test_tags_are_refused(self, tag):
        (problem,) = parse(f"a: {tag}\n", "tag.yaml")[1]
        assert (problem.rule, problem.line, problem.column, problem.field) == ("yaml", 1, 4, "a")
        assert "is not allowed in a record" in problem.message


class TestPositions:
    @pytest.mark.parametrize(
        ("path", "of_key", "place"),
        [
            ((), False, (1, 1)),
            (("id",), False, (1, 5)),
            (("id",), True, (1, 1)),
            (("sources",), True, (2, 1)),
            (("sources", 0), False, (3, 5)),
            (("sources", 0, "at"), False, (3, 19)),
            (("sources", 0, "at"), True, (3, 15)),
            (("sources", 1, "at"), False, (5, 9)),
            (("flags", 1), False, (7, 13)),
            (("sources", 5, "at"), False, (3, 3)),
            (("sources", 1, "missing"), False, (4, 5)),
            (("id", "deeper", "still"), False, (1, 5)),
            (("nowhere",), False, (1, 1)),
        ],
    )
    def test_position_of_a_value_or_of_what_encloses_it(self, path, of_key, place):
        assert parse(TEXT, "one.yaml")[0].position(path, of_key=of_key) == place

    def test_unread_document(self):
        assert parse("a: [", "bad.yaml")[0].position(("a",)) == (1, 1)


@pytest.mark.parametrize(("path", "text"), [((), ""), (("a",), "a"), (("a", 0, "b-c", 1, 2), "a[0].b-c[1][2]"), ((3,), "[3]")])
def test_dotted_paths(path, text):
    assert dotted(path) == text


def test_record_files_are_sorted_and_found_in_folders(valid):
    names = [name for name, _ in record_files(valid)]
    assert names == sorted(names)
    assert {"methods/gradient.yaml", "sources/deng2025attribution.yaml"} < set(names)
    assert not any(name.startswith("evidence") for name in names)


PROBLEM = Problem("a,rule", "50% of it\nis: wrong", "kb/a:b,c.yaml", 3, 7, "sources[0].at", "do this", Severity.WARNING)


class TestProblems:
    def test_text(self):
        assert str(PROBLEM) == "kb/a:b,c.yaml:3:7: warning: 50% of it\nis: wrong; do this [sources[0].at] (a,rule)"
        assert str(Problem("rule", "wrong", "kb/a.yaml")) == "kb/a.yaml:1:1: error: wrong (rule)"

    @pytest.mark.parametrize(("severity", "level"), [(Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.NOTE, "notice")])
    def test_annotation_levels(self, severity, level):
        assert Problem("r", "m", "f", severity=severity).as_annotation() == f"::{level} file=f,line=1,col=1,title=r::m"

    def test_annotation_escapes_what_would_end_it(self):
        assert PROBLEM.as_annotation() == ("::warning file=kb/a%3Ab%2Cc.yaml,line=3,col=7,title=a%2Crule::50%25 of it%0Ais: wrong; do this")

    def test_json(self):
        assert PROBLEM.as_json() == {
            "severity": "warning", "rule": "a,rule", "file": "kb/a:b,c.yaml", "line": 3, "column": 7, "field": "sources[0].at",
            "message": "50% of it\nis: wrong", "suggestion": "do this",
        }  # fmt: skip

    def test_error_lists_all_in_order_and_counts_errors_only(self):
        problems = [Problem("r", "second", "b", 9), Problem("r", "first", "b", 2), PROBLEM, Problem("r", "zero", "a")]
        error = AtlasError(problems)
        assert str(error).splitlines()[0] == "3 errors in the records"
        assert [problem.message for problem in error.problems] == ["zero", "first", "second", PROBLEM.message]
        assert all(str(problem) in str(error) for problem in problems)
        assert str(AtlasError(problems[:1])).startswith("1 error in")

    @pytest.mark.parametrize(("word", "hint"), [("shaply", "did you mean `shapley` or `shape`?"), ("zzz", ""), ("", "")])
    def test_suggestions(self, word, hint):
        assert did_you_mean(word, ["gradient", "shape", "shapley"]) == hint
