"""The two lists in the code that hold every method: the pictures of the gallery, and the known methods of the audit. One entry is added to each.

The files are read as text and not run: `atlas check` and `atlas new` need no torch.
"""

from __future__ import annotations

import ast
import re

from taxonomy.authoring.exports import WIDTH, ExportError, with_import
from taxonomy.authoring.files import tree_of

GALLERY = "executable/gallery_methods.py"
CATALOGUE = "executable/auditing/catalogue.py"
_SETS = "What it returns belongs to sets of features."
_NETWORK = "It needs a network of its own."
UNAUDITED = {
    "banzhaf-interaction-index": _SETS, "faith-shap": _SETS, "harsanyi-dividend": _SETS, "integrated-directional-gradients": _SETS,
    "integrated-hessians": _SETS, "necessity-and-sufficiency": _SETS, "shapley-interaction-index": _SETS, "shapley-taylor-index": _SETS,
    "sparse-concept-interactions": _SETS, "taylor-interaction-effect": _SETS, "cxplain": _NETWORK, "daam": _NETWORK, "l2x": _NETWORK,
    "real-time-image-saliency": _NETWORK, "vit-shapley": _NETWORK,
    "internal-neuron-attribution": "What it returns belongs to the units of a layer.", "sage": "It explains a model on many inputs, not one output.",
}  # fmt: skip
"""Why the other methods with a function have no entry in the catalogue."""
_SHOWN = re.compile(r'Shown\(\s*"([a-z0-9-]+)"')
_LAST_REFERENCE = re.compile(r"^        \)\n    \},\n\}\n", re.MULTILINE)


def pictured(gallery: str) -> frozenset[str]:
    """Ids for which the gallery has a call, or in `ABSENT` the reason why it has none.

    Raises
    ------
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    found = set(_SHOWN.findall(gallery))
    for node in tree_of(gallery).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and _name(node) == "ABSENT":
            found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return frozenset(found)


def audited(catalogue: str) -> frozenset[str]:
    """Ids of the methods that the audit compares a function with.

    Raises
    ------
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    found: set[object] = set()
    for node in ast.walk(tree_of(catalogue)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reference":
            found |= {item.value for item in node.args[:1] if isinstance(item, ast.Constant)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and getattr(node.target, "id", "") == "_PLAIN":
            found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return frozenset(str(id_) for id_ in found)


def list_of(gallery: str, family: str) -> int | None:
    """The line where the family's list of pictures begins, or None if it has none.

    Raises
    ------
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    return next((node.lineno for node in tree_of(gallery).body if isinstance(node, ast.Assign) and _name(node) == _listed(family)), None)


def with_picture(gallery: str, id_: str, family: str, module: str, function: str, *, maps: bool = False, baselines: bool = False) -> str:
    """The gallery's module with an entry for the method, with the function's defaults, at the end of its family's list.

    Raises
    ------
    ExportError
        If there is an entry already, or the family has no list of the usual form.
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    if id_ in pictured(gallery):
        raise ExportError(f"`{id_}` is there already")
    name, text = _callable(gallery, module, function)
    node = next((n for n in tree_of(text).body if isinstance(n, ast.Assign) and _name(n) == _listed(family)), None)
    lines = text.splitlines(keepends=True)
    if node is None or node.end_lineno is None or not lines[node.end_lineno - 1].startswith("]"):
        raise ExportError(f"it has no list `{_listed(family)}` to put a picture in")
    settings = "feature maps: {maps}" if maps else "baseline: {zero}" if baselines else "defaults"
    call = f"lambda s: _cam(s, {name})" if maps else f"lambda s: {name}(*s.call)"
    entry = f'    Shown("{id_}", "{settings}", {call}),\n'
    if len(entry) > WIDTH + 1:
        entry = f'    Shown(\n        "{id_}", "{settings}",\n        {call},\n    ),\n'
    lines.insert(node.end_lineno - 1, entry)
    return "".join(lines)


def with_reference(catalogue: str, id_: str, module: str, function: str, *, maps: bool = False) -> str:
    """The audit's catalogue with the method, called with its defaults, as its last entry.

    Raises
    ------
    ExportError
        If there is an entry already, or the list has not the usual form.
    taxonomy.authoring.files.UnreadableError
        If the text is not valid Python.
    """
    if id_ in audited(catalogue):
        raise ExportError(f"`{id_}` is there already")
    name, text = _callable(catalogue, module, function)
    if len(places := list(_LAST_REFERENCE.finditer(text))) != 1:
        raise ExportError("the list of REFERENCES has not the form that can be edited safely")
    given = f'"{id_}", _maps({name}), "maps after the second convolution\'s ReLU, enlarged linearly"' if maps else f'"{id_}", {name}'
    entry = f"            Reference({given}),\n"
    if len(entry) > WIDTH + 1:
        entry = f"            Reference(\n                {given}\n            ),\n"
    return text[: places[0].start()] + entry + text[places[0].start() :]


def _callable(text: str, module: str, function: str) -> tuple[str, str]:
    """How the file calls the function of a module, and the file, with an import where it needed one."""
    package = module.rpartition(".")[0]
    for node in tree_of(text).body:
        if isinstance(node, ast.ImportFrom) and node.module == package.rpartition(".")[0]:
            for alias in node.names:
                if alias.name == package.rpartition(".")[2]:
                    return f"{alias.asname or alias.name}.{function}", text
    return function, with_import(text, module, function)


def _listed(family: str) -> str:
    return family.upper().replace("-", "_")


def _name(node: ast.Assign) -> str:
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""
