"""The pictures of the site: five methods explain a trained network's answer to real handwritten digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from executable.digest import digest
from executable.methods import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value
from executable.testbeds import digits
from executable.testbeds.digits import TrainedDigits, one_thread, trained_digits
from taxonomy.evidence import GALLERY, to_json, write_text

SHOWN = (0, 2, 3, 5, 8, 9)
SETTINGS: dict[str, dict[str, Any]] = {
    "gradient": {},
    "integrated-gradients": {"baseline": 0, "n-steps": 200, "method": "riemann_midpoint"},
    "lrp-epsilon": {"epsilon": 1e-6},
    "occlusion-1": {"baseline": 0},
    "shapley-value": {"baseline": 0, "players": "16 patches of 2 x 2 pixels; every pixel shows the value of its patch"},
}


def patches() -> Tensor:
    """Number of the 2 x 2 patch of each pixel."""
    return torch.arange(16).reshape(4, 4).repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)


def gallery_digest() -> str:
    """Hash of all that the pictures depend on."""
    return digest((__name__,), SHOWN, SETTINGS)


def make_gallery() -> dict[str, Any]:
    """Compute the pictures (single precision, in which the network was trained; one thread)."""
    with one_thread(digits.SEED):
        trained = trained_digits()
        model = trained.model
        index = [int((trained.data.test_labels == label).nonzero()[0]) for label in SHOWN]
        images = trained.data.test_images[index]
        with torch.no_grad():
            logits = model(images)
            empty = model(torch.zeros_like(images))
        targets = logits.argmax(dim=1)
        attributions = {
            "gradient": gradient(model, images, targets),
            "integrated-gradients": integrated_gradients(model, images, targets, n_steps=200, method="riemann_midpoint"),
            "lrp-epsilon": lrp_epsilon(model, images, targets, epsilon=1e-6),
            "occlusion-1": occlusion_1(model, images, targets),
            "shapley-value": shapley_value(model, images, targets, feature_mask=patches()),
        }
    chosen = targets.unsqueeze(1)
    return {
        "digest": gallery_digest(),
        "model": _describe(trained),
        "settings": SETTINGS,
        "images": [
            {
                "index": place,
                "label": int(trained.data.test_labels[place]),
                "predicted": int(target),
                "probability": _short(float(row.softmax(0)[target])),
                "pixels": _grid(image[0]),
            }
            for place, target, row, image in zip(index, targets, logits, images, strict=True)
        ],
        "targets": targets.tolist(),
        "attributions": {method: [_grid(image[0]) for image in values] for method, values in attributions.items()},
        "completeness": {
            "outputs": _list(logits.gather(1, chosen)[:, 0]),
            "outputs-at-baseline": _list(empty.gather(1, chosen)[:, 0]),
            "sums": {method: _list(_total(method, values)) for method, values in attributions.items()},
        },
    }


def _total(method: str, values: Tensor) -> Tensor:
    """Sum over the players: a patch counts once, not once per pixel."""
    return values.flatten(1).sum(dim=1) / (4 if method == "shapley-value" else 1)


def _describe(trained: TrainedDigits) -> dict[str, Any]:
    return {
        "description": "Two convolutions (8 and 16 channels, 3 x 3) with ReLU and 2 x 2 max-pooling, one linear layer, ten logits",
        "data": "scikit-learn digits: 8 x 8 pixels, grey values from 0 to 1",
        "accuracy": _short(trained.accuracy),
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "train-images": len(trained.data.train_labels),
        "test-images": len(trained.data.test_labels),
        "epochs": digits.EPOCHS,
        "seed": digits.SEED,
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _list(values: Tensor) -> list[float]:
    return [_short(value) for value in values.tolist()]


def _grid(values: Tensor) -> list[list[float]]:
    return [_list(row) for row in values]


def write_gallery(folder: Path, *, force: bool = False) -> bool:
    """Write `gallery.json` below the evidence folder unless it is up to date; returns whether it was computed."""
    path = folder / GALLERY
    if not force and _recorded_digest(path) == gallery_digest():
        return False
    write_text(path, to_json(make_gallery()))
    return True


def _recorded_digest(path: Path) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("digest")
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None
