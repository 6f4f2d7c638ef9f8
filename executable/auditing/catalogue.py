"""The known methods that a function is compared with: how each reference function is called where its defaults leave something open."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from executable.arguments import Model
from executable.auditing.battery import BRIGHT, IMAGES, RELU, draws
from executable.auditing.subject import Subject
from executable.first_principles import alone_atoms, stieltjes_attribution
from executable.methods import attention, composition, vargrad
from executable.methods import gradient_times_input as gi
from executable.methods import influential_subset as subset
from executable.methods import layerwise_backprop as lrp
from executable.methods import local_surrogate as local
from executable.methods import modified_gradient as mg
from executable.methods import perturbation as pert

MAPS = "4"
"""The second convolution's maps after ReLU, in the networks of the battery."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A known method, as it is compared."""

    method: str
    call: Callable[..., Any]
    settings: str = "defaults"
    slow: bool = False
    """Optimises for each input: compared on images alone."""
    chance_on: tuple[str, ...] = (RELU, IMAGES)
    """Where to look whether it depends on chance, if it takes a seed."""

    @functools.cached_property
    def subject(self) -> Subject:
        """The function in the audit's hands."""
        return Subject(self.call, self.method)


def rows_like(x: Tensor, count: int = 12) -> Tensor:
    """A background of the shape of the inputs: a grid of normal numbers under a fixed seed."""
    return draws(90, count, *x.shape[1:]).to(x.dtype)


def _with(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The function with settings filled in; other keywords are handed on where it takes them."""
    return functools.partial(function, **fixed)


def _maps(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(model: nn.Module, inputs: Tensor, target: int | None = None) -> Tensor:
        return function(model, inputs, target, layer=MAPS, interpolate="bilinear")

    return call


def _background(function: Callable[..., Tensor], **fixed: Any) -> Callable[..., Tensor]:
    def call(model: Model, inputs: Tensor, target: int | None = None, *, baselines: Tensor | None = None, seed: int = 0) -> Tensor:
        return function(model, inputs, target, baselines=torch.zeros_like(inputs[:1]) if baselines is None else baselines, seed=seed, **fixed)

    return call


def _data(function: Callable[..., Tensor], name: str = "data", **fixed: Any) -> Callable[..., Tensor]:
    """A method that reads data: twelve rows of normal numbers."""

    def call(model: Model, inputs: Tensor, target: int | None = None) -> Tensor:
        return function(model, inputs, target, **{name: rows_like(inputs)}, **fixed)

    return call


def _asymmetric(model: Model, inputs: Tensor, target: int | None = None, *, baselines: Tensor | None = None) -> Tensor:
    """Features come in one after another, from the last to the first."""
    order = [[i] for i in reversed(range(inputs[0].numel()))]
    return pert.asymmetric_shapley(model, inputs, target, causal_order=order, baselines=baselines)


def _owen(model: Model, inputs: Tensor, target: int | None = None, *, baselines: Tensor | None = None) -> Tensor:
    players = range(inputs[0].numel())
    # The coalitions double with each union and each member: at most six unions keep an image of 36 entries affordable.
    size = max(2, -(-len(players) // 6))
    return pert.owen_value(model, inputs, target, unions=[list(players[k : k + size]) for k in players[::size]], baselines=baselines)


def _causal(model: Model, inputs: Tensor, target: int | None = None) -> Tensor:
    order = [[i] for i in range(inputs[0].numel())]
    return pert.causal_shapley(model, inputs, target, data=rows_like(inputs, 40), causal_order=order)


def _weighted(model: Model, inputs: Tensor, target: int | None = None, *, baselines: Tensor | None = None) -> Tensor:
    return pert.weighted_shap(model, inputs, target, baselines=baselines).attributions


def _bottleneck(model: nn.Module, inputs: Tensor, target: int | None = None) -> Tensor:
    return subset.information_bottleneck(model, inputs, target, layer="1", data=rows_like(inputs), n_steps=5).attribution


def _inversion(model: nn.Module, inputs: Tensor, target: int | None = None) -> Tensor:
    return subset.guided_feature_inversion(model, inputs, target, layer="3", mask_layer=MAPS, inversion_steps=10, n_steps=10)


def _self_attention(model: nn.Module, inputs: Tensor, target: int | None = None) -> Tensor:
    return attention.self_attention_attribution(model, inputs, target).sum(dim=1)


_PLAIN: dict[str, Callable[..., Any]] = {
    "gradient": mg.gradient, "deconv": mg.deconv, "guided-backprop": mg.guided_backprop, "grad-times-input": gi.grad_times_input,
    "integrated-gradients": gi.integrated_gradients, "aumann-shapley-value": gi.integrated_gradients,
    "lrp-0": lrp.lrp_0, "lrp-epsilon": lrp.lrp_epsilon, "lrp-gamma": lrp.lrp_gamma,
    "lrp-alpha-beta": lrp.lrp_alpha_beta, "deep-taylor-decomposition": lrp.deep_taylor_decomposition, "deeplift-rescale": lrp.deeplift_rescale,
    "deeplift-revealcancel": lrp.deeplift_revealcancel, "deep-shap": lrp.deep_shap, "excitation-backprop": lrp.excitation_backprop,
    "attribution-equilibrium": lrp.attribution_equilibrium, "occlusion-1": pert.occlusion_1, "substructure-masking": pert.occlusion_1,
    "prediction-difference": pert.prediction_difference, "shapley-value": pert.shapley_value, "banzhaf-value": pert.banzhaf_value,
    "shapley-sampling": pert.shapley_sampling, "kernel-shap": pert.kernel_shap, "rise": pert.rise,
    "individual-causal-effect": pert.individual_causal_effect, "loss-shap": pert.loss_shap, "lime": local.lime, "baylime": local.baylime,
    "glime": local.glime, "c-lime": local.c_lime, "raw-attention": attention.raw_attention,
    "bert-attention-analysis": attention.raw_attention, "attention-rollout": attention.attention_rollout, "attention-flow": attention.attention_flow,
    "gradient-weighted-attention": attention.gradient_weighted_attention, "propagated-shapley-values": composition.propagated_shapley_values,
}  # fmt: skip

_NORMAL = "background: twelve rows of normal numbers"
REFERENCES: dict[str, Reference] = {
    **{name: Reference(name, call) for name, call in _PLAIN.items()},
    **{
        reference.method: reference
        for reference in (
            Reference("smoothgrad", _with(mg.smoothgrad, stdevs=0.3), "standard deviation 0.3"),
            Reference("vargrad", _with(vargrad, stdevs=0.3), "standard deviation 0.3"),
            Reference("randomised-path-ig", _with(gi.randomised_path_ig, n_paths=4, n_steps=20), "4 paths of 20 steps"),
            Reference("path-integrated-gradients", gi.path_integrated_gradients, "the straight path, its default"),
            Reference("expected-gradients", _background(gi.expected_gradients), "one baseline of zeros where none is given"),
            Reference("gradient-shap", _background(gi.gradient_shap), "one baseline of zeros where none is given; no noise"),
            Reference("local-path-integration", _data(gi.local_path_integration, n_clusters=2), f"{_NORMAL} in two groups"),
            Reference("ig2", _data(gi.ig2, "references", n_steps=15), "references: twelve rows of normal numbers; 15 steps"),
            Reference("cam", _maps(gi.cam), "maps after the second convolution's ReLU, enlarged linearly"),
            Reference("grad-cam", _maps(gi.grad_cam), "maps after the second convolution's ReLU, enlarged linearly"),
            Reference("hires-cam", _maps(gi.hires_cam), "maps after the second convolution's ReLU, enlarged linearly"),
            Reference("score-cam", _maps(gi.score_cam), "maps after the second convolution's ReLU, enlarged linearly"),
            Reference("lrp-alpha1-beta0", _with(lrp.lrp_alpha_beta, alpha=1.0, beta=0.0), "alpha = 1, beta = 0"),
            Reference("rect-gradient", _with(lrp.rect_gradient, threshold=0.1), "threshold 0.1"),
            Reference("patternnet", _data(lrp.patternnet, "patterns"), f"patterns of a {_NORMAL}"),
            Reference("pattern-attribution", _data(lrp.pattern_attribution, "patterns"), f"patterns of a {_NORMAL}"),
            Reference("s-lime", _with(local.s_lime, n_samples=200, max_samples=1000), "200 to 1000 samples"),
            Reference("optilime", _with(local.optilime, n_samples=500), "500 samples"),
            Reference("occlusion-patch", _with(pert.occlusion_patch, sliding_window_shapes=2, strides=1), "windows of two entries, stride one"),
            Reference("asymmetric-shapley", _asymmetric, "features come in from the last to the first"),
            Reference("owen-value", _owen, "unions of two neighbours each, of more where there would be over six"),
            Reference("causal-shapley", _causal, f"{_NORMAL}; each feature causes the next"),
            Reference("weighted-shap", _weighted, "defaults; its attributions"),
            Reference("average-causal-effect", _data(pert.average_causal_effect), _NORMAL),
            Reference("probability-of-sufficiency", _data(pert.probability_of_sufficiency, undefined=0.0), f"{_NORMAL}; 0 where undefined"),
            Reference(
                "indicator-function-attribution", _with(stieltjes_attribution, atoms=alone_atoms), "atoms: each feature put alone on the baseline"
            ),
            Reference("self-attention-attribution", _self_attention, "summed over the heads"),
            Reference(
                "fine-grained-visual-explanations",
                _with(subset.fine_grained_visual_explanations, n_steps=20),
                "20 steps",
                slow=True,
                chance_on=(BRIGHT,),
            ),
            Reference(
                "meaningful-perturbation",
                _with(subset.meaningful_perturbation, n_steps=10, perturbation="constant"),
                "10 steps",
                slow=True,
                chance_on=(BRIGHT,),
            ),
            Reference(
                "extremal-perturbation",
                _with(subset.extremal_perturbation, n_steps=10, perturbation="constant"),
                "10 steps",
                slow=True,
                chance_on=(BRIGHT,),
            ),
            Reference("guided-feature-inversion", _inversion, "10 steps", slow=True, chance_on=(BRIGHT,)),
            Reference("information-bottleneck", _bottleneck, f"5 steps; {_NORMAL}", slow=True, chance_on=(BRIGHT,)),
        )
    },
}
"""By method."""


def linked(link: str) -> Callable[..., Any]:
    """The function behind a record's `implementation:` link."""
    module, _, name = link.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
