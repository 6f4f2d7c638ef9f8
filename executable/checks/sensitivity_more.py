"""More checks of sensitivity and of decision relevance: LRP-α1β0 and DeepLIFT RevealCancel in deep networks, gradient and SmoothGrad in wide ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from executable.checks import input_recovery
from executable.checks.base import Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, subject, versions
from executable.checks.sensitivity import (
    ALPHA1,
    CLASSES,
    DEEP,
    GRADIENT,
    LATE,
    MIDDLE,
    NETWORKS,
    SEED,
    SHALLOW,
    WIDTH,
    Drawn,
    Map,
    class_cosines,
    mean,
    model_cosines,
    networks,
    size,
    towers,
)
from executable.methods.layerwise_backprop import deeplift_rescale, deeplift_revealcancel
from executable.methods.modified_gradient import deconv, gradient, guided_backprop, smoothgrad
from taxonomy.evidence import Evidence

MAPS: dict[str, Map] = {"lrp-alpha1-beta0": ALPHA1, "deeplift-revealcancel": deeplift_revealcancel}
NAMES = {"lrp-alpha1-beta0": "LRP-$\\alpha_1\\beta_0$", "deeplift-revealcancel": "DeepLIFT RevealCancel"}
TOLERANCES = {"lrp-alpha1-beta0": 1e-6, "deeplift-revealcancel": 0.1}
CALLS = {
    "lrp-alpha1-beta0": ("lrp_alpha_beta", "lrp_alpha_beta(f, x, target, alpha=1.0, beta=0.0)"),
    "deeplift-revealcancel": ("deeplift_revealcancel", "deeplift_revealcancel(f, x, target)"),
}


_TOWERS = """
import torch
from executable.methods import {function}


def f(x):
    for _ in range(16):
        x = torch.relu(x @ torch.eye(2))
    return x{last}


x, target = torch.ones(2, 2), torch.tensor([0, 1])
maps = {call}
assert torch.equal(maps / maps.sum(dim=1, keepdim=True), torch.eye(2){flip})
"""
_DOMAIN = "Random ReLU networks without biases, width 64, inputs with positive entries, baseline zero; two networks side by side"
_UP_TO_SIGN = " The maps are compared up to their signs."


def output_sensitivity(claim: str) -> Evidence:
    """Maps of two classes in deep networks that mix: one direction for LRP-α1β0, one line for RevealCancel."""
    name = subject(claim)
    method, tolerance, signed = MAPS[name], TOLERANCES[name], name == "lrp-alpha1-beta0"
    found = {depth: class_cosines(method, networks(depth)) for depth in (SHALLOW, MIDDLE, DEEP)}
    sizes = {depth: size(cosines) for depth, cosines in found.items()}
    apart = size(class_cosines(method, towers(), 2))
    cases = [
        Case("depth 16", True, 1 - (mean(found[DEEP]) if signed else sizes[DEEP])),
        Case("depth 2", False, 1 - sizes[SHALLOW]),
        Case("two towers of depth 16", False, 1 - apart),
    ]
    if not signed:
        cases.append(Case("depth 16, with the sign", False, 1 - mean(found[DEEP])))
    plain, rescaled = class_cosines(GRADIENT, networks(DEEP)), class_cosines(deeplift_rescale, networks(DEEP))
    measurements = (
        at_most("one minus the mean size of the cosine between the maps of two classes, depth 16", 1 - sizes[DEEP], tolerance),
        at_least("growth of the mean size from depth 2 to 8", sizes[MIDDLE] - sizes[SHALLOW], 0.05),
        at_least("growth of the mean size from depth 8 to 16", sizes[DEEP] - sizes[MIDDLE], 0.0),
        at_least("mean cosine with its sign, depth 16", mean(found[DEEP]), 1 - tolerance)
        if signed
        else at_most("mean cosine with its sign, depth 16", mean(found[DEEP]), 0.6, "classes are told apart by the sign"),
        at_most("mean size of the cosine, depth 2", sizes[SHALLOW], 0.95),
        at_most("mean size of the cosine, two towers of depth 16", apart, 1e-12),
        number("the gradient, depth 16: mean size of the cosine", size(plain)),
        number("DeepLIFT Rescale, depth 16: mean size of the cosine", size(rescaled)),
    )
    function, call = CALLS[name]
    return Evidence(
        claim=claim,
        check="sensitivity-more/nonnegative",
        status=settle(measurements, judge(cases, tolerance)),
        statement=f"As a network gets deeper, the maps of {NAMES[name]} for different classes of one input approach one direction: at depth 16 the "
        f"mean cosine is 1 up to {tolerance:g}.",
        condition="The network is deep and its layers mix all units." + ("" if signed else _UP_TO_SIGN),
        finding="Every step is a nonnegative matrix; the distance from one direction falls by an order of magnitude per layer. At depth 2, or with "
        "two towers, the classes stay apart."
        if signed
        else "The shares have entries of both signs, so that no theorem on nonnegative matrices applies; the maps still come to lie on one line, on "
        "either side of it, so that a pair of classes may receive opposite maps. Rescale stays close to the gradient.",
        domain=_DOMAIN,
        measurements=measurements,
        trials=3 * NETWORKS * CLASSES + NETWORKS,
        seed=SEED,
        counterexample=counterexample(
            "Two towers: each of two inputs runs through sixteen ReLUs of its own to one output. At $(1, 1)$ the maps are $(1, 0)$ and $(0, 1)$.",
            _TOWERS.format(function=function, call=call, last="", flip=""),
            input=[1, 1],
            maps=[[1, 0], [0, 1]],
        ),
        controls=(
            breaks("the gradient on the same networks of depth 16: one minus the mean size of the cosine", 1 - size(plain), tolerance),
            breaks("DeepLIFT Rescale on the same networks: one minus the mean size of the cosine", 1 - size(rescaled), tolerance),
            keeps("guided backpropagation at depth 16: one minus cosine", 1 - mean(class_cosines(guided_backprop, networks(DEEP))), 0.1),
        ),
        parameters={"width": WIDTH, "depths": [SHALLOW, MIDDLE, DEEP], "networks": NETWORKS, "classes": CLASSES},
        versions=versions(),
    )


def parameter_sensitivity(claim: str) -> Evidence:
    """Drawing late layers again leaves the direction, or the line, of the map."""
    name = subject(claim)
    method, tolerance, signed = MAPS[name], TOLERANCES[name], name == "lrp-alpha1-beta0"
    cascade = {fresh: model_cosines(method, networks(DEEP), networks(DEEP, fresh)) for fresh in (2, LATE, MIDDLE, DEEP)}
    swapped = size(model_cosines(method, towers(), towers(swapped=True)))
    cases = [
        Case("last 4 of 16 layers", True, 1 - (mean(cascade[LATE]) if signed else size(cascade[LATE]))),
        Case("all 16 layers", False, 1 - size(cascade[DEEP])),
        Case("head of two towers exchanged", False, 1 - swapped),
    ]
    if not signed:
        cases.append(Case("last 4 of 16 layers, with the sign", False, 1 - mean(cascade[LATE])))
    plain = model_cosines(GRADIENT, networks(DEEP), networks(DEEP, LATE))
    rescaled = model_cosines(deeplift_rescale, networks(DEEP), networks(DEEP, LATE))
    measurements = (
        at_most("one minus the mean size of the cosine before and after, last 4 of 16 layers drawn again", 1 - size(cascade[LATE]), tolerance),
        at_most("mean size of the cosine, all layers drawn again", size(cascade[DEEP]), 0.98),
        at_most("mean size of the cosine, two towers with the outputs exchanged", swapped, 1e-12),
        *(number(f"last {fresh} of 16 layers: mean cosine with its sign", mean(cosines)) for fresh, cosines in cascade.items()),
        number("the gradient, last 4 of 16 layers: mean size of the cosine", size(plain)),
    )
    function, call = CALLS[name]
    same = model_cosines(method, networks(DEEP), networks(DEEP))
    return Evidence(
        claim=claim,
        check="sensitivity-more/nonnegative",
        status=settle(measurements, judge(cases, tolerance)),
        statement=f"In a deep network the map of {NAMES[name]} keeps its direction when the weights of late layers are drawn again: with the last "
        f"4 of 16 layers the mean cosine is 1 up to {tolerance:g}.",
        condition="The network is deep, its layers mix all units, and enough of the early layers stay as they are." + ("" if signed else _UP_TO_SIGN),
        finding="Only the late layers are without influence: drawing all layers again changes the map, and so does a change of the last layer alone "
        "where two networks run side by side." + ("" if signed else " The sign of the whole map does depend on the late layers."),
        domain=_DOMAIN,
        measurements=measurements,
        trials=6 * NETWORKS,
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
            breaks("the gradient on the same networks: one minus the mean size of the cosine", 1 - size(plain), tolerance),
            breaks("DeepLIFT Rescale on the same networks: one minus the mean size of the cosine", 1 - size(rescaled), tolerance),
            keeps("the same networks, nothing drawn again: one minus the mean size of the cosine", 1 - size(same), tolerance),
        ),
        parameters={"width": WIDTH, "depth": DEEP, "networks": NETWORKS, "late layers": LATE},
        versions=versions(),
    )


def nonnegative(claim: str) -> Evidence:
    """Both requirements, for the two methods of the family that have no record of their own on them."""
    return (output_sensitivity if claim.endswith("output-sensitivity") else parameter_sensitivity)(claim)


UNITS, FILTERS = 1000, 256
CHANCE = 0.3
"""Five standard errors of the mean cosine of three unrelated vectors in a hundred dimensions."""
Explain = Callable[[nn.Sequential, Tensor, Tensor], Tensor]


def _smooth(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    return smoothgrad(model, x, target, n_samples=20, stdevs=0.3)


RELEVANT: dict[str, Explain] = {"gradient": gradient, "smoothgrad": _smooth}


def recovered(method: Explain, drawn: Drawn) -> tuple[float, float]:
    """Mean cosine of the map with the input, and between the maps of two classes."""
    to_input, classes = [], []
    for model, x in drawn:
        maps = method(model, x.expand(2, *x.shape[1:]), torch.arange(2)).detach()
        to_input += [input_recovery.cosine(a, x[0]) for a in maps]
        classes.append(input_recovery.cosine(maps[0], maps[1]))
    return mean(to_input), mean(classes)


def _dense() -> Drawn:
    return [input_recovery.dense(UNITS, seed) for seed in range(input_recovery.NETWORKS)]


def _pooled() -> Drawn:
    return [input_recovery.convolutional(FILTERS, True, False, seed) for seed in range(input_recovery.NETWORKS)]


def _agreeing() -> Drawn:
    """The same dense networks with all outer weights one, so that nothing cancels: the function is close to a multiple of the input's norm."""
    found = []
    for model, x in [input_recovery.dense(10 * UNITS, seed) for seed in range(input_recovery.NETWORKS)]:
        first = model[0]
        last = nn.Linear(10 * UNITS, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            last.weight.fill_(1.0)
        found.append((nn.Sequential(first, nn.ReLU(), last).requires_grad_(False), x))
    return found


_NORM = """
import torch
from executable.methods import {function}

f = lambda x: torch.stack([(x * x).sum(dim=1), 2 * (x * x).sum(dim=1)], dim=1)   # two outputs, |x|^2 and 2 |x|^2
x = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
for output in (0, 1):
    a = {call}
    assert torch.nn.functional.cosine_similarity(a, x).item() > 0.95             # the map is the input
"""
_CALLS = {"gradient": ("gradient", "gradient(f, x, output)"), "smoothgrad": ("smoothgrad", "smoothgrad(f, x, output, n_samples=50, stdevs=0.5)")}


def not_recovered(claim: str) -> Evidence:
    """Where guided backpropagation and Deconv rebuild the input whatever class is explained, the map does not."""
    name = subject(claim)
    method = RELEVANT[name]
    dense, pooled, agreeing = (recovered(method, drawn) for drawn in (_dense(), _pooled(), _agreeing()))
    cases = (
        Case("dense, random outer weights", True, max(map(abs, dense))),
        Case("convolution with max-pooling, random outer weights", True, max(map(abs, pooled))),
        Case("dense, outer weights all one: input", False, agreeing[0]),
        Case("dense, outer weights all one: classes", False, agreeing[1]),
    )
    guided, flat = recovered(guided_backprop, _dense()), recovered(deconv, _pooled())
    measurements = (
        at_most("dense, random outer weights: size of the mean cosine of map and input", abs(dense[0]), CHANCE),
        at_most("dense, random outer weights: size of the mean cosine of the maps of two classes", abs(dense[1]), CHANCE),
        at_most("max-pooling, random outer weights: size of the mean cosine of map and input", abs(pooled[0]), CHANCE),
        at_most("max-pooling, random outer weights: size of the mean cosine of the maps of two classes", abs(pooled[1]), CHANCE),
        at_least("outer weights all one: mean cosine of map and input", agreeing[0], 0.8),
    )
    function, call = _CALLS[name]
    return Evidence(
        claim=claim,
        check="sensitivity-more/not-recovered",
        status=settle(measurements, judge(cases, CHANCE)),
        statement=f"In wide random networks the map of {'the gradient' if name == 'gradient' else 'SmoothGrad'} has neither the direction of the "
        "input nor one direction for all classes: mean cosines are at most 0.3 in size.",
        condition="The outer weights are random and of both signs, as in the networks in which guided backpropagation and Deconv show the input.",
        finding="A model may itself point to the input: the gradient of $\\lVert x \\rVert^2$ is $2 x$ for every output that grows with it. Then the "
        "map shows the input because the model uses it. The requirement has no formula; these are two readings of it.",
        domain="Random networks with one hidden layer: 100 inputs and 1000 units; 16 × 16 images, 256 filters of 3 × 3 and 2 × 2 max-pooling",
        measurements=measurements,
        trials=3 * input_recovery.NETWORKS,
        seed=input_recovery.SEED,
        counterexample=counterexample(
            "$\\lVert x \\rVert^2$ and $2 \\lVert x \\rVert^2$ at $(1, 3)$: the maps of both outputs have the direction of the input.",
            _NORM.format(function=function, call=call),
            input=[1, 3],
            gradients=[[2, 6], [4, 12]],
        ),
        controls=(
            breaks("guided backpropagation in the same dense networks: cosine of map and input", guided[0], CHANCE),
            breaks("Deconv in the same networks with max-pooling: cosine of the maps of two classes", flat[1], CHANCE),
            keeps("vectors of random signs: size of the mean cosine with the input", abs(_chance()), CHANCE),
        ),
        parameters={"units": UNITS, "filters": FILTERS, "networks": input_recovery.NETWORKS},
        versions=versions(),
    )


def _chance() -> float:
    generator = torch.Generator().manual_seed(SEED)
    return mean([input_recovery.cosine(torch.randn(x.shape, generator=generator, dtype=torch.float64), x) for _, x in _dense()])
