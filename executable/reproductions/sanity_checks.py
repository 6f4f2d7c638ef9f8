"""Cascading randomisation of parameters: how much of a map is left when the layers of a network are drawn again from the last to the first."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from executable.methods.layerwise_backprop import ZPlusRule, relevance_matrices
from executable.reproductions.base import (
    Chart,
    Reproduction,
    ResultTable,
    Series,
    at_least,
    breaks,
    curve,
    keeps,
    number,
    reproduces,
    stable,
    table,
    versions,
)
from executable.reproductions.models import digits_of
from executable.reproductions.pixel_methods import (
    PIXEL_METHODS,
    Explained,
    applicable,
    cosine,
    edges,
    noise,
    spearman,
    structural_similarity,
    without_picture,
)
from executable.testbeds.digits import BATCH, Digits, one_thread
from taxonomy.evidence import Control, Measurement

SEED = 520
CELL = 2
EPOCHS = {"convolutional": 14, "dense": 20}
NONNEGATIVE = ("deconv", "guided-backprop", "rect-gradient", "lrp-alpha1-beta0", "deep-taylor-decomposition", "excitation-backprop")
"""The family that the survey says is insensitive to late parameters, as far as it scores pixels by rules without negative parts."""
CHARTED = (
    *NONNEGATIVE, "gradient", "grad-times-input", "integrated-gradients", "smoothgrad", "deeplift-rescale", "lrp-alpha-beta", "grad-cam",
    "occlusion-1", "shapley-sampling", "lime",
)  # fmt: skip
EDGES, INPUT = "edge detector (no network)", "the picture itself (no network)"
MEASURES = ("signed", "size", "partial", "ssim")
"""Rank correlation of the maps, of their sizes, of their sizes with the picture held fixed; SSIM of their sizes."""


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images: int = 8
    draws: int = 3
    """Times that the late layers are drawn again."""
    methods: Collection[str] = tuple(PIXEL_METHODS)
    networks: Collection[str] = tuple(EPOCHS)


@dataclass(frozen=True, eq=False)
class Deep:
    """A trained network of six layers with weights."""

    name: str
    model: nn.Sequential
    accuracy: float
    data: Digits
    maps: str | None
    early: str | None

    @property
    def layers(self) -> list[int]:
        """Places of the layers that have weights, from the input on."""
        return [place for place, layer in enumerate(self.model) if isinstance(layer, (nn.Conv2d, nn.Linear))]

    def explain(self, model: nn.Module, images: Tensor, targets: Tensor) -> Explained:
        """The same question put to this network or to one with other weights."""
        return Explained(model, images, targets, self.data.train_images, CELL, self.maps, self.early)


def convolutional() -> nn.Sequential:
    """Four convolutions with ReLU, maxima of 2 x 2 after the first, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def dense() -> nn.Sequential:
    """Six linear layers of width 48 with ReLU."""
    inner = [module for _ in range(4) for module in (nn.Linear(48, 48), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), *inner, nn.Linear(48, 10))


@functools.cache
def trained_deep(name: str) -> Deep:
    """Train a network of six layers on the digits in double precision (seconds; once per process)."""
    data = digits_of(8)
    with one_thread(SEED), torch.enable_grad():
        model = (convolutional if name == "convolutional" else dense)().double()
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(EPOCHS[name]):
            order = torch.randperm(len(data.train_labels))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(data.train_images[chosen]), data.train_labels[chosen]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    model.eval().requires_grad_(False)
    with torch.no_grad():
        accuracy = (model(data.test_images).argmax(dim=1) == data.test_labels).double().mean().item()
    return Deep(name, model, accuracy, data, *(("8", "0") if name == "convolutional" else (None, None)))


def randomised(deep: Deep, last: int, seed: int) -> nn.Sequential:
    """A copy whose `last` last layers have fresh weights, drawn as before training.

    Raises
    ------
    ValueError
        If there are fewer layers.
    """
    places = deep.layers
    if not 0 <= last <= len(places):
        raise ValueError(f"the network has {len(places)} layers with weights, not {last}")
    model = copy.deepcopy(deep.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for place in places[len(places) - last :][::-1]:
            layer = model[place]
            assert isinstance(layer, (nn.Conv2d, nn.Linear))
            layer.reset_parameters()
    return model.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class Cascade:
    """Similarities of one network's maps before and after, by method."""

    deep: Deep
    images: Tensor
    after: dict[str, dict[str, Tensor]]
    """For each method and measure, shape (draws, layers + 1, images): the last 0, 1, ... layers drawn again."""
    other: dict[str, dict[str, Tensor]]
    """For each method and measure, shape (images,): against the map of the next image on the trained network."""
    picture: dict[str, Tensor]
    """Rank correlation of the map's size with the picture's grey values."""
    moved: float
    """Largest relative difference of a map between the network and an untouched copy."""

    def mean(self, method: str, measure: str, last: int) -> float:
        """Mean similarity with the `last` last layers drawn again."""
        return float(self.after[method][measure][:, last].mean())


def similarities(left: Tensor, right: Tensor, images: Tensor) -> dict[str, Tensor]:
    """All measures of how alike maps are, each of shape (images,)."""
    found = spearman(left, right), spearman(left.abs(), right.abs()), without_picture(left, right, images), structural_similarity(left, right)
    return dict(zip(MEASURES, found, strict=True))


@functools.cache
def cascade(name: str, size: Size = Size()) -> Cascade:
    """Explain the same images by the trained network and by those with late layers drawn again."""
    deep = trained_deep(name)
    with torch.no_grad():
        right = deep.model(deep.data.test_images).argmax(dim=1) == deep.data.test_labels
    images, targets = deep.data.test_images[right][: size.images], deep.data.test_labels[right][: size.images]
    asked = deep.explain(deep.model, images, targets)
    chosen = {id: method for id, method in applicable(asked).items() if id in size.methods}
    before = {id: method(asked) for id, method in chosen.items()}
    fixed = {EDGES: edges(images), INPUT: images}
    everything = before | fixed
    found: dict[str, list[list[dict[str, Tensor]]]] = {id: [] for id in everything}
    moved = 0.0
    for last in range(len(deep.layers) + 1):
        drawn = [deep.explain(randomised(deep, last, SEED + 1 + draw), images, targets) for draw in range(size.draws if last else 1)]
        for id, values in everything.items():
            after_draws = [chosen[id](fresh) if id in chosen else values for fresh in drawn]
            moved = moved if last else max(moved, float((after_draws[0] - values).abs().max() / values.abs().max().clamp(min=1e-300)))
            level = [similarities(values, one, images) for one in after_draws]
            found[id].append(level if last else level * size.draws)
    after = {
        id: {measure: torch.stack([torch.stack([one[measure] for one in level]) for level in steps], dim=1) for measure in MEASURES}
        for id, steps in found.items()
    }
    other = {id: similarities(values, values.roll(1, 0), images) for id, values in everything.items()}
    return Cascade(deep, images, after, other, {id: spearman(values.abs(), images) for id, values in everything.items()}, moved)


# -- the cone of the nonnegative matrices ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cone:
    """The layers that were left as they are, as one nonnegative matrix, against the maps of LRP-alpha1-beta0 before and after."""

    last: int
    second: float
    """Mean of the second singular value over the first."""
    narrowest: float
    """Mean of the smallest cosine between two columns."""
    cosine: float
    """Mean size of the cosine between the maps."""
    slack: float
    """Smallest excess of a cosine over the smallest cosine between columns, which is its lower bound."""


def cones(name: str, size: Size) -> list[Cone]:
    """For each number of layers drawn again, compare what the rest of the network allows with what the maps do."""
    deep, images = trained_deep(name), cascade(name, size).images
    with torch.no_grad():
        targets = deep.model(images).argmax(dim=1)
    method = PIXEL_METHODS["lrp-alpha1-beta0"]
    before = method(deep.explain(deep.model, images, targets))
    found = []
    for last in range(1, len(deep.layers)):
        kept = deep.model[: deep.layers[len(deep.layers) - last]]
        columns = [_columns(kept, image.unsqueeze(0)) for image in images]
        singular = torch.tensor([_second(one) for one in columns])
        least = torch.stack([(one.T @ one).min() for one in columns])
        after = [method(deep.explain(randomised(deep, last, SEED + 1 + draw), images, targets)) for draw in range(size.draws)]
        alike = torch.stack([cosine(before, values).abs() for values in after])
        found.append(Cone(last, float(singular.mean()), float(least.mean()), float(alike.mean()), float((alike - least).min())))
    return found


def _columns(kept: nn.Module, image: Tensor) -> Tensor:
    """How each live unit's relevance is handed to the pixels: unit columns, shape (pixels, live units)."""
    matrices, answer = relevance_matrices(kept, image, rule=ZPlusRule())
    product = functools.reduce(torch.matmul, matrices)
    sizes = product.norm(dim=0)
    live = (answer > 0) & (sizes > 0)
    columns: Tensor = product[:, live] / sizes[live]
    return columns


def _second(columns: Tensor) -> float:
    values = torch.linalg.svdvals(columns)
    return float(values[1] / values[0]) if len(values) > 1 else 0.0


# -- the study -------------------------------------------------------------------------------------------------------------------------------


@reproduces("parameter-sensitivity")
def sanity_checks() -> Reproduction:
    """All methods on a convolutional and on a dense network of six layers."""
    return study(Size())


def study(size: Size) -> Reproduction:
    """The study at a given size."""
    found = [cascade(name, size) for name in size.networks]
    narrow = cones("dense", size)
    return Reproduction(
        study="parameter-sensitivity",
        script="executable.reproductions.sanity_checks:sanity_checks",
        question="Is a map still the same when the layers of the network are drawn again from the last to the first? The survey says that "
        "nonnegative backpropagation is largely independent of late parameters (Sec. IV-C, Table VI).",
        setup=_setup(size, found),
        finding=_finding(found, narrow),
        comparable=(
            "Which methods react to fresh weights in late layers, and that late weights matter less to nonnegative backpropagation than to other "
            "methods.",
        ),
        not_comparable=(
            "The degree: the survey gives no threshold and no number. The works it rests on use deep networks for photographs; ours have six "
            "layers, in which a product of nonnegative matrices is far from its limit.",
            "Similarities between methods: maps of products with the input agree wherever the picture is empty, so that each method is to be held "
            "against its own column for another picture.",
        ),
        measurements=tuple(_measurements(found, narrow)),
        controls=tuple(_controls(found)),
        tables=(*(_by_method(one) for one in found), _cone_table(narrow)),
        charts=tuple(_chart(one) for one in found),
        seed=SEED,
        versions=versions(),
    )


def family(one: Cascade, *, nonnegative: bool) -> list[str]:
    """The methods of the nonnegative family, or all other methods."""
    return [id for id in one.after if id not in (EDGES, INPUT) and (id in NONNEGATIVE) == nonnegative]


def _half(one: Cascade) -> int:
    return len(one.deep.layers) // 2


def _group(one: Cascade, last: int, *, nonnegative: bool, measure: str = "size") -> tuple[float, float]:
    """Mean similarity of a group of methods, and its standard error over the draws."""
    per_draw = torch.stack([one.after[id][measure][:, last].mean(dim=1) for id in family(one, nonnegative=nonnegative)]).mean(dim=0)
    return _spread(per_draw)


def _spread(per_draw: Tensor) -> tuple[float, float]:
    return float(per_draw.mean()), float(per_draw.std() / len(per_draw) ** 0.5) if len(per_draw) > 1 else 0.0


def _setup(size: Size, found: list[Cascade]) -> str:
    accuracies = " and ".join(f"{one.deep.accuracy:.1%} ({one.deep.name})" for one in found)
    return (
        "Two ReLU networks with six layers of weights, one of four convolutions and two linear layers and one of six linear layers of width 48, "
        f"learn the handwritten digits of scikit-learn (8 x 8 pixels); they read {accuracies} of the test images rightly. The last 1, 2, ..., 6 "
        f"layers are drawn again as before training, {size.draws} times, and {len(found[0].images)} test images are explained for their class "
        "before and after. Random numbers that a method uses are the same both times. Similarity: rank correlation of the maps, of their sizes, "
        "rank correlation of their sizes with the picture's grey values held fixed (partial), and SSIM of their sizes; a map that is the same "
        "everywhere orders nothing and counts as zero. "
        "For scale: the map of another image on the trained network, an edge detector, and random numbers. Double "
        "precision; errors are standard errors over the draws."
    )


def _finding(found: list[Cascade], narrow: list[Cone]) -> str:
    parts = []
    for one in found:
        half = _half(one)
        groups = [[_group(one, half, nonnegative=flag, measure=measure) for flag in (True, False)] for measure in ("size", "partial")]
        (near, far), (close, loose) = ([f"{mean:.2f} ± {error:.2f}" for mean, error in pair] for pair in groups)
        parts.append(
            f"With the last {half} of {len(one.deep.layers)} layers of the {one.deep.name} network drawn again, maps of nonnegative backpropagation "
            f"keep a rank correlation of {near} in size and those of the other methods {far}; with the picture held fixed, {close} and {loose}."
        )
    end = narrow[_half(found[0]) - 1]
    return (
        f"{' '.join(parts)} For LRP-$\\alpha_1\\beta_0$ on the dense "
        f"network the layers that are left bound the cosine of the maps from below: with half of them left the smallest cosine between columns is "
        f"{end.narrowest:.2f} on average, and the maps have {end.cosine:.3f}."
    )


def _measurements(found: list[Cascade], narrow: list[Cone]) -> Iterator[Measurement]:
    for one in found:
        half, whole, name = _half(one), len(one.deep.layers), one.deep.name
        for last in (1, half, whole):
            for flag, words in ((True, "nonnegative backpropagation"), (False, "other methods")):
                mean, error = _group(one, last, nonnegative=flag)
                part, part_error = _group(one, last, nonnegative=flag, measure="partial")
                which = f"{name}, last {last} of {whole} layers anew, {words}"
                yield number(f"{which}: rank correlation of sizes", mean, f"standard error {error:.2g}")
                yield number(f"{which}: the same with the picture held fixed", part, f"standard error {part_error:.2g}")
    yield at_least("dense, LRP-$\\alpha_1\\beta_0$: cosine of the maps less the smallest cosine between columns", min(c.slack for c in narrow), -1e-9,
                   "the layers that are left bound it from below")  # fmt: skip
    yield at_least("dense, LRP-$\\alpha_1\\beta_0$, last layer drawn again: mean cosine of the maps", narrow[0].cosine, stable(narrow[0].narrowest))


def _controls(found: list[Cascade]) -> Iterator[Control]:
    for one in found:
        fixed = 1 - float(one.after[EDGES]["size"].min())
        yield keeps(f"{one.deep.name}: an edge detector, which no weight enters: one minus the rank correlation", fixed, 1e-12)
        drawn = torch.stack([spearman(noise(one.images, SEED + k), noise(one.images, SEED + 99 + k)).mean() for k in range(8)])
        chance = 4 * (8 * one.images.numel()) ** -0.5
        yield keeps(f"{one.deep.name}: random numbers before and after: mean rank correlation", abs(float(drawn.mean())), chance)
        yield keeps(f"{one.deep.name}: an untouched copy of the network: largest relative difference of a map", one.moved, 1e-9)
        change = 1 - one.mean("gradient", "size", len(one.deep.layers))
        last = float(one.after["gradient"]["size"][:, 1].mean())
        yield breaks(f"{one.deep.name}: the gradient, which no cone holds, the last layer drawn again: one minus the correlation", 1 - last, 0.2)
        yield breaks(f"{one.deep.name}: the gradient with all layers drawn again: one minus the rank correlation", change, 0.5)


def _by_method(one: Cascade) -> ResultTable:
    half, whole = _half(one), len(one.deep.layers)
    order = sorted((id for id in one.after if id not in (EDGES, INPUT)), key=lambda id: -one.mean(id, "size", half))
    rows = []
    for id in (*order, EDGES, INPUT):
        cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in (_spread(one.after[id]["size"][:, last].mean(dim=1)) for last in (1, half, whole))]
        more = [one.mean(id, measure, half) for measure in ("partial", "signed", "ssim")]
        rows.append((id, "yes" if id in NONNEGATIVE else None, *cells, float(one.other[id]["size"].mean()), *more, float(one.picture[id].mean())))
    return table(
        f"similarity-{one.deep.name}",
        f"Maps before and after, {one.deep.name} network",
        f"Rank correlation of the maps' sizes with the last 1, {half} and all {whole} layers drawn again; the same between the maps of two pictures "
        f"on the trained network; with {half} layers drawn again the rank correlation with the picture held fixed, "
        "that with signs, and SSIM; and the rank correlation of the map "
        "with the picture itself, which no weights can change.",
        ("method", "nonnegative", "1 layer", f"{half} layers", "all layers", "another picture", f"{half} layers, picture fixed",
         f"{half} layers, signed", f"{half} layers, SSIM",
         "with the picture"),
        rows,
    )  # fmt: skip


def _cone_table(narrow: list[Cone]) -> ResultTable:
    return table(
        "cones",
        "What the layers that are left allow, dense network, LRP-α1β0",
        "The map is a nonnegative combination of the columns of the product of the early layers' matrices, whatever the late layers hold. So the "
        "cosine between two maps is at least the smallest cosine between two columns, and one where the product has rank one.",
        ("layers drawn again", "second singular value over the first", "smallest cosine between columns", "cosine of the maps"),
        [(str(cone.last), cone.second, cone.narrowest, cone.cosine) for cone in narrow],
    )


def _chart(one: Cascade) -> Chart:
    x = [float(last) for last in range(len(one.deep.layers) + 1)]
    curves = [_curve(one, id, x, id) for id in CHARTED if id in one.after]
    return Chart(
        id=f"cascade-{one.deep.name}",
        title=f"Similarity against the number of late layers drawn again, {one.deep.name} network",
        caption="Rank correlation of the sizes of the maps before and after; bands are standard errors over the draws. A curve that stays high "
        "belongs to a map that hardly depends on those layers. The edge detector depends on none.",
        x_label="layers drawn again, from the last",
        y_label="rank correlation of sizes",
        series=(*curves, _curve(one, EDGES, x, None)),
    )


def _curve(one: Cascade, id: str, x: list[float], method: str | None) -> Series:
    per_draw = one.after[id]["size"].mean(dim=2)
    mean = per_draw.mean(dim=0)
    error = per_draw.std(dim=0) / len(per_draw) ** 0.5 if len(per_draw) > 1 else torch.zeros_like(mean)
    return curve(id, x, mean, method=method, low=mean - error, high=mean + error)
