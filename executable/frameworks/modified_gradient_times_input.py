"""Modified gradient x input family (survey Eq. 10): the chain rule with another derivative at the activations, times x - b."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from executable._engine import Step, pull, stabilised
from executable._engine.rules import ACTIVATIONS
from executable.arguments import Baselines, Model, Target
from executable.forward import prepare
from executable.methods.modified_gradient import record_query


@dataclass(frozen=True)
class Neurons:
    """The neurons of one activation at the input and at the baseline: all that a local rule may depend on."""

    z: Tensor
    value: Tensor
    reference_z: Tensor
    reference_value: Tensor
    derivative: Tensor


DerivativeRule = Callable[[Neurons], Tensor]
"""d^M sigma(z) / dz, elementwise."""


def modified_gradient_times_input(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    rule: DerivativeRule,
    baselines: Baselines = None,
    output_factor: Callable[[Tensor], Tensor] | None = None,
    additional_forward_args: Any = None,
) -> Tensor:
    """The gradient with σ'(z) replaced by a local rule, times the difference from the baseline.

    a_i = d^M f(x) / dx_i  (x_i - b_i)                                        (survey Eq. 10)

    Read as "there are numbers g_i with a_i = g_i (x_i - b_i)" the equation holds of every vector. Here the modified gradient has to come
    out of one backward pass in which the derivative of an activation depends on that neuron alone.

    Parameters
    ----------
    model, inputs, target, baselines, additional_forward_args
        As for `integrated_gradients`.
    rule : callable
        d^M σ(z)/dz from the neurons' values at x and at b: `ordinary_derivative` (gradient x input), `ratio(ε)` (LRP-ε),
        `difference_quotient` (DeepLIFT Rescale).
    output_factor : callable, optional
        Factor on the derivative of the output, as a function of the outputs; `output_ratio(ε)` for LRP-ε.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    ValueError
        If the model runs other activations at the baseline than at the input; else as for `integrated_gradients`.

    References
    ----------
    Ancona et al., Towards better understanding of gradient-based attribution methods for deep neural networks, 2017.

    Example
    -------
    >>> modified_gradient_times_input(lambda x: torch.relu(x.sum(dim=1) - 1), torch.tensor([[2.0, 3.0]]), rule=difference_quotient)
    tensor([[1.6000, 2.4000]])
    """
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=True)
    tape, start = record_query(query, x, query.everywhere())
    reference, _ = record_query(query, b, query.everywhere())
    pairs = [step for step in tape.steps if step.name in ACTIVATIONS]
    others = [step for step in reference.steps if step.name in ACTIVATIONS]
    if [step.name for step in pairs] != [step.name for step in others]:
        raise ValueError("the model takes another branch at the baseline than at the input, so its neurons have no common rule")
    twin = {id(step): other for step, other in zip(pairs, others, strict=True)}

    def apply(step: Step, upstream: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if id(step) not in twin:
            return step.pullback(upstream)
        return (rule(_neurons(step, twin[id(step)])) * upstream[0],)

    if output_factor is not None:
        start = start * output_factor(tape.answer.detach())
    return pull(tape, start, apply) * (x - b)


def _neurons(step: Step, other: Step) -> Neurons:
    z, value = step.leaves[0].detach(), step.results[0].detach()
    (derivative,) = step.pullback((torch.ones_like(value),))
    return Neurons(z, value, other.leaves[0].detach(), other.results[0].detach(), derivative)


def ordinary_derivative(neurons: Neurons) -> Tensor:
    """σ'(z)."""
    return neurons.derivative


def difference_quotient(neurons: Neurons) -> Tensor:
    """(σ(z) - σ(z̄)) / (z - z̄), and σ'(z) where z = z̄."""
    change = neurons.z - neurons.reference_z
    still = change.abs() <= 1e-12 * (1 + neurons.z.abs())
    return torch.where(still, neurons.derivative, (neurons.value - neurons.reference_value) / torch.where(still, 1.0, change))


def ratio(epsilon: float) -> DerivativeRule:
    """σ(z) / (z + ε sign z): at ε = 0 and z = 0 the value zero, which LRP-0 gives a neuron that is zero before and after."""

    def rule(neurons: Neurons) -> Tensor:
        below = stabilised(neurons.z, epsilon)
        return torch.where(below == 0, 0.0, neurons.value / torch.where(below == 0, 1.0, below))

    return rule


def output_ratio(epsilon: float) -> Callable[[Tensor], Tensor]:
    """Stabiliser of the last affine layer: z / (z + ε sign z) for the output z."""
    return lambda outputs: outputs / stabilised(outputs, epsilon)
