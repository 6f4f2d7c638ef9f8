"""Modified gradients and gradient x input."""

import torch

from executable.methods import gradient_times_input as family
from executable.methods.modified_gradient import deconv, gradient, guided_backprop, smoothgrad
from method_cases.base import MethodCase


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(11))


def curved(t, x, b):
    return b + (t + t**2) / 2 * (x - b)


ROWS, IMAGES = {"baselines": drawn(4, 5)}, {"baselines": drawn(4, 2, 4, 4)}
# The residual network ends in flatten + linear, so `cam` applies to neither network: its own tests run it.
CASES = [
    MethodCase("gradient", gradient),
    MethodCase("smoothgrad", smoothgrad, {"n_samples": 6}, {"n_samples": 6}),
    MethodCase("smoothgrad", smoothgrad, {"n_samples": 6, "stdevs": 0.5}, {"n_samples": 6, "stdevs": 0.5}),
    MethodCase("deconv", deconv),
    MethodCase("guided-backprop", guided_backprop),
    MethodCase("grad-times-input", family.grad_times_input, {"baselines": 0.2}, {}, baselines=True),
    MethodCase("integrated-gradients", family.integrated_gradients, {"n_steps": 5}, {"n_steps": 5}, baselines=True),
    MethodCase("integrated-gradients", family.integrated_gradients, {"method": "exact"}, {"method": "exact"}, baselines=True),
    MethodCase("path-integrated-gradients", family.path_integrated_gradients, {"n_steps": 5, "path": curved}, {"n_steps": 5}, baselines=True),
    MethodCase("expected-gradients", family.expected_gradients, ROWS | {"n_steps": 5}, IMAGES | {"n_steps": 5}, baselines=True),
    MethodCase("expected-gradients", family.expected_gradients, ROWS | {"n_samples": 7}, IMAGES | {"n_samples": 7}, baselines=True),
    MethodCase("gradient-shap", family.gradient_shap, ROWS | {"n_samples": 7, "stdevs": 0.3}, IMAGES | {"n_samples": 7}, baselines=True),
    MethodCase("local-path-integration", family.local_path_integration, {"data": drawn(9, 5), "n_clusters": 3, "n_steps": 4},
               {"data": drawn(9, 2, 4, 4), "n_clusters": 3, "n_references": 2, "n_steps": 4}),
    MethodCase("randomised-path-ig", family.randomised_path_ig, {"n_paths": 2, "n_steps": 5}, {"n_paths": 2, "n_steps": 5}, baselines=True),
    MethodCase("ig2", family.ig2, {"references": drawn(2, 5), "n_steps": 6}, {"references": drawn(2, 2, 4, 4), "n_steps": 6, "layer": "norm"}),
    MethodCase("grad-cam", family.grad_cam, None, {"layer": "norm", "interpolate": "bilinear"}),
    MethodCase("score-cam", family.score_cam, None, {"layer": "norm"}),
]  # fmt: skip
