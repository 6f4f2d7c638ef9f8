"""Deep Taylor decomposition (survey Eq. 18): each neuron of a layer expanded to first order around a point of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from executable.arguments import Model
from executable.forward import prepare

INSIDE = 1e-7
"""Default share of the way from the root to the input at which the slope is taken."""


@dataclass(frozen=True, eq=False)
class LayerExpansion:
    """f_j(x) = f_j(b_j) + sum_i terms_ji + remainder_j for every neuron j of a layer."""

    roots: Tensor
    """b_j, shape (batch, neurons, inputs)."""
    terms: Tensor
    """a_{i→j}, shape (batch, neurons, inputs)."""
    value: Tensor
    """f_j(x), shape (batch, neurons)."""
    at_root: Tensor
    """f_j(b_j), shape (batch, neurons); zero if the point is a root."""
    remainder: Tensor
    """ε1, shape (batch, neurons)."""

    def pass_on(self, relevance: Tensor) -> Tensor:
        """Relevance of the inputs, shape (batch, inputs), for that of the neurons, shape (batch, neurons).

        The relevance of a neuron is taken to be a multiple of its activation, R_j = c_j f_j, and c_j to be constant, so that its expansion is
        that of f_j times c_j. A neuron with the value zero has nothing to pass on.
        """
        multiple = torch.where(self.value == 0, 0, relevance / torch.where(self.value == 0, 1, self.value))
        passed: Tensor = (multiple.unsqueeze(2) * self.terms).sum(dim=1)
        return passed


@dataclass(frozen=True, eq=False)
class DeepTaylor:
    """A network decomposed layer by layer."""

    attributions: Tensor
    """Relevance of the inputs, shape (batch, inputs)."""
    expansions: tuple[LayerExpansion, ...]
    """Of each layer, first layer first."""
    relevance: tuple[Tensor, ...]
    """Relevance of the neurons of each layer, shape (batch, neurons)."""


def expand_layer(layer: Model, inputs: Tensor, roots: Tensor, *, inside: float = INSIDE) -> LayerExpansion:
    r"""The first-order expansion of every neuron of a layer.

    f_j(x) = f_j(b) + sum_i df_j(b)/dx_i (x_i - b_i) + ε1,      a_{i→j} = df_j(b)/dx_i (x_i - b_i)      (survey Eq. 18)

    Parameters
    ----------
    layer : callable
        f: takes rows, returns one value per neuron, shape (rows, neurons).
    inputs : Tensor, shape (batch, inputs)
        x, what enters the layer.
    roots : Tensor
        b, broadcast to (batch, neurons, inputs): the point around which each neuron is expanded.
    inside : float
        A root of a rectified neuron lies on its kink, where the derivative is that of the side of the input. It is therefore taken at
        b + inside (x - b); 0 takes it at b.

    Returns
    -------
    LayerExpansion

    Raises
    ------
    TypeError, ValueError
        As for `gradient`; also if the layer's answer or the roots have another shape.

    References
    ----------
    Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition, 2017.

    Example
    -------
    >>> layer = lambda x: torch.relu(x[:, :1] + 2 * x[:, 1:])
    >>> found = expand_layer(layer, torch.tensor([[1.0, 1.0]]), torch.tensor([0.0, 0.0]))
    >>> found.terms, found.at_root, found.pass_on(torch.tensor([[6.0]]))
    (tensor([[[1., 2.]]]), tensor([[0.]]), tensor([[2., 4.]]))
    """
    prepare(layer, inputs, differentiable=True)
    x = inputs.detach()
    with torch.no_grad():
        value = layer(x.clone())
    if x.ndim != 2 or value.ndim != 2:
        raise ValueError(f"a layer takes and returns rows, got {tuple(x.shape)} and {tuple(value.shape)}")
    shape = (*value.shape, x.shape[1])
    try:
        b = roots.to(x).broadcast_to(shape)
    except RuntimeError:
        raise ValueError(f"roots of shape {tuple(roots.shape)} cannot be broadcast to (batch, neurons, inputs), {shape}") from None
    step = x.unsqueeze(1) - b
    neuron = torch.arange(shape[1], device=x.device).repeat(shape[0])
    query, rows, _ = prepare(layer, (b + inside * step).reshape(-1, shape[2]), neuron, differentiable=True)
    terms = query.gradients(rows, query.everywhere()).reshape(shape) * step
    at_root = query.values(b.reshape(-1, shape[2]).clone(), query.everywhere()).reshape(value.shape)
    return LayerExpansion(b, terms, value, at_root, value - at_root - terms.sum(dim=2))


def layerwise_expansion(
    layers: Sequence[Model], inputs: Tensor, target: int | Tensor, *, points: Callable[[int, Tensor], Tensor], inside: float = INSIDE
) -> DeepTaylor:
    r"""The recursion: every layer expanded around points of its own, and relevance handed down through the linear terms.

    f_j(x) = f_j(b) + sum_i df_j(b)/dx_i (x_i - b_i) + ε1,      a_i = sum_j a_{i→j}, scaled to the relevance of j        (survey Eq. 18)

    Parameters
    ----------
    layers : sequence of callables
        The network, first layer first, each as for `expand_layer`.
    inputs : Tensor, shape (batch, inputs)
        x, what enters the network.
    target : int or LongTensor of shape (batch,)
        Which output is explained; it starts with its own value as relevance.
    points : callable
        `points(l, values)` gives the points of the neurons of layer l for what enters it, as for `expand_layer`: the rule that tells the
        methods apart.
    inside : float
        As for `expand_layer`.

    Returns
    -------
    DeepTaylor

    Raises
    ------
    TypeError, ValueError
        As for `expand_layer`.

    References
    ----------
    Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition, 2017.

    Example
    -------
    >>> layers = [lambda x: torch.relu(x * torch.tensor([1.0, -1.0])), lambda h: h.sum(dim=1, keepdim=True)]
    >>> layerwise_expansion(layers, torch.tensor([[2.0, 3.0]]), 0, points=lambda l, values: torch.zeros(2)).attributions
    tensor([[2., 0.]])
    """
    value, expansions = inputs, []
    for number, layer in enumerate(layers):
        expansions.append(expand_layer(layer, value, points(number, value), inside=inside))
        value = expansions[-1].value
    rows = torch.arange(value.shape[0], device=value.device)
    start = torch.zeros_like(value)
    start[rows, target] = value[rows, target]
    relevance = [start]
    for expansion in reversed(expansions):
        relevance.insert(0, expansion.pass_on(relevance[0]))
    return DeepTaylor(relevance[0], tuple(expansions), tuple(relevance[1:]))


def neuron_terms(weights: Sequence[Fraction], x: Sequence[Fraction], root: Sequence[Fraction]) -> list[Fraction]:
    """Terms of the expansion of one neuron max(0, w x + s), in its active part, about a root; exact.

    >>> neuron_terms([Fraction(2)], [Fraction(3)], [Fraction(1)])
    [Fraction(4, 1)]
    """
    return [w * (a - b) for w, a, b in zip(weights, x, root, strict=True)]


def root_for(weights: Sequence[Fraction], x: Sequence[Fraction], wished: Sequence[Fraction]) -> list[Fraction]:
    """The point about which one neuron's terms are the wished ones, b_i = x_i - r_i / w_i; exact. A root if these add up to the output.

    >>> root_for([Fraction(2), Fraction(1)], [Fraction(1), Fraction(1)], [Fraction(-7), Fraction(10)])
    [Fraction(9, 2), Fraction(-9, 1)]
    """
    return [v - r / weight for weight, v, r in zip(weights, x, wished, strict=True)]
