"""Recorded comparisons: verdicts, reading, and what is said of files that are wrong."""

import json
import shutil

import pytest

import taxonomy
from taxonomy import conformance
from taxonomy.cli import main
from taxonomy.conformance import ComparedCase, ComparedMethod, LibraryConformance
from taxonomy.store import packaged_kb


def case(setting, agrees, options=""):
    return ComparedCase(setting=setting, options=options, error=0.0, tolerance=1e-6, agrees=agrees, because=None if agrees else "a reason")


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ([case("MLP", True)], "agrees"),
        ([case("MLP", False)], "differs"),
        ([case("MLP", False), case("MLP", True, "n_steps=50")], "agrees under options"),
        ([case("MLP", True), case("softmax", False)], "agrees in part"),
        ([case("MLP", False), case("MLP", True, "bias=True"), case("softmax", False)], "agrees in part"),
    ],
)
def test_verdict(cases, verdict):
    assert ComparedMethod(method="gradient", name="captum.attr.Saliency", cases=tuple(cases)).verdict == verdict


def test_a_difference_needs_a_reason():
    with pytest.raises(ValueError, match="differs without a `because`"):
        ComparedCase(setting="MLP", options="", error=1.0, tolerance=1e-6, agrees=False)


@pytest.fixture
def folder(tmp_path):
    kb = tmp_path / "kb"
    shutil.copytree(packaged_kb(), kb, ignore=shutil.ignore_patterns("conformance", "evidence"))
    return kb


def results(library="captum", method="gradient", name="captum.attr.Saliency"):
    methods = (ComparedMethod(method=method, name=name, cases=(case("MLP", True),)),)
    return LibraryConformance(library=library, version="1", torch="2", methods=methods)


def test_written_and_read_again(folder):
    path = conformance.write(results(), folder)
    assert conformance.read(path) == results()
    endless = ComparedCase(setting="dead unit", error=None, tolerance=1e-6, agrees=False, because="a division by zero")
    found = results().model_copy(update={"methods": (ComparedMethod(method="gradient", name="captum.attr.Saliency", cases=(endless,)),)})
    assert conformance.read(conformance.write(found, folder)) == found
    conformance.write(results(), folder)
    assert taxonomy.load(folder, cache=False).conformance == {"captum": results()}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (results(library="captun"), "there is no library `captun`"),
        (results(method="gradientt"), "there is no method `gradientt`; did you mean `gradient`"),
        (results(name="captum.attr.Nothing"), "`captum.attr.Nothing` was compared with `gradient`, but the library's record does not list it"),
    ],
)
def test_strangers_are_named(found, message, folder):
    conformance.write(found, folder)
    _, problems = conformance.survey(folder, taxonomy.load(cache=False).records)
    assert message in problems[0].message
    assert problems[0].file == f"kb/conformance/{found.library}.json"
    with pytest.raises(taxonomy.AtlasError, match="conformance"):
        taxonomy.load(folder, cache=False)


def test_broken_files_are_named(folder):
    path = conformance.write(results(), folder)
    path.rename(path.with_name("shap.json"))
    (folder / "conformance" / "zennit.json").write_text("{", encoding="utf-8")
    messages = [problem.message for problem in conformance.survey(folder, {})[1]]
    assert "holds results for `captum`, which belong in captum.json" in messages[0]
    assert "not a valid conformance file" in messages[1]
    advice = {problem.suggestion for problem in conformance.survey(folder, {})[1]}
    assert advice == {"delete the file and run `atlas conformance`"}, "which would stop at the same file"


def test_commands(capsys):
    assert main(["methods", "--status", "--json"]) == 0
    found = {item["id"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["gradient"]["function"] == "executable.methods.modified_gradient:gradient"
    assert main(["methods"]) == 0
    assert "integrated-gradients\texecutable.methods.gradient_times_input:integrated_gradients" in capsys.readouterr().out
    assert main(["conformance", "--recorded"]) == 0
    out = capsys.readouterr().out
    assert "captum.attr.Saliency" in out
    assert main(["conformance", "--recorded", "--json", "--library", "captum"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["captum"]


def test_a_choice_of_what_is_recorded(capsys):
    assert main(["conformance", "--recorded", "--method", "IG", "--library", "Captum"]) == 0
    assert {line.split("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"integrated-gradients"}
    assert main(["conformance", "--recorded", "--json", "--method", "IG"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert {item["method"] for compared in found.values() for item in compared["methods"]} == {"integrated-gradients"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "nope"], "no method is known as `nope`"),
        (["--method", "raw-attention"], "no comparison of `raw-attention` is recorded; recorded: "),
        (["--library", "nope"], "no library is known as `nope`"),
    ],
)
def test_what_is_not_recorded_is_said(arguments, message, capsys):
    assert main(["conformance", "--recorded", *arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
