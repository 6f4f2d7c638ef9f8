"""Perturbation family (survey Eq. 4): weighted changes of the output when features are replaced by their baseline."""

from executable.methods.perturbation.amortised import CausalExplainer, cxplain, loss_increases, train_cxplain
from executable.methods.perturbation.causal import asymmetric_shapley, causal_shapley
from executable.methods.perturbation.causal_effects import average_causal_effect, individual_causal_effect
from executable.methods.perturbation.coalition_structure import owen_value
from executable.methods.perturbation.kernel_regression import kernel_shap
from executable.methods.perturbation.loss_importance import SageEstimate, loss_shap, sage, sage_estimate
from executable.methods.perturbation.necessity import NecessityAndSufficiency, necessity_and_sufficiency
from executable.methods.perturbation.occlusion import occlusion_1, occlusion_patch
from executable.methods.perturbation.prediction import prediction_difference
from executable.methods.perturbation.random_masks import rise
from executable.methods.perturbation.sampling import shapley_sampling
from executable.methods.perturbation.shapley import banzhaf_value, shapley_value, weighted_marginal_contributions
from executable.methods.perturbation.subset_selection import Selector, l2x, train_l2x
from executable.methods.perturbation.sufficiency import probability_of_sufficiency
from executable.methods.perturbation.weighted import WeightedShap, beta_weights, weighted_shap

__all__ = [
    "CausalExplainer", "Selector", "cxplain", "l2x", "loss_increases", "train_cxplain", "train_l2x",
    "SageEstimate", "average_causal_effect", "individual_causal_effect", "loss_shap", "rise", "sage", "sage_estimate",
    "NecessityAndSufficiency", "WeightedShap", "asymmetric_shapley", "banzhaf_value", "beta_weights", "causal_shapley", "kernel_shap",
    "necessity_and_sufficiency", "occlusion_1", "occlusion_patch",
    "prediction_difference", "probability_of_sufficiency", "shapley_sampling", "shapley_value", "weighted_marginal_contributions",
    "weighted_shap",
    "owen_value",
]  # fmt: skip
