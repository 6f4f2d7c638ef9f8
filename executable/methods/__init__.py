"""Reference implementations, one module per formulation family of the survey's Table II."""

from executable.methods.gradient_times_input import integrated_gradients, mean_gradient_times_difference
from executable.methods.layerwise_backprop import backpropagate_relevance, lrp_epsilon
from executable.methods.modified_gradient import gradient, modified_gradient
from executable.methods.perturbation import occlusion_1, shapley_value, weighted_marginal_contributions

__all__ = [
    "backpropagate_relevance", "gradient", "integrated_gradients", "lrp_epsilon", "mean_gradient_times_difference", "modified_gradient",
    "occlusion_1", "shapley_value", "weighted_marginal_contributions",
]  # fmt: skip
