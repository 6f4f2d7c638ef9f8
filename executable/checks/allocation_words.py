"""The words of the verdicts on allocation: what was tested, and what a reader should know of single methods."""

COVERAGE, UNRELATED, COMPLETE = "low-approximation-error", "no-unrelated-allocation", "complete-allocation"

DOMAIN = (
    "Neurons with polynomial activations and two to four inputs, contributions of one or of both signs; monomials in three variables for methods "
    "that take any function; networks of two layers; pairs of networks of one function. All at non-negative inputs with baseline zero"
)

STATEMENT: dict[str, dict[str, str]] = {
    COVERAGE: {
        "satisfies": (
            "No Taylor term at the baseline is left out: of a function whose terms are of one order, or of a single term, some feature receives "
            "something."
        ),
        "violates": "Taylor terms are left out: there are functions of a single term of which no feature receives anything.",
    },
    UNRELATED: {
        "satisfies": (
            "$a_{j \\leftarrow I(\\kappa)} = 0$ wherever $\\kappa_j = 0$: a feature that occurs in no term, or only in terms that vanish, receives "
            "nothing."
        ),
        "violates": "Some feature $j$ receives a part of a term with $\\kappa_j = 0$.",
    },
    COMPLETE: {
        "satisfies": (
            "$\\sum_j a_{j \\leftarrow I(\\kappa)} = I(\\kappa)$: the scores add up to the effect wherever it consists of terms of one order, or of "
            "a single term."
        ),
        "violates": "The parts of some term do not add up to the term.",
    },
}
"""Principle, then verdict."""

FINDING: dict[str, dict[str, str]] = {
    COVERAGE: {
        "grad-times-input": (
            "Expanded at $b$, gradient times input gives every term the weight $\\kappa_i$ and leaves none out; expanded at $x$ it uses the linear "
            "terms only. Occlusion-1, which the table ticks, leaves out interactions in the expansion at $x$ as well."
        ),
        **dict.fromkeys(
            ("occlusion-1", "prediction-difference"),
            "All terms at the baseline are used, interactions several times over. In the expansion at the input, by which gradient times input is "
            "judged, interactions are left out.",
        ),
        "grad-cam": (
            "Expanded at zero maps every term reaches some location; expanded at the maps of the input the linear terms alone are used. The "
            "explanatory model has no other terms."
        ),
        "lrp-epsilon": (
            "Within one neuron LRP-0 uses all terms at zero. The verdict rests on ReLU networks, where the scores are the linear terms at the "
            "input; without biases these leave nothing."
        ),
        "lrp-alpha-beta": "All terms are handed out, foreign ones too, unless both the positive group and $\\beta$ are missing.",
        "deep-taylor-decomposition": "A neuron without positive contribution hands on nothing: all its terms are lost.",
    },
    UNRELATED: {
        "grad-cam": "The mean of the gradient over a map carries the effect of one location to all others.",
        "lrp-epsilon": (
            "An input gets a share in proportion to its contribution, hence nothing of terms without it in one neuron. In networks the scores "
            "depend on the layers, except for ReLU networks with $\\epsilon \\to 0$, where they are gradient times input."
        ),
        "lrp-alpha-beta": (
            "The positive group shares out the whole relevance by contribution, terms of the negative group included: however close a single "
            "positive contribution is to zero, its input receives all of it."
        ),
        "deep-taylor-decomposition": "The positive group shares out everything, terms of the negative group included.",
        "occlusion-patch": "All features of a patch receive the effect of any of them.",
        "deeplift-rescale": (
            "Exact within one neuron. Two networks of one function get different scores, and their difference gives scores to features on which it "
            "does not depend."
        ),
        "deeplift-revealcancel": (
            "Exact within one neuron. Two networks of one function get different scores, and their difference gives scores to features on which it "
            "does not depend."
        ),
        "deep-shap": (
            "Exact within one neuron. Two networks of one function get different scores, and their difference gives scores to features on which it "
            "does not depend."
        ),
    },
    COMPLETE: {
        "grad-times-input": (
            "At the baseline a term is counted $|\\kappa|$ times; at the input the linear terms, the only ones used, are handed out in full. The "
            "tick needs the second reading, which would tick Occlusion-1 too."
        ),
        "grad-cam": "The sum of the scores is the effect for the linear explanatory model alone.",
        "lrp-epsilon": "Bias and $\\epsilon$ keep a part of what is distributed.",
        "lrp-alpha-beta": (
            "The shares of the two groups add up to $\\alpha - \\beta = 1$ only if there are two groups; otherwise the relevance is multiplied at "
            "every neuron."
        ),
        "deep-taylor-decomposition": "The shares add up to one wherever there is a positive contribution, and to zero elsewhere.",
        "occlusion-1": (
            "A term is counted as often as it has variables. With terms at the input, as the table reads gradient times input, the terms in use "
            "would be handed out in full."
        ),
        "prediction-difference": "A term is counted as often as it has variables, as by Occlusion-1.",
        "occlusion-patch": "A term is counted once for every feature of a patch that it touches.",
        "deeplift-rescale": "The sum is kept from layer to layer, so that it holds for whole networks too, whatever the terms are.",
        "deeplift-revealcancel": "The sum is kept from layer to layer, so that it holds for whole networks too, whatever the terms are.",
        "deep-shap": "The sum is kept from layer to layer, so that it holds for whole networks too, whatever the terms are.",
    },
}
"""Principle, then method."""
PLAIN = "Seen in every setting, within one neuron and for whole networks."
"""What there is to say of the other methods."""
