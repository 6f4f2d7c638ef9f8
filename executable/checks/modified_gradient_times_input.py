"""Checks of Eq. 10: whether the modified gradient comes out of one backward pass with a local rule at the activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from executable.checks.base import (
    ALGEBRA,
    SMOOTH,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    error,
    judge,
    keeps,
    number,
    settle,
    sweep,
    versions,
    worst,
)
from executable.frameworks.modified_gradient_times_input import (
    difference_quotient,
    modified_gradient_times_input,
    ordinary_derivative,
    output_ratio,
    ratio,
)
from executable.methods import integrated_gradients, lrp_epsilon, shapley_value
from executable.methods.gradient_times_input import StraightLine, mean_gradient_times_difference
from executable.testbeds.mlps import ACTIVATIONS, lively_draws
from taxonomy.evidence import Counterexample, Evidence

SEED = 30


def chain_rule(claim: str) -> Evidence:
    """Integrated gradients: an averaged gradient always, a local rule only with one layer of activations."""
    parameters: dict[str, Any] = {"draws": 5, "activations": ["tanh", "softplus", "sigmoid"], "widths": [[5, 8, 2], [5, 8, 7, 2], [5, 8, 7, 6, 2]]}
    cases, average, control = [], [], []
    for widths in parameters["widths"]:
        for activation in parameters["activations"]:
            errors = []
            for model, x, target in lively_draws(parameters["draws"], activation, bias=True, seed=SEED, sizes=widths):
                exact = integrated_gradients(model, x, target, baselines=0.1, n_steps=200)
                scope = StraightLine("riemann_midpoint", 4000)
                average.append(error(mean_gradient_times_difference(model, x, target, baselines=0.1, scope=scope), exact))
                local = modified_gradient_times_input(model, x, target, baselines=0.1, rule=difference_quotient)
                errors.append(error(local, exact))
                if len(widths) == 3:
                    control.append(error(local, shapley_value(model, x, target, baselines=0.1)))
            cases.append(Case(f"{activation}, {len(widths) - 2} layers of activations", len(widths) == 3, worst(errors)))
    first, second = required_multipliers(integrated_gradients_of_twins())
    gap = abs(first - second)
    inside, outside = sweep(cases, SMOOTH)
    measurements = (
        at_most(
            "mean gradient over the line, times x - b, against integrated gradients", worst(average), 1e-5, "midpoint rule against Gauss-Legendre"
        ),
        inside,
        outside,
        at_least("two networks, one function: difference of the multipliers that one neuron would need", gap, 0.1),
    )
    return Evidence(
        claim=claim,
        check="modified-gradient-times-input/chain-rule",
        status=settle(measurements, judge(cases, SMOOTH)),
        statement="One backward pass, in which the derivative of each activation is replaced by a function of that neuron's pre-activations at "
        "$x$ and at $b$ alone, times $x - b$, gives integrated gradients. (That some numbers $g_i$ with $a_i = g_i (x_i - b_i)$ exist is true "
        "of every vector and is not what is tested.)",
        condition="The network has one layer of activations: then the local rule is the difference quotient "
        "$(\\sigma(z) - \\sigma(\\bar z))/(z - \\bar z)$. For deeper networks the modified derivative has to be the gradient averaged over the "
        "whole line, which no local rule produces.",
        finding="As an averaged gradient the form is an identity and holds for every model. As a local rule it stops at one layer of activations: "
        "two networks that compute the same function would need the same neuron to carry two different multipliers.",
        domain="Random networks with biases, one to three layers of tanh, softplus or sigmoid; two small ReLU networks that compute one function",
        measurements=measurements,
        trials=len(average),
        seed=SEED,
        counterexample=_twins_counterexample(first, second),
        controls=(
            breaks("Shapley value in place of integrated gradients, one layer of activations (smallest difference)", min(control), SMOOTH),
            keeps("DeepLIFT Rescale, which is local, put to the two networks: its multipliers agree", abs(_rescale_gap()), ALGEBRA),
        ),
        parameters=parameters | {"cases": {case.setting: case.meets for case in cases}},
        versions=versions(),
    )


def first_twin(x: Tensor) -> Tensor:
    """relu(x1 - 1 - relu(x2))."""
    return torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1]))


def second_twin(x: Tensor) -> Tensor:
    """relu(relu(x1 - 1) - relu(x2)): the same function."""
    return torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1]))


_POINT = torch.tensor([[3.0, 1.0]], dtype=torch.float64)


def integrated_gradients_of_twins() -> tuple[Tensor, Tensor]:
    """Integrated gradients of both at (3, 1) from 0; the only kink on the line is at its middle, so the midpoint rule is exact."""
    first = integrated_gradients(first_twin, _POINT, method="riemann_midpoint", n_steps=64)
    second = integrated_gradients(second_twin, _POINT, method="riemann_midpoint", n_steps=64)
    return first[0], second[0]


def required_multipliers(attributions: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """The multiplier m(z = 1, z̄ = 0) that each network would need.

    In the first network a = (3 m(1, -1), -m(1, -1) m(1, 0)), so m(1, 0) = -3 a_2 / a_1. In the second a_2 = -m(1, 0)**2.
    """
    first, second = attributions
    return float(-3 * first[1] / first[0]), float((-second[1]).sqrt())


def _rescale_gap() -> float:
    pair = tuple(modified_gradient_times_input(f, _POINT, rule=difference_quotient)[0] for f in (first_twin, second_twin))
    first, second = required_multipliers((pair[0], pair[1]))
    return first - second


def _twins_counterexample(first: float, second: float) -> Counterexample:
    code = """
import torch
from executable import integrated_gradients

f = lambda x: torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1]))
g = lambda x: torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1]))   # the same function
x = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
a = integrated_gradients(f, x, method="riemann_midpoint", n_steps=64)[0]
c = integrated_gradients(g, x, method="riemann_midpoint", n_steps=64)[0]
assert a.tolist() == c.tolist() == [1.5, -0.5]
# A local rule gives the neuron relu(x2), at z = 1 against 0, the multiplier m. In f the chain rule needs m = 1, in g it needs m*m = 1/2.
assert (-3 * a[1] / a[0]).item() == 1.0
assert (-c[1]).item() == 0.5
"""
    return counterexample(
        "$f = \\operatorname{relu}(x_1 - 1 - \\operatorname{relu}(x_2))$ and "
        "$g = \\operatorname{relu}(\\operatorname{relu}(x_1 - 1) - \\operatorname{relu}(x_2))$ are the same function. At $x = (3, 1)$, $b = 0$ "
        "both have integrated gradients $(1.5, -0.5)$. A local rule would have to give a ReLU that moves from $0$ to $1$ the multiplier $1$ in "
        "$f$ and $\\sqrt{1/2}$ in $g$.",
        code,
        input=[3.0, 1.0],
        baseline=[0.0, 0.0],
        attributions=[1.5, -0.5],
        multiplier_in_f=round(first, 6),
        multiplier_in_g=round(second, 6),
    )


def local_rule(claim: str) -> Evidence:
    """LRP-ε: the derivative of every activation is replaced by σ(z) / (z + ε sign z)."""
    activations = [name for name in ACTIVATIONS if name != "identity"]
    parameters: dict[str, Any] = {"draws": 3, "activations": activations, "epsilons": [0.0, 1e-6, 0.01, 0.3]}
    errors, without, control = [], [], []
    for activation in parameters["activations"]:
        for bias in (True, False):
            for model, x, target in lively_draws(parameters["draws"], activation, bias=bias, seed=SEED):
                for epsilon in parameters["epsilons"]:
                    found = lrp_epsilon(model, x, target, epsilon=epsilon)
                    rule = ratio(epsilon)
                    same = modified_gradient_times_input(model, x, target, rule=rule, output_factor=output_ratio(epsilon))
                    errors.append(error(same / _scale(found), found / _scale(found)))
                    if epsilon == 0.3:
                        without.append(error(modified_gradient_times_input(model, x, target, rule=rule), found))
                if activation == "tanh":
                    ordinary = modified_gradient_times_input(model, x, target, rule=ordinary_derivative)
                    control.append(error(ordinary, lrp_epsilon(model, x, target, epsilon=0.0)))
    measurements = (
        at_most("modified gradient times input against layer-wise propagation", worst(errors), ALGEBRA),
        at_most("networks of affine layers alone, ε = 0", _affine_error(parameters["draws"], 0.0), ALGEBRA),
        number("largest error at ε = 0.3 if the output's own factor is left out", worst(without)),
        number("networks of affine layers alone, ε = 0.3", _affine_error(parameters["draws"], 0.3), "no activation stands between the layers"),
    )
    return Evidence(
        claim=claim,
        check="modified-gradient-times-input/local-rule",
        status=settle(measurements),
        statement="LRP-ε equals the gradient in which $\\sigma'(z)$ is replaced by $\\sigma(z)/(z + \\epsilon \\operatorname{sign} z)$ at every "
        "activation and the derivative of the output by $z/(z + \\epsilon \\operatorname{sign} z)$, times $x$ (baseline $0$). Every affine layer "
        "but the last is followed by an activation, denominators hold the bias, and $\\operatorname{sign} 0 = 1$.",
        finding="It holds for every activation and every $\\epsilon$ tried, with and without biases. The factor of the output, which the survey "
        "does not mention, comes from the $\\epsilon$ of the last layer and is $1$ at $\\epsilon = 0$. Affine layers that follow one another "
        "without an activation bring such a factor each, which a rule for activations cannot hold.",
        domain="Random networks 6-10-9-7-3, seven activations, with and without biases, four values of $\\epsilon$",
        measurements=measurements,
        trials=len(errors),
        seed=SEED,
        controls=(breaks("the ordinary derivative in place of the ratio, tanh networks (smallest difference of any draw)", min(control), ALGEBRA),),
        parameters=parameters,
        versions=versions(),
    )


def _affine_error(draws: int, epsilon: float) -> float:
    errors = []
    for model, x, target in lively_draws(draws, "identity", bias=True, seed=SEED):
        found = lrp_epsilon(model, x, target, epsilon=epsilon)
        same = modified_gradient_times_input(model, x, target, rule=ratio(epsilon), output_factor=output_ratio(epsilon))
        errors.append(error(same / _scale(found), found / _scale(found)))
    return worst(errors)


def _scale(found: Tensor) -> Tensor:
    return found.abs().amax(dim=1, keepdim=True).clamp(min=1)
