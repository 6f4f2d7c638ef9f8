"""Quadrature on [0, 1]: the nodes and weights by which path methods replace their integral."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

Rule = tuple[Tensor, Tensor]
_NEWTON_STEPS = 6


def gauss_legendre(steps: int) -> Rule:
    """Exact for polynomials of degree up to 2 * steps - 1. Newton's method on the Legendre polynomial: quadratic, not cubic, in the steps."""
    count = torch.arange(steps, 0, -1, dtype=torch.float64)
    nodes = torch.cos(torch.pi * (count - 0.25) / (steps + 0.5))
    for _ in range(_NEWTON_STEPS):
        before, value = _legendre(steps, nodes)
        nodes = nodes - value * (1 - nodes**2) / (steps * (before - nodes * value))
    before, _ = _legendre(steps, nodes)
    weights = (1 - nodes**2) / (steps * before) ** 2
    return (nodes + 1) / 2, weights / weights.sum()


def _legendre(degree: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """P_{n-1}(x) and P_n(x), by the three-term recurrence."""
    before, value = torch.ones_like(x), x.clone()
    for k in range(2, degree + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return before, value


def riemann_left(steps: int) -> Rule:
    """Nodes 0, 1/m, ..., (m-1)/m."""
    return torch.arange(steps, dtype=torch.float64) / steps, _equal(steps)


def riemann_right(steps: int) -> Rule:
    """Nodes 1/m, 2/m, ..., 1."""
    return torch.arange(1, steps + 1, dtype=torch.float64) / steps, _equal(steps)


def riemann_midpoint(steps: int) -> Rule:
    """Nodes 1/2m, 3/2m, ..., (2m-1)/2m: exact for straight lines."""
    return (torch.arange(steps, dtype=torch.float64) + 0.5) / steps, _equal(steps)


def riemann_trapezoid(steps: int) -> Rule:
    """Nodes 0, 1/(m-1), ..., 1, the ends with half weight; one node is the left end alone."""
    if steps == 1:
        return riemann_left(1)
    weights = torch.full((steps,), 1 / (steps - 1), dtype=torch.float64)
    weights[0] /= 2
    weights[-1] /= 2
    return torch.linspace(0, 1, steps, dtype=torch.float64), weights


def _equal(steps: int) -> Tensor:
    return torch.full((steps,), 1 / steps, dtype=torch.float64)


RULES: dict[str, Callable[[int], Rule]] = {
    rule.__name__: rule for rule in (gauss_legendre, riemann_left, riemann_right, riemann_midpoint, riemann_trapezoid)
}


def quadrature(method: str, n_steps: int) -> Rule:
    """Nodes and weights (float64, shape (n_steps,)) of the named rule; the weights sum to one.

    Raises
    ------
    ValueError
        If the rule is unknown or `n_steps` is below one.

    >>> nodes, weights = quadrature("riemann_midpoint", 2)
    >>> nodes.tolist(), weights.tolist()
    ([0.25, 0.75], [0.5, 0.5])
    """
    if method not in RULES:
        raise ValueError(f"unknown quadrature `{method}`; choose one of {', '.join(RULES)}")
    if isinstance(n_steps, bool) or not isinstance(n_steps, int) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}")
    return _computed(method, n_steps)


@functools.lru_cache(maxsize=64)
def _computed(method: str, n_steps: int) -> Rule:
    return RULES[method](n_steps)
