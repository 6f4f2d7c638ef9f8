"""Which operations are activations, affine maps or mere rearrangements, and the rules that treat them so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from executable._engine.tape import LayerRule, Step


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIVATIONS = _names(
    "relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign tanh sigmoid hardtanh hardsigmoid hardswish hardshrink softshrink "
    "tanhshrink logsigmoid log_sigmoid prelu rrelu threshold abs absolute square clamp clamp_min clip"
)
"""Functions applied to each neuron by itself."""

REARRANGEMENTS = _names(
    "reshape view view_as flatten unflatten permute transpose t T mT movedim swapaxes unsqueeze squeeze contiguous clone cat stack getitem "
    "chunk split tensor_split unbind select narrow index_select expand repeat to float double half bfloat16 type cpu cuda pad roll flip "
    "dropout alpha_dropout feature_alpha_dropout dropout1d dropout2d dropout3d pixel_shuffle pixel_unshuffle ravel"
)
"""Operations that move values without mixing them: relevance moves along."""

WINNERS = _names(
    "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
    "adaptive_max_pool3d_with_indices amax"
)
"""Maxima: the whole relevance goes to the largest input (winner takes all)."""

SUMS = _names(
    "add sub rsub sum mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "neg negative upsample interpolate"
)
"""Linear in all their tensors together."""

PRODUCTS = _names("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d batch_norm matmul mm bmm mv addmm mul div einsum")
"""Affine in the first tensor as long as only that one depends on the inputs."""

_NOT_FIRST = _names("matmul mm bmm mv addmm mul einsum")


def stabilised(values: Tensor, epsilon: float) -> Tensor:
    """Stabilised denominator: z + epsilon * sign(z), with sign(0) = +1."""
    return values + epsilon * torch.where(values < 0, -1.0, 1.0).to(values)


def share(relevance: Tensor, values: Tensor, epsilon: float, where: str) -> Tensor:
    """R / (z + epsilon sign z); a neuron without relevance hands on none, even where the denominator vanishes."""
    ratio = relevance / stabilised(values, epsilon)
    if epsilon == 0:
        ratio = torch.where(relevance == 0, 0.0, ratio)
        if not bool(torch.isfinite(ratio).all()):
            raise ValueError(f"{where}: a pre-activation is exactly 0 where relevance arrives, so LRP-0 divides by zero; use epsilon > 0")
    return ratio


def is_affine(step: Step) -> bool:
    """Whether the step is an affine function of what it read from the path."""
    if step.name in SUMS:
        return True
    return step.name in PRODUCTS and len(step.reads) == 1 and (step.reads[0] == 0 or step.name in _NOT_FIRST)


@dataclass(frozen=True)
class EpsilonRule:
    """LRP-ε: R_i = sum_j x_i w_ij / (z_j + ε sign z_j) R_j, where z_j holds the bias, whose own share is dropped (Taylor paper, Eq. 31).

    Activations hand their relevance on unchanged, maxima give all of it to the winner. Batch normalisation (in evaluation mode), pooling
    by averages and residual sums are affine layers of their own.
    """

    epsilon: float

    def __call__(self, step: Step, upstream: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Relevance at the step's leaves from relevance at its results."""
        if step.name in ACTIVATIONS and len(step.leaves) == 1:
            return upstream
        if step.name in REARRANGEMENTS or step.name in WINNERS:
            return step.pullback(upstream)
        if is_affine(step):
            shares = share(upstream[0], step.results[0].detach(), self.epsilon, step.where)
            return tuple(leaf.detach() * back for leaf, back in zip(step.leaves, step.pullback((shares,)), strict=True))
        raise NotImplementedError(_no_rule(step))


def _no_rule(step: Step) -> str:
    advice = "explain the logits instead of the softmax" if "softmax" in step.name else "replace the operation, or choose another method"
    many = " of two values that both depend on the inputs" if step.name in PRODUCTS else ""
    return f"LRP has no rule for {step.where}{many}; {advice}"


@dataclass(frozen=True, eq=False)
class Activation:
    """What a backward rule may look at: the pre-activation z, the activation σ(z), which function it is and where."""

    step: Step

    @property
    def name(self) -> str:
        """Name of the function: `relu`, `tanh`."""
        return self.step.name

    @property
    def z(self) -> Tensor:
        """Pre-activation."""
        return self.step.leaves[0].detach()

    @property
    def value(self) -> Tensor:
        """σ(z)."""
        return self.step.results[0].detach()

    def backward(self, upstream: Tensor) -> Tensor:
        """The ordinary rule: upstream * σ'(z)."""
        return self.step.pullback((upstream,))[0]


ActivationRule = Callable[[Activation, Tensor], Tensor]
"""`rule(activation, upstream)`: what an activation hands down instead of upstream * σ'(z)."""


def ordinary(activation: Activation, upstream: Tensor) -> Tensor:
    """Ordinary derivative: upstream * σ'(z)."""
    return activation.backward(upstream)


def activation_rule(rule: ActivationRule) -> LayerRule:
    """The layer rule that treats activations by `rule` and everything else by the chain rule."""

    def apply(step: Step, upstream: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if step.name in ACTIVATIONS and len(step.leaves) == 1:
            return (rule(Activation(step), upstream[0]),)
        return step.pullback(upstream)

    return apply
