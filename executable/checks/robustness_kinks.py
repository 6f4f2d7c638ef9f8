"""Check that the robustness of gradient-based attributions to changes of the input depends on the smoothness of the model, method by method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from executable.checks.base import Case, at_least, at_most, breaks, counterexample, judge, keeps, settle, subject, versions
from executable.checks.robustness import COARSE, FINE, generator, network, normal
from executable.methods.gradient_times_input import expected_gradients, grad_times_input, integrated_gradients
from executable.methods.modified_gradient import deconv, gradient, guided_backprop
from executable.methods.perturbation import shapley_value
from taxonomy.evidence import Counterexample, Evidence

SEED = 440
DRAWS = 3
JUMP, CALM = 0.02, 0.2
"""The change over the distance at 0.01 over that at 0.000001: 1e-4 for a jump, about 1 for a Lipschitz map."""
Explain = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Place:
    """A model, an input, and a direction in which to cross it."""

    model: nn.Module
    x: Tensor
    direction: Tensor


def _lifted(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    """The input moved to where the unit is about to switch."""
    return x - (x @ weight + offset).unsqueeze(1) * weight / (weight @ weight)


def _as(model: nn.Sequential, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*[layer if isinstance(layer, nn.Linear) else activation() for layer in model])


def dense(activation: type[nn.Module], *, bias: bool) -> list[Place]:
    """Networks at inputs where the first hidden unit is about to switch, with its outgoing weights large enough to matter."""
    places = []
    for seed in range(DRAWS):
        model = network(800 + seed + 10 * bias, "relu", bias=bias)
        first, second = model[0], model[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(second, nn.Linear)
        with torch.no_grad():
            second.weight[:, 0] = torch.linspace(0.5, 1.5, second.out_features, dtype=torch.float64)
            if second.bias is not None:
                second.bias.fill_(1.0)
        offset = first.bias[0] if first.bias is not None else torch.zeros((), dtype=torch.float64)
        weight = first.weight[0]
        x = _lifted(normal(generator(820 + seed), 1, 4), weight, offset)
        places.append(Place(_as(model, activation), x, (weight / weight.norm()).unsqueeze(0)))
    return places


def pooled(pool: type[nn.Module]) -> list[Place]:
    """Convolution, ReLU, pooling and a dense layer on a row of pixels, at an input where two entries of a window of one filter are equal."""
    places = []
    for seed in range(DRAWS):
        source = generator(840 + seed)
        first, last = nn.Conv1d(1, 4, 3, bias=False, dtype=torch.float64), nn.Linear(8, 1, bias=False, dtype=torch.float64)
        x = normal(source, 1, 1, 6)
        with torch.no_grad():
            for layer in (first, last):
                layer.weight.copy_(normal(source, *layer.weight.shape))
            last.weight.abs_()
            kernel = first.weight[0, 0]
            apart = torch.zeros(6, dtype=torch.float64)  # entry 0 less entry 1 of the first window
            apart[:3] += kernel
            apart[1:4] -= kernel
            level = torch.zeros(6, dtype=torch.float64)
            level[:3] = kernel
            level = level - (level @ apart) * apart / (apart @ apart)
            flat = x[0, 0] - (x[0, 0] @ apart) * apart / (apart @ apart)
            x = (flat + (1 - flat @ level) * level / (level @ level)).reshape(1, 1, 6)  # both entries equal and about 1
        model = nn.Sequential(first, nn.ReLU(), pool(2), nn.Flatten(), last).requires_grad_(False)
        places.append(Place(model, x, (apart / apart.norm()).reshape(1, 1, 6)))
    return places


def _steady(explain: Explain, place: Place) -> float:
    """The rate of change at a coarse scale over that at a fine one: near zero for a jump, about one for a bounded rate, one if nothing moves."""
    rates = []
    for step in (COARSE, FINE):
        moved = explain(place.model, place.x + step * place.direction) - explain(place.model, place.x - step * place.direction)
        rates.append(float(moved.norm()) / (2 * step))
    return 1.0 if rates[1] < 1e-4 else rates[0] / rates[1]


def _plain(function: Callable[..., Tensor], **options: Any) -> Explain:
    return lambda model, x: function(model, x, **options)


def _expected(model: nn.Module, x: Tensor) -> Tensor:
    return expected_gradients(model, x, baselines=torch.cat([torch.zeros_like(x), torch.full_like(x, 0.5)]))


Places = Sequence[tuple[str, Explain, Sequence[Place]]]


def _settings(method: str) -> tuple[Places, Places, Places]:
    """Kinked models where the attribution is expected to jump, kinked ones where it is not, and smooth ones."""
    explain = _EXPLAIN[method]
    if method == "deconv":
        loose = _plain(deconv, other_activations="ordinary")
        return (
            [("max-pooling, two entries equal", explain, pooled(nn.MaxPool1d))],
            [("ReLU networks without pooling, a unit about to switch", explain, dense(nn.ReLU, bias=True))],
            [
                ("mean in place of max-pooling", explain, pooled(nn.AvgPool1d)),
                ("softplus with its ordinary derivative", loose, dense(nn.Softplus, bias=True)),
            ],
        )
    smooth = _plain(guided_backprop, other_activations="ordinary") if method == "guided-backprop" else explain
    calm = [(f"{kind.__name__} in its place", smooth, dense(kind, bias=True)) for kind in (nn.Softplus, nn.Tanh)]
    if method in ("integrated-gradients", "expected-gradients"):
        return (
            [("ReLU networks without biases, a unit about to switch", explain, dense(nn.ReLU, bias=False))],
            [("ReLU networks with biases, a unit about to switch", explain, dense(nn.ReLU, bias=True))],
            calm,
        )
    return [("ReLU networks with biases, a unit about to switch", explain, dense(nn.ReLU, bias=True))], [], calm


_EXPLAIN: dict[str, Explain] = {
    "deconv": deconv,
    "expected-gradients": _expected,
    "grad-times-input": grad_times_input,
    "gradient": gradient,
    "guided-backprop": guided_backprop,
    "integrated-gradients": _plain(integrated_gradients, n_steps=200),
}
NAMES = {
    "deconv": "Deconv",
    "expected-gradients": "expected gradients",
    "grad-times-input": "gradient times input",
    "gradient": "the gradient",
    "guided-backprop": "guided backpropagation",
    "integrated-gradients": "integrated gradients",
}


def smoothness_decides(claim: str) -> Evidence:
    """Each method jumps at the kinks named for it, and moves in proportion elsewhere."""
    method = subject(claim)
    jumping, spared, calm = ([(name, _least(explain, places)) for name, explain, places in part] for part in _settings(method))
    cases = [*(Case(name, True, value) for name, value in jumping), *(Case(name, False, value) for name, value in spared)]
    kinked, soft = dense(nn.ReLU, bias=True), dense(nn.Softplus, bias=True)
    measurements = (
        *(at_most(f"{name}: quotient at distance 0.01 over that at 0.000001", value, JUMP) for name, value in jumping),
        *(at_least(f"{name}: quotient at distance 0.01 over that at 0.000001", value, CALM) for name, value in (*spared, *calm)),
    )
    return Evidence(
        claim=claim,
        check="robustness-kinks/smoothness-decides",
        status=settle(measurements, judge(cases, JUMP)),
        condition=_CONDITIONS.get(method),
        statement=f"Whether the change of {NAMES[method]} is bounded by a constant times that of the input depends on the smoothness of the model: "
        "at kinks the attribution jumps, on smooth models it does not.",
        finding=_FINDINGS[method],
        domain="Random networks in four dimensions with ReLU, softplus or tanh at inputs where one unit switches"
        if method != "deconv"
        else "Random networks of a convolution on six pixels with pooling, at inputs where two entries of a window are equal, and dense networks",
        measurements=measurements,
        trials=DRAWS * len(measurements),
        seed=SEED,
        counterexample=_spared(method),
        controls=(
            breaks("the Shapley value at the kinks of ReLU networks: quotient at the two distances", _least(_plain(shapley_value), kinked), JUMP),
            keeps("the gradient rounded to tenths at those kinks: quotient at the two distances", _least(_signs, kinked), JUMP),
            breaks("the Shapley value of softplus networks: quotient at the two distances", _least(_plain(shapley_value), soft), JUMP),
        ),
        parameters={"distances": [COARSE, FINE], "networks": DRAWS},
        versions=versions(),
    )


def _least(explain: Explain, places: Sequence[Place]) -> float:
    return min(_steady(explain, place) for place in places)


def _signs(model: nn.Module, x: Tensor) -> Tensor:
    """The attribution rounded to whole numbers, which jumps as the gradient does."""
    return (10 * gradient(model, x)).round() / 10


_FINDINGS = {
    "deconv": "Without max-pooling the map does not depend on the input at all, kinks or none. With it the map jumps where another entry of a "
    "window becomes the largest; what decides is pooling by maxima, not the activation.",
    "expected-gradients": "The mean over the path removes the jump unless the path runs within the kink, as it does for the zero baseline in "
    "networks without biases; one such baseline among several is enough.",
    "grad-times-input": "At a kink of the model the attribution jumps with the gradient; with a smooth activation in its place the quotient tends to "
    "a finite value.",
    "gradient": "At a kink of the model the gradient jumps; with a smooth activation in its place the quotient tends to a finite value.",
    "guided-backprop": "At a kink of the model the map jumps as the unit's gate opens or closes. On smooth activations the rule is not defined; with "
    "their ordinary derivative it does not jump.",
    "integrated-gradients": "The mean over the path removes the jump unless the path runs within the kink, as it does for the zero baseline in "
    "networks without biases.",
}


_CONDITIONS = {
    "deconv": "The model has max-pooling; kinks of its activations have no influence.",
    "expected-gradients": "The kinks contain the whole segment from a baseline to the input; other kinks have no such influence.",
    "integrated-gradients": "The kinks contain the whole segment from baseline to input; other kinks have no such influence.",
}


def _spared(method: str) -> Counterexample | None:
    """A kinked model at whose kink the attribution does not jump."""
    if method == "deconv":
        return counterexample(
            "$\\max(0, x_1 - x_2) + \\max(0, 2 x_1 + x_2)$ has kinks, and the map is $(3, 0)$ at every input.",
            _CONSTANT,
            inputs=[[1, 0], [0, 1], [-5, 2]],
            map=[3, 0],
        )
    if method not in _CONDITIONS:
        return None
    call = ", baselines=torch.tensor([[0.0], [0.5]], dtype=torch.float64)" if method == "expected-gradients" else ""
    return counterexample(
        "$\\max(0, x - 1)$ on both sides of its kink at $1$: the gradient jumps from $0$ to $1$, the attribution moves as little as the input.",
        _CROSSED.format(function=method.replace("-", "_"), options=call),
        inputs=[1 - 2**-10, 1 + 2**-10],
    )


_CONSTANT = """
import torch
from executable.methods import deconv

f = lambda x: torch.relu(x @ torch.tensor([[1.0, 2.0], [-1.0, 1.0]])) @ torch.tensor([1.0, 1.0])
assert torch.equal(deconv(f, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-5.0, 2.0]])), torch.tensor([[3.0, 0.0]] * 3))
"""
_CROSSED = """
import torch
from executable.methods import gradient, {function}

f = lambda x: torch.relu(x[:, 0] - 1)
below, above = (torch.tensor([[1 + h]], dtype=torch.float64) for h in (-(2.0**-10), 2.0**-10))
assert gradient(f, below).item() == 0 and gradient(f, above).item() == 1
assert abs({function}(f, above{options}).item() - {function}(f, below{options}).item()) < 0.01
"""
