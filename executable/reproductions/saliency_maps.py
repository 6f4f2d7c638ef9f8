"""Two figures of the sources with pictures of our own: nine maps of one prediction, and the maps of the fourteen methods of the Taylor paper."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.methods.gradient_times_input import grad_times_input
from executable.methods.layerwise_backprop import lrp_epsilon, lrp_gamma
from executable.reproductions.base import (
    Chart,
    Grid,
    Reproduction,
    ResultTable,
    at_least,
    at_most,
    breaks,
    curve,
    keeps,
    number,
    picture,
    reproduces,
    table,
    versions,
)
from executable.reproductions.pixel_methods import PIXEL_METHODS, Explained, mean_and_error, noise, spearman
from executable.reproductions.scenes import COUNT, EPOCHS, NETWORKS, SEED, Scenes, TrainedScenes, trained_on_scenes
from executable.testbeds.digits import trained_digits
from taxonomy.evidence import Control, Measurement

CELL = 4
NINE = (
    "gradient", "smoothgrad", "guided-backprop", "integrated-gradients", "grad-cam", "lrp-alpha-beta", "occlusion-patch", "shapley-sampling", "lime",
)  # fmt: skip
FOURTEEN = (
    "grad-times-input", "occlusion-1", "occlusion-patch", "prediction-difference", "grad-cam", "integrated-gradients", "expected-gradients",
    "shapley-sampling", "lrp-epsilon", "lrp-alpha-beta", "deep-taylor-decomposition", "deeplift-rescale", "deeplift-revealcancel", "deep-shap",
)  # fmt: skip
TOP = 0.1
"""Share of the pixels that count as marked."""
SHOWN = (0, 1, 2, 3)
EPSILONS = tuple(10.0**k for k in range(-9, 1))


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images: int = 40
    epochs: int = EPOCHS
    scenes: int = COUNT


def double(found: TrainedScenes) -> nn.Sequential:
    """The network in double precision."""
    return copy.deepcopy(found.model).double()


@functools.cache
def maps(methods: tuple[str, ...], count: int, size: Size) -> tuple[TrainedScenes, Scenes, dict[str, Tensor]]:
    """The first `count` scenes that the pooling network reads rightly, explained in double precision."""
    found = trained_on_scenes("pooling", size.epochs, size.scenes)
    shown = found.explained(count)
    asked = Explained(double(found), shown.images.double(), shown.labels, found.train.images.double(), CELL, found.maps, "0")
    return found, shown, {id: PIXEL_METHODS[id](asked) for id in methods}


def shared_marks(left: Tensor, right: Tensor) -> Tensor:
    """Share of the marked pixels (a tenth, by size) that two maps have in common, shape (images,)."""
    count = round(TOP * left[0].numel())
    marked = [torch.zeros_like(values.flatten(1)).scatter_(1, values.abs().flatten(1).topk(count, dim=1).indices, 1.0) for values in (left, right)]
    return (marked[0] * marked[1]).sum(dim=1) / count


def _pairs(values: dict[str, Tensor]) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """Rank correlation of sizes and shared marks of every two maps."""
    return {(a, b): (spearman(values[a].abs(), values[b].abs()), shared_marks(values[a], values[b])) for a, b in itertools.combinations(values, 2)}


def _grid(id: str, title: str, caption: str, shown: Scenes, values: dict[str, Tensor]) -> Grid:
    """The picture and its maps, each divided by its largest size."""
    rows = [place for place in SHOWN if place < len(shown.labels)]
    scaled = [one / one.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-300) for one in values.values()]
    cells = tuple((picture(shown.images[place]), *(picture(one[place]) for one in scaled)) for place in rows)
    labels = tuple(f"a {int(shown.labels[place])}" for place in rows)
    return Grid(id=id, title=title, caption=caption, columns=("picture", *values), rows=labels, cells=cells)


def _setup(found: TrainedScenes, shown: Scenes, methods: Collection[str]) -> str:
    settings = "; ".join(f"{id}: {PIXEL_METHODS[id].settings}" for id in methods)
    return (
        "A handwritten digit of scikit-learn is put at a random place of a canvas of 16 x 16 pixels with a faint grating, noise and a distractor "
        "that says nothing about the class. A network of three convolutions with ReLU and maxima learns to name the digit; it reads "
        f"{found.accuracy:.1%} of the test scenes rightly. {len(shown.labels)} test scenes read rightly are explained for their class, in double "
        f"precision. Settings: {settings}. Cells are of 4 x 4 pixels."
    )


# -- one bird, nine maps ---------------------------------------------------------------------------------------------------------------------


@reproduces("nine-saliency-maps")
def nine_saliency_maps() -> Reproduction:
    """Nine methods on scenes."""
    return nine(Size())


def nine(size: Size) -> Reproduction:
    """The study at a given size."""
    found, shown, values = maps(NINE, size.images, size)
    pairs = _pairs(values)
    return Reproduction(
        study="nine-saliency-maps",
        script="executable.reproductions.saliency_maps:nine_saliency_maps",
        question="How much do the maps of nine popular methods differ on one picture and one prediction?",
        setup=_setup(found, shown, NINE),
        finding=_nine_finding(pairs),
        comparable=("That maps of one prediction differ from method to method; here with numbers for how much.",),
        not_comparable=(
            "The picture, the network and the maps: the survey's are a photograph of a bird and a network that it does not name.",
            "The choice of methods: the survey does not list its nine. Ours are nine that are in wide use, from all families that score pixels.",
        ),
        measurements=tuple(_nine_measurements(pairs)),
        controls=tuple(_nine_controls(size)),
        tables=(_nine_table(pairs),),
        grids=(
            _grid("maps", "Nine maps of one prediction", "Each map is divided by its largest size. Rows are test scenes, explained for the class of "
                  "the digit.", shown, values),
        ),
        seed=SEED,
        versions=versions(),
    )  # fmt: skip


def _average(pairs: dict[tuple[str, str], tuple[Tensor, Tensor]], which: int) -> tuple[float, float]:
    """Mean over pairs, and its standard error over images."""
    return mean_and_error(torch.stack([both[which].double() for both in pairs.values()]).mean(dim=0))


def _nine_finding(pairs: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> str:
    (ranks, ranks_error), (marks, marks_error) = _average(pairs, 0), _average(pairs, 1)
    order = sorted(pairs, key=lambda pair: float(pairs[pair][0].mean()))
    (low, high), (least, most) = (order[0], order[-1]), (float(pairs[pair][0].mean()) for pair in (order[0], order[-1]))
    below = sum(float(both[0].mean()) < 0.5 for both in pairs.values())
    return (
        f"Two of the nine maps of one prediction have a rank correlation of {ranks:.2f} ± {ranks_error:.2f} in size on average, and share "
        f"{marks:.0%} ± {marks_error:.0%} of the tenth of the pixels that they mark most, where chance gives {TOP:.0%}; {below} of "
        f"{len(pairs)} pairs stay below a correlation of one half. Furthest apart are "
        f"{low[0]} and {low[1]} ({least:.2f}), closest {high[0]} and {high[1]} ({most:.2f})."
    )


def _nine_measurements(pairs: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> Iterator[Measurement]:
    (ranks, ranks_error), (marks, marks_error) = _average(pairs, 0), _average(pairs, 1)
    yield number("mean rank correlation of the sizes of two maps", ranks, f"standard error {ranks_error:.2g}")
    yield number("mean share of marked pixels in common", marks, f"standard error {marks_error:.2g}")
    yield number("pairs of methods below a mean rank correlation of one half", float(sum(float(both[0].mean()) < 0.5 for both in pairs.values())))
    yield at_most("largest mean rank correlation of two of the nine", max(float(both[0].mean()) for both in pairs.values()), 0.99,
                  "no two of them are one method under two names")  # fmt: skip


def _nine_controls(size: Size) -> Iterator[Control]:
    _, shown, values = maps(("grad-times-input", "lrp-epsilon"), size.images, size)
    same = spearman(values["grad-times-input"].abs(), values["lrp-epsilon"].abs())
    yield keeps("two methods that are the same by a theorem (Gradient x Input, LRP-ε): one minus the rank correlation", float((1 - same).max()), 1e-3)
    drawn = [noise(shown.images, SEED + k) for k in (20, 21)]
    mean, error = mean_and_error(spearman(*drawn))
    yield keeps("two pictures of random numbers: size of the mean rank correlation", abs(mean), 4 * error)
    mean, error = mean_and_error(shared_marks(*drawn))
    yield keeps("two pictures of random numbers: distance of the shared marks from chance", abs(mean - round(TOP * 256) / 256), 4 * error)
    yield breaks("the map of the gradient and random numbers: one minus the rank correlation",
                 1 - float(spearman(maps(NINE, size.images, size)[2]["gradient"].abs(), drawn[0]).mean()), 0.5)  # fmt: skip


def _nine_table(pairs: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> ResultTable:
    rows = []
    for a in NINE:
        cells: list[str | float | None] = []
        for b in NINE:
            both = pairs.get((a, b)) or pairs.get((b, a))
            cells.append(None if both is None else float(both[0].mean()))
        rows.append((a, *cells))
    return table(
        "rank-correlations", "Rank correlation of the sizes of two maps", "Mean over the explained scenes; one would be the same order of pixels.",
        ("method", *NINE), rows, digits=2,
    )  # fmt: skip


# -- the fourteen methods --------------------------------------------------------------------------------------------------------------------


@reproduces("taylor-attribution-maps")
def taylor_attribution_maps() -> Reproduction:
    """Fourteen methods on scenes, and LRP-epsilon against Gradient x Input."""
    return fourteen(Size())


def difference(left: Tensor, right: Tensor) -> float:
    """Largest difference of two maps relative to the largest size of the second, over all images."""
    size = right.abs().flatten(1).amax(dim=1).clamp(min=1e-300)
    return float(((left - right).abs().flatten(1).amax(dim=1) / size).max())


def fourteen(size: Size) -> Reproduction:
    """The study at a given size."""
    found, shown, values = maps(FOURTEEN, len(SHOWN), size)
    asked = list(_asked(size))
    default = {name: difference(lrp_epsilon(*call), grad_times_input(*call)) for name, call in asked}
    return Reproduction(
        study="taylor-attribution-maps",
        script="executable.reproductions.saliency_maps:taylor_attribution_maps",
        question="How do the maps of the fourteen methods look side by side, and do those of LRP-ε and Gradient x Input coincide?",
        setup=_setup(found, shown, FOURTEEN) + " LRP-ε and Gradient x Input are compared on more of them "
        f"({size.images}), on a second network for the scenes, and on digits of 8 x 8 pixels.",
        finding=_fourteen_finding(default, asked),
        comparable=("That the maps of LRP-ε and Gradient x Input coincide for networks with ReLU (Theorem 10 with Theorem 2).",),
        not_comparable=(
            "The maps themselves: the paper names neither its networks nor its pictures, nor the methods' baselines and settings.",
            "The Shapley value is estimated from 25 orders of 16 cells of 4 x 4 pixels.",
        ),
        measurements=tuple(_fourteen_measurements(default, asked)),
        controls=tuple(_fourteen_controls(asked)),
        tables=(_epsilon_table(asked),),
        charts=(_epsilon_chart(asked),),
        grids=(
            _grid("maps", "Maps of the fourteen methods", "Each map is divided by its largest size. Rows are test scenes, explained for the class of "
                  "the digit.", shown, values),
        ),
        seed=SEED,
        versions=versions(),
    )  # fmt: skip


Call = tuple[nn.Module, Tensor, Tensor]


def _asked(size: Size) -> Iterator[tuple[str, Call]]:
    """ReLU networks with pictures and classes, double precision."""
    for name in NETWORKS:
        found = trained_on_scenes(name, size.epochs, size.scenes)
        shown = found.explained(size.images)
        yield f"scenes, {name} network", (double(found), shown.images.double(), shown.labels)
    digits = trained_digits()
    with torch.no_grad():
        right = (digits.model(digits.data.test_images).argmax(dim=1) == digits.data.test_labels).nonzero().flatten()[: size.images]
    images, labels = digits.data.test_images[right], digits.data.test_labels[right]
    yield "digits, convolutional network", (copy.deepcopy(digits.model).double(), images.double(), labels)


def softened(model: nn.Module) -> nn.Module:
    """A copy with softplus in the place of ReLU, the weights as they are."""
    return nn.Sequential(*(nn.Softplus() if isinstance(layer, nn.ReLU) else copy.deepcopy(layer) for layer in model.children())).eval()


def _differences(call: Call) -> list[float]:
    reference = grad_times_input(*call)
    return [difference(lrp_epsilon(*call, epsilon=epsilon), reference) for epsilon in EPSILONS]


def _fourteen_finding(default: dict[str, float], asked: Sequence[tuple[str, Call]]) -> str:
    limit = max(difference(lrp_epsilon(*call, epsilon=0.0), grad_times_input(*call)) for _, call in asked)
    large = max(_differences(call)[EPSILONS.index(0.1)] for _, call in asked)
    agree = "coincide" if limit < 1e-9 else "do not coincide"
    return (
        f"On all {len(asked)} ReLU networks the maps of LRP-ε and Gradient x Input {agree} at $\\varepsilon = 0$ (largest difference {limit:.1e} of "
        f"the largest attribution). With $\\varepsilon$ the difference grows: at the default $10^{{-6}}$ it is at most "
        f"{max(default.values()):.1e}, at $\\varepsilon = 0.1$ up to {large:.2f}, so that the two agree only as far as $\\varepsilon$ is small "
        "against the pre-activations."
    )


def _fourteen_measurements(default: dict[str, float], asked: Sequence[tuple[str, Call]]) -> Iterator[Measurement]:
    for name, call in asked:
        reference = grad_times_input(*call)
        yield at_most(f"{name}: LRP-ε at ε = 0 against Gradient x Input", difference(lrp_epsilon(*call, epsilon=0.0), reference), 1e-9)
        yield at_most(f"{name}: LRP-ε at ε = 1e-6 against Gradient x Input", default[name], 1e-2)
        steps = _differences(call)
        yield at_least(f"{name}: growth of the difference from ε = 1e-6 to 0.1", steps[EPSILONS.index(0.1)] / default[name], 10.0)


def _fourteen_controls(asked: Sequence[tuple[str, Call]]) -> Iterator[Control]:
    for name, call in asked:
        yield breaks(f"{name}: LRP-γ against Gradient x Input", difference(lrp_gamma(*call), grad_times_input(*call)), 1e-2)
    _, (model, images, targets) = asked[0]
    call = (softened(model), images, targets)
    apart = 1 - float(spearman(lrp_epsilon(*call, epsilon=0.0), grad_times_input(*call)).mean())
    yield breaks("scenes, softplus in the place of ReLU: LRP-ε at ε = 0 against Gradient x Input: one minus the rank correlation", apart, 0.1)


def _epsilon_table(asked: Sequence[tuple[str, Call]]) -> ResultTable:
    rows: list[tuple[str | float, ...]] = []
    for name, call in asked:
        reference = grad_times_input(*call)
        maps_of = [lrp_epsilon(*call, epsilon=epsilon) for epsilon in (0.0, 1e-6, 1e-2, 0.25)]
        rows.append((name, *(f"{difference(values, reference):.1e}" for values in maps_of), float(spearman(maps_of[-1], reference).mean())))
    return table(
        "lrp-epsilon-and-gradient-times-input",
        "LRP-ε against Gradient x Input",
        "Largest difference relative to the largest attribution of the picture, over all pictures; and the mean rank correlation at ε = 0.25.",
        ("network", "ε = 0", "ε = 1e-6", "ε = 0.01", "ε = 0.25", "rank correlation, ε = 0.25"),
        rows,
    )


def _epsilon_chart(asked: Sequence[tuple[str, Call]]) -> Chart:
    return Chart(
        id="epsilon",
        title="Difference between LRP-ε and Gradient x Input",
        caption="Largest difference of the maps relative to the largest attribution, over all pictures. A straight line of slope one is a "
        "difference in proportion to ε.",
        x_label="ε",
        y_label="largest relative difference",
        x_scale="log",
        y_scale="log",
        series=tuple(curve(name, EPSILONS, _differences(call)) for name, call in asked),
    )
