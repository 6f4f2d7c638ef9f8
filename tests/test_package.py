"""The wheel: built, installed into an empty environment outside the checkout, and used there without torch."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    run = subprocess.run(build, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    install = [interpreter, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "requirements.lock"), str(wheel)]
    run = subprocess.run(install, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
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
