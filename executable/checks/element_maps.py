"""Checks of HiResCAM: places that are not used receive nothing, and what the average of the gradient makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, at_least, at_most, breaks, error, settle, versions, worst
from executable.methods.gradient_times_input import cam, grad_cam
from executable.methods.gradient_times_input.elementwise_maps import hires_cam
from taxonomy.evidence import Evidence

SEED = 177
PLACES = 4
"""Rows and columns of the maps."""
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "softplus": nn.Softplus}
DOMAIN = "Random convolutional networks with three activations; 2 input channels, 3 maps of 4 x 4 places, two layers behind them"


class _Maps(nn.Module):
    """A convolution, and two layers that read its maps at some places, or their means over the places."""

    def __init__(self, activation: str, generator: torch.Generator, *, pooled: bool, linear: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), ACTIVATIONS[activation]())
        width = 3 if pooled else 3 * PLACES**2
        self.head = nn.Linear(width, 3) if linear else nn.Sequential(nn.Linear(width, 6), ACTIVATIONS[activation](), nn.Linear(6, 3))
        self.pooled = pooled
        self.register_buffer("used", torch.rand(PLACES, PLACES, generator=generator) < 0.5)
        self.double().eval()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Three outputs."""
        maps = self.stem(x)
        read = maps.mean(dim=(2, 3)) if self.pooled else torch.where(self.get_buffer("used"), maps, 0).flatten(1)
        answer: Tensor = self.head(read)
        return answer


def _draws(*, pooled: bool, linear: bool = False, count: int = 4) -> Iterator[tuple[_Maps, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(SEED)
    for activation in ACTIVATIONS:
        for _ in range(count):
            model = _Maps(activation, generator, pooled=pooled, linear=linear)
            x = torch.randn(3, 2, PLACES, PLACES, generator=generator, dtype=torch.float64)
            yield model, x, torch.randint(3, (3,), generator=generator)


def unused_places(claim: str) -> Evidence:
    """HiResCAM and Grad-CAM at places that the layers behind the maps leave out."""
    outside, averaged, inside = [], [], []
    for model, x, target in _draws(pooled=False):
        left_out = ~model.get_buffer("used")
        found = hires_cam(model, x, target, layer="stem")[:, 0]
        mixed = grad_cam(model, x, target, layer="stem", relu_attributions=False)[:, 0]
        outside.append(float(found[:, left_out].abs().max()))
        inside.append(float(found[:, ~left_out].abs().max()))  # over the batch: one input may leave all ReLUs of the head shut
        averaged.append(float(mixed[:, left_out].abs().max()))
    measurements = (
        at_most("largest attribution of a place that is not used", worst(outside), 0.0),
        at_least("largest attribution of a place that is used (smallest of any draw)", min(inside), 1e-6),
    )
    return Evidence(
        claim=claim,
        check="element-maps/unused-places",
        status=settle(measurements),
        statement="A location of the layer whose activations the output does not depend on receives exactly zero from HiResCAM.",
        finding="The players are locations of a layer, not pixels. Grad-CAM gives some of the same locations a value, because its average carries "
        "gradients there.",
        domain=DOMAIN + "; about half of the places are cut off",
        measurements=measurements,
        trials=len(outside),
        seed=SEED,
        controls=(breaks("Grad-CAM at the places that are not used (smallest value of any draw)", min(averaged), ALGEBRA),),
        parameters={"networks": 4, "activations": list(ACTIVATIONS)},
        versions=versions(),
    )


def without_average(claim: str) -> Evidence:
    """Grad-CAM by averaging what HiResCAM multiplies with, and both where the gradient is the same at all places."""
    again, same, other = [], [], []
    for model, x, target in _draws(pooled=False):
        maps = model.stem(x).detach()
        parts = hires_cam(model, x, target, layer="stem", attr_dim_summation=False)
        used = maps != 0  # the gradient is read off the parts; where an activation is zero, neither method shows it
        slope = torch.where(used, parts / torch.where(used, maps, 1.0), _gradient(model, maps, target))
        raw = grad_cam(model, x, target, layer="stem", relu_attributions=False)
        again.append(error((slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True), raw))
        other.append(error(parts.sum(dim=1, keepdim=True), raw))
    for model, x, target in _draws(pooled=True):
        raw = grad_cam(model, x, target, layer="stem", relu_attributions=False)
        same.append(error(hires_cam(model, x, target, layer="stem"), raw))
    measurements = (
        at_most("Grad-CAM against HiResCAM with its gradient averaged over the places", worst(again), ALGEBRA),
        at_most("the two methods behind global average pooling", worst(same), ALGEBRA),
    )
    return Evidence(
        claim=claim,
        check="element-maps/grad-cam-without-average",
        status=settle(measurements),
        statement="Averaging the gradient of HiResCAM over the locations gives Grad-CAM before its ReLU; where the gradient is the same at all "
        "locations, the two are one.",
        domain=DOMAIN,
        measurements=measurements,
        trials=len(again) + len(same),
        seed=SEED,
        controls=(breaks("HiResCAM as it is, where the gradient differs between places (smallest difference)", min(other), ALGEBRA),),
        parameters={"networks": 4, "activations": list(ACTIVATIONS)},
        versions=versions(),
    )


def _gradient(model: _Maps, maps: Tensor, target: Tensor) -> Tensor:
    """The derivative of the explained output by the maps, for networks that read some places."""
    leaf = maps.clone().requires_grad_()
    answer = model.head(torch.where(model.get_buffer("used"), leaf, 0).flatten(1)).gather(1, target.unsqueeze(1))
    return torch.autograd.grad(answer.sum(), leaf)[0]


def class_activation(claim: str) -> Evidence:
    """CAM and HiResCAM behind global average pooling and one linear layer."""
    same, unscaled = [], []
    for model, x, target in _draws(pooled=True, linear=True):
        ours, theirs = hires_cam(model, x, target, layer="stem"), cam(model, x, target, layer="stem")
        same.append(error(theirs, PLACES**2 * ours))
        unscaled.append(error(theirs, ours))
    measurements = (at_most("CAM against the number of places times HiResCAM", worst(same), ALGEBRA),)
    return Evidence(
        claim=claim,
        check="element-maps/class-activation",
        status=settle(measurements),
        statement="In a network that ends in global average pooling and one linear layer, CAM is HiResCAM times the number of locations.",
        finding="The factor is the same for all locations and inputs, so the maps differ in their scale alone.",
        domain=DOMAIN.replace("two layers behind them", "their means and one linear layer behind them"),
        measurements=measurements,
        trials=len(same),
        seed=SEED,
        controls=(breaks("the two maps without the factor (smallest difference)", min(unscaled), ALGEBRA),),
        parameters={"networks": 4, "activations": list(ACTIVATIONS)},
        versions=versions(),
    )
