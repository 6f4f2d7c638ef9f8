"""Weights read off a function's numbers alone: how it shares the Taylor effect of a monomial, and how it weighs the coalitions of a game."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.auditing.answers import FIRST_DRAW, answer
from executable.auditing.battery import Formula, Multilinear, Setting, draws
from executable.auditing.subject import Subject, UnansweredError
from executable.coalitions import banzhaf_weights, coalition_sizes, membership, shapley_weights
from taxonomy.audit import WeightTable, rounded

Degrees = tuple[int, ...]
MONOMIALS: tuple[Degrees, ...] = (
    (1, 0, 0), (2, 0, 0), (3, 0, 0), (1, 1, 0), (2, 1, 0), (3, 1, 0), (2, 2, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1),
)  # fmt: skip
"""The degrees κ of the monomials (x - b)^κ put to the function."""
STEPS = ((1.5, 0.75, 2.0), (0.5, 1.25, -0.8))
"""x - b."""
FITS = 5e-3
PLAYERS = 3
GAMES = 14


def _support(degrees: Degrees) -> int:
    return sum(d > 0 for d in degrees)


LAWS: dict[str, Callable[[Degrees, int], float]] = {
    "κ_i / |κ| (integrated gradients)": lambda k, i: k[i] / sum(k),
    "1 / |S| for i in S (Shapley value)": lambda k, i: (k[i] > 0) / _support(k),
    "1 for i in S (leave one out)": lambda k, i: float(k[i] > 0),
    "2^(1 - |S|) for i in S (Banzhaf value)": lambda k, i: (k[i] > 0) * 2.0 ** (1 - _support(k)),
    "κ_i (gradient x input)": lambda k, i: float(k[i]),
    "1 if S = {i} (each feature alone)": lambda k, i: float(k[i] > 0 and _support(k) == 1),
    "1 if κ = e_i (first-order terms)": lambda k, i: float(k[i] == 1 and sum(k) == 1),
    "1 / N for all i (equal shares)": lambda k, i: 1 / len(k),
    "1 for the first i in S": lambda k, i: float(k[i] > 0 and not any(k[:i])),
    "1 for the last i in S": lambda k, i: float(k[i] > 0 and not any(k[i + 1 :])),
    "κ_i² / sum κ_j²": lambda k, i: k[i] ** 2 / sum(d * d for d in k),
    "0": lambda k, i: 0.0,
}
"""Known laws: the share of feature i in the effect with degrees κ; S is the set of features with κ_i > 0."""


@dataclass(frozen=True, eq=False)
class Allocation:
    """Shares of the Taylor effects, or why there are none."""

    table: WeightTable
    weights: Tensor | None = None
    """Shape (monomials, features)."""
    multiplied: bool = False
    """Whether the shares belong to a_i (x_i - b_i), as for a gradient."""
    spread: float = math.inf
    """Largest difference between the shares at two points: zero if there are shares at all."""

    @property
    def fits(self) -> bool:
        """Whether the numbers allocate Taylor effects."""
        return self.weights is not None and self.spread <= FITS


def asked(subject: Subject, setting: Setting, chance: float, count: int = 6) -> Tensor:
    """The attributions of one input, averaged over seeds if they depend on chance."""
    return answer(subject, setting, first=FIRST_DRAW if chance else 0, count=count if chance else 1).mean[0]


def _baseline(subject: Subject, *values: float) -> Tensor | None:
    return torch.tensor([values], dtype=torch.float64) if subject.takes_baselines else None


def taylor_allocation(subject: Subject, chance: float = 0.0) -> Allocation:
    """The shares a_i / I(κ) for f = (x - b)^κ, whose only Taylor effect at b is the function's value.

    They are shares only if the same at both points; if those of a_i are not, those of a_i (x_i - b_i) are tried.
    """
    b = _baseline(subject, 0.3, -0.2, 0.1)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    rows = []
    try:
        for degrees in MONOMIALS:
            shifted = _Shifted(degrees, zero if b is None else b)
            for steps in STEPS:
                step = torch.tensor([steps], dtype=torch.float64)
                x = step + (zero if b is None else b)
                found = asked(subject, Setting("monomials", shifted, x, None, b), chance)
                rows.append(torch.stack([found, found * step[0]]) / float(shifted(x)))
    except UnansweredError as error:
        return Allocation(WeightTable(title=f"Shares of Taylor effects: not tested ({error})"))
    shares = torch.stack(rows).reshape(len(MONOMIALS), len(STEPS), 2, 3)
    spreads = [float((shares[:, 0, k] - shares[:, 1, k]).abs().max()) for k in range(2)]
    allowed = max(FITS, 0.5 * chance)
    # Zero everywhere is zero times x - b as well.
    multiplied = spreads[1] <= allowed < spreads[0]
    spread = spreads[int(multiplied)]
    if spread > allowed:
        title = "Shares of Taylor effects: none, as the same monomial is shared differently at two points"
        return Allocation(WeightTable(title=title, error=rounded(spread)), spread=spread)
    return _allocation(shares[:, :, int(multiplied)].mean(dim=1), multiplied, spread if not chance else min(spread, FITS), allowed)


class _Shifted(Formula):
    """(x - b)^κ."""

    def __init__(self, degrees: Degrees, b: Tensor) -> None:
        super().__init__({degrees: 1.0})
        self.b = b
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        return super().forward(x - self.b if bool(self.b.any()) else x)


def _allocation(weights: Tensor, multiplied: bool, spread: float, allowed: float) -> Allocation:
    distances = {law: _distance(weights, share) for law, share in LAWS.items()}
    best = min(distances, key=lambda law: distances[law])
    known = distances[best] <= allowed
    rows = tuple((f"({', '.join(map(str, k))})", *(f"{float(w):.2f}" for w in row)) for k, row in zip(MONOMIALS, weights, strict=True))
    title = f"Shares of the Taylor effect of (x - b)^κ{' in a_i (x_i - b_i)' if multiplied else ''}"
    return Allocation(
        WeightTable(
            title=title, law=best if known else None, error=rounded(distances[best]) if known else None,
            columns=("κ", "feature 1", "feature 2", "feature 3"), rows=rows,
        ),
        weights, multiplied, spread,
    )  # fmt: skip


def _distance(weights: Tensor, share: Callable[[Degrees, int], float]) -> float:
    expected = torch.tensor([[share(k, i) for i in range(3)] for k in MONOMIALS], dtype=torch.float64)
    return float((weights - expected).abs().max())


@dataclass(frozen=True, eq=False)
class GameWeights:
    """Coefficients c with a_i = sum_S c_iS v(S), found from random games."""

    table: WeightTable
    residual: float = math.inf
    """Largest distance of a further game from what the coefficients say: zero if the numbers are linear in the game."""
    marginal: float = math.inf
    """Largest c_i(S + i) + c_i(S): zero if only marginal contributions count."""
    by_size: tuple[float, ...] | None = None
    """The weight of a marginal contribution by the size of the coalition joined, if it depends on nothing else."""


def coalition_weights(subject: Subject, chance: float = 0.0) -> GameWeights:
    """Solve for the weight of each coalition on multilinear functions with random games.

    A multilinear function is its game: f(x) = sum_S v(S) prod of z_i or 1 - z_i, z = (x - b) / (x0 - b0).
    """
    step = torch.tensor([[1.5, 0.75, 2.0]], dtype=torch.float64)
    b = _baseline(subject, 0.3, -0.2, 0.1)
    start = torch.zeros_like(step) if b is None else b
    games = draws(77, GAMES, 2**PLAYERS)
    try:
        found = torch.stack([
            asked(subject, Setting("games", Multilinear(v, start, step).eval(), start + step, None, b), chance) for v in games
        ])  # fmt: skip
    except UnansweredError as error:
        return GameWeights(WeightTable(title=f"Weights of coalitions: not tested ({error})"))
    fitted = 2**PLAYERS + 2
    solution = torch.linalg.lstsq(games[:fitted], found[:fitted], driver="gelsd").solution.T  # (players, coalitions)
    residual = float((games @ solution.T - found).abs().max() / found.abs().max().clamp(min=1e-9))
    allowed = max(FITS, chance)
    if residual > allowed:
        title = "Weights of coalitions: none, as the numbers are not linear in the game"
        return GameWeights(WeightTable(title=title, error=rounded(residual)), residual)
    return _by_size(solution, residual, allowed)


def _by_size(c: Tensor, residual: float, allowed: float) -> GameWeights:
    every = torch.arange(2**PLAYERS)
    sizes = coalition_sizes(PLAYERS)
    inside = membership(every, PLAYERS)
    weights: list[list[float]] = [[] for _ in range(PLAYERS)]
    marginal = 0.0
    for i in range(PLAYERS):
        for s in every[~inside[:, i]].tolist():
            gained, lost = float(c[i, s | 1 << i]), float(c[i, s])
            marginal = max(marginal, abs(gained + lost))
            weights[int(sizes[s])].append((gained - lost) / 2)
    means = [sum(group) / len(group) for group in weights]
    spread = max(max(group) - min(group) for group in weights)
    if marginal > allowed or spread > allowed:
        kind = "sums over coalitions that are no marginal contributions" if marginal > allowed else "by coalition, not by size alone"
        return GameWeights(_full_table(c, kind), residual, marginal)
    distances = {law: max(abs(p - q) for p, q in zip(means, known, strict=True)) for law, known in _SIZE_LAWS.items()}
    best = min(distances, key=lambda law: distances[law])
    known = distances[best] <= allowed
    table = WeightTable(
        title="Weights of marginal contributions by size of the coalition joined", law=best if known else None,
        error=rounded(distances[best]) if known else None, columns=tuple(f"|S| = {s}" for s in range(PLAYERS)),
        rows=(tuple(f"{p:.3f}" for p in means),),
    )  # fmt: skip
    return GameWeights(table, residual, marginal, tuple(means))


def _full_table(c: Tensor, kind: str) -> WeightTable:
    names = ["{" + ", ".join(str(i + 1) for i in range(PLAYERS) if s >> i & 1) + "}" for s in range(2**PLAYERS)]
    rows = tuple((f"feature {i + 1}", *(f"{float(w):.2f}" for w in row)) for i, row in enumerate(c))
    return WeightTable(title=f"Weights of v(S): {kind}", columns=("", *names), rows=rows)


def _listed(values: Tensor | Sequence[float]) -> list[float]:
    return [float(value) for value in values]


_SIZE_LAWS: dict[str, list[float]] = {
    "Shapley value": _listed(shapley_weights(PLAYERS)),
    "Banzhaf value": _listed(banzhaf_weights(PLAYERS)),
    "leave one out": [0.0] * (PLAYERS - 1) + [1.0],
    "each feature alone": [1.0] + [0.0] * (PLAYERS - 1),
    "none": [0.0] * PLAYERS,
}
