"""Whole small record folders: the valid one loads, and each invalid one gives exactly the problems that its `expected.txt` lists."""

from pathlib import Path

import pytest

import taxonomy
from taxonomy import AtlasError, Severity
from taxonomy.reading import MOST_BYTES, MOST_DEPTH, parse

CASES = sorted((Path(__file__).parent / "fixtures" / "invalid").iterdir())
WARNINGS = {"incomplete-method", "record-without-source", "serious-discrepancy-about-nothing"}


def test_valid_folder_has_no_problem(valid):
    assert taxonomy.check(valid) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestInvalid:
    def test_problems_are_listed_exactly(self, invalid, case):
        expected = (case / "expected.txt").read_text().splitlines()
        assert expected
        assert [str(problem) for problem in taxonomy.check(invalid(case.name))] == expected

    def test_load_refuses_errors_and_lets_warnings_pass(self, invalid, case):
        expected = (case / "expected.txt").read_text().splitlines()
        kb = invalid(case.name)
        if case.name in WARNINGS:
            assert all(": warning: " in line for line in expected)
            assert taxonomy.load(kb, cache=False).records
        elif case.name == "bibliography-syntax":  # only `check` and the first use of the bibliography parse all of it
            with pytest.raises(Exception, match="premature end of file"):
                _ = taxonomy.load(kb, cache=False).bibliography
        else:
            with pytest.raises(AtlasError) as caught:
                taxonomy.load(kb, cache=False)
            assert sorted(map(str, caught.value.problems)) == sorted(expected)


def test_all_problems_of_all_files_at_once(invalid):
    problems = taxonomy.check(invalid("several"))
    assert len({problem.file for problem in problems}) == 5
    assert [(p.file, p.line, p.column) for p in problems] == sorted((p.file, p.line, p.column) for p in problems)
    assert {problem.severity for problem in problems} == {Severity.ERROR}


def test_result_does_not_depend_on_the_order_of_sets(invalid, monkeypatch):
    first = taxonomy.check(invalid("cycle-of-three"))
    assert first == taxonomy.check(invalid("cycle-of-three"))
    assert first[0].message.count("mean-gradient") == 2


def test_file_too_large(kb):
    path = kb / "principles" / "keeps-zero.yaml"
    path.write_text(path.read_text() + "#" * MOST_BYTES)
    (problem,) = taxonomy.check(kb)
    assert str(problem) == (
        f"kb/principles/keeps-zero.yaml:1:1: error: file has {path.stat().st_size} bytes; "
        f"at most {MOST_BYTES} are read; a record is a small plain file of YAML (file-size)"
    )


@pytest.mark.parametrize(
    "text", ["-  " * 60_000, "[" * 100_000, "{a: " * 40_000, "? " * 60_000, "? -\t" * 40_000, "".join(" " * n + "a:\n" for n in range(600))]
)
def test_deep_nesting_never_exhausts_the_stack(text):
    document, problems = parse(text, "deep.yaml")
    assert document.values is None or problems
    assert any(problem.rule == "yaml" for problem in problems)


def test_nesting_is_allowed_up_to_its_bound():
    within = "[" * MOST_DEPTH + "x" + "]" * MOST_DEPTH
    assert parse(within, "within.yaml")[1] == []
    (problem,) = parse(f"[{within}]", "beyond.yaml")[1]
    assert (problem.line, problem.column) == (1, MOST_DEPTH + 1)


def test_folder_without_bibliography(kb):
    (kb / "references.bib").unlink()
    problems = taxonomy.check(kb)
    assert str(problems[-1]).startswith("kb/theorems/")
    assert "kb/references.bib:1:1: error: the record folder has no references.bib; add one; it may be empty (bibliography)" in map(str, problems)


@pytest.mark.parametrize("call", [taxonomy.load, taxonomy.check])
def test_folder_that_does_not_exist(tmp_path, call):
    with pytest.raises(FileNotFoundError, match="no record folder at"):
        call(tmp_path / "nowhere")


def test_hidden_and_foreign_files_are_left_alone(kb):
    (kb / "methods" / ".#gradient.yaml").write_text("id: [")
    (kb / "methods" / "notes.txt").write_text("id: [")
    (kb / "schema").mkdir()
    (kb / "schema" / "method.yaml").write_text("id: [")
    assert taxonomy.check(kb) == []
