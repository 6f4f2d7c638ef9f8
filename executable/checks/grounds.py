"""Which check decides which rationale is the ground of which method (Table IV)."""

from executable.checks import grounds_causal, grounds_effects, grounds_gradients, grounds_information, grounds_layers, grounds_surrogates
from executable.checks.base import Check, each

GROUNDS: tuple[Check, ...] = (
    Check("grounds-gradients/sensitivity", ("gradient/grounded-in/gradient-sensitivity",), grounds_gradients.sensitivity),
    Check("grounds-gradients/linear-terms", ("grad-times-input/grounded-in/first-order-taylor",), grounds_gradients.linear_terms),
    Check("grounds-gradients/small-steps", ("integrated-gradients/grounded-in/first-order-taylor",), grounds_gradients.small_steps),
    Check("grounds-layers/relevance", each("grounded-in/deep-taylor", "lrp-0", "lrp-epsilon"), grounds_layers.relevance),
    Check("grounds-layers/roots-of-deep-taylor", ("deep-taylor-decomposition/grounded-in/deep-taylor",), grounds_layers.roots_of_deep_taylor),
    Check("grounds-layers/linear-relevance", ("lrp-epsilon/grounded-in/first-order-taylor",), grounds_layers.linear_relevance),
    Check("grounds-layers/grouped-relevance", ("lrp-alpha-beta/grounded-in/first-order-taylor",), grounds_layers.grouped_relevance),
    Check("grounds-causal/average", ("average-causal-effect/grounded-in/causal-attribution",), grounds_causal.average),
    Check("grounds-causal/individual", ("individual-causal-effect/grounded-in/causal-attribution",), grounds_causal.individual),
    Check("grounds-causal/one-context", ("occlusion-1/grounded-in/causal-attribution",), grounds_causal.one_context),
    Check("grounds-causal/all-contexts", ("shapley-value/grounded-in/causal-attribution",), grounds_causal.all_contexts),
    Check("grounds-effects/shares", each("grounded-in/interaction-effect-allocation", "occlusion-1", "shapley-value"), grounds_effects.shares),
    Check("grounds-effects/members", ("interaction-effect-allocation/grounds-members-of/taylor-interaction",), grounds_effects.members),
    Check("grounds-information/global", ("sage/grounded-in/information-theory",), grounds_information.global_information),
    Check("grounds-information/local", ("shapley-value/grounded-in/information-theory",), grounds_information.local_information),
    Check("grounds-information/masks", ("meaningful-perturbation/grounded-in/information-theory",), grounds_information.masks),
    Check("grounds-information/bottleneck", ("information-bottleneck/grounded-in/information-theory",), grounds_information.bottleneck),
    Check("grounds-surrogates/neighbourhood", ("lime/grounded-in/surrogate-approximation",), grounds_surrogates.neighbourhood),
    Check("grounds-surrogates/all-subsets", ("shapley-value/grounded-in/surrogate-approximation",), grounds_surrogates.all_subsets),
)
