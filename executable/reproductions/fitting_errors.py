"""The fitting errors of seven reformulated methods (Taylor paper, Table V), with the noise that makes the baseline as the free parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.methods import (
    expected_gradients,
    grad_times_input,
    integrated_gradients,
    occlusion_1,
    occlusion_patch,
    prediction_difference,
    shapley_value,
)
from executable.metrics import fitting_error
from executable.removal import Marginal
from executable.reproductions import second_order
from executable.reproductions.models import Trained

SEED = 45
SIDE, PATCH = 4, 2
IMAGES = 30
BASELINES = 5
"""Baselines of each input for Prediction Difference and Expected Gradients."""
SIGMAS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)


@dataclass(frozen=True, eq=False)
class Scene:
    """Inputs with their baselines: x + sigma u, the directions u the same for every sigma, so that only the distance changes."""

    network: Trained
    x: Tensor
    target: Tensor
    baselines: Tensor
    """Shape (baselines, images, 1, side, side); methods with one baseline use the first."""

    @property
    def b(self) -> Tensor:
        """The baseline of the methods that have one."""
        return self.baselines[0]

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.network.model


def scene(network: Trained, sigma: float, images: int = IMAGES, baselines: int = BASELINES) -> Scene:
    """The first images that the network reads rightly, with baselines at a distance of `sigma` standard normal draws."""
    x, target = network.explained(images)
    generator = torch.Generator().manual_seed(SEED)
    directions = torch.randn((baselines, *x.shape), generator=generator, dtype=x.dtype)
    return Scene(network, x, target, x + sigma * directions)


def groups() -> Tensor:
    """Number of the patch of each pixel."""
    place = torch.arange(SIDE) // PATCH
    return (place.unsqueeze(1) * (SIDE // PATCH) + place).flatten()


Pair = tuple[Tensor, Tensor]


def _one(method: Callable[..., Tensor], weigh: Callable[[second_order.Effects], Tensor]) -> Callable[[Scene], Pair]:
    """Both sides for a method with one baseline: from the effects, and from the method itself."""

    def sides(at: Scene) -> Pair:
        rebuilt = weigh(second_order.effects(at.model, at.x, at.b, at.target))
        return rebuilt.reshape(at.x.shape), method(at.model, at.x, at.target, baselines=at.b)

    return sides


def _gradient_sides(at: Scene) -> Pair:
    """The theorem's side is the very product that the method returns."""
    x = at.x.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(at.model(x).gather(1, at.target.unsqueeze(1)).sum(), x)
    return slope * (at.x - at.b), grad_times_input(at.model, at.x, at.target, baselines=at.b)


def _patch_sides(at: Scene) -> Pair:
    rebuilt = second_order.patches(second_order.effects(at.model, at.x, at.b, at.target), groups())
    return rebuilt.reshape(at.x.shape), occlusion_patch(at.model, at.x, at.target, baselines=at.b, sliding_window_shapes=PATCH)


def _prediction_sides(at: Scene) -> Pair:
    rebuilt = second_order.averaged(second_order.occlusion, at.model, at.x, at.baselines, at.target)
    rows = [prediction_difference(at.model, at.x[i : i + 1], at.target[i : i + 1], baselines=Marginal(at.baselines[:, i])) for i in range(len(at.x))]
    return rebuilt.reshape(at.x.shape), torch.cat(rows)


def _expected_sides(at: Scene) -> Pair:
    rebuilt = second_order.averaged(second_order.shared, at.model, at.x, at.baselines, at.target)
    rows = [expected_gradients(at.model, at.x[i : i + 1], at.target[i : i + 1], baselines=at.baselines[:, i]) for i in range(len(at.x))]
    return rebuilt.reshape(at.x.shape), torch.cat(rows)


METHODS: dict[str, tuple[str, Callable[[Scene], Pair]]] = {
    "grad-times-input": ("Grad×Input", _gradient_sides),
    "occlusion-1": ("Occ-1", _one(occlusion_1, second_order.occlusion)),
    "occlusion-patch": ("Occ-2×2", _patch_sides),
    "prediction-difference": ("PreDiff", _prediction_sides),
    "integrated-gradients": ("Inte Grads", _one(integrated_gradients, second_order.shared)),
    "expected-gradients": ("Exp Grads", _expected_sides),
    "shapley-value": ("Shapley", _one(shapley_value, second_order.shared)),
}
"""Method id to its name in Table V and to the two sides that are compared."""


def errors(method: str, at: Scene) -> Tensor:
    """Fitting error of each image, in per cent."""
    return fitting_error(*METHODS[method][1](at), reduction="none")
