"""The code that goes with a new method: its function, how the tests of the contract call it, and a test with what its family promises."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from taxonomy.authoring import listings
from taxonomy.authoring.exports import WIDTH, ExportError, with_export
from taxonomy.authoring.files import UnreadableError, text_of
from taxonomy.authoring.writing import Change

_TEMPLATES = Path(__file__).parent / "templates"
_SINGLE = frozenset({"modified-gradient"})
"""Families whose code is one module; a new method has a module of its own beside it."""
_WITHOUT_BASELINES = frozenset({"modified-gradient", "layerwise-backprop", "attention", "feature-maps"})
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
_MAPS = "feature-maps"
"""Methods of the gradient-times-input family that explain the maps of a layer: their function takes the layer, and no baseline."""
_EXAMPLES |= {
    _MAPS: (
        "torch.nn.Sequential(torch.nn.Identity(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())",
        "torch.ones(1, 1, 2, 2)",
        ', layer="0"',
        None,
    ),
}


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


def code_for(
    root: Path, *, id_: str, name: str, family: str, function: str, module: str, citation: str, access: str | None, explains: str = ""
) -> Code:
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
    kind = _MAPS if family == "gradient-times-input" and explains == "feature maps" else family
    baselines = kind not in _WITHOUT_BASELINES
    words = {"name": _title(name), "function": function, "citation": _cited(citation), **_signature(kind, function, baselines=baselines)}
    test = f"tests/executable/methods/test_{function}.py"
    changes = [
        Change(f"{dotted.replace('.', '/')}.py", _fill("method", words)),
        Change(f"tests/executable/method_cases/{function}_case.py", _fill("case", words | {"cases": _cases(id_, function, kind, access, baselines)})),
        Change(test, _fill(f"test_{kind}", words)),
    ]
    chain = [(package, dotted), ("executable.methods", package), ("executable", "executable.methods")]
    edits, left = _exports(root, [(inner, outer) for inner, outer in chain if inner != outer], function)
    listed, unlisted = _listings(root, id_, family, dotted, function, maps=kind == _MAPS, baselines=baselines)
    return Code(f"{dotted}:{function}", f"{test}::test_own_formula", (*changes, *edits, *listed), (*left, *unlisted))


def _listings(root: Path, id_: str, family: str, module: str, function: str, *, maps: bool, baselines: bool) -> tuple[list[Change], list[str]]:
    """Its entries in the gallery and in the audit, both called with the function's defaults."""
    edits: list[_Edit] = [
        (
            listings.GALLERY,
            lambda text: listings.with_picture(text, id_, family, module, function, maps=maps, baselines=baselines),
            f'a `Shown("{id_}", ...)` in the list of its family, or the reason why not in ABSENT',
        ),
        (listings.CATALOGUE, lambda text: listings.with_reference(text, id_, module, function, maps=maps), f'a `Reference("{id_}", ...)`'),
    ]
    return _edited(root, edits)


def _exports(root: Path, chain: Sequence[tuple[str, str]], function: str) -> tuple[list[Change], list[str]]:
    edits: list[_Edit] = [
        (
            f"{package.replace('.', '/')}/__init__.py",
            functools.partial(with_export, module=source, name=function),
            f"import `{function}` from `{source}` and list it in `__all__`",
        )
        for package, source in chain
    ]
    return _edited(root, edits)


_Edit = tuple[str, Callable[[str], str], str]
"""A file, how its text changes, and what its author is to do where that cannot be done."""


def _edited(root: Path, edits: Sequence[_Edit]) -> tuple[list[Change], list[str]]:
    changes, left = [], []
    for path, edited, what in edits:
        try:
            before = text_of(root / path)
            changes.append(Change(path, edited(before), before))
        except (UnreadableError, ExportError) as error:
            left.append(f"{path}: {what} ({error})")
    return changes, left


def _signature(family: str, function: str, *, baselines: bool) -> dict[str, str]:
    model, inputs, target, shown = _EXAMPLES[family]
    before, model = (f"    >>> model = {model}\n", "model") if len(model) > 70 else ("", model)
    call = f"{before}    >>> {function}({model}, {inputs}{target}){'' if shown else '.shape'}"
    size = {"local-surrogate": "[1, 2]", "influential-subset": "[1, 3]", "attention": "[1, 3]", _MAPS: "[1, 1, 2, 2]"}.get(family)
    maps, returns = family == _MAPS, {"attention": "Shape (batch, tokens).", _MAPS: "Shape (batch, 1, locations of the layer...)."}
    parameters = "    baselines : None, number or Tensor\n        b, broadcast to the inputs; None is zero.\n" if baselines else ""
    return {
        "signature": "    baselines: float | Tensor | None = None,\n" if baselines else "    layer: Layer,\n" if maps else "",
        "parameters": "    layer : Module or str\n        As for `cam`.\n" if maps else parameters,
        "imports": "from executable.methods.gradient_times_input.feature_maps import Layer\n" if maps else "",
        "returns": returns.get(family, "Shape of `inputs`."),
        "example": f"{call}\n    {shown or f'torch.Size({size})'}",
    }


def _cases(id_: str, function: str, family: str, access: str | None, baselines: bool) -> str:
    arguments = [f'"{id_}"', function]
    if family == "attention":
        arguments += ["rows=None", "images=None", "tokens={}"]
    elif family == _MAPS:
        arguments += ["None", '{"layer": "norm"}']
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
