"""A small convolutional network trained on the handwritten digits that ship with scikit-learn (8 x 8 pixels, real data)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SEED = 0
EPOCHS = 20
BATCH = 64


@dataclass(frozen=True, eq=False)
class Digits:
    """Images in [0, 1], shape (count, 1, 8, 8), with their labels, split in a fixed way."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@dataclass(frozen=True, eq=False)
class TrainedDigits:
    """The network, its accuracy on the test images, and the data."""

    model: nn.Module
    accuracy: float
    data: Digits


def load_digits_split(test: int = 360) -> Digits:
    """The 1797 digits, shuffled with a fixed seed; the last `test` of them are for testing."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).float().unsqueeze(1) / 16
    labels = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    train, held_out = order[:-test], order[-test:]
    return Digits(images[train], labels[train], images[held_out], labels[held_out])


def digits_network() -> nn.Sequential:
    """Two convolutions with ReLU and max-pooling, one linear layer; ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 10),
    )  # fmt: skip


@contextmanager
def one_thread(seed: int) -> Iterator[None]:
    """One thread and a fixed seed, so that sums are taken in one order; both are put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def trained_digits() -> TrainedDigits:
    """Train the network (a few seconds, the same every time on one machine)."""
    data = load_digits_split()
    with one_thread(SEED), torch.enable_grad():
        model = digits_network()
        _fit(model, data)
    model.eval().requires_grad_(False)
    with torch.no_grad():
        accuracy = (model(data.test_images).argmax(dim=1) == data.test_labels).double().mean().item()
    return TrainedDigits(model, accuracy, data)


def _fit(model: nn.Module, data: Digits) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        order = torch.randperm(len(data.train_labels))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            optimiser.zero_grad()
            loss(model(data.train_images[chosen]), data.train_labels[chosen]).backward()
            optimiser.step()
