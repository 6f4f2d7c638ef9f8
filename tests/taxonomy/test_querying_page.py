"""What the page "The graph in Python" shows runs and prints what it says."""

import doctest
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

import taxonomy
from taxonomy.atlas import Atlas
from taxonomy.cli import main
from taxonomy.export.whole import FORMAT_VERSION
from taxonomy.querying import Answer, Selection
from taxonomy.querying.fields import NEEDS
from taxonomy.querying.naming import words_of
from taxonomy.records import KINDS

PAGE = Path(__file__).parents[2] / "site" / "pages" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_examples_run():
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # A fence ends the expected output as an empty line would.
    text = re.sub(r"(?m)^```.*$", "", TEXT)
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    result = doctest.DocTestRunner(optionflags=flags).run(test)
    assert result.attempted > 25
    assert result.failed == 0


def public():
    """Every public function, method and property by the name an example would call it by."""
    for package in ("taxonomy", "taxonomy.querying", "taxonomy.export", "taxonomy.guide"):
        module = importlib.import_module(package)
        yield from ((name, getattr(module, name)) for name in module.__all__ if inspect.isfunction(getattr(module, name)))
    for kind in (Atlas, Selection, Answer):
        for name, value in inspect.getmembers_static(kind):
            value = getattr(value, "__func__", None) or getattr(value, "fget", None) or getattr(value, "func", value)
            if inspect.isfunction(value) and not name.startswith("_"):
                yield f".{name}", value


@pytest.mark.parametrize(("name", "item"), list(public()), ids=lambda item: item if isinstance(item, str) else "")
def test_everything_public_has_an_example_that_runs(name, item):
    """In its docstring, which pytest runs, or on the page."""
    if name == ".deferred":
        pytest.skip("for the cache alone")
    examples = [line for text in (TEXT, inspect.getdoc(item) or "") for line in text.splitlines() if line.lstrip().startswith((">>>", "..."))]
    assert any(re.search(rf"(?<!\w){re.escape(name.lstrip('.'))}\b", line) for line in examples), f"{name} has no example"


@pytest.mark.parametrize("line", re.findall(r"(?m)^atlas query .+$", TEXT))
def test_commands_run(line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out


def test_the_mistake_shown_is_pointed_at_there(capsys):
    shown = re.search(r"(?s)```text\n\$ (.*?)\n(.*?)```", TEXT)
    assert main(shlex.split(shown[1])[1:]) == 2
    assert capsys.readouterr().err == shown[2]


def test_words_in_the_tables_exist():
    words = {word for kind in KINDS for word in words_of(kind)}
    table = TEXT.split("| Filter |")[1].split("\n\n")[0]
    named = {word.replace("_", "-") for word in re.findall(r"`([a-z_]+)`", table.replace("| `outputs`", "|"))}
    assert named <= words | set(NEEDS) | {"gradients", "internals", "training"}


def test_the_version_is_the_last_of_the_changes():
    rows = re.findall(r"(?m)^\| (\d+\.\d+\.\d+) \| (\d+) \| (\d+) \|", TEXT.split("### Changes")[1])
    assert rows[-1] == (taxonomy.__version__, str(taxonomy.SCHEMA_VERSION), str(FORMAT_VERSION))
