"""The code that `atlas new method` writes: its tests fail until the function is written, pass with a right one and fail with a wrong one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taxonomy import cli
from taxonomy.authoring import listings
from taxonomy.authoring.code import FAMILIES, default_module
from taxonomy.store import packaged_kb

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
RIGHT = {
    "modified-gradient": "gradient(model, inputs, target)",
    "gradient-times-input": "integrated_gradients(model, inputs, target, baselines=baselines)",
    "layerwise-backprop": "lrp_epsilon(model, inputs, target)",
    "perturbation": "shapley_value(model, inputs, target, baselines=baselines)",
    "influential-subset": "fine_grained_visual_explanations(model, inputs, target)",
    "local-surrogate": "glime(model, inputs, target)",
    "attention": "gradient_weighted_attention(model, inputs, target, query=0)",
    "feature-maps": "grad_cam(model, inputs, target, layer=layer)",
}
"""A member of each family, which keeps what the family promises."""
WRONG = {
    "modified-gradient": "gradient(model, inputs, target).abs()",
    "gradient-times-input": "gradient(model, inputs, target)",
    "layerwise-backprop": "gradient(model, inputs, target)",
    "perturbation": "gradient(model, inputs, target)",
    "influential-subset": "torch.ones_like(inputs)",
    "local-surrogate": "torch.ones_like(inputs)",
    "attention": "torch.ones_like(inputs).cumsum(1)[..., 0]",
    "feature-maps": "inputs.mean(dim=1, keepdim=True)",
}
"""Something plausible that does not."""
KINDS = (*FAMILIES, "feature-maps")
"""What there is a test for: the families, and of one of them the methods that explain the maps of a layer."""


def method_of(family, word):
    return f"{word} {family.replace('-', ' ')}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of records, code and tests, in which three methods of each family are begun: one stays so, one is right, one is wrong."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(packaged_kb(), root / "kb")
    for name in ("executable", "taxonomy", "tests/executable"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "conftest.py", root / "tests")  # so that what these tests draw is what they always draw
    title = "unwritten " + "long " * 24
    entry = f"@misc{{x, author={{Quite Long-Surname and Others, Many}}, title={{{'A very long title of a work ' * 6}}}, year={{2020}}}}"
    arguments = ["--family", "attention", "--summary", "One.", "--reference", entry, "--id", "unwritten-" + "-".join(["long"] * 14)]
    assert cli.main(["new", "method", title, *arguments, "--kb", str(root / "kb")]) == 1, "the function needs a shorter name"
    arguments += ["--function", "unwritten_with_forty_characters_in_name"]
    assert cli.main(["new", "method", title, *arguments, "--kb", str(root / "kb")]) == 0
    for family in KINDS:
        for word in ("unwritten", "right", "wrong"):
            arguments = [
                "--family",
                *(["gradient-times-input", "--explains", "feature maps"] if family == "feature-maps" else [family]),
                "--summary",
                "One sentence.",
                "--reference",
                "sundararajan2017axiomatic",
                "--distinct",
            ]
            access = ["--access", "outputs", "--model", "any", "--baseline", "zero"] if family == "perturbation" else []
            assert cli.main(["new", "method", method_of(family, word), *arguments, *access, "--kb", str(root / "kb")]) == 0
            function = method_of(family, word).replace(" ", "_")
            path = next((root / "executable" / "methods").rglob(f"{default_module(function)}.py"))
            body = {"right": RIGHT, "wrong": WRONG}.get(word, {}).get(family)
            if body is not None:
                imports = "import torch\n        from executable import " + re.match(r"(?:torch\.)?(\w+)", body).group(1)
                imports = "import torch" if body.startswith("torch.") else imports.replace("\n        ", "\n    ")
                text = re.sub(r"    raise NotImplementedError.*", f"    {imports}\n\n    return {body}", path.read_text(encoding="utf-8"))
                path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def outcomes(tree):
    """Outcome of every generated test, by name of the method and of the test."""
    files = sorted(str(path) for path in (tree / "tests" / "executable" / "methods").glob("test_*") if re.match(r"test_(un|right|wr)", path.name))
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", "-o", "pythonpath=. tests/executable", "-o", "addopts=", "-q", "-rA"]
    call = [sys.executable, "-m", "pytest", *options, "--rootdir", str(tree), *files]
    run = subprocess.run(call, cwd=tree, capture_output=True, text=True, timeout=500, env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"})
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S*/test_(\w+)\.py::(\w+)", run.stdout, re.MULTILINE)
    assert found, run.stdout + run.stderr
    return {(function, test): outcome for outcome, function, test in found}


def of(outcomes, family, word):
    function = method_of(family, word).replace(" ", "_")
    return {test: outcome for (name, test), outcome in outcomes.items() if name == function}


@pytest.mark.parametrize("family", KINDS)
class TestFamilies:
    def test_unwritten_function_fails_all(self, outcomes, family):
        found = of(outcomes, family, "unwritten")
        assert len(found) >= 3
        assert set(found.values()) == {"FAILED"}

    def test_right_function_passes_all_but_the_one_that_is_to_be_written(self, outcomes, family):
        found = of(outcomes, family, "right")
        assert found.pop("test_own_formula") == "FAILED"
        assert set(found.values()) == {"PASSED"}, found

    def test_wrong_function_is_found_out(self, outcomes, family):
        found = of(outcomes, family, "wrong")
        assert list(found.values()).count("FAILED") >= 2, found


def test_what_was_written_has_the_style_of_the_house(tree):
    written = [
        *tree.rglob("*unwritten*.py"),
        tree / listings.GALLERY,
        tree / listings.CATALOGUE,
        tree / "executable/__init__.py",
        *(tree / "executable/methods").rglob("__init__.py"),
    ]
    assert len(written) > 3 * len(FAMILIES)
    for arguments in (["check"], ["format", "--check"]):
        call = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--config", str(ROOT / "pyproject.toml"), *map(str, written)]
        run = subprocess.run(call, cwd=tree, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


def test_records_of_the_copy_pass_the_checks(tree):
    assert cli.main(["check", "--kb", str(tree / "kb")]) == 0


def test_every_name_can_be_imported_from_the_top(tree):
    names = [method_of(family, "unwritten").replace(" ", "_") for family in KINDS]
    code = f"import executable; print([name for name in {names} if name not in executable.__all__ or not hasattr(executable, name)])"
    run = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tree)})
    assert run.stdout.strip() == "[]"


def test_the_contract_of_all_methods_is_asked_of_them(tree):
    code = "from method_cases import CASES; print(sorted(case.id for case in CASES if case.id.startswith('unwritten')))"
    environment = {"PYTHONPATH": f"{tree}:{tree / 'tests' / 'executable'}"}
    run = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == str(sorted(["unwritten-" + "-".join(["long"] * 14), *(f"unwritten-{family}" for family in KINDS)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--function", "os.system"], "is no name for a function"),
        (["--function", "lime", "--module", "lime"], "the package exports that name"),
        (["--module", "../evil"], "is no name for a function"),
    ],
)
def test_refused(tree, capsys, arguments, message):
    common = ["--family", "perturbation", "--summary", "One.", "--reference", "sundararajan2017axiomatic", "--distinct", "--kb", str(tree / "kb")]
    assert cli.main(["new", "method", "Another thing", *common, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_function_that_is_exported_already_is_left_to_its_author(tree, capsys):
    common = ["--family", "perturbation", "--summary", "One.", "--reference", "sundararajan2017axiomatic", "--distinct", "--kb", str(tree / "kb")]
    assert cli.main(["new", "method", "Another thing", *common, "--function", "rise", "--dry-run"]) == 0
    assert "executable/__init__.py: import `rise` from" in capsys.readouterr().out


def test_pictures_and_audits_know_them(tree):
    code = (
        "from executable.gallery_methods import TABLE; from executable.auditing.catalogue import REFERENCES; "
        "shown = [entry.method for entry in TABLE]; "
        f"names = [f'unwritten-{{kind}}' for kind in {KINDS}]; "
        "print([name for name in names if shown.count(name) != 1 or REFERENCES[name].subject.name != name])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tree)})
    assert run.stdout.strip() == "[]"


def test_check_names_what_is_left_with_file_and_line(tree, capsys):
    cli.main(["check", "--kb", str(tree / "kb")])
    found = capsys.readouterr().out
    module = tree / "executable/methods/perturbation/unwritten_perturbation_method.py"
    line = module.read_text(encoding="utf-8").split("raise NotImplementedError")[0].count("\n") + 1
    assert f"{module.relative_to(tree)}:{line}:1: warning: `unwritten_perturbation` is not written yet" in found
    assert "tests/executable/methods/test_unwritten_perturbation.py:" in found
    assert "method `unwritten-perturbation` has no oracles" in found
