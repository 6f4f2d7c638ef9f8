"""Feature additive family (survey Eq. 9): attributions are the coefficients of a linear surrogate on presence indicators."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Baselines, Model, Target, group_index
from executable.coalitions import coalition_sizes, game_of, membership, spread
from executable.forward import prepare


@dataclass(frozen=True)
class LinearSurrogate:
    """g(z) = w_0 + sum_i w_i z_i with z_i = 1 if feature i is present, and how far g(1) is from f(x)."""

    intercept: Tensor
    """w_0, shape (batch,)."""
    coefficients: Tensor
    """w_i, which are the attributions, in the shape of the inputs."""
    gap: Tensor
    """g(1, ..., 1) - f(x), shape (batch,): zero exactly if local accuracy holds."""


def feature_additive(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    kernel: Callable[[int], Tensor],
    baselines: Baselines = None,
    feature_mask: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> LinearSurrogate:
    """The additive surrogate fitted to all coalitions by weighted least squares.

    f(x_S) ~ g(z) = w_0 + sum_i w_i z_i,    a_i = w_i                         (survey Eq. 9)

    The printed equation alone says nothing: every vector is the coefficients of some g. What a method claims is which g, so the fit is a
    parameter here.

    Parameters
    ----------
    model, inputs, target, baselines, feature_mask, additional_forward_args, internal_batch_size
        As for `shapley_value`.
    kernel : callable
        `kernel(n)` gives the weight of each coalition's squared error, shape (2**n,). Weights of the empty and the full coalition may be
        infinite: there g has to equal f. `shapley_kernel` gives the Shapley value, `uniform_kernel` the Banzhaf value.

    Returns
    -------
    LinearSurrogate

    Raises
    ------
    TypeError, ValueError
        As for `shapley_value`.

    References
    ----------
    Lundberg and Lee, A unified approach to interpreting model predictions, 2017.

    Example
    -------
    >>> feature_additive(lambda x: x.prod(dim=1), torch.tensor([[2.0, 3.0]]), kernel=shapley_kernel).coefficients
    tensor([[3., 3.]])
    """
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=False, internal_batch_size=internal_batch_size)
    groups = group_index(feature_mask, x)
    game = game_of(query, x, b, groups, internal_batch_size)
    intercept, weights = fit_additive(game, kernel(int(groups.max()) + 1))
    return LinearSurrogate(intercept, spread(weights, groups), intercept + weights.sum(1) - game[:, -1])


def fit_additive(game: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Intercept (batch,) and coefficients (batch, n) of the weighted least squares fit to a game of shape (batch, 2**n)."""
    players = game.shape[1].bit_length() - 1
    values = game.double().cpu()  # a small dense system, solved by a driver that only the CPU has
    present = membership(torch.arange(2**players), players).double()
    kernel = kernel.cpu()
    ends = torch.isinf(kernel)
    finite = kernel.double().masked_fill(ends, 0).sqrt().unsqueeze(1)
    if not bool(ends.any()):
        design = torch.cat([torch.ones(2**players, 1, dtype=torch.float64), present], dim=1)
        solution = torch.linalg.lstsq(finite * design, finite * values.T, driver="gelsd").solution
        return solution[0].to(game), solution[1:].T.to(game)
    if ends.nonzero().flatten().tolist() != [0, 2**players - 1]:
        raise ValueError("the kernel may be infinite at the empty and the full coalition only, and then at both")
    empty, change = values[:, :1], values[:, -1:] - values[:, :1]
    rest = values - empty - change * present[:, -1]
    free = torch.linalg.lstsq(finite * (present[:, :-1] - present[:, -1:]), finite * rest.T, driver="gelsd").solution.T
    return empty[:, 0].to(game), torch.cat([free, change - free.sum(1, keepdim=True)], dim=1).to(game)


def shapley_kernel(players: int) -> Tensor:
    """(n - 1) / (C(n, |S|) |S| (n - |S|)), infinite for S empty and S = N."""
    sizes = coalition_sizes(players).tolist()
    inner = [math.inf if s in (0, players) else (players - 1) / (math.comb(players, s) * s * (players - s)) for s in sizes]
    return torch.tensor(inner, dtype=torch.float64)


def uniform_kernel(players: int) -> Tensor:
    """The same weight for every coalition."""
    return torch.ones(2**players, dtype=torch.float64)
