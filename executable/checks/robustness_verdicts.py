"""Checks of what is said of all gradient-based methods: that they lack robustness to changes of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from executable.checks.base import (
    ALGEBRA,
    SMOOTH,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    judge,
    keeps,
    number,
    settle,
    subject,
    versions,
    worst,
)
from executable.checks.robustness import generator, network, normal
from executable.checks.robustness_smoothing import SIGMA, Ridges
from executable.methods.gradient_times_input import expected_gradients, grad_times_input, integrated_gradients
from executable.methods.modified_gradient import deconv, gradient, guided_backprop
from executable.methods.perturbation import shapley_value
from executable.principles.robustness import Raised, ridge
from taxonomy.evidence import Counterexample, Evidence

SEED = 430
HEIGHT, LOW, HIGH = 1e-3, 10.0, 1000.0
LARGE = 0.05
"""Of a change that grows with the derivative the lower frequency gives a hundredth, of one that follows the outputs all."""
NETWORKS = 3
Explain = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""An attribution of a model at x, with baselines in rows."""


def _plain(function: Callable[..., Tensor], **options: Any) -> Explain:
    return lambda model, x, baselines: function(model, x, **options)


METHODS: dict[str, Explain] = {
    "gradient": _plain(gradient),
    "deconv": _plain(deconv),
    "guided-backprop": _plain(guided_backprop),
    "grad-times-input": _plain(grad_times_input),
    "integrated-gradients": _plain(integrated_gradients, method="exact"),
    "expected-gradients": lambda model, x, baselines: expected_gradients(model, x, baselines=baselines, n_steps=200),
}
NAMES = {
    "gradient": "the gradient",
    "deconv": "Deconv",
    "guided-backprop": "guided backpropagation",
    "grad-times-input": "gradient times input",
    "integrated-gradients": "integrated gradients",
    "expected-gradients": "expected gradients",
}


def drawn() -> list[tuple[nn.Sequential, Tensor, Tensor, Tensor]]:
    """ReLU networks with an input, two baselines, and a unit vector at right angles to all three."""
    found = []
    for seed in range(NETWORKS):
        source = generator(600 + seed)
        x, baselines = normal(source, 1, 4).abs() + 0.2, torch.cat([torch.zeros(1, 4, dtype=torch.float64), normal(source, 1, 4)])
        w: Tensor = torch.linalg.svd(torch.cat([x, baselines]))[2][-1]
        found.append((network(60 + seed, "relu", bias=True), x, baselines, w))
    return found


def rates(explain: Explain) -> tuple[float, float]:
    """Change of the attribution over the height of a ridge of low and of high slope, least over the networks for the high one."""
    low: list[float] = []
    high: list[float] = []
    for model, x, baselines, w in drawn():
        plain = explain(ridge(model, w, 0.0, LOW), x, baselines)
        for found, frequency in ((low, LOW), (high, HIGH)):
            found.append(float((explain(ridge(model, w, HEIGHT, frequency), x, baselines) - plain).norm()) / HEIGHT)
    return worst(low), min(high)


def on_data(explain: Explain) -> float:
    """Least change of the attribution between two models that agree on the data and lean to opposite sides, over half their difference in slope."""
    moved = []
    one = torch.ones(1, dtype=torch.float64)
    for model, x, baselines, w in drawn():
        up, down = (Raised(model, w.unsqueeze(0), one, sign * one, -sign) for sign in (10.0, -10.0))
        assert float((up(x) - down(x)).abs().max()) < ALGEBRA
        moved.append(float((explain(up, x, baselines) - explain(down, x, baselines)).norm()) / 20)
    return min(moved)


def cancelling(explain: Explain) -> float:
    """Least change of the attribution, relative to its size, if two units that are alike and count with opposite signs are added."""
    moved = []
    zero, outer = torch.zeros(2, dtype=torch.float64), torch.tensor([5.0, -5.0], dtype=torch.float64)
    for model, x, baselines, w in drawn():
        weight = (x[0] / x.norm() + w).expand(2, -1)
        one, other = (explain(Raised(model, weight, zero, strength * outer), x, baselines) for strength in (0.0, 1.0))
        moved.append(float((one - other).norm() / one.norm().clamp(min=1)))
    return min(moved)


def model_change(claim: str) -> Evidence:
    """A steep low ridge, a lean off the data, and units that cancel: which of them moves the attribution."""
    method = subject(claim)
    if method == "smoothgrad":
        return smoothed(claim)
    return same_function(claim) if method in ("deconv", "guided-backprop") else steep(claim)


def steep(claim: str) -> Evidence:
    """Methods that read the gradient off: unbounded in the distance of outputs, bounded with derivatives."""
    method = subject(claim)
    explain = METHODS[method]
    (low, high), lean = rates(explain), on_data(explain)
    cases = (
        Case("distance of outputs on the data", True, max(0.0, LARGE - lean)),
        Case("distance of outputs everywhere", True, max(0.0, low / high - LARGE)),
        Case("distance of outputs and derivatives", False, max(0.0, (low / LOW) / (high / HIGH) - LARGE)),
    )
    steady = rates(lambda model, x, baselines: shapley_value(model, x))
    measurements = (
        at_most("ridge of height 0.001: change over height at slope 0.01 over that at slope 1", low / high, LARGE),
        at_least("ridge of height 0.001, slope 1: change over height", high, 50),
        at_least("models that agree on the data: change over half the difference in slope", lean, LARGE),
        at_most("change over that of the derivatives times the largest distance", max(low / LOW, high / HIGH) / _reach(method), 1.0),
        at_most("units that cancel: relative change", cancelling(explain), ALGEBRA, "the function decides"),
    )
    return Evidence(
        claim=claim,
        check="robustness-verdicts/model",
        status=settle(measurements, judge(cases, ALGEBRA)),
        statement=f"No constant bounds the change of {NAMES[method]} by the distance of two models.",
        condition="The distance compares outputs, everywhere or on the data. If it includes the largest difference of derivatives, the size of "
        f"{'the input' if method == 'grad-times-input' else 'the input less the baseline'} will do as a constant.",
        finding=_STEEP[method],
        domain="Random ReLU networks in four dimensions with a ridge of height 0.001 added, across a direction in which input and baselines agree, "
        "or with a lean that is zero on the data",
        measurements=measurements,
        trials=7 * NETWORKS,
        seed=SEED,
        counterexample=_waves(method),
        controls=(
            breaks("the Shapley value: change at the low slope over that at the high one", min(1.0, steady[0] / max(steady[1], ALGEBRA)), LARGE),
            keeps("the gradient: change at the low slope over that at the high one", _quotient(METHODS["gradient"]), LARGE),
        ),
        parameters={"height": HEIGHT, "frequencies": [LOW, HIGH], "networks": NETWORKS},
        versions=versions(),
    )


def _quotient(explain: Explain) -> float:
    low, high = rates(explain)
    return low / high


def _reach(method: str) -> float:
    """Largest distance of an entry of the input from zero, or from a baseline, and 1 % for the quadrature."""
    distances = [x.abs() if method == "grad-times-input" else (x - baselines).abs() for _, x, baselines, _ in drawn()]
    return 1.01 * max(float(d.max()) for d in distances)


_STEEP = {
    "grad-times-input": "A ridge of height $\\delta$ and width $1/n$ changes the output by at most $\\delta$ and the attribution by $\\delta n$ "
    "times the input, for any $n$.",
    "integrated-gradients": "A ridge of height $\\delta$ and slope $\\delta n$ that runs along the path changes the output by at most $\\delta$ and "
    "the attribution in proportion to $\\delta n$; one that the path crosses changes it by at most $2 \\delta$.",
    "expected-gradients": "A ridge of height $\\delta$ and slope $\\delta n$ that runs along the paths from finitely many baselines changes the "
    "output by at most $\\delta$ and the attribution in proportion to $\\delta n$.",
}
_WAVE = """
import torch
from executable.methods import {function}

x = torch.ones(1, 2, dtype=torch.float64)
for n in (10, 1000):
    wave = lambda x: 0.001 * torch.sin(n * (x[:, 0] - x[:, 1]))   # never above 0.001
    a = {call}
    expected = {share} * 0.001 * n * torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    assert torch.allclose(a, expected)   # in proportion to the derivative
"""
_CALLS = {
    "grad-times-input": ("grad_times_input", "grad_times_input(wave, x)", "1"),
    "integrated-gradients": ("integrated_gradients", "integrated_gradients(wave, x)", "1"),
    "expected-gradients": (
        "expected_gradients",
        "expected_gradients(wave, x, baselines=torch.tensor([[0.0, 0.0], [3.0, 3.0]], dtype=torch.float64))",
        "-0.5",
    ),
}


def _waves(method: str) -> Counterexample:
    function, call, share = _CALLS[method]
    return counterexample(
        "$0.001 \\sin(n (x_1 - x_2))$ at $(1, 1)$ is never above $0.001$, whatever $n$; the attribution is in proportion to $n$, and so is the "
        "largest derivative.",
        _WAVE.format(function=function, call=call, share=share),
        input=[1, 1],
        frequencies=[10, 1000],
    )


def same_function(claim: str) -> Evidence:
    """Rules that clip signals unit by unit depend on the network and not on its function."""
    method = subject(claim)
    explain = METHODS[method]
    moved, (low, high) = cancelling(explain), rates(explain)
    measurements = (
        at_least("units that cancel: least relative change of the map", moved, 0.1),
        at_most("units that cancel: largest change of the output", _outputs(), ALGEBRA),
        at_most("units that cancel: relative change of the gradient", cancelling(METHODS["gradient"]), ALGEBRA),
        at_most("ridge of height 0.001: change over height at slope 0.01 over that at slope 1", low / high, LARGE),
    )
    return Evidence(
        claim=claim,
        check="robustness-verdicts/model",
        status=settle(measurements),
        statement=f"No constant bounds the change of {NAMES[method]} by the distance of two models, however that of functions is measured.",
        condition=None if all(m.within for m in measurements) else "A measured number misses its bound.",
        finding="Two units that are alike and count with opposite signs leave the function as it is at every input. Where the signal on its way back "
        "is clipped at zero unit by unit, the positive one stays and the map changes.",
        domain="Random ReLU networks in four dimensions with two more units that cancel, or with a ridge of height 0.001",
        measurements=measurements,
        trials=5 * NETWORKS,
        seed=SEED,
        counterexample=counterexample(
            "Against robustness: $\\max(0, x_1)$ alone, and with $\\max(0, x_2) - \\max(0, x_2)$ as two more units: at $(1, 1)$ the maps are "
            "$(1, 0)$ and $(1, 1)$.",
            _UNITS.format(function=method.replace("-", "_")),
            input=[1, 1],
            maps=[[1, 0], [1, 1]],
        ),
        controls=(
            breaks("the gradient of the same networks: 0.1 less its change", 0.1 - cancelling(METHODS["gradient"]), ALGEBRA),
            breaks("integrated gradients of the same networks: 0.1 less its change", 0.1 - cancelling(METHODS["integrated-gradients"]), ALGEBRA),
        ),
        parameters={"strength": 5, "networks": NETWORKS},
        versions=versions(),
    )


_UNITS = """
import torch
from executable.methods import {function}

units = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
f = lambda x: torch.relu(x @ units) @ torch.tensor([1.0, 0.0, 0.0])
g = lambda x: torch.relu(x @ units) @ torch.tensor([1.0, 1.0, -1.0])   # the same function
x = torch.ones(1, 2)
assert {function}(f, x).tolist() == [[1, 0]] and {function}(g, x).tolist() == [[1, 1]]
"""


def _outputs() -> float:
    zero, outer = torch.zeros(2, dtype=torch.float64), torch.tensor([5.0, -5.0], dtype=torch.float64)
    gaps = []
    for model, x, _, w in drawn():
        weight = (x[0] / x.norm() + w).expand(2, -1)
        points = normal(generator(650), 200, 4)
        gaps.append(float((Raised(model, weight, zero, outer)(points) - model(points)).abs().max()))
    return worst(gaps)


def _smoothed_rates(shape: str) -> list[float]:
    """Change of the exact SmoothGrad at 0 over the height of what is added: a ridge, or a step from -1 to 1, of slopes 10 and 1000."""
    found = []
    for n in (LOW, HIGH):
        weights = n * torch.tensor([[0.6, 0.8, 0.0]], dtype=torch.float64)
        if shape == "ridge":
            added = Ridges(weights.expand(3, -1), torch.tensor([1.5, 0.5, -0.5], dtype=torch.float64), torch.tensor([1.0, -2.0, 1.0]).double())
        else:
            added = Ridges(weights.expand(2, -1), torch.tensor([1.0, -1.0], dtype=torch.float64), torch.tensor([1.0, -1.0]).double())
        points = normal(generator(660), 200, 3)
        points[0] = 0
        found.append(float(added.smooth(points).norm(dim=1).max()))
    return found


def smoothed(claim: str) -> Evidence:
    """SmoothGrad, with the mean taken exactly: bounded by the distance of outputs everywhere, unbounded by that on the data."""
    bound = math.sqrt(2 / math.pi) / SIGMA
    ridges, steps = _smoothed_rates("ridge"), _smoothed_rates("step")
    lean = _leaning()
    cases = (
        Case("distance of outputs on the data", True, max(0.0, 1 - lean)),
        Case("distance of outputs everywhere: ridge", False, max(0.0, ridges[0] / ridges[1] - LARGE)),
        Case("distance of outputs everywhere: step", False, max(0.0, steps[0] / steps[1] - LARGE)),
    )
    slopes = [LOW, HIGH]
    measurements = (
        at_least("models that agree on the data: change over the difference in slope", lean, 1 - ALGEBRA),
        at_most("ridges and steps of height 1: largest change over sqrt(2 / pi) / sigma", max(*ridges, *steps) / bound, 1 + SMOOTH),
        at_least("step of slope 1000: change over that bound", steps[1] / bound, 0.99, "the bound is attained"),
        number("the gradient of the step of slope 1000", slopes[1]),
    )
    return Evidence(
        claim=claim,
        check="robustness-verdicts/model",
        status=settle(measurements, judge(cases, ALGEBRA)),
        statement="No constant bounds the change of SmoothGrad by the distance of two models.",
        condition="The distance compares outputs on the data only. If it is the largest difference of outputs anywhere, $\\sqrt{2 / \\pi} / \\sigma$ "
        "will do as a constant.",
        finding="The mean of the gradient over Gaussian noise is a mean of outputs against the derivative of the density, so that it follows the "
        "outputs; the constant is attained by a steep step. Off the data the models may differ as one likes, and the noise leaves the data.",
        domain="Ridges and steps of slopes 10 and 1000 in three dimensions and a lean off a plane, with the mean over Gaussian noise in closed form",
        measurements=measurements,
        trials=4 * 200 + 20,
        seed=SEED,
        counterexample=counterexample(
            "On the line $x_1 = x_2$ the models $x_1$ and $x_1 + 10 (x_1 - x_2)$ agree; SmoothGrad gives $(1, 0)$ and $(11, -10)$.",
            _LEAN,
            data=[[1, 1], [2, 2]],
            attributions=[[1, 0], [11, -10]],
        ),
        controls=(
            breaks("half the bound: excess for the step", max(0.0, steps[1] / (bound / 2) - 1), SMOOTH),
            keeps("the plain gradient of ridges: change at slope 10 over that at slope 1000", slopes[0] / slopes[1], LARGE),
        ),
        parameters={"sigma": SIGMA, "frequencies": slopes, "points": 200},
        versions=versions(),
    )


_LEAN = """
import torch
from executable.methods import smoothgrad

f = lambda x: x[:, 0]
g = lambda x: x[:, 0] + 10 * (x[:, 0] - x[:, 1])
data = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
assert torch.equal(f(data), g(data))
assert torch.allclose(smoothgrad(f, data, stdevs=0.5), torch.tensor([[1.0, 0.0]]))
assert torch.allclose(smoothgrad(g, data, stdevs=0.5), torch.tensor([[11.0, -10.0]]))
"""


def _leaning() -> float:
    """Least change of SmoothGrad, over the slope, if a function that is linear and zero on the plane of the data is added."""
    w = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    lean = Ridges(torch.stack([w, -w]), torch.zeros(2, dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64))
    points = normal(generator(670), 20, 3)
    points = points - (points @ w).unsqueeze(1) * w
    assert float(lean(points).abs().max()) < ALGEBRA
    return float(lean.smooth(points).norm(dim=1).min())
