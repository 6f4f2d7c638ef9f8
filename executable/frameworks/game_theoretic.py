"""Game-theoretic family (survey Eq. 11): weighted marginal contributions whose weights are fixed by axioms."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor

from executable.arguments import Baselines, Model, Target
from executable.methods.perturbation import weighted_marginal_contributions

Sharing = Literal["efficiency", "two-efficiency"]


def weighted_coalition_game(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    weights: Callable[[int], Tensor],
    baselines: Baselines = None,
    feature_mask: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    r"""The value of the game v(S) = F(x_S) with the weights that a set of axioms leaves possible.

    a_i = sum_{S subset of N\{i}} w_S^A [F(x_{S+i}) - F(x_S)]                 (survey Eq. 11)

    The attribution depends on the model through the 2**n numbers F(x_S) only, and the weights on n only.

    Parameters
    ----------
    model, inputs, target, baselines, feature_mask, additional_forward_args, internal_batch_size
        As for `shapley_value`.
    weights : callable
        Weights by coalition size for n players, e.g. `weights_under("efficiency")`: the Shapley value.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError, ValueError
        As for `shapley_value`.

    Example
    -------
    >>> weighted_coalition_game(lambda x: x.prod(dim=1), torch.tensor([[2.0, 3.0]]), weights=weights_under("efficiency"))
    tensor([[3., 3.]])
    """
    return weighted_marginal_contributions(
        model,
        inputs,
        target,
        weights=weights,
        baselines=baselines,
        feature_mask=feature_mask,
        additional_forward_args=additional_forward_args,
        internal_batch_size=internal_batch_size,
    )


def axiomatic_weights(players: int, sharing: Sharing) -> list[Fraction]:
    """The only weights by coalition size that linearity, dummy and symmetry leave under one more axiom, solved exactly.

    Linearity and symmetry make the attribution a sum of marginal contributions with weights p_s by size; dummy normalises them,
    sum_s C(n-1, s) p_s = 1. Efficiency asks that v(S) cancel in the total for every S other than N and the empty set:
    s p_{s-1} = (n - s) p_s. Two-efficiency asks that v(T + i) and v(T + j) cancel in a_i + a_j: p_t = p_{t+1}.

    >>> axiomatic_weights(3, "efficiency")
    [Fraction(1, 3), Fraction(1, 6), Fraction(1, 3)]
    """
    weights = [Fraction(1)]
    for size in range(1, players):
        weights.append(weights[-1] * (Fraction(size, players - size) if sharing == "efficiency" else 1))
    total = sum((math.comb(players - 1, size) * weight for size, weight in enumerate(weights)), Fraction(0))
    return [weight / total for weight in weights]


def weights_under(sharing: Sharing) -> Callable[[int], Tensor]:
    """`axiomatic_weights` as a function of the number of players, for `weighted_coalition_game`."""
    return lambda players: torch.tensor([float(weight) for weight in axiomatic_weights(players, sharing)], dtype=torch.float64)
