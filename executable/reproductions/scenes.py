"""Pictures with a known box: a digit at a random place of a larger canvas with texture, noise and a distractor, and networks that name it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.testbeds.digits import load_digits_split, one_thread

SIDE, DIGIT, SHAPE = 16, 8, 4
INK = 0.2
"""Grey value from which a pixel belongs to the digit."""
SEED = 510
COUNT, TEST = 6000, 500
EPOCHS, BATCH, RATE = 10, 64, 5e-3
SHAPES = (
    ((1, 1, 1, 1), (1, 0, 0, 1), (1, 0, 0, 1), (1, 1, 1, 1)),
    ((0, 1, 1, 0), (1, 1, 1, 1), (1, 1, 1, 1), (0, 1, 1, 0)),
    ((1, 0, 0, 1), (0, 1, 1, 0), (0, 1, 1, 0), (1, 0, 0, 1)),
    ((1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 0, 1)),
    ((1, 1, 1, 1), (0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 0, 0)),
)
"""Distractors of 4 x 4 pixels, drawn without regard to the digit: ring, disc, cross, chequers, stripes."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """Composed pictures, float32 in [0, 1]."""

    images: Tensor
    """Shape (count, 1, 16, 16)."""
    labels: Tensor
    boxes: Tensor
    """True in the smallest rectangle around the digit's ink, in the shape of the images."""
    shapes: Tensor
    """True in the distractor's square, in the shape of the images."""

    def __getitem__(self, chosen: Tensor) -> Scenes:
        return Scenes(self.images[chosen], self.labels[chosen], self.boxes[chosen], self.shapes[chosen])


@dataclass(frozen=True, eq=False)
class TrainedScenes:
    """A network that names the digit, with its scenes."""

    name: str
    model: nn.Sequential
    maps: str
    """The layer of the last feature maps."""
    accuracy: float
    train: Scenes
    test: Scenes

    def explained(self, count: int) -> Scenes:
        """The first `count` test scenes that are read rightly."""
        with torch.no_grad():
            right = self.model(self.test.images).argmax(dim=1) == self.test.labels
        return self.test[right.nonzero().flatten()[:count]]


def compose(digits: Tensor, labels: Tensor, count: int, seed: int) -> Scenes:
    """Put digits, drawn with repetition, on canvases of 16 x 16 pixels.

    A canvas is a faint grating of random direction and wave length plus noise. The digit and the distractor lie at random places where they
    do not touch, and where one of them has ink the canvas is covered by the larger value.

    Parameters
    ----------
    digits : Tensor of shape (pool, 1, 8, 8)
        The digits to draw from.
    labels : Tensor of shape (pool,)
        Their classes.
    count, seed : int
        How many scenes, and what they are drawn with.
    """
    generator = torch.Generator().manual_seed(seed)
    pick = torch.randint(len(digits), (count,), generator=generator)
    images = _grating(count, generator) + 0.06 * torch.randn(count, SIDE, SIDE, generator=generator)
    boxes = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    shapes = torch.zeros_like(boxes)
    kinds = torch.randint(len(SHAPES), (count,), generator=generator).tolist()
    for k in range(count):
        digit = digits[pick[k], 0]
        (top, left), (row, column) = _places(generator)
        images[k, top : top + DIGIT, left : left + DIGIT] = torch.maximum(images[k, top : top + DIGIT, left : left + DIGIT], digit)
        square = torch.tensor(SHAPES[kinds[k]], dtype=images.dtype)
        images[k, row : row + SHAPE, column : column + SHAPE] = torch.maximum(images[k, row : row + SHAPE, column : column + SHAPE], square)
        shapes[k, row : row + SHAPE, column : column + SHAPE] = True
        rows, columns = ((digit > INK).any(dim=axis).nonzero().flatten() for axis in (1, 0))
        boxes[k, top + int(rows[0]) : top + int(rows[-1]) + 1, left + int(columns[0]) : left + int(columns[-1]) + 1] = True
    return Scenes(images.clamp(0, 1).unsqueeze(1), labels[pick], boxes.unsqueeze(1), shapes.unsqueeze(1))


def _grating(count: int, generator: torch.Generator) -> Tensor:
    """Waves between 0 and 0.3."""
    angle, length, phase = torch.rand(3, count, 1, 1, generator=generator)
    place = torch.arange(SIDE, dtype=torch.float32)
    along = place.reshape(1, -1, 1) * (torch.pi * angle).cos() + place.reshape(1, 1, -1) * (torch.pi * angle).sin()
    waves: Tensor = 0.15 + 0.15 * (2 * torch.pi * (along / (3 + 5 * length) + phase)).sin()
    return waves


def _places(generator: torch.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Upper left corners of the digit and of the distractor, whose squares do not overlap."""
    while True:
        top, left = torch.randint(SIDE - DIGIT + 1, (2,), generator=generator).tolist()
        row, column = torch.randint(SIDE - SHAPE + 1, (2,), generator=generator).tolist()
        if row + SHAPE <= top or row >= top + DIGIT or column + SHAPE <= left or column >= left + DIGIT:
            return (top, left), (row, column)


@functools.cache
def scenes(count: int = COUNT) -> tuple[Scenes, Scenes]:
    """Scenes to train on, made of the training digits, and scenes to test on, made of the test digits."""
    data = load_digits_split()
    return compose(data.train_images, data.train_labels, count, SEED), compose(data.test_images, data.test_labels, TEST, SEED + 1)


def pooling_network() -> nn.Sequential:
    """Three convolutions of 3 x 3 pixels with ReLU, each with maxima after it (2 x 2, 2 x 2, all that is left), one linear layer; ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


def averaging_network() -> nn.Sequential:
    """Two convolutions of 5 x 5 pixels and one of 3 x 3 with ReLU, means of 2 x 2 after the first two, maxima at the end; ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(12, 24, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], str]] = {"pooling": (pooling_network, "7"), "averaging": (averaging_network, "7")}
"""The architecture and the layer of its last feature maps, by name."""


@functools.cache
def trained_on_scenes(name: str = "pooling", epochs: int = EPOCHS, count: int = COUNT) -> TrainedScenes:
    """Train a network to name the digits of the scenes (seconds; the same every time on one machine; once per process)."""
    train, test = scenes(count)
    build, maps = NETWORKS[name]
    with one_thread(SEED), torch.enable_grad():
        model = build()
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
        for epoch in range(epochs):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 - epoch / epochs)
            order = torch.randperm(len(train.labels))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(train.images[chosen]), train.labels[chosen]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    model.eval().requires_grad_(False)
    with torch.no_grad():
        accuracy = (model(test.images).argmax(dim=1) == test.labels).double().mean().item()
    return TrainedScenes(name, model, maps, accuracy, train, test)


def untrained(name: str, seed: int) -> nn.Sequential:
    """The same architecture with the weights it starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name][0]().eval().requires_grad_(False)
