"""The linters and the type checker are part of the suite."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


def test_python_files_stay_short():
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    long = {name: lines for name in files if (lines := len((ROOT / name).read_text(encoding="utf-8").splitlines())) > 500}
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
