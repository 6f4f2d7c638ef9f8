"""How a property test asks an attribution function: always in the same way, with a refusal where it does not answer."""

from __future__ import annotations

import torch
from torch import Tensor

from executable.arguments import Model
from executable.principles.base import Explainer, Finding


class RefusedError(Exception):
    """The function raised an error, or returned something that is not one finite number per input entry."""


def ask(explain: Explainer, model: Model, x: Tensor, baselines: Tensor | None = None) -> Tensor:
    """Attributions for a model with one output, by a zero baseline unless another is given and with the same random numbers at every call.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.
    model
        Maps rows, shape (m, ...), to one number each, shape (m,) or (m, 1).
    x
        Inputs, shape (m, ...).
    baselines
        Baseline, of a shape that broadcasts to `x`; zero if None.

    Returns
    -------
    Tensor
        Attributions of the shape of `x`.

    Raises
    ------
    RefusedError
        If the function raises any error, or its answer has another shape or a number that is not finite.
    """
    zero = torch.zeros_like(x[:1]) if baselines is None else baselines
    with torch.no_grad():
        target = 0 if model(x[:1]).ndim == 2 else None  # a column of one output has a class to name, for functions that insist on one
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            found = explain(model, x.clone(), target, zero)
        except Exception as error:  # whatever stops a function that is not ours, the test goes on elsewhere
            lines = str(error).strip().splitlines()
            raise RefusedError(f"{type(error).__name__}: {lines[0] if lines else ''}") from error
    if not isinstance(found, Tensor) or found.shape != x.shape:
        raise RefusedError(f"the answer is no tensor of the shape {tuple(x.shape)} of the input")
    found = found.detach().to(x)
    if not bool(torch.isfinite(found).all()):
        raise RefusedError("the answer has entries that are not finite")
    return found


def not_applicable(principle: str, reading: str, bound: float, domain: str, reason: str) -> Finding:
    """The finding for a method that answered on none of the testbeds."""
    why = f"The method answers on none of the testbeds; the first refusal reads: {reason}"
    return Finding(principle, reading, "not applicable", float("nan"), bound, domain, 0, why)


def shown(snippet: str, explain: Explainer) -> str:
    """The snippet if its assertions hold for the function, else nothing: a fault found on larger testbeds need not show on the smallest case."""
    try:
        exec(compile(snippet, "counterexample", "exec"), {"explain": explain})  # one of the texts of these tests
    except Exception:  # a refusal or an assertion: either way this case shows nothing
        return ""
    return snippet


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two attributions; 0 if one of them is zero."""
    a, b = a.flatten(), b.flatten()
    return float(a @ b / (a.norm() * b.norm()).clamp(min=1e-300))


def share(found: float, null: float) -> float:
    """How far a cosine has come from the value for unrelated maps towards one.

    >>> share(0.8, 0.6), share(1.0, 1.0)
    (0.5, 1.0)
    """
    return 1.0 if null > 1 - 1e-12 else round((found - null) / (1 - null), 12)
