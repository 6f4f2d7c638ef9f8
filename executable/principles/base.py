"""What a property test is given and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from executable.arguments import Model, Target

Outcome = Literal["satisfies", "violates", "not applicable"]
Explainer = Callable[..., Tensor]
"""An attribution function as a test calls it: `explain(model, x, target=None, baselines=None)`, rows in, attributions of the same shape out."""


@dataclass(frozen=True)
class Finding:
    """What a property test found for one method."""

    principle: str
    """Id of the principle's or axiom's record."""
    reading: str
    """Which reading of the requirement was tested, in a few words; a requirement may be read in several ways."""
    outcome: Outcome
    statistic: float
    """The number that decided, `nan` where the test does not apply."""
    bound: float
    domain: str
    """The testbeds, in words."""
    trials: int
    why: str
    """One sentence: what broke it, or on what it was seen to hold, or why it does not apply."""
    counterexample: str = ""
    """A snippet with the smallest case found, with `explain` for the method; empty if none was needed."""


Principle = Callable[[Explainer], tuple[Finding, ...]]
"""A property test: all readings of one principle for one method."""


def adapted(function: Callable[..., Tensor]) -> Explainer:
    """The function as tests call it: `target` and `baselines` are handed on where the function takes them.

    A function that takes neither a baseline nor keyword arguments is called without one: its baseline is its own affair.
    """
    taken = inspect.signature(function).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values())

    def explain(model: Model, x: Tensor, target: Target = None, baselines: Any = None) -> Tensor:
        keywords: dict[str, Any] = {}
        if target is not None and (anything or "target" in taken):
            keywords["target"] = target
        if baselines is not None and (anything or "baselines" in taken):
            keywords["baselines"] = baselines
        return function(model, x, **keywords)

    return explain
