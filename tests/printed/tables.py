"""Tables II-VII and Fig. 4 of the survey, typed a second time straight from the print, so that the views made from the records have something to be
held against.

Nothing here is read from the records. Cells stand as printed: `LRP-0/ε/αβ [12]` is one entry for three methods, which `PARTS` spells out. In
Tables II and III the extracted text of four rows breaks off after a comma (`Layerwise BP`, `Perturbation`, `Feature Removal`, `Taylor Interaction`):
those rows hold the entries that can be read, and nothing that only the running text says.
"""

from __future__ import annotations

PARTS = {
    "LRP-0/ε/αβ": ("LRP-0", "LRP-ε", "LRP-αβ"),
    "LRP-0/ε": ("LRP-0", "LRP-ε"),
    "DL-Res/Rev": ("DL-Res", "DL-Rev"),
    "DL Res/Rev": ("DL Res", "DL Rev"),
}

# Which method a printed label means; `LIME variants` are the variants that Table II lists.
MEANING = {
    "ACE": "average-causal-effect",
    "Banzhaf": "banzhaf-value",
    "BayLIME": "baylime",
    "DAAM": "daam",
    "DL Res": "deeplift-rescale",
    "DL Rev": "deeplift-revealcancel",
    "DL-Res": "deeplift-rescale",
    "DL-Rev": "deeplift-revealcancel",
    "DSHAP": "deep-shap",
    "DTD": "deep-taylor-decomposition",
    "Deconv": "deconv",
    "DeepSHAP": "deep-shap",
    "EG": "expected-gradients",
    "EP": "extremal-perturbation",
    "ExBP": "excitation-backprop",
    "GBP": "guided-backprop",
    "Grad": "gradient",
    "GradCAM": "grad-cam",
    "Gradient": "gradient",
    "Grad×Input": "grad-times-input",
    "IB": "information-bottleneck",
    "IG": "integrated-gradients",
    "LIME": "lime",
    "LRP-0": "lrp-0",
    "LRP-α1β0": "lrp-alpha1-beta0",
    "LRP-αβ": "lrp-alpha-beta",
    "LRP-ε": "lrp-epsilon",
    "MP": "meaningful-perturbation",
    "Occ-1": "occlusion-1",
    "Occ-p": "occlusion-patch",
    "OptiLIME": "optilime",
    "PDiff": "prediction-difference",
    "PathIG": "path-integrated-gradients",
    "PatternAttr": "pattern-attribution",
    "PatternNet": "patternnet",
    "Pdiff": "prediction-difference",
    "RISE": "rise",
    "RTIS": "real-time-image-saliency",
    "RectG": "rect-gradient",
    "S-LIME": "s-lime",
    "SAGE": "sage",
    "SG": "smoothgrad",
    "Self-attention": "self-attention-attribution",
    "Shapley": "shapley-value",
}
LIME_VARIANTS = ("optilime", "s-lime", "baylime")

# Row: (family, its references, equation, representative methods, whether a key difference is printed)
TABLE_II = {
    "Modified gradient": ("modified-gradient", [], "Eq. 1", "Grad [8], SG [71], Deconv [13], GBP [11]", True),
    "Gradient × Input": ("gradient-times-input", [], "Eq. 2", "Grad×Input [72], IG [9], EG [73], GradCAM [10]", True),
    "Layerwise BP": ("layerwise-backprop", [], "Eq. 3", "LRP-0/ε/αβ [12], DTD [74], DL-Res/Rev [75], DSHAP [14], PatternNet [17],", True),
    "Perturbation": (
        "perturbation", [], "Eq. 4", "Occ-1 [13], Occ-p [76], PDiff [76], Shapley [14], Banzhaf [77], RISE [78], ACE [59],", True,
    ),
    "Influential subset": ("influential-subset", [], "Eq. 5", "MP [16], EP [79], RTIS [80], IB [42]", True),
    "Local surrogate": ("local-surrogate", [], "Eq. 6", "LIME [15], OptiLIME [81], S-LIME [82], BayLIME [83]", True),
    "Attention": ("attention", [], "Eq. 8", "Self-attention [84], DAAM [20]", True),
}  # fmt: skip

TABLE_III = {
    "Feature Additive": ("feature-additive", [14], "Eq. 9", "LRP-0/ε [12], DL-Res [75], Shapley [14], LIME [15]", False),
    "Modified GI": ("modified-gradient-times-input", [37], "Eq. 10", "LRP-0/ε [12], DL-Res [75], Grad×Input [72], IG [9]", True),
    "Game-theoretic": ("game-theoretic", [52, 99, 100], "Eq. 11", "IG [9], Shapley [14], Banzhaf [77]", True),
    "Path Integral": ("path-integral", [9], "Eq. 12", "IG [9], PathIG [9], EG [73], Shapley [14]", True),
    "Nonnegative BP": ("nonnegative-backprop", [60], "Eq. 13", "LRP-α1β0 [12], DTD [74], ExBP [86], RectG [87], Deconv [13], GBP [11]", True),
    "Feature Removal": (
        "feature-removal", [99], "Eq. 14",
        "Occ-1 [13], Occ-p [76], PDiff [76], Shapley [14], Banzhaf [77], RISE [78], MP [16], EP [79], RTIS [80], LIME [15],", True,
    ),
    # The text of Sec. II-B(7) counts fourteen methods; Deep SHAP and PDiff, which it names, cannot be read in this row.
    "Taylor Interaction": (
        "taylor-interaction", [101, 38], "Eq. 16",
        "LRP-0/ε/αβ [12], DL Res/Rev [75], DTD [74], GradCAM [10], IG [9], EG [73], Grad×Input [72], Occ-1 [13], Occ-p [76], Shapley [14],", True,
    ),
}  # fmt: skip

# Row: (rationale, its references, representative methods, associated family). The extraction runs the last words of two summaries into the methods.
TABLE_IV = {
    "Gradient Sensitivity": ("gradient-sensitivity", [8, 107, 108], "Gradient", "modified-gradient"),
    "Taylor Decomposition": ("first-order-taylor", [39, 74], "Grad×Input, IG", "gradient-times-input"),
    "Deep Taylor Decomposition": ("deep-taylor", [39, 109], "DTD, LRP-0/ε", "layerwise-backprop"),
    "Interactions Effect Allocation": ("interaction-effect-allocation", [38, 101], "All Taylor interaction methods", "taylor-interaction"),
    "Surrogate Approximation": ("surrogate-approximation", [15, 110], "LIME, Shapley", "local-surrogate"),
    "Causal Attribution": ("causal-attribution", [59], "ACE, Shapley, Occ-1", "perturbation"),
    "Information Theory": ("information-theory", [99, 42, 111], "SAGE, IB", "feature-removal"),
}
ALL_TAYLOR_METHODS = "All Taylor interaction methods"

# Row: (rationale, references of each concern in the order printed)
TABLE_V = {
    "Gradient Sensitivity": ("gradient-sensitivity", [[71, 75]]),
    "Taylor Decomposition": ("first-order-taylor", [[56, 101]]),
    "Deep Taylor Decomposition": ("deep-taylor", [[117]]),
    "Surrogate Approximation": ("surrogate-approximation", [[118, 110], [119, 83, 81, 82]]),
}

FAITHFULNESS, ROBUSTNESS, OTHERS, ALL, DASH = "faithfulness", "robustness", "others in this family", "All methods in this family", "—"
_REMOVAL_DEPENDS = ["model smoothness", "baseline distribution", "summary technique"]
# Row: (family or group, its references, category, principles, satisfying, violating); two rows print one remark across both columns, kept as a list.
TABLE_VI = {
    "Modified Gradient": ("modified-gradient", [56], FAITHFULNESS, ["decision-relevance"], OTHERS, "Deconv [13], GBP [11]"),
    "Feature Additive": ("feature-additive", [14], FAITHFULNESS, ["local-accuracy", "missingness", "consistency"], "Shapley [14]", OTHERS),
    "Nonnegative BP": ("nonnegative-backprop", [60], FAITHFULNESS, ["output-sensitivity", "parameter-sensitivity"], DASH, ALL),
    "Taylor Interaction": (
        "taylor-interaction", [38, 101], FAITHFULNESS, ["effect-completeness", "allocation-correctness", "allocation-completeness"],
        "IG [9], EG [73], DL Res [75], DL Rev [75], Shapley [14], DSHAP [14]",
        "DTD [74], LRP-0/ε [12], LRP-αβ [12], Occ-1 [13], Occ-p [76], PDiff [76], Grad×Input [72], GradCAM [10]",
    ),
    "Feature Removal: Input-perturbation robustness": (
        "feature-removal", [124, 125, 126], ROBUSTNESS, ["input-perturbation-robustness"], _REMOVAL_DEPENDS, _REMOVAL_DEPENDS,
    ),
    "Feature Removal: Model-perturbation robustness": (
        "feature-removal", [124, 125, 126], ROBUSTNESS, ["model-perturbation-robustness"], _REMOVAL_DEPENDS, _REMOVAL_DEPENDS,
    ),
    "Gradient-based: Input-perturbation robustness": (
        "gradient-based", [127, 128, 125], ROBUSTNESS, ["input-perturbation-robustness"], ["model smoothness"], ["model smoothness"],
    ),
    "Gradient-based: Model-perturbation robustness": ("gradient-based", [127, 128, 125], ROBUSTNESS, ["model-perturbation-robustness"], DASH, ALL),
}  # fmt: skip

# Row: violated principles; the methods are the parts of the row's label.
TABLE_VII = {
    "Occ-1/Occ-p/PDiff": ["allocation-fidelity"],
    "Grad×Input/GradCAM": ["allocation-fidelity"],
    "DL-Res/LIME": ["axiomatic-fidelity"],
    "RectG/ExBP": ["output-sensitivity", "parameter-sensitivity"],
    "Deconv/GBP": ["decision-relevance", "output-sensitivity", "parameter-sensitivity"],
    "LRP-αβ/DTD": ["output-sensitivity", "parameter-sensitivity", "allocation-fidelity"],
    "LRP-ε": ["axiomatic-fidelity", "allocation-fidelity"],
}

FIGURE_4_COLUMNS = {
    "Feature Additive": "feature-additive",
    "Modified GI": "modified-gradient-times-input",
    "Game theoretic": "game-theoretic",
    "Path Integral": "path-integral",
    "Nonnegative BP": "nonnegative-backprop",
    "Feature removal": "feature-removal",
    "Taylor attribution": "taylor-interaction",
}
# Row: (formulation family, ticks in the order of the columns)
FIGURE_4 = {
    "Grad/SG": ("modified-gradient", ". . . . . . ."),
    "Deconv/GBP": ("modified-gradient", ". . . . x . ."),
    "GradCAM/Grad×Input": ("gradient-times-input", ". x . . . . x"),
    "EG": ("gradient-times-input", ". x . x . . x"),
    "IG": ("gradient-times-input", ". x x x . . x"),
    "PatternNet/PatternAttr": ("layerwise-backprop", ". . . . . . ."),
    "DeepSHAP": ("layerwise-backprop", ". . . . . . x"),
    "RectG/ExBP": ("layerwise-backprop", ". . . . x . ."),
    "LRP-αβ/DTD/DL-Rev": ("layerwise-backprop", ". . . . x . x"),
    "LRP-0/LRP-ε/DL-Res": ("layerwise-backprop", "x x . . . . x"),
    "SAGE/RISE": ("perturbation", ". . . . . x ."),
    "Banzhaf": ("perturbation", ". . x . . x ."),
    "Pdiff/Occ-1/Occ-p": ("perturbation", ". . . . . x x"),
    "Shapley": ("perturbation", "x . x x . x x"),
    "IB": ("influential-subset", ". . . . . . ."),
    "MP/EP/RTIS": ("influential-subset", ". . . . . x ."),
    "LIME/LIME variants": ("local-surrogate", "x . . . . x ."),
}
