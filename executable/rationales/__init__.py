"""The rationales of the survey's Table IV, one module each: what the equation decomposes, expands, fits or sets, as a function."""

from executable.rationales.causal_attribution import causal_effects, hybrids, undisturbed
from executable.rationales.deep_taylor import DeepTaylor, LayerExpansion, expand_layer, layerwise_expansion
from executable.rationales.first_order_taylor import FirstOrder, first_order_terms
from executable.rationales.gradient_sensitivity import finite_sensitivity
from executable.rationales.information_theory import JointTable, SubsetInformation, subset_information
from executable.rationales.interaction_effect_allocation import AllocatedEffects, allocate_interactions
from executable.rationales.surrogate_approximation import BestSurrogate, best_surrogate

__all__ = [
    "AllocatedEffects", "BestSurrogate", "DeepTaylor", "FirstOrder", "JointTable", "LayerExpansion", "SubsetInformation", "allocate_interactions",
    "best_surrogate", "causal_effects", "expand_layer", "finite_sensitivity", "first_order_terms", "hybrids", "layerwise_expansion",
    "subset_information", "undisturbed",
]  # fmt: skip
