"""What the page "The graph in Python" shows runs and prints what it says."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

import taxonomy
from taxonomy.cli import main
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
    rows = re.findall(r"(?m)^\| (\d+\.\d+\.\d+) \| (\d+) \|", TEXT.split("### Changes")[1])
    assert rows[-1] == (taxonomy.__version__, str(taxonomy.SCHEMA_VERSION))
