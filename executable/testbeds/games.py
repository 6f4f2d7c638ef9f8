"""Games: set functions as tables, and models whose game at the all-ones input and zero baseline is a given table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn


class GameModel(nn.Module):
    """A model on {0, 1}^n (or one-hot flags) that looks its value up in the table: v(S) for the set S of its non-zero features."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        """Value of the set of features that are not zero."""
        powers = 2 ** torch.arange(x.shape[1])
        return self.table[((x != 0) * powers).sum(dim=1)]


def random_game(players: int, generator: torch.Generator) -> Tensor:
    """Independent normal values, v of the empty set included."""
    return torch.randn(2**players, generator=generator, dtype=torch.float64)


def or_game(players: int) -> Tensor:
    """1 for every coalition but the empty one."""
    values = torch.ones(2**players, dtype=torch.float64)
    values[0] = 0
    return values


def and_game(players: int) -> Tensor:
    """1 for the whole set only."""
    values = torch.zeros(2**players, dtype=torch.float64)
    values[-1] = 1
    return values


def voting_game(votes: Sequence[int], quota: int) -> Tensor:
    """1 for coalitions whose votes reach the quota."""
    sums = [sum(v for i, v in enumerate(votes) if s >> i & 1) for s in range(2 ** len(votes))]
    return torch.tensor([float(total >= quota) for total in sums], dtype=torch.float64)


def value_by_orders(values: Sequence[Fraction] | Sequence[float]) -> list[Fraction]:
    """The Shapley value by its definition: the mean marginal contribution over all n! orders of arrival, in exact arithmetic.

    >>> value_by_orders([0, 0, 0, 1])
    [Fraction(1, 2), Fraction(1, 2)]
    """
    players = len(values).bit_length() - 1
    exact = [Fraction(value) for value in values]
    total = [Fraction(0)] * players
    for order in itertools.permutations(range(players)):
        coalition = 0
        for player in order:
            total[player] += exact[coalition | 1 << player] - exact[coalition]
            coalition |= 1 << player
    return [t / math.factorial(players) for t in total]
