"""Which methods have pictures, how each is called for them, and in words what a reader has to know of the call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from executable.first_principles import alone_atoms, stieltjes_attribution
from executable.gallery_scene import Scene, Shown, above_mean, change, loss_saved, output
from executable.interactions import integrated_directional_gradients
from executable.methods import attention as att
from executable.methods import gradient_times_input as gi
from executable.methods import influential_subset as subset
from executable.methods import layerwise_backprop as lrp
from executable.methods import local_surrogate as local
from executable.methods import modified_gradient as m
from executable.methods import perturbation as pert
from executable.methods.composition import internal_neuron_attribution
from executable.methods.vargrad_method import vargrad
from executable.removal import Marginal

NO_SIGN = (
    "grad-cam", "score-cam", "excitation-backprop", "lrp-alpha1-beta0", "deep-taylor-decomposition", "rise", "probability-of-sufficiency", "cxplain",
    "l2x", "meaningful-perturbation", "extremal-perturbation", "fine-grained-visual-explanations", "guided-feature-inversion",
    "information-bottleneck", "real-time-image-saliency", "raw-attention", "bert-attention-analysis", "attention-rollout", "attention-flow",
    "integrated-directional-gradients", "vargrad",
)  # fmt: skip
"""Methods whose numbers are never negative: masks, probabilities, attention weights, levels, lengths."""

# -- calls that take more than a line --------------------------------------------------------------------------------------------------------

REFERENCES = (1, 4, 6, 7)


def _path(scene: Scene) -> Tensor:
    """The breakpoints of the path are where one row or word is there and the next begins."""
    parts = scene.images.shape[-1] if scene.is_text else scene.images.shape[-2]
    return gi.path_integrated_gradients(
        *scene.call, path=scene.one_at_a_time, breakpoints=[k / parts for k in range(1, parts)], n_steps=400 // parts, method="riemann_midpoint"
    )


def _by_class(scene: Scene, explain: Callable[[int, Tensor], Tensor]) -> Tensor:
    """What `explain` gives for a class and the inputs for which that class is explained, put in their places."""
    found = torch.zeros_like(scene.images)
    for target in sorted(set(scene.targets.tolist())):
        chosen = scene.targets == target
        found[chosen] = explain(target, scene.images[chosen])
    return found


def _ig2(scene: Scene) -> Tensor:
    labels = range(scene.classes) if scene.is_text else REFERENCES
    clip = None if scene.is_text else (0.0, 1.0)

    def explain(target: int, images: Tensor) -> Tensor:
        references = scene.first_of(tuple(label for label in labels if label != target))
        return gi.ig2(scene.model, images, target, references=references, n_steps=50, clip=clip)

    return _by_class(scene, explain)


def _sage(scene: Scene) -> Tensor:
    def explain(target: int, _: Tensor) -> Tensor:
        images = scene.data.test_images[scene.data.test_labels == target]
        return pert.sage(scene.model, images[:30], target, feature_mask=scene.patches, n_samples=50, threshold=0.0)

    return _by_class(scene, explain)


def _cxplain(scene: Scene) -> Tensor:
    labels = scene.data.train_labels
    explainer = pert.train_cxplain(scene.model, scene.train[:1400], labels[:1400], loss="output", feature_mask=scene.patches, epochs=20)
    return pert.cxplain(*scene.call, explainer=explainer)


def _l2x(scene: Scene) -> Tensor:
    selector = pert.train_l2x(scene.model, scene.train[:1400], k=2 if scene.is_text else 4, feature_mask=scene.patches, epochs=20)
    return pert.l2x(*scene.call, selector=selector)


def _real_time(scene: Scene) -> Tensor:
    network = subset.train_masking_network(
        scene.model, scene.train[:700], scene.data.train_labels[:700], classes=10, area_weight=6.0, width=8, epochs=10
    )
    return subset.real_time_image_saliency(*scene.call, network=network)


def _bottleneck(scene: Scene) -> Tensor:
    layer = scene.layers["first"]
    return subset.information_bottleneck(*scene.call, layer=layer, data=scene.train[:1400], beta=1.0, smoothing=0.5, n_steps=40).attribution


def _internal(scene: Scene) -> Tensor:
    maps = internal_neuron_attribution(*scene.call, layer=scene.layers["maps"], n_steps=100, method="riemann_midpoint")
    return maps.sum(dim=1).flatten(1)


def _windows(scene: Scene, size: int) -> tuple[int, ...]:
    """Windows of `size` pixels of a digit a side, of as many pixels more on a larger image, or of one word less."""
    if scene.is_text:
        return (scene.images.shape[1], size - 1)
    return (1, size * (scene.images.shape[2] // 8), size * (scene.images.shape[2] // 8))


def _steps(scene: Scene) -> tuple[int, ...]:
    return (scene.images.shape[1], 1) if scene.is_text else (1, scene.images.shape[2] // 8, scene.images.shape[2] // 8)


def _difference(scene: Scene) -> Tensor:
    return pert.prediction_difference(
        *scene.call, baselines=Marginal(scene.background), evidence="log_odds", sliding_window_shapes=_windows(scene, 2), strides=_steps(scene),
        laplace=len(scene.train),
    )  # fmt: skip


def _rise(scene: Scene) -> Tensor:
    if scene.is_text:
        return pert.rise(*scene.sure, feature_mask=scene.units, n_samples=None)
    return pert.rise(*scene.sure, grid=4, p=0.25, n_samples=2000)


def _deep_taylor(scene: Scene) -> Tensor:
    if scene.is_text:
        return lrp.deep_taylor_decomposition(*scene.call, input_rule="w_square")
    return lrp.deep_taylor_decomposition(*scene.call, input_rule="z_box", low=0.0, high=1.0)


def _in_order(scene: Scene, mask: Tensor, columns: int) -> list[list[int]]:
    """Players row by row from the top, or word by word."""
    count = int(mask.max()) + 1
    return [[k] for k in range(count)] if scene.is_text else torch.arange(count).reshape(-1, columns).tolist()


def _neighbours(scene: Scene) -> list[list[int]]:
    """The patches of each row, or the words two by two."""
    players = list(range(int(scene.patches.max()) + 1))
    size = 2 if scene.is_text else 4
    return [players[k : k + size] for k in players[::size]]


def _directional(scene: Scene) -> Tensor:
    groups = torch.stack([scene.patches == k for k in range(int(scene.patches.max()) + 1)])
    groups = groups if scene.is_text else groups.unsqueeze(1)
    return integrated_directional_gradients(*scene.call, groups=groups, n_steps=100, method="riemann_midpoint").values


def _cam(scene: Scene, method: Callable[..., Tensor]) -> Tensor:
    return method(*scene.call, layer=scene.layers["maps"], interpolate=None if scene.is_text else "bilinear")


def _row(scores: Tensor) -> Tensor:
    """The class token's scores for itself and the patches or words, without its own."""
    return scores[:, 1:]


# -- the table -------------------------------------------------------------------------------------------------------------------------------

MODIFIED_GRADIENT = [
    Shown("gradient", "no settings{slopes}", lambda s: m.gradient(*s.call), grain="slopes"),
    Shown("deconv", "no settings{slopes}", lambda s: m.deconv(*s.call), grain="slopes"),
    Shown("guided-backprop", "no settings{slopes}", lambda s: m.guided_backprop(*s.call), grain="slopes"),
    Shown(
        "smoothgrad", "200 noisy copies, standard deviation 0.2{slopes}", lambda s: m.smoothgrad(*s.call, n_samples=200, stdevs=0.2), grain="slopes"
    ),
    Shown("vargrad", "200 noisy copies, standard deviation 0.2{slopes}", lambda s: vargrad(*s.call, n_samples=200, stdevs=0.2), grain="slopes"),
]

MIDPOINT = "baseline: {zero}; 100 steps, midpoint rule"
OVER = "output less its mean over the baselines"
GRADIENT_TIMES_INPUT = [
    Shown("grad-times-input", "baseline: {zero}", lambda s: gi.grad_times_input(*s.call)),
    Shown(
        "integrated-gradients", MIDPOINT, lambda s: gi.integrated_gradients(*s.call, n_steps=100, method="riemann_midpoint"), change,
    ),
    Shown(
        "aumann-shapley-value", f"{MIDPOINT}: the numbers of integrated gradients",
        lambda s: gi.integrated_gradients(*s.call, n_steps=100, method="riemann_midpoint"), change,
    ),
    Shown("path-integrated-gradients", "baseline: {zero}; path: {path}; 400 steps", _path, change),
    Shown(
        "randomised-path-ig", "baseline: {zero}; 20 random paths of 50 steps, concentration 10",
        lambda s: gi.randomised_path_ig(*s.call, n_paths=20), change,
    ),
    Shown(
        "expected-gradients", "baselines: 100 training {inputs}; 20 steps for each",
        lambda s: gi.expected_gradients(*s.call, baselines=s.background, n_steps=20), above_mean, OVER,
    ),
    Shown(
        "gradient-shap", "baselines: 100 training {inputs}; 500 samples, noise of standard deviation 0.1",
        lambda s: gi.gradient_shap(*s.call, baselines=s.background, n_samples=500, stdevs=0.1),
    ),
    Shown(
        "local-path-integration", "baselines: the training {inputs} that the network answers alike (10 groups), 20 of each group; 20 steps",
        lambda s: gi.local_path_integration(*s.call, data=s.train, n_clusters=10, n_references=20, n_steps=20),
    ),
    Shown("ig2", "references: {references} but for the class explained; representation: the logits; 50 steps", _ig2),
    Shown("grad-cam", "feature maps: {maps}", lambda s: _cam(s, gi.grad_cam)),
    Shown("hires-cam", "feature maps: {maps}", lambda s: _cam(s, gi.hires_cam)),
    Shown("score-cam", "feature maps: {maps}; weights: softmax of the logits", lambda s: _cam(s, gi.score_cam)),
    Shown("cam", "feature maps: {maps}", lambda s: _cam(s, gi.cam)),
]  # fmt: skip

CONSERVED = "the output, but for the part that biases take"
LAYERWISE_BACKPROP = [
    Shown("lrp-0", "no settings", lambda s: lrp.lrp_0(*s.call), output, CONSERVED),
    Shown("lrp-epsilon", "ε = 0.25", lambda s: lrp.lrp_epsilon(*s.call, epsilon=0.25), output, CONSERVED),
    Shown("lrp-gamma", "γ = 0.25", lambda s: lrp.lrp_gamma(*s.call), output, CONSERVED),
    Shown("lrp-alpha-beta", "α = 2, β = 1", lambda s: lrp.lrp_alpha_beta(*s.call, alpha=2.0, beta=1.0)),
    Shown("lrp-alpha1-beta0", "α = 1, β = 0", lambda s: lrp.lrp_alpha_beta(*s.call, alpha=1.0, beta=0.0)),
    Shown(
        "deep-taylor-decomposition", "first layer: {taylor}", _deep_taylor, output, "output",
    ),
    Shown("deeplift-rescale", "baseline: {zero}", lambda s: lrp.deeplift_rescale(*s.call), change),
    Shown("deeplift-revealcancel", "baseline: {zero}", lambda s: lrp.deeplift_revealcancel(*s.call), change),
    Shown(
        "deep-shap", "baselines: 100 training {inputs}; rescale rule, which also serves maxima",
        lambda s: lrp.deep_shap(*s.call, baselines=s.background, algorithm="rescale"), above_mean, OVER,
    ),
    Shown("excitation-backprop", "not contrastive", lambda s: lrp.excitation_backprop(*s.call)),
    Shown(
        "rect-gradient", "threshold: percentile 98 in every layer{slopes}", lambda s: lrp.rect_gradient(*s.call, percentile=98.0), grain="slopes"
    ),
    Shown(
        "patternnet", "patterns of the training {inputs}, linear estimator{slopes}", lambda s: lrp.patternnet(*s.call, patterns=s.train),
        grain="slopes",
    ),
    Shown("pattern-attribution", "patterns of the training {inputs}, linear estimator", lambda s: lrp.pattern_attribution(*s.call, patterns=s.train)),
    Shown("attribution-equilibrium", "ratio 2", lambda s: lrp.attribution_equilibrium(*s.call)),
]  # fmt: skip

ALL_SETS = "baseline: {zero}; players: {few}; all sets"
PATCHES = "baseline: {zero}; players: {patches}"
PERTURBATION = [
    Shown("occlusion-1", "baseline: {zero}; one of the {units} at a time", lambda s: pert.occlusion_1(*s.call, feature_mask=s.units), grain="units"),
    Shown(
        "occlusion-patch", "baseline: {zero}; windows of {wide} at every {step}, mean where they overlap",
        lambda s: pert.occlusion_patch(*s.call, sliding_window_shapes=_windows(s, 3), strides=_steps(s)), grain="windows",
    ),
    Shown("prediction-difference", "windows of {narrow} at every {step}, drawn from 100 training {inputs}; log odds", _difference, grain="windows"),
    Shown("shapley-value", ALL_SETS, lambda s: pert.shapley_value(*s.exact, feature_mask=s.all_sets), change, grain="few"),
    Shown("banzhaf-value", ALL_SETS, lambda s: pert.banzhaf_value(*s.exact, feature_mask=s.all_sets), grain="few"),
    Shown(
        "owen-value", f"{PATCHES}; unions: the four patches of a row, or two neighbouring words",
        lambda s: pert.owen_value(*s.call, unions=_neighbours(s), feature_mask=s.patches), change, grain="patches",
    ),
    Shown(
        "weighted-shap", f"{ALL_SETS}; beta weights", lambda s: pert.weighted_shap(*s.exact, feature_mask=s.all_sets).attributions, grain="few",
    ),
    Shown(
        "shapley-sampling", "baseline: {zero}; 60 orders of the {units}",
        lambda s: pert.shapley_sampling(*s.call, n_samples=60, feature_mask=s.units), change, grain="units",
    ),
    Shown(
        "kernel-shap", "baseline: {zero}; 3000 sets of the {units}, or all if there are fewer",
        lambda s: pert.kernel_shap(*s.call, n_samples=None if s.is_text else 3000, feature_mask=s.units), change, grain="units",
    ),
    Shown(
        "asymmetric-shapley", f"{PATCHES}, put in {{order}}",
        lambda s: pert.asymmetric_shapley(*s.call, causal_order=_in_order(s, s.patches, 4), feature_mask=s.patches), change, grain="patches",
    ),
    Shown(
        "causal-shapley", "players: {blocks}, taken to cause one another {causes}; normal distribution fitted to the training {inputs}, "
        "16 draws for each set",
        lambda s: pert.causal_shapley(*s.call, data=s.train, causal_order=_in_order(s, s.blocks, 2), n_samples=16, feature_mask=s.blocks),
        grain="blocks",
    ),
    Shown("rise", "baseline: {zero}; class probability; {masks}", _rise, grain="masks"),
    Shown(
        "individual-causal-effect", "each of the {units} set to 1 (ink) against 0 (paper), the others as they are",
        lambda s: pert.individual_causal_effect(*s.call, interventions=1.0, feature_mask=s.units), grain="units",
    ),
    Shown(
        "average-causal-effect", "each of the {units} set to its value against {zero}, the others as in 50 training {inputs}",
        lambda s: pert.average_causal_effect(*s.call, data=s.train[:50], feature_mask=s.units), grain="units",
    ),
    Shown(
        "probability-of-sufficiency", "players: {patches}; cases: 300 training {inputs}",
        lambda s: pert.probability_of_sufficiency(*s.call, data=s.train[:300], undefined=0.0, feature_mask=s.patches), grain="patches",
    ),
    Shown(
        "loss-shap", f"{ALL_SETS}; cross-entropy", lambda s: pert.loss_shap(*s.exact, feature_mask=s.all_sets), loss_saved, "loss saved", "few",
    ),
    Shown(
        "sage", f"over at most 30 test {{inputs}} of the class explained, whatever is shown; {PATCHES}; 50 orders; cross-entropy", _sage,
        grain="patches",
    ),
    Shown("cxplain", f"{PATCHES}; loss: the negative output; one network, 20 epochs of 1400 training {{inputs}}", _cxplain, grain="patches"),
    Shown("l2x", "the {most} most telling of the {patches}; trained for 20 epochs on 1400 training {inputs}", _l2x, grain="patches"),
]  # fmt: skip

INFLUENTIAL_SUBSET = [
    Shown(
        "meaningful-perturbation", "{removed}; class probability; deletion; area weight 0.02, smoothness weight 0.1; 150 steps",
        lambda s: subset.meaningful_perturbation(*s.sure, perturbation="constant", area_weight=0.02, smoothness_weight=0.1, n_steps=150),
        grain="masks",
    ),
    Shown(
        "extremal-perturbation", "{removed}; class probability; preservation with a quarter of the area; 200 steps",
        lambda s: subset.extremal_perturbation(*s.sure, perturbation="constant", areas=0.25, n_steps=200), grain="masks",
    ),
    Shown(
        "fine-grained-visual-explanations", "{removed}; preservation; sparsity weight 0.1; 100 steps",
        lambda s: subset.fine_grained_visual_explanations(*s.call, n_steps=100),
    ),
    Shown(
        "guided-feature-inversion", "background: {zero}; rebuilt: {raw}; mask made of: {maps}; area weight 20, sparsity weight 2",
        lambda s: subset.guided_feature_inversion(*s.call, layer=s.layers["raw"], mask_layer=s.layers["maps"], area_weight=20.0,
                                                  sparsity_weight=2.0, inversion_steps=100, n_steps=150),
    ),
    Shown(
        "information-bottleneck", "after {first}; β = 1, smoothing 0.5; 40 steps; statistics of 1400 training {inputs}", _bottleneck,
    ),
    Shown("real-time-image-saliency", "a network of 8 channels trained for 10 epochs on 700 training images; area weight 6", _real_time),
]  # fmt: skip

LOCAL_SURROGATE = [
    Shown("lime", f"{PATCHES}; 1000 samples", lambda s: local.lime(*s.call, feature_mask=s.patches), grain="patches"),
    Shown(
        "baylime", f"{PATCHES}; 1000 samples; prior mean 0, precisions fitted", lambda s: local.baylime(*s.call, feature_mask=s.patches),
        grain="patches",
    ),
    Shown(
        "s-lime", f"{PATCHES}; the 5 most telling; at most 4000 samples",
        lambda s: local.s_lime(*s.call, max_samples=4000, feature_mask=s.patches), grain="patches",
    ),
    Shown(
        "optilime", f"{PATCHES}; 3000 samples; R² of 0.9",
        lambda s: local.optilime(*s.call, n_samples=3000, feature_mask=s.patches), grain="patches",
    ),
    Shown("glime", f"{PATCHES}; 1000 samples", lambda s: local.glime(*s.call, feature_mask=s.patches), grain="patches"),
    Shown("c-lime", "noise of standard deviation 0.2; 1000 samples{slopes}", lambda s: local.c_lime(*s.call, stdevs=0.2), grain="slopes"),
]  # fmt: skip

FROM_CLASS = "from the class token to the {read}"
ATTENTION = [
    Shown("raw-attention", f"last layer, mean of the heads, {FROM_CLASS}", lambda s: _row(att.raw_attention(*s.call, query=0))),
    Shown(
        "bert-attention-analysis", f"last layer, mean of the heads, {FROM_CLASS}: the numbers of raw attention",
        lambda s: _row(att.raw_attention(*s.call, query=0)),
    ),
    Shown("attention-rollout", f"mean of the heads, {FROM_CLASS}", lambda s: _row(att.attention_rollout(*s.call, query=0))),
    Shown("attention-flow", f"mean of the heads, {FROM_CLASS}", lambda s: _row(att.attention_flow(*s.call, query=0))),
    Shown("gradient-weighted-attention", f"all layers, {FROM_CLASS}", lambda s: _row(att.gradient_weighted_attention(*s.call, query=0))),
    Shown(
        "self-attention-attribution", f"last layer, sum of the heads, {FROM_CLASS}; 20 steps",
        lambda s: _row(att.self_attention_attribution(*s.call).sum(dim=1)[:, 0]),
    ),
    Shown(
        "vit-shapley", "trained on 300 training {inputs}, 5 and 10 epochs",
        lambda s: att.vit_shapley(*s.call, data=s.train[:300], surrogate_epochs=5, n_epochs=10, n_samples=16),
    ),
]  # fmt: skip

OTHERS = [
    Shown(
        "internal-neuron-attribution", f"neurons: {{neurons}}, summed over the maps; {MIDPOINT}", _internal, change,
    ),
    Shown(
        "integrated-directional-gradients", f"groups: {{patches}}; {MIDPOINT}",
        _directional,
    ),
    Shown(
        "indicator-function-attribution", "atoms: each of the {entries} put alone on {zero}",
        lambda s: stieltjes_attribution(*s.call, atoms=alone_atoms),
    ),
]  # fmt: skip

SETS = "Its numbers belong to sets of features, not to features."
ABSENT = {
    "substructure-masking": "It masks parts of molecules.",
    "daam": "It attributes the words of a prompt to the image that a diffusion model made.",
    "propagated-shapley-values": "Every model of the series may have about 20 inputs; an image has 64, a sentence 96 coordinates.",
    "necessity-and-sufficiency": SETS,
    "faith-shap": SETS,
    "banzhaf-interaction-index": SETS,
    "harsanyi-dividend": SETS,
    "shapley-interaction-index": SETS,
    "shapley-taylor-index": SETS,
    "sparse-concept-interactions": SETS,
    "integrated-hessians": SETS,
    "taylor-interaction-effect": SETS,
}
"""Why the other implemented methods have no picture anywhere, by record."""

TABLE = [
    *MODIFIED_GRADIENT, *GRADIENT_TIMES_INPUT, *LAYERWISE_BACKPROP, *PERTURBATION, *INFLUENTIAL_SUBSET, *LOCAL_SURROGATE, *ATTENTION, *OTHERS,
]  # fmt: skip
"""Every method with a picture somewhere; why one is missing in a place says `executable.gallery_places`."""
