"""Which check decides which verdict on axioms, relevance, sensitivity and robustness (Tables VI and VII)."""

from executable.checks import axiom_relations, fidelity_verdicts, removal_verdicts, robustness_kinks, robustness_verdicts, sensitivity_more
from executable.checks.base import Check, each

FAITHFULNESS: tuple[Check, ...] = (
    Check("axiom-relations/implied", ("linearity/implies/additivity",), axiom_relations.implied),
    Check("axiom-relations/additive", ("additivity/corresponds-to/linearity",), axiom_relations.additive),
    Check("axiom-relations/dummies", ("dummy/corresponds-to/missingness",), axiom_relations.dummies),
    Check("axiom-relations/unrelated", ("symmetry/corresponds-to/missingness",), axiom_relations.unrelated),
    Check(
        "axiom-relations/same-equation",
        ("efficiency/corresponds-to/completeness", "efficiency/corresponds-to/local-accuracy", "local-accuracy/corresponds-to/completeness"),
        axiom_relations.same_equation,
    ),
    Check("axiomatic-fidelity/satisfied", ("shapley-value/satisfies/axiomatic-fidelity",), fidelity_verdicts.satisfied),
    Check(
        "axiomatic-fidelity/violated",
        each("violates/axiomatic-fidelity", "baylime", "deeplift-rescale", "lime", "lrp-0", "lrp-epsilon", "optilime", "s-lime"),
        fidelity_verdicts.violated,
    ),
    Check("sensitivity-more/not-recovered", each("satisfies/decision-relevance", "gradient", "smoothgrad"), sensitivity_more.not_recovered),
    Check(
        "sensitivity-more/nonnegative",
        (
            *each("violates/output-sensitivity", "lrp-alpha1-beta0", "deeplift-revealcancel"),
            *each("violates/parameter-sensitivity", "lrp-alpha1-beta0", "deeplift-revealcancel"),
        ),
        sensitivity_more.nonnegative,
    ),
    Check(
        "robustness-verdicts/model",
        each(
            "violates/model-perturbation-robustness",
            "deconv",
            "expected-gradients",
            "grad-times-input",
            "guided-backprop",
            "integrated-gradients",
            "smoothgrad",
        ),
        robustness_verdicts.model_change,
    ),
    Check(
        "robustness-kinks/smoothness-decides",
        each(
            "context-dependent/input-perturbation-robustness",
            "deconv",
            "expected-gradients",
            "grad-times-input",
            "gradient",
            "guided-backprop",
            "integrated-gradients",
        ),
        robustness_kinks.smoothness_decides,
    ),
    Check(
        "removal-verdicts/depends",
        (
            *each("context-dependent/input-perturbation-robustness", "occlusion-1", "occlusion-patch", "rise", "shapley-value"),
            *each("context-dependent/model-perturbation-robustness", "occlusion-1", "occlusion-patch", "rise", "shapley-value"),
        ),
        removal_verdicts.depends,
    ),
)
