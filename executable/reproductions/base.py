"""What reproductions are made of: the registry, and tables, curves and pictures from tensors, rounded so that machines agree on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from executable.checks.base import at_least, at_most, breaks, keeps, number, stable, versions
from taxonomy.reproduction import Chart, Grid, Reproduction, ResultTable, Series

__all__ = [
    "REPRODUCTIONS", "Chart", "Grid", "Reproduce", "Reproduction", "ResultTable", "Series", "at_least", "at_most", "breaks", "curve", "keeps",
    "matrix", "number", "picture", "rank_correlation", "reproduces", "rounded", "script_of", "short", "stable", "table", "versions",
]  # fmt: skip

Reproduce = Callable[[], Reproduction]

REPRODUCTIONS: dict[str, Reproduce] = {}
"""Study id to the function that reruns the study; filled by `@reproduces` when the modules of this package are imported."""


def reproduces(study: str) -> Callable[[Reproduce], Reproduce]:
    """Register the function that reruns a study.

    The function takes no argument, seeds itself and returns a `Reproduction` whose `study` is this id. It runs with one thread; the caller's
    random state is put back afterwards. Its code is every module of `executable` that its module imports, directly or not.

    Raises
    ------
    ValueError
        If another function has been registered for the study.
    """

    def register(function: Reproduce) -> Reproduce:
        known = REPRODUCTIONS.setdefault(study, function)
        if script_of(known) != script_of(function):
            raise ValueError(f"`{study}` is rerun by {script_of(known)} and by {script_of(function)}; one study has one script")
        REPRODUCTIONS[study] = function
        return function

    return register


def script_of(function: Reproduce) -> str:
    """`module:function`, the `script` of a reproduction."""
    return f"{function.__module__}:{function.__qualname__}"


def short(value: float, digits: int = 4) -> float:
    """A number for readers.

    >>> short(0.123456), short(1e-17)
    (0.1235, 1e-17)
    """
    return float(f"{value:.{digits}g}")


def rounded(values: Tensor | Iterable[float], digits: int = 4) -> tuple[float, ...]:
    """Numbers for readers, as a tuple.

    >>> rounded(torch.tensor([0.123456, 2.0], dtype=torch.float64))
    (0.1235, 2.0)
    """
    numbers = values.detach().flatten().tolist() if isinstance(values, Tensor) else values
    return tuple(short(float(value), digits) for value in numbers)


def curve(
    name: str,
    x: Tensor | Iterable[float],
    y: Tensor | Iterable[float],
    *,
    method: str | None = None,
    low: Tensor | Iterable[float] = (),
    high: Tensor | Iterable[float] = (),
) -> Series:
    """A curve, its numbers rounded; `low` and `high` are its band."""
    return Series(name=name, method=method, x=rounded(x), y=rounded(y), low=rounded(low), high=rounded(high))


def matrix(values: Tensor, digits: int = 3) -> tuple[tuple[float, ...], ...]:
    """A picture as rows of numbers: the last two axes of `values`, all others of length one. What is too faint to be seen becomes zero.

    >>> matrix(torch.tensor([[1.0, 1e-6], [0.5, -1.0]]))
    ((1.0, 0.0), (0.5, -1.0))
    """
    flat = values.detach().reshape(values.shape[-2:])
    seen = torch.where(flat.abs() < 1e-3 * flat.abs().max(), torch.zeros_like(flat), flat)
    return tuple(rounded(row, digits) for row in seen)


def picture(values: Tensor | None) -> tuple[tuple[float, ...], ...] | None:
    """A cell of a grid: a picture, or None where none applies."""
    return None if values is None else matrix(values)


def table(id: str, title: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[str | float | None]], digits: int = 3) -> ResultTable:
    """A table whose numbers are rounded."""
    cells = tuple(tuple(short(cell, digits) if isinstance(cell, float) else cell for cell in row) for row in rows)
    return ResultTable(id=id, title=title, caption=caption, columns=tuple(columns), rows=cells)


def rank_correlation(left: Tensor, right: Tensor) -> float:
    """Spearman's rank correlation of two vectors: Pearson's of their ranks, tied values sharing the mean of their ranks. NaN if one is constant.

    >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0]))
    1.0
    """
    ranks = torch.stack([_ranks(left), _ranks(right)])
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    spread = centred.square().sum(dim=1).prod().sqrt()
    return float(centred.prod(dim=0).sum() / spread)


def _ranks(values: Tensor) -> Tensor:
    """Rank of each entry, from one; entries that are equal have the mean of the ranks they take up."""
    flat = values.detach().double().flatten()
    below = (flat.unsqueeze(0) < flat.unsqueeze(1)).sum(dim=1)
    equal = (flat.unsqueeze(0) == flat.unsqueeze(1)).sum(dim=1)
    return below + (equal.double() + 1) / 2
