"""Checks of input recovery: how close the maps of guided backpropagation and Deconv come to the input in wide random networks."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

from executable.checks.base import Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, versions
from executable.methods.modified_gradient import deconv, gradient, guided_backprop
from taxonomy.evidence import Evidence

CHECK = "input-recovery/restored-input"
SEED = 320
FEATURES, NETWORKS, SIDE = 100, 3, 16
WIDTHS = (100, 1000, 10000)
FILTERS = (32, 1024)
METHODS = {"guided-backprop": guided_backprop, "deconv": deconv, "gradient": gradient}


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two tensors."""
    return float(a.flatten() @ b.flatten() / (a.norm() * b.norm()).clamp(min=1e-300))


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@functools.cache
def dense(width: int, seed: int) -> tuple[nn.Sequential, Tensor]:
    """One hidden ReLU layer with normal weights and two outputs, with an input whose entries are normal."""
    generator = torch.Generator().manual_seed(SEED + seed)
    first = nn.Linear(FEATURES, width, bias=False, dtype=torch.float64)
    last = nn.Linear(width, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        first.weight.copy_(_normal(generator, width, FEATURES))
        last.weight.copy_(_normal(generator, 2, width))
    return nn.Sequential(first, nn.ReLU(), last).requires_grad_(False), _normal(generator, 1, FEATURES)


@functools.cache
def convolutional(filters: int, pooling: bool, positive: bool, seed: int) -> tuple[nn.Sequential, Tensor]:
    """One convolution with random 3x3 filters, ReLU, 2x2 max-pooling if asked for, and a dense layer; with an image of independent pixels."""
    generator = torch.Generator().manual_seed(SEED + 10 + seed)
    first = nn.Conv2d(1, filters, 3, bias=False, dtype=torch.float64)
    places = ((SIDE - 2) // (2 if pooling else 1)) ** 2
    last = nn.Linear(filters * places, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        first.weight.copy_(_normal(generator, *first.weight.shape))
        last.weight.copy_(_normal(generator, *last.weight.shape))
    image = _normal(generator, 1, 1, SIDE, SIDE)
    middle = [nn.ReLU(), nn.MaxPool2d(2)] if pooling else [nn.ReLU()]
    return nn.Sequential(first, *middle, nn.Flatten(), last).requires_grad_(False), image.abs() if positive else image


def patches(image: Tensor) -> Tensor:
    """Sum of the 3x3 patches of the image, each divided by its norm and put back into its place.

    >>> patches(torch.ones(1, 1, 3, 3)).flatten()[:2]
    tensor([0.3333, 0.3333])
    """
    columns = nn.functional.unfold(image, 3)
    return nn.functional.fold(columns / columns.norm(dim=1, keepdim=True), image.shape[-2:], 3)


def predicted(width: int) -> float:
    """Cosine between guided backpropagation and the input for one hidden layer of normal weights: expected part against its spread."""
    return 1 / math.sqrt(1 + (FEATURES - 1) * math.pi**2 / width)


@functools.cache
def recovery(method: str, kind: str, size: int, positive: bool = False) -> tuple[float, float, float]:
    """Mean cosines of the map with the input and with the sum of its normalised patches, and between the maps of the two classes."""
    found = []
    for seed in range(NETWORKS):
        model, x = dense(size, seed) if kind == "dense" else convolutional(size, kind == "pooling", positive, seed)
        maps = METHODS[method](model, x.expand(2, *x.shape[1:]), torch.arange(2))
        limit = x if kind == "dense" else patches(x)
        found.append((cosine(maps[0], x), cosine(maps[0], limit), cosine(maps[0], maps[1])))
    to_input, to_limit, classes = (math.fsum(column) / NETWORKS for column in zip(*found, strict=True))
    return to_input, to_limit, classes


CODE_GUIDED = """
import torch
from executable.methods import guided_backprop

f = lambda x: torch.relu(x @ torch.tensor([[1.0, 0.0], [1.0, 1.0]]))[:, 0] * 2  # one of two units is used
x = torch.tensor([[1.0, 3.0]])
assert torch.equal(guided_backprop(f, x), torch.tensor([[2.0, 2.0]]))  # not a multiple of (1, 3)
"""
CODE_DECONV = """
import torch
from executable.methods import deconv

f = lambda x: torch.relu(x @ torch.tensor([[1.0, 2.0], [-1.0, 1.0]])) @ torch.tensor([1.0, 1.0])
maps = deconv(f, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-5.0, 2.0]]))
assert torch.equal(maps, torch.tensor([[3.0, 0.0]] * 3))  # the same map for every input
"""


def recovers(claim: str) -> Evidence:
    """Guided backpropagation and Deconvnet: whether the map restores the input."""
    return _deconv_recovers(claim) if claim.startswith("deconv") else _guided_recovers(claim)


def _guided_recovers(claim: str) -> Evidence:
    """Guided backpropagation tends to the input, or to its normalised patches, as a random network gets wide."""
    tolerance = 0.07
    widths = {width: recovery("guided-backprop", "dense", width) for width in WIDTHS}
    narrow, wide = (recovery("guided-backprop", "convolution", filters) for filters in FILTERS)
    few, many = WIDTHS[0], WIDTHS[-1]
    cases = (
        Case(f"dense, {many} units", True, 1 - widths[many][0]),
        Case(f"dense, {many} units, classes", True, 1 - widths[many][2]),
        Case(f"convolution, {FILTERS[1]} filters, normalised patches", True, 1 - wide[1]),
        Case(f"convolution, {FILTERS[1]} filters, classes", True, 1 - wide[2]),
        Case(f"dense, {few} units", False, 1 - widths[few][0]),
        Case(f"dense, {few} units, classes", False, 1 - widths[few][2]),
        Case(f"convolution, {FILTERS[0]} filters, normalised patches", False, 1 - narrow[1]),
        Case(f"convolution, {FILTERS[1]} filters, the image itself", False, 1 - wide[0]),
    )

    plain = recovery("gradient", "dense", many)
    measurements = (
        *(
            at_most(f"dense, {width} units: distance of the cosine from the formula", abs(widths[width][0] - predicted(width)), 0.05)
            for width in WIDTHS
        ),
        at_least(f"dense, {many} units: cosine of map and input", widths[many][0], 1 - tolerance),
        at_least(f"dense, {many} units: cosine of the maps of two classes", widths[many][2], 1 - tolerance),
        at_least(f"convolution, {FILTERS[1]} filters: cosine of map and sum of normalised patches", wide[1], 1 - tolerance),
        at_least(f"convolution, {FILTERS[1]} filters: cosine of the maps of two classes", wide[2], 1 - tolerance),
        at_most(f"convolution, {FILTERS[1]} filters: cosine of map and image", wide[0], 0.95, "stays below 1"),
    )
    return Evidence(
        claim=claim,
        check=CHECK,
        status=settle(measurements, judge(cases, tolerance)),
        statement="In a random network with one hidden layer the map of guided backpropagation has nearly the direction of the input, whatever class "
        "is explained: cosines are at least 0.93.",
        condition="The hidden layer is wide and its weights are random and symmetric. In a convolutional network what is recovered is the sum of the "
        "image's patches, each divided by its norm.",
        finding="The cosine with the input follows $1 / \\sqrt{1 + (d - 1) \\pi^2 / N}$ for $N$ hidden units and $d$ inputs: about 91 units per "
        "input are needed for $0.95$. Nothing is said about trained networks.",
        domain="Random networks with one hidden layer: 100 inputs and 100 to 10000 units; 16 × 16 images and 32 or 1024 filters of 3 × 3",
        measurements=measurements,
        trials=NETWORKS * (len(WIDTHS) + len(FILTERS)),
        seed=SEED,
        counterexample=counterexample(
            "One hidden unit $2 \\max(0, x_1 + x_2)$ at $(1, 3)$: the map is $(2, 2)$, which is the direction of the weights and not of the input.",
            CODE_GUIDED,
            input=[1, 3],
            map=[2, 2],
        ),
        controls=(
            breaks("the gradient in the same dense networks: one minus cosine with the input", 1 - plain[0], tolerance),
            breaks("the gradient in the same dense networks: one minus cosine of classes", 1 - plain[2], tolerance),
            keeps("the same networks with all outer weights one: one minus cosine", 1 - _expected_sum(), tolerance),
        ),
        parameters={"inputs": FEATURES, "widths": list(WIDTHS), "filters": list(FILTERS), "side": SIDE, "networks": NETWORKS},
        versions=versions(),
    )


def _expected_sum() -> float:
    """Cosine of the input with sum over units of w 1[w x > 0], the map of a network all of whose outer weights are one."""
    model, x = dense(WIDTHS[-1], 0)
    weight = next(model.parameters())
    return cosine(((weight @ x[0]) > 0).to(weight) @ weight, x)


def _deconv_recovers(claim: str) -> Evidence:
    """Deconv shows the image where max-pooling tells it the places, and takes nothing from the input otherwise."""
    tolerance = 0.25
    size = FILTERS[1]
    pooled, plain, positive = (recovery("deconv", kind, size, sign) for kind, sign in (("pooling", False), ("convolution", False), ("pooling", True)))
    flat = recovery("deconv", "dense", 1000)
    cases = (
        Case("max-pooling, centred image: input", True, 1 - pooled[0]),
        Case("max-pooling, centred image: classes", True, 1 - pooled[2]),
        Case("convolution without pooling: input", False, 1 - plain[0]),
        Case("convolution without pooling: classes", False, 1 - plain[2]),
        Case("dense: input", False, 1 - flat[0]),
        Case("max-pooling, image of positive values: input", False, 1 - positive[0]),
    )
    same = _depends_on_input(False)
    guided = recovery("guided-backprop", "pooling", size)
    measurements = (
        at_least("max-pooling, centred image: cosine of map and image", pooled[0], 1 - tolerance),
        at_least("max-pooling, centred image: cosine with the sum of normalised patches", pooled[1], 0.8),
        at_least("max-pooling, centred image: cosine of the maps of two classes", pooled[2], 0.95),
        at_least("max-pooling, image of positive values: cosine of the maps of two classes", positive[2], 0.95),
        at_most("max-pooling, image of positive values: cosine of map and image", positive[0], 0.7),
        at_most("no pooling: size of the cosine of map and image", abs(plain[0]), 0.25),
        at_most("dense: size of the cosine of map and input", abs(flat[0]), 0.25),
        at_most("no pooling: largest difference between the maps of two images", same, 0.0, "the backward pass does not see the image"),
        number("guided backpropagation with max-pooling, centred image: cosine of map and image", guided[0]),
    )
    return Evidence(
        claim=claim,
        check=CHECK,
        status=settle(measurements, judge(cases, tolerance)),
        statement="In a random convolutional network the map of Deconv has roughly the direction of the image, whatever class is explained: cosines "
        "are at least 0.75.",
        condition="The network has max-pooling and many random filters, and the image has mean zero.",
        finding="Without max-pooling the map is the same for every input, so that it recovers nothing. With pooling it hardly depends on the class, "
        "and it resembles the image if pixels of both signs occur, less so if all are positive.",
        domain="Random networks with one hidden layer: 16 × 16 images of independent pixels, 1024 filters of 3 × 3, with and without 2 × 2 "
        "max-pooling; 100 inputs and 1000 units",
        measurements=measurements,
        trials=4 * NETWORKS,
        seed=SEED,
        counterexample=counterexample(
            "$\\max(0, x_1 - x_2) + \\max(0, 2 x_1 + x_2)$: the map is $(3, 0)$ at $(1, 0)$, at $(0, 1)$ and at every other input.",
            CODE_DECONV,
            inputs=[[1, 0], [0, 1], [-5, 2]],
            map=[3, 0],
        ),
        controls=(
            breaks("the gradient with max-pooling: one minus cosine with the image", 1 - recovery("gradient", "pooling", size)[0], tolerance),
            breaks("Deconv with max-pooling: largest difference between the maps of two images", _depends_on_input(True), 0.0),
            keeps("guided backpropagation with max-pooling: one minus cosine with the image", 1 - guided[0], tolerance),
        ),
        parameters={"filters": size, "side": SIDE, "networks": NETWORKS},
        versions=versions(),
    )


def _depends_on_input(pooling: bool) -> float:
    """Largest difference between the Deconv maps of two unrelated images."""
    model, image = convolutional(FILTERS[0], pooling, False, 0)
    other = convolutional(FILTERS[0], pooling, False, 1)[1]
    target = torch.zeros(1, dtype=torch.long)
    return float((deconv(model, image, target) - deconv(model, other, target)).abs().max())
