"""Forms that can be read off numbers: which reformulation families an attribution function can belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.auditing.battery import Formula, Setting, network, random_polynomial
from executable.auditing.subject import Subject, UnansweredError
from executable.auditing.weights import FITS, Allocation, GameWeights, asked
from taxonomy.audit import FamilyFit, rounded


@dataclass(frozen=True, eq=False)
class Numbers:
    """The audited function with what is known of its chance."""

    subject: Subject
    chance: float

    @property
    def allowed(self) -> float:
        """Largest relative error that counts as none: that of a quadrature, or of chance."""
        return max(FITS, self.chance)

    def at(self, model: nn.Module, x: Tensor, target: int | None = None, baselines: Tensor | None = None) -> Tensor:
        """Attributions of the first input."""
        return asked(self.subject, Setting("forms", model.eval(), x, target, baselines if self.subject.takes_baselines else None), self.chance)


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest entry of either."""
    return float((found - expected).abs().max() / torch.stack([found, expected]).abs().max().clamp(min=1e-9))


class _Sum(nn.Module):
    """The sum of two functions, each times a factor."""

    def __init__(self, first: nn.Module, second: nn.Module, k: float = 1.0, m: float = 1.0) -> None:
        super().__init__()
        self.first, self.second, self.k, self.m = first, second, k, m

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        value: Tensor = self.k * self.first(x) + self.m * self.second(x)
        return value


class _Bumps(nn.Module):
    """Zero wherever every feature is at its input or its baseline: the game is the zero game."""

    def __init__(self, x: Tensor, b: Tensor) -> None:
        super().__init__()
        self.x, self.b = x, b

    def forward(self, z: Tensor) -> Tensor:
        """Value at each row."""
        bumps = (z - self.x) * (z - self.b)
        return bumps[:, 0] * (1 + z[:, 1]) + 2 * bumps[:, 1] - bumps[:, 2] * z[:, 0]


class _Tangent(nn.Module):
    """f(x0) + ∇f(x0)·(x - x0)."""

    def __init__(self, f: nn.Module, x: Tensor) -> None:
        super().__init__()
        leaf = x.clone().requires_grad_()
        value = f(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        self.layer = nn.Linear(x.shape[1], 1, dtype=x.dtype)
        with torch.no_grad():
            self.layer.weight.copy_(slope)
            self.layer.bias.copy_(value.detach() - (slope * x).sum(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        value: Tensor = self.layer(x)
        return value[:, 0]


X = torch.tensor([[1.2, -0.7, 0.9]], dtype=torch.float64)
ZERO = torch.zeros_like(X)


def linear_in_f(n: Numbers) -> float:
    """a(2 f - 3 g) against 2 a(f) - 3 a(g), polynomials."""
    worst = 0.0
    for seed in range(2):
        f, g = random_polynomial(10 + seed), random_polynomial(20 + seed)
        expected = 2 * n.at(f, X) - 3 * n.at(g, X)
        worst = max(worst, relative(n.at(_Sum(f, g, 2.0, -3.0), X), expected))
    return worst


def complete(n: Numbers) -> float:
    """The sum against f(x) - f(b), polynomials."""
    worst = 0.0
    for seed in range(3):
        f = random_polynomial(30 + seed)
        change = float((f(X) - f(ZERO)).item())
        worst = max(worst, abs(float(n.at(f, X).sum()) - change) / max(abs(change), 1.0))
    return worst


def game_alone(n: Numbers) -> float:
    """Whether functions with one game get one attribution."""
    f = random_polynomial(40)
    return relative(n.at(_Sum(f, _Bumps(X, ZERO)), X), n.at(f, X))


def gradient_alone(n: Numbers) -> float:
    """A polynomial against its tangent plane."""
    f = random_polynomial(50)
    return relative(n.at(f, X), n.at(_Tangent(f, X), X))


def linear_in_difference(n: Numbers) -> float:
    """Attributions of a linear function at x and at 2 x: twice as large for gradient x input."""
    f = _Tangent(random_polynomial(51), X)
    return relative(n.at(f, 2 * X), 2 * n.at(f, X))


def _redundant(seed: int) -> tuple[nn.Sequential, Tensor]:
    """A ReLU network whose fourth input enters the first layer as 2 times the first less the second."""
    model, x = network("relu", 60 + seed, bias=True)
    first = model[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight[:, 3] = 2 * first.weight[:, 0] - first.weight[:, 1]
    return model, x[:1]


def chain_rule(n: Numbers, *, multiplied: bool) -> float:
    """Whether multipliers pass the first layer by its weights: m_4 = 2 m_1 - m_2; the multipliers are a, or a / x if `multiplied`."""
    worst = 0.0
    for seed in range(3):
        model, x = _redundant(seed)
        a = n.at(model, x, 1)
        m = a / x[0] if multiplied else a
        worst = max(worst, abs(float(m[3] - 2 * m[0] + m[1])) / max(float(m.abs().max()), 1e-9))
    return worst


class _Entry(nn.Module):
    """A ReLU network that rectifies its inputs first, so that they are neurons like the others."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), *network)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.layers(x)
        return logits


def most_negative(n: Numbers) -> float:
    """The most negative attribution of positive inputs, rectified first, to an output that is positive; relative to the largest."""
    worst = 0.0
    for seed in range(12):
        model, x = network("relu", 70 + seed, bias=True)
        x = x[:1].abs()
        for target, value in enumerate(model(x)[0].tolist()):
            if value > 0:
                a = n.at(_Entry(model), x, target)
                worst = max(worst, float((-a).max()) / max(float(a.abs().max()), 1e-9))
    return worst


def decreasing_share(n: Numbers) -> float:
    """The most negative attribution to an increasing function at x > b, relative to the largest."""
    x = X.abs()
    worst = 0.0
    for seed in range(4):
        f = random_polynomial(80 + seed)
        rising = Formula({k: abs(c) for k, c in f.written.terms.items()})
        a = n.at(rising, x)
        worst = max(worst, float((-a).max()) / max(float(a.abs().max()), 1e-9))
    return worst


def unconnected(n: Numbers) -> float:
    """The largest attribution of a feature that a polynomial does not contain, relative to the largest of all."""
    f = Formula({(2, 0, 1): 1.0, (1, 0, 0): -2.0, (0, 0, 2): 1.5})
    a = n.at(f, X)
    return float(a[1].abs()) / max(float(a.abs().max()), 1e-9)


@dataclass(frozen=True)
class Measured:
    """A number and whether it counts as none; None where the test could not be run."""

    error: float | None
    fits: bool | None
    why: str = ""


def measured(n: Numbers, test: Callable[[Numbers], float]) -> Measured:
    """One form's number."""
    try:
        error = test(n)
    except UnansweredError as reason:
        return Measured(None, None, f"not tested: {reason}")
    return Measured(error, error <= n.allowed)


def forms(subject: Subject, chance: float, allocation: Allocation, weights: GameWeights) -> list[FamilyFit]:
    """All forms, those of the reformulation families with the family's name."""
    n = Numbers(subject, chance)
    linear, total, removal = measured(n, linear_in_f), measured(n, complete), measured(n, game_alone)
    local, scaled = measured(n, gradient_alone), measured(n, linear_in_difference)
    dummy, rising = measured(n, unconnected), measured(n, decreasing_share)
    made = [
        _fit("linear in the function", linear, "a(2 f - 3 g) = 2 a(f) - 3 a(g) on polynomials"),
        _fit("additive", total, "the attributions add up to f(x) - f(b) on polynomials"),
        _fit("depends on the gradient at x alone", local, "a polynomial and its tangent plane at x get the same attributions"),
        _fit("linear in x - b", scaled, "for a linear function, twice the difference from the baseline gives twice the attribution"),
        _fit("depends on the values f(x_S) alone", removal, "functions with the same game get the same attributions", "feature-removal"),
    ]
    made += _families(n, allocation, weights, linear, total, removal)
    parts = (linear, total, dummy, rising)
    path = None if any(part.fits is None for part in parts) else all(part.fits for part in parts)
    error = max((part.error for part in parts if part.error is not None), default=None)
    missing = [
        name
        for name, part in zip(("linear", "complete", "zero for features without effect", "nonnegative for increasing functions"), parts, strict=True)
        if part.fits is False
    ]
    why = "linear, complete, zero for features without effect and nonnegative for increasing functions, as mixtures of increasing paths alone are"
    made.append(
        FamilyFit(form="path integral", family="path-integral", fits=path, error=_digit(error), why=why if not missing else f"not {missing[0]}")
    )
    return made


def _families(n: Numbers, allocation: Allocation, weights: GameWeights, linear: Measured, total: Measured, removal: Measured) -> list[FamilyFit]:
    times, bare = measured(n, lambda m: chain_rule(m, multiplied=True)), measured(n, lambda m: chain_rule(m, multiplied=False))
    signs = measured(n, most_negative)
    taylor = None if allocation.weights is None and "not tested" in allocation.table.title else bool(allocation.fits and linear.fits)
    law = f"with the shares {allocation.table.law}" if allocation.table.law else "with shares of its own"
    game = None if "not tested" in weights.table.title else weights.marginal <= n.allowed and bool(removal.fits)
    spread = allocation.spread if allocation.weights is not None else None
    return [
        _fit("gradient with modified derivatives", bare, "on ReLU networks the numbers pass the first layer by its transposed weights"),
        _fit(
            "modified gradient times x - b", times, "on ReLU networks a / (x - b) passes the first layer by its transposed weights",
            "modified-gradient-times-input",
        ),
        _fit(
            "nonnegative propagation", signs, "no attribution of a rectified positive input to a positive output is negative, which is necessary",
            "nonnegative-backprop",
        ),
        FamilyFit(
            form="allocation of Taylor effects", family="taylor-interaction", fits=taylor, error=_digit(spread),
            why=f"linear, and the effect of each monomial is shared in the same way at two points, {law}" if taylor
            else "not linear, or a monomial's effect is shared differently at different points" if taylor is not None else allocation.table.title,
        ),
        FamilyFit(
            form="weighted marginal contributions", family="game-theoretic", fits=game, error=_digit(weights.residual),
            why=f"linear in the game, by marginal contributions alone{f', as the {weights.table.law}' if weights.table.law else ''}" if game
            else weights.table.title if game is None else "depends on more than the game, or not by marginal contributions",
        ),
        FamilyFit(
            form="coefficients of an additive surrogate", family="feature-additive", fits=None if total.fits is None else bool(total.fits),
            error=_digit(total.error),
            why="a surrogate with these coefficients is exact at x and at b" if total.fits else "the surrogate would not be exact at x and at b",
        ),
    ]  # fmt: skip


def _fit(form: str, found: Measured, why: str, family: str | None = None) -> FamilyFit:
    text = found.why or (why if found.fits else f"not so: {why}")
    return FamilyFit(form=form, family=family, fits=found.fits, error=_digit(found.error), why=text)


def _digit(value: float | None) -> float | None:
    return None if value is None else rounded(value)
