"""Checks of what layer-wise relevance rests on: first-order expansions of every neuron around a point, and which point the rule amounts to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, keeps, number, subject, worst
from executable.checks.equivalences import HOMOGENEOUS, scaled_error
from executable.checks.grounds_common import DRAWS, SEED, Networks, ground, layers_of, with_biases
from executable.methods.gradient_times_input import grad_times_input
from executable.methods.layerwise_backprop import deep_taylor_decomposition, lrp_alpha_beta, lrp_epsilon
from executable.rationales.deep_taylor import layerwise_expansion
from executable.rationales.first_order_taylor import first_order_terms
from executable.testbeds.mlps import ACTIVATIONS, lively_draws, mlp
from taxonomy.evidence import Counterexample, Evidence

Points = Callable[[int, nn.Linear, Tensor], Tensor]
"""`points(depth, layer, values)`: the point of each neuron of an affine layer, shape (batch, neurons, inputs)."""


@dataclass(frozen=True)
class Expanded:
    """A network decomposed layer by layer."""

    relevance: Tensor
    off_root: float
    """Largest activation, at its point, of a neuron that carries relevance."""
    outside: float
    """How far the points of such neurons above the first layer leave the values that the layer can receive, which are not negative."""


def decomposed(model: nn.Sequential, x: Tensor, target: Tensor, points: Points) -> Expanded:
    """Eq. 18 in every layer, around the points of a rule."""
    layers = layers_of(model)

    def chosen(depth: int, values: Tensor) -> Tensor:
        affine = layers[depth][0]
        assert isinstance(affine, nn.Linear)
        return points(depth, affine, values).detach()

    found = layerwise_expansion(layers, x, target, points=chosen)
    carrying = [(e, r != 0) for e, r in zip(found.expansions, found.relevance, strict=True)]
    off = max(float((e.at_root.abs() * carries).max()) for e, carries in carrying)
    outside = max(float((-e.roots * carries.unsqueeze(2)).max()) for e, carries in carrying[1:])
    return Expanded(found.attributions, off, max(0.0, outside))


def shrunk(epsilon: float) -> Points:
    """LRP-ε: ρ x with ρ = ε sign z / (z + ε sign z), which is 0 for LRP-0."""

    def points(depth: int, layer: nn.Linear, values: Tensor) -> Tensor:
        z = layer(values)
        rho = epsilon / (z.abs() + epsilon) if epsilon else torch.zeros_like(z)
        found: Tensor = rho.unsqueeze(2) * values.unsqueeze(1)
        return found

    return points


def searched(depth: int, layer: nn.Linear, values: Tensor) -> Tensor:
    """Deep Taylor: in the first layer the nearest root; above it the root on the way along which the inputs with positive weights shrink."""
    z, w = layer(values).unsqueeze(2), layer.weight.unsqueeze(0)
    if depth == 0:
        nearest: Tensor = values.unsqueeze(1) - w * z / w.square().sum(dim=2, keepdim=True)
        return nearest
    along = values.unsqueeze(1) * (w > 0)
    total = (along * w).sum(dim=2, keepdim=True)
    found: Tensor = values.unsqueeze(1) - along * torch.where(total == 0, 0, z / torch.where(total == 0, 1, total))
    return found


def grouped(alpha: float, beta: float) -> Points:
    """LRP-αβ: the positive contributions give up the share α z of their sum, the negative ones grow by β z."""

    def points(depth: int, layer: nn.Linear, values: Tensor) -> Tensor:
        z, c = layer(values).unsqueeze(2), layer.weight.unsqueeze(0) * values.unsqueeze(1)
        up, down = c.clamp(min=0).sum(dim=2, keepdim=True), c.clamp(max=0).sum(dim=2, keepdim=True)
        first = torch.where(up > 0, alpha * z / torch.where(up > 0, up, 1), 0)
        second = torch.where(down < 0, -beta * z / torch.where(down < 0, down, 1), 0)
        moved: Tensor = values.unsqueeze(1) * (1 - torch.where(c > 0, first, second))
        return moved

    return points


_SIGNS = {0: "no biases", 1: "biases not negative", -1: "biases not positive", 2: "biases of both signs"}
_RELEVANCE = {"lrp-0": ("LRP-0", (0.0,)), "lrp-epsilon": ("LRP-ε", (0.01, 0.3))}


def relevance(claim: str) -> Evidence:
    """LRP-0 or LRP-ε against Eq. 18 around its points, over the signs of the biases."""
    name, epsilons = _RELEVANCE[subject(claim)]
    cases, other = [], []
    roots: dict[str, float] = {}
    for sign, words in _SIGNS.items():
        errors = []
        for epsilon in epsilons:
            for model, x, target in with_biases(sign, DRAWS, (6, 10, 9, 3)):
                found, method = decomposed(model, x, target, shrunk(epsilon)), lrp_epsilon(model, x, target, epsilon=epsilon)
                errors.append(scaled_error(found.relevance, method))
                roots[words] = max(roots.get(words, 0.0), found.off_root)
                if sign == 0:
                    other.append(scaled_error(decomposed(model, x, target, searched).relevance, method))
        cases.append(Case(words, sign in (0, 1), worst(errors) if sign in (0, 1) else max(errors)))
    exact = subject(claim) == "lrp-0"
    extra = [number(f"{words}: largest activation of a neuron at its point", value) for words, value in roots.items()]
    if exact:
        extra.append(at_most("no biases: activation at the point 0, which is a root", roots[_SIGNS[0]], 0.0))
    else:
        extra.append(at_least("no biases: activation at the points, which are no roots", roots[_SIGNS[0]], 1e-3))
    return ground(
        claim,
        "grounds-layers/relevance",
        statement=f"{name} hands down the linear terms of Eq. 18 of every neuron, expanded around $\\rho x$ with "
        "$\\rho = \\epsilon / (z + \\epsilon)$" + (", which is $0$." if exact else "."),
        cases=cases,
        measurements=extra,
        controls=[breaks("the points of deep Taylor in place of these, no biases (smallest difference)", min(other), ALGEBRA)],
        condition="No bias of a ReLU is negative, so that every neuron which is active at the input is active at its point as well.",
        finding=(
            "The point 0 is a root, as deep Taylor asks, only without biases; with positive ones the neuron keeps there what the rule drops."
            if exact
            else "The point is never a root: what the neuron is worth there, $\\epsilon z / (z + \\epsilon)$ without biases, is the relevance that "
            "the rule drops."
        ),
        domain="Random ReLU networks 6-10-9-3 without biases and with biases of either sign and of both",
        trials=4 * DRAWS * len(epsilons),
        example=_negative_bias(exact=exact),
        parameters={"epsilon": list(epsilons)},
    )


def _negative_bias(*, exact: bool) -> Counterexample:
    bias, epsilon, found, point = (-1, 0, "3", "0") if exact else (-2, 1, "3/2", "3/2")
    return counterexample(
        f"$\\operatorname{{relu}}(x - {-bias})$ at $x = 3$ with $\\epsilon = {epsilon}$: the method gives ${found}$. At its point, ${point}$, the "
        "neuron is inactive, and the linear term there is $0$.",
        f"""
import torch
from executable import lrp_epsilon
from executable.rationales.deep_taylor import expand_layer

layer = lambda v: torch.relu(torch.nn.functional.linear(v, torch.ones(1, 1), torch.tensor([{bias}.0])))
x = torch.tensor([[3.0]])
assert lrp_epsilon(lambda v: layer(v)[:, 0], x, epsilon={epsilon}.0).item() == {found}
assert expand_layer(layer, x, torch.tensor([{point}])).terms.item() == 0
""",
        input=[3],
        bias=bias,
        epsilon=epsilon,
        relevance=found,
        point=point,
        term=0,
    )


def roots_of_deep_taylor(claim: str) -> Evidence:
    """Deep Taylor's rules against Eq. 18 around the roots they stand for; whether those are roots, and values that the layer can receive."""
    cases, mismatch, other = [], [], []
    off: list[float] = []
    elsewhere: list[float] = []
    for sign, words in _SIGNS.items():
        outside = []
        for model, x, target in with_biases(sign, DRAWS, (6, 10, 9, 3)):
            found, method = decomposed(model, x, target, searched), deep_taylor_decomposition(model, x, target)
            mismatch.append(scaled_error(found.relevance, method))
            (off if sign in (0, -1) else elsewhere).append(found.off_root)
            outside.append(found.outside)
            other.append(scaled_error(grad_times_input(model, x, target), method))
        cases.append(Case(f"{words}: how far roots are outside", sign in (0, -1), max(outside)))
    first = [scaled_error(_everywhere_nearest(*each), deep_taylor_decomposition(*each)) for each in with_biases(-1, DRAWS, (6, 10, 9, 3))]
    return ground(
        claim,
        "grounds-layers/roots-of-deep-taylor",
        statement="The method hands down the linear terms of Eq. 18, every neuron expanded around a root that the layer below can take on: in the "
        "first layer the nearest one ($w^2$-rule), above it the one on the way along which the inputs with positive weights shrink ($z^+$-rule).",
        cases=cases,
        measurements=(
            at_most("method against the expansions, all networks", worst(mismatch), ALGEBRA),
            at_most("biases not positive: activation of the neurons at their points", worst(off), ALGEBRA),
            number("other biases: activation of the neurons at their points", worst(elsewhere)),
        ),
        controls=[
            breaks("the nearest root in every layer (smallest difference)", min(first), ALGEBRA),
            breaks("gradient times input (smallest difference)", min(other), ALGEBRA),
            keeps("the roots of the method, biases not positive", worst(mismatch), ALGEBRA),
        ],
        condition="No bias above the first layer is positive. Otherwise the root can lie at negative activations, which the layer never receives.",
        finding="With this reservation the method is the rationale carried out. The relevance of a neuron is taken to be a constant multiple of its "
        "activation, and the remainder of each expansion is zero since a ReLU is linear from root to input.",
        domain="Random ReLU networks 6-10-9-3 without biases and with biases of either sign and of both; inputs of both signs",
        trials=len(mismatch),
        example=counterexample(
            "$\\operatorname{relu}(h_1 - h_2 + 2)$ at $h = (1, 1)$, activations of a layer below: the root of the $z^+$-rule is $(-1, 1)$.",
            """
import torch
from torch import nn
from executable.checks.grounds_layers import searched

layer = nn.Linear(2, 1)
layer.weight.data, layer.bias.data = torch.tensor([[1.0, -1.0]]), torch.tensor([2.0])
assert searched(1, layer, torch.ones(1, 2)).tolist() == [[[-1.0, 1.0]]]
layer.bias.data = torch.tensor([-0.25])
assert searched(1, layer, torch.tensor([[2.0, 1.0]])).tolist() == [[[1.25, 1.0]]]
""",
            input=[1, 1],
            root=[-1, 1],
        ),
    )


def _everywhere_nearest(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    return decomposed(model, x, target, lambda depth, layer, values: searched(0, layer, values)).relevance


def linear_relevance(claim: str) -> Evidence:
    """LRP-ε against the linear terms of the whole network, over activations and ε."""
    cases, ratios = [], []
    for activation in ACTIVATIONS:
        drawn = list(lively_draws(DRAWS, activation, bias=True, seed=SEED))
        errors = [scaled_error(lrp_epsilon(m, x, t, epsilon=0.0), first_order_terms(m, x, t).terms) for m, x, t in drawn]
        meets = activation in HOMOGENEOUS
        cases.append(Case(f"{activation}, ε = 0", meets, worst(errors) if meets else min(errors)))
        if activation == "relu":
            steps = {e: [scaled_error(lrp_epsilon(m, x, t, epsilon=e), first_order_terms(m, x, t).terms) for m, x, t in drawn] for e in (1e-6, 1e-4)}
            ratios = [far / near for near, far in zip(steps[1e-6], steps[1e-4], strict=True)]
            cases.append(
                Case("relu, ε = 0.1", False, min(scaled_error(lrp_epsilon(m, x, t, epsilon=0.1), grad_times_input(m, x, t)) for m, x, t in drawn))
            )
    baseline = [scaled_error(lrp_epsilon(*each, epsilon=0.0), first_order_terms(*each, at="baseline").terms) for each in _relu()]
    return ground(
        claim,
        "grounds-layers/linear-relevance",
        statement="LRP-ε gives each variable its linear term of the expansion of the whole network at the input, read at the baseline $0$ (Eq. 17).",
        cases=cases,
        measurements=(
            at_most("distance at ε = 1e-4 over 100 times that at 1e-6: largest difference from 1", max(abs(r / 100 - 1) for r in ratios), 0.2),
        ),
        controls=[breaks("terms of the expansion at the baseline, ReLU (smallest difference)", min(baseline), ALGEBRA)],
        condition="All activations satisfy $\\sigma(z) = z \\sigma'(z)$ (ReLU, leaky ReLU, absolute value), biases count in the denominators, and "
        "$\\epsilon$ tends to zero.",
        finding="Then the rule's ratio $\\sigma(z) / z$ is the derivative in every layer, and the product over the layers is the gradient. For other "
        "activations there is no expansion whose terms these are.",
        domain="Random networks 6-10-9-7-3 with biases and eight activations",
        trials=len(cases) * DRAWS,
        example=counterexample(
            "$x^2$ as activation at $x = 1$: LRP-0 gives $1$, the linear term is $2$.",
            """
import torch
from executable import lrp_epsilon
from executable.rationales.first_order_taylor import first_order_terms

f = lambda x: torch.nn.functional.linear(x, torch.ones(1, 1))[:, 0] ** 2
one = torch.ones(1, 1)
assert lrp_epsilon(f, one, epsilon=0.0).item() == 1 and first_order_terms(f, one).terms.item() == 2
""",
            input=[1],
            relevance=[1],
            term=[2],
        ),
    )


def _relu() -> Networks:
    return lively_draws(DRAWS, "relu", bias=True, seed=SEED)


def two_signed(draws: int, sizes: Sequence[int] = (8, 12, 12, 3)) -> Iterator[tuple[nn.Sequential, Tensor, Tensor]]:
    """ReLU networks without biases in which every active neuron has contributions of both signs."""
    generator = torch.Generator().manual_seed(SEED)
    found = 0
    while found < draws:
        model = mlp(sizes, "relu", bias=False, generator=generator)
        x = torch.randn(1, sizes[0], generator=generator, dtype=torch.float64)
        value, both = x, True
        with torch.no_grad():
            for layer in layers_of(model):
                affine = layer[0]
                assert isinstance(affine, nn.Linear)
                c = affine.weight.unsqueeze(0) * value.unsqueeze(1)
                value = layer(value)
                both &= bool((((c > 0).any(dim=2) & (c < 0).any(dim=2)) | (value == 0)).all())
        if both and float(value.max()) > 0.1:
            found += 1
            yield model, x, value.argmax(dim=1)


def grouped_relevance(claim: str) -> Evidence:
    """LRP-αβ against expansions of every neuron around the root that its two groups define, then where a group is missing."""
    cases, off, swapped = [], [], []
    outside: dict[float, float] = {}
    for alpha, beta in ((2.0, 1.0), (1.0, 0.0), (1.5, 0.5)):
        errors = []
        for model, x, target in two_signed(DRAWS):
            found, method = decomposed(model, x, target, grouped(alpha, beta)), lrp_alpha_beta(model, x, target, alpha=alpha, beta=beta)
            errors.append(scaled_error(found.relevance, method))
            off.append(found.off_root)
            outside[alpha] = max(outside.get(alpha, 0.0), found.outside)
            if alpha == 2:
                swapped.append(scaled_error(decomposed(model, x, target, grouped(1.0, 0.0)).relevance, method))
        cases.append(Case(f"every neuron by itself, α = {alpha:g}, β = {beta:g}", True, worst(errors)))
    one_sign, whole = [], []
    for model, x, target in two_signed(DRAWS):
        whole.append(scaled_error(first_order_terms(model, x, target).terms, lrp_alpha_beta(model, x, target, alpha=2.0, beta=1.0)))
        first = model[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            first.weight.copy_(first.weight.abs())
        one_sign.append(_one_sign(model, x.abs()))
    cases.append(Case("neurons with positive contributions only, α = 2, β = 1", False, min(one_sign)))
    cases.append(Case("the network as a whole, α = 2, β = 1", False, min(whole)))
    return ground(
        claim,
        "grounds-layers/grouped-relevance",
        statement="LRP-αβ hands down the linear terms of every neuron, expanded around the point at which the positive contributions have given up "
        "$\\alpha z$ and the negative ones $-\\beta z$ of the pre-activation $z$.",
        cases=cases,
        measurements=(
            at_most("activation of the neurons at these points, which are roots", worst(off), ALGEBRA),
            at_most("α = 1, β = 0: how far roots are outside the values a layer can receive", outside[1.0], ALGEBRA),
            number("α = 2, β = 1: how far roots are outside the values a layer can receive", outside[2.0]),
        ),
        controls=[breaks("the points of α = 1, β = 0 against the rule with α = 2, β = 1 (smallest difference)", min(swapped), ALGEBRA)],
        condition="The expansion is made for each neuron by itself, with $\\alpha - \\beta = 1$, and the neuron has contributions of both signs "
        "wherever $\\beta \\ne 0$. The scores are not the linear terms of the network.",
        finding="The point is a root since the terms add up to $(\\alpha - \\beta) z$; without negative contributions they add up to $\\alpha z$ and "
        "there is no such root. For α = 2 the root may ask for activations below zero, which no layer receives.",
        domain="Random ReLU networks 8-12-12-3 without biases, inputs of both signs",
        trials=5 * DRAWS,
        example=counterexample(
            "$\\operatorname{relu}(x)$ at $1$: with $\\alpha = 2$ the rule gives $2$, with no negative contribution to take $1$ off; the terms about "
            "the only root, $0$, are $1$, and so is the linear term of the function.",
            """
import torch
from executable.methods.layerwise_backprop import lrp_alpha_beta
from executable.rationales.deep_taylor import expand_layer
from executable.rationales.first_order_taylor import first_order_terms

layer = lambda v: torch.relu(torch.nn.functional.linear(v, torch.ones(1, 1)))
one = torch.ones(1, 1)
assert lrp_alpha_beta(lambda v: layer(v)[:, 0], one, alpha=2.0, beta=1.0).item() == 2
assert expand_layer(layer, one, torch.zeros(1)).terms.item() == first_order_terms(lambda v: layer(v)[:, 0], one).terms.item() == 1
""",
            input=[1],
            relevance=[2],
            term=[1],
        ),
    )


def _one_sign(model: nn.Sequential, x: Tensor) -> float:
    with torch.no_grad():
        target = model(x).argmax(dim=1)
    found = decomposed(model, x, target, grouped(2.0, 1.0)).relevance
    return scaled_error(found, lrp_alpha_beta(model, x, target, alpha=2.0, beta=1.0))
