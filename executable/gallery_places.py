"""Where the gallery lets methods speak: networks, what they read, and why a method cannot run there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from executable.reproductions import models, scenes
from executable.testbeds import digits, pooled_digits, sentences
from executable.testbeds.digits import Digits
from executable.testbeds.transformers import trained_digits_transformer

Data = Literal["digits", "scenes", "sentences"]
SHOWN = (0, 2, 3, 5, 8, 9)
"""Classes of the digits shown, one image each."""
DIGITS = (34, 0, 18, 16, 24, 52)
"""Numbers of those images: of each class a test image that all networks of digits read with a margin of more than 1 between the logits. Training ends
elsewhere on a processor with other instructions; the margin keeps the class read, and so what is explained, the same there."""
SCENES = 4
OTHER = (1, 4)
"""The third class explained of an image: the first of these that is neither read nor the runner-up."""
SENTENCES = (
    "the film was very good",
    "the film was not very good",
    "the cast was never dull",
    "this story is slow but moving",
    "the music is good but very long",
    "the plot is hardly new",
)


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network and its data."""

    model: nn.Module
    accuracy: float
    data: Digits
    """Sentences as word vectors in place of images."""


@dataclass(frozen=True)
class Place:
    """A network that the gallery explains."""

    name: str
    data: Data
    description: str
    train: Callable[[], Network]
    absent: Mapping[str, str]
    """Why a method that has pictures elsewhere has none here, by method."""
    layers: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    few: Literal["patches", "blocks"] = "blocks"
    classes: int = 3
    """For how many classes each input is explained."""
    conserves: bool = True
    """Whether relevance that LRP hands down adds up to the output, but for biases; products of activations in attention lose or double it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Seed and epochs of the training."""


# -- networks --------------------------------------------------------------------------------------------------------------------------------


def _convolutional() -> Network:
    found = digits.trained_digits()
    return Network(found.model, found.accuracy, found.data)


def _pooled() -> Network:
    found = pooled_digits.trained_pooled_digits()
    return Network(found.model, found.accuracy, found.data)


def _transformer() -> Network:
    found = trained_digits_transformer()
    return Network(found.model, found.accuracy, found.data)


@functools.cache
def _softplus() -> Network:
    """In single precision, as the other networks."""
    found = models.trained("mlp", "softplus")
    model = models.mlp(8, "softplus").eval().requires_grad_(False)
    model.load_state_dict(found.model.state_dict())
    return Network(model, found.accuracy, digits.load_digits_split())


def _scenes() -> Network:
    found = scenes.trained_on_scenes()
    return Network(found.model, found.accuracy, Digits(found.train.images, found.train.labels, found.test.images, found.test.labels))


def _sentences(name: str) -> Network:
    found = sentences.trained_sentences(name)
    train, test = found.train, found.test
    return Network(found.model, found.accuracy, Digits(found.embed(train.words), train.labels, found.embed(test.words), test.labels))


# -- words -----------------------------------------------------------------------------------------------------------------------------------

SMALL = {
    "inputs": "images", "zero": "the empty image", "entries": "64 pixels", "units": "64 pixels", "patches": "16 patches of 2 x 2 pixels",
    "blocks": "8 blocks of 2 x 4 pixels", "wide": "3 x 3 pixels", "narrow": "2 x 2 pixels", "step": "place",
    "removed": "removed pixels become the empty image", "slopes": "", "most": "4", "read": "patches",
    "path": "the rows of the image appear one after another, from the top", "order": "row by row from the top, in all orders within a row",
    "causes": "from the top down", "masks": "2000 masks of a grid of 4 x 4 cells, a quarter of them visible",
    "taylor": "z-box rule for pixels from 0 to 1", "references": "a training image of each of the classes 1, 4, 6 and 7",
}  # fmt: skip
LARGE = SMALL | {
    "entries": "256 pixels", "units": "64 patches of 2 x 2 pixels", "patches": "16 patches of 4 x 4 pixels", "blocks": "8 blocks of 4 x 8 pixels",
    "wide": "6 x 6 pixels", "narrow": "4 x 4 pixels", "step": "second place",
}  # fmt: skip
SENTENCE = {
    "inputs": "sentences", "zero": "every word left blank", "entries": "96 coordinates", "units": "8 words", "patches": "8 words",
    "blocks": "8 words", "wide": "two words", "narrow": "one word", "step": "place", "removed": "removed words are left blank",
    "slopes": "; of each word the length of its vector, without a sign", "most": "2",
    "read": "words", "path": "the words appear one after another as they are read", "order": "as they are read",
    "causes": "in the order of reading", "masks": "all 256 sets of visible words", "references": "a training sentence of each class",
    "taylor": "w² rule",
}  # fmt: skip

# -- reasons ---------------------------------------------------------------------------------------------------------------------------------

NO_ATTENTION = dict.fromkeys(
    ("raw-attention", "bert-attention-analysis", "attention-rollout", "attention-flow", "gradient-weighted-attention", "self-attention-attribution",
     "vit-shapley"),
    "It reads attention, and the network has none.",
)  # fmt: skip
NO_MEAN = {"cam": "It needs the mean over places and one linear layer after the feature maps, and here maxima follow them."}
NO_RELU = dict.fromkeys(("deconv", "guided-backprop", "rect-gradient"), "It is defined for ReLU alone, and the network has none.")
NO_MAPS = dict.fromkeys(
    ("grad-cam", "hires-cam", "score-cam", "cam", "guided-feature-inversion"), "It needs feature maps, and the network has none."
) | {
    "attribution-equilibrium": "It starts at the last convolution, and the network has none.",
    "internal-neuron-attribution": "Its numbers belong to hidden neurons, which have no place in the input here.",
    "information-bottleneck": "It lets information through place by place, and the hidden layers have no places.",
}
WORDS_FIRST = dict.fromkeys(
    ("grad-cam", "hires-cam", "score-cam", "cam", "information-bottleneck"),
    "It reads layers that have the channels first and the places after them; these have the words first.",
) | {key: NO_MAPS[key] for key in ("attribution-equilibrium", "internal-neuron-attribution")}
NEGATIVE = dict.fromkeys(
    ("deep-taylor-decomposition", "excitation-backprop"), "Its rules ask for layers that receive no negative values; a layer norm hands them on."
)
NO_IMAGE = dict.fromkeys(
    ("guided-feature-inversion", "real-time-image-saliency"), "It makes a mask of rows and columns, and a sentence has none."
) | {
    "fine-grained-visual-explanations": "It keeps or removes each number by itself, and a single coordinate of a word means nothing.",
    "individual-causal-effect": "It sets a feature to one fixed value, and a word has none.",
}
NO_TRANSFORMER_MAPS = {"cam": "It needs the mean over places and one linear layer after the feature maps."}

PLACES: tuple[Place, ...] = (
    Place(
        "convolutional", "digits", "Two convolutions (8 and 16 channels, 3 x 3) with ReLU and 2 x 2 max-pooling, one linear layer, ten logits",
        _convolutional, NO_ATTENTION | NO_MEAN, {"maps": "4", "raw": "3", "first": "0"},
        SMALL | {"maps": "second convolution after ReLU, 4 x 4 places, enlarged linearly", "raw": "the second convolution",
                  "first": "the first convolution", "neurons": "second convolution after ReLU"},
        "patches", facts={"seed": digits.SEED, "epochs": digits.EPOCHS},
    ),
    Place(
        "pooled", "digits",
        "Three convolutions (16, 32, 32 channels, 3 x 3) with ReLU, one 2 x 2 max-pooling, mean over places, one linear layer, ten logits",
        _pooled, NO_ATTENTION, {"maps": "6", "raw": "5", "first": "0"},
        SMALL | {"maps": "third convolution after ReLU, 4 x 4 places, enlarged linearly", "raw": "the third convolution",
                  "first": "the first convolution", "neurons": "third convolution after ReLU"},
        classes=2, facts={"seed": digits.SEED, "epochs": pooled_digits.EPOCHS},
    ),
    Place(
        "softplus", "digits", "Three linear layers of width 32 with softplus between them, ten logits: smooth, without a kink", _softplus,
        NO_ATTENTION | NO_RELU | NO_MAPS, words=SMALL, facts={"seed": digits.SEED, "epochs": models.EPOCHS},
    ),
    Place(
        "transformer", "digits", "Two layers of a transformer, width 24, two heads, on patches of 2 x 2 pixels and a class token, ten logits",
        _transformer, NO_TRANSFORMER_MAPS | NEGATIVE, {"maps": "patches", "raw": "patches", "first": "patches"},
        SMALL | {"maps": "the patch embedding, 4 x 4 places, enlarged linearly", "raw": "the patch embedding", "first": "the patch embedding",
                 "neurons": "the patch embedding"},
        classes=2, conserves=False, facts={"seed": digits.SEED},
    ),
    Place(
        "composed", "scenes",
        "Three convolutions (12, 24, 48 channels, 3 x 3) with ReLU, each with max-pooling after it (2 x 2, 2 x 2, all that is left), ten logits",
        _scenes, NO_ATTENTION | NO_MEAN, {"maps": "7", "raw": "6", "first": "0"},
        LARGE | {"maps": "third convolution after ReLU, 4 x 4 places, enlarged linearly", "raw": "the third convolution",
                 "first": "the first convolution", "neurons": "third convolution after ReLU"},
        classes=2, facts={"seed": scenes.SEED, "epochs": scenes.EPOCHS},
    ),
    Place(
        "word-convolution", "sentences", "Two convolutions of three words (24 channels) with ReLU, mean over places, one linear layer, three logits",
        functools.partial(_sentences, "convolution"),
        NO_ATTENTION | NO_IMAGE | {"excitation-backprop": "Its rule asks for layers that receive no negative values; word vectors have them."},
        {"maps": "3", "first": "0"},
        SENTENCE | {"maps": "second convolution after ReLU, one place for each word", "neurons": "second convolution after ReLU",
                    "first": "the first convolution"},
        facts={"seed": sentences.SEED, "epochs": sentences.EPOCHS},
    ),
    Place(
        "word-transformer", "sentences", "Two layers of a transformer, width 24, two heads, on eight words and a class token, three logits",
        functools.partial(_sentences, "transformer"), NO_IMAGE | WORDS_FIRST | NEGATIVE, words=SENTENCE, conserves=False,
        facts={"seed": sentences.SEED, "epochs": sentences.EPOCHS},
    ),
)  # fmt: skip
"""Every network of the gallery, the first one that of the pages of methods."""
