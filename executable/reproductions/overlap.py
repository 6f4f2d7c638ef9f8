"""Overlap with known boxes (Taylor paper Sec. IV-D): digits composed with clutter, many methods, and whether the three principles go with it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.metrics import bounding_box_overlap
from executable.reproductions.base import Reproduction, ResultTable, breaks, keeps, number, reproduces, table, versions
from executable.reproductions.pixel_methods import PIXEL_METHODS, Explained, applicable, edges, in_the_middle, mean_and_error, noise
from executable.reproductions.scenes import COUNT as SCENES
from executable.reproductions.scenes import EPOCHS, NETWORKS, SEED, Scenes, TrainedScenes, trained_on_scenes, untrained
from taxonomy.evidence import Control, Measurement

CELL = 4
COMPLIANT = ("integrated-gradients", "expected-gradients", "shapley-sampling", "deeplift-rescale", "deeplift-revealcancel", "deep-shap")
"""Those of the fourteen methods that satisfy all three principles in Table VI; the Shapley value by sampling."""
OTHERS = (
    "grad-times-input", "grad-cam", "occlusion-1", "occlusion-patch", "prediction-difference", "lrp-epsilon", "lrp-alpha-beta",
    "deep-taylor-decomposition",
)  # fmt: skip
BASELINES = {
    "input-magnitude": "the pixels' own grey values", "edges": "edge detector (Sobel)", "middle": "bell around the middle of the picture",
    "noise": "random numbers",
}  # fmt: skip
SIGNIFICANT = 2.0
"""Standard errors from which a difference is spoken of."""


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images: int = 50
    """Explained scenes for each network."""
    untrained: int = 12
    """Explained scenes for each network with random weights."""
    epochs: int = EPOCHS
    scenes: int = SCENES
    methods: Collection[str] = tuple(PIXEL_METHODS)


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Overlap of each method with the boxes of one network's scenes, and what it is held against."""

    trained: TrainedScenes
    shown: Scenes
    methods: dict[str, Tensor]
    """Shape (images,), by method."""
    smoothed: dict[str, Tensor]
    """The same after the size of the attribution has been averaged over 3 x 3 pixels."""
    baselines: dict[str, Tensor]
    swapped: dict[str, Tensor]
    """The same attributions held against the box of the next image."""
    distracted: dict[str, Tensor]
    """Share of the same pixels that lies in the distractor's square."""
    random_weights: dict[str, Tensor]
    """Overlap of the same methods on the network before training, over fewer images."""


def most_salient(attributions: Tensor, boxes: Tensor, region: Tensor) -> Tensor:
    """Share of the |B| pixels of largest absolute attribution that lie in a region, shape (count,); the first of equal ones."""
    order = attributions.abs().flatten(1).argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand(order.shape))
    chosen = place < boxes.flatten(1).sum(dim=1, keepdim=True)
    return (chosen & region.flatten(1)).sum(dim=1) / chosen.sum(dim=1)


def smooth(attributions: Tensor) -> Tensor:
    """Size of the attributions, each the mean over the 3 x 3 pixels around it, shape kept."""
    return nn.functional.avg_pool2d(attributions.abs(), 3, 1, 1, count_include_pad=False)


def not_the_network(images: Tensor) -> dict[str, Tensor]:
    """Maps that no network enters into."""
    return {"input-magnitude": images, "edges": edges(images), "middle": in_the_middle(images), "noise": noise(images, SEED + 7)}


@functools.cache
def overlaps(name: str, size: Size = Size()) -> Overlaps:
    """Train the network called `name`, explain the first scenes it reads rightly by every method, and hold the maps against the boxes."""
    trained = trained_on_scenes(name, size.epochs, size.scenes)
    shown = trained.explained(size.images)
    explained = Explained(trained.model, shown.images, shown.labels, trained.train.images, CELL, trained.maps, "0")
    few = shown[torch.arange(size.untrained)]
    random = Explained(untrained(name, SEED + 9), few.images, few.labels, trained.train.images, CELL, trained.maps, "0")
    chosen = {id: method for id, method in applicable(explained).items() if id in size.methods}
    maps = {id: method(explained) for id, method in chosen.items()}
    return Overlaps(
        trained, shown,
        {id: bounding_box_overlap(values, shown.boxes) for id, values in maps.items()},
        {id: bounding_box_overlap(smooth(values), shown.boxes) for id, values in maps.items()},
        {id: bounding_box_overlap(values, shown.boxes) for id, values in not_the_network(shown.images).items()},
        {id: bounding_box_overlap(values, shown.boxes.roll(1, 0)) for id, values in maps.items()},
        {id: most_salient(values, shown.boxes, shown.shapes) for id, values in maps.items()},
        {id: bounding_box_overlap(method(random), few.boxes) for id, method in chosen.items()},
    )  # fmt: skip


@reproduces("bounding-box-study")
def bounding_box_study() -> Reproduction:
    """Every method on two networks."""
    return study(Size())


def study(size: Size) -> Reproduction:
    """The study at a given size."""
    found = [overlaps(name, size) for name in NETWORKS]
    shares = torch.cat([one.shown.boxes.flatten(1).double().mean(dim=1) for one in found])
    gap, evened = principle_gap(found), principle_gap(found, "smoothed")
    return Reproduction(
        study="bounding-box-study",
        script="executable.reproductions.overlap:bounding_box_study",
        question="Do attributions that satisfy the three principles of the Taylor paper cover the annotated box of the object better than others?",
        setup=_setup(size, found, shares),
        finding=_finding(found, gap, evened),
        comparable=(
            "The measure (Eq. 51), the condition that the box covers less than a third of the picture, the verdicts of Table VI by which the "
            "methods are sorted, and the direction of the difference between the two groups of methods.",
        ),
        not_comparable=(
            "The values: the paper explains ImageNet photographs by VGG16, VGG19, InceptionV3 and ResNet18, prints no overlap as a number, and "
            "names neither the methods' baselines nor the number of images.",
            "Boxes drawn by people: ours are known because the pictures are composed, and fit the digit's ink.",
            "The Shapley value is estimated from 25 orders of 16 cells of 4 x 4 pixels; its map is flat within a cell.",
        ),
        measurements=tuple(_measurements(found, shares, gap, evened)),
        controls=tuple(_controls(found)),
        tables=(_by_method(found), _by_principle(found, gap, evened)),
        seed=SEED,
        versions=versions(),
    )


@dataclass(frozen=True)
class Gap:
    """Mean overlap of the compliant methods less that of the others."""

    difference: float
    error: float
    """Standard error over images, the methods as they are."""
    p_value: float
    """Share of all ways to call six of the fourteen compliant whose difference is at least as large in size."""


def principle_gap(found: Collection[Overlaps], field: str = "methods") -> Gap:
    """Compare the two groups of Table VI, over images and over methods; methods that were left out are missing from both."""
    compliant, others = ([id for id in group if all(id in one.methods for one in found)] for group in (COMPLIANT, OTHERS))
    by_image = torch.cat([_mean(getattr(one, field), compliant) - _mean(getattr(one, field), others) for one in found])
    difference, error = mean_and_error(by_image)
    values = torch.stack([_joined(found, field, id).double().mean() for id in (*compliant, *others)])
    splits = torch.tensor(list(itertools.combinations(range(len(values)), len(compliant))))
    inside = values[splits].sum(dim=1)
    gaps = inside / len(compliant) - (values.sum() - inside) / len(others)
    return Gap(difference, error, float((gaps.abs() >= gaps[0].abs() - 1e-12).double().mean()))


def overall(found: Collection[Overlaps], method: str) -> float:
    """Mean overlap over all images of all networks."""
    return float(torch.cat([one.methods[method] for one in found]).double().mean())


def _mean(values: Mapping[str, Tensor], methods: Collection[str]) -> Tensor:
    return torch.stack([values[id] for id in methods]).double().mean(dim=0)


def _joined(found: Iterable[Overlaps], field: str, key: str) -> Tensor:
    return torch.cat([getattr(one, field)[key] for one in found])


def _setup(size: Size, found: list[Overlaps], shares: Tensor) -> str:
    accuracies = " and ".join(f"{one.trained.accuracy:.1%} ({one.trained.name})" for one in found)
    return (
        "A handwritten digit of scikit-learn (8 x 8 pixels) is put at a random place of a canvas of 16 x 16 with a faint grating, noise and a "
        "bright distractor of 4 x 4 pixels that says nothing about the class. The box is the smallest rectangle around the digit's ink. Two "
        "convolutional networks with ReLU, one with maxima and one with means between the layers, learn to name the digit from "
        f"{size.scenes} such scenes; they read {accuracies} of the test scenes rightly. Explained is the right class of "
        f"{sum(len(one.shown.labels) for one in found)} test scenes read rightly, {len(found[0].shown.labels)} for each network; their boxes "
        f"cover {float(shares.mean()):.1%} of the pixels on average and {float(shares.max()):.1%} at most. The same methods also explain the "
        f"networks before training, on {size.untrained} scenes each. Single precision; standard errors are over images."
    )


def _finding(found: list[Overlaps], gap: Gap, evened: Gap) -> str:
    ids = list(found[0].methods)
    best, worst = max(ids, key=lambda id: overall(found, id)), min(ids, key=lambda id: overall(found, id))
    magnitude = float(_joined(found, "baselines", "input-magnitude").mean())
    beaten = sum(overall(found, id) <= magnitude for id in ids)
    return (
        f"{_direction(gap)}: the difference is {gap.difference:+.3f} ± {gap.error:.3f} over images, and {gap.p_value:.0%} of all ways to split the "
        f"fourteen methods give one at least as large, so that the choice of methods {'could' if gap.p_value > 0.05 else 'can hardly'} explain it. "
        f"How smooth a map is matters: averaged over 3 x 3 pixels, the maps differ by {evened.difference:+.3f} ± {evened.error:.3f}. Overlaps run "
        f"from {overall(found, worst):.2f} ({worst}) to {overall(found, best):.2f} ({best}); {beaten} of {len(ids)} methods cover the box no "
        "better than the grey values of the picture themselves, which need no network."
    )


def _direction(gap: Gap) -> str:
    who = "The methods that satisfy all three principles overlap"
    if abs(gap.difference) < SIGNIFICANT * gap.error:
        return f"{who} neither better nor worse than the others"
    return f"{who} better than the others, as the paper reports" if gap.difference > 0 else f"{who} less than the others, against the paper's report"


def _measurements(found: list[Overlaps], shares: Tensor, gap: Gap, evened: Gap) -> Iterator[Measurement]:
    ids = list(found[0].methods)
    yield number("mean share of the picture that the box covers: the overlap of chance", float(shares.mean()))
    yield Measurement(name="largest share of the picture that a box covers", value=round(float(shares.max()), 6), bound=0.33, relation="<=",
                      note="the paper's condition")  # fmt: skip
    yield number("methods", float(len(ids)))
    yield number("compliant methods less the others: difference of the mean overlap", gap.difference, f"standard error {gap.error:.2g}")
    yield number("compliant methods less the others: share of all splits with a difference as large", gap.p_value)
    yield number("the same difference when all maps are averaged over 3 x 3 pixels", evened.difference, f"standard error {evened.error:.2g}")
    yield number("the same share when all maps are averaged over 3 x 3 pixels", evened.p_value)
    above = sum(overall(found, id) > float(_joined(found, "baselines", "input-magnitude").mean()) for id in ids)
    yield number("methods with more overlap than the grey values of the picture", float(above))
    changes = [float(_joined(found, "methods", id).mean() - _joined(found, "random_weights", id).mean()) for id in ids]
    yield number("trained less untrained network: mean difference over methods", sum(changes) / len(changes))
    yield number("methods that overlap at least as well on the untrained networks", float(sum(change <= 0 for change in changes)))


def _controls(found: list[Overlaps]) -> Iterator[Control]:
    boxes = torch.cat([one.shown.boxes for one in found])
    shares = boxes.flatten(1).double().mean(dim=1)
    yield keeps("the box itself as attribution: one minus the overlap", float((1 - bounding_box_overlap(boxes.double(), boxes)).max()), 1e-12)
    yield breaks("everything but the box as attribution: one minus the overlap",
                 float((1 - bounding_box_overlap((~boxes).double(), boxes)).min()), 0.5)  # fmt: skip
    flat = bounding_box_overlap(torch.ones_like(boxes, dtype=torch.float64), boxes)
    yield keeps("one value everywhere: distance of the overlap from the box's share", float((flat - shares).abs().max()), 1e-12)
    chance, error = mean_and_error(_joined(found, "baselines", "noise").double() - shares)
    yield keeps("random numbers: distance of the mean overlap from the boxes' mean share", abs(chance), 4 * error)
    best = max(found[0].methods, key=lambda id: overall(found, id))
    lost = float((_joined(found, "methods", best) - _joined(found, "swapped", best)).mean())
    yield breaks(f"the best method ({best}) held against another picture's box: overlap lost", lost, 0.1)


def _by_method(found: list[Overlaps]) -> ResultTable:
    rows = []
    for id in sorted(found[0].methods, key=lambda id: -overall(found, id)):
        cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in (mean_and_error(one.methods[id]) for one in found)]
        before, distracted = (float(_joined(found, field, id).mean()) for field in ("random_weights", "distracted"))
        verdict = "yes" if id in COMPLIANT else "no" if id in OTHERS else None
        rows.append((id, *cells, before, distracted, verdict, PIXEL_METHODS[id].settings))
    for id, text in BASELINES.items():
        cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in (mean_and_error(one.baselines[id]) for one in found)]
        rows.append((text, *cells, None, None, None, "no network"))
    return table(
        "overlap-by-method",
        "Overlap with the digit's box",
        "Mean and standard error over images, best first; then what needs no network. On the untrained networks the same method explains random "
        "weights. The distractor covers 6.3% of the picture. The last verdict is the paper's, on its fourteen methods.",
        ("method", *(f"{one.trained.name} network" for one in found), "untrained networks", "of the chosen pixels on the distractor",
         "all three principles", "settings"),
        rows,
    )  # fmt: skip


def _by_principle(found: list[Overlaps], gap: Gap, evened: Gap) -> ResultTable:
    groups = [[id for id in group if id in found[0].methods] for group in (COMPLIANT, OTHERS)]
    means = [mean_and_error(torch.cat([_mean(one.methods, group) for one in found])) for group in groups]
    return table(
        "overlap-by-principle",
        "The three principles and the overlap",
        "Beside what the paper says of its Fig. 5(b), which it draws without printing a number.",
        ("", "ours", "the paper's"),
        [
            ("pictures", f"{sum(len(one.shown.labels) for one in found)} composed scenes", "ImageNet, number not given"),
            ("networks", str(len(found)), "4 (VGG16, VGG19, InceptionV3, ResNet18)"),
            ("mean overlap, all three principles", f"{means[0][0]:.3f} ± {means[0][1]:.3f} ({len(groups[0])} methods)", "higher on average"),
            ("mean overlap, at least one violated", f"{means[1][0]:.3f} ± {means[1][1]:.3f} ({len(groups[1])} methods)", "lower on average"),
            ("difference over images", f"{gap.difference:+.3f} ± {gap.error:.3f}", "not given"),
            ("share of splits with such a difference", gap.p_value, "not given"),
            ("difference when all maps are averaged over 3 x 3 pixels", f"{evened.difference:+.3f} ± {evened.error:.3f}", "not tried"),
            ("share of splits with such a difference", evened.p_value, "not tried"),
        ],
    )
