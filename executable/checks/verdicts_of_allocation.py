"""Which check decides which verdict on the allocation of effects (Table VI, and Table VI of the Taylor paper)."""

from executable.checks import allocation_fidelity, allocation_verdicts
from executable.checks.base import Check, each

_FUNCTIONS = ("integrated-gradients", "expected-gradients", "shapley-value")
_OCCLUSIONS = ("occlusion-1", "occlusion-patch", "prediction-difference")
_BY_DIFFERENCES = ("deeplift-rescale", "deeplift-revealcancel", "deep-shap")
_BY_GROUPS = ("lrp-alpha-beta", "deep-taylor-decomposition")
_FIRST_ORDER = ("grad-times-input", "grad-cam", "lrp-epsilon")

ALLOCATION: tuple[Check, ...] = (
    Check(
        "allocation-verdicts/taylor-principle",
        (
            *each("satisfies/low-approximation-error", *_OCCLUSIONS, *_FUNCTIONS, *_BY_GROUPS, *_BY_DIFFERENCES),
            *each("violates/low-approximation-error", *_FIRST_ORDER),
            *each("satisfies/no-unrelated-allocation", *_FIRST_ORDER, "occlusion-1", "prediction-difference", *_FUNCTIONS, *_BY_DIFFERENCES),
            *each("violates/no-unrelated-allocation", "occlusion-patch", *_BY_GROUPS),
            *each("satisfies/complete-allocation", *_FIRST_ORDER, *_FUNCTIONS, *_BY_GROUPS, *_BY_DIFFERENCES),
            *each("violates/complete-allocation", *_OCCLUSIONS),
        ),
        allocation_verdicts.taylor_principle,
    ),
    Check(
        "allocation-fidelity/three-principles",
        (
            *each("satisfies/allocation-fidelity", *_FUNCTIONS, *_BY_DIFFERENCES),
            *each("violates/allocation-fidelity", *_OCCLUSIONS, *_BY_GROUPS, *_FIRST_ORDER, "lrp-0"),
        ),
        allocation_fidelity.fidelity,
    ),
    Check("allocation-fidelity/six-of-fourteen", ("six-of-fourteen-satisfy-all-principles/statement",), allocation_fidelity.six_of_fourteen),
    Check(
        "allocation-fidelity/correspondence",
        (
            "complete-allocation/corresponds-to/allocation-completeness",
            "no-unrelated-allocation/corresponds-to/allocation-correctness",
            "low-approximation-error/corresponds-to/effect-completeness",
        ),
        allocation_fidelity.correspondence,
    ),
)
