"""Owen value: the Shapley value of players who come in groups given beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target, group_index
from executable.coalitions import MAX_PLAYERS, coalition_sizes, game_of, shapley_weights, spread, weighted_contributions
from executable.forward import Query, prepare
from executable.removal import Absent, Removal, as_removal

Unions = Sequence[Sequence[int]]
"""Groups of players; each player is in one."""


def owen_value(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    unions: Unions,
    baselines: Absent = None,
    feature_mask: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    r"""Owen value, exactly: the mean marginal contribution of a feature over the orders in which every union arrives without interruption.

    a_i = sum_{H subset of M\{k}} sum_{S subset of B_k\{i}} w(|H|, m) w(|S|, |B_k|) [F(x_{Q+S+i}) - F(x_{Q+S})]
    with i in B_k, Q the members of the unions in H, and w(s, n) = s! (n - s - 1)! / n!

    The survey's Eq. 4 with weights that depend on which unions a coalition is made of. A union costs 2**(m + |B_k| - 1) evaluations at most, m the
    number of unions, so that many more features can be explained exactly than by the Shapley value: 64 in eight unions of eight.

    Parameters
    ----------
    model, inputs, target, baselines, feature_mask, additional_forward_args, internal_batch_size
        As for `shapley_value`.
    unions : sequence of sequences of int
        B_1, ..., B_m. The numbers are positions of the players (features, or groups of `feature_mask` in increasing order). Unions of one player,
        or one union of all, give the Shapley value, the former at m times its cost.

    Returns
    -------
    Tensor
        Shape of `inputs`; over the players the attributions add up to f(x) - f(b), and over a union to the Shapley value that it has as one player.

    Raises
    ------
    TypeError, ValueError
        As for `shapley_value`; also if the unions do not hold every player once, or the coalitions of one are too many to enumerate.

    References
    ----------
    Owen, Values of games with a priori unions, 1977.

    Example
    -------
    >>> owen_value(lambda x: x.amax(dim=1), torch.ones(1, 3), unions=[[0, 1], [2]])
    tensor([[0.2500, 0.2500, 0.5000]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=False, internal_batch_size=internal_batch_size)
    removal, groups = as_removal(baselines, x), group_index(feature_mask, x)
    members = _unions_of(unions, int(groups.max()) + 1)
    found = [_within(query, x, removal, groups, members, k, internal_batch_size) for k in range(len(members))]
    place = torch.tensor([player for union in members for player in union]).argsort()
    return spread(torch.cat(found, dim=1)[:, place.to(x.device)], groups)


def _unions_of(unions: Unions, players: int) -> list[list[int]]:
    """The unions, each player in one of them."""
    if not isinstance(unions, Sequence) or isinstance(unions, str) or not all(isinstance(u, Sequence) and not isinstance(u, str) for u in unions):
        raise TypeError(f"unions must be a sequence of sequences of player numbers, got {unions!r}")
    members = [list(union) for union in unions]
    if any(isinstance(player, bool) or not isinstance(player, int) for union in members for player in union):
        raise TypeError(f"unions must hold player numbers, got {unions!r}")
    if sorted(player for union in members for player in union) != list(range(players)) or not all(members):
        raise ValueError(f"unions must hold each of the {players} players, numbered 0 to {players - 1}, once and none empty; got {members}")
    return members


def _within(query: Query, x: Tensor, removal: Removal, groups: Tensor, members: list[list[int]], k: int, limit: int | None) -> Tensor:
    """Owen values of the members of union k, shape (batch, |B_k|)."""
    own, others = members[k], [union for j, union in enumerate(members) if j != k]
    if len(own) + len(others) > MAX_PLAYERS:
        raise ValueError(
            f"a union of {len(own)} beside {len(others)} others makes 2**{len(own) + len(others)} coalitions, more than this exact method "
            f"enumerates (2**{MAX_PLAYERS}); give smaller or fewer unions, or group features with feature_mask"
        )
    # The other unions come whole or not at all: each is one player.
    number = torch.empty(sum(map(len, members)), dtype=torch.long)
    number[own] = torch.arange(len(own))
    for place, union in enumerate(others, start=len(own)):
        number[union] = place
    values = game_of(query, x, removal, number.to(groups.device)[groups], limit).reshape(len(x), 2 ** len(others), 2 ** len(own))
    outer = shapley_weights(len(members)).to(values)[coalition_sizes(len(others)).to(values.device)]
    # The game in which a part of the union takes the place of the whole among the other unions; its Shapley values are the Owen values.
    substituted = torch.einsum("bhs,h->bs", values - values[:, :, :1], outer)
    return weighted_contributions(substituted, shapley_weights(len(own)))
