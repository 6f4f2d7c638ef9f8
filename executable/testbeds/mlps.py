"""Random multilayer perceptrons in float64, with the draws that make a test powerless left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

DEAD = 1e-6
EDGE = 1e-3


class Absolute(nn.Module):
    """|z|: positively homogeneous, not monotone."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise |z|."""
        return x.abs()


class Square(nn.Module):
    """z**2: homogeneous of degree two."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise z**2."""
        return x.square()


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU, "abs": Absolute, "identity": nn.Identity, "tanh": nn.Tanh, "elu": nn.ELU,
    "softplus": nn.Softplus, "sigmoid": nn.Sigmoid,
}  # fmt: skip


def mlp(sizes: Sequence[int], activation: str, *, bias: bool, generator: torch.Generator) -> nn.Sequential:
    """Linear layers with normal weights (variance 2 / fan-in), the activation between them; biases, if any, of standard deviation 0.3."""
    layers: list[nn.Module] = []
    for width, following in itertools.pairwise(sizes):
        layer = nn.Linear(width, following, bias=bias, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(following, width, generator=generator, dtype=torch.float64) * math.sqrt(2 / width))
            if bias:
                layer.bias.copy_(0.3 * torch.randn(following, generator=generator, dtype=torch.float64))
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1]).eval()


def lively_draws(
    draws: int,
    activation: str,
    *,
    bias: bool,
    seed: int,
    sizes: Sequence[int] = (6, 10, 9, 7, 3),
    batch: int = 4,
) -> Iterator[tuple[nn.Sequential, Tensor, Tensor]]:
    """Networks with a batch of inputs and targets; nets with a vanishing gradient or a pre-activation at a kink are drawn again."""
    generator = torch.Generator().manual_seed(seed)
    found = 0
    while found < draws:
        model = mlp(sizes, activation, bias=bias, generator=generator)
        x = torch.randn(batch, sizes[0], generator=generator, dtype=torch.float64)
        target = torch.randint(sizes[-1], (batch,), generator=generator)
        if _lively(model, x, target):
            found += 1
            yield model, x, target


def _lively(model: nn.Sequential, x: Tensor, target: Tensor) -> bool:
    leaf = x.clone().requires_grad_()
    value: Tensor = leaf
    smallest = math.inf
    for layer in model:
        value = layer(value)
        if isinstance(layer, nn.Linear):
            smallest = min(smallest, float(value.detach().abs().min()))
    (gradient,) = torch.autograd.grad(value.gather(1, target.unsqueeze(1)).sum(), leaf)
    return smallest >= EDGE and float(gradient.norm(dim=1).min()) >= DEAD
