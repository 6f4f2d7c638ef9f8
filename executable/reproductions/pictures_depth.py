"""How far the maps of two classes point the same way, drawn against the depth of a random network."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from executable.checks.sensitivity import ALPHA1, CLASSES, DEEP, GRADIENT, MAPS, NETWORKS, WIDTH, Map, class_cosines, networks
from executable.methods import deeplift_revealcancel
from executable.reproductions.base import (
    Chart,
    Reproduction,
    Series,
    at_least,
    at_most,
    breaks,
    curve,
    number,
    reproduces,
    script_of,
    table,
    versions,
)

STUDY = "nonnegative-products-approach-rank-one"
SEED = 300
DEPTHS = (2, 4, 6, 8, 12, 16, 20, 24)
EIGHT = DEPTHS.index(8)
PAIRS = 200
ROUNDING = 1e-12
"""A distance below this is drawn no more: it depends on the machine."""


def revealcancel(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    """DeepLIFT with RevealCancel from the baseline zero."""
    return deeplift_revealcancel(model, x, target, baselines=0.0)


COVERED: dict[str, tuple[str, Map]] = {
    "excitation-backprop": ("Excitation Backprop", MAPS["excitation-backprop"]),
    "deep-taylor-decomposition": ("Deep Taylor", MAPS["deep-taylor-decomposition"]),
    "lrp-alpha1-beta0": ("LRP-α1β0", ALPHA1),
    "guided-backprop": ("Guided Backprop", MAPS["guided-backprop"]),
    "rect-gradient": ("RectGrad, 75th percentile", MAPS["rect-gradient"]),
    "deconv": ("Deconv", MAPS["deconv"]),
}
"""The methods that the theorem is said to be about: id, name on the drawing, map."""
SIGNED: dict[str, tuple[str, Map]] = {
    "gradient": ("Gradient", GRADIENT),
    "lrp-alpha-beta": ("LRP-α2β1", MAPS["lrp-alpha-beta"]),
    "deeplift-revealcancel": ("RevealCancel", revealcancel),
}
"""Methods whose steps have entries of both signs."""
SIZES = ("gradient", "deeplift-revealcancel")
"""Those of them for which the mean of the cosines' sizes is drawn as well."""


def by_network(method: Map, depth: int) -> Tensor:
    """Mean cosine and mean size of the cosine, shape (2, networks), for the random networks of one depth."""
    rows = [class_cosines(method, [drawn]) for drawn in networks(depth)]
    found = torch.tensor(rows, dtype=torch.float64)
    return torch.stack([found.mean(dim=1), found.abs().mean(dim=1)])


def gap(method: Map, depth: int) -> float:
    """One minus the mean cosine, from the difference of the unit vectors, which keeps its digits where the cosine rounds to one."""
    rows = []
    for model, x in networks(depth):
        maps = method(model, x.expand(CLASSES, -1), torch.arange(CLASSES)).detach()
        unit = maps / maps.norm(dim=1, keepdim=True)
        rows += [(unit[i] - unit[j]).square().sum() / 2 for i, j in itertools.combinations(range(CLASSES), 2)]
    return float(torch.stack(rows).mean())


def against_depth(method: Map, depths: tuple[int, ...] = DEPTHS) -> Tensor:
    """`by_network` at each depth, shape (depths, 2, networks)."""
    return torch.stack([by_network(method, depth) for depth in depths])


def independent(*, positive: bool) -> float:
    """Mean cosine between vectors drawn independently, with positive entries or with entries of both signs."""
    generator = torch.Generator().manual_seed(SEED)
    a, b = (torch.randn(PAIRS, WIDTH, generator=generator, dtype=torch.float64) for _ in range(2))
    if positive:
        a, b = a.abs(), b.abs()
    return float(torch.nn.functional.cosine_similarity(a, b).mean())


def _band(name: str, method: str, found: Tensor) -> Series:
    """The mean over the networks, with the least and the largest of them as its band."""
    return curve(name, DEPTHS, found.mean(dim=1), method=method, low=found.amin(dim=1), high=found.amax(dim=1))


def _level(name: str, value: float) -> Series:
    return curve(name, (DEPTHS[0], DEPTHS[-1]), (value, value))


def _covered(found: dict[str, Tensor]) -> Chart:
    return Chart(
        id="class-cosine",
        title="Maps of two classes against depth: the methods of the family",
        caption="""A cosine of 1 means that two classes have the same map, up to its size. The line is the mean over the networks, the band runs from
        the least of them to the largest. The theorem speaks of the limit; what a reader meets is how soon it is reached. Independent vectors with
        positive entries already have a cosine of about 2/π, so that only what lies above that line says something about depth.""",
        x_label="linear layers",
        y_label="mean cosine between the maps of two classes",
        series=(
            *(_band(name, method, found[method][:, 0]) for method, (name, _) in COVERED.items()),
            _level("independent vectors, positive entries", independent(positive=True)),
        ),
    )


def _rates(gaps: dict[str, list[float]]) -> Chart:
    series = []
    for method, (name, _) in COVERED.items():
        seen = [(depth, value) for depth, value in zip(DEPTHS, gaps[method], strict=True) if value > ROUNDING]
        series.append(curve(name, [depth for depth, _ in seen], [value for _, value in seen], method=method))
    return Chart(
        id="distance-from-one-direction",
        title="Distance from one direction, on a logarithmic scale",
        caption="""One minus the mean cosine of the methods above. With nonnegative matrices it falls along a straight line, by the same factor with
        every layer, until it is rounding, where the curve ends; Excitation Backprop and LRP-α1β0 lie on one another. The other three fall more
        slowly, Deconv least of all.""",
        x_label="linear layers",
        y_label="one minus the mean cosine",
        y_scale="log",
        series=tuple(series),
    )


def _signed(found: dict[str, Tensor]) -> Chart:
    return Chart(
        id="class-cosine-signed",
        title="Maps of two classes against depth: steps of both signs",
        caption="""The same networks and inputs. The gradient and RevealCancel are drawn twice: the mean of the cosines, and the mean of their sizes,
        in which opposite maps count as one direction; the former have no band, since it would fill the figure. RevealCancel ends in one direction up
        to the sign, so that its mean cosine wanders about zero while its size goes to one. Vectors drawn with entries of both signs
        give the lower level line.""",
        x_label="linear layers",
        y_label="mean cosine between the maps of two classes",
        series=(
            *(
                curve(name, DEPTHS, found[m][:, 0].mean(dim=1), method=m) if m in SIZES else _band(name, m, found[m][:, 0])
                for m, (name, _) in SIGNED.items()
            ),
            *(_band(f"{SIGNED[m][0]}, size of the cosine", m, found[m][:, 1]) for m in SIZES),
            _level("independent vectors, positive entries", independent(positive=True)),
            _level("independent vectors, both signs", independent(positive=False)),
        ),
    )


@reproduces(STUDY)
def class_directions() -> Reproduction:
    """The cosine between the maps of two classes for nine methods and eight depths, with the levels that chance gives."""
    found = {method: against_depth(run) for method, (_, run) in (*COVERED.items(), *SIGNED.items())}
    mean = {method: values.mean(dim=2) for method, values in found.items()}
    deep, last = DEPTHS.index(DEEP), len(DEPTHS) - 1
    null, apart = independent(positive=True), independent(positive=False)
    exact = ("excitation-backprop", "deep-taylor-decomposition", "lrp-alpha1-beta0")
    gaps = {m: [gap(run, depth) for depth in DEPTHS] for m, (_, run) in COVERED.items()}
    return Reproduction(
        study=STUDY,
        script=script_of(class_directions),
        question="""How deep does a network have to be before the maps of different classes point the same way, and for which methods does that
        happen at all?""",
        setup=f"""{NETWORKS} random ReLU networks without biases for each depth, width {WIDTH}, normal weights of variance 2 / {WIDTH}, {CLASSES}
        outputs, one input with positive entries each; the cosine between the maps of each two outputs. Every map starts from 1 at the output, so that
        the sign of the output does not enter. RevealCancel has the baseline zero. Double precision.""",
        finding=f"""The three rules whose steps are nonnegative matrices are within {_power(max(gaps[m][EIGHT] for m in exact))} of one direction
        with {DEPTHS[EIGHT]} layers already. Guided Backprop, RectGrad and Deconv, whose steps depend on the signal, take longer and reach
        {_last(mean, "guided-backprop"):.3f}, {_last(mean, "rect-gradient"):.3f} and {_last(mean, "deconv"):.3f} with {DEPTHS[-1]}. The theorem
        does not cover RevealCancel: opposite maps are about as frequent as equal ones there, and only the size of its cosine,
        {_last(mean, "deeplift-revealcancel", 1):.3f} with {DEPTHS[-1]} layers, shows that one direction is left. The gradient's mean cosine stays
        near zero as well; its size grows too, more slowly, to {_last(mean, "gradient", 1):.2f}.""",
        comparable=("The direction of the effect: closer maps with more layers, for the methods with nonnegative steps.",),
        not_comparable=(
            "Trained networks: weights learned from data mix less evenly than random ones, and convolutions mix less than full layers.",
            "Networks with blocks side by side: there the maps of the blocks stay apart at any depth, which the checks of these claims show.",
        ),
        measurements=(
            *(at_most(f"one minus the mean cosine at depth {DEPTHS[EIGHT]}, {COVERED[m][0]}", gaps[m][EIGHT], 1e-3) for m in exact),
            *(
                at_least(f"mean cosine at depth {DEPTHS[-1]}, {COVERED[m][0]}", float(mean[m][last, 0]), 0.9)
                for m in ("guided-backprop", "rect-gradient", "deconv")
            ),
            *(
                at_least(f"growth of the mean cosine from depth {DEPTHS[0]} to {DEPTHS[-1]}, {name}", float(mean[m][last, 0] - mean[m][0, 0]), 0.02)
                for m, (name, _) in COVERED.items()
            ),
            at_most("largest size of the gradient's mean cosine at any depth", float(mean["gradient"][:, 0].abs().max()), 0.5),
            at_most("distance of the positive level from 2/π", abs(null - 2 / math.pi), 0.02),
            at_most("size of the level with both signs", abs(apart), 0.05),
            at_most("largest size of RevealCancel's mean cosine at any depth", float(mean["deeplift-revealcancel"][:, 0].abs().max()), 0.6),
            at_least(f"mean size of RevealCancel's cosine at depth {DEPTHS[-1]}", _last(mean, "deeplift-revealcancel", 1), 0.9),
            *(
                number(f"mean size of the gradient's cosine at depth {d}", float(mean["gradient"][k, 1]))
                for k, d in ((0, DEPTHS[0]), (last, DEPTHS[-1]))
            ),
        ),
        controls=(
            breaks(f"the gradient at depth {DEEP}: one minus the mean cosine", 1 - float(mean["gradient"][deep, 0]), 0.1),
            breaks("vectors with entries of both signs: one minus the mean cosine", 1 - apart, 0.1),
            breaks("independent vectors with positive entries: one minus the mean cosine", 1 - null, 0.1),
        ),
        tables=(
            table(
                "depths",
                "Mean cosine by depth",
                "The means of the figures below; the last two rows count opposite maps as one direction.",
                ("Method", *(f"{depth} layers" for depth in DEPTHS)),
                (
                    *(_row(m, *mean[m][:, 0].tolist()) for m in (*COVERED, *SIGNED)),
                    *(_row(f"{SIGNED[m][0]}, size of the cosine", *mean[m][:, 1].tolist()) for m in SIZES),
                ),
            ),
        ),
        charts=(_covered(found), _rates(gaps), _signed(found)),
        seed=SEED,
        versions=versions(),
    )


def _last(mean: dict[str, Tensor], method: str, row: int = 0) -> float:
    """The mean cosine (row 0) or its mean size (row 1) at the largest depth."""
    return float(mean[method][-1, row])


def _power(value: float) -> str:
    """A small number as a power of ten that it does not exceed."""
    return f"$10^{{{math.ceil(math.log10(value))}}}$"


def _row(*cells: str | float | None) -> tuple[str | float | None, ...]:
    return cells
