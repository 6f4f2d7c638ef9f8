"""Insertion and deletion curves on digits: what the order of pixels by an attribution does to the class, and how much of it the baseline decides."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.methods import gradient_times_input as gi
from executable.methods import layerwise_backprop as lrp
from executable.methods import perturbation as pert
from executable.reproductions.base import (
    Chart,
    Reproduction,
    ResultTable,
    Series,
    breaks,
    curve,
    keeps,
    number,
    rank_correlation,
    reproduces,
    table,
    versions,
)
from executable.reproductions.pixel_methods import PIXEL_METHODS, Explained, applicable, edges, mean_and_error, noise
from executable.testbeds.digits import trained_digits
from taxonomy.evidence import Control, Measurement

SEED = 530
CELL = 2
MAPS, EARLY = "4", "0"
GAMES = ("deletion", "insertion")
BASELINES = {"empty": "the empty image", "mean": "the mean training image"}
NO_NETWORK = {"input-magnitude": "the picture's grey values", "edges": "edge detector (Sobel)"}
RANDOM, REVERSED, GREEDY = "random order", "reversed order", "greedy order"
CHARTED = (
    "gradient", "guided-backprop", "smoothgrad", "grad-times-input", "integrated-gradients", "expected-gradients", "lrp-alpha1-beta0",
    "deeplift-rescale", "occlusion-1", "shapley-sampling", "rise", "lime", "extremal-perturbation",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images: int = 60
    random_orders: int = 20
    methods: Collection[str] = tuple(PIXEL_METHODS)


def pixel_order(scores: Tensor, seed: int) -> Tensor:
    """Pixels from the largest score to the smallest, equal ones in random order; shape (count, pixels)."""
    flat = scores.detach().flatten(1)
    shuffled = torch.rand(flat.shape, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    return shuffled.gather(1, flat.gather(1, shuffled).argsort(dim=1, descending=True, stable=True))


@torch.no_grad()
def game_curve(model: nn.Module, images: Tensor, targets: Tensor, order: Tensor, baseline: Tensor, game: str) -> Tensor:
    """Probability of the class as pixels are taken away in the given order, or put back on the baseline.

    Parameters
    ----------
    model : Module
        (batch, 1, side, side) to (batch, classes) logits.
    images : Tensor of shape (count, 1, side, side)
        What is explained.
    targets : Tensor of shape (count,)
        The classes.
    order : Tensor of shape (count, pixels)
        Places of the pixels, from the first to be moved to the last.
    baseline : Tensor of shape (1, 1, side, side)
        What stands where a pixel is missing.
    game : {"deletion", "insertion"}
        Whether pixels leave the picture or enter the baseline.

    Returns
    -------
    Tensor of shape (count, pixels + 1)
        With 0, 1, ... pixels moved.

    Raises
    ------
    ValueError
        If there is no such game.
    """
    if game not in GAMES:
        raise ValueError(f"the game is 'deletion' or 'insertion', not {game!r}")
    count, pixels = order.shape
    place = torch.empty_like(order).scatter_(1, order, torch.arange(pixels).expand(order.shape))
    moved = (place.unsqueeze(1) < torch.arange(pixels + 1).reshape(1, -1, 1)).reshape(count, pixels + 1, *images.shape[1:])
    here, there = (images.unsqueeze(1), baseline.unsqueeze(1)) if game == "deletion" else (baseline.unsqueeze(1), images.unsqueeze(1))
    shown = torch.where(moved, there, here).flatten(0, 1)
    sure: Tensor = model(shown).softmax(dim=1).reshape(count, pixels + 1, -1)
    return sure.gather(2, targets.reshape(-1, 1, 1).expand(-1, pixels + 1, 1)).squeeze(2)


def area(curves: Tensor) -> Tensor:
    """Area below each curve, the share of moved pixels running from 0 to 1; shape (count,)."""
    return torch.trapezoid(curves.double(), dx=1 / (curves.shape[1] - 1), dim=1)


@torch.no_grad()
def greedy_order(model: nn.Module, images: Tensor, targets: Tensor, baseline: Tensor, game: str) -> Tensor:
    """At each step move the pixel that changes the probability most: an order that looks at the score and at no attribution.

    Parameters and shapes are those of `game_curve`.
    """
    count, pixels = len(images), images[0].numel()
    moved = torch.zeros(count, pixels, dtype=torch.bool)
    sign = -1.0 if game == "deletion" else 1.0
    here, there = (images, baseline) if game == "deletion" else (baseline, images)
    found = []
    for _ in range(pixels):
        tried = (moved.unsqueeze(1) | torch.eye(pixels, dtype=torch.bool)).reshape(count, pixels, *images.shape[1:])
        sure = model(torch.where(tried, there.unsqueeze(1), here.unsqueeze(1)).flatten(0, 1)).log_softmax(dim=1).reshape(count, pixels, -1)
        gained = sign * sure.gather(2, targets.reshape(-1, 1, 1).expand(-1, pixels, 1)).squeeze(2)
        best = gained.masked_fill(moved, -torch.inf).argmax(dim=1)
        moved[torch.arange(count), best] = True
        found.append(best)
    return torch.stack(found, dim=1)


MATCHED: dict[str, Callable[[Explained, Tensor], Tensor]] = {
    "grad-times-input": lambda e, b: gi.grad_times_input(*e.call, baselines=b),
    "integrated-gradients": lambda e, b: gi.integrated_gradients(*e.call, baselines=b),
    "deeplift-rescale": lambda e, b: lrp.deeplift_rescale(*e.call, baselines=b),
    "occlusion-1": lambda e, b: pert.occlusion_1(*e.call, baselines=b),
    "shapley-sampling": lambda e, b: pert.shapley_sampling(*e.call, baselines=b, feature_mask=e.cells),
    "kernel-shap": lambda e, b: pert.kernel_shap(*e.call, baselines=b, n_samples=500, feature_mask=e.cells),
}
"""Methods that take a baseline, to be given the one of the game."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean curves and areas for every order of the pixels."""

    accuracy: float
    images: Tensor
    curves: dict[tuple[str, str], dict[str, Tensor]]
    """By (game, baseline) and order, shape (images, pixels + 1)."""
    changed: dict[str, float]
    """By baseline: mean distance of a picture with half of its pixels removed at random from its nearest training image."""
    natural: float
    """Mean distance of a test image from its nearest training image."""

    def areas(self, game: str, baseline: str, order: str) -> Tensor:
        """Area of each image's curve."""
        return area(self.curves[game, baseline][order])

    @property
    def methods(self) -> list[str]:
        """The orders that are attributions."""
        return [id for id in self.curves["deletion", "empty"] if id in PIXEL_METHODS]


def baselines(train: Tensor) -> dict[str, Tensor]:
    """What stands where a pixel is missing, shape (1, 1, side, side)."""
    return {"empty": torch.zeros_like(train[:1]), "mean": train.mean(dim=0, keepdim=True)}


@functools.cache
def all_curves(size: Size = Size()) -> Curves:
    """Explain test images by every method, and run both games with both baselines."""
    trained = trained_digits()
    model, train = trained.model, trained.data.train_images
    with torch.no_grad():
        right = model(trained.data.test_images).argmax(dim=1) == trained.data.test_labels
    images, targets = trained.data.test_images[right][: size.images], trained.data.test_labels[right][: size.images]
    asked = Explained(model, images, targets, train, CELL, MAPS, EARLY)
    scores = {id: method(asked) for id, method in applicable(asked).items() if id in size.methods}
    orders = {id: pixel_order(values, SEED) for id, values in (scores | {"input-magnitude": images, "edges": edges(images)}).items()}
    random = [pixel_order(noise(images, SEED + k), SEED) for k in range(size.random_orders)]
    found: dict[tuple[str, str], dict[str, Tensor]] = {}
    for (name, baseline), game in itertools.product(baselines(train).items(), GAMES):
        one = {id: game_curve(model, images, targets, order, baseline, game) for id, order in orders.items()}
        one[RANDOM] = torch.stack([game_curve(model, images, targets, order, baseline, game) for order in random]).mean(dim=0)
        one[REVERSED] = torch.stack([game_curve(model, images, targets, orders[id].flip(1), baseline, game) for id in scores]).mean(dim=0)
        one[GREEDY] = game_curve(model, images, targets, greedy_order(model, images, targets, baseline, game), baseline, game)
        one |= {_matched(id): game_curve(model, images, targets, pixel_order(call(asked, baseline), SEED), baseline, game)
                for id, call in MATCHED.items() if id in scores}  # fmt: skip
        found[game, name] = one
    changed = {name: _distance(_half_gone(images, random[0], baseline), train) for name, baseline in baselines(train).items()}
    return Curves(trained.accuracy, images, found, changed, _distance(images, train))


def _matched(id: str) -> str:
    return f"{id}, baseline of the game"


def _half_gone(images: Tensor, order: Tensor, baseline: Tensor) -> Tensor:
    half = order.shape[1] // 2
    gone = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, :half], torch.ones_like(order[:, :half], dtype=torch.bool))
    return torch.where(gone.reshape(images.shape), baseline, images)


def _distance(images: Tensor, train: Tensor) -> float:
    """Mean distance from the nearest training image."""
    return float(torch.cdist(images.flatten(1), train.flatten(1)).min(dim=1).values.mean())


# -- the study -------------------------------------------------------------------------------------------------------------------------------


@reproduces("data-perturbation-trap")
def insertion_and_deletion() -> Reproduction:
    """All methods, both games, both baselines."""
    return study(Size())


def study(size: Size) -> Reproduction:
    """The study at a given size."""
    found = all_curves(size)
    agreement = agreements(found)
    return Reproduction(
        study="data-perturbation-trap",
        script="executable.reproductions.deletion:insertion_and_deletion",
        question="Taking away the pixels that an attribution calls important and watching the answer is the usual test of attributions; the blog "
        "says that it proves little, since altered pictures are unlike the data. How do methods fare in it, and how much of their ranking is owed "
        "to what stands in for a missing pixel?",
        setup=_setup(found),
        finding=_finding(found, agreement),
        comparable=("The argument: that removal leaves the data, and that the outcome depends on what removal means.",),
        not_comparable=(
            "The blog prints no experiment. Insertion and deletion are the curves in common use (Petsiuk et al., 2018), here on 64 pixels.",
            "Methods that ask by removing pixels in favour of the empty image share this baseline with one half of the games; others have none or "
            "another. The ranking is no ranking of faithfulness.",
        ),
        measurements=tuple(_measurements(found, agreement)),
        controls=tuple(_controls(found)),
        tables=(_by_method(found), _agreement_table(agreement), _matched_table(found)),
        charts=tuple(_chart(found, game, baseline) for game, baseline in found.curves),
        seed=SEED,
        versions=versions(),
    )


def quality(found: Curves, game: str, baseline: str) -> Tensor:
    """Mean area of every method, signed so that more is better."""
    sign = -1.0 if game == "deletion" else 1.0
    return sign * torch.stack([found.areas(game, baseline, id).mean() for id in found.methods])


def agreements(found: Curves) -> dict[tuple[tuple[str, str], tuple[str, str]], float]:
    """Rank correlation of the methods' order between every two of the four games."""
    return {(left, right): rank_correlation(quality(found, *left), quality(found, *right)) for left, right in itertools.combinations(found.curves, 2)}


def better_than_random(found: Curves, game: str, baseline: str) -> list[str]:
    """Methods whose area is better than that of random orders by two standard errors, over images."""
    sign = -1.0 if game == "deletion" else 1.0
    chosen = []
    for id in found.methods:
        mean, error = mean_and_error(sign * (found.areas(game, baseline, id) - found.areas(game, baseline, RANDOM)))
        if mean > 2 * error:
            chosen.append(id)
    return chosen


def _setup(found: Curves) -> str:
    return (
        "A network of two convolutions and one linear layer reads the handwritten digits of scikit-learn (8 x 8 pixels; "
        f"{found.accuracy:.1%} of the test images rightly). {len(found.images)} test images read rightly are explained for their class. Pixels are "
        "taken away, or put in, one after another from the largest attribution to the smallest (with its sign; equal ones in random order), and "
        "the probability of the class is drawn against the share of moved pixels. A missing pixel is that of the empty image, or of the mean "
        "training image. Beside the methods: random orders, the methods' orders reversed, the picture's grey values, an edge detector, and the "
        "greedy order that at each step moves the pixel with the largest effect on this very probability. Single precision; standard errors are "
        "over images."
    )


def _finding(found: Curves, agreement: dict[tuple[tuple[str, str], tuple[str, str]], float]) -> str:
    ids, best = found.methods, {}
    for game in GAMES:
        for baseline in BASELINES:
            best[game, baseline] = ids[int(quality(found, game, baseline).argmax())]
    across = [agreement[("deletion", "empty"), ("deletion", "mean")], agreement[("insertion", "empty"), ("insertion", "mean")]]
    counts = [len(better_than_random(found, game, "empty")) for game in GAMES]
    ahead = sum(
        float(quality(found, "deletion", "empty")[ids.index(id)]) > -float(found.areas("deletion", "empty", "input-magnitude").mean()) for id in ids
    )
    return (
        f"With the empty image {counts[0]} of {len(ids)} methods beat random orders in deletion and {counts[1]} in insertion by two standard errors; "
        f"{ahead} beat the picture's grey values in deletion. The ranking of the methods with the mean image in its place has a rank correlation of "
        f"{across[0]:.2f} with this one in deletion and of {across[1]:.2f} in insertion; methods that take a baseline gain "
        f"{matched_gain(found, 'deletion'):+.2f} and {matched_gain(found, 'insertion'):+.2f} in these games when they are given the mean image too. "
        f"First in deletion is {best['deletion', 'empty']} with the empty image and {best['deletion', 'mean']} with the mean, first in insertion "
        f"{best['insertion', 'empty']} and {best['insertion', 'mean']}. Pictures with half of their pixels removed lie "
        f"{found.changed['empty'] / found.natural:.1f} times (empty) and {found.changed['mean'] / found.natural:.1f} times (mean) as far from the "
        "training images as test images do."
    )


def _measurements(found: Curves, agreement: dict[tuple[tuple[str, str], tuple[str, str]], float]) -> Iterator[Measurement]:
    yield number("methods", float(len(found.methods)))
    for game, baseline in found.curves:
        words = f"{game}, {BASELINES[baseline]}"
        mean, error = mean_and_error(found.areas(game, baseline, RANDOM))
        yield number(f"{words}: area of random orders", mean, f"standard error {error:.2g}")
        yield number(f"{words}: area of the greedy order", float(found.areas(game, baseline, GREEDY).mean()))
        yield number(f"{words}: methods better than random orders by two standard errors", float(len(better_than_random(found, game, baseline))))
    for (left, right), value in agreement.items():
        yield number(f"rank correlation of the methods: {left[0]} ({left[1]}) and {right[0]} ({right[1]})", value)
    for game in GAMES:
        yield number(f"{game}, the mean training image: mean gain of methods that are given this baseline", matched_gain(found, game))
    for baseline, distance in found.changed.items():
        yield number(f"half of the pixels removed at random, {BASELINES[baseline]}: distance from the nearest training image", distance)
    yield number("test images: distance from the nearest training image", found.natural)


def _controls(found: Curves) -> Iterator[Control]:
    for game, baseline in found.curves:
        sign = -1.0 if game == "deletion" else 1.0
        random = sign * float(found.areas(game, baseline, RANDOM).mean())
        words = f"{game}, {BASELINES[baseline]}"
        best = float(quality(found, game, baseline).max())
        greedy, against = (sign * float(found.areas(game, baseline, order).mean()) for order in (GREEDY, REVERSED))
        yield breaks(f"{words}: greedy order, which optimises the score itself, better than the best method by", greedy - best, 0.0)
        yield breaks(f"{words}: the methods' orders reversed, worse than random orders by", random - against, 0.0)
    ends = [one[id][:, end] for one, end in ((found.curves["deletion", "empty"], 0), (found.curves["insertion", "empty"], -1)) for id in one]
    spread = float((torch.stack(ends) - ends[0]).abs().max())
    yield keeps("the whole picture has the same probability in every order: largest difference", spread, 1e-5)


def _by_method(found: Curves) -> ResultTable:
    ids = sorted(found.methods, key=lambda id: float(found.areas("deletion", "empty", id).mean()))
    rows = [
        (NO_NETWORK.get(id, id), *(_cell(found.areas(game, baseline, id)) for game, baseline in found.curves), _settings(id))
        for id in (*ids, *NO_NETWORK, RANDOM, REVERSED, GREEDY)
    ]
    columns = (f"{game}, {BASELINES[baseline]}" for game, baseline in found.curves)
    return table(
        "areas",
        "Area below the curves",
        "Mean and standard error over images. Deletion: less is better; insertion: more is better. Sorted by the first column; below the methods "
        "what uses no attribution.",
        ("order of the pixels", *columns, "settings"),
        rows,
    )


def _cell(areas: Tensor) -> str:
    mean, error = mean_and_error(areas)
    return f"{mean:.3f} ± {error:.3f}"


def _settings(id: str) -> str | None:
    return PIXEL_METHODS[id].settings if id in PIXEL_METHODS else None


def _agreement_table(agreement: dict[tuple[tuple[str, str], tuple[str, str]], float]) -> ResultTable:
    return table(
        "agreement",
        "Do the games rank methods alike?",
        "Rank correlation of the methods' mean areas, counted so that more is better in each game.",
        ("one game", "another", "rank correlation"),
        [(f"{left[0]}, {BASELINES[left[1]]}", f"{right[0]}, {BASELINES[right[1]]}", value) for (left, right), value in agreement.items()],
    )


def _matched_table(found: Curves) -> ResultTable:
    rows = []
    for id in (id for id in MATCHED if id in found.methods):
        cells = [_cell(found.areas(game, "mean", order)) for game in GAMES for order in (id, _matched(id))]
        rows.append((id, *cells))
    return table(
        "matched-baselines",
        "Methods given the baseline of the game",
        "Games with the mean training image in the place of a missing pixel, for methods that take a baseline: with the empty image, and with the "
        "mean training image as theirs. Deletion: less is better; insertion: more is better.",
        (
            "method",
            "deletion, method: empty",
            "deletion, method: mean",
            "insertion, method: empty",
            "insertion, method: mean",
        ),
        rows,
    )


def matched_gain(found: Curves, game: str) -> float:
    """How much the mean area improves, over the methods that take a baseline, when they are given the mean image in a game with it."""
    sign = -1.0 if game == "deletion" else 1.0
    gains = [sign * (found.areas(game, "mean", _matched(id)) - found.areas(game, "mean", id)).mean() for id in MATCHED if id in found.methods]
    return float(torch.stack(gains).mean())


def _chart(found: Curves, game: str, baseline: str) -> Chart:
    one = found.curves[game, baseline]
    shown = [id for id in (*CHARTED, RANDOM, GREEDY) if id in one]
    better = "The lower a curve, the more" if game == "deletion" else "The higher a curve, the more"
    return Chart(
        id=f"{game}-{baseline}",
        title=f"{game.capitalize()}: {BASELINES[baseline]}",
        caption=f"Mean probability of the class over images; bands are standard errors. {better} the first pixels matter to the network, as far as "
        f"a pixel of {BASELINES[baseline]} means its absence.",
        x_label="share of pixels taken away" if game == "deletion" else "share of pixels put in",
        y_label="probability of the class",
        series=tuple(_curve(one[id], id) for id in shown),
    )


def _curve(curves: Tensor, id: str) -> Series:
    values = curves.double()[:, ::4]
    mean, error = values.mean(dim=0), values.std(dim=0) / len(values) ** 0.5
    x = torch.linspace(0, 1, values.shape[1], dtype=torch.float64)
    return curve(id, x, mean, method=id if id in PIXEL_METHODS else None, low=mean - error, high=mean + error)
