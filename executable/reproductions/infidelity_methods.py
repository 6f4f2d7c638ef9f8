"""The fourteen methods of the Taylor paper as the infidelity study calls them, and how many of its principles each satisfies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.methods import (
    deep_shap,
    deep_taylor_decomposition,
    deeplift_rescale,
    deeplift_revealcancel,
    expected_gradients,
    grad_cam,
    grad_times_input,
    gradient,
    integrated_gradients,
    lrp_alpha_beta,
    lrp_epsilon,
    occlusion_1,
    occlusion_patch,
    prediction_difference,
    shapley_sampling,
    smoothgrad,
)
from executable.removal import Marginal
from executable.reproductions.models import Trained

REFERENCES = 20
ORDERS = 50
IMAGES = 20
MAPS = "3"
"""The last feature maps of the convolutional network, after the activation."""
EMPTY = "baseline: the empty image"


@dataclass(frozen=True, eq=False)
class Case:
    """A network with the images that are explained."""

    network: Trained
    x: Tensor
    target: Tensor
    convolutional: bool

    @property
    def call(self) -> tuple[torch.nn.Module, Tensor, Tensor]:
        """The arguments that every method takes."""
        return self.network.model, self.x, self.target

    @property
    def references(self) -> Tensor:
        """The first training images."""
        return self.network.data.train_images[:REFERENCES]


@dataclass(frozen=True, eq=False)
class Judged:
    """A method with its call, and which principles Table VI says it satisfies."""

    name: str
    settings: str
    attributions: Callable[[Case], Tensor]
    principles: tuple[bool, bool, bool]
    """Low approximation error, no unrelated allocation, complete allocation."""
    convolutional: bool = False

    @property
    def count(self) -> int:
        """Number of principles satisfied."""
        return sum(self.principles)


ALL = (True, True, True)
FIRST_ORDER = (False, True, True)
UNRELATED = (True, False, True)
REPEATED = (True, True, False)

METHODS: dict[str, Judged] = {
    "grad-times-input": Judged("Grad×Input", EMPTY, lambda c: grad_times_input(*c.call), FIRST_ORDER),
    "occlusion-1": Judged("Occlusion-1", EMPTY, lambda c: occlusion_1(*c.call), REPEATED),
    "occlusion-patch": Judged(
        "Occlusion-patch", f"{EMPTY}; patches of 2 × 2 side by side",
        lambda c: occlusion_patch(*c.call, sliding_window_shapes=2), (True, False, False),
    ),
    "prediction-difference": Judged(
        "Prediction Difference", f"{REFERENCES} training images", lambda c: prediction_difference(*c.call, baselines=Marginal(c.references)), REPEATED
    ),
    "grad-cam": Judged(
        "Grad-CAM", "last feature maps, enlarged linearly", lambda c: grad_cam(*c.call, layer=MAPS, interpolate="bilinear"), FIRST_ORDER, True
    ),
    "integrated-gradients": Judged("Integrated Gradients", f"{EMPTY}; 50 Gauss–Legendre points", lambda c: integrated_gradients(*c.call), ALL),
    "expected-gradients": Judged(
        "Expected Gradients", f"{REFERENCES} training images, 20 points each",
        lambda c: expected_gradients(*c.call, baselines=c.references, n_steps=20), ALL,
    ),
    "shapley-value": Judged(
        "Shapley value", f"{EMPTY}; sampled, {ORDERS} orders of the 64 pixels", lambda c: shapley_sampling(*c.call, n_samples=ORDERS), ALL
    ),
    "lrp-epsilon": Judged("LRP-ε", "ε = 0.25", lambda c: lrp_epsilon(*c.call, epsilon=0.25), FIRST_ORDER),
    "lrp-alpha-beta": Judged("LRP-αβ", "α = 2, β = 1", lambda c: lrp_alpha_beta(*c.call), UNRELATED),
    "deep-taylor-decomposition": Judged(
        "Deep Taylor", "z-box rule for pixels from 0 to 1 in the first layer, z+ rule after",
        lambda c: deep_taylor_decomposition(*c.call, input_rule="z_box", low=0.0, high=1.0), UNRELATED,
    ),
    "deeplift-rescale": Judged("DeepLIFT Rescale", EMPTY, lambda c: deeplift_rescale(*c.call), ALL),
    "deeplift-revealcancel": Judged("DeepLIFT RevealCancel", EMPTY, lambda c: deeplift_revealcancel(*c.call), ALL),
    "deep-shap": Judged(
        "DeepSHAP", f"{REFERENCES} training images; rescale rule",
        lambda c: deep_shap(*c.call, baselines=c.references, algorithm="rescale"), ALL,
    ),
}  # fmt: skip
"""By record id, in the order of Table VI."""

SLOPES: dict[str, tuple[str, Callable[[Case], Tensor]]] = {
    "gradient": ("Gradient", lambda c: gradient(*c.call)),
    "smoothgrad": ("SmoothGrad", lambda c: smoothgrad(*c.call, stdevs=0.2)),
}
"""Methods outside the table whose attributions are slopes, for which Eq. 50 is meant."""


def applicable(case: Case) -> dict[str, Judged]:
    """The methods that the network has the parts for."""
    return {name: method for name, method in METHODS.items() if case.convolutional or not method.convolutional}
