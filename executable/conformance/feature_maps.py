"""Element-wise feature maps beside Captum."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from executable.conformance.base import Case, comparison, peer
from executable.methods.gradient_times_input import hires_cam

TARGETS = torch.tensor([0, 2, 1])


def _images() -> Tensor:
    return torch.randn(3, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(21))


def _networks() -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Networks, each with the layer whose maps are explained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(22)
        for name, activation in (("ReLU", nn.ReLU), ("tanh", nn.Tanh), ("GELU", nn.GELU)):
            flat = nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), activation(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5), activation(), nn.Linear(5, 3)
            )
            yield f"CNN with {name}, layer before max-pooling", flat.double().eval(), flat[1]
            yield f"CNN with {name}, layer after max-pooling", flat, flat[2]
        pooled = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double().eval()
        yield "CNN with global average pooling", pooled, pooled[1]


@comparison("hires-cam", library="captum", name="captum.attr.LayerGradientXActivation")
def gradient_times_activation() -> Iterator[Case]:
    """Map by map, added up, and by default."""
    attr, x = peer("captum.attr"), _images()
    for name, model, layer in _networks():
        theirs = attr.LayerGradientXActivation(model, layer).attribute(x.clone(), TARGETS).detach()
        by_map = hires_cam(model, x, TARGETS, layer=layer, attr_dim_summation=False)
        yield Case(f"{name}, map by map", by_map, theirs)
        yield Case(name, hires_cam(model, x, TARGETS, layer=layer), theirs.sum(dim=1, keepdim=True), "added up over the maps by the caller")
