"""Checks of Eq. 9: which additive surrogate it is, and whether it agrees with the model where it has to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from executable.checks.base import (
    ALGEBRA,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    error,
    judge,
    settle,
    sweep,
    versions,
    worst,
)
from executable.checks.formulation import games
from executable.frameworks.feature_additive import feature_additive, shapley_kernel, uniform_kernel
from executable.methods import lrp_epsilon, occlusion_1, shapley_value
from executable.testbeds.games import GameModel, and_game
from executable.testbeds.mlps import ACTIVATIONS, lively_draws
from taxonomy.evidence import Counterexample, Evidence

SEED = 70


def local_accuracy(claim: str) -> Evidence:
    """LRP-ε as coefficients of g(z) = f(0) + sum a_i z_i: whether g(1) equals f(x)."""
    parameters: dict[str, Any] = {"draws": 4, "activations": list(ACTIVATIONS), "epsilons": [1e-8, 1e-6, 1e-4]}
    cases = []
    for activation in parameters["activations"]:
        vanishing = float(ACTIVATIONS[activation]()(torch.zeros(1))) == 0
        for bias in (True, False):
            gaps = [
                _gap(lrp_epsilon(model, x, target, epsilon=0.0), model, x, target)
                for model, x, target in lively_draws(parameters["draws"], activation, bias=bias, seed=SEED)
            ]
            meets = activation == "identity" or (vanishing and not bias)
            cases.append(Case(f"{activation}, {'biases' if bias else 'no bias'}", meets, worst(gaps) if meets else min(gaps)))
    ratios = []
    for epsilon in parameters["epsilons"]:
        nets = lively_draws(parameters["draws"], "relu", bias=False, seed=SEED)
        ratios.append(max(_gap(lrp_epsilon(model, x, t, epsilon=epsilon), model, x, t) for model, x, t in nets) / epsilon)
    control = min(
        _gap(occlusion_1(model, x, target), model, x, target) for model, x, target in lively_draws(parameters["draws"], "relu", bias=False, seed=SEED)
    )
    inside, outside = sweep(cases, ALGEBRA)
    measurements = (
        inside,
        outside,
        at_least("gap per ε on bias-free ReLU networks, smallest over largest of the sweep", min(ratios) / max(ratios), 0.9, "1: linear in ε"),
    )
    return Evidence(
        claim=claim,
        check="feature-additive/local-accuracy",
        status=settle(measurements, judge(cases, ALGEBRA)),
        statement="The attributions of LRP-ε are the coefficients of a surrogate $g(z) = f(0) + \\sum_i a_i z_i$ with $g(1, \\ldots, 1) = f(x)$. "
        "(Eq. 9 alone holds of every vector, since every vector is the coefficients of some $g$, and is not what is tested.)",
        condition="$\\epsilon \\to 0$, and either the network has no biases and activations with $\\sigma(0) = 0$, or it is affine. The activation "
        "need not be homogeneous: tanh and ELU pass.",
        finding="Relevance that a layer gives to its bias is lost, so with biases the sum is not $f(x) - f(0)$ unless the network is affine. Without "
        "biases the sum is $f(x)$ for every activation at $\\epsilon = 0$; what fails for sigmoid and softplus is $f(0) = 0$.",
        domain="Random networks 6-10-9-7-3, eight activations, with and without biases; a sweep over $\\epsilon$",
        measurements=measurements,
        trials=len(cases) * parameters["draws"] + len(ratios) * parameters["draws"],
        seed=SEED,
        counterexample=_bias_keeps_relevance(),
        controls=(breaks("occlusion-1 on bias-free ReLU networks (smallest gap of any draw)", control, ALGEBRA),),
        parameters=parameters | {"settings": {case.setting: {"gap": float(f"{case.error:.2g}"), "holds": case.error <= ALGEBRA} for case in cases}},
        versions=versions(),
    )


def _gap(attributions: Tensor, model: torch.nn.Module, x: Tensor, target: Tensor) -> float:
    """Largest |g(1) - f(x)| of the batch, relative to the size of the outputs (at least one)."""
    with torch.no_grad():
        value = model(x).gather(1, target.unsqueeze(1))[:, 0]
        empty = model(torch.zeros_like(x)).gather(1, target.unsqueeze(1))[:, 0]
    return float(((empty + attributions.sum(1) - value).abs() / value.abs().clamp(min=1)).max())


def _bias_keeps_relevance() -> Counterexample:
    code = """
import torch
from executable import lrp_epsilon

f = lambda x: torch.relu(torch.nn.functional.linear(x, torch.ones(1, 1), torch.tensor([-1.0])))[:, 0]      # relu(x - 1)
x = torch.tensor([[3.0]])
assert lrp_epsilon(f, x, epsilon=0.0).item() == 3.0       # g(1) = f(0) + 3 = 3
assert f(x).item() == 2.0 and f(0 * x).item() == 0.0      # but f(x) = 2
"""
    return counterexample(
        "$f = \\operatorname{relu}(x - 1)$ at $x = 3$: LRP gives $3$, so $g(1) = f(0) + 3 = 3$, but $f(x) = 2$. The bias would have to take $-1$.",
        code,
        input=[3.0],
        baseline=[0.0],
        attribution=[3.0],
        output=2.0,
        output_at_baseline=0.0,
    )


def weighted_least_squares(claim: str) -> Evidence:
    """The Shapley value is the weighted least squares fit with the Shapley kernel."""
    parameters: dict[str, Any] = {"random games": 20, "networks": 4}
    errors, gaps = [], []
    for table in games(parameters["random games"]):
        ones = torch.ones(1, table.numel().bit_length() - 1, dtype=torch.float64)
        surrogate = feature_additive(GameModel(table), ones, kernel=shapley_kernel)
        errors.append(error(surrogate.coefficients, shapley_value(GameModel(table), ones)))
        gaps.append(float(surrogate.gap.abs().max()))
    for model, x, target in lively_draws(parameters["networks"], "relu", bias=True, seed=SEED):
        surrogate = feature_additive(model, x, target, baselines=0.2, kernel=shapley_kernel)
        errors.append(error(surrogate.coefficients, shapley_value(model, x, target, baselines=0.2)))
        gaps.append(float(surrogate.gap.abs().max()))
    measurements = (
        at_most("coefficients of the fit against the Shapley value", worst(errors), ALGEBRA),
        at_most("local accuracy of the fit, |g(1) - f(x)|", worst(gaps), ALGEBRA),
    )
    two = torch.ones(1, 2, dtype=torch.float64)
    uniform_three = feature_additive(GameModel(and_game(3)), torch.ones(1, 3, dtype=torch.float64), kernel=uniform_kernel)
    three = shapley_value(GameModel(and_game(3)), torch.ones(1, 3, dtype=torch.float64))
    uniform = feature_additive(GameModel(and_game(2)), two, kernel=uniform_kernel)
    return Evidence(
        claim=claim,
        check="feature-additive/weighted-least-squares",
        status=settle(measurements),
        statement="The Shapley value is the coefficient vector of the additive $g$ that fits $f(x_S)$ over all coalitions by least squares with the "
        "weights $(n-1)/\\left(\\binom{n}{|S|} |S| (n - |S|)\\right)$, under the constraints $g(0) = f(b)$ and $g(1) = f(x)$.",
        domain="Games on up to five players (random tables, OR, AND, weighted voting) and random ReLU networks with biases",
        measurements=measurements,
        trials=len(errors),
        seed=SEED,
        controls=(
            breaks("uniform weights without constraints, AND of three players: coefficients", error(uniform_three.coefficients, three), ALGEBRA),
            breaks("uniform weights, AND of two players: g(1) is 0.75 and not 1", float(uniform.gap.abs().max()), ALGEBRA),
        ),
        parameters=parameters,
        versions=versions(),
    )
