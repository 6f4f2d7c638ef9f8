"""Attributions computed from the effects of first and second order alone, with the weights that the Taylor paper's theorems give each method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Effects:
    """The terms of f's expansion around b up to order two, at x = b + step; every field has a row for each input."""

    first: Tensor
    """df/dx_i (b) (x_i - b_i), shape (batch, n)."""
    second: Tensor
    """d2f/dx_i dx_j (b) (x_i - b_i) (x_j - b_j), shape (batch, n, n): I(κ) of each pair, and twice that of each square."""

    @property
    def alone(self) -> Tensor:
        """Independent effects: the terms of x_i alone, shape (batch, n)."""
        return self.first + self.second.diagonal(dim1=1, dim2=2) / 2

    @property
    def pairs(self) -> Tensor:
        """Interactions of two different variables, symmetric with an empty diagonal, shape (batch, n, n)."""
        return self.second - torch.diag_embed(self.second.diagonal(dim1=1, dim2=2))


def effects(model: nn.Module, inputs: Tensor, baselines: Tensor, target: Tensor) -> Effects:
    """The effects of the logit of each input's target, by automatic differentiation at the baselines.

    Parameters
    ----------
    model : nn.Module
        (batch, ...) to (batch, classes), twice differentiable.
    inputs, baselines : Tensor
        Shape (batch, ...).
    target : Tensor
        Class of each input.
    """

    def logit(flat: Tensor, index: Tensor) -> Tensor:
        return model(flat.reshape(1, *inputs.shape[1:]))[0].gather(0, index.reshape(1))[0]  # type: ignore[no-any-return]

    b, step = baselines.flatten(1), (inputs - baselines).flatten(1)
    slope = torch.func.vmap(torch.func.grad(logit))(b, target)
    # Reverse over reverse: `torch.func.hessian` goes forward, for which torch compiles rules with its deprecated script compiler.
    curvature = torch.func.vmap(torch.func.jacrev(torch.func.grad(logit)))(b, target)
    return Effects(slope * step, curvature * step.unsqueeze(1) * step.unsqueeze(2))


def occlusion(found: Effects) -> Tensor:
    """Theorem 3: the independent effects of x_i and the whole of every interaction in which it takes part."""
    return found.alone + found.pairs.sum(dim=2)


def patches(found: Effects, groups: Tensor) -> Tensor:
    """Theorem 4: each pixel of a patch has the independent effects of all its pixels and every interaction that touches the patch.

    `groups` numbers the patch of each pixel, shape (n,).
    """
    inside = torch.nn.functional.one_hot(groups).to(found.first)
    within = torch.einsum("bij,ip,jp->bp", found.pairs, inside, inside)
    touching = torch.einsum("bij,ip->bp", found.pairs, inside)  # a pair inside the patch is counted from both of its ends
    return (found.alone @ inside + touching - within / 2)[:, groups]


def shared(found: Effects) -> Tensor:
    """Theorems 7 and 9: half of each interaction to each of its two variables, by degrees as by numbers."""
    return found.alone + found.pairs.sum(dim=2) / 2


def averaged(weigh: Callable[[Effects], Tensor], model: nn.Module, inputs: Tensor, baselines: Tensor, target: Tensor) -> Tensor:
    """Theorems 5 and 8: the mean over baselines, shape (baselines, batch, ...), of what `weigh` gives for each."""
    return torch.stack([weigh(effects(model, inputs, b, target)) for b in baselines]).mean(dim=0)
