"""Gradient x input family (survey Eq. 2): the gradient, averaged over a scope, times the difference from the baseline."""

from executable.methods.gradient_times_input.distributions import Background, expected_gradients, gradient_shap, local_path_integration
from executable.methods.gradient_times_input.elementwise_maps import hires_cam
from executable.methods.gradient_times_input.feature_maps import Layer, cam, grad_cam, score_cam
from executable.methods.gradient_times_input.integrated import grad_times_input, integrated_gradients, mean_gradient_times_difference
from executable.methods.gradient_times_input.paths import Path, gradient_path, ig2, path_integrated_gradients, randomised_path_ig, straight
from executable.methods.gradient_times_input.scopes import AtInput, Scope, StraightLine

__all__ = [
    "AtInput", "Background", "Layer", "Path", "Scope", "StraightLine", "cam", "expected_gradients", "grad_cam", "grad_times_input",
    "gradient_path", "gradient_shap", "ig2", "integrated_gradients", "local_path_integration", "mean_gradient_times_difference",
    "path_integrated_gradients", "randomised_path_ig", "score_cam", "straight",
    "hires_cam",
]  # fmt: skip
