"""The testbeds on which functions are audited and compared: small models in double precision with inputs and baselines."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.checks.axiom_domains import Written
from executable.coalitions import membership
from executable.testbeds.games import GameModel, random_game
from executable.testbeds.mlps import lively_draws
from executable.testbeds.transformers import LENGTH, VOCABULARY, TokenTransformer

LINEAR, MULTILINEAR, POLYNOMIALS, SMOOTH = "linear functions", "multilinear functions", "polynomials", "smooth networks"
RELU, RELU_FREE, POSITIVE = "ReLU networks", "ReLU networks without biases", "ReLU networks at positive inputs"
GAMES, IMAGES, BRIGHT, TOKENS, BACKGROUND = "games", "convolutional networks", "positive images", "tokens", "several baselines"
DOMAINS = (LINEAR, MULTILINEAR, POLYNOMIALS, SMOOTH, RELU, RELU_FREE, POSITIVE, GAMES, IMAGES, BRIGHT, TOKENS, BACKGROUND)


@dataclass(frozen=True, eq=False)
class Setting:
    """One call: a model, a batch of inputs, the explained output, and a baseline or none."""

    domain: str
    model: nn.Module
    x: Tensor
    target: int | None = None
    baselines: Tensor | None = None


class Formula(nn.Module):
    """A polynomial as a module."""

    def __init__(self, terms: dict[tuple[int, ...], float]) -> None:
        super().__init__()
        self.written = Written(terms)

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        return self.written(x)


class Multilinear(nn.Module):
    """sum_S v(S) prod_{i in S} z_i prod_{i not in S} (1 - z_i) with z = (x - b) / (step): the multilinear function with a given game."""

    table: Tensor
    b: Tensor
    step: Tensor

    def __init__(self, table: Tensor, b: Tensor, step: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.register_buffer("b", b)
        self.register_buffer("step", step)

    def forward(self, x: Tensor) -> Tensor:
        """Value at each row."""
        z = ((x - self.b) / self.step).unsqueeze(1)
        inside = membership(torch.arange(len(self.table)), x.shape[1])
        return torch.where(inside, z, 1 - z).prod(dim=2) @ self.table


def draws(seed: int, *shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_polynomial(seed: int, *, features: int = 3, degree: int = 3, terms: int = 7) -> Formula:
    """Random monomials with normal coefficients."""
    generator = torch.Generator().manual_seed(seed)
    powers = torch.randint(0, degree + 1, (3 * terms, features), generator=generator).tolist()
    chosen = list(dict.fromkeys(tuple(row) for row in powers if 0 < sum(row) <= degree + 1))[:terms]
    return Formula(dict(zip(chosen, torch.randn(len(chosen), generator=generator, dtype=torch.float64).tolist(), strict=True)))


def random_multilinear(seed: int, *, features: int = 3) -> Formula:
    """Random normal coefficients for the products of different features."""
    generator = torch.Generator().manual_seed(seed)
    terms = membership(torch.arange(1, 2**features), features).int().tolist()
    return Formula({tuple(row): float(c) for row, c in zip(terms, torch.randn(len(terms), generator=generator, dtype=torch.float64), strict=True)})


def network(activation: str, seed: int, *, bias: bool, features: int = 4) -> tuple[nn.Sequential, Tensor]:
    """A lively network with two hidden layers and two outputs, and two inputs."""
    ((model, x, _),) = lively_draws(1, activation, bias=bias, seed=seed, sizes=(features, 7, 6, 2), batch=2)
    return model, x


def convolutional(seed: int) -> nn.Sequential:
    """Two convolutions with ReLU, max-pooling between them, global average pooling and one linear layer; the feature maps are module `4`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).double().eval()


def _on_both(domain: str, model: nn.Module, x: Tensor, seed: int, target: int | None = None) -> list[Setting]:
    return [Setting(domain, model, x, target), Setting(domain, model, x, target, 0.5 * draws(40 + seed, 1, *x.shape[1:]))]


@functools.cache
def battery() -> tuple[Setting, ...]:
    """Every setting; those of one testbed stand together."""
    found: list[Setting] = []
    for seed in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found += _on_both(LINEAR, nn.Linear(4, 2, dtype=torch.float64).eval(), draws(seed, 2, 4), seed, 1)
    for seed in range(2):
        found += _on_both(MULTILINEAR, random_multilinear(seed).eval(), draws(10 + seed, 2, 3), seed)
    for seed in range(2):
        found += _on_both(POLYNOMIALS, random_polynomial(seed).eval(), draws(20 + seed, 2, 3), seed)
    for domain, activation, bias in ((SMOOTH, "tanh", True), (RELU, "relu", True), (RELU_FREE, "relu", False)):
        for seed in range(3):
            model, x = network(activation, seed, bias=bias)
            found += _on_both(domain, model, x, seed, 1)
    for seed in range(2):
        model, x = network("relu", 5 + seed, bias=True)
        x = x.abs()
        found.append(Setting(POSITIVE, model, x, int(model(x[:1])[0].argmax())))
    table = random_game(4, torch.Generator().manual_seed(1))
    found.append(Setting(GAMES, GameModel(table).eval(), torch.ones(1, 4, dtype=torch.float64)))
    for domain, images in ((IMAGES, draws(30, 2, 1, 6, 6)), (BRIGHT, draws(31, 2, 1, 6, 6).abs())):
        model = convolutional(4)
        target = int(model(images).mean(dim=0).argmax())
        found.append(Setting(domain, model, images, target))
        found.append(Setting(domain, model, images, target, 0.2 * draws(33, 1, 1, 6, 6).abs()))
    found.append(_tokens())
    for activation in ("relu", "tanh"):
        model, x = network(activation, 8, bias=True)
        found.append(Setting(BACKGROUND, model, x[:1], 1, 0.5 * draws(50, 3, 4)))
    return tuple(found)


def _tokens() -> Setting:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = TokenTransformer().double().eval()
    tokens = torch.randint(1, VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(3))
    tokens[:, 0] = 0
    return Setting(TOKENS, model, tokens, 1)
