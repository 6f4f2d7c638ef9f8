"""Causal attribution (survey Eq. 21): the effect of setting a variable, in a causal model that says what an intervention does to the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Baselines, Model, Target
from executable.forward import prepare

Population = tuple[Tensor, Tensor]
"""Points, shape (rows, variables), and their probabilities, shape (rows,)."""
Law = Callable[[int, float], Population]
"""`law(i, value)`: the distribution of all variables after do(x_i = value)."""


def undisturbed(points: Tensor, probabilities: Tensor | None = None) -> Law:
    """The law of interventions on variables that cause none of the others: these keep their distribution p(x without i).

    `points` are rows of the undisturbed distribution, equally likely if no probabilities are given; one row is one fixed context, and the effect
    the individual one.
    """
    chances = torch.full((points.shape[0],), 1 / points.shape[0], dtype=points.dtype) if probabilities is None else probabilities

    def after(i: int, value: float) -> Population:
        rows = points.clone()
        rows[:, i] = value
        return rows, chances

    return after


def hybrids(inputs: Tensor, baselines: Tensor, chances: Tensor) -> Population:
    """All mixtures of one input and one baseline: row S takes the variables in S from the input, the others from the baseline.

    `chances` are the probabilities of the sets S in the order of their binary numbers, shape (2**n,); both points have shape (n,).
    """
    n = inputs.shape[0]
    taken = (torch.arange(2**n).unsqueeze(1) >> torch.arange(n)) & 1 == 1
    return torch.where(taken, inputs, baselines), chances.to(inputs)


def causal_effects(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    law: Law,
    baselines: Baselines = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    r"""The effect on the output of setting each variable by itself, in a causal model of the variables.

    a_i = E[f(x) | do(x_i = alpha)] - E[f(x) | do(x_i = b_i)]                                  (survey Eq. 21)
        = int [f(x | x_i = alpha) - f(x | x_i = b_i)] p(x without i) dx                        for the law `undisturbed`

    Parameters
    ----------
    model, inputs, target, baselines, additional_forward_args, internal_batch_size
        As for `average_causal_effect`, inputs of shape (batch, variables); they enter by the values alpha = x_i alone. Additional arguments
        follow the inputs.
    law : callable
        `law(i, value)` gives points and probabilities of the distribution after the intervention; `undisturbed(points)` makes one.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError, ValueError
        As for `occlusion_1`; also if the inputs are no rows of variables or the probabilities do not add up to one.

    References
    ----------
    Chattopadhyay et al., Neural network attributions: a causal perspective, 2019.

    Example
    -------
    >>> causal_effects(lambda x: x[:, 0] * x[:, 1], torch.tensor([[2.0, 5.0]]), law=undisturbed(torch.tensor([[0.0, 1.0], [0.0, 3.0]])))
    tensor([[4., 0.]])
    """
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=False, internal_batch_size=internal_batch_size)
    if x.ndim != 2:
        raise ValueError(f"causal effects are those of variables in rows, (batch, variables), got inputs of shape {tuple(x.shape)}")

    def mean(row: int, i: int, value: float) -> Tensor:
        points, chances = law(i, value)
        if abs(float(chances.sum()) - 1) > 1e-6:
            raise ValueError(f"the probabilities after an intervention on variable {i} add up to {float(chances.sum()):g}, not to one")
        found = query.values(points.to(x), torch.full((points.shape[0],), row, device=x.device), internal_batch_size)
        return (found * chances.to(found)).sum()

    effects = [[mean(r, i, float(x[r, i])) - mean(r, i, float(b[r, i])) for i in range(x.shape[1])] for r in range(x.shape[0])]
    return torch.stack([torch.stack(row) for row in effects])
