"""Taylor decomposition (survey Eq. 17): the change of the output as one linear term for each variable, and what the terms leave over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from executable.arguments import Baselines, Model, Target
from executable.forward import prepare

POINTS = ("input", "baseline")


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """f(x) - f(b) = sum of the terms + remainder."""

    terms: Tensor
    """a_i, shape of the inputs."""
    change: Tensor
    """f(x) - f(b), shape (batch,)."""
    remainder: Tensor
    """What the terms leave of the change, shape (batch,): -ε1 for the expansion at the input, ε1 for that at the baseline."""


def first_order_terms(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    baselines: Baselines = None,
    at: str = "input",
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> FirstOrder:
    r"""The linear terms of the model's expansion between an input and a baseline.

    f(b) = f(x) + sum_i df(x)/dx_i (b_i - x_i) + ε1,      a_i = df(x)/dx_i (x_i - b_i)                 (survey Eq. 17)

    With `at="baseline"` the derivative is taken there instead, as in the Taylor paper: f(x) = f(b) + sum_i df(b)/dx_i (x_i - b_i) + ε1.

    Parameters
    ----------
    model, inputs, target, baselines, additional_forward_args, internal_batch_size
        As for `integrated_gradients`.
    at : {"input", "baseline"}
        The point of expansion.

    Returns
    -------
    FirstOrder

    Raises
    ------
    TypeError, ValueError
        As for `integrated_gradients`; also if `at` is neither of the two.

    References
    ----------
    Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition, 2017.

    Example
    -------
    >>> import torch
    >>> found = first_order_terms(lambda x: x[:, 0] ** 2 + x[:, 1], torch.tensor([[3.0, 1.0]]))
    >>> found.terms, found.change, found.remainder
    (tensor([[18.,  1.]]), tensor([10.]), tensor([-9.]))
    """
    if at not in POINTS:
        raise ValueError(f"at must be one of {', '.join(POINTS)}, got {at!r}")
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    every = query.everywhere()
    terms = query.gradients(x if at == "input" else b, every, internal_batch_size) * (x - b)
    change = query.values(x.clone(), every, internal_batch_size) - query.values(b.clone(), every, internal_batch_size)
    return FirstOrder(terms, change, change - terms.flatten(1).sum(dim=1))
