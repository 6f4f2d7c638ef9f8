"""Checks of the rationales of attribution and of the limitations that are held against them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, at_least, at_most, breaks, counterexample, error, keeps, number, settle, versions, worst
from executable.interactions import moebius
from executable.methods.gradient_times_input import integrated_gradients
from executable.methods.local_surrogate import lime
from executable.methods.modified_gradient import gradient
from executable.methods.perturbation import average_causal_effect, individual_causal_effect, occlusion_1, shapley_value
from executable.rationales.causal_attribution import causal_effects, undisturbed
from executable.rationales.deep_taylor import neuron_terms, root_for
from executable.rationales.first_order_taylor import first_order_terms
from executable.rationales.surrogate_approximation import best_surrogate
from executable.testbeds.games import GameModel, value_by_orders
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Control, Evidence, Measurement

SEED = 420


def _evidence(
    claim: str,
    check: str,
    statement: str,
    finding: str,
    domain: str,
    measurements: Sequence[Measurement],
    controls: Sequence[Control],
    trials: int,
    example: tuple[str, str, dict[str, object]],
) -> Evidence:
    status = settle(measurements)
    return Evidence(
        claim=claim,
        check=f"rationales/{check}",
        status=status,
        statement=statement,
        condition="A measured number misses its bound." if status == "fails" else None,
        finding=finding,
        domain=domain,
        measurements=tuple(measurements),
        trials=trials,
        seed=SEED,
        counterexample=counterexample(example[0], example[1], **example[2]),
        controls=tuple(controls),
        parameters={},
        versions=versions(),
    )


def saturating(x: Tensor) -> Tensor:
    """1 - max(0, 1 - x): rises to one and stays there."""
    value: Tensor = 1 - torch.relu(1 - x[:, 0])
    return value


def _steep(x: Tensor) -> Tensor:
    return torch.sigmoid(20 * x[:, 0])


def _share(model: Callable[[Tensor], Tensor], at: float) -> float:
    """The derivative at a point over the change of the output from zero."""
    x = torch.tensor([[at]], dtype=torch.float64)
    return abs(float(gradient(model, x) / (model(x) - model(0 * x))))


def saturation(claim: str) -> Evidence:
    """A derivative of zero where the variable has brought about the whole output."""
    two = torch.tensor([[2.0]], dtype=torch.float64)
    measurements = (
        at_most("saturating function at 2: size of the derivative", float(gradient(saturating, two).abs()), 0.0),
        at_least("saturating function: change of the output from 0 to 2", float(saturating(two) - saturating(0 * two)), 1.0),
        at_most("integrated gradients at 2: distance from 1", abs(float(integrated_gradients(saturating, two, n_steps=200)) - 1), 0.02),
        at_most("sigmoid of 20 x at 2: derivative over change of the output", _share(_steep, 2.0), 1e-10),
    )
    code = """
import torch
from executable import gradient

f = lambda x: 1 - torch.relu(1 - x[:, 0])
two = torch.tensor([[2.0]])
assert float(gradient(f, two)) == 0 and float(f(two) - f(0 * two)) == 1
"""
    return _evidence(
        claim,
        "saturation",
        "There are models and inputs at which the derivative with respect to a variable is zero although changing the variable changes the output.",
        "For $1 - \\max(0, 1 - x)$ at 2 the derivative is zero and the change from 0 is 1; the mean derivative on the way accounts for it.",
        "$1 - \\max(0, 1 - x)$ and a steep sigmoid",
        measurements,
        (
            breaks("a linear function at 2: derivative over change of the output", _share(lambda x: 3 * x[:, 0], 2.0), 1e-10),
            keeps("the saturating function at 3: derivative over change of the output", _share(saturating, 3.0), 1e-10),
        ),
        2,
        ("$1 - \\max(0, 1 - x)$ at $x = 2$: derivative 0, output 1, output at zero 0.", code, {"input": 2, "derivative": 0, "change": 1}),
    )


def remainder(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What the linear terms at x, with baseline zero, leave of the change of the output, over that change."""
    found = first_order_terms(model, x)
    return found.remainder.abs() / found.change.abs().clamp(min=1e-12)


def first_order(claim: str) -> Evidence:
    """The remainder of the first-order expansion can be as large as the output itself."""
    square = torch.tensor([[3.0], [-2.0]], dtype=torch.float64)
    shares = {}
    for activation, bias in (("tanh", True), ("softplus", True), ("relu", True), ("relu", False)):
        found = []
        for model, x, target in lively_draws(8, activation, bias=bias, seed=SEED):

            def chosen(v: Tensor, model: Callable[[Tensor], Tensor] = model, target: Tensor = target) -> Tensor:
                return model(v).gather(1, target.unsqueeze(1))[:, 0]

            found.append(remainder(chosen, x).detach())
        shares[f"{activation}, {'with' if bias else 'without'} biases"] = float(torch.cat(found).median())
    exact = float((remainder(lambda x: x[:, 0] ** 2, square) - 1).abs().max())
    measurements = (
        at_most("square: distance of the remainder's share from 1", exact, ALGEBRA),
        *(at_least(f"{name}: median share of the remainder", share, 0.05) for name, share in shares.items() if name != "relu, without biases"),
        at_most("ReLU, without biases: median share of the remainder", shares["relu, without biases"], ALGEBRA, "homogeneous: nothing is left"),
    )
    code = """
import torch
from executable.methods import grad_times_input

x = torch.tensor([[3.0]])
assert float(grad_times_input(lambda x: x[:, 0] ** 2, x)) == 18  # the output changes by 9, so the remainder is -9
"""
    return _evidence(
        claim,
        "first-order",
        "In a network the remainder of the first-order expansion at the input, with baseline zero, need not be small against the change of the "
        "output.",
        "For $x^2$ the remainder is as large as the change of the output. In ReLU networks without biases it vanishes, since they are homogeneous.",
        "$x^2$ and random networks with four layers and tanh, softplus or ReLU",
        measurements,
        (
            keeps("a linear function: share of the remainder", float(remainder(lambda x: x.sum(dim=1), square + 0.5).max()), ALGEBRA),
            breaks("a cubic: share of the remainder", float(remainder(lambda x: x[:, 0] ** 3, square).max()), ALGEBRA),
        ),
        4 * 8 * 4 + 2,
        ("$x^2$ at 3 with baseline 0: the linear term is 18 and the change of the output 9.", code, {"input": 3, "linear": 18, "change": 9}),
    )


def freedom(claim: str) -> Evidence:
    """Roots that follow the input give any attribution with the right sum; constant ones give gradient times the distance from the root."""
    chance = random.Random(SEED)
    arbitrary, on_plane, constant, drift = [], [], [], []
    for _ in range(200):
        size = chance.randint(2, 5)
        w = [Fraction(chance.choice([-1, 1]) * chance.randint(1, 9)) for _ in range(size)]
        x = [Fraction(chance.randint(-9, 9)) for _ in range(size)]
        bias = Fraction(chance.randint(0, 9)) - sum(a * b for a, b in zip(w, x, strict=True)) + 1
        output = sum((a * b for a, b in zip(w, x, strict=True)), bias)
        wanted = [Fraction(chance.randint(-50, 50)) for _ in range(size - 1)]
        wanted.append(output - sum(wanted))
        root = root_for(w, x, wanted)
        on_plane.append(abs(sum((a * b for a, b in zip(w, root, strict=True)), bias)))
        arbitrary.append(max(abs(a - r) for a, r in zip(neuron_terms(w, x, root), wanted, strict=True)))
        zero = [Fraction(0)] * size
        product = [a * b for a, b in zip(w, x, strict=True)]
        constant.append(max(abs(a - b) for a, b in zip(neuron_terms(w, x, zero), product, strict=True)))
        drift.append(max(abs(a - b) for a, b in zip(wanted, product, strict=True)))
    measurements = (
        at_most("distance of the terms from random attributions with the right sum", float(max(arbitrary)), 0.0, "exact rational arithmetic"),
        at_most("value of the neuron at the roots", float(max(on_plane)), 0.0, "exact rational arithmetic"),
        at_most("constant root 0: distance from gradient times input", float(max(constant)), 0.0, "exact rational arithmetic"),
    )
    code = """
weights, x = (1, 1, 1), (1, 1, 1)  # max(0, x1 + x2 + x3) is 3
wanted = (100, -90, -7)
root = [a - r / w for a, r, w in zip(x, wanted, weights)]
assert sum(w * b for w, b in zip(weights, root)) == 0
assert [w * (a - b) for w, a, b in zip(weights, x, root)] == [100, -90, -7]
"""
    return _evidence(
        claim,
        "deep-taylor",
        "For a neuron $\\max(0, w \\cdot x + b)$ with $w_i \\ne 0$ every attribution that adds up to its output is that of some root chosen with "
        "the input; "
        "the constant root 0 gives gradient times input.",
        "The root with entries $x_i - r_i / w_i$ lies on the neuron's hyperplane and yields the attribution $r$. What the expansion says is "
        "decided by the "
        "rule for the roots.",
        "Random neurons with two to five inputs, integer weights and inputs, in exact rational arithmetic",
        measurements,
        (
            breaks("the same attributions against gradient times input: distance", float(max(drift)), 0.0),
            keeps("the constant root 0: distance from gradient times input", float(max(constant)), 0.0),
        ),
        200,
        (
            "$\\max(0, x_1 + x_2 + x_3)$ at $(1, 1, 1)$ with the root $(-99, 91, 8)$: relevance $(100, -90, -7)$.",
            code,
            {"input": [1, 1, 1], "root": [-99, 91, 8], "relevance": [100, -90, -7]},
        ),
    )


def _product(x: Tensor) -> Tensor:
    return x[:, 0] * x[:, 1] + x[:, 2]


def _additive(x: Tensor) -> Tensor:
    return x[:, 0] ** 2 + 3 * x[:, 1] + x[:, 2]


def causal(claim: str) -> Evidence:
    """The two lines of the equation agree; the individual effect is another number unless the model is additive."""
    generator = torch.Generator().manual_seed(SEED)
    first = torch.randint(0, 3, (30, 1), generator=generator).double()
    data = torch.cat([first, first + torch.randint(0, 2, (30, 2), generator=generator)], dim=1)
    x = torch.tensor([[2.0, 1.0, 3.0]], dtype=torch.float64)
    found = average_causal_effect(_product, x, data=data)
    by_hand = causal_effects(_product, x, law=undisturbed(data))
    conditional = torch.zeros_like(x)
    for i in range(3):
        effects = []
        for value in (float(x[0, i]), 0.0):
            rows = data.clone()
            rows[:, i] = value
            effects.append(_product(rows))
        difference = effects[0] - effects[1]
        conditional[0, i] = difference[data[:, i] == data[0, i]].mean()
    single = individual_causal_effect(_product, x)
    measurements = (
        at_most("difference of interventional means against the mean of differences over the others", error(found, by_hand), ALGEBRA),
        at_least("individual effect against the average effect, with a product in the model", error(single, found), 0.1),
        at_most("individual effect against leaving one out", error(single, occlusion_1(_product, x)), ALGEBRA),
        at_most("individual effect against the average effect, additive model", _additive_gap(data, x), ALGEBRA),
    )
    code = """
import torch
from executable.methods import average_causal_effect, individual_causal_effect

f = lambda x: x[:, 0] * x[:, 1]
data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
x = torch.tensor([[1.0, 0.0]])
assert individual_causal_effect(f, x).tolist() == [[0, 0]]
assert average_causal_effect(f, x, data=data).tolist() == [[0.5, 0]]
"""
    return _evidence(
        claim,
        "causal",
        "The difference of the interventional means is the mean of $f(x \\mid x_i = \\alpha) - f(x \\mid x_i = b_i)$ over the distribution of the "
        "other "
        "variables, and the individual effect can miss it.",
        "The distribution of the others has to be their own, as the intervention leaves it, not that given $x_i$. The individual effect of a "
        "variable that "
        "acts through a product depends on where the other stands.",
        "Data with linked integer features, a model with a product and an additive one",
        measurements,
        (
            breaks("the others distributed as given $x_i$: difference", error(conditional, found), ALGEBRA),
            keeps("additive model: individual against average effect", _additive_gap(data, x), ALGEBRA),
        ),
        30,
        (
            "$x_1 x_2$ at $(1, 0)$ with $x_2$ even between 0 and 1: the individual effect of $x_1$ is 0, the average effect $1/2$.",
            code,
            {"input": [1, 0], "individual": [0, 0], "average": [0.5, 0]},
        ),
    )


def _additive_gap(data: Tensor, x: Tensor) -> float:
    return error(individual_causal_effect(_additive, x), average_causal_effect(_additive, x, data=data))


def allocation(claim: str) -> Evidence:
    """Leaving one out takes every effect in which the variable has part, the Shapley value an equal share of it."""
    chance = random.Random(SEED)
    gaps: dict[str, list[float]] = {"occlusion": [], "shapley": [], "orders": [], "equal": []}
    for players in (2, 3, 4) * 5:
        values = [Fraction(chance.randint(-9, 9)) for _ in range(2**players)]
        table = torch.tensor([[float(v) for v in values]], dtype=torch.float64)
        effects = [Fraction(v) for v in moebius(table)[0].tolist()]  # sums of small whole numbers: exact
        members = [[s for s in range(2**players) if s >> i & 1] for i in range(players)]
        whole = [sum((effects[s] for s in sets), Fraction(0)) for sets in members]
        shared = [sum((effects[s] / s.bit_count() for s in sets), Fraction(0)) for sets in members]
        gaps["orders"].append(float(max(abs(a - b) for a, b in zip(value_by_orders(values), shared, strict=True))))
        model, ones = GameModel(table[0]), torch.ones(1, players, dtype=torch.float64)
        expected = [torch.tensor([[float(v) for v in row]], dtype=torch.float64) for row in (whole, shared)]
        gaps["occlusion"].append(error(occlusion_1(model, ones), expected[0]))
        gaps["shapley"].append(error(shapley_value(model, ones), expected[1]))
        gaps["equal"].append(error(shapley_value(model, ones), expected[0]))
    measurements = (
        at_most("occlusion-1 against the sum of the effects that hold the variable", worst(gaps["occlusion"]), ALGEBRA),
        at_most("Shapley value against equal shares of them", worst(gaps["shapley"]), ALGEBRA),
        at_most("mean over all orders against equal shares, exactly", worst(gaps["orders"]), 0.0, "exact rational arithmetic"),
    )
    code = """
import torch
from executable.rationales.interaction_effect_allocation import allocate_interactions, equal, whole

f = lambda x: x[:, 0] + x[:, 1] + 3 * x[:, 0] * x[:, 1]
x = torch.ones(1, 2)
assert allocate_interactions(f, x, share=whole).effects.tolist() == [[0, 1, 1, 3]]
assert f(x) - f(torch.tensor([[0.0, 1.0]])) == allocate_interactions(f, x, share=whole).attributions[0, 0] == 4  # leaving the first out
assert allocate_interactions(f, x, share=equal).attributions[0, 0] == 2.5  # its Shapley value
"""
    return _evidence(
        claim,
        "allocation",
        "Occlusion-1 is the independent effect of a variable plus all interaction effects in which it has part; the Shapley value is the "
        "independent effect "
        "plus an equal share of each of them.",
        "Occlusion-1 counts an interaction once for every variable in it, so that its values do not add up to the output; the Shapley value counts "
        "it once.",
        "Random games on two, three and four players with small integer values",
        measurements,
        (
            breaks("the Shapley value against whole effects", worst(gaps["equal"]), ALGEBRA),
            keeps("the mean over all orders against equal shares", worst(gaps["orders"]), ALGEBRA),
        ),
        15,
        (
            "$x_1 + x_2 + 3 x_1 x_2$ at $(1, 1)$: leaving the first out gives $1 + 3 = 4$, its Shapley value is $1 + 3/2$.",
            code,
            {"effects": [0, 1, 1, 3]},
        ),
    )


def _spread(samples: int | None, runs: int = 24) -> float:
    """Root mean square of the standard deviation of LIME between runs that differ in the seed alone."""
    x = torch.ones(1, 4, dtype=torch.float64)
    found = torch.cat([lime(_game, x, n_samples=samples, distance="none", alpha=1e-9, seed=seed) for seed in range(runs)])
    return float(found.var(dim=0, correction=0).mean().sqrt())


def _game(x: Tensor) -> Tensor:
    return 3 * x[:, 0] * x[:, 1] + x[:, 1] * x[:, 2] * x[:, 3] - 2 * x[:, 0]


def surrogate(claim: str) -> Evidence:
    """A linear fit leaves an error, and a fit to random neighbours changes from run to run."""
    few, many = _spread(64), _spread(1024)
    slope = math.log(many / few) / math.log(1024 / 64)
    cells = torch.tensor([[float(s >> i & 1) for i in range(4)] for s in range(16)], dtype=torch.float64)
    design = torch.cat([torch.ones(16, 1, dtype=torch.float64), cells], dim=1)
    truth = _game(cells)
    nearest = best_surrogate(_game, cells, columns=design)
    unexplained = nearest.loss / float((truth - truth.mean()).square().sum())
    full = lime(_game, torch.ones(1, 4, dtype=torch.float64), n_samples=None, distance="none", alpha=1e-9)
    slopes = nearest.coefficients[1:].unsqueeze(0)
    measurements = (
        at_least("spread between runs with 64 neighbours", few, 0.01),
        at_most("slope of the spread against the number of neighbours, both logarithmic: distance from -1/2", abs(slope + 0.5), 0.15),
        at_least("share of the variation that the best linear model leaves", unexplained, 0.1),
        at_most("all sets of features once: distance of the fit from least squares", error(full, slopes), 1e-6),
        number("spread between runs with 1024 neighbours", many),
    )
    code = """
import torch
from executable.methods import lime

f = lambda x: x[:, 0] * x[:, 1]
x = torch.ones(1, 2, dtype=torch.float64)
assert not torch.allclose(lime(f, x, n_samples=20, seed=0), lime(f, x, n_samples=20, seed=1))
assert torch.equal(lime(f, x, n_samples=None, seed=0), lime(f, x, n_samples=None, seed=1))
"""
    return _evidence(
        claim,
        "surrogate",
        "The fit of a linear surrogate can leave a considerable error, and LIME with random neighbours gives different explanations in different "
        "runs.",
        "The spread between runs falls with the inverse root of the number of neighbours and is zero if every set of features is used once.",
        "A polynomial in four binary features with interactions",
        measurements,
        (
            breaks("64 neighbours: spread", few, 1e-12),
            keeps("every set of features once: spread", _spread(None, 3), 1e-12),
        ),
        51,
        ("$x_1 x_2$ at $(1, 1)$: two runs of LIME with 20 neighbours differ, with all sets of features they agree.", code, {"input": [1, 1]}),
    )
