"""Which check decides which claim about the families of Tables II and III."""

from executable.checks import (
    attention_weights,
    feature_additive,
    feature_additive_more,
    feature_removal,
    formulation,
    formulation_more,
    game_theoretic,
    layerwise_more,
    learned_masks,
    modified_gradient_more,
    modified_gradient_times_input,
    nonnegative_backprop,
    path_integral,
    paths_more,
    perturbation_more,
    removal_more,
    subset_search,
    surrogate_removal,
    surrogates,
    taylor_interaction,
)
from executable.checks.base import Check, reformulations

FAMILIES = (
    Check("formulation/equation-1", ("gradient/belongs-to/modified-gradient",), formulation.equation_1),
    Check("formulation/equation-2", ("integrated-gradients/belongs-to/gradient-times-input",), formulation.equation_2),
    Check("formulation/equation-3", ("lrp-epsilon/belongs-to/layerwise-backprop",), formulation.equation_3),
    Check(
        "formulation/equation-4",
        ("occlusion-1/belongs-to/perturbation", "shapley-value/belongs-to/perturbation"),
        formulation.equation_4,
    ),
    Check(
        "formulation/equation-6",
        (
            "lime/belongs-to/local-surrogate",
            "baylime/belongs-to/local-surrogate",
            "optilime/belongs-to/local-surrogate",
            "s-lime/belongs-to/local-surrogate",
        ),
        surrogates.equation_6,
    ),
    Check(
        "formulation/equation-1-rules",
        (
            "deconv/belongs-to/modified-gradient",
            "guided-backprop/belongs-to/modified-gradient",
            "smoothgrad/belongs-to/modified-gradient",
        ),
        formulation_more.equation_1,
    ),
    Check(
        "formulation/equation-2-scopes",
        (
            "grad-times-input/belongs-to/gradient-times-input",
            "expected-gradients/belongs-to/gradient-times-input",
            "grad-cam/belongs-to/gradient-times-input",
        ),
        formulation_more.equation_2,
    ),
    Check(
        "formulation/equation-3-matrices",
        (
            "lrp-0/belongs-to/layerwise-backprop",
            "lrp-alpha-beta/belongs-to/layerwise-backprop",
            "deep-taylor-decomposition/belongs-to/layerwise-backprop",
            "excitation-backprop/belongs-to/layerwise-backprop",
            "patternnet/belongs-to/layerwise-backprop",
            "pattern-attribution/belongs-to/layerwise-backprop",
            "deeplift-rescale/belongs-to/layerwise-backprop",
            "deeplift-revealcancel/belongs-to/layerwise-backprop",
            "deep-shap/belongs-to/layerwise-backprop",
            "rect-gradient/belongs-to/layerwise-backprop",
        ),
        layerwise_more.equation_3,
    ),
    Check(
        "formulation/equation-4-weights",
        (
            "banzhaf-value/belongs-to/perturbation",
            "occlusion-patch/belongs-to/perturbation",
            "prediction-difference/belongs-to/perturbation",
            "rise/belongs-to/perturbation",
            "average-causal-effect/belongs-to/perturbation",
            "sage/belongs-to/perturbation",
        ),
        perturbation_more.equation_4,
    ),
    Check(
        "attention-weights/raw-weights",
        ("bert-attention-analysis/belongs-to/attention", "vit-attention-analysis/belongs-to/attention"),
        attention_weights.raw_weights,
    ),
    Check("attention-weights/cross-attention", ("daam/belongs-to/attention",), attention_weights.cross_attention),
    Check(
        "attention-weights/weights-and-gradients",
        ("self-attention-attribution/belongs-to/attention",),
        attention_weights.weights_and_gradients,
    ),
    Check(
        "influential-subset/soft-masks",
        (
            "meaningful-perturbation/reformulates-as/feature-removal",
            "extremal-perturbation/reformulates-as/feature-removal",
            "meaningful-perturbation/belongs-to/influential-subset",
            "extremal-perturbation/belongs-to/influential-subset",
            "fine-grained-visual-explanations/belongs-to/influential-subset",
        ),
        subset_search.soft_masks,
    ),
    Check(
        "influential-subset/learned-masks",
        (
            "l2x/reformulates-as/feature-removal",
            "real-time-image-saliency/reformulates-as/feature-removal",
            "real-time-image-saliency/belongs-to/influential-subset",
        ),
        learned_masks.learned_masks,
    ),
    Check(
        "influential-subset/no-subset",
        (
            "information-bottleneck/belongs-to/influential-subset",
            "guided-feature-inversion/belongs-to/influential-subset",
        ),
        subset_search.no_subset,
    ),
    Check("feature-additive/local-accuracy", reformulations("feature-additive", "lrp-epsilon"), feature_additive.local_accuracy),
    Check(
        "feature-additive/weighted-least-squares",
        reformulations("feature-additive", "shapley-value"),
        feature_additive.weighted_least_squares,
    ),
    Check(
        "feature-additive/propagated-coefficients",
        (
            "lrp-0/reformulates-as/feature-additive",
            "deeplift-rescale/reformulates-as/feature-additive",
        ),
        feature_additive_more.propagated_coefficients,
    ),
    Check(
        "feature-additive/fitted-coefficients",
        (
            "lime/reformulates-as/feature-additive",
            "baylime/reformulates-as/feature-additive",
            "optilime/reformulates-as/feature-additive",
            "s-lime/reformulates-as/feature-additive",
        ),
        feature_additive_more.fitted_coefficients,
    ),
    Check(
        "modified-gradient-times-input/chain-rule",
        reformulations("modified-gradient-times-input", "integrated-gradients"),
        modified_gradient_times_input.chain_rule,
    ),
    Check(
        "modified-gradient-times-input/local-rule",
        reformulations("modified-gradient-times-input", "lrp-epsilon"),
        modified_gradient_times_input.local_rule,
    ),
    Check(
        "modified-gradient-times-input/local-rules",
        (
            "grad-times-input/reformulates-as/modified-gradient-times-input",
            "lrp-0/reformulates-as/modified-gradient-times-input",
            "deeplift-rescale/reformulates-as/modified-gradient-times-input",
        ),
        modified_gradient_more.local_rules,
    ),
    Check(
        "modified-gradient-times-input/random-baseline",
        ("expected-gradients/reformulates-as/modified-gradient-times-input",),
        modified_gradient_more.random_baseline,
    ),
    Check(
        "modified-gradient-times-input/feature-maps", ("grad-cam/reformulates-as/modified-gradient-times-input",), modified_gradient_more.feature_maps
    ),
    Check(
        "nonnegative-backprop/fixed-matrices",
        (
            "lrp-alpha-beta/reformulates-as/nonnegative-backprop",
            "lrp-alpha1-beta0/reformulates-as/nonnegative-backprop",
            "deep-taylor-decomposition/reformulates-as/nonnegative-backprop",
            "excitation-backprop/reformulates-as/nonnegative-backprop",
        ),
        nonnegative_backprop.fixed_matrices,
    ),
    Check(
        "nonnegative-backprop/rectified-signals",
        (
            "deconv/reformulates-as/nonnegative-backprop",
            "guided-backprop/reformulates-as/nonnegative-backprop",
            "rect-gradient/reformulates-as/nonnegative-backprop",
        ),
        nonnegative_backprop.rectified_signals,
    ),
    Check(
        "nonnegative-backprop/cancelling-shares",
        ("deeplift-revealcancel/reformulates-as/nonnegative-backprop",),
        nonnegative_backprop.cancelling_shares,
    ),
    Check("game-theoretic/aumann-shapley-limit", reformulations("game-theoretic", "integrated-gradients"), game_theoretic.aumann_shapley_limit),
    Check("game-theoretic/coalition-weights", reformulations("game-theoretic", "shapley-value"), game_theoretic.coalition_weights),
    Check("game-theoretic/banzhaf-weights", ("banzhaf-value/reformulates-as/game-theoretic",), removal_more.banzhaf_weights),
    Check("path-integral/straight-path", reformulations("path-integral", "integrated-gradients"), path_integral.straight_path),
    Check("path-integral/lattice-paths", reformulations("path-integral", "shapley-value"), path_integral.lattice_paths),
    Check("path-integral/given-path", ("path-integrated-gradients/reformulates-as/path-integral",), paths_more.given_path),
    Check(
        "path-integral/one-line-for-each-baseline",
        (
            "expected-gradients/reformulates-as/path-integral",
            "local-path-integration/reformulates-as/path-integral",
        ),
        paths_more.one_line_for_each_baseline,
    ),
    Check("path-integral/random-paths", ("randomised-path-ig/reformulates-as/path-integral",), paths_more.random_paths),
    Check("path-integral/descent-path", ("ig2/reformulates-as/path-integral",), paths_more.descent_path),
    Check("feature-removal/removal-summary", reformulations("feature-removal", "occlusion-1", "shapley-value"), feature_removal.removal_summary),
    Check(
        "feature-removal/regression-summary",
        (
            "lime/reformulates-as/feature-removal",
            "baylime/reformulates-as/feature-removal",
            "optilime/reformulates-as/feature-removal",
            "s-lime/reformulates-as/feature-removal",
        ),
        surrogate_removal.regression_summary,
    ),
    Check("feature-removal/gaussian-neighbours", ("c-lime/reformulates-as/feature-removal",), surrogate_removal.gaussian_neighbours),
    Check(
        "feature-removal/removal-summaries",
        (
            "banzhaf-value/reformulates-as/feature-removal",
            "prediction-difference/reformulates-as/feature-removal",
            "occlusion-patch/reformulates-as/feature-removal",
            "loss-shap/reformulates-as/feature-removal",
            "sage/reformulates-as/feature-removal",
        ),
        removal_more.removal_summaries,
    ),
    Check("feature-removal/mean-over-masks", ("rise/reformulates-as/feature-removal",), removal_more.mean_over_masks),
    Check("feature-removal/learned-leave-one-out", ("cxplain/reformulates-as/feature-removal",), removal_more.learned_leave_one_out),
    Check(
        "taylor-interaction/allocation-weights",
        reformulations("taylor-interaction", "integrated-gradients", "occlusion-1", "shapley-value"),
        taylor_interaction.allocation_weights,
    ),
    Check(
        "taylor-interaction/gradient-term",
        (*reformulations("taylor-interaction", "lrp-epsilon"), "taylor-theorem-10/statement"),
        taylor_interaction.gradient_term,
    ),
)
