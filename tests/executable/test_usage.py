"""The script of every method, as the site and the guide show it, runs as it stands and prints an attribution."""

import contextlib
import io
import math
import re

import pytest

import taxonomy
from taxonomy.guide.choice import candidates
from taxonomy.guide.examples import EXAMPLES, script
from taxonomy.guide.settings import SETTINGS

METHODS = {method.id: method for method in candidates(taxonomy.load())}
WORD = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|nan|inf)(?!\w)", re.IGNORECASE)


def script_of(name):
    return script(name, METHODS[name].implementation.partition(":")[2])


@pytest.mark.parametrize("name", METHODS)
def test_script_prints_finite_numbers(name):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(script_of(name), f"<example of {name}>", "exec"), {"__name__": "__main__"})
    numbers = [float(word) for word in WORD.findall(printed.getvalue())]
    assert len(numbers) >= 3
    assert all(math.isfinite(number) for number in numbers)
    assert len(set(numbers)) > 1, "the same number everywhere shows nothing"


def test_every_example_belongs_to_a_method_and_every_setting_is_used():
    assert set(EXAMPLES) == set(METHODS)
    assert {example.setting for example in EXAMPLES.values()} == set(SETTINGS)


@pytest.mark.parametrize("name", METHODS)
def test_script_calls_the_reference_function_once_and_is_short(name):
    text = script_of(name)
    function = METHODS[name].implementation.partition(":")[2]
    assert len(re.findall(rf"(?<!\w){function}\(", text)) == 1
    assert text.startswith("import torch\n")
    assert len(text.splitlines()) < 45
    assert max(len(line) for line in text.splitlines()) <= 96
    compile(text, name, "exec")


def test_a_method_without_an_example_is_refused():
    with pytest.raises(KeyError, match="tree-shap"):
        script("tree-shap", "tree_shap")
