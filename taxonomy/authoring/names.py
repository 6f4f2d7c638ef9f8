"""Ids, file names and function names made from what a person types, and what is refused as one."""

from __future__ import annotations

import keyword
import re
import unicodedata

from taxonomy.loading import RESERVED, file_shown
from taxonomy.records.base import SLUG

MOST = 80
"""Longest id, as the schema has it."""
MOST_OF_FUNCTION = 40
"""Longest name of a function or module: the lines that use it have to fit."""
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta", "λ": "lambda",
    "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ω": "omega", "×": " times ", "&": " and ", "+": " plus ",
    "ß": "ss", "ø": "o", "æ": "ae", "ł": "l",
}  # fmt: skip


def slug(name: str) -> str:
    """The id that a name suggests: `Grad×Input (new)` gives `grad-times-input-new`; empty if nothing of it can be kept."""
    lowered = "".join(_GREEK.get(letter, letter) for letter in name.casefold())
    plain = unicodedata.normalize("NFKD", lowered).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MOST].strip("-")


def faulty_id(id_: str) -> str | None:
    """Why `id_` cannot be an id, or None if it can.

    Only the letters a to z, digits and single hyphens are allowed, so that an id can neither leave its folder nor look like another one.
    """
    strange = sorted({letter for letter in id_ if ord(letter) > 127})
    if strange:
        told = ", ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}" for letter in strange[:3])
        return f"an id has the letters a to z, digits and hyphens only; this one has {told}"
    if not re.fullmatch(SLUG, id_) or id_ != id_.strip():
        return f"`{file_shown(id_)}` is no id: lower-case letters a to z, digits and single hyphens"
    if len(id_) > MOST:
        return f"an id has at most {MOST} characters; this one has {len(id_)}"
    if id_ in RESERVED:
        return f"id `{id_}` is reserved for another file or page; choose another with --id"
    return None


def function_name(id_: str) -> str:
    """The Python name that goes with an id: `grad-times-input` gives `grad_times_input`."""
    name = id_.replace("-", "_")
    if name[0].isdigit():
        name = f"method_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def faulty_function(name: str) -> str | None:
    """Why `name` cannot name a function or a module of the package, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        return f"`{file_shown(name)}` is no name for a function: lower-case letters a to z, digits and underscores, and no Python keyword"
    if len(name) > MOST_OF_FUNCTION:
        return f"`{name}` is long for a name in Python; choose one of at most {MOST_OF_FUNCTION} characters with --function and --module"
    return None
