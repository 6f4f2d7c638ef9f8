"""The wheel: built, installed into an empty environment outside the checkout, and used there without torch."""

import importlib.util
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


NO_INDEX = re.compile("No matching distribution|Could not fetch|ConnectionError|Temporary failure|connection broken")


def with_index(call):
    """Run what asks the package index; where it cannot be reached there is nothing to test, but on CI that is an error."""
    run = subprocess.run(call, capture_output=True, text=True)
    said = run.stdout + run.stderr
    if run.returncode and NO_INDEX.search(said) and not os.environ.get("CI"):
        pytest.skip(f"the package index cannot be reached: {said.strip()[-300:]}")
    assert run.returncode == 0, said


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    alone = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []  # without it, an environment with it is made from the index
    build = [sys.executable, "-m", "build", "--wheel", *alone, "--outdir", str(folder), str(ROOT)]
    with_index(build)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    options = ["--quiet", "--retries", "5", "--constraint", str(ROOT / "requirements.lock")]
    with_index([interpreter, "-m", "pip", "install", *options, str(wheel)])
    return interpreter


def in_environment(python, tmp_path, *arguments):
    return subprocess.run([python, *arguments], cwd=tmp_path, capture_output=True, text=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})


def test_wheel_holds_records_and_both_packages(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {"taxonomy/py.typed", "executable/py.typed", "taxonomy/kb/references.bib", "taxonomy/kb/methods/integrated-gradients.yaml"}
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests/", "site/", "kb/"))]


def test_queries_work_without_torch(python, tmp_path):
    code = (
        "import taxonomy, sys; a = taxonomy.load(); "
        "print(a.find('IG').id, len(a.records) > 400, 'torch' in sys.modules, __import__('importlib.util').util.find_spec('torch'))"
    )
    run = in_environment(python, tmp_path, "-c", code)
    assert run.stdout.split() == ["integrated-gradients", "True", "False", "None"], run.stderr


def test_the_command_works_without_torch(python, tmp_path):
    run = in_environment(python, tmp_path, python.parent / "atlas", "find", "IG")
    assert "integrated-gradients" in run.stdout, run.stderr


@pytest.mark.parametrize("arguments", [("-c", "import executable"), ("-m", "taxonomy.cli", "verify")])
def test_a_missing_torch_is_said_with_the_remedy(python, tmp_path, arguments):
    run = in_environment(python, tmp_path, *arguments)
    assert run.returncode == 1
    assert "attribution-atlas[torch]" in run.stderr
