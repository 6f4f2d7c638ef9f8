"""Information theory (survey Eq. 22): what the values of some variables tell of the outcome, from a table of how often each case occurs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

Point = tuple[int, ...]


@dataclass(frozen=True)
class JointTable:
    """How often each input, a tuple of whole numbers, occurs with each label; counts are whole numbers."""

    counts: Mapping[tuple[Point, int], int]

    @property
    def features(self) -> int:
        """Number of variables."""
        return len(next(iter(self.counts))[0])

    def share(self, fixed: Mapping[int, int], label: int | None = None) -> Fraction:
        """Probability that the features named take the values given, and the label too if there is one."""
        total = sum(self.counts.values())
        hits = sum(c for (x, y), c in self.counts.items() if all(x[i] == v for i, v in fixed.items()) and label in (None, y))
        return Fraction(hits, total)

    def given(self, label: int, fixed: Mapping[int, int]) -> Fraction:
        """p(label | features)."""
        return self.share(fixed, label) / self.share(fixed)

    def rows(self) -> tuple[Tensor, Tensor]:
        """The distribution as a data set in which every case is repeated as often as it occurs: inputs and labels."""
        cases = [case for case, count in self.counts.items() for _ in range(count)]
        return torch.tensor([x for x, _ in cases], dtype=torch.float64), torch.tensor([y for _, y in cases])


@dataclass(frozen=True)
class SubsetInformation:
    """What each set of variables tells; the sets in the order of their binary numbers, shape (2**n,)."""

    probability: Tensor
    """p(y | x_S), in double precision."""
    pointwise: Tensor
    """Pointwise mutual information log p(y | x_S) / p(y), in nats; -inf where the label is impossible."""


def subsets(features: int) -> list[tuple[int, ...]]:
    """All sets of features, in the order of their binary numbers.

    >>> subsets(2)
    [(), (0,), (1,), (0, 1)]
    """
    return [tuple(i for i in range(features) if s >> i & 1) for s in range(2**features)]


def subset_information(table: JointTable, x: Sequence[int], y: int) -> SubsetInformation:
    r"""What the values of every set of variables tell of the label of one case.

    μ(F(x_S)) = F(x_S):        a -> p(y | X_S = x_S)
    μ(F(x_S)) = -L(F(x_S), y): a -> MI(y, x_S) = log p(y | x_S) / p(y)                         (survey Eq. 22)

    Parameters
    ----------
    table : JointTable
        The distribution of inputs and labels.
    x : sequence of int
        An input that occurs.
    y : int
        The label.

    Returns
    -------
    SubsetInformation

    Raises
    ------
    ValueError
        If the input or the label does not occur in the table.

    References
    ----------
    Covert, Lundberg and Lee, Explaining by removing: a unified framework for model explanation, 2021.

    Example
    -------
    >>> copy = JointTable({((0,), 0): 1, ((1,), 1): 1})
    >>> subset_information(copy, (1,), 1).probability
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    if len(x) != table.features or not table.share(dict(enumerate(x))) or not table.share({}, y):
        raise ValueError(f"the input {tuple(x)} or the label {y} does not occur in the table")
    found = [table.given(y, {i: x[i] for i in s}) for s in subsets(table.features)]
    probability = torch.tensor([float(p) for p in found], dtype=torch.float64)
    ratios = [p / found[0] for p in found]
    return SubsetInformation(probability, torch.tensor([math.log(r) if r else -math.inf for r in ratios], dtype=torch.float64))


def conditional_information(table: JointTable, i: int, known: Sequence[int]) -> float:
    """I(Y; X_i | X_S) in nats, from the definition.

    >>> round(conditional_information(JointTable({((0, 0), 0): 1, ((1, 1), 1): 1}), 0, ()), 4)
    0.6931
    """
    total = 0.0
    for (x, y), count in table.counts.items():
        if count:
            inside = {j: x[j] for j in known}
            total += float(table.share(dict(enumerate(x)), y)) * math.log(table.given(y, {**inside, i: x[i]}) / table.given(y, inside))
    return total


def weighted_information(table: JointTable) -> Tensor:
    """The mean of I(Y; X_i | X_S) over the sets S of other variables with the weights of the Shapley value, shape (1, n)."""
    n, values = table.features, []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        known = [s for size in range(n) for s in itertools.combinations(others, size)]
        values.append(math.fsum(conditional_information(table, i, s) / (n * math.comb(n - 1, len(s))) for s in known))
    return torch.tensor([values], dtype=torch.float64)
