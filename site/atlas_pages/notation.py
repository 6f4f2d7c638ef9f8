"""Notation that needs no explanation in each record: what everybody writes, and what a page explains by itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from taxonomy.records.method import Symbol
from taxonomy.text import formulas_of, to_mathml

STANDARD = {
    "𝔼": (r"\mathbb{E}", "expectation, over what stands below it or beside it"),
    "𝒩": (r"\mathcal{N}(\mu,\sigma^{2})", "normal distribution with that mean and that variance"),
    "∇": (r"\nabla", "gradient, the vector of partial derivatives"),
    "cov": (r"\operatorname{cov}", "covariance"),
    "Cov": (r"\operatorname{Cov}", "covariance"),
    "var": (r"\operatorname{var}", "variance"),
    "Var": (r"\operatorname{Var}", "variance"),
    "softmax": (r"\operatorname{softmax}", "exponentials, divided by their sum"),
    "∅": (r"\emptyset", "the empty set: no feature is known"),
    "𝟏": (r"\mathbf{1}[\cdot]", "1 where the condition holds, 0 elsewhere"),
}
"""Signs that a page explains where they occur and the record does not."""
ELEMENTARY = frozenset({"d", "∂", "e", "T", "𝖳", "⊤", "max", "min", "mean", "arg", "log", "exp", "ln", "ℝ", "…", "⋯"})
"""Signs that every reader of calculus knows: differentials, transposition, the number e, elementary functions."""
_IDENTIFIER = re.compile(r"<mi[^>]*>([^<]*)</mi>|<mo[^>]*>([A-Za-z]{2,})</mo>")
_INDEX = re.compile(r"\\(?:sum|prod|bigcup|bigcap)_\{?\s*([a-zA-Z])(?![a-zA-Z])")
_SELECTORS = re.compile("[\ufe00-\ufe0f]")


@functools.cache
def identifiers(latex: str) -> tuple[str, ...]:
    """The identifiers of a formula in order, each once: letters and names, without accents.

    >>> identifiers("a_i = f(x)")
    ('a', 'i', 'f', 'x')
    """
    found = (_SELECTORS.sub("", letter or name) for letter, name in _IDENTIFIER.findall(to_mathml(latex, display=False)))
    return tuple(dict.fromkeys(found))


def unexplained(latex: str, symbols: Sequence[Symbol]) -> list[str]:
    """The identifiers of a formula which the record's symbols, with the formulas in their meanings, do not explain.

    What a sum or union runs over says what its index is.
    """
    known = {name for symbol in symbols for name in identifiers(symbol.symbol)}
    known |= {name for symbol in symbols for part, _ in formulas_of(symbol.meaning) for name in identifiers(part)}
    known |= set(_INDEX.findall(latex)) | ELEMENTARY
    return [name for name in identifiers(latex) if name not in known]


def explained(latex: str, symbols: Sequence[Symbol]) -> list[Symbol]:
    """The record's symbols, followed by the standard signs of the formula that are not among them."""
    sentences = bool(symbols) and symbols[0].meaning[:1].isupper()
    signs = [STANDARD[name] for name in unexplained(latex, symbols) if name in STANDARD]
    added = ((sign, f"{meaning[0].upper()}{meaning[1:]}." if sentences else meaning) for sign, meaning in signs)
    return [*symbols, *(Symbol(symbol=sign, meaning=meaning) for sign, meaning in added)]
