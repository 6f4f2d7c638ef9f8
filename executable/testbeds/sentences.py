"""Short film reviews from a grammar with negation and degree, and two networks that tell whether they are negative, neutral or positive."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.testbeds.digits import one_thread

SEED = 3
LENGTH = 8
WIDTH = 12
BLANK = "·"
"""The word that fills what a sentence leaves free; its vector is zero, so that leaving a word blank is the baseline zero."""
CLASSES = ("negative", "neutral", "positive")
COUNT, TEST = 4000, 400
EPOCHS, BATCH, RATE = 12, 64, 4e-3
DROPPED = 0.1
"""Share of the words left blank in training, so that the networks know sentences with gaps."""

SUBJECTS = ("the film", "this story", "the plot", "the cast", "the music", "the ending")
VALUES = {
    "great": 2.0, "moving": 2.0, "good": 1.0, "funny": 1.0, "clever": 1.0, "dull": -1.0, "slow": -1.0, "weak": -1.0, "bad": -2.0, "awful": -2.0,
    "long": 0.0, "new": 0.0,
}  # fmt: skip
DEGREES = {"very": 2.0, "really": 2.0, "rather": 1.0, "hardly": -0.5}
NEGATIONS = ("not", "never")


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences as word numbers, shape (count, 8), with the numbers of their classes."""

    words: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class TrainedSentences:
    """A network on word vectors, the vectors, its accuracy on new sentences, and the sentences."""

    model: nn.Module
    """Word vectors of shape (batch, 12, 8) to three logits."""
    vectors: Tensor
    """One row for each word of `vocabulary()`, the first of them zero."""
    accuracy: float
    train: Sentences
    test: Sentences

    def embed(self, words: Tensor) -> Tensor:
        """Vectors of the words side by side, shape (count, 12, 8)."""
        return self.vectors[words].transpose(1, 2)


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """Every word, the blank first."""
    parts = sorted({word for subject in SUBJECTS for word in subject.split()} | {"is", "was", "but", "and", *VALUES, *DEGREES, *NEGATIONS})
    return (BLANK, *parts)


def meaning(words: str) -> float:
    """What the grammar takes a sentence to say: the sum over its adjectives, each times the negations and degrees before it.

    A negation turns the sign and halves; the second half after "but" counts double.

    >>> meaning("the film was not very good"), meaning("slow but moving")
    (-1.0, 3.0)
    """
    total, factor, weight = 0.0, 1.0, 1.0
    for word in words.split():
        if word in NEGATIONS:
            factor *= -0.5
        elif word in DEGREES:
            factor *= DEGREES[word]
        elif word in VALUES:
            total += weight * factor * VALUES[word]
            factor = 1.0
        elif word == "but":
            weight = 2.0
    return total


def label(words: str) -> int:
    """The number of the class: 0 below -0.4, 2 above 0.4, else 1."""
    value = meaning(words)
    return 1 + int(value > 0.4) - int(value < -0.4)


def encode(words: str) -> Tensor:
    """Word numbers of a sentence, filled with blanks to eight.

    Raises
    ------
    ValueError
        If a word is unknown or there are more than eight.
    """
    known = vocabulary()
    given = words.split()
    if len(given) > LENGTH or not set(given) <= set(known):
        raise ValueError(f"not a sentence of at most {LENGTH} known words: {words!r}")
    return torch.tensor([known.index(word) for word in given] + [0] * (LENGTH - len(given)))


def sentences(count: int, generator: torch.Generator) -> Sentences:
    """Sentences drawn from the grammar, the classes as they fall."""
    drawn = [_sentence(generator) for _ in range(count)]
    return Sentences(torch.stack([encode(words) for words in drawn]), torch.tensor([label(words) for words in drawn]))


def _sentence(generator: torch.Generator) -> str:
    """Subject, verb, one or two judgements: "the film was not very good", "this story is slow but moving"."""

    def pick(options: tuple[str, ...]) -> str:
        return options[int(torch.randint(len(options), (1,), generator=generator))]

    def judgement(longest: int) -> str:
        words = [pick(tuple(VALUES))]
        if longest > 1 and torch.rand(1, generator=generator) < 0.5:
            words.insert(0, pick(tuple(DEGREES)))
        if len(words) < longest and torch.rand(1, generator=generator) < 0.4:
            words.insert(0, pick(NEGATIONS))
        return " ".join(words)

    start = f"{pick(SUBJECTS)} {pick(('is', 'was'))}"
    if torch.rand(1, generator=generator) < 0.5:
        return f"{start} {judgement(3)}"
    return f"{start} {judgement(2)} {pick(('but', 'and'))} {judgement(2)}"


def word_convolution() -> nn.Sequential:
    """Two convolutions of three words with ReLU, the mean of each of 24 maps over the places, one linear layer; three logits."""
    return nn.Sequential(
        nn.Conv1d(WIDTH, 24, 3, padding=1), nn.ReLU(), nn.Conv1d(24, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(24, len(CLASSES)),
    )  # fmt: skip


class WordTransformer(nn.Module):
    """Word vectors of shape (batch, 12, 8) to three logits, read off at a class token that stands before the words."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(WIDTH, 24)
        self.class_token = nn.Parameter(torch.randn(1, 1, 24) * 0.1)
        self.places = nn.Parameter(torch.randn(1 + LENGTH, 24) * 0.1)
        layer = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(24, len(CLASSES))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits."""
        words = self.widen(vectors.transpose(1, 2))
        tokens = torch.cat([self.class_token.expand(len(vectors), -1, -1), words], dim=1)
        logits: Tensor = self.head(self.encoder(tokens + self.places)[:, 0])
        return logits


NETWORKS = {"convolution": word_convolution, "transformer": WordTransformer}


@functools.cache
def trained_sentences(name: str = "transformer") -> TrainedSentences:
    """Train a network and its word vectors (seconds; the same every time on one machine).

    Raises
    ------
    KeyError
        If there is no network of that name.
    """
    generator = torch.Generator().manual_seed(SEED)
    train, test = sentences(COUNT, generator), sentences(TEST, generator)
    with one_thread(SEED), torch.enable_grad():
        embedding = nn.Embedding(len(vocabulary()), WIDTH, padding_idx=0)
        model = NETWORKS[name]()
        optimiser = torch.optim.Adam([*embedding.parameters(), *model.parameters()], lr=RATE)
        for epoch in range(EPOCHS):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 - epoch / EPOCHS)
            order = torch.randperm(len(train.labels))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                kept = train.words[chosen] * (torch.rand(len(chosen), LENGTH) >= DROPPED)
                optimiser.zero_grad()
                logits = model(embedding(kept).transpose(1, 2))
                nn.functional.cross_entropy(logits, train.labels[chosen]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    model.eval().requires_grad_(False)
    vectors = embedding.weight.detach().clone()
    with torch.no_grad():
        accuracy = (model(vectors[test.words].transpose(1, 2)).argmax(dim=1) == test.labels).double().mean().item()
    return TrainedSentences(model, vectors, accuracy, train, test)
