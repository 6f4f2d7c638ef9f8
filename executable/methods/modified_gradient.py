"""Modified gradient family (survey Eq. 1): attributions are a gradient whose backward rule through activations may be changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from executable._engine import ActivationRule, activation_rule, ordinary, pull, record
from executable._engine.rules import Activation
from executable.arguments import Model, Target
from executable.forward import Query, prepare, select_output, slices

__all__ = ["Activation", "ActivationRule", "deconvolution", "gradient", "guided", "modified_gradient", "ordinary"]


def gradient(
    model: Model, inputs: Tensor, target: Target = None, *, additional_forward_args: Any = None, internal_batch_size: int | None = None
) -> Tensor:
    """Gradient of the explained output with respect to the input.

    a_i = df(x) / dx_i                                                        (survey Eq. 1 with the ordinary derivative)

    Parameters
    ----------
    model : callable
        f: takes a batch, returns one value per input or a row of outputs. An `nn.Module` is left exactly as it was found.
    inputs : Tensor, shape (batch, ...)
        x.
    target : int, LongTensor of shape (batch,), or None
        Which output is explained; None for a model with one output.
    additional_forward_args
        Further arguments of the model; tensors whose first axis is the batch follow the inputs.
    internal_batch_size : int, optional
        Most inputs given to the model at once.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError
        If `inputs` is not floating point.
    ValueError
        If `inputs` is empty or not finite, `target` is missing or out of range, or a module is in training mode.

    References
    ----------
    Baehrens et al., How to explain individual classification decisions, 2010. Simonyan et al., Deep inside convolutional networks, 2013.

    Example
    -------
    >>> gradient(lambda x: x[:, 0] ** 2 * x[:, 1], torch.tensor([[3.0, 2.0]]))
    tensor([[12.,  9.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    return query.gradients(x, query.everywhere(), internal_batch_size)


def modified_gradient(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    rule: ActivationRule = ordinary,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """The family's equation: a gradient taken with another backward rule at the activations.

    a_i = d^M f(x) / dx_i                                                     (survey Eq. 1)

    Parameters
    ----------
    model, inputs, target, additional_forward_args, internal_batch_size
        As for `gradient`.
    rule : callable
        `rule(activation, upstream)` replaces upstream * σ'(z) at every activation; the activation gives `z`, `value` = σ(z), `name` and
        `backward`. Here: `ordinary` (gradient), `guided`, `deconvolution`.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    NotImplementedError
        If part of the model cannot be seen, e.g. a custom `autograd.Function`.
    TypeError, ValueError
        As for `gradient`.

    Example
    -------
    >>> modified_gradient(lambda x: torch.tanh(x).sum(1), torch.tensor([[0.0, 9.0]]), rule=lambda activation, upstream: upstream)
    tensor([[1., 1.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    layer_rule = activation_rule(rule)
    parts = []
    for part in slices(x.shape[0], internal_batch_size):
        tape, start = record_query(query, x[part], query.everywhere()[part])
        parts.append(pull(tape, start, layer_rule))
    return torch.cat(parts)


def record_query(query: Query, rows: Tensor, index: Tensor) -> tuple[Any, Tensor]:
    """The tape of the rows and the one-hot signal at the explained outputs."""

    def run(values: Tensor) -> Tensor:
        return query.call(values, index)

    run.owner = query.model  # type: ignore[attr-defined]
    tape = record(run, rows)
    with torch.inference_mode(False), torch.enable_grad():
        answer = tape.answer.detach().clone().requires_grad_()
        chosen = select_output(answer, rows.shape[0], None if query.target is None else query.target[index])
        (start,) = torch.autograd.grad(chosen.sum(), answer)
    return tape, start


def guided(activation: Activation, upstream: Tensor) -> Tensor:
    """Guided backpropagation: only positive signals pass, and only through active units."""
    return activation.backward(upstream.clamp(min=0))


def deconvolution(_: Activation, upstream: Tensor) -> Tensor:
    """Deconvolution: positive signals pass, whether or not the unit was active."""
    return upstream.clamp(min=0)
