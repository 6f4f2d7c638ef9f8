"""Polynomials with rational coefficients: values, gradients, integrals and Taylor effects are exact."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

Degrees = tuple[int, ...]
Point = Sequence[Fraction]


@dataclass(frozen=True)
class Polynomial:
    """sum_κ c_κ prod_i x_i**κ_i as a mapping from degree vectors κ to coefficients.

    >>> f = Polynomial({(2, 1): Fraction(1)})
    >>> f([Fraction(2), Fraction(3)]), integrate_gradient(f, [Fraction(1)] * 2, [Fraction(0)] * 2)
    (Fraction(12, 1), [Fraction(2, 3), Fraction(1, 3)])
    """

    terms: Mapping[Degrees, Fraction]

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(next(iter(self.terms)))

    def __call__(self, x: Point) -> Fraction:
        """Value at x."""
        return sum((c * _monomial(x, degrees) for degrees, c in self.terms.items()), Fraction(0))

    def derivative(self, i: int) -> Polynomial:
        """Partial derivative with respect to x_i."""
        lower = {_lowered(degrees, i): c * degrees[i] for degrees, c in self.terms.items() if degrees[i]}
        return Polynomial(lower or {(0,) * self.variables: Fraction(0)})

    def around(self, b: Point) -> Polynomial:
        """The same function in powers of x - b."""
        shifted: dict[Degrees, Fraction] = {}
        for degrees, c in self.terms.items():
            for lower in itertools.product(*(range(d + 1) for d in degrees)):
                factor = math.prod((math.comb(d, k) * v ** (d - k) for d, k, v in zip(degrees, lower, b, strict=True)), start=Fraction(1))
                shifted[lower] = shifted.get(lower, Fraction(0)) + c * factor
        return Polynomial(shifted)

    def effects(self, x: Point, b: Point) -> dict[Degrees, Fraction]:
        """The Taylor effects I(κ) of f at x, expanded at b, without the constant term (Taylor paper, Eq. 2)."""
        steps = [v - w for v, w in zip(x, b, strict=True)]
        return {degrees: c * _monomial(steps, degrees) for degrees, c in self.around(b).terms.items() if any(degrees)}

    def module(self) -> nn.Module:
        """The function as a float64 module."""
        return PolynomialModule(self)


class PolynomialModule(nn.Module):
    """A polynomial that torch can differentiate: (batch, n) to (batch,)."""

    exponents: Tensor
    coefficients: Tensor

    def __init__(self, polynomial: Polynomial) -> None:
        super().__init__()
        self.register_buffer("exponents", torch.tensor(list(polynomial.terms), dtype=torch.float64))
        self.register_buffer("coefficients", torch.tensor([float(c) for c in polynomial.terms.values()], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        return (x.unsqueeze(1) ** self.exponents).prod(dim=2) @ self.coefficients


def _monomial(x: Point, degrees: Degrees) -> Fraction:
    return math.prod((v**d for v, d in zip(x, degrees, strict=True)), start=Fraction(1))


def _lowered(degrees: Degrees, i: int) -> Degrees:
    return (*degrees[:i], degrees[i] - 1, *degrees[i + 1 :])


def degree_vectors(variables: int, degree: int) -> list[Degrees]:
    """All κ other than zero with |κ| <= degree, in order of |κ|."""
    every = itertools.product(range(degree + 1), repeat=variables)
    return sorted((k for k in every if 0 < sum(k) <= degree), key=lambda k: (sum(k), k))


def random_polynomial(chance: random.Random, variables: int, degree: int = 5, terms: int = 12) -> Polynomial:
    """A polynomial of mixed monomials with coefficients that are multiples of 1/10."""
    candidates = degree_vectors(variables, degree)
    chosen = chance.sample(candidates, min(terms, len(candidates)))
    return Polynomial({degrees: Fraction(chance.choice([-1, 1]) * chance.randint(1, 20), 10) for degrees in chosen})


def random_multilinear(chance: random.Random, variables: int) -> Polynomial:
    """A polynomial in which no variable has a power above one."""
    every = itertools.product((0, 1), repeat=variables)
    return Polynomial({degrees: Fraction(chance.randint(-20, 20), 10) for degrees in every if any(degrees)})


def random_point(chance: random.Random, variables: int) -> list[Fraction]:
    """Coordinates that are multiples of 1/10 between -2 and 2."""
    return [Fraction(chance.randint(-20, 20), 10) for _ in range(variables)]


def as_rows(*points: Point) -> Tensor:
    """Points as a float64 batch."""
    return torch.tensor([[float(v) for v in point] for point in points], dtype=torch.float64)


def integrate_gradient(f: Polynomial, x: Point, b: Point) -> list[Fraction]:
    """Integrated gradients, exactly: on the line the gradient is a polynomial in t, integrated term by term."""
    steps = [v - w for v, w in zip(x, b, strict=True)]
    line = [[w, step] for w, step in zip(b, steps, strict=True)]
    return [steps[i] * _unit_integral(_along(f.derivative(i), line)) for i in range(f.variables)]


def _along(f: Polynomial, line: list[list[Fraction]]) -> list[Fraction]:
    total = [Fraction(0)]
    for degrees, c in f.terms.items():
        product = [c]
        for linear, power in zip(line, degrees, strict=True):
            for _ in range(power):
                product = _times(product, linear)
        total = [p + q for p, q in itertools.zip_longest(total, product, fillvalue=Fraction(0))]
    return total


def _times(p: list[Fraction], q: list[Fraction]) -> list[Fraction]:
    product = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, c in enumerate(q):
            product[i + j] += a * c
    return product


def _unit_integral(p: list[Fraction]) -> Fraction:
    return sum((c / (k + 1) for k, c in enumerate(p)), Fraction(0))


def game(f: Callable[[Point], Fraction], x: Point, b: Point) -> list[Fraction]:
    """v(S) = f(x_S) for every coalition S, exactly."""
    players = len(x)
    return [f([x[i] if s >> i & 1 else b[i] for i in range(players)]) for s in range(2**players)]
