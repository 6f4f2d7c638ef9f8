"""What the gallery explains, a method's call for it, and the sums that some methods promise."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from executable.testbeds.digits import Digits

Grain = Literal["entries", "slopes", "windows", "masks", "units", "patches", "blocks", "few"]
"""To what a method gives a number: entries of the input, which add up to a word's number; slopes, of which a word takes the length; windows and
masks, which are finer than players in an image; or players, whose number every entry repeats."""


class Remembered(nn.Module):
    """A network that keeps its answers by the bytes of the batch: four methods ask all sets of patches of the same images in the same batches."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.answers: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """The network's answer, computed at most once for equal batches."""
        if x.requires_grad or torch.is_grad_enabled():
            return self.model(x)  # type: ignore[no-any-return]
        key = hashlib.blake2b(x.contiguous().numpy().data, digest_size=16).digest() + repr(tuple(x.shape)).encode()
        if key not in self.answers:
            self.answers[key] = self.model(x)
        return self.answers[key].clone()


@dataclass(frozen=True, eq=False)
class Scene:
    """Inputs with the class explained of each, the network that answers, and the data.

    Inputs are images of shape (count, 1, side, side), or sentences as word vectors of shape (count, width, words); an image may occur several
    times, with another class each time. The same calls serve both: what is a patch of pixels there is a word here.
    """

    model: nn.Module
    images: Tensor
    targets: Tensor
    data: Digits
    words: Mapping[str, str] = field(default_factory=dict)
    """How to call things: `zero` the baseline, `inputs` what is explained, `units`, `patches`, `blocks` and `few` the players, and the layers."""
    layers: Mapping[str, str] = field(default_factory=dict)
    """Layers of the network: `maps` the last feature maps, `raw` the same before ReLU, `first` the first one's output."""
    few: Literal["patches", "blocks"] = "patches"
    """Players where a method asks all their sets: 16 patches, or 8 blocks where the network is too slow for 65,536 sets."""

    @property
    def is_text(self) -> bool:
        """Whether the inputs are sentences."""
        return self.images.ndim == 3

    @property
    def call(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The arguments that every method takes."""
        return self.model, self.images, self.targets

    @property
    def train(self) -> Tensor:
        """The inputs that the network was trained on."""
        return self.data.train_images

    @property
    def sure(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The arguments with class probabilities in place of logits."""
        return nn.Sequential(self.model, nn.Softmax(dim=1)).eval(), self.images, self.targets

    @property
    def exact(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The arguments with a model that remembers its answers, for methods that ask all sets of players: what one has asked, the next is told."""
        return self.remembered, self.images, self.targets

    @functools.cached_property
    def remembered(self) -> nn.Module:
        """The network, which answers a batch that it has seen with what it said then."""
        return Remembered(self.model).eval()

    @property
    def background(self) -> Tensor:
        """The first hundred training inputs."""
        return self.train[:100]

    @property
    def classes(self) -> int:
        """How many logits the network has."""
        with torch.no_grad():
            return int(self.model(self.images[:1]).shape[1])

    def first_of(self, labels: tuple[int, ...]) -> Tensor:
        """The first training input of each class."""
        return torch.stack([self.train[(self.data.train_labels == label).nonzero()[0, 0]] for label in labels])

    def shape(self, grain: Grain) -> tuple[int, int]:
        """Rows and columns of what a method gives numbers to."""
        if self.is_text:
            return 1, self.images.shape[2]
        side = self.images.shape[2]
        units = min(side, 8)
        grid = {"units": (units, units), "windows": (units, units), "patches": (4, 4), "blocks": (4, 2)}
        return grid.get(self.few if grain == "few" else grain, (side, side))

    def groups(self, grain: Grain) -> Tensor:
        """The player to which each entry of an input belongs, by number, in the shape of an image (rows, columns) or sentence (width, words)."""
        if self.is_text:
            return torch.arange(self.images.shape[2]).expand(self.images.shape[1:])
        rows, columns = self.shape(grain)
        side = self.images.shape[2]
        numbers = torch.arange(rows * columns).reshape(rows, columns)
        return numbers.repeat_interleave(side // rows, dim=0).repeat_interleave(side // columns, dim=1)

    @property
    def units(self) -> Tensor:
        """The smallest players: pixels, patches of 2 x 2 pixels of a large image, words."""
        return self.groups("units")

    @property
    def patches(self) -> Tensor:
        """16 squares of an image, or words."""
        return self.groups("patches")

    @property
    def blocks(self) -> Tensor:
        """8 blocks of an image, two for each quarter of its height, or words."""
        return self.groups("blocks")

    @property
    def all_sets(self) -> Tensor:
        """Players few enough for all their sets."""
        return self.groups("few")

    def one_at_a_time(self, t: Tensor, x: Tensor, b: Tensor) -> Tensor:
        """The path on which the rows of an image appear one after another from the top, or the words of a sentence as they are read."""
        steps = x.shape[-1] if self.is_text else x.shape[-2]
        number = torch.arange(steps, dtype=x.dtype, device=x.device)
        return b + (steps * t - (number if self.is_text else number.reshape(-1, 1))).clamp(0, 1) * (x - b)

    def grid(self, values: Tensor, grain: Grain) -> Tensor:
        """One number for each player, shape (count, rows, columns), of attributions that repeat a player's number on its entries.

        Coordinates of a word add up, and the length of the vector takes the place of the sum where the numbers are slopes.
        """
        rows, columns = self.shape("patches" if values.ndim == 2 else grain)
        if values.ndim == 2:
            return values.reshape(-1, rows, columns)
        if not self.is_text:
            return values[:, 0, :: values.shape[2] // rows, :: values.shape[3] // columns]
        if grain == "slopes":
            lengths: Tensor = torch.linalg.vector_norm(values, dim=1, keepdim=True)
            return lengths
        return values.sum(dim=1, keepdim=True) if grain == "entries" else values[:, :1]


@dataclass(frozen=True, eq=False)
class Shown:
    """A method of the gallery."""

    method: str
    """Id of the record."""
    settings: str
    """In words; what stands in braces is filled in with `Scene.words`."""
    attributions: Callable[[Scene], Tensor]
    """The attributions in the shape of the inputs, or with one number for each patch or word."""
    complete: Callable[[Scene], Tensor] | None = None
    """What the attributions of each input are to add up to; None where the method does not say."""
    compared: str = "output change from {zero}"
    """That sum in words."""
    grain: Grain = "entries"


@torch.no_grad()
def output(scene: Scene) -> Tensor:
    """f(x)."""
    return scene.model(scene.images).gather(1, scene.targets.unsqueeze(1)).squeeze(1)  # type: ignore[no-any-return]


@torch.no_grad()
def change(scene: Scene) -> Tensor:
    """f(x) - f(0)."""
    return output(scene) - scene.model(torch.zeros_like(scene.images[:1]))[0, scene.targets]  # type: ignore[no-any-return]


@torch.no_grad()
def above_mean(scene: Scene) -> Tensor:
    """f(x) less the mean output over the background."""
    return output(scene) - scene.model(scene.background).mean(dim=0)[scene.targets]  # type: ignore[no-any-return]


@torch.no_grad()
def loss_saved(scene: Scene) -> Tensor:
    """Cross-entropy of the baseline less that of the input."""
    empty, full = (scene.model(images).log_softmax(dim=1) for images in (torch.zeros_like(scene.images), scene.images))
    return (full - empty).gather(1, scene.targets.unsqueeze(1)).squeeze(1)  # type: ignore[no-any-return]
