"""Recorded audits: reading, what is said of files that are wrong, and what a query says of a measurement."""

import json
import pickle
import shutil

import pytest

import taxonomy
from taxonomy import audit
from taxonomy.audit import AuditReport, AuditVerdict, Coincidence, Confusion, ConfusionRow, FamilyFit, WeightTable
from taxonomy.cli import main
from taxonomy.store import packaged_kb


def verdict(principle="missingness", outcome="satisfies", reading="as it is", **more):
    return AuditVerdict(principle=principle, reading=reading, outcome=outcome, why="It was seen | to be so.", **more)


def report(method="gradient", *verdicts, **more):
    return AuditReport(function=method, method=method, chance="None.", testbeds=("polynomials",), verdicts=verdicts, **more)


@pytest.fixture
def folder(tmp_path):
    kb = tmp_path / "kb"
    shutil.copytree(packaged_kb(), kb, ignore=shutil.ignore_patterns("audits", "conformance", "evidence", "reproductions"))
    return kb


def open_question(atlas):
    return atlas.open_questions[0]


def test_all_readings_together():
    both = report("gradient", verdict(), verdict(outcome="violates", reading="otherwise"), verdict("linearity", "not applicable"))
    assert both.verdict("missingness") == "violates"
    assert both.verdict("linearity") == "not applicable"
    assert both.verdict("symmetry") is None
    assert [v.reading for v in both.readings("missingness")] == ["as it is", "otherwise"]


def test_written_and_read_again(folder):
    found = report(
        "gradient", verdict(statistic=0.1, counterexample="assert True\n"), identified=("gradient",),
        families=(FamilyFit(form="additive", fits=None, why="not tested"),), allocation=WeightTable(title="Shares", columns=("κ",), rows=(("1",),)),
        coincidences=(Coincidence(method="gradient", relation="equal", domains=("polynomials",), error=0.0),), refused={"tokens": "no"},
    )  # fmt: skip
    path = audit.write(found, folder)
    assert audit.read(path) == found
    assert audit.load(folder) == {"gradient": found}
    assert taxonomy.load(folder, cache=False).audits == {"gradient": found}
    page = found.to_markdown()
    assert "| missingness | as it is | satisfies | 0.1 | It was seen \\| to be so. |" in page
    assert "Shares: no known law" in page
    assert "`missingness`, as it is:\n\n```python\nassert True\n```" in page
    with pytest.raises(ValueError, match="only audits of recorded methods"):
        audit.write(found.model_copy(update={"method": None}), folder)


def test_a_pickled_atlas_keeps_them(folder):
    audit.write(report("gradient", verdict()), folder)
    atlas = taxonomy.load(folder, cache=False)
    assert pickle.loads(pickle.dumps(atlas)).audits == atlas.audits


def test_confusion(folder):
    assert audit.read_confusion(folder) is None
    found = Confusion(rows=(ConfusionRow(method="gradient", best=("gradient",)),), classes=(("lime", "lrp-0"),))
    audit.write_confusion(found, folder)
    assert audit.read_confusion(folder) == found
    assert audit.load(folder) == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gradient.json", "{", "not a valid audit"),
        ("lime.json", report("gradient").to_json(), "holds the audit of `gradient`, which belongs in gradient.json"),
        ("gradientt.json", report("gradientt").to_json(), "there is no method `gradientt`; did you mean `gradient`"),
        ("gradient.json", report("gradient", verdict("linearty")).to_json(), "there is no axiom or principle `linearty`; did you mean `linearity`"),
        ("confusion.json", json.dumps({"rows": 1}), "not a valid audit: rows"),
    ],
)
def test_wrong_files_are_problems(folder, name, content, message):
    path = folder / "audits" / name
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    (problem,) = [problem for problem in taxonomy.check(folder) if problem.rule == "audit"]
    assert message in str(problem)
    assert f"kb/audits/{name}" in str(problem)
    assert problem.suggestion == "delete the file and run `atlas audit --all`", "which would stop at the same file"


def test_an_open_question_is_answered_by_what_was_measured_and_says_whose_word_it_is(folder, capsys):
    method, principle = open_question(taxonomy.load(folder, cache=False))
    with pytest.raises(KeyError, match="neither asserted nor derived"):
        taxonomy.load(folder, cache=False).why(method, "satisfies", principle)
    audit.write(report(method, verdict(principle)), folder)
    atlas = taxonomy.load(folder, cache=False)
    assert (method, principle) in atlas.open_questions
    assert [v.outcome for v in atlas.measured(method, principle)] == ["satisfies"]
    told = str(atlas.why(method, "satisfies", principle))
    assert "no source says so, and it does not follow" in told
    assert "measured by us (audit):" in told
    with pytest.raises(KeyError, match=r"neither asserted nor derived; measured by us \(audit\): satisfies"):
        atlas.why(method, "violates", principle)
    assert main(["why", "--kb", str(folder), method, "satisfies", principle]) == 0
    assert "satisfies (as it is): It was seen" in capsys.readouterr().out


def test_nothing_is_measured_where_there_is_no_audit(folder):
    atlas = taxonomy.load(folder, cache=False)
    assert atlas.measured("gradient", "linearity") == ()
    with pytest.raises(KeyError):
        atlas.measured("no-such-method", "linearity")


def test_a_measurement_does_not_touch_what_sources_say(folder):
    before = taxonomy.load(folder, cache=False)
    method, principle = open_question(before)
    audit.write(report(method, verdict(principle, "violates")), folder)
    after = taxonomy.load(folder, cache=False)
    assert after.derived == before.derived
    assert len(after.edges) == len(before.edges)
    assert after.open_questions == before.open_questions


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name one function"),
        (["--all", "a:b"], 2, "name one function"),
        (["--all", "--jobs", "0"], 2, "--jobs must be at least 1"),
        (["--all", "--quick", "--output", "x"], 2, "--all records every report and prints none: it takes no --quick, --output"),
        (["--all", "--format", "json"], 2, "takes no --format"),
        (["--all", "--json"], 2, "takes no --json"),
        (["a:b", "--force", "--jobs", "2"], 2, "--jobs, --force: only with --all"),
        (["a:b", "--json", "--format", "claims"], 2, "--json or --format claims: give one of them"),
        (["no_such_module:f"], 1, "cannot be imported"),
        (["math:pi"], 1, "not callable"),
    ],
)
def test_calls_that_are_wrong(arguments, code, message, capsys):
    assert main(["audit", *arguments]) == code
    assert message in capsys.readouterr().err


def test_the_command_writes_every_format(tmp_path, capsys):
    function = "executable.methods.attention:raw_attention"
    assert main(["audit", function, "--quick"]) == 0
    assert "Coincides exactly with bert-attention-analysis, raw-attention" in capsys.readouterr().out
    target = tmp_path / "report.md"
    assert main(["audit", function, "--quick", "--format", "markdown", "--output", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith(f"# Audit of `{function}`")
    assert main(["audit", function, "--quick", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["identified"] == ["bert-attention-analysis", "raw-attention"]


def test_recorded_audits_belong_to_methods_and_find_themselves():
    for method, found in audit.load(packaged_kb()).items():
        assert method in found.identified, method
        assert found.digest, method
