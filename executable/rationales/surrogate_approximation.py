"""Surrogate approximation (survey Eq. 20): the model of a readable class that comes nearest to the network around an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target
from executable.forward import prepare


@dataclass(frozen=True, eq=False)
class BestSurrogate:
    """g = sum_k c_k (column k), nearest to f among all such sums."""

    coefficients: Tensor
    """c, shape (columns,), in double precision."""
    values: Tensor
    """g at the points, shape (points,)."""
    residuals: Tensor
    """f - g at the points, shape (points,)."""
    loss: float
    """Weighted sum of the squared residuals over the points with finite weights."""

    @property
    def distance(self) -> float:
        """Largest |f - g| at the points: how good the approximation g ~ f is."""
        return float(self.residuals.abs().max())


def best_surrogate(
    model: Model,
    points: Tensor,
    target: Target = None,
    *,
    columns: Tensor,
    weights: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> BestSurrogate:
    r"""The nearest surrogate of a linear class in a neighbourhood given by points and weights.

    g* = argmin_g  sum_k π_k [f(x_k) - g(x_k)]^2,      g ~ f  =>  a^g ~ a^f                   (survey Eq. 20)

    Parameters
    ----------
    model, target, additional_forward_args, internal_batch_size
        As for `occlusion_1`, for the points.
    points : Tensor, shape (points, ...)
        x_k, the neighbourhood.
    columns : Tensor, shape (points, columns)
        The class: g is any combination of these functions, given by their values at the points; a column of ones is an intercept.
    weights : Tensor, shape (points,), optional
        π, not negative; equal if left out. Where it is infinite g has to equal f.

    Returns
    -------
    BestSurrogate
        Of several minimisers the one with the smallest coefficients.

    Raises
    ------
    TypeError, ValueError
        As for `occlusion_1`; also if columns or weights do not fit the points, a weight is negative, or no member of the class equals f where it
        has to.

    References
    ----------
    Ribeiro, Singh and Guestrin, "Why should I trust you?" Explaining the predictions of any classifier, 2016.

    Example
    -------
    >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> found = best_surrogate(lambda x: x[:, 0] * x[:, 1], points, columns=torch.cat([torch.ones(4, 1), points], dim=1))
    >>> found.coefficients, round(found.distance, 9)
    (tensor([-0.2500,  0.5000,  0.5000], dtype=torch.float64), 0.25)
    """
    query, x, _ = prepare(model, points, target, None, additional_forward_args, differentiable=False, internal_batch_size=internal_batch_size)
    count = x.shape[0]
    pi = torch.ones(count, dtype=torch.float64) if weights is None else weights.double().cpu()
    if columns.ndim != 2 or columns.shape[0] != count or pi.shape != (count,) or not bool((pi >= 0).all()):
        raise ValueError(f"{count} points need columns of shape ({count}, k) and as many weights, none of them negative")
    y, design, fixed = query.values(x.clone(), query.everywhere(), internal_batch_size).double().cpu(), columns.double().cpu(), pi.isinf()
    start, free = _meeting(design[fixed], y[fixed])
    root = pi[~fixed].sqrt().unsqueeze(1)
    moved = torch.linalg.lstsq(root * (design[~fixed] @ free), root[:, 0] * (y[~fixed] - design[~fixed] @ start), driver="gelsd").solution
    coefficients = start + free @ moved
    values = design @ coefficients
    residuals = y - values
    return BestSurrogate(coefficients, values, residuals, float((pi[~fixed] * residuals[~fixed].square()).sum()))


def _meeting(design: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients with which g equals y, and a basis of the directions along which it stays so."""
    if not len(y):
        return torch.zeros(design.shape[1], dtype=torch.float64), torch.eye(design.shape[1], dtype=torch.float64)
    start = torch.linalg.lstsq(design, y, driver="gelsd").solution
    if float((design @ start - y).abs().max()) > 1e-8 * max(1.0, float(y.abs().max())):
        raise ValueError("no surrogate of the class equals the model at all points of infinite weight")
    _, sizes, directions = torch.linalg.svd(design, full_matrices=True)
    rank = int((sizes > 1e-12 * sizes.max()).sum())
    return start, directions[rank:].T
