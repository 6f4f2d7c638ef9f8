"""Checks of what the robustness of removal-based attributions is said to depend on, method by method: smoothness, baselines, summary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, subject, versions
from executable.checks.robustness import generator, normal
from executable.checks.robustness_removal import CONSTANTS, LINKED, METHODS, lipschitz
from executable.methods.modified_gradient import gradient
from executable.removal import ConditionalEmpirical, Fixed, Marginal, Removal
from taxonomy.evidence import Evidence

SEED = 450
FEATURES = 4
CLEARLY = 0.1
"""A factor matters if it changes the result by ten times or more."""
Model = Callable[[Tensor], Tensor]
NAMES = {"occlusion-1": "Occlusion-1", "occlusion-patch": "patch occlusion", "rise": "RISE", "shapley-value": "the Shapley value"}
ONE = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)


def first(x: Tensor) -> Tensor:
    """x1."""
    return x[:, 0]


def third(x: Tensor) -> Tensor:
    """x3, which is x1 on the data."""
    return x[:, 2]


def step(x: Tensor) -> Tensor:
    """1 where the features add up to more than one."""
    return (x.sum(dim=1) > 1).to(x)


def _apart(method: str, f: Model, x: Tensor, g: Model, y: Tensor, removal: Removal) -> float:
    run = METHODS[method]
    return float((run(f, x, baselines=removal) - run(g, y, baselines=removal)).norm())


def _over_distance(method: str, f: Model, x: Tensor, y: Tensor, removal: Removal) -> float:
    return _apart(method, f, x, f, y, removal) / float((x - y).norm())


def _rows(points: Tensor) -> list[Tensor]:
    """Each input as a batch of one."""
    return [point.unsqueeze(0) for point in points]


def smooth_and_step(method: str) -> tuple[float, float]:
    """Change over the change of the input: largest for networks with a Lipschitz constant, over that constant, and for a step."""
    removal = Fixed(torch.zeros(1, FEATURES, dtype=torch.float64))
    ratios = []
    for seed in range(2):
        smooth = lipschitz(seed, "tanh")
        points, moves = normal(generator(900 + seed), 10, FEATURES), 1e-4 * normal(generator(910 + seed), 10, FEATURES)
        ratios += [
            _over_distance(method, smooth.model, x, x + d, removal) / smooth.constant for x, d in zip(_rows(points), _rows(moves), strict=True)
        ]
    low, high = (torch.full((1, FEATURES), value, dtype=torch.float64) for value in (0.249999, 0.250001))
    return max(ratios), _over_distance(method, step, low, high, removal)


def by_link(method: str) -> tuple[float, float]:
    """Change of the attribution of x1 over that of the input where x1 and x3 are suddenly linked: marginal and conditional removal."""
    data = LINKED[:, [0, 2, 1, 3]]
    near, far = (torch.tensor([[0.5, 0.0, value, 0.0]], dtype=torch.float64) for value in (0.499, 0.501))
    marginal, conditional = (_over_distance(method, first, near, far, removal) for removal in (Marginal(data), ConditionalEmpirical(data)))
    return marginal, conditional


def on_the_data(method: str) -> tuple[float, float]:
    """Change of the attribution from the model x1 to the model x3, which agree on the data: fixed and conditional removal."""
    data = torch.cat([torch.zeros_like(ONE), ONE])
    fixed, conditional = (_apart(method, first, ONE, third, ONE, removal) for removal in (Fixed(torch.zeros_like(ONE)), ConditionalEmpirical(data)))
    return fixed, conditional


def between_models(method: str, model: Model) -> float:
    """Largest change of the attribution, over the largest change of the output, if a steep wave is added to the model."""
    removal = Fixed(torch.zeros(1, FEATURES, dtype=torch.float64))

    def waved(x: Tensor) -> Tensor:
        return model(x) + 0.1 * (50 * x.sum(dim=1)).sin()

    points = normal(generator(920), 20, FEATURES)
    return max(_apart(method, model, x, waved, x, removal) for x in _rows(points)) / 0.1


def depends(claim: str) -> Evidence:
    """Changes of the input: smoothness and the baselines decide. Changes of the model: the baselines do, smoothness does not."""
    return _input(claim) if claim.endswith("input-perturbation-robustness") else _model(claim)


_DOMAIN = "Random tanh networks with a Lipschitz constant, a step and linear models on four features; data on which two features are linked"


def _input(claim: str) -> Evidence:
    method = subject(claim)
    (smooth, jump), (marginal, conditional) = smooth_and_step(method), by_link(method)
    cases = (Case("smoothness", True, smooth / jump), Case("baselines", True, marginal / conditional))
    measurements = (
        at_most("Lipschitz networks: change over constant times change of the input", smooth, CONSTANTS[method]),
        at_least("a step: change over change of the input", jump, 1000),
        at_most("x1, linked with x3, marginal removal: change over change of the input", marginal, CONSTANTS[method]),
        at_least("x1, linked with x3, conditional removal: change over change of the input", conditional, 10 * CONSTANTS[method]),
        number("the factor of the published bound, which depends on the summary", CONSTANTS[method]),
    )
    status = settle(measurements, judge(cases, CLEARLY))
    return Evidence(
        claim=claim,
        check="removal-verdicts/depends",
        status=status,
        condition=None if status == "holds" else "A measured number misses its bound.",
        statement=f"How far a small change of the input can move {NAMES[method]} depends on the smoothness of the model and on the distribution of "
        "the baselines.",
        finding="A step of the model breaks every bound in terms of the change of the input, and so does a conditional distribution that changes "
        "suddenly, even for a linear model. The summary enters by a factor that depends on the number of features alone.",
        domain=_DOMAIN,
        measurements=measurements,
        trials=24,
        seed=SEED,
        controls=(
            breaks("the models x1 and x3 against each other: ratio", _two_models(method), CLEARLY),
            keeps("the gradient of a steep wave against that of a flat one: ratio", _waves(), CLEARLY),
        ),
        parameters={"features": FEATURES, "networks": 2, "pairs": 10},
        versions=versions(),
    )


def _two_models(method: str) -> float:
    removal = Fixed(torch.zeros(1, FEATURES, dtype=torch.float64))
    moved = [_over_distance(method, f, ONE, ONE + 1e-4, removal) for f in (first, third)]
    return min(moved) / max(moved)


def _waves() -> float:
    x = torch.zeros(1, 1, dtype=torch.float64)
    flat, steep = (float(gradient(lambda x, n=n: (n * x[:, 0]).sin(), x)) for n in (1.0, 1000.0))
    return flat / steep


def _model(claim: str) -> Evidence:
    method = subject(claim)
    fixed, conditional = on_the_data(method)
    smooth, jump = between_models(method, lipschitz(0, "tanh").model), between_models(method, step)
    cases = (Case("baselines", True, conditional / fixed), Case("smoothness", False, min(smooth, jump) / max(smooth, jump)))
    measurements = (
        at_least("models equal on the data, fixed baseline: change", fixed, 0.5),
        at_most("models equal on the data, conditional removal: change", conditional, ALGEBRA),
        at_most("a wave added to a smooth network: change over the largest change of the output", smooth, CONSTANTS[method]),
        at_most("the same wave added to a step: change over the largest change of the output", jump, CONSTANTS[method]),
        number("the factor of the published bound, which depends on the summary", CONSTANTS[method]),
    )
    return Evidence(
        claim=claim,
        check="removal-verdicts/depends",
        status=settle(measurements, judge(cases, CLEARLY)),
        statement=f"How far a small change of the model can move {NAMES[method]} depends on the smoothness of the model and on the distribution of "
        "the baselines.",
        condition="Of the two it is the distribution of the baselines, with models compared on the data. Smoothness has no influence: attributions "
        "are linear in the outputs that are queried, so that the largest difference of outputs bounds their change for steps as for smooth networks.",
        finding="Conditional removal stays on the data, where the two models agree; a fixed baseline leaves them. The summary enters by a factor "
        "that depends on the number of features alone.",
        domain=_DOMAIN,
        measurements=measurements,
        trials=44,
        seed=SEED,
        counterexample=counterexample(
            "A step, which is not smooth, and the same step plus a steep wave of height $0.1$: attributions are differences of outputs or means of "
            "them, and move by $0.2$ at most.",
            _QUERIED,
            input=[1, 1],
            difference=0.1,
        ),
        controls=(
            breaks("models that differ on the data, conditional against fixed removal: ratio", _different(method), CLEARLY),
            keeps("one model twice, conditional removal: change over that with a fixed baseline", _same(method, fixed), CLEARLY),
        ),
        parameters={"features": FEATURES, "points": 20},
        versions=versions(),
    )


_QUERIED = """
import torch
from executable.methods import occlusion_1, shapley_value

step = lambda x: (x.sum(dim=1) > 1.5).to(x)
near = lambda x: step(x) + 0.1 * torch.sin(1000 * x.sum(dim=1))   # never further away than 0.1
x = torch.ones(1, 2, dtype=torch.float64)
for method in (occlusion_1, shapley_value):
    assert (method(step, x) - method(near, x)).abs().max() <= 0.2
"""


def _different(method: str) -> float:
    """With every corner in the data no model equals another on them, and conditional removal tells x1 and x3 apart as well."""
    data = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * FEATURES)
    fixed, conditional = (_apart(method, first, ONE, third, ONE, removal) for removal in (Fixed(torch.zeros_like(ONE)), ConditionalEmpirical(data)))
    return conditional / fixed


def _same(method: str, fixed: float) -> float:
    data = torch.cat([torch.zeros_like(ONE), ONE])
    return _apart(method, first, ONE, first, ONE, ConditionalEmpirical(data)) / fixed
