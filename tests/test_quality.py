"""The linters and the type checker are part of the suite."""

import ast
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "docs", "executable", "fuzz", "site", "taxonomy", "tests")
"""Those with code."""


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
    ],
    ids=" ".join,
)
def test_tool_has_nothing_to_say(command):
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def python_files():
    """Those of the project: what git knows of, or all in its folders where there is no git, no work tree, or one that git does not trust."""
    with contextlib.suppress(OSError):
        listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
        if found := [path for name in listed if name and (path := ROOT / name).is_file()]:
            return found
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_folder_of_the_project_is_overlooked_without_git(monkeypatch):
    known = {path.relative_to(ROOT).parts[0] for path in python_files()}
    monkeypatch.setenv("PATH", "")
    assert known <= {path.relative_to(ROOT).parts[0] for path in python_files()}


def test_python_files_stay_short():
    files = python_files()
    assert ROOT / "taxonomy" / "cli.py" in files
    long = {str(path): lines for path in files if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500}
    assert not long, f"split these files: {long}"


def imported(nodes):
    """Packages that import statements among these name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_taxonomy_never_imports_torch_nor_the_floor_above():
    for path in (ROOT / "taxonomy").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert "torch" not in imported(ast.walk(tree)), path
        if path.name != "cli.py":
            assert "executable" not in imported(tree.body), path
