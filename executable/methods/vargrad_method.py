"""VarGrad: how much the gradient varies over noisy copies of the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target, check_positive
from executable.forward import prepare
from executable.methods.modified_gradient import gradients_of_copies, noise_width, running_dtype


def vargrad(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    n_samples: int = 50,
    stdevs: float | Tensor | None = None,
    noise_level: float | None = None,
    seed: int = 0,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> Tensor:
    """VarGrad: the variance of the gradient over copies of the input to which normal noise was added.

    a_i = 1/m sum_k [df(x + ε_k) / dx_i - g_i]²,    g_i = 1/m sum_k df(x + ε_k) / dx_i,    ε_k ~ N(0, σ² I)

    The sum is divided by m, as the definition of a variance has it, which for finite m is low by the factor (m - 1) / m on average. Mean and
    squares are kept running (Chan, Golub and LeVeque, 1983), so the memory needed does not grow with `n_samples` and nothing cancels where the
    gradient is large and varies little. The draws are those of `smoothgrad`.

    Parameters
    ----------
    model, inputs, target, stdevs, noise_level, seed, additional_forward_args, internal_batch_size, show_progress
        As for `smoothgrad`.
    n_samples : int
        m; the relative error falls as 1 / sqrt(m). One draw gives zero.

    Returns
    -------
    Tensor
        Shape of `inputs`; never negative.

    Raises
    ------
    TypeError, ValueError
        As for `smoothgrad`.

    References
    ----------
    Adebayo et al., Local explanation methods for deep neural networks lack sensitivity to parameter values, 2018.

    Example
    -------
    >>> vargrad(lambda x: 3 * x[:, 0] - x[:, 1], torch.tensor([[1.0, 5.0]]))
    tensor([[0., 0.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    check_positive("n_samples", n_samples or 0)
    sigma = noise_width(x, stdevs, noise_level)
    mean = torch.zeros_like(x, dtype=running_dtype(x))
    squares, seen = torch.zeros_like(mean), 0
    for gradients in gradients_of_copies(query, x, sigma, n_samples, seed, internal_batch_size, show_progress=show_progress):
        found = gradients.to(mean.dtype)
        centre, count = found.mean(dim=0), found.shape[0]
        apart = centre - mean
        squares += (found - centre).square().sum(dim=0) + apart.square() * (seen * count / (seen + count))
        mean += apart * (count / (seen + count))
        seen += count
    return (squares / n_samples).to(x.dtype)
