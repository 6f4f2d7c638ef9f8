"""Methods that score pixels, each with the call and the settings that the studies on images share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.first_principles import alone_atoms, stieltjes_attribution
from executable.methods import gradient_times_input as gi
from executable.methods import influential_subset as subset
from executable.methods import layerwise_backprop as lrp
from executable.methods import local_surrogate as local
from executable.methods import modified_gradient as m
from executable.methods import perturbation as pert
from executable.removal import Marginal

REFERENCES = 30
EMPTY = "baseline: the empty image"


@dataclass(frozen=True, eq=False)
class Explained:
    """What is explained: a network, images of shape (count, 1, side, side) in [0, 1] and the classes in question."""

    model: nn.Module
    images: Tensor
    targets: Tensor
    train: Tensor
    """Training images, from which some methods draw references or learn."""
    cell: int
    """Side of the square cells that stand for features where single pixels would be too many; divides the side of the image."""
    maps: str | None = None
    """Name of the layer whose feature maps class activation maps are made of; None for a network without."""
    early: str | None = None
    """Name of the layer after which the information bottleneck is put."""

    @property
    def call(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The arguments that every method takes."""
        return self.model, self.images, self.targets

    @property
    def sure(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The same with class probabilities in place of logits."""
        return nn.Sequential(self.model, nn.Softmax(dim=1)).eval(), self.images, self.targets

    @property
    def references(self) -> Tensor:
        """The first training images."""
        return self.train[:REFERENCES]

    @property
    def cells(self) -> Tensor:
        """Number of the cell of each pixel, shape (side, side)."""
        side = self.images.shape[-1]
        count = side // self.cell
        whole = torch.arange(count * count).reshape(count, count)
        return whole.repeat_interleave(self.cell, dim=0).repeat_interleave(self.cell, dim=1)


@dataclass(frozen=True, eq=False)
class PixelMethod:
    """A method as the studies call it."""

    method: str
    """Id of the record."""
    settings: str
    """What differs from the defaults, or has none, in words."""
    attributions: Callable[[Explained], Tensor]
    """One number for each pixel, in the shape of the images."""
    needs_maps: bool = False
    """Whether it takes a network with convolutions."""

    def __call__(self, explained: Explained) -> Tensor:
        """The attributions, detached."""
        return self.attributions(explained).detach()


def _bottleneck(e: Explained) -> Tensor:
    return subset.information_bottleneck(*e.call, layer=e.early, data=e.train[:300], beta=1.0, smoothing=0.5, n_steps=20).attribution


def _layer(e: Explained) -> str:
    """The layer of the feature maps.

    Raises
    ------
    ValueError
        If the network has none.
    """
    if e.maps is None:
        raise ValueError("class activation maps need a network with feature maps")
    return e.maps


GRADIENTS = [
    PixelMethod("gradient", "no settings", lambda e: m.gradient(*e.call)),
    PixelMethod("deconv", "no settings", lambda e: m.deconv(*e.call)),
    PixelMethod("guided-backprop", "no settings", lambda e: m.guided_backprop(*e.call)),
    PixelMethod("smoothgrad", "50 noisy copies, standard deviation 0.2", lambda e: m.smoothgrad(*e.call, stdevs=0.2)),
    PixelMethod("grad-times-input", EMPTY, lambda e: gi.grad_times_input(*e.call)),
    PixelMethod("integrated-gradients", f"{EMPTY}; 50 steps", lambda e: gi.integrated_gradients(*e.call)),
    PixelMethod("randomised-path-ig", f"{EMPTY}; 5 paths of 20 steps", lambda e: gi.randomised_path_ig(*e.call, n_paths=5, n_steps=20)),
    PixelMethod(
        "expected-gradients", "baselines: 30 training images; 5 steps for each",
        lambda e: gi.expected_gradients(*e.call, baselines=e.references, n_steps=5),
    ),
    PixelMethod(
        "gradient-shap", "baselines: 30 training images; 100 samples, noise of standard deviation 0.1",
        lambda e: gi.gradient_shap(*e.call, baselines=e.references, n_samples=100, stdevs=0.1),
    ),
    PixelMethod(
        "grad-cam", "last feature maps, enlarged linearly", lambda e: gi.grad_cam(*e.call, layer=_layer(e), interpolate="bilinear"), True
    ),
    PixelMethod(
        "score-cam", "last feature maps, enlarged linearly", lambda e: gi.score_cam(*e.call, layer=_layer(e), interpolate="bilinear"), True
    ),
]  # fmt: skip

LAYERWISE = [
    PixelMethod("lrp-0", "no settings", lambda e: lrp.lrp_0(*e.call)),
    PixelMethod("lrp-epsilon", "ε = 1e-6", lambda e: lrp.lrp_epsilon(*e.call)),
    PixelMethod("lrp-gamma", "γ = 0.25", lambda e: lrp.lrp_gamma(*e.call)),
    PixelMethod("lrp-alpha-beta", "α = 2, β = 1", lambda e: lrp.lrp_alpha_beta(*e.call)),
    PixelMethod("lrp-alpha1-beta0", "α = 1, β = 0", lambda e: lrp.lrp_alpha_beta(*e.call, alpha=1.0, beta=0.0)),
    PixelMethod(
        "deep-taylor-decomposition", "z-box rule for pixels from 0 to 1 in the first layer",
        lambda e: lrp.deep_taylor_decomposition(*e.call, input_rule="z_box", low=0.0, high=1.0),
    ),
    PixelMethod("deeplift-rescale", EMPTY, lambda e: lrp.deeplift_rescale(*e.call)),
    PixelMethod("deeplift-revealcancel", EMPTY, lambda e: lrp.deeplift_revealcancel(*e.call)),
    PixelMethod(
        "deep-shap", "baselines: 30 training images; rescale rule",
        lambda e: lrp.deep_shap(*e.call, baselines=e.references, algorithm="rescale"),
    ),
    PixelMethod("excitation-backprop", "not contrastive", lambda e: lrp.excitation_backprop(*e.call)),
    PixelMethod("rect-gradient", "threshold: percentile 90 in every layer", lambda e: lrp.rect_gradient(*e.call, percentile=90.0)),
    PixelMethod("patternnet", "patterns of 300 training images", lambda e: lrp.patternnet(*e.call, patterns=e.train[:300])),
    PixelMethod("pattern-attribution", "patterns of 300 training images", lambda e: lrp.pattern_attribution(*e.call, patterns=e.train[:300])),
    PixelMethod("attribution-equilibrium", "ratio 2", lambda e: lrp.attribution_equilibrium(*e.call), True),
]  # fmt: skip

PERTURBATION = [
    PixelMethod("occlusion-1", EMPTY, lambda e: pert.occlusion_1(*e.call)),
    PixelMethod(
        "occlusion-patch", f"{EMPTY}; windows of 3 x 3 pixels at every place, mean where they overlap",
        lambda e: pert.occlusion_patch(*e.call, sliding_window_shapes=3, strides=1),
    ),
    PixelMethod(
        "prediction-difference", "windows of 2 x 2 pixels at every place, drawn from 10 training images; log odds",
        lambda e: pert.prediction_difference(*e.call, baselines=Marginal(e.references[:10]), evidence="log_odds", sliding_window_shapes=2, strides=1,
                                             laplace=len(e.train)),
    ),
    PixelMethod(
        "shapley-sampling", f"{EMPTY}; players: the cells; 25 orders", lambda e: pert.shapley_sampling(*e.call, feature_mask=e.cells)
    ),
    PixelMethod("kernel-shap", f"{EMPTY}; players: the cells; 500 sets", lambda e: pert.kernel_shap(*e.call, n_samples=500, feature_mask=e.cells)),
    PixelMethod(
        "rise", f"{EMPTY}; class probability; 500 masks, one grid cell for each cell",
        lambda e: pert.rise(*e.sure, grid=e.images.shape[-1] // e.cell, n_samples=500),
    ),
    PixelMethod(
        "individual-causal-effect", "every pixel set to 1 against 0, the others as they are",
        lambda e: pert.individual_causal_effect(*e.call, interventions=1.0),
    ),
    PixelMethod(
        "indicator-function-attribution", "atoms: each pixel put alone on the empty image",
        lambda e: stieltjes_attribution(*e.call, atoms=alone_atoms),
    ),
]  # fmt: skip

SURROGATES = [
    PixelMethod("lime", f"{EMPTY}; players: the cells; 300 samples", lambda e: local.lime(*e.call, n_samples=300, feature_mask=e.cells)),
    PixelMethod("baylime", f"{EMPTY}; players: the cells; 300 samples", lambda e: local.baylime(*e.call, n_samples=300, feature_mask=e.cells)),
    PixelMethod("glime", f"{EMPTY}; players: the cells; 300 samples", lambda e: local.glime(*e.call, n_samples=300, feature_mask=e.cells)),
    PixelMethod("c-lime", "noise of standard deviation 0.2; 500 samples", lambda e: local.c_lime(*e.call, stdevs=0.2, n_samples=500)),
]  # fmt: skip

MASKS = [
    PixelMethod(
        "meaningful-perturbation", "removed pixels become empty; class probability; area weight 0.02, smoothness weight 0.1; 100 steps",
        lambda e: subset.meaningful_perturbation(*e.sure, perturbation="constant", area_weight=0.02, smoothness_weight=0.1, n_steps=100),
    ),
    PixelMethod(
        "extremal-perturbation", "removed pixels become empty; class probability; a quarter of the area kept; 100 steps",
        lambda e: subset.extremal_perturbation(*e.sure, perturbation="constant", areas=0.25, n_steps=100),
    ),
    PixelMethod(
        "fine-grained-visual-explanations", "removed pixels become empty; sparsity weight 0.1; 100 steps",
        lambda e: subset.fine_grained_visual_explanations(*e.call, n_steps=100),
    ),
    PixelMethod("information-bottleneck", "after the first convolution; β = 1, smoothing 0.5; 20 steps", _bottleneck, True),
]  # fmt: skip

PIXEL_METHODS = {entry.method: entry for entry in (*GRADIENTS, *LAYERWISE, *PERTURBATION, *SURROGATES, *MASKS)}
"""By record id."""


def applicable(explained: Explained) -> dict[str, PixelMethod]:
    """Those which the network has the parts for."""
    return {name: entry for name, entry in PIXEL_METHODS.items() if explained.maps is not None or not entry.needs_maps}


# -- what is no attribution of the network ---------------------------------------------------------------------------------------------------


def edges(images: Tensor) -> Tensor:
    """Size of the slope by Sobel's differences, which looks at the image and at no network; shape (count, 1, side, side)."""
    slope = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    found = nn.functional.conv2d(padded, torch.stack([slope, slope.T]).unsqueeze(1))
    return found.square().sum(dim=1, keepdim=True).sqrt()


def noise(images: Tensor, seed: int) -> Tensor:
    """Independent normal numbers in the shape of the images."""
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(seed), dtype=images.dtype)


def in_the_middle(images: Tensor) -> Tensor:
    """A bell around the middle of the image, the same for all."""
    side = images.shape[-1]
    place = torch.arange(side, dtype=images.dtype) - (side - 1) / 2
    bell = (-(place / (side / 4)).square() / 2).exp()
    return (bell.unsqueeze(1) * bell).expand(images.shape).clone()


# -- how alike maps are ----------------------------------------------------------------------------------------------------------------------


def ranks(values: Tensor) -> Tensor:
    """Rank of each entry within its row, equal ones sharing the mean of theirs; shape (count, entries)."""
    flat = values.detach().double().flatten(1)
    ordered, order = flat.sort(dim=1)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = fresh.cumsum(dim=1) - 1
    size = torch.zeros_like(flat).scatter_add(1, group, torch.ones_like(flat))
    middle = size.cumsum(dim=1) - (size - 1) / 2
    return torch.zeros_like(flat).scatter(1, order, middle.gather(1, group))


def spearman(left: Tensor, right: Tensor) -> Tensor:
    """Rank correlation of each map with its partner, shape (count,); zero where a map is the same everywhere and so orders nothing."""
    a, b = (part - part.mean(dim=1, keepdim=True) for part in (ranks(left), ranks(right)))
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size > 0, (a * b).sum(dim=1) / size.clamp(min=1e-300), torch.zeros_like(size))


def without_picture(left: Tensor, right: Tensor, images: Tensor) -> Tensor:
    """Partial rank correlation of the maps' sizes with the picture held fixed, shape (count,); zero for a map in the order of the picture."""
    both, one, other = spearman(left.abs(), right.abs()), spearman(left.abs(), images), spearman(right.abs(), images)
    rest = (1 - one.square()).clamp(min=0) * (1 - other.square()).clamp(min=0)
    return torch.where(rest > 1e-12, (both - one * other) / rest.clamp(min=1e-300).sqrt(), torch.zeros_like(rest))


def cosine(left: Tensor, right: Tensor) -> Tensor:
    """Cosine of the angle between each map and its partner, shape (count,); zero where a map vanishes."""
    a, b = left.detach().double().flatten(1), right.detach().double().flatten(1)
    found: Tensor = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-300)
    return found


def structural_similarity(left: Tensor, right: Tensor, window: int = 5) -> Tensor:
    """SSIM (Wang et al., 2004) of sizes of maps, each divided by its largest; uniform windows inside the image; shape (count,)."""
    a, b = (_unit(values) for values in (left, right))
    mean_a, mean_b = (nn.functional.avg_pool2d(values, window, 1) for values in (a, b))
    pixels = window * window
    unbiased = pixels / (pixels - 1)
    spread_a = unbiased * (nn.functional.avg_pool2d(a * a, window, 1) - mean_a.square())
    spread_b = unbiased * (nn.functional.avg_pool2d(b * b, window, 1) - mean_b.square())
    joint = unbiased * (nn.functional.avg_pool2d(a * b, window, 1) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mean_a * mean_b + c1) * (2 * joint + c2) / ((mean_a.square() + mean_b.square() + c1) * (spread_a + spread_b + c2))
    return found.flatten(1).mean(dim=1)


def _unit(values: Tensor) -> Tensor:
    size = values.detach().double().abs()
    return size / size.flatten(1).amax(dim=1).clamp(min=1e-300).reshape(-1, 1, 1, 1)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Mean over images, and its standard error."""
    flat = values.detach().double().flatten()
    return float(flat.mean()), float(flat.std() / len(flat) ** 0.5)
