"""Time of the reference implementations against Captum on the same work: interleaved runs, medians, ratios (below 1: ours is faster)."""

from __future__ import annotations

import statistics
import time
import warnings

import torch
from captum.attr import LRP, FeatureAblation, IntegratedGradients, Saliency, ShapleyValues

from executable import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value
from executable.gallery import patches
from executable.testbeds.digits import trained_digits

ROUNDS = 25


class Functional(torch.nn.Module):
    """The digits network with a functional flatten, since Captum's LRP has no rule for the module."""

    def __init__(self, layers: torch.nn.Sequential) -> None:
        super().__init__()
        self.features, self.head = layers[:6], layers[7]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten logits."""
        return self.head(self.features(x).flatten(1))


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    warnings.filterwarnings("ignore", module="captum")
    trained = trained_digits()
    model = Functional(trained.model)
    images, targets = trained.data.test_images[:32], trained.data.test_labels[:32]
    groups = patches() // 4  # four players: Captum runs through all 4! orders
    pairs = {
        "gradient": (lambda: gradient(model, images, targets), lambda: Saliency(model).attribute(images, targets, abs=False)),
        "integrated gradients, 50 steps": (
            lambda: integrated_gradients(model, images, targets, n_steps=50),
            lambda: IntegratedGradients(model).attribute(images, target=targets, n_steps=50),
        ),
        "LRP-epsilon": (lambda: lrp_epsilon(model, images, targets), lambda: LRP(model).attribute(images, targets)),
        "occlusion-1, 64 pixels": (
            lambda: occlusion_1(model, images, targets),
            lambda: FeatureAblation(model).attribute(images, target=targets, perturbations_per_eval=64),
        ),
        "Shapley value, 4 groups, one image": (
            lambda: shapley_value(model, images[:1], targets[:1], feature_mask=groups),
            lambda: ShapleyValues(model).attribute(images[:1], target=targets[:1], feature_mask=groups[None, None], perturbations_per_eval=64),
        ),
    }
    print(f"{'method':<38}{'ours (ms)':>12}{'Captum (ms)':>14}{'ratio':>9}")
    for name, (ours, theirs) in pairs.items():
        ours(), theirs()
        times = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
        mine, peer = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:<38}{1e3 * mine:>12.2f}{1e3 * peer:>14.2f}{mine / peer:>9.3f}")


if __name__ == "__main__":
    main()
