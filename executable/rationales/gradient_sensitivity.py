"""Gradient sensitivity (survey Sec. III-A(1)): how strongly the output reacts to a small change of one variable."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target
from executable.forward import prepare


def finite_sensitivity(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    step: float = 1e-3,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    r"""Change of the output for a change of one variable by a step, in units of the step.

    s_i = [f(x + h e_i) - f(x)] / h,      whose limit for h -> 0 from both sides is df(x)/dx_i        (survey Sec. III-A(1))

    Nothing is differentiated, so that the limit of these numbers can be held against a gradient. The sign of the step is the side from which
    the limit is approached; the two sides differ where the model has a kink.

    Parameters
    ----------
    model, inputs, target, additional_forward_args, internal_batch_size
        As for `gradient`; the model need not be differentiable.
    step : float
        h, positive or negative.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError, ValueError
        As for `gradient`; also if the step is zero or not finite.

    References
    ----------
    Baehrens et al., How to explain individual classification decisions, 2010.

    Example
    -------
    >>> finite_sensitivity(lambda x: x[:, 0] ** 2 + x[:, 1], torch.tensor([[3.0, 1.0]]), step=1.0)
    tensor([[7., 1.]])
    """
    if step == 0 or not math.isfinite(step):
        raise ValueError(f"step must be a finite number other than zero, got {step!r}")
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    entries = x[0].numel()
    moves = step * torch.eye(entries, dtype=x.dtype, device=x.device).reshape(1, entries, *x.shape[1:])
    rows = (x.unsqueeze(1) + moves).flatten(0, 1)
    index = query.everywhere().repeat_interleave(entries)
    moved = query.values(rows, index, internal_batch_size).reshape(x.shape)
    still = query.values(x.clone(), query.everywhere(), internal_batch_size).reshape(-1, *[1] * (x.ndim - 1))
    return (moved - still) / step
