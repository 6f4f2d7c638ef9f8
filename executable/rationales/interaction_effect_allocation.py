"""Interaction effect allocation (survey Eq. 19): independent and interaction effects of an input, and the share of each that a variable gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target, group_index
from executable.coalitions import coalition_values, spread
from executable.interactions.harsanyi import moebius
from executable.interactions.indices import index_of_dividends
from executable.removal import Absent

Share = Callable[[int], Fraction]
"""Part of the effect of a set that each of its members receives, by the number of members."""


@dataclass(frozen=True, eq=False)
class AllocatedEffects:
    """What each variable receives, by kind of effect, in the shape of the inputs."""

    independent: Tensor
    """φ(i), times the share of a set of one."""
    interaction: Tensor
    """The sum over the sets S with |S| > 1 that hold i of their I(S), times the share."""
    effects: Tensor
    """I(S) of all sets, shape (batch, 2**n); bit i of S is set if player i is a member. The empty set has F of no variable."""

    @property
    def attributions(self) -> Tensor:
        """a_i."""
        return self.independent + self.interaction


def whole(size: int) -> Fraction:
    """1: every member receives all of the effect (Occlusion-1)."""
    return Fraction(1)


def equal(size: int) -> Fraction:
    """1/|S| (Shapley value)."""
    return Fraction(1, size)


def halves(size: int) -> Fraction:
    """2**(1 - |S|) (Banzhaf value)."""
    return Fraction(1, 2 ** (size - 1))


def allocate_interactions(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    share: Share,
    baselines: Absent = None,
    feature_mask: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> AllocatedEffects:
    r"""Decompose the output into effects of sets of variables, and hand each effect to the members of its set.

    a_i = φ(i) + sum_{S, |S|>1, S∋i} share(|S|) I(S)                          (survey Eq. 19; share 1 in Occlusion-1, 1/|S| in the Shapley value)

    The effects are Harsanyi dividends, which exist for every model; where the Taylor series converges they are the sums of its terms in exactly
    the variables of S.

    Parameters
    ----------
    model, inputs, target, baselines, feature_mask, additional_forward_args, internal_batch_size
        As for `shapley_value`.
    share : callable
        `share(size)`: here `whole`, `equal` and `halves`.

    Returns
    -------
    AllocatedEffects

    Raises
    ------
    TypeError, ValueError
        As for `shapley_value`.

    References
    ----------
    Deng et al., Unifying fourteen post-hoc attribution methods with Taylor interactions, 2024.

    Example
    -------
    >>> found = allocate_interactions(lambda x: x[:, 0] + 4 * x[:, 0] * x[:, 1], torch.ones(1, 2), share=equal)
    >>> found.independent, found.interaction, found.effects
    (tensor([[1., 0.]]), tensor([[2., 2.]]), tensor([[0., 1., 0., 4.]]))
    """
    game = coalition_values(
        model,
        inputs,
        target,
        baselines=baselines,
        feature_mask=feature_mask,
        additional_forward_args=additional_forward_args,
        internal_batch_size=internal_batch_size,
    )
    groups = group_index(feature_mask, inputs)
    effects = moebius(game)
    players = game.shape[1].bit_length() - 1
    singles = torch.cat([torch.zeros(1, dtype=torch.long), 1 << torch.arange(players)]).to(game.device)

    def received(weight: Callable[[int], Fraction]) -> Tensor:
        return spread(index_of_dividends(effects, lambda _, size: weight(size), singles), groups)

    alone = received(lambda size: share(1) if size == 1 else Fraction(0))
    jointly = received(lambda size: share(size) if size > 1 else Fraction(0))
    return AllocatedEffects(alone, jointly, effects)
