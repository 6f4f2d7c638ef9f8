"""Functions with few and known Taylor terms, on which the allocation principles are tested.

All inputs are positive and every baseline is zero, so that methods which know no baseline, or want inputs that are not negative, can take part.
Every function is zero at the baseline; methods that hand down the output and those that hand down its change then speak of the same number.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from executable.testbeds.polynomials import Degrees, Polynomial, degree_vectors

Forward = Callable[[Tensor], Tensor]
TINY = 1e-9
"""Distance from the baseline of a feature that is all but absent."""
_IMPORT = "from executable.principles.allocation_testbeds import"


class Function(nn.Module):
    """A plain function as a module: (batch, n) to (batch,)."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        return self._forward(x)


@dataclass(frozen=True, eq=False)
class Bed:
    """A function at an input, and what about it is known beforehand."""

    name: str
    """As it stands after "for"."""
    model: nn.Module
    x: Tensor
    code: str
    """An expression for the model, with the names of this module."""
    absent: tuple[int, ...] = ()
    """Features that occur in no term, or only in terms that vanish with `TINY`."""

    @property
    def effect(self) -> float:
        """f(x) - f(0)."""
        with torch.no_grad():
            return float(self.model(self.x) - self.model(torch.zeros_like(self.x)))

    @property
    def point(self) -> list[float]:
        """The input as plain numbers."""
        return [float(value) for value in self.x[0]]

    def setup(self) -> str:
        """Lines that define `model` and `x`."""
        return f"import torch\n{_IMPORT} {self.code.split('(')[0]}\nmodel = {self.code}\nx = torch.tensor([{self.point}], dtype=torch.float64)"


def listed(generate: Callable[[], Iterable[Bed]]) -> Callable[[], tuple[Bed, ...]]:
    """The testbeds as a tuple that is made once, so that a method's scores on them can be kept."""

    @functools.cache
    @functools.wraps(generate)
    def kept() -> tuple[Bed, ...]:
        return tuple(generate())

    return kept


def row(*values: float) -> Tensor:
    """One input as a float64 batch."""
    return torch.tensor([values], dtype=torch.float64)


def neuron(weights: Sequence[float], power: int, bias: float = 0.0) -> nn.Module:
    """(w·x + s)**k - s**k: one neuron with a power as its activation, less its value at the baseline."""
    matrix, offset = row(*weights), torch.tensor([bias], dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        z = nn.functional.linear(x, matrix, offset)[:, 0]
        return (z**power if power > 1 else z) - bias**power

    return Function(forward)


def two_layers(first: Sequence[Sequence[float]], second: Sequence[float], power: int = 2) -> nn.Module:
    """(v·h)**k with hidden units h = (W x)**2, no biases."""
    matrix, top = torch.tensor([list(line) for line in first], dtype=torch.float64), row(*second)
    return Function(lambda x: nn.functional.linear(nn.functional.linear(x, matrix).square(), top)[:, 0] ** power)


def polynomial(terms: Mapping[Degrees, int]) -> nn.Module:
    """A polynomial by its degree vectors and coefficients."""
    return Polynomial({degrees: Fraction(c) for degrees, c in terms.items()}).module()


def expanded_at(point: Sequence[int], degrees: Degrees) -> nn.Module:
    """The product of (x_i - p_i)**κ_i over the variables, less its value at zero: the one term κ of an expansion at the point p."""
    start = [Fraction(0)] * len(point)
    moved = Polynomial({degrees: Fraction(1)}).around([Fraction(-p) for p in point])
    value = moved(start)
    return Polynomial({**moved.terms, (0,) * len(point): moved.terms.get((0,) * len(point), Fraction(0)) - value}).module()


def two_implementations(name: str, *, extra: int = 0) -> nn.Module:
    """The first of two networks of one function of (x1, x2), less the second, plus x3: as a function it is x3 alone.

    `name` is one of `IMPLEMENTATIONS`; with `extra` 1 or 2 only that network is returned.
    """
    first, second = IMPLEMENTATIONS[name][1:]
    if extra:
        return Function((first, second)[extra - 1])
    # One linear layer on top: a rule that hands relevance down by shares would lose it in a difference that is zero.
    return Function(lambda x: nn.functional.linear(torch.stack([first(x), second(x), x[:, 2]], dim=1), row(1.0, -1.0, 1.0))[:, 0])


def _linear(x: Tensor, *weights: float) -> Tensor:
    return nn.functional.linear(x, row(*weights, *(0.0,) * (x.shape[1] - len(weights))))


def _nested_squares(x: Tensor) -> Tensor:
    return (_linear(x, 1, 1).square() + _linear(x, 1))[:, 0].square()


def _sum_of_powers(x: Tensor) -> Tensor:
    p, m, u, v = _linear(x, 1, 1), _linear(x, 1, -1), _linear(x, 1), _linear(x, 0, 1)
    return (p**4 + p**3 - m**3 / 3 + u**3 * (4 / 3) - v**3 * (4 / 3) + u.square())[:, 0]


def _cube_in_two_steps(x: Tensor) -> Tensor:
    return nn.functional.linear(_linear(x, 2, -1), row(1.0))[:, 0] ** 3


def _cube(x: Tensor) -> Tensor:
    return _linear(x, 2, -1)[:, 0] ** 3


def _rectified_in_two_steps(x: Tensor) -> Tensor:
    return torch.relu(nn.functional.linear(_linear(x, 2, -1), row(1.0)))[:, 0]


def _rectified(x: Tensor) -> Tensor:
    return torch.relu(_linear(x, 2, -1))[:, 0]


def _outer_threshold(x: Tensor) -> Tensor:
    return torch.relu(_linear(x, 1) - 1 - torch.relu(_linear(x, 0, 1)))[:, 0]


def _inner_threshold(x: Tensor) -> Tensor:
    return torch.relu(torch.relu(_linear(x, 1) - 1) - torch.relu(_linear(x, 0, 1)))[:, 0]


IMPLEMENTATIONS: dict[str, tuple[str, Forward, Forward]] = {
    "cubes": ("(2 x_1 - x_2)^3", _cube_in_two_steps, _cube),
    "squares": ("((x_1 + x_2)^2 + x_1)^2", _nested_squares, _sum_of_powers),
    "rectifiers": ("\\operatorname{relu}(2 x_1 - x_2)", _rectified_in_two_steps, _rectified),
    "thresholds": ("\\operatorname{relu}(x_1 - 1 - \\operatorname{relu}(x_2))", _outer_threshold, _inner_threshold),
}
"""Name: the function, and two networks that compute it."""

_WEIGHTS: tuple[tuple[int, ...], ...] = ((1, 1), (-1, -1), (2, -1), (3, -1, -1), (1, -2, 2))


def neuron_bed(weights: Sequence[float], power: int, bias: int = 0, x: Sequence[float] = ()) -> Bed:
    """The testbed of a neuron; its input is all ones unless given."""
    z = "".join(f"{' - ' if w < 0 else ' + '}{'' if abs(w) == 1 else abs(w)}x_{i + 1}" for i, w in enumerate(weights) if w)
    z = z.removeprefix(" + ").replace(" - ", "-", 1) if z.startswith(" - ") else z.removeprefix(" + ")
    inner = f"{z} + {bias}" if bias else z
    name = "$" + (f"({inner})^{power}" if power > 1 else inner) + (f" - {bias**power}" if bias else "") + "$"
    code = f"neuron({list(weights)}, {power}{f', {bias}' if bias else ''})"
    absent = tuple(i for i, w in enumerate(weights) if not w)
    return Bed(name, neuron(weights, power, bias), row(*(x or (1.0,) * len(weights))), code, absent)


@listed
def orders_of_neurons() -> Iterator[Bed]:
    """Neurons without bias, whose terms are all of one order."""
    for power, weights in itertools.product((1, 2, 3), _WEIGHTS):
        yield neuron_bed(weights, power)


@listed
def neurons() -> Iterator[Bed]:
    """Neurons without and with bias; with it they have terms of all orders up to the power."""
    yield from orders_of_neurons()
    for power, weights in itertools.product((2, 3), _WEIGHTS):
        yield neuron_bed(weights, power, 1, tuple(1.0 + i for i in range(len(weights))))


@listed
def neurons_with_absent_feature() -> Iterator[Bed]:
    """Neurons one of whose inputs has weight zero, or is so close to the baseline that all terms it occurs in vanish."""
    for power, weights in itertools.product((1, 2, 3), ((1, 0), (2, 0, -1), (-2, 0, 1))):
        yield neuron_bed(weights, power)
    for power, weights in itertools.product((1, 2, 3), _WEIGHTS):
        for i in range(len(weights)):
            bed = neuron_bed(weights, power, 0, tuple(TINY if j == i else 1.0 for j in range(len(weights))))
            if abs(bed.effect) > 1e-3:
                yield replace(bed, absent=(i,))


@listed
def monomials() -> Iterator[Bed]:
    """Single Taylor terms at zero: the product of x_i**κ_i."""
    x = row(1.0, 2.0, 3.0)
    for k in degree_vectors(3, 3):
        name = " ".join(f"x_{i + 1}" + (f"^{d}" if d > 1 else "") for i, d in enumerate(k) if d)
        yield Bed(f"${name}$", polynomial({k: 1}), x, f"polynomial({{{k}: 1}})", tuple(i for i, d in enumerate(k) if not d))


@listed
def effects_of_sets() -> Iterator[Bed]:
    """Several Taylor terms in exactly the same variables: the effect of a set alone."""
    x = row(1.0, 2.0, 3.0)
    for members in ((0,), (1,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
        alone: Degrees = tuple(int(i in members) for i in range(3))
        terms = {alone: 1} | {tuple(k + int(i == j) for i, k in enumerate(alone)): 1 + j for j in members}
        name = f"a function with the effect of {{{', '.join(str(i + 1) for i in members)}}} alone"
        yield Bed(name, polynomial(terms), x, f"polynomial({terms})", tuple(i for i in range(3) if i not in members))


@listed
def polynomials() -> Iterator[Bed]:
    """Polynomials with terms of several orders."""
    x = row(1.0, 2.0, 1.0)
    examples: tuple[tuple[str, dict[Degrees, int]], ...] = (
        ("x_1 + x_1 x_2", {(1, 0, 0): 1, (1, 1, 0): 1}),
        ("2 x_1 x_3 - x_2^2", {(1, 0, 1): 2, (0, 2, 0): -1}),
        ("x_1^2 x_2 + x_1^3 - 2 x_2 x_3 + 3 x_3", {(2, 1, 0): 1, (3, 0, 0): 1, (0, 1, 1): -2, (0, 0, 1): 3}),
    )
    for name, terms in examples:
        yield Bed(f"${name}$", polynomial(terms), x, f"polynomial({terms})")


@listed
def terms_at_input() -> Iterator[Bed]:
    """Single terms of an expansion at the input."""
    point = (1, 2)
    for k in degree_vectors(2, 3):
        name = "".join(f"(x_{i + 1} - {point[i]})" + (f"^{d}" if d > 1 else "") for i, d in enumerate(k) if d)
        yield Bed(f"${name}$, less its value at 0,", expanded_at(point, k), row(*map(float, point)), f"expanded_at({list(point)}, {k})")


@listed
def networks() -> Iterator[Bed]:
    """Networks of two layers, in two ways each, zero at the baseline."""
    for name, (words, *_) in IMPLEMENTATIONS.items():
        if "relu" not in words:  # a rectifier has no Taylor terms at its kink, and quadrature across one is not exact
            for which in (1, 2):
                code = f"two_implementations({name!r}, extra={which})"
                yield Bed(f"network {which} of ${words}$", two_implementations(name, extra=which), row(2.0, 1.0), code)
    yield Bed("$(-(x_1 + x_2)^2)^2$ in two layers", negated_square(), row(1.0, 2.0), "negated_square()")


def negated_square() -> nn.Module:
    """(-(x1 + x2)**2)**2, whose second layer has no positive contribution."""
    return Function(lambda x: nn.functional.linear(_linear(x, 1, 1).square(), row(-1.0))[:, 0].square())


@listed
def networks_with_dummies() -> Iterator[Bed]:
    """Differences of two networks of one function, plus a feature of their own: nothing depends on the first two features."""
    for name, (words, *_) in IMPLEMENTATIONS.items():
        code = f"two_implementations({name!r})"
        yield Bed(f"$x_3$ plus the difference of two networks of ${words}$", two_implementations(name), row(3.0, 1.0, 1.0), code, (0, 1))
