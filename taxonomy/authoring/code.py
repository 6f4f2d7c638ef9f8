"""The code that goes with a new method: its function, how the tests of the contract call it, and a test with what its family promises."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from taxonomy.authoring.exports import WIDTH, ExportError, with_export
from taxonomy.authoring.writing import Change

_TEMPLATES = Path(__file__).parent / "templates"
_SINGLE = frozenset({"modified-gradient"})
"""Families whose code is one module; a new method has a module of its own beside it."""
_WITHOUT_BASELINES = frozenset({"modified-gradient", "layerwise-backprop", "attention"})
_LINEAR = ("lambda x: 2 * x[:, 0] - x[:, 1]", "torch.tensor([[3.0, 1.0]])")
_EXAMPLES = {
    "modified-gradient": (*_LINEAR, "", "tensor([[ 2., -1.]])"),
    "gradient-times-input": (*_LINEAR, "", "tensor([[ 6., -1.]])"),
    "perturbation": (*_LINEAR, "", "tensor([[ 6., -1.]])"),
    "layerwise-backprop": ("torch.nn.Identity()", "torch.tensor([[3.0, 1.0]])", ", 0", "tensor([[3., 0.]])"),
    "local-surrogate": (*_LINEAR, "", None),
    "influential-subset": ("lambda x: x[:, 0]", "torch.ones(1, 3)", "", None),
    "attention": ("torch.nn.TransformerEncoderLayer(4, 1, batch_first=True).eval()", "torch.rand(1, 3, 4)", "", None),
}
FAMILIES = tuple(_EXAMPLES)
"""Formulation families with code."""


@dataclass(frozen=True, slots=True)
class Code:
    """What is written for a method, and what is left to its author because it could not be edited safely."""

    link: str
    test: str
    changes: tuple[Change, ...]
    left: tuple[str, ...]


def is_checkout(root: Path) -> bool:
    """Whether the folder above the records holds the code too."""
    return (root / "executable" / "methods" / "__init__.py").is_file() and (root / "tests" / "executable" / "method_cases").is_dir()


def default_module(function: str) -> str:
    """The module for a function; never its own name, which the package exports."""
    return f"{function[:33]}_method"


def code_for(root: Path, *, id_: str, name: str, family: str, function: str, module: str, citation: str, access: str | None) -> Code:
    """Everything that is written besides the record.

    Raises
    ------
    ValueError
        If the family has no code, or the module would bear the name of its function.
    """
    if family not in FAMILIES:
        raise ValueError(f"no code belongs to the family `{family}`; families: {', '.join(FAMILIES)}")
    if module == function:
        raise ValueError(f"the module may not be called `{function}` as its function is: the package exports that name")
    package = f"executable.methods.{family.replace('-', '_')}" if family not in _SINGLE else "executable.methods"
    dotted = f"{package}.{module}"
    baselines = family not in _WITHOUT_BASELINES
    words = {"name": _title(name), "function": function, "citation": _cited(citation), **_signature(family, function, baselines=baselines)}
    test = f"tests/executable/methods/test_{function}.py"
    changes = [
        Change(f"{dotted.replace('.', '/')}.py", _fill("method", words)),
        Change(
            f"tests/executable/method_cases/{function}_case.py", _fill("case", words | {"cases": _cases(id_, function, family, access, baselines)})
        ),
        Change(test, _fill(f"test_{family}", words)),
    ]
    chain = [(package, dotted), ("executable.methods", package), ("executable", "executable.methods")]
    edits, left = _exports(root, [(inner, outer) for inner, outer in chain if inner != outer], function)
    return Code(f"{dotted}:{function}", f"{test}::test_own_formula", (*changes, *edits), tuple(left))


def _exports(root: Path, chain: Sequence[tuple[str, str]], function: str) -> tuple[list[Change], list[str]]:
    edits, left = [], []
    for package, source in chain:
        path = f"{package.replace('.', '/')}/__init__.py"
        try:
            before = (root / path).read_bytes().decode("utf-8")
            edits.append(Change(path, with_export(before, source, function), before))
        except (OSError, ExportError) as error:
            left.append(f"{path}: import `{function}` from `{source}` and list it in `__all__` ({error})")
    return edits, left


def _signature(family: str, function: str, *, baselines: bool) -> dict[str, str]:
    model, inputs, target, shown = _EXAMPLES[family]
    call = f"    >>> {function}({model}, {inputs}{target}){'' if shown else '.shape'}"
    size = {"local-surrogate": "[1, 2]", "influential-subset": "[1, 3]", "attention": "[1, 3]"}.get(family)
    return {
        "signature": "    baselines: float | Tensor | None = None,\n" if baselines else "",
        "parameters": "    baselines : None, number or Tensor\n        b, broadcast to the inputs; None is zero.\n" if baselines else "",
        "returns": "Shape (batch, tokens)." if family == "attention" else "Shape of `inputs`.",
        "example": f"{call}\n    {shown or f'torch.Size({size})'}",
    }


def _cases(id_: str, function: str, family: str, access: str | None, baselines: bool) -> str:
    arguments = [f'"{id_}"', function]
    if family == "attention":
        arguments += ["rows=None", "images=None", "tokens={}"]
    if access == "outputs" or family == "attention":
        arguments.append("gradients=False")
    if baselines:
        arguments.append("baselines=True")
    given = ", ".join(arguments)
    one_each = "".join(f"        {one},\n" for one in arguments)
    forms = (
        f"CASES = [MethodCase({given})]", f"CASES = [\n    MethodCase({given}),\n]", f"CASES = [\n    MethodCase(\n        {given}\n    ),\n]",
        f"CASES = [\n    MethodCase(\n{one_each}    ),\n]",
    )  # fmt: skip
    return next((form for form in forms if max(map(len, form.splitlines())) <= WIDTH), forms[-1])  # as the formatter has it


def _fill(template: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(words)


def _title(name: str) -> str:
    text = textwrap.shorten(_sentence(name), 80, placeholder=" ...")
    return text[:1].upper() + text[1:]


def _cited(citation: str) -> str:
    return textwrap.fill(_sentence(citation), WIDTH - 1, initial_indent="    ", subsequent_indent="    ").lstrip()


def _sentence(text: str) -> str:
    # The text comes to stand in a docstring: no quotes that would end it, no backslash that would start something.
    return " ".join(text.split()).replace("\\", "").replace('"""', "'''").replace('"', "'").rstrip(".")
