"""Networks trained on the handwritten digits of scikit-learn in double precision, each in seconds and once per process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.testbeds.digits import BATCH, SEED, Digits, load_digits_split, one_thread
from executable.testbeds.mlps import ACTIVATIONS

CLASSES = 10
WIDTH = 32
EPOCHS = 60
RATES = {"sigmoid": 1e-2}
"""Learning rates of Adam where 5e-3 is too small for the number of epochs."""


class Quadratic(nn.Module):
    """Logits of second order, c_0 + sum_i c_i x_i + sum_ij c_ij x_i x_j, each class with its own coefficients: (batch, ...) to (batch, classes)."""

    def __init__(self, inputs: int, classes: int = CLASSES) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)
        self.products = nn.Linear(inputs * inputs, classes, bias=False)
        with torch.no_grad():
            self.products.weight.mul_(inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        flat = x.flatten(1)
        return self.linear(flat) + self.products((flat.unsqueeze(2) * flat.unsqueeze(1)).flatten(1))  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, in evaluation mode, whose parameters need no gradient."""

    name: str
    """In words, for tables."""
    model: nn.Module
    """(batch, 1, side, side) to (batch, 10) logits, float64."""
    accuracy: float
    """Share of the test images that are read rightly."""
    data: Digits
    """The images, float64, of the side that the network takes."""

    def explained(self, count: int) -> tuple[Tensor, Tensor]:
        """The first `count` test images that are read rightly, shape (count, 1, side, side), and their classes, which are the targets."""
        with torch.no_grad():
            right = self.model(self.data.test_images).argmax(dim=1) == self.data.test_labels
        return self.data.test_images[right][:count], self.data.test_labels[right][:count]


def mlp(side: int, activation: str, width: int = WIDTH) -> nn.Sequential:
    """Three linear layers with the activation between them; ten logits."""
    act = ACTIVATIONS[activation]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(side * side, width), act(), nn.Linear(width, width), act(), nn.Linear(width, CLASSES),
    )  # fmt: skip


def cnn(side: int, activation: str) -> nn.Sequential:
    """Two convolutions of stride one and two with the activation, one linear layer; ten logits."""
    act = ACTIVATIONS[activation]
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), act(), nn.Conv2d(8, 16, 3, stride=2, padding=1), act(), nn.Flatten(),
        nn.Linear(16 * (side // 2) ** 2, CLASSES),
    )  # fmt: skip


def polynomial(side: int, activation: str = "identity") -> nn.Sequential:
    """Logits that are polynomials of second order in the pixels; `activation` is not used."""
    return nn.Sequential(nn.Flatten(), Quadratic(side * side))


KINDS: dict[str, Callable[[int, str], nn.Sequential]] = {"mlp": mlp, "cnn": cnn, "polynomial": polynomial}


@functools.cache
def digits_of(side: int = 8) -> Digits:
    """The digits in double precision, 8 x 8 pixels, or 4 x 4 of which each is the mean of four.

    Raises
    ------
    ValueError
        For another side.
    """
    if side not in (4, 8):
        raise ValueError(f"the digits come with 8 or 4 pixels on a side, not {side}")
    data = load_digits_split()
    images = [data.train_images.double(), data.test_images.double()]
    train, test = images if side == 8 else [nn.functional.avg_pool2d(batch, 2) for batch in images]
    return Digits(train, data.train_labels, test, data.test_labels)


@functools.cache
def trained(kind: str, activation: str = "softplus", side: int = 8, seed: int = SEED) -> Trained:
    """Train a network on the digits (seconds; the same every time on one machine; cached per process).

    Parameters
    ----------
    kind : str
        "mlp" (three linear layers, width 32), "cnn" (two convolutions, one linear layer) or "polynomial" (second order).
    activation : str
        A key of `executable.testbeds.mlps.ACTIVATIONS`: "relu", "softplus", "sigmoid", "tanh", ...
    side : int
        8, or 4 for images of means over 2 x 2 pixels: sixteen features, few enough for all coalitions.
    seed : int
        Of initial weights and order of the training images.

    Raises
    ------
    KeyError, ValueError
        If there is no such kind, activation or side.
    """
    data = digits_of(side)
    with one_thread(seed), torch.enable_grad():
        model = KINDS[kind](side, activation).double()
        _fit(model, data, RATES.get(activation, 5e-3))
    model.eval().requires_grad_(False)
    with torch.no_grad():
        accuracy = (model(data.test_images).argmax(dim=1) == data.test_labels).double().mean().item()
    name = "polynomial" if kind == "polynomial" else f"{kind.upper()} {activation}"
    return Trained(name, model, accuracy, data)


def _fit(model: nn.Module, data: Digits, rate: float) -> None:
    """Adam with weight decay, cross-entropy, batches of 64."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=1e-5)
    for _ in range(EPOCHS):
        order = torch.randperm(len(data.train_labels))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(data.train_images[chosen]), data.train_labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
