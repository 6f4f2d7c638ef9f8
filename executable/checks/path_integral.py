"""Checks of Eq. 12: which path it is, and whether it is one path."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch

from executable.checks.base import (
    ALGEBRA,
    KINKED,
    SMOOTH,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    error,
    judge,
    keeps,
    settle,
    versions,
    worst,
)
from executable.frameworks.path_integral import STRAIGHT, Lattice, Path, Powers, all_lattice_paths, path_integral
from executable.methods import integrated_gradients, shapley_value
from executable.testbeds.games import value_by_orders
from executable.testbeds.mlps import lively_draws
from executable.testbeds.polynomials import as_rows, game, integrate_gradient, random_point, random_polynomial
from taxonomy.evidence import Counterexample, Evidence

SEED = 50
MOMENTS = ((1, 1), (1, 2), (2, 1))


def straight_path(claim: str) -> Evidence:
    """Integrated gradients is the path integral along the straight line."""
    parameters: dict[str, Any] = {"polynomials": 30, "networks": 4, "smooth": ["tanh", "softplus"], "steps on ReLU": 4000}
    exact, smooth, kinked, control = [], [], [], []
    chance = random.Random(SEED)
    for draw in range(parameters["polynomials"]):
        variables = 2 + draw % 3
        f = random_polynomial(chance, variables)
        end, start = random_point(chance, variables), random_point(chance, variables)
        found = path_integral(f.module(), as_rows(end), baselines=as_rows(start), path=STRAIGHT, n_steps=8)
        exact.append(error(found, as_rows(integrate_gradient(f, end, start))))
    for activation in (*parameters["smooth"], "relu"):
        for model, x, target in lively_draws(parameters["networks"], activation, bias=True, seed=SEED):
            if activation == "relu":
                line = path_integral(model, x, target, baselines=0.2, method="riemann_midpoint", n_steps=parameters["steps on ReLU"])
                kinked.append(error(integrated_gradients(model, x, target, baselines=0.2, n_steps=4000), line))
                continue
            found = integrated_gradients(model, x, target, baselines=0.2, n_steps=100)
            line = path_integral(model, x, target, baselines=0.2, path=STRAIGHT, n_steps=150)
            smooth.append(error(found, line))
            bent = path_integral(model, x, target, baselines=0.2, path=Powers((1.0, 2.0, 1.0, 3.0, 1.0, 2.0)), n_steps=150)
            control.append(error(found, bent))
    measurements = (
        at_most("polynomials: path integral against exact rational integration", worst(exact), ALGEBRA),
        at_most("smooth networks: method against path integral", worst(smooth), SMOOTH),
        at_most("ReLU networks: method against path integral", worst(kinked), KINKED, "both quadratures cross kinks"),
    )
    return Evidence(
        claim=claim,
        check="path-integral/straight-path",
        status=settle(measurements),
        statement="Integrated gradients equals Eq. 12 along $\\gamma(t) = b + t (x - b)$.",
        domain="Random polynomials in exact arithmetic; random networks with biases and tanh, softplus or ReLU",
        measurements=measurements,
        trials=len(exact) + len(smooth) + len(kinked),
        seed=SEED,
        controls=(breaks("a bent path from the same start to the same end (smallest difference of any draw)", min(control), SMOOTH),),
        parameters=parameters,
        versions=versions(),
    )


def lattice_paths(claim: str) -> Evidence:
    """The Shapley value is the mean over n! lattice paths, and no single path gives it."""
    parameters: dict[str, Any] = {"polynomials": 20, "networks": 3, "grid": [2, 4, 6, 8], "steps on ReLU": 4000}
    cases = [*_polynomial_cases(parameters["polynomials"])]
    smooth, kinked = _network_errors(parameters["networks"], parameters["steps on ReLU"])
    residuals = [least_residual(steps) for steps in parameters["grid"]]
    mixture = worst([case.error for case in cases if case.meets])
    single = min(case.error for case in cases if not case.meets)
    measurements = (
        at_most("mean over all lattice paths against the Shapley value, polynomials", mixture, ALGEBRA),
        at_most("the same, tanh networks", worst(smooth), SMOOTH),
        at_most("the same, ReLU networks", worst(kinked), KINKED, "the quadrature crosses kinks"),
        at_least("single paths: smallest over all tried of their largest error", single, 1e-3),
        at_least("monotone staircases: least deviation of a moment from 1/2", float(residuals[-1]), 0.05, "every staircase on an 8 by 8 grid"),
    )
    uneven = worst(list(_uneven_errors(5)))
    line = abs(float(_moment_of_line(1, 2)) - 1 / 3)
    return Evidence(
        claim=claim,
        check="path-integral/lattice-paths",
        status=settle(measurements, judge(cases, ALGEBRA)),
        statement="There is a path $\\gamma$ from $b$ to $x$, the same for every function, along which Eq. 12 gives the Shapley value.",
        condition="Eq. 12 is averaged over the $n!$ axis-parallel paths, one per order of the features, with equal weights, and $f$ is absolutely "
        "continuous along their edges.",
        finding="No single path will do. For $f = x_1^p x_2^q$ at $(1, 1)$ it would need $\\int \\gamma_2^q \\, d\\gamma_1^p = 1/2$ for all "
        "$p, q \\ge 1$. On a monotone path the cases $p = 1$, $q = 1, 2$ let $\\gamma_1$ move only where $\\gamma_2$ is $0$ or $1$, and the "
        "cases $q = 1$, $p = 1, 2$ the other way round; but the path has to leave the edge $\\gamma_2 = 0$ at $\\gamma_1 = 1/2$. A path that turns "
        "back fails too: all cases together ask it to pass almost every level of $\\gamma_1$ along $\\gamma_2 = 0$ half a time, counted with sign.",
        domain="Random polynomials in two to four variables, random tanh and ReLU networks in three variables, all monotone staircases on a grid",
        measurements=measurements,
        trials=len(cases) + len(smooth) + len(kinked) + len(residuals),
        seed=SEED,
        counterexample=_no_single_path(residuals),
        controls=(
            breaks("the mean over all lattice paths but one (largest difference of any draw)", uneven, ALGEBRA),
            keeps("the straight line has the moment 1/3 that integrated gradients gives, so the moments are computed rightly", line, ALGEBRA),
        ),
        parameters=parameters | {"least deviation by grid": [str(residual) for residual in residuals]},
        versions=versions(),
    )


def _polynomial_cases(count: int) -> Iterator[Case]:
    chance = random.Random(SEED)
    single: dict[str, list[float]] = {}
    for draw in range(count):
        variables = 2 + draw % 3
        f = random_polynomial(chance, variables)
        x, b = random_point(chance, variables), random_point(chance, variables)
        exact = as_rows(value_by_orders(game(f, x, b)))
        model, row, baseline = f.module(), as_rows(x), as_rows(b)
        mixture = path_integral(model, row, baselines=baseline, path=all_lattice_paths(variables), n_steps=4)
        yield Case(f"polynomial {draw}, mean over paths", True, error(mixture, exact))
        paths: dict[str, Path] = {
            "straight": STRAIGHT,
            "in order": Lattice(tuple(range(variables))),
            "backwards": Lattice(tuple(range(variables))[::-1]),
        }
        for name, path in paths.items():
            found = path_integral(model, row, baselines=baseline, path=path, n_steps=8)
            single.setdefault(name, []).append(error(found, exact))
    for name, errors in single.items():
        yield Case(f"one path for all polynomials: {name}", False, worst(errors))


def _network_errors(count: int, steps: int) -> tuple[list[float], list[float]]:
    smooth: list[float] = []
    kinked: list[float] = []
    paths = all_lattice_paths(3)
    for activation, method, points, errors in (("tanh", "gauss_legendre", 60, smooth), ("relu", "riemann_midpoint", steps, kinked)):
        for model, x, target in lively_draws(count, activation, bias=True, seed=SEED, sizes=(3, 8, 6, 2)):
            mixture = path_integral(model, x, target, baselines=0.2, path=paths, method=method, n_steps=points)
            errors.append(error(mixture, shapley_value(model, x, target, baselines=0.2)))
    return smooth, kinked


def _uneven_errors(count: int) -> Iterator[float]:
    chance = random.Random(SEED)
    for _ in range(count):
        f = random_polynomial(chance, 3)
        x, b = random_point(chance, 3), random_point(chance, 3)
        found = path_integral(f.module(), as_rows(x), baselines=as_rows(b), path=all_lattice_paths(3)[:-1], n_steps=4)
        yield error(found, as_rows(value_by_orders(game(f, x, b))))


def staircases(steps: int, right: int = 0, up: int = 0) -> Iterator[tuple[bool, ...]]:
    """All monotone staircases on a grid: True moves right, False moves up."""
    if right == up == steps:
        yield ()
        return
    if right < steps:
        yield from ((True, *rest) for rest in staircases(steps, right + 1, up))
    if up < steps:
        yield from ((False, *rest) for rest in staircases(steps, right, up + 1))


def moment(stairs: tuple[bool, ...], p: int, q: int) -> Fraction:
    """The integral of γ_2**q d(γ_1**p) along a staircase: what Eq. 12 gives the first feature of x1**p x2**q at (1, 1)."""
    steps = len(stairs) // 2
    u = v = total = 0
    for right in stairs:
        if right:
            total += v**q * ((u + 1) ** p - u**p)
            u += 1
        else:
            v += 1
    return Fraction(total, steps ** (p + q))


def least_residual(steps: int) -> Fraction:
    """Over all staircases, the least of the largest deviation of a moment from 1/2."""
    half = Fraction(1, 2)
    return min(max(abs(moment(stairs, p, q) - half) for p, q in MOMENTS) for stairs in staircases(steps))


def _moment_of_line(p: int, q: int) -> float:
    def f(rows: torch.Tensor) -> torch.Tensor:
        return rows[:, 0] ** p * rows[:, 1] ** q

    return float(path_integral(f, torch.ones(1, 2, dtype=torch.float64), path=STRAIGHT, n_steps=8)[0, 0])


def _no_single_path(residuals: list[Fraction]) -> Counterexample:
    code = """
import torch
from executable import shapley_value
from executable.frameworks.path_integral import Lattice, all_lattice_paths, path_integral

x = torch.ones(1, 2, dtype=torch.float64)
for p, q in ((1, 1), (1, 2), (2, 1)):
    f = lambda x, p=p, q=q: x[:, 0] ** p * x[:, 1] ** q
    assert torch.allclose(shapley_value(f, x), torch.full((1, 2), 0.5, dtype=torch.float64))
    assert torch.allclose(path_integral(f, x, path=all_lattice_paths(2)), shapley_value(f, x))
    assert not torch.allclose(path_integral(f, x, path=Lattice((0, 1))), shapley_value(f, x))

from executable.checks.path_integral import least_residual

assert least_residual(6) > 0.05      # every monotone staircase on a 6 by 6 grid misses one of the three moments by more than this
"""
    return counterexample(
        "$x_1 x_2$, $x_1 x_2^2$ and $x_1^2 x_2$ at $(1, 1)$ with $b = 0$ all have the Shapley value $(1/2, 1/2)$. Along one path the first "
        "feature of $x_1^p x_2^q$ receives $\\int \\gamma_2^q \\, d\\gamma_1^p$; no monotone staircase brings all three to $1/2$.",
        code,
        input=[1, 1],
        baseline=[0, 0],
        moments=[list(pair) for pair in MOMENTS],
        least_deviation=str(residuals[-1]),
    )
