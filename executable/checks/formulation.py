"""Checks of the formulation families (Table II): each method against the equation of its family."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from executable._engine import EpsilonRule, stabilised
from executable.checks.base import ALGEBRA, at_most, breaks, error, settle, subject, versions, worst
from executable.checks.five_methods import METHODS
from executable.coalitions import leave_one_out_weights, shapley_weights
from executable.frameworks.feature_removal import mean_when_included
from executable.methods.gradient_times_input import StraightLine, integrated_gradients, mean_gradient_times_difference
from executable.methods.layerwise_backprop import lrp_epsilon, relevance_matrices
from executable.methods.modified_gradient import gradient, guided, modified_gradient, ordinary
from executable.methods.perturbation import weighted_marginal_contributions
from executable.testbeds.games import GameModel, and_game, or_game, random_game, value_by_orders, voting_game
from executable.testbeds.mlps import lively_draws
from executable.testbeds.polynomials import as_rows, integrate_gradient, random_point, random_polynomial
from taxonomy.evidence import Evidence

SEED = 20


def equation_1(claim: str) -> Evidence:
    """The gradient is the modified gradient whose rule is the ordinary derivative."""
    parameters: dict[str, Any] = {"draws": 6, "activations": ["relu", "tanh", "softplus"], "step": 1e-5}
    same, numeric, control = [], [], []
    for activation in parameters["activations"]:
        for model, x, target in lively_draws(parameters["draws"], activation, bias=True, seed=SEED):
            direct = gradient(model, x, target)
            same.append(error(modified_gradient(model, x, target, rule=ordinary), direct))
            numeric.append(error(_central_differences(model, x, target, parameters["step"]), direct))
            control.append(error(modified_gradient(model, x, target, rule=guided), direct))
    measurements = (
        at_most("modified gradient with the ordinary rule against automatic differentiation", worst(same), ALGEBRA),
        at_most("central differences against automatic differentiation", worst(numeric), 1e-6),
    )
    return Evidence(
        claim=claim,
        check="formulation/equation-1",
        status=settle(measurements),
        statement="Equation 1 with the ordinary derivative as its backward rule, $\\sigma'(z)$ at every activation, is the gradient of the "
        "explained output.",
        finding="The gradient is the member of the family whose rule changes nothing; it agrees with finite differences as well.",
        domain="Random networks 6-10-9-7-3 with biases and ReLU, tanh or softplus, in double precision",
        measurements=measurements,
        trials=len(same),
        seed=SEED,
        controls=(breaks("guided backpropagation in place of the gradient (smallest difference of any draw)", min(control), ALGEBRA),),
        parameters=parameters,
        versions=versions(),
    )


def _central_differences(model: nn.Module, x: Tensor, target: Tensor, step: float) -> Tensor:
    shifts = step * torch.eye(x.shape[1], dtype=x.dtype)
    with torch.no_grad():
        up = torch.stack([model(x + shift).gather(1, target.unsqueeze(1))[:, 0] for shift in shifts], dim=1)
        down = torch.stack([model(x - shift).gather(1, target.unsqueeze(1))[:, 0] for shift in shifts], dim=1)
    return (up - down) / (2 * step)


def equation_2(claim: str) -> Evidence:
    """Integrated gradients is the mean gradient over the straight line, times the difference from one baseline."""
    parameters: dict[str, Any] = {"draws": 40, "variables": [1, 2, 3, 4], "degree": 5, "terms": 12}
    chance = random.Random(SEED)
    method, equation = [], []
    for draw in range(parameters["draws"]):
        variables = parameters["variables"][draw % 4]
        f = random_polynomial(chance, variables, parameters["degree"], parameters["terms"])
        x, b = random_point(chance, variables), random_point(chance, variables)
        exact = as_rows(integrate_gradient(f, x, b))
        model, row, baseline = f.module(), as_rows(x), as_rows(b)
        method.append(error(integrated_gradients(model, row, baselines=baseline), exact))
        scope = StraightLine("gauss_legendre", 3)
        equation.append(error(mean_gradient_times_difference(model, row, baselines=baseline, scope=scope), exact))
    measurements = (
        at_most("integrated gradients against exact rational integration", worst(method), ALGEBRA),
        at_most("Eq. 2 averaged over the line by three Gauss-Legendre nodes", worst(equation), ALGEBRA, "exact up to degree 6"),
    )
    return Evidence(
        claim=claim,
        check="formulation/equation-2",
        status=settle(measurements),
        statement="Integrated gradients equals Eq. 2 when the expectation is the uniform average over the straight line from one fixed baseline.",
        finding="It holds for a fixed baseline. With a random baseline the difference $x_i - b_i$ belongs inside the expectation: the control "
        "shows that expected gradients is not of the form of Eq. 2.",
        domain="Random polynomials in up to four variables, degree up to five, against exact rational arithmetic",
        measurements=measurements,
        trials=parameters["draws"],
        seed=SEED,
        controls=(
            breaks("expected gradients of $f = x^2$ at $0$ with baselines $-1$ and $1$, against Eq. 2 with the mean baseline", _expected(), ALGEBRA),
        ),
        parameters=parameters,
        versions=versions(),
    )


def _expected() -> float:
    def f(rows: Tensor) -> Tensor:
        return rows[:, 0] ** 2

    x, baselines = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    each = integrated_gradients(f, x, baselines=baselines)
    gradients = each / (x - baselines)
    factorised = gradients.mean(0) * (x[0] - baselines.mean(0))
    return float((each.mean(0) - factorised).abs().max())


def equation_3(claim: str) -> Evidence:
    """LRP-ε is a product of matrices that are written down from the weights, without the propagation engine."""
    parameters: dict[str, Any] = {"draws": 3, "activations": ["relu", "tanh", "softplus"], "epsilons": [0.0, 0.01, 0.3]}
    by_hand, from_rule, control = [], [], []
    for activation in parameters["activations"]:
        for model, x, target in lively_draws(parameters["draws"], activation, bias=True, seed=SEED, batch=1):
            for epsilon in parameters["epsilons"]:
                found = lrp_epsilon(model, x, target, epsilon=epsilon)
                by_hand.append(error(_matrix_product(model, x, target, epsilon, bias=True), found))
                matrices, y = relevance_matrices(model, x, rule=EpsilonRule(epsilon))
                a = y * torch.nn.functional.one_hot(target[0], len(y))
                for matrix in reversed(matrices):
                    a = matrix @ a
                from_rule.append(error(a.unsqueeze(0), found))
                control.append(error(_matrix_product(model, x, target, epsilon, bias=False), found))
    measurements = (
        at_most("product of the matrices written down from the weights", worst(by_hand), ALGEBRA),
        at_most("product of the matrices read off the rule, layer by layer", worst(from_rule), ALGEBRA),
    )
    return Evidence(
        claim=claim,
        check="formulation/equation-3",
        status=settle(measurements),
        statement="LRP-ε equals $M^{(1)} \\cdots M^{(L)} y$ with $M_{ij} = x_i w_{ij} / (z_j + \\epsilon \\operatorname{sign} z_j)$, where $z_j$ "
        "holds the bias, $M = I$ at activations, and $y$ holds the explained output alone.",
        finding="The matrices depend on the input. They can be read off the rule by sending unit vectors back.",
        domain="Random networks 6-10-9-7-3 with biases and ReLU, tanh or softplus; three values of $\\epsilon$",
        measurements=measurements,
        trials=len(by_hand),
        seed=SEED,
        controls=(breaks("the same product with the bias left out of the denominators (smallest difference of any draw)", min(control), ALGEBRA),),
        parameters=parameters,
        versions=versions(),
    )


def _matrix_product(model: nn.Sequential, x: Tensor, target: Tensor, epsilon: float, *, bias: bool) -> Tensor:
    value, matrices = x[0], []
    with torch.no_grad():
        for layer in model:
            following = layer(value)
            if isinstance(layer, nn.Linear):
                below = following if bias else following - layer.bias
                matrices.append(value.unsqueeze(1) * layer.weight.T / stabilised(below, epsilon))
            value = following
    a = value * torch.nn.functional.one_hot(target[0], len(value))
    for matrix in reversed(matrices):
        a = matrix @ a
    return a.unsqueeze(0)


def equation_4(claim: str) -> Evidence:
    """Occlusion-1 and the Shapley value are weighted sums of marginal contributions."""
    method = subject(claim)
    parameters: dict[str, Any] = {"random games": 10, "players": [1, 2, 3, 4, 5], "method": method}
    weights = {"occlusion-1": leave_one_out_weights, "shapley-value": shapley_weights}[method]
    errors = []
    for table in games(parameters["random games"]):
        players = table.numel().bit_length() - 1
        ones = torch.ones(1, players, dtype=torch.float64)
        expected = _definition(method, table)
        equation = weighted_marginal_contributions(GameModel(table), ones, weights=weights)
        errors.append(max(error(equation, expected), error(METHODS[method](GameModel(table), ones), expected)))
    measurements = (at_most("method and Eq. 4 against the definition", worst(errors), ALGEBRA),)
    constant = torch.full((1, 8), 7.0, dtype=torch.float64)
    rise = mean_when_included(constant)
    names = {
        "occlusion-1": "Occlusion-1, $f(x) - f(x \\text{ with } x_i = b_i)$, equals Eq. 4 with weight $1$ on $S = N \\setminus \\{i\\}$ and $0$ "
        "elsewhere.",
        "shapley-value": "The Shapley value, the mean marginal contribution over all $n!$ orders of arrival, equals Eq. 4 with "
        "$w_S = |S|!\\,(n - |S| - 1)!/n!$.",
    }
    return Evidence(
        claim=claim,
        check="formulation/equation-4",
        status=settle(measurements),
        statement=names[method],
        domain="Games on up to five players: random tables, OR, AND, weighted voting; the definition in exact rational arithmetic",
        measurements=measurements,
        trials=len(errors),
        seed=SEED,
        controls=(breaks("RISE on a constant game of value 7, for which Eq. 4 gives 0 whatever the weights", float(rise.abs().max()), ALGEBRA),),
        parameters=parameters,
        versions=versions(),
    )


def _definition(method: str, table: Tensor) -> Tensor:
    values = [Fraction(value) for value in table.tolist()]
    players = len(values).bit_length() - 1
    if method == "shapley-value":
        return as_rows(value_by_orders(values))
    return as_rows([values[-1] - values[-1 - (1 << i)] for i in range(players)])


def games(count: int) -> list[Tensor]:
    """Random tables on one to five players, then OR, AND and weighted voting."""
    generator = torch.Generator().manual_seed(SEED)
    tables = [random_game(1 + draw % 5, generator) for draw in range(count)]
    return [*tables, or_game(3), or_game(5), and_game(3), and_game(5), voting_game((3, 2, 2, 1), 5), voting_game((4, 3, 2, 1, 1), 6)]
