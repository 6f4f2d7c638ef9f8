"""Checks of output and parameter sensitivity: maps of different classes, and maps before and after late layers are drawn again, as depth grows."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, subject, versions, worst
from executable.methods.layerwise_backprop import (
    ZPlusRule,
    deep_taylor_decomposition,
    excitation_backprop,
    lrp_alpha_beta,
    rect_gradient,
    relevance_matrices,
)
from executable.methods.modified_gradient import deconv, gradient, guided_backprop
from executable.testbeds.mlps import mlp
from taxonomy.evidence import Evidence

SEED = 300
WIDTH, CLASSES, NETWORKS = 64, 3, 4
SHALLOW, MIDDLE, DEEP = 2, 8, 16
LATE = 4
Map = Callable[[nn.Sequential, Tensor, Tensor], Tensor]
Drawn = Sequence[tuple[nn.Sequential, Tensor]]


def _per_unit(method: Callable[..., Tensor], **options: float | str) -> Map:
    """Relevance that starts from 1 instead of from the output, so that its sign does not depend on the output's."""

    def run(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            start: Tensor = model(x).gather(1, target.unsqueeze(1))
        return method(model, x, target, **options) / start

    return run


def _rectified(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    return rect_gradient(model, x, target, percentile=75.0)


MAPS: dict[str, Map] = {
    "deconv": deconv,
    "guided-backprop": guided_backprop,
    "rect-gradient": _rectified,
    "excitation-backprop": excitation_backprop,
    "deep-taylor-decomposition": _per_unit(deep_taylor_decomposition),
    "lrp-alpha-beta": _per_unit(lrp_alpha_beta, alpha=2.0, beta=1.0),
}
GRADIENT: Map = gradient
ALPHA1: Map = _per_unit(lrp_alpha_beta, alpha=1.0, beta=0.0)
MATRIX_METHODS = ("excitation-backprop", "deep-taylor-decomposition")
NAMES = {
    "deconv": "Deconv",
    "guided-backprop": "guided backpropagation",
    "rect-gradient": "the rectified gradient",
    "excitation-backprop": "excitation backprop",
    "deep-taylor-decomposition": "deep Taylor decomposition",
    "lrp-alpha-beta": "LRP with $\\alpha = 2$, $\\beta = 1$",
}
SNIPPETS = {
    "deconv": ("deconv", "deconv(towers, x, target)"),
    "guided-backprop": ("guided_backprop", "guided_backprop(towers, x, target)"),
    "rect-gradient": ("rect_gradient", "rect_gradient(towers, x, target, threshold=0.0)"),
    "excitation-backprop": ("excitation_backprop", "excitation_backprop(towers, x, target)"),
    "deep-taylor-decomposition": ("deep_taylor_decomposition", "deep_taylor_decomposition(towers, x, target)"),
    "lrp-alpha-beta": ("lrp_alpha_beta", "lrp_alpha_beta(towers, x, target, alpha=2.0, beta=1.0)"),
}


@functools.cache
def networks(depth: int, fresh: int = 0) -> tuple[tuple[nn.Sequential, Tensor], ...]:
    """Random ReLU networks without biases, with an input of positive entries; in the last `fresh` layers the weights are drawn again."""
    found = []
    for seed in range(NETWORKS):
        generator = torch.Generator().manual_seed(SEED + seed)
        model = mlp([WIDTH] * depth + [CLASSES], "relu", bias=False, generator=generator)
        x = torch.randn(1, WIDTH, generator=generator, dtype=torch.float64).abs()
        other = [layer for layer in mlp([WIDTH] * depth + [CLASSES], "relu", bias=False, generator=generator) if isinstance(layer, nn.Linear)]
        layers = [layer for layer in model if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, source in list(zip(layers, other, strict=True))[depth - fresh :]:
                layer.weight.copy_(source.weight)
        found.append((model.requires_grad_(False), x))
    return tuple(found)


@functools.cache
def towers(swapped: bool = False) -> tuple[tuple[nn.Sequential, Tensor], ...]:
    """Two networks side by side that share nothing; the first class reads one, the second the other, or the other way round."""
    found = []
    for seed in range(NETWORKS):
        generator = torch.Generator().manual_seed(SEED + 50 + seed)
        layers: list[nn.Module] = []
        for last in [False] * (DEEP - 1) + [True]:
            size = 1 if last else WIDTH // 2
            blocks = [torch.randn(size, WIDTH // 2, generator=generator, dtype=torch.float64).abs() * 4 / WIDTH for _ in range(2)]
            weight = _side_by_side(*blocks)
            layer = nn.Linear(WIDTH, 2 * size, bias=False, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(weight.flip(0) if last and swapped else weight)
            layers += [layer, nn.ReLU()]
        x = torch.rand(1, WIDTH, generator=generator, dtype=torch.float64) + 0.5
        found.append((nn.Sequential(*layers[:-1]).requires_grad_(False), x))
    return tuple(found)


def _side_by_side(a: Tensor, b: Tensor) -> Tensor:
    """Block diagonal matrix of two blocks."""
    above, below = a.new_zeros(a.shape[0], b.shape[1]), a.new_zeros(b.shape[0], a.shape[1])
    return torch.cat([torch.cat([a, above], dim=1), torch.cat([below, b], dim=1)])


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two vectors."""
    return float(a @ b / (a.norm() * b.norm()).clamp(min=1e-300))


def mean(values: Sequence[float]) -> float:
    """Mean, with signs."""
    return math.fsum(values) / len(values)


def size(values: Sequence[float]) -> float:
    """Mean of the absolute values."""
    return mean([abs(value) for value in values])


def class_cosines(method: Map, drawn: Drawn, classes: int = CLASSES) -> list[float]:
    """Cosines between the maps of two classes for one input."""
    found = []
    for model, x in drawn:
        maps = method(model, x.expand(classes, -1), torch.arange(classes)).detach()
        found += [cosine(maps[i], maps[j]) for i, j in itertools.combinations(range(classes), 2)]
    return found


def class_cosine(method: Map, drawn: Drawn, classes: int = CLASSES) -> float:
    """Their mean."""
    return mean(class_cosines(method, drawn, classes))


def model_cosines(method: Map, before: Drawn, after: Drawn) -> list[float]:
    """Cosines between the maps of the first class, for one input, of two networks."""
    target = torch.zeros(1, dtype=torch.long)
    return [cosine(method(f, x, target)[0].detach(), method(g, x, target)[0].detach()) for (f, x), (g, _) in zip(before, after, strict=True)]


def model_cosine(method: Map, before: Drawn, after: Drawn) -> float:
    """Their mean."""
    return mean(model_cosines(method, before, after))


def _tolerance(method: str) -> float:
    return 1e-6 if method in MATRIX_METHODS else 0.1


def _null() -> float:
    """Mean cosine between independent vectors of the kind of the inputs: what positive entries alone give."""
    generator = torch.Generator().manual_seed(SEED)
    a, b = (torch.randn(200, WIDTH, generator=generator, dtype=torch.float64).abs() for _ in range(2))
    return float(torch.nn.functional.cosine_similarity(a, b).mean())


_TOWERS = """
import torch
from executable.methods import {function}


def towers(x):
    for _ in range(16):
        x = torch.relu(x @ torch.eye(2))
    return x{last}


x = torch.ones(2, 2)
target = torch.tensor([0, 1])
maps = {call}
assert torch.equal(maps / maps.sum(dim=1, keepdim=True), torch.tensor([[1.0, 0.0], [0.0, 1.0]]){flip})
"""


def output_sensitivity(claim: str) -> Evidence:
    """Maps of two classes point the same way in deep networks whose layers mix, and do not otherwise."""
    name = subject(claim)
    method, tolerance = MAPS[name], _tolerance(name)
    signs = name == "lrp-alpha-beta"
    shallow, middle, deep = (class_cosine(method, networks(depth)) for depth in (SHALLOW, MIDDLE, DEEP))
    apart = class_cosine(method, towers(), 2)
    cases = [
        Case("depth 16", True, 1 - deep),
        Case("depth 2", False, 1 - shallow),
        Case("two towers of depth 16", False, 1 - apart),
    ]
    plain = class_cosine(GRADIENT, networks(DEEP))
    measurements = [
        at_most("one minus the mean cosine between the maps of two classes, depth 16", 1 - deep, tolerance),
        at_least("growth of the cosine from depth 2 to 8", middle - shallow, 0.05),
        at_least("growth of the cosine from depth 8 to 16", deep - middle, 0.0),
        at_most("mean cosine, depth 2", shallow, 0.95, "not yet one direction"),
        at_most("mean cosine, two towers of depth 16", apart, 1e-12),
        number("independent vectors with positive entries", _null()),
    ]
    if name == "deconv":
        measurements.append(at_most("depth 16: distance from the recursion of infinitely wide random layers", abs(deep - _recursion(DEEP - 1)), 0.08))
    if name == "rect-gradient":
        measurements.append(
            number("depth 16, threshold at the 98th percentile", class_cosine(rect_gradient, networks(DEEP)), "keeps two units of 64")
        )
    if signs:
        measurements.append(number("depth 16, $\\alpha = 1$, $\\beta = 0$", class_cosine(ALPHA1, networks(DEEP))))
        signed, unsigned = _narrow_cosines(method)
        cases.append(Case("width 16, depth 32", False, 1 - signed))
        measurements += [
            at_most("width 16, depth 32: mean cosine", signed, 0.5),
            at_least("width 16, depth 32: mean size of the cosine", unsigned, 0.6, "one direction up to the sign"),
        ]
    function, call = SNIPPETS[name]
    return Evidence(
        claim=claim,
        check="sensitivity/output",
        status=settle(measurements, judge(cases, tolerance)),
        statement=f"As a network gets deeper, the maps of {NAMES[name]} for different classes of one input approach one direction: at depth 16 the "
        f"mean cosine is 1 up to {tolerance:g}.",
        condition="The network is deep and its layers mix all units: no blocks that are carried along side by side."
        + (" With $\\beta > 0$ it is also wide; in a narrow one the maps of different classes agree up to their signs." if signs else ""),
        finding=_output_finding(name),
        domain="Random ReLU networks without biases, width 64, depths 2, 8 and 16, inputs with positive entries; two networks side by side",
        measurements=tuple(measurements),
        trials=3 * NETWORKS * CLASSES + NETWORKS + 2 * NETWORKS * CLASSES * signs,
        seed=SEED,
        counterexample=counterexample(
            "Two towers: each of two inputs runs through sixteen ReLUs of its own to one output. At $(1, 1)$ the maps are $(1, 0)$ and $(0, 1)$.",
            _TOWERS.format(function=function, call=call, last="", flip=""),
            input=[1, 1],
            maps=[[1, 0], [0, 1]],
        ),
        controls=(
            breaks("the gradient on the same networks of depth 16: one minus cosine", 1 - plain, tolerance),
            breaks("random signed vectors: one minus cosine", 1 - _signed(), tolerance),
            keeps("LRP-$\\alpha_1\\beta_0$ at depth 16: one minus cosine", 1 - class_cosine(ALPHA1, networks(DEEP)), tolerance),
        ),
        parameters={"width": WIDTH, "depths": [SHALLOW, MIDDLE, DEEP], "networks": NETWORKS, "classes": CLASSES, "percentile": 75},
        versions=versions(),
    )


def _narrow_cosines(method: Map) -> tuple[float, float]:
    """Mean cosine between the maps of two classes and its mean size, in networks of width 16 and depth 32."""
    drawn = []
    for seed in range(2 * NETWORKS):
        generator = torch.Generator().manual_seed(SEED + 600 + seed)
        model = mlp([16] * 32 + [CLASSES], "relu", bias=False, generator=generator).requires_grad_(False)
        drawn.append((model, torch.randn(1, 16, generator=generator, dtype=torch.float64).abs()))
    found = class_cosines(method, drawn)
    return mean(found), size(found)


def _signed() -> float:
    generator = torch.Generator().manual_seed(SEED)
    a, b = (torch.randn(200, WIDTH, generator=generator, dtype=torch.float64) for _ in range(2))
    return float(torch.nn.functional.cosine_similarity(a, b).mean())


def _recursion(gates: int) -> float:
    """Cosine of two independent signals after so many random layers with a rectifier, in the limit of infinite width."""
    c = 0.0
    for _ in range(gates):
        c = (math.sqrt(max(1 - c * c, 0.0)) + c * (math.pi - math.acos(min(c, 1.0)))) / math.pi
    return c


def _output_finding(name: str) -> str:
    if name in MATRIX_METHODS:
        return (
            "The step between layers is a nonnegative matrix, and the distance from one direction falls by an order of magnitude per layer; at "
            "depth 2, or with two towers, the classes stay apart."
        )
    if name == "lrp-alpha-beta":
        return (
            "For $\\beta = 0$ the matrices are nonnegative. For $\\beta > 0$ they have entries of both signs, so that no theorem on nonnegative "
            "matrices applies; the convergence is measured, and slower than for $\\beta = 0$."
        )
    if name == "deconv":
        return (
            "The backward pass is itself a random rectified network, not a product of nonnegative matrices; directions come together slowly, "
            "with the inverse square of the depth."
        )
    if name == "rect-gradient":
        return (
            "The step depends on the signal and is no nonnegative matrix. The convergence depends on the threshold: one that keeps two units of 64 "
            "leaves the maps further apart."
        )
    return "The step depends on the signal and is no nonnegative matrix; the maps still come together, and the classes stay apart with two towers."


def parameter_sensitivity(claim: str) -> Evidence:
    """Drawing late layers again leaves the map as it is if enough layers that mix lie below."""
    name = subject(claim)
    method, tolerance = MAPS[name], _tolerance(name)
    found = {fresh: model_cosine(method, networks(DEEP), networks(DEEP, fresh)) for fresh in (LATE, DEEP)}
    swapped = model_cosine(method, towers(), towers(swapped=True))
    cases = (
        Case("last 4 of 16 layers", True, 1 - found[LATE]),
        Case("all 16 layers", False, 1 - found[DEEP]),
        Case("head of two towers exchanged", False, 1 - swapped),
    )
    plain = model_cosine(GRADIENT, networks(DEEP), networks(DEEP, LATE))
    measurements = [
        at_most("one minus the mean cosine before and after, last 4 of 16 layers drawn again", 1 - found[LATE], tolerance),
        at_most("mean cosine, all layers drawn again", found[DEEP], 0.98),
        at_most("mean cosine, two towers with the outputs exchanged", swapped, 1e-12),
        number("independent vectors with positive entries", _null()),
    ]
    if name == "rect-gradient":
        harsh = model_cosine(rect_gradient, networks(DEEP), networks(DEEP, LATE))
        measurements.append(number("last 4 of 16 layers, threshold at the 98th percentile", harsh, "keeps two units of 64"))
    function, call = SNIPPETS[name]
    return Evidence(
        claim=claim,
        check="sensitivity/parameter",
        status=settle(measurements, judge(cases, tolerance)),
        statement=f"In a deep network the map of {NAMES[name]} keeps its direction when the weights of late layers are drawn again: with the last "
        f"4 of 16 layers the mean cosine is 1 up to {tolerance:g}.",
        condition="The network is deep, its layers mix all units, and enough of the early layers stay as they are.",
        finding="Only the late layers are without influence: drawing all layers again changes the map, and so does a change of the last layer alone "
        "where two networks run side by side.",
        domain="Random ReLU networks without biases, width 64, depth 16, inputs with positive entries; two networks side by side",
        measurements=tuple(measurements),
        trials=3 * NETWORKS,
        seed=SEED,
        counterexample=counterexample(
            "Two towers of sixteen ReLUs each: exchanging the two outputs, a change of the last layer alone, turns the map of the first class from "
            "$(1, 0)$ into $(0, 1)$.",
            _TOWERS.format(function=function, call=call, last=" @ torch.eye(2).flip(0)", flip=".flip(0)"),
            input=[1, 1],
            before=[1, 0],
            after=[0, 1],
        ),
        controls=(
            breaks("the gradient on the same networks: one minus cosine", 1 - plain, tolerance),
            breaks("random signed vectors: one minus cosine", 1 - _signed(), tolerance),
            keeps("the same networks, nothing drawn again: one minus cosine", 1 - model_cosine(method, networks(DEEP), networks(DEEP)), tolerance),
        ),
        parameters={"width": WIDTH, "depth": DEEP, "networks": NETWORKS, "late layers": LATE, "percentile": 75},
        versions=versions(),
    )


def rank_one_products(claim: str) -> Evidence:
    """Products of nonnegative matrices approach rank one if they mix, and need not if they come close to a permutation or to blocks."""
    drawn = [_matrices(seed) for seed in range(2)]
    trend = {depth: worst([second_singular(matrices[-depth:]) for matrices in drawn]) for depth in (SHALLOW, MIDDLE, DEEP)}
    blocks = second_singular([_side_by_side(*[torch.ones(2, 2, dtype=torch.float64)] * 2)] * DEEP)
    calm = second_singular(list(_calm(DEEP)))
    permutation = second_singular([torch.eye(3, dtype=torch.float64).roll(1, 0)] * DEEP)
    cases = (
        Case("matrices of the z+ rule in random networks", True, trend[DEEP]),
        Case("two blocks", False, blocks),
        Case("permutation", False, permutation),
        Case("positive matrices that tend to the identity", False, calm),
    )
    excess, contraction = _birkhoff()
    exact = _calm_ratio(10)
    measurements = (
        at_most("largest second singular value over the first, 16 layers of the z+ rule", trend[DEEP], 1e-6),
        at_most("the same with 8 layers over the same with 2", trend[MIDDLE] / trend[SHALLOW], 1e-2),
        at_least("two blocks of ones, 16 factors", blocks, 0.5),
        at_least("positive matrices that tend to the identity, 16 factors", calm, 0.1),
        at_least("the same, exactly, after 10 factors", float(exact), 0.12, "product of $(1 - 2^{-l}) / (1 + 2^{-l})$, from $l = 1$"),
        at_most("Hilbert distance after a step, over $\\tanh(\\Delta / 4)$ times that before, less 1", excess, ALGEBRA, "Birkhoff's bound"),
        number("largest contraction factor $\\tanh(\\Delta / 4)$ of the positive matrices drawn", contraction),
    )
    generator = torch.Generator().manual_seed(SEED)
    signed = [torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64) for _ in range(DEEP)]
    status = judge(cases, 1e-6)
    code = """
import math
from fractions import Fraction

ratio = Fraction(1)
for layer in range(1, 12):
    small = Fraction(1, 2**layer)  # the matrix ((1, small), (small, 1)) has eigenvalues 1 + small and 1 - small
    ratio *= (1 - small) / (1 + small)
rest = 2 * sum(Fraction(1, 2**layer) for layer in range(12, 60))
assert Fraction(12, 100) < ratio * (1 - rest) < ratio < Fraction(13, 100)
"""
    return Evidence(
        claim=claim,
        check="sensitivity/rank-one",
        status=settle(measurements, status),
        statement="The product of the nonnegative backpropagation matrices of $L$ layers approaches rank one as $L$ grows: its second singular value "
        "falls below $10^{-6}$ of the first at 16 layers.",
        condition="The matrices mix, such as positive ones whose entries lie between fixed positive bounds; no blocks, and no limit with "
        "orthogonal columns.",
        finding="Positive entries alone do not suffice: the product of the matrices with rows $(1, 2^{-l})$ and $(2^{-l}, 1)$ keeps rank two in the "
        "limit, since they tend to the identity fast enough.",
        domain="Matrices of the z⁺-rule in random ReLU networks of width 64; blocks, permutations and positive matrices near the identity; random "
        "positive matrices for the contraction of Hilbert's distance",
        measurements=measurements,
        trials=2 * 3 + 3 + 200,
        seed=SEED,
        counterexample=counterexample(
            "Matrices $((1, 2^{-l}), (2^{-l}, 1))$ for $l = 1, 2, \\dots$ have positive entries, and the ratio of the eigenvalues of their product "
            "tends to about $0.12$, not to zero.",
            code,
            factors=[[[1, "2^-l"], ["2^-l", 1]]],
            limit_of_ratio=0.1211,
        ),
        controls=(
            breaks("products of random signed matrices, 16 factors", second_singular(signed), 1e-6),
            keeps("the matrix with rows (1, 1/2) and (1/2, 1), 16 factors", second_singular([_near_identity(0.5)] * DEEP), 1e-6),
        ),
        parameters={"width": WIDTH, "layers": [SHALLOW, MIDDLE, DEEP], "networks": 2},
        versions=versions(),
    )


@functools.cache
def _matrices(seed: int) -> tuple[Tensor, ...]:
    """Matrices of the z+ rule between hidden layers, from the input on; the last layer, which has few outputs, is left out."""
    model, x = networks(DEEP + 1)[seed]
    found, _ = relevance_matrices(model, x, rule=ZPlusRule(signed="pair"))
    wide = [matrix for matrix in found if matrix.shape == (WIDTH, WIDTH)]
    return tuple(matrix for matrix in wide if not torch.equal(matrix, torch.diag(matrix.diagonal())))[:DEEP]


def second_singular(matrices: Sequence[Tensor]) -> float:
    """Second singular value of the product over the first."""
    product = functools.reduce(lambda a, b: (a @ b) / (a @ b).abs().max(), matrices)
    values = torch.linalg.svdvals(product)
    return float(values[1] / values[0])


def _near_identity(small: float) -> Tensor:
    return torch.tensor([[1.0, small], [small, 1.0]], dtype=torch.float64)


def _calm(factors: int) -> tuple[Tensor, ...]:
    return tuple(_near_identity(2.0**-layer) for layer in range(1, factors + 1))


def _calm_ratio(factors: int) -> Fraction:
    """Smaller over larger eigenvalue of the product of ((1, e), (e, 1)), e = 1/2, 1/4, 1/8, ..."""
    ratio = Fraction(1)
    for layer in range(1, factors + 1):
        ratio *= Fraction(2**layer - 1, 2**layer + 1)
    return ratio


def _hilbert(u: Tensor, v: Tensor) -> float:
    quotient = (u / v).log()
    return float(quotient.max() - quotient.min())


def _birkhoff() -> tuple[float, float]:
    """Largest ratio of the Hilbert distance after a positive matrix to Birkhoff's bound, less one; and the largest contraction factor."""
    generator = torch.Generator().manual_seed(SEED)
    ratios, factors = [], []
    for _ in range(200):
        size = 3
        matrix = torch.rand(size, size, generator=generator, dtype=torch.float64) + 0.05
        u, v = (torch.rand(size, generator=generator, dtype=torch.float64) + 0.01 for _ in range(2))
        logs = matrix.log()
        diameter = max(_range(logs[:, i] - logs[:, j]) for i, j in itertools.combinations(range(size), 2))
        factors.append(math.tanh(diameter / 4))
        ratios.append(_hilbert(matrix @ u, matrix @ v) / (factors[-1] * _hilbert(u, v)) - 1)
    return max(ratios), max(factors)


def _range(values: Tensor) -> float:
    return float(values.max() - values.min())
