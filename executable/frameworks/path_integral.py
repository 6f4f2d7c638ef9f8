"""Path integral family (survey Eq. 12): gradients accumulated along a path from the baseline to the input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from executable.arguments import Baselines, Model, Target
from executable.forward import Query, prepare
from executable.quadrature import quadrature


class Path(Protocol):
    """A piecewise smooth path: piece p of `pieces`, at local time t in [0, 1], is at b + position (x - b), feature by feature."""

    @property
    def pieces(self) -> int:
        """Number of smooth pieces, each integrated by itself."""
        ...

    def position(self, piece: int, t: Tensor, features: int) -> Tensor:
        """Fraction of the way that each feature has gone, shape (times, features)."""
        ...

    def velocity(self, piece: int, t: Tensor, features: int) -> Tensor:
        """Its derivative in t."""
        ...


@dataclass(frozen=True)
class Powers:
    """γ_i(t) = b_i + t**p_i (x_i - b_i); all powers one is the straight line."""

    powers: tuple[float, ...] = (1.0,)
    pieces: int = 1

    def position(self, piece: int, t: Tensor, features: int) -> Tensor:
        """t**p."""
        return t.unsqueeze(1) ** torch.tensor(self.powers, dtype=t.dtype, device=t.device).expand(features)

    def velocity(self, piece: int, t: Tensor, features: int) -> Tensor:
        """Derivative p t**(p - 1)."""
        powers = torch.tensor(self.powers, dtype=t.dtype, device=t.device).expand(features)
        return powers * t.unsqueeze(1) ** (powers - 1)


@dataclass(frozen=True)
class Lattice:
    """Along the edges of the box from b to x: the features move one after the other, in `order`."""

    order: tuple[int, ...]

    @property
    def pieces(self) -> int:
        """One per feature."""
        return len(self.order)

    def position(self, piece: int, t: Tensor, features: int) -> Tensor:
        """One for features that have arrived, t for the one that moves, zero for those that wait."""
        done = torch.zeros(features).to(t)
        done[list(self.order[:piece])] = 1
        place = done.expand(t.shape[0], features).clone()
        place[:, self.order[piece]] = t
        return place

    def velocity(self, piece: int, t: Tensor, features: int) -> Tensor:
        """One for the feature that moves."""
        speed = torch.zeros(t.shape[0], features).to(t)
        speed[:, self.order[piece]] = 1
        return speed


STRAIGHT = Powers()


def all_lattice_paths(features: int) -> list[Lattice]:
    """The n! paths along the edges, one per order of the features."""
    return [Lattice(order) for order in itertools.permutations(range(features))]


def path_integral(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    path: Path | Sequence[Path] = STRAIGHT,
    baselines: Baselines = None,
    n_steps: int = 50,
    method: str = "gauss_legendre",
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """The integral of the gradient along a path; for several paths their mean.

    a_i = int_0^1  df(γ(t)) / dγ_i(t)  dγ_i(t)/dt  dt                         (survey Eq. 12)

    Parameters
    ----------
    model, inputs, target, baselines, additional_forward_args, internal_batch_size
        As for `integrated_gradients`.
    path : Path or sequence of paths
        γ: `STRAIGHT`, `Powers(...)`, `Lattice(order)`; `all_lattice_paths(n)` for the mean over all orders.
    n_steps, method
        Quadrature on each smooth piece of a path.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError, ValueError
        As for `integrated_gradients`; also if a sequence of paths is empty.

    References
    ----------
    Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, 2017.

    Example
    -------
    >>> path_integral(lambda x: x[:, 0] * x[:, 1], torch.tensor([[2.0, 3.0]]), path=Lattice((0, 1)), n_steps=1)
    tensor([[0., 6.]])
    """
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    paths = list(path) if isinstance(path, Sequence) else [path]
    if not paths:
        raise ValueError("path is an empty sequence; give at least one path")
    nodes, weights = (part.to(device=x.device, dtype=x.dtype) for part in quadrature(method, n_steps))
    total = torch.zeros_like(x)
    for each in paths:
        for piece in range(each.pieces):
            total += _piece(query, x, b, each, piece, nodes, weights, internal_batch_size)
    mean: Tensor = total / len(paths)
    return mean


def _piece(query: Query, x: Tensor, b: Tensor, path: Path, piece: int, nodes: Tensor, weights: Tensor, limit: int | None) -> Tensor:
    features = x[0].numel()
    shape = (nodes.shape[0], 1, *x.shape[1:])
    at = path.position(piece, nodes, features).reshape(shape)
    speed = path.velocity(piece, nodes, features).reshape(shape) * (x - b)
    points = b + at * (x - b)
    index = query.everywhere().repeat(nodes.shape[0])
    gradients = query.gradients(points.flatten(0, 1), index, limit).reshape(points.shape)
    integral: Tensor = torch.tensordot(weights, gradients * speed, dims=1)
    return integral
