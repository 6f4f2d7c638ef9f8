"""The principles of robustness (Sec. IV-E and IV-F) as property tests: small changes of the input, and small changes of the model.

A bound on the change of the attribution by a constant times the change of input or model cannot be refuted by one pair: every quotient is finite.
The tests compare the quotient at two scales. If it stays, the pairs are compatible with a bound; if it grows like the inverse of the scale, there is
none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from executable.arguments import Model
from executable.principles.asking import RefusedError, ask, not_applicable, shown
from executable.principles.base import Explainer, Finding
from executable.testbeds.mlps import mlp

SEED = 950
COARSE, FINE = 1e-2, 1e-6
LOW, HIGH = 10.0, 1000.0
STEADY = 100.0
"""The quotient of a jump grows by 10**4 between the two distances, that of a Lipschitz map hardly: 100 is the geometric mean."""
TAME = 10.0
"""A change with the derivative grows by 100 between the two frequencies, one with the outputs not at all: 10 is the geometric mean."""
STILL = 1e-2
"""Allowed change relative to the size of the attribution: what a quadrature or a small stabiliser may give, where the kinds of change looked for are
of the order of the attribution itself."""
SIZES = (4, 6, 5, 1)
Case = tuple[str, nn.Sequential, Tensor, Tensor]


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _draw(seed: int, activation: str, *, bias: bool) -> nn.Sequential:
    return mlp(SIZES, activation, bias=bias, generator=torch.Generator().manual_seed(SEED + seed)).requires_grad_(False)


def _slopes_apart(model: nn.Sequential, x: Tensor, direction: Tensor) -> float:
    """Difference of the gradients on the two sides of x."""
    sides = []
    for sign in (1.0, -1.0):
        leaf = (x + sign * 1e-4 * direction).requires_grad_()
        (slope,) = torch.autograd.grad(model(leaf).sum(), leaf)
        sides.append(slope)
    return float((sides[0] - sides[1]).norm())


@functools.cache
def _kinked(*, bias: bool) -> tuple[Case, ...]:
    """ReLU networks at an input at which the first unit is about to switch; without biases it is about to switch on the whole way from zero."""
    cases: list[Case] = []
    seed = 0
    while len(cases) < 4:
        seed += 1
        model = _draw(seed + 100 * bias, "relu", bias=bias)
        first = model[0]
        assert isinstance(first, nn.Linear)
        weight, offset = first.weight[0], 0.0 if first.bias is None else float(first.bias[0])
        x = _normal(torch.Generator().manual_seed(SEED + seed), 1, SIZES[0]).abs()
        x = x - (x @ weight + offset).unsqueeze(1) * weight / (weight @ weight)
        direction = (weight / weight.norm()).unsqueeze(0)
        if float(x.min()) > 0.01 and _slopes_apart(model, x, direction) > 0.05:
            cases.append((f"network {seed}", model, x, direction))
    return tuple(cases)


@functools.cache
def _smooth() -> tuple[Case, ...]:
    """The same inputs and weights with a smooth activation."""
    made = {"tanh": nn.Tanh, "softplus": nn.Softplus}
    return tuple(
        (f"{name} in {title}", nn.Sequential(*[layer if isinstance(layer, nn.Linear) else activation() for layer in model]), x, direction)
        for name, activation in made.items()
        for title, model, x, direction in _kinked(bias=True)[:2]
    )


def _switch() -> Case:
    """max(0, x1 - x2) at (1, 1)."""
    layer = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0]]))
    model = nn.Sequential(layer, nn.ReLU()).requires_grad_(False)
    return "max(0, x1 - x2)", model, torch.ones(1, 2, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)


def input_perturbation_robustness(explain: Explainer) -> tuple[Finding, ...]:
    """Whether the attribution moves no faster than in proportion to the input.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        Three readings: smooth models; a kink at the input; a kink that contains the way from the zero baseline to the input.

    Example
    -------
    >>> from executable import gradient
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in input_perturbation_robustness(adapted(gradient))]
    ['satisfies', 'violates', 'violates']
    """
    readings = (
        ("smooth models", _smooth(), "Tanh and softplus networks with biases", _NO_SNIPPET),
        ("models with a kink at the input", _kinked(bias=True), "ReLU networks with biases, at inputs where one unit switches", _NO_SNIPPET),
        (
            "models with a kink from the baseline to the input",
            (_switch(), *_kinked(bias=False)),
            "max(0, x1 - x2) and ReLU networks without biases, where one unit switches",
            _JUMP,
        ),
    )
    return tuple(_input(explain, *reading) for reading in readings)


_NO_SNIPPET = ""
_JUMP = """import torch

f = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.ReLU()).double()
f[0].weight.data = torch.tensor([[1.0, -1.0]], dtype=torch.float64)  # max(0, x1 - x2)
step = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
zero = torch.zeros(1, 2, dtype=torch.float64)
rate = lambda h: float((explain(f, 1 + h * step, None, zero) - explain(f, 1 - h * step, None, zero)).norm()) / (2 * h)
assert rate(1e-6) > 100 * rate(1e-2)
"""


def _rate(explain: Explainer, model: Model, x: Tensor, direction: Tensor, step: float) -> float:
    moved = ask(explain, model, x + step * direction) - ask(explain, model, x - step * direction)
    return float(moved.norm()) / (2 * step)


def _growth(fine: float, coarse: float) -> float:
    """How much larger the quotient is at the fine scale; a quotient within rounding of zero is none."""
    return 0.0 if fine < 1e-4 else fine / max(coarse, 1e-4)


def _input(explain: Explainer, reading: str, cases: Sequence[Case], domain: str, snippet: str) -> Finding:
    found, reason = [], ""
    for name, model, x, direction in cases:
        try:
            found.append((_growth(*(_rate(explain, model, x, direction, step) for step in (FINE, COARSE))), name))
        except RefusedError as refusal:
            reason = reason or str(refusal)
    if not found:
        return not_applicable("input-perturbation-robustness", reading, STEADY, domain, reason)
    value, where = max(found)
    said = f"From a distance of {2 * COARSE:g} to one of {2 * FINE:g} the attribution's change over the input's grows {value:.2g} times ({where})"
    if value < STEADY:
        return Finding("input-perturbation-robustness", reading, "satisfies", value, STEADY, domain, 2 * len(found), f"{said}, at most.")
    code = shown(snippet, explain) if snippet else ""
    return Finding("input-perturbation-robustness", reading, "violates", value, STEADY, domain, 2 * len(found), f"{said}: it jumps.", code)


class Raised(nn.Module):
    """A network plus one layer of ReLUs on the input: g(x) = f(x) + outer . relu(W x + c) + lift."""

    def __init__(self, network: nn.Sequential, weight: Tensor, bias: Tensor, outer: Tensor, lift: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.hidden = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        self.relu = nn.ReLU()
        self.outer = nn.Linear(weight.shape[0], 1, dtype=torch.float64)
        with torch.no_grad():
            self.hidden.weight.copy_(weight)
            self.hidden.bias.copy_(bias)
            self.outer.weight.copy_(outer.unsqueeze(0))
            self.outer.bias.fill_(lift)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both."""
        value: Tensor = self.network(x) + self.outer(self.relu(self.hidden(x)))
        return value


def _inputs() -> tuple[tuple[nn.Sequential, Tensor, Tensor], ...]:
    """ReLU networks with an input of positive entries and a unit vector at right angles to it."""
    drawn = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(SEED + 300 + seed)
        model = _draw(200 + seed, "relu", bias=True)
        x = _normal(generator, 1, SIZES[0]).abs() + 0.2
        w = _normal(generator, SIZES[0])
        w = w - (x[0] @ w) * x[0] / (x[0] @ x[0])
        drawn.append((model, x, w / w.norm()))
    return tuple(drawn)


def ridge(network: nn.Sequential, w: Tensor, height: float, frequency: float) -> Raised:
    """A tent of ReLUs over the strip |w x| < 1 / frequency, shifted so that its middle slope lies over w x = 0; never above `height`."""
    steps = torch.tensor([1.5, 0.5, -0.5], dtype=torch.float64)
    return Raised(network, frequency * w.expand(3, -1), steps, height * torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64))


def _idle(network: nn.Sequential, w: Tensor) -> Raised:
    """The same layer with outer weights of zero, so that both models have the same parts."""
    return ridge(network, w, 0.0, LOW)


def model_perturbation_robustness(explain: Explainer) -> tuple[Finding, ...]:
    """Whether the attribution moves no faster than in proportion to the model, for three distances of models.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        Three readings: outputs close everywhere; outputs equal everywhere; outputs equal on the data.

    Example
    -------
    >>> from executable import gradient
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in model_perturbation_robustness(adapted(gradient))]
    ['violates', 'satisfies', 'violates']
    """
    return (_sup_norm(explain), _still(explain, "outputs equal everywhere", _cancelling), _still(explain, "outputs equal on the data", _tilted))


_SUP = "ReLU networks with three more units that form a ridge of height 0.001, across a direction in which the input is zero; slopes 0.01 and 1"


def _sup_norm(explain: Explainer) -> Finding:
    height, found, reason = 1e-3, [], ""
    for network, x, w in _inputs():
        try:
            plain = ask(explain, _idle(network, w), x)
            low, high = (float((ask(explain, ridge(network, w, height, n), x) - plain).norm()) / height for n in (LOW, HIGH))
            found.append(high / max(low, 1.0))
        except RefusedError as refusal:
            reason = reason or str(refusal)
    reading = "outputs close everywhere"
    if not found:
        return not_applicable("model-perturbation-robustness", reading, TAME, _SUP, reason)
    value = max(found)
    said = f"As the ridge gets a hundred times narrower and no higher, the change of the attribution grows {value:.2g} times"
    code = shown(_RIDGE, explain) if value >= TAME else ""
    outcome = "violates" if value >= TAME else "satisfies"
    return Finding("model-perturbation-robustness", reading, outcome, value, TAME, _SUP, 3 * len(found), f"{said}.", code)  # type: ignore[arg-type]


_RIDGE = """import torch


def ridge(frequency):  # x1 + x2 plus a tent that is never higher than 0.001, over a strip around x1 = x2
    f = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1, bias=False)).double()
    n = frequency
    f[0].weight.data = torch.tensor([[n, -n], [n, -n], [n, -n], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    f[0].bias.data = torch.tensor([1.5, 0.5, -0.5, 0.0, 0.0], dtype=torch.float64)
    f[2].weight.data = torch.tensor([[1e-3, -2e-3, 1e-3, 1.0, 1.0]], dtype=torch.float64)
    return f


x, zero = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
slow, fast = (explain(ridge(n), x, None, zero) for n in (10.0, 1000.0))
assert (slow - fast).norm() > 0.1
"""
Pairs = Callable[[], list[tuple[Model, Model, Tensor]]]


def _cancelling() -> list[tuple[Model, Model, Tensor]]:
    """Networks with two more units that are alike and count with opposite signs, and networks with z carried as relu(z) - relu(-z)."""
    pairs: list[tuple[Model, Model, Tensor]] = []
    for network, x, w in _inputs():
        weight = (x[0] / x[0].norm() + 0.5 * w).expand(2, -1)
        bias, outer = torch.zeros(2, dtype=torch.float64), torch.tensor([2.0, -2.0], dtype=torch.float64)
        pairs.append((Raised(network, weight, bias, 0 * outer), Raised(network, weight, bias, outer), x))
        last = network[-1]
        assert isinstance(last, nn.Linear)
        split, joined = nn.Linear(SIZES[-2], 2 * SIZES[-2], bias=False, dtype=torch.float64), nn.Linear(2 * SIZES[-2], 1, dtype=torch.float64)
        with torch.no_grad():
            split.weight.copy_(torch.cat([torch.eye(SIZES[-2])] * 2))
            joined.weight.copy_(torch.cat([3 * last.weight, -2 * last.weight], dim=1))
            joined.bias.copy_(last.bias)
        pairs.append((network, nn.Sequential(*list(network)[:-1], split, nn.ReLU(), joined).requires_grad_(False), x))
    return pairs


def _tilted() -> list[tuple[Model, Model, Tensor]]:
    """Two networks that agree on the plane w x = 0, where the data lie, and lean to opposite sides of it: f plus and less 3 relu(1 + w x) - 3."""
    one = torch.ones(1, dtype=torch.float64)
    return [(Raised(f, w.unsqueeze(0), one, 3 * one, -3.0), Raised(f, w.unsqueeze(0), one, -3 * one, 3.0), x) for f, x, w in _inputs()]


_WHERE = {
    "outputs equal everywhere": "ReLU networks, with two more units that cancel or with every unit of a layer as three less two of its kind",
    "outputs equal on the data": "ReLU networks plus and less 3 relu(1 + w x) - 3, for data on the plane w x = 0",
}


def _still(explain: Explainer, reading: str, pairs: Pairs) -> Finding:
    found, reason = [], ""
    for first, second, x in pairs():
        try:
            one, other = ask(explain, first, x), ask(explain, second, x)
            found.append(float((one - other).norm() / one.norm().clamp(min=1e-12)))
        except RefusedError as refusal:
            reason = reason or str(refusal)
    if not found:
        return not_applicable("model-perturbation-robustness", reading, STILL, _WHERE[reading], reason)
    value = max(found)
    outcome = "violates" if value > STILL else "satisfies"
    why = f"The distance of the models is zero; the attribution changes by {value:.2g} of its size at most."
    code = shown(_TILT, explain) if outcome == "violates" and pairs is _tilted else ""
    return Finding("model-perturbation-robustness", reading, outcome, value, STILL, _WHERE[reading], len(found), why, code)  # type: ignore[arg-type]


_TILT = """import torch


def leaning(slope):  # x1 + slope (relu(1 + x1 - x2) - 1): on the data, x1 = x2, it is x1 for every slope
    f = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)).double()
    f[0].weight.data = torch.tensor([[1.0, 0.0], [1.0, -1.0]], dtype=torch.float64)
    f[0].bias.data = torch.tensor([0.0, 1.0], dtype=torch.float64)
    f[2].weight.data = torch.tensor([[1.0, slope]], dtype=torch.float64)
    f[2].bias.data = torch.tensor([-slope], dtype=torch.float64)
    return f


x, zero = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
assert torch.equal(leaning(3.0)(x), leaning(-3.0)(x))
one, other = (explain(leaning(slope), x, None, zero) for slope in (3.0, -3.0))
assert (one - other).norm() > 0.01 * one.norm()
"""
