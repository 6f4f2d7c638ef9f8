"""Checks of Eq. 8: which methods are functions of the attention weights, with the weights written down from queries and keys."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, error, judge, settle, subject, sweep, versions, worst
from executable.methods.attention import (
    AttentionLayer,
    aggregate_attention,
    daam,
    gradient_weighted_attention,
    raw_attention,
    self_attention_attribution,
)
from executable.testbeds.diffusion import CrossAttention, captioned_squares, trained_diffusion
from executable.testbeds.digits import load_digits_split
from executable.testbeds.transformers import HEADS, DigitsTransformer, TokenTransformer, keyword_sequences
from taxonomy.evidence import Counterexample, Evidence

SEED = 92


def _softmax(query: Tensor, key: Tensor) -> Tensor:
    """softmax(Q K' / sqrt(d)), the last axis of Q and K being d."""
    scores: Tensor = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.softmax(dim=-1)


def _heads(rows: Tensor) -> Tensor:
    """(batch, tokens, width) to (batch, heads, tokens, width per head)."""
    return rows.reshape(*rows.shape[:2], HEADS, -1).transpose(1, 2)


def _token_network(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A transformer that reads words, its inputs, and the states that enter its first layer."""
    model = TokenTransformer().double().eval()
    tokens = keyword_sequences(rows, torch.Generator().manual_seed(SEED))[0]
    return model, tokens, model.tokens(tokens) + model.places


def _patch_network(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A vision transformer, digits, and the states that enter its first layer."""
    model = DigitsTransformer(4).double().eval()
    images = load_digits_split().test_images[:rows].double()
    patches = model.patches(images).flatten(2).transpose(1, 2)
    return model, images, torch.cat([model.class_token.expand(rows, -1, -1), patches], dim=1) + model.places


NETWORKS: dict[str, Callable[[int], tuple[nn.Module, Tensor, Tensor]]] = {
    "bert-attention-analysis": _token_network,
    "vit-attention-analysis": _patch_network,
}


def weights_by_hand(encoder: nn.TransformerEncoder, states: Tensor) -> list[Tensor]:
    """Attention weights of every layer, (batch, heads, tokens, tokens), from the projections of queries and keys alone."""
    found = []
    for layer in encoder.layers:
        assert isinstance(layer, nn.TransformerEncoderLayer)
        attention = layer.self_attn
        read = layer.norm1(states) if layer.norm_first else states
        projected = functional.linear(read, attention.in_proj_weight, attention.in_proj_bias)
        query, key, _ = (_heads(part) for part in projected.chunk(3, dim=2))
        found.append(_softmax(query, key))
        states = layer(states)
    return found


def _beyond_the_weights(model: nn.Module) -> nn.Module:
    """A network of other outputs and the same attention weights: all is drawn anew that comes after the last layer's weights."""
    other = copy.deepcopy(model)
    assert isinstance(other.encoder, nn.TransformerEncoder)
    last = other.encoder.layers[-1]
    assert isinstance(last, nn.TransformerEncoderLayer)
    width = last.self_attn.embed_dim
    with torch.no_grad():
        last.self_attn.in_proj_weight[2 * width :].normal_()
        for module in (last.self_attn.out_proj, last.linear1, last.linear2, other.head):
            assert isinstance(module, nn.Linear)
            module.weight.normal_()
    return other


def raw_weights(claim: str) -> Evidence:
    """The weights as they are: against queries and keys, and between networks that differ in everything but their weights."""
    torch.manual_seed(SEED)
    model, x, states = NETWORKS[subject(claim)](6)
    assert isinstance(model.encoder, nn.TransformerEncoder)
    with torch.no_grad():
        by_hand = weights_by_hand(model.encoder, states)
    other = _beyond_the_weights(model)
    recorded, family, moved = [], [], []
    for layer, weights in enumerate(by_hand):
        for head in ("mean", *range(HEADS)):
            found = raw_attention(model, x, layer=layer, head=head)
            recorded.append(error(found, weights.mean(dim=1) if head == "mean" else weights[:, int(head)]))
            family.append(error(found, aggregate_attention(model, x, aggregator=_choose(layer, head))))
            moved.append(error(raw_attention(other, x, layer=layer, head=head), found))
    with torch.no_grad():
        outputs = error(other(x), model(x))
    wrong_scale = error(by_hand[0].clamp(min=1e-30).log().mul(2).softmax(dim=-1).mean(dim=1), raw_attention(model, x, layer=0))
    by_gradient = error(gradient_weighted_attention(other, x, 0), gradient_weighted_attention(model, x, 0))
    measurements = (
        at_most("recorded weights against queries times keys, every layer and head", worst(recorded), ALGEBRA),
        at_most("the method against the family's equation with the choice of a layer and a head as the aggregator", worst(family), 0.0),
        at_most("largest change of the scores between two networks of equal weights", worst(moved), 0.0),
        at_least("largest change of their outputs", outputs, 0.1),
    )
    return Evidence(
        claim=claim,
        check="attention-weights/raw-weights",
        status=settle(measurements),
        statement="The scores are $\\operatorname{Aggregate}(W_A)$: one layer's $\\operatorname{softmax}(Q K^T / \\sqrt d)$, of one head or averaged "
        "over heads, and nothing else of the network enters them.",
        finding="The scores stay as they are while everything behind the weights is drawn anew and the outputs change.",
        domain="A transformer of two layers and two heads with random weights that reads "
        + ("words" if subject(claim).startswith("bert") else "patches of handwritten digits"),
        measurements=measurements,
        trials=len(recorded) + len(family) + len(moved),
        seed=SEED,
        controls=(
            breaks("queries times keys doubled before the softmax", wrong_scale, 1e-6),
            breaks("attention weighed by gradients between the two networks of equal weights", by_gradient, 1e-6),
        ),
        parameters={"rows": len(x), "layers": len(by_hand), "heads": HEADS},
        versions=versions(),
    )


def _choose(layer: int, head: int | str) -> Callable[[Sequence[AttentionLayer]], Tensor]:
    return lambda layers: layers[layer].weights.mean(dim=1) if head == "mean" else layers[layer].weights[:, int(head)]


def cross_attention(claim: str) -> Evidence:
    """DAAM against the sum, over steps, layers and heads, of weights written down from the queries and keys that each layer is given."""
    model = copy.deepcopy(trained_diffusion()).double()
    generator = torch.Generator().manual_seed(SEED)
    captions, _ = captioned_squares(2, generator)
    noise = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    found = daam(model, captions, additional_forward_args=noise).maps
    by_hand = _recorded_by_hand(model, captions, noise)
    total, last = _summed_over_steps(by_hand), _summed_over_steps(by_hand[-3:])
    family = aggregate_attention(
        model, captions, aggregator=lambda layers: _summed_over_steps([layer.weights for layer in layers]), additional_forward_args=noise
    )
    measurements = (
        at_most("heat maps against the sum of weights written down by hand", error(found, total), ALGEBRA),
        at_most("the family's equation, with that sum as the aggregator of recorded weights", error(family, total), ALGEBRA),
    )
    return Evidence(
        claim=claim,
        check="attention-weights/cross-attention",
        status=settle(measurements),
        statement="The map of a word is the sum over denoising steps, cross-attention layers and heads of the weights that image positions give to "
        "the word, enlarged and cut off at zero: an aggregator of $W_A$ alone.",
        finding="The weights of a head are added over the steps before they are enlarged.",
        domain="A small trained diffusion model with three cross-attention layers of two heads, twelve steps, two captions",
        measurements=measurements,
        trials=2 * len(captions),
        seed=SEED,
        controls=(
            breaks("the last step alone, scaled to the same sum", error(last * (total.sum() / last.sum()), total), 1e-3),
            breaks("the words of the caption in the wrong order", error(found.flip(1), total), 1e-3),
        ),
        parameters={"captions": captions.tolist(), "attentions": len(by_hand)},
        versions=versions(),
    )


def _recorded_by_hand(model: nn.Module, captions: Tensor, noise: Tensor) -> list[Tensor]:
    """softmax(Q K' / sqrt(d)) of every cross-attention at every step, from the image and the words that it is given."""
    found: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, Tensor], _: Tensor) -> None:
        assert isinstance(module, CrossAttention)
        image, words = given
        query = module.query(module.norm(image)).flatten(2).transpose(1, 2)
        key = module.key_value(words)[..., : query.shape[2]]
        found.append(_softmax(_heads(query), _heads(key)))

    hooks = [module.register_forward_hook(look) for module in model.modules() if isinstance(module, CrossAttention)]
    try:
        with torch.no_grad():
            model(captions, noise)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _summed_over_steps(weights: Sequence[Tensor], layers: int = 3) -> Tensor:
    """Weights of `layers` attentions, step by step, as maps (batch, words, 8, 8): summed over steps, enlarged, cut off, summed over the rest."""
    return torch.stack([_enlarged(torch.stack(list(weights[layer::layers])).sum(dim=0)) for layer in range(layers)]).sum(dim=0)


def _enlarged(weights: Tensor) -> Tensor:
    """Weights (batch, heads, positions, words) as maps (batch, words, 8, 8), summed over heads; nothing below zero."""
    side = round(weights.shape[2] ** 0.5)
    grid = weights.transpose(2, 3).reshape(-1, 1, side, side)
    large = functional.interpolate(grid, size=(8, 8), mode="bicubic", align_corners=False).clamp(min=0)
    return large.reshape(*weights.shape[:2], weights.shape[3], 8, 8).sum(dim=1)


class Reader(nn.Module):
    """One attention with a read-out of its mean: x to softmax(Q K' / sqrt(d)) V, averaged over tokens, to one number."""

    def __init__(self, width: int = 4, *, curved: bool) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Parameter(torch.randn(width, width, dtype=torch.float64)) for _ in range(3))
        self.out = nn.Parameter(torch.randn(width, dtype=torch.float64))
        self.curved = curved

    def weights(self, x: Tensor) -> Tensor:
        """W_A, (batch, 1, tokens, tokens)."""
        return _softmax((x @ self.query).unsqueeze(1), (x @ self.key).unsqueeze(1))

    def of_weights(self, weights: Tensor, x: Tensor) -> Tensor:
        """The output as a function of W_A."""
        mean = (weights.squeeze(1) @ (x @ self.value)).mean(dim=1)
        return torch.tanh(mean) @ self.out if self.curved else mean @ self.out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) to (batch,)."""
        read = functional.scaled_dot_product_attention((x @ self.query).unsqueeze(1), (x @ self.key).unsqueeze(1), (x @ self.value).unsqueeze(1))
        mean = read.squeeze(1).mean(dim=1)
        return torch.tanh(mean) @ self.out if self.curved else mean @ self.out


def along_the_ray(model: Reader, x: Tensor, steps: int = 400) -> Tensor:
    """W_A times the mean, over α in (0, 1), of the gradient of the output at α W_A, at the midpoints of `steps` parts."""
    weights, total = model.weights(x).detach(), torch.zeros(())
    for step in range(steps):
        scaled = (weights * ((step + 0.5) / steps)).requires_grad_()
        (slope,) = torch.autograd.grad(model.of_weights(scaled, x).sum(), scaled)
        total = total + slope / steps
    return weights * total


def weights_and_gradients(claim: str) -> Evidence:
    """AttAttr by an aggregator that may see gradients along the ray, at its end, or the weights alone."""
    torch.manual_seed(SEED)
    draws, tolerance = 4, 1e-5
    errors: dict[str, list[float]] = {name: [] for name in ("ray", "linear end", "curved end", "alone")}
    weights, totals = [], []

    def product(layers: Sequence[AttentionLayer]) -> Tensor:
        (layer,) = layers
        assert layer.gradients is not None
        return layer.weights * layer.gradients

    for _ in range(draws):
        x = torch.randn(3, 4, 4, dtype=torch.float64)
        curved, linear = Reader(curved=True), Reader(curved=False)
        found = self_attention_attribution(curved, x)
        errors["ray"].append(error(found, along_the_ray(curved, x)))
        errors["linear end"].append(error(self_attention_attribution(linear, x), aggregate_attention(linear, x, aggregator=product, gradients=True)))
        errors["curved end"].append(error(found, aggregate_attention(curved, x, aggregator=product, gradients=True)))
        other = copy.deepcopy(curved)
        with torch.no_grad():
            other.value.normal_()
        errors["alone"].append(error(self_attention_attribution(other, x), found))
        with torch.no_grad():
            weights.append(error(other.weights(x), curved.weights(x)))
            empty = curved.of_weights(torch.zeros_like(curved.weights(x)), x)
            totals.append(float((found.sum(dim=(1, 2, 3)) - curved(x) + empty).abs().max()))
    cases = [
        Case("weights, and gradients along the ray from zero", True, worst(errors["ray"])),
        Case("weights, and the gradient at their values; output linear in them", True, worst(errors["linear end"])),
        Case("weights, and the gradient at their values; output not linear in them", False, min(errors["curved end"])),
        Case("weights alone: two networks of equal weights", False, min(errors["alone"])),
    ]
    measurements = (
        *sweep(cases, tolerance),
        at_most("the two networks: largest difference of their weights", worst(weights), 0.0),
        at_most("sum of the scores against the change of the output", worst(totals), 1e-8),
    )
    return Evidence(
        claim=claim,
        check="attention-weights/weights-and-gradients",
        status=settle(measurements, judge(cases, tolerance)),
        statement="The scores are an aggregate of the attention weights, $a = \\operatorname{Aggregate}(W_A)$.",
        condition="The aggregator may also see the gradients of the output with respect to the weights, at all $\\alpha W_A$ with "
        "$0 < \\alpha < 1$; where the output is linear in the weights, one gradient is enough.",
        finding="By its formula the method is Integrated Gradients with the weights in the place of inputs. Two networks with the same weights and "
        "other values get other scores, which Eq. 8 as printed excludes.",
        domain="Random networks with one attention over four tokens, linear and curved read-outs",
        measurements=measurements,
        trials=4 * draws,
        seed=SEED,
        counterexample=_equal_weights(),
        controls=(breaks("the gradients along the ray without the factor W_A (smallest difference)", _without_factor(draws), tolerance),),
        parameters={"draws": draws, "settings": {case.setting: float(f"{case.error:.2g}") for case in cases}},
        versions=versions(),
    )


def _without_factor(draws: int) -> float:
    gaps = []
    for _ in range(draws):
        x, model = torch.randn(3, 4, 4, dtype=torch.float64), Reader(curved=True)
        ray = along_the_ray(model, x, 50)
        gaps.append(error(ray / model.weights(x).detach(), ray))
    return min(gaps)


def _equal_weights() -> Counterexample:
    code = """
import torch
from executable.methods.attention import raw_attention, self_attention_attribution

def network(value):
    def model(x):      # queries are zero, so that both tokens get half of the attention
        return torch.nn.functional.scaled_dot_product_attention(torch.zeros_like(x), x, value * x).sum(dim=(1, 2))
    return model

x = torch.tensor([[[1.0], [3.0]]])
half = torch.full((1, 2, 2), 0.5)
assert torch.equal(raw_attention(network(1), x), half) and torch.equal(raw_attention(network(2), x), half)
once, twice = (self_attention_attribution(network(value), x)[0, 0] for value in (1, 2))
assert torch.allclose(once, torch.tensor([[0.5, 1.5], [0.5, 1.5]])) and torch.allclose(twice, 2 * once)
"""
    return counterexample(
        "Two tokens $1$ and $3$ that each give both half of their attention: with values $x$ the scores are $(1/2, 3/2)$ in each row, with values "
        "$2x$ they are $(1, 3)$, although $W_A$ is the same.",
        code,
        tokens=[1, 3],
        weights=[[0.5, 0.5], [0.5, 0.5]],
        scores=[[0.5, 1.5], [0.5, 1.5]],
        scores_of_doubled_values=[[1, 3], [1, 3]],
    )
