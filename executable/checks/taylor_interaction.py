"""Checks of Eq. 16: the weights with which a method allocates Taylor effects, found by applying it to single terms."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from executable.checks.base import (
    ALGEBRA,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    error,
    judge,
    number,
    settle,
    subject,
    sweep,
    versions,
    worst,
)
from executable.checks.five_methods import METHODS
from executable.coalitions import coalition_values, membership
from executable.frameworks.taylor_interaction import (
    AllocationWeight,
    allocate_effects,
    equal_shares,
    proportional_to_degree,
    whole_effect,
)
from executable.methods import gradient, integrated_gradients, lrp_epsilon
from executable.testbeds.mlps import ACTIVATIONS, Square, lively_draws
from executable.testbeds.polynomials import Degrees, Polynomial, as_rows, degree_vectors, random_point, random_polynomial
from taxonomy.evidence import Counterexample, Evidence, Measurement

SEED = 60
WEIGHTS: dict[str, AllocationWeight] = {
    "integrated-gradients": proportional_to_degree,
    "occlusion-1": whole_effect,
    "shapley-value": equal_shares,
}
_WRONG: dict[str, tuple[str, AllocationWeight]] = {
    "integrated-gradients": ("equal shares", equal_shares),
    "occlusion-1": ("equal shares", equal_shares),
    "shapley-value": ("shares proportional to the degree", proportional_to_degree),
}
_STATEMENTS = {
    "integrated-gradients": "$w_{i,\\kappa} = \\kappa_i / |\\kappa|$",
    "occlusion-1": "$w_{i,\\kappa} = 1$ for each variable with $\\kappa_i > 0$, so that an effect is counted once for each of its variables",
    "shapley-value": "$w_{i,\\kappa} = 1/|S_\\kappa|$ for each variable with $\\kappa_i > 0$",
}


class Shifted(nn.Module):
    """f(x - b)."""

    b: Tensor

    def __init__(self, f: nn.Module, b: Tensor) -> None:
        super().__init__()
        self.f = f
        self.register_buffer("b", b)

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        value: Tensor = self.f(x - self.b)
        return value


def allocation_weights(claim: str) -> Evidence:
    """Weights from single terms, then sums over random polynomials, then a function whose series does not converge."""
    method = subject(claim)
    weights = WEIGHTS[method]
    parameters: dict[str, Any] = {"variables and degrees": [[2, 5], [3, 5], [4, 4]], "polynomials": 30, "method": method, "orders": [8, 16, 24, 32]}
    extracted = [error(*_extracted(method, weights, n, d)) for n, d in parameters["variables and degrees"]]
    wrong = min(error(*_extracted(method, _WRONG[method][1], n, d)) for n, d in parameters["variables and degrees"])
    sums = _sums(method, weights, parameters["polynomials"])
    diverging = [abs(partial - _softplus_truth(method)) for partial in softplus_partial_sums(weights, parameters["orders"])]
    measurements: tuple[Measurement, ...] = (
        at_most("weights read off single terms", worst(extracted), ALGEBRA),
        at_most("random polynomials: method against allocated effects", worst(sums), ALGEBRA),
    )
    by_sets = method != "integrated-gradients"
    if by_sets:
        measurements += (at_most("ReLU networks: method against allocated Harsanyi dividends", worst(_dividends(method)), ALGEBRA),)
    measurements += (number(f"softplus at 4, expanded at 0: error of the allocated series to order {parameters['orders'][-1]}", diverging[-1]),)
    found: dict[str, Any] = {"status": settle(measurements)}
    if not by_sets:
        measurements += (at_least("the same error, against that of order 8", diverging[-1] / diverging[0], 10.0),)
        found = {
            "status": settle(measurements, "holds under condition"),
            "condition": "The Taylor series of $f$ at $b$ converges to $f$ on the line from $b$ to $x$; for polynomials it always does.",
            "counterexample": _softplus_counterexample(parameters["orders"], diverging),
        }
    return Evidence(
        claim=claim,
        check="taylor-interaction/allocation-weights",
        statement=f"The attribution is the sum of the Taylor effects at $b$ with the weights {_STATEMENTS[method]}."
        + (" Where there is no Taylor series the generic effect $J(S)$ is the Harsanyi dividend of $S$." if by_sets else ""),
        finding="The weights are read off by applying the method to the single terms $\\prod_i (x_i - b_i)^{\\kappa_i}$ and dividing by their value.",
        domain="All terms in two to four variables up to degree five, random polynomials in exact arithmetic"
        + (", ReLU networks with four inputs" if by_sets else ", softplus beyond its radius of convergence"),
        measurements=measurements,
        trials=sum(len(degree_vectors(n, d)) for n, d in parameters["variables and degrees"]) + len(sums),
        seed=SEED,
        controls=(breaks(f"the weights of another method: {_WRONG[method][0]}", wrong, ALGEBRA),),
        parameters=parameters,
        versions=versions(),
        **found,
    )


def _extracted(method: str, weights: AllocationWeight, variables: int, highest: int) -> tuple[Tensor, Tensor]:
    chance = random.Random(SEED)
    x, b = [Fraction(chance.randint(11, 19), 10) for _ in range(variables)], [Fraction(chance.randint(-9, 9), 10) for _ in range(variables)]
    row, baseline = as_rows(x), as_rows(b)
    found, expected = [], []
    for degrees in degree_vectors(variables, highest):
        term = Shifted(Polynomial({degrees: Fraction(1)}).module(), baseline)
        found.append(METHODS[method](term, row, baselines=baseline)[0] / term(row))
        expected.append([float(weights(i, degrees)) for i in range(variables)])
    return torch.stack(found), torch.tensor(expected, dtype=torch.float64)


def _sums(method: str, weights: AllocationWeight, count: int) -> list[float]:
    chance = random.Random(SEED)
    errors = []
    for draw in range(count):
        variables = 2 + draw % 3
        f = random_polynomial(chance, variables)
        x, b = random_point(chance, variables), random_point(chance, variables)
        allocated = as_rows(allocate_effects(f.effects(x, b), weights))
        errors.append(error(METHODS[method](f.module(), as_rows(x), baselines=as_rows(b)), allocated))
    return errors


def dividends(game: Tensor) -> Tensor:
    """Harsanyi dividends H(S) = sum_{T in S} (-1)**(|S| - |T|) v(T), shape (batch, 2**n)."""
    effects = game.clone()
    for player in range(game.shape[1].bit_length() - 1):
        pairs = effects.view(game.shape[0], -1, 2, 2**player)
        pairs[:, :, 1] -= pairs[:, :, 0]
    return effects


def _dividends(method: str) -> list[float]:
    errors = []
    inside = membership(torch.arange(16), 4).double()
    share = inside / inside.sum(1, keepdim=True).clamp(min=1) if method == "shapley-value" else inside
    for model, x, target in lively_draws(8, "relu", bias=True, seed=SEED, sizes=(4, 9, 7, 3)):
        effects = dividends(coalition_values(model, x, target, baselines=0.2))
        errors.append(error(METHODS[method](model, x, target, baselines=0.2), effects @ share))
    return errors


def softplus_effects(order: int) -> dict[Degrees, Fraction]:
    """Taylor effects at b = 0 of log(1 + exp(x1 + x2)) at x = (2, 2) up to an order; the constant log 2 is left out, as always."""
    slopes = [Fraction(1, 2)]
    for k in range(order):
        square = sum((slopes[j] * slopes[k - j] for j in range(k + 1)), Fraction(0))
        slopes.append((slopes[k] - square) / (k + 1))
    effects: dict[Degrees, Fraction] = {}
    for power in range(1, order + 1):
        coefficient = slopes[power - 1] / power
        for k in range(power + 1):
            effects[k, power - k] = coefficient * math.comb(power, k) * 2**power
    return effects


def softplus_partial_sums(weights: AllocationWeight, orders: list[int]) -> list[float]:
    """What the first feature is allocated by the series cut at each order."""
    effects = softplus_effects(max(orders))
    return [float(allocate_effects({k: e for k, e in effects.items() if sum(k) <= order}, weights)[0]) for order in orders]


def _softplus_truth(method: str) -> float:
    def f(x: Tensor) -> Tensor:
        return torch.nn.functional.softplus(x.sum(1))

    return float(METHODS[method](f, torch.full((1, 2), 2.0, dtype=torch.float64))[0, 0])


def _softplus_counterexample(orders: list[int], errors: list[float]) -> Counterexample:
    code = """
import torch
from executable import integrated_gradients
from executable.checks.taylor_interaction import softplus_partial_sums
from executable.frameworks.taylor_interaction import proportional_to_degree

f = lambda x: torch.nn.functional.softplus(x.sum(1))
a = integrated_gradients(f, torch.full((1, 2), 2.0, dtype=torch.float64))[0, 0].item()
sums = softplus_partial_sums(proportional_to_degree, [8, 16, 24, 32])
assert abs(a - 1.6625) < 1e-4
assert abs(sums[3] - a) > 10 * abs(sums[0] - a)      # the series runs away: its radius of convergence is pi, and 2 + 2 lies outside
"""
    return counterexample(
        "$f = \\log(1 + e^{x_1 + x_2})$ at $(2, 2)$ with $b = 0$: the Taylor series has radius $\\pi$ in $x_1 + x_2$, so the allocated effects "
        "do not add up to anything, while integrated gradients is $(f(x) - f(b))/2$ for each feature.",
        code,
        input=[2, 2],
        baseline=[0, 0],
        orders=orders,
        errors=[float(f"{e:.6g}") for e in errors],
    )


def gradient_term(claim: str) -> Evidence:
    """LRP-ε against the linear Taylor term, over activations, biases, ε and the point of expansion."""
    parameters: dict[str, Any] = {"draws": 4, "activations": list(ACTIVATIONS), "epsilons": [1e-8, 1e-6, 1e-4]}
    cases, defects = _term_cases(parameters["draws"], parameters["activations"])
    inside, outside = sweep(cases, ALGEBRA)
    separated = all((defects[case.setting] <= 1e-10) == (case.error <= ALGEBRA) for case in cases)
    ratios = _epsilon_ratios(parameters["draws"], parameters["epsilons"])
    at_baseline = _literal_error(parameters["draws"])
    measurements = (
        inside,
        outside,
        at_least("settings in which LRP-0 equals the term exactly if σ(z) = z σ'(z) at every pre-activation visited (1: all)", float(separated), 1.0),
        at_least(
            "error per ε on ReLU networks, smallest step of the sweep over that of the largest", min(ratios) / max(ratios), 0.9, "1: linear in ε"
        ),
        at_least("linear term of the expansion at b, ReLU networks with biases: smallest error", at_baseline, 1e-3),
    )
    control = min(
        error(integrated_gradients(model, x, target, n_steps=400), gradient(model, x, target) * x)
        for model, x, target in lively_draws(parameters["draws"], "relu", bias=True, seed=SEED)
    )
    return Evidence(
        claim=claim,
        check="taylor-interaction/gradient-term",
        status=settle(measurements, judge(cases, ALGEBRA)),
        statement="LRP-ε allocates to feature $i$ its linear Taylor effect alone, $a_i = x_i \\, \\partial f / \\partial x_i$ (Theorem 10 of the "
        "Taylor paper), the bias standing in the denominators.",
        condition="$\\epsilon \\to 0$; the activation is positively homogeneous, $\\sigma(z) = z \\sigma'(z)$ (ReLU, leaky ReLU, $|z|$, identity); "
        "and the expansion is at $x$, evaluated towards $0$. With the expansion at $b$ that the Taylor paper's Eq. 5 prescribes it is false.",
        finding="The equality is not special to ReLU: it holds exactly where the activation is positively homogeneous, with or without biases, "
        "and the error grows in proportion to $\\epsilon$. The term belongs to the expansion at $x$: the one at $b = 0$ differs once there is a "
        "kink in between.",
        domain="Random networks 6-10-9-7-3, eight activations, with and without biases; a sweep over $\\epsilon$ on ReLU networks",
        measurements=measurements,
        trials=len(cases) * parameters["draws"] + len(ratios),
        seed=SEED,
        counterexample=_wrong_point(),
        controls=(breaks("integrated gradients in place of LRP, ReLU networks with biases (smallest difference)", control, ALGEBRA),),
        parameters=parameters | {"settings": {case.setting: {"error": float(f"{case.error:.2g}"), "holds": case.error <= ALGEBRA} for case in cases}},
        versions=versions(),
    )


def _term_cases(draws: int, activations: list[str]) -> tuple[list[Case], dict[str, float]]:
    cases, defects = [], {}
    for activation in activations:
        for bias in (True, False):
            errors, defect = [], 0.0
            for model, x, target in lively_draws(draws, activation, bias=bias, seed=SEED):
                found, term = lrp_epsilon(model, x, target, epsilon=0.0), gradient(model, x, target) * x
                errors.append(error(found / _size(term), term / _size(term)))
                defect = max(defect, _homogeneity_defect(model, x, ACTIVATIONS[activation]()))
            setting = f"{activation}, {'biases' if bias else 'no bias'}"
            cases.append(Case(setting, activation in ("relu", "leaky-relu", "abs", "identity"), worst(errors)))
            defects[setting] = defect
    return cases, defects


def _size(values: Tensor) -> Tensor:
    return values.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)


def _homogeneity_defect(model: nn.Sequential, x: Tensor, activation: nn.Module) -> float:
    value, defect = x, 0.0
    layers = list(model)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        value = layer(value).detach()
        if following is not None and isinstance(layer, nn.Linear):
            z = value.clone().requires_grad_()
            result = activation(z)
            (slope,) = torch.autograd.grad(result.sum(), z)
            defect = max(defect, float((result - z * slope).detach().abs().max()))
    return defect


def _epsilon_ratios(draws: int, epsilons: list[float]) -> list[float]:
    ratios = []
    for epsilon in epsilons:
        errors = []
        for model, x, target in lively_draws(draws, "relu", bias=True, seed=SEED):
            found = lrp_epsilon(model, x, target, epsilon=epsilon)
            errors.append(float((found - gradient(model, x, target) * x).abs().max()))
        ratios.append(max(errors) / epsilon)
    return ratios


def _literal_error(draws: int) -> float:
    """Smallest error of the linear term at b = 0 over the networks: no draw must agree by chance."""
    nets = lively_draws(draws, "relu", bias=True, seed=SEED)
    return min(error(gradient(model, torch.zeros_like(x), target) * x, lrp_epsilon(model, x, target, epsilon=0.0)) for model, x, target in nets)


def _wrong_point() -> Counterexample:
    code = """
import torch
from executable import gradient, lrp_epsilon
from executable.testbeds.mlps import Square

f = lambda x: torch.relu(torch.nn.functional.linear(x, torch.ones(1, 1), torch.tensor([-1.0])))[:, 0]      # relu(x - 1)
x, b = torch.tensor([[3.0]]), torch.tensor([[0.0]])
assert lrp_epsilon(f, x, epsilon=0.0).item() == 3.0
assert (gradient(f, x) * x).item() == 3.0                # linear term of the expansion at x
assert (gradient(f, b) * (x - b)).item() == 0.0          # linear term of the expansion at b: phi(e_1) of Eq. 5

g = lambda x: Square()(torch.nn.functional.linear(x, torch.ones(1, 1)))[:, 0]                             # x ** 2
assert lrp_epsilon(g, x, epsilon=0.0).item() == 9.0
assert (gradient(g, x) * x).item() == 18.0               # z ** 2 is not homogeneous of degree one
assert (gradient(g, b) * (x - b)).item() == 0.0
"""
    x = torch.tensor([[3.0]])
    square = nn.Sequential(nn.Linear(1, 1, bias=False), Square())
    nn.init.ones_(square[0].weight)  # type: ignore[arg-type]
    return counterexample(
        "$f = \\operatorname{relu}(x - 1)$ at $3$ with $b = 0$: LRP gives $3$, the linear term of the expansion at $b$ is $0$ (and $f(x) = 2$). "
        "$f = x^2$ at $3$: LRP gives $9$, $x f'(x) = 18$, and the linear term at $b$ is $0$.",
        code,
        input=[3.0],
        baseline=[0.0],
        lrp_of_shifted_relu=3.0,
        linear_term_at_baseline=0.0,
        lrp_of_square=float(lrp_epsilon(square, x, epsilon=0.0)),
        gradient_times_input_of_square=float(gradient(square, x) * x),
    )
