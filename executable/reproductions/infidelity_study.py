"""Infidelity against the number of principles satisfied (Taylor paper, Fig. 5(a)), by the printed equation and in the units of contributions."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.metrics import infidelity, square_masks
from executable.reproductions.base import (
    Chart,
    Reproduction,
    ResultTable,
    at_least,
    at_most,
    breaks,
    curve,
    keeps,
    number,
    rank_correlation,
    reproduces,
    script_of,
    table,
    versions,
)
from executable.reproductions.infidelity_methods import IMAGES, METHODS, ORDERS, SLOPES, Case, applicable
from executable.reproductions.models import trained
from taxonomy.evidence import Control, Measurement

SEED = 50
SIDES = (1, 2, 3, 4, 5)
NETWORKS = (("mlp", "sigmoid"), ("mlp", "softplus"), ("cnn", "sigmoid"), ("cnn", "softplus"))
ROUNDING = 1e-9
SPREAD = 10.0


@dataclass(frozen=True, eq=False)
class Measured:
    """Attributions on one network and their infidelities, with a row for each side of the square and a column for each image."""

    case: Case
    maps: dict[str, Tensor]
    """The attributions of the methods of Table VI."""
    none: Tensor
    """Of attributions that are zero everywhere: the mean square of the change itself."""
    literal: dict[str, Tensor]
    """Eq. 50 as printed."""
    summed: dict[str, Tensor]
    """The sum over the square in place of the scalar product."""
    scaled: dict[str, Tensor]
    """The same after the factor that serves each image best, in one row."""

    def relative(self, found: Tensor) -> float:
        """Mean infidelity over squares and images, in parts of that of zero attributions."""
        return float(found.mean() / self.none.mean())

    def table(self, form: str) -> dict[str, float]:
        """Relative infidelity of each method."""
        return {name: self.relative(found) for name, found in getattr(self, form).items()}


def cases() -> list[Case]:
    """The four networks with the first images that each reads rightly."""
    found = []
    for kind, activation in NETWORKS:
        network = trained(kind, activation)
        found.append(Case(network, *network.explained(IMAGES), kind == "cnn"))
    return found


def squares(case: Case, side: int) -> Tensor:
    """Every square of a side, shape (squares, 1, 1, height, width)."""
    height, width = case.x.shape[-2:]
    return square_masks(height, width, side)[:, :, None]


def of(case: Case, attributions: Tensor, *, summed: bool = True) -> Tensor:
    """Infidelity under the removal of squares, in which pixels become zero; shape (sides, images)."""
    rows = []
    for side in SIDES:
        masks = squares(case, side)
        removed = masks.to(case.x) * case.x
        model, x, target = case.call
        rows.append(infidelity(model, x, attributions, removed, target, masks=masks if summed else None))
    return torch.stack(rows)


def best_scaled(none: Tensor, plus: Tensor, minus: Tensor) -> Tensor:
    """Mean infidelity of each image after the factor that serves it best, shape (1, images).

    Infidelity is quadratic in the factor: its values at 0, 1 and -1 say where it is least.
    """
    start, bend, tilt = none.mean(dim=0), ((plus + minus) / 2 - none).mean(dim=0), ((minus - plus) / 4).mean(dim=0)
    gain = torch.where(bend > 0, tilt.square() / bend.clamp(min=1e-300), torch.zeros_like(bend))
    return (start - gain).unsqueeze(0)


def least(case: Case) -> Tensor:
    """Attributions of the least infidelity in sums that any can have: least squares on the very squares that judge them."""
    model, x, target = case.call
    factors, changes = [], []
    for side in SIDES:
        masks = squares(case, side)
        moved = (x - masks.to(x) * x).flatten(0, 1)
        whole = model(x).gather(1, target.unsqueeze(1)).T
        left = model(moved).gather(1, target.repeat(len(masks)).unsqueeze(1)).reshape(len(masks), len(x))
        weight = len(masks) ** -0.5  # every side counts alike
        factors.append(weight * masks.to(x).flatten(1))
        changes.append(weight * (whole - left))
    solution: Tensor = torch.linalg.lstsq(torch.cat(factors), torch.cat(changes)).solution
    return solution.T.reshape(x.shape)


@functools.cache
def measured() -> tuple[Measured, ...]:
    """All methods on all networks."""
    found = []
    for case in cases():
        maps = {name: method.attributions(case).detach() for name, method in applicable(case).items()}
        slopes = {name: method(case).detach() for name, (_, method) in SLOPES.items()}
        none = of(case, torch.zeros_like(case.x))
        summed = {name: of(case, a) for name, a in maps.items()}
        literal = {name: of(case, a, summed=False) for name, a in (maps | slopes).items()}
        scaled = {name: best_scaled(none, summed[name], of(case, -a)) for name, a in maps.items()}
        found.append(Measured(case, maps, none, literal, summed, scaled))
    return tuple(found)


def correlation(values: dict[str, float]) -> float:
    """Rank correlation between the number of principles satisfied and infidelity over the methods of Table VI; negative if more means lower."""
    names = [name for name in METHODS if name in values]
    return rank_correlation(torch.tensor([float(METHODS[n].count) for n in names]), torch.tensor([values[n] for n in names], dtype=torch.float64))


def by_image(found: Measured, form: str) -> list[float]:
    """The same correlation for each image by itself."""
    values = {name: value.mean(dim=0) for name, value in getattr(found, form).items()}
    return [correlation({name: float(value[k]) for name, value in values.items()}) for k in range(len(found.case.x))]


def linear(unit: float = 1.0) -> dict[str, tuple[float, float]]:
    """Both forms on f(x) = x1 - 2 x2 at (2, 3), over the removal of every subset: infidelity of the slopes and of the contributions.

    With another `unit` the same model reads inputs that are `unit` times as large.
    """
    w, x = torch.tensor([1.0, -2.0], dtype=torch.float64) / unit, torch.tensor([[2.0, 3.0]], dtype=torch.float64) * unit
    masks = torch.tensor([[[False, False]], [[True, False]], [[False, True]], [[True, True]]])
    explained = {"slopes (1, −2)": w.expand(1, 2), "contributions (2, −6)": w * x}

    def model(rows: Tensor) -> Tensor:
        return rows @ w

    return {
        name: (float(infidelity(model, x, a, masks * x)), float(infidelity(model, x, a, masks * x, masks=masks))) for name, a in explained.items()
    }


def groups(found: tuple[Measured, ...], form: str = "summed") -> tuple[float, float]:
    """Median relative infidelity of the methods that satisfy all three principles and of the others, over all networks."""
    pairs = [(METHODS[name].count == 3, value) for one in found for name, value in one.table(form).items() if name in METHODS]
    full, others = (torch.tensor([value for all_, value in pairs if all_ is wanted], dtype=torch.float64) for wanted in (True, False))
    return float(full.median()), float(others.median())


def _span(values: list[float], form: str) -> str:
    return f"{form.format(min(values))} to {form.format(max(values))}"


def _between(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}".replace("-", "−")


def _numbers(
    found: tuple[Measured, ...], forms: dict[str, list[float]], images: Tensor, line: dict[str, tuple[float, float]]
) -> tuple[Measurement, ...]:
    (slope_printed, slope_summed), (share_printed, share_summed) = line.values()
    return (
        at_most("linear model, slopes by Eq. 50", slope_printed, ROUNDING),
        at_most("linear model, contributions in sums", share_summed, ROUNDING),
        at_least("linear model, contributions by Eq. 50", share_printed, SPREAD),
        number("linear model, slopes in sums", slope_summed),
        *(
            number(f"rank correlation of principles and infidelity, {WORDS[form]}, {one.case.network.name}", value)
            for form, values in forms.items() for one, value in zip(found, values, strict=True)
        ),
        number("share of images on which the correlation in sums is negative", float((images < 0).double().mean())),
        number("standard deviation over images of the correlation in sums", float(images.std())),
    )  # fmt: skip


def _controls(found: tuple[Measured, ...], floors: list[float]) -> tuple[Control, ...]:
    other = min(
        one.relative(of(one.case, one.maps["integrated-gradients"].roll(1, dims=0))) / one.table("summed")["integrated-gradients"] for one in found
    )
    best = max(floor / min(one.table("summed").values()) for one, floor in zip(found, floors, strict=True))
    before, after = (linear(unit)["contributions (2, −6)"] for unit in (1.0, 10.0))
    return (
        breaks("Integrated Gradients of the next image in place of its own: least factor by which infidelity grows", other, 2.0),
        keeps("least-squares attributions, which no method can beat: largest quotient of their infidelity and that of the best method", best, 1.0),
        breaks(
            "inputs of the linear model in units a tenth as large: change of Eq. 50 for the same contributions", abs(after[0] - before[0]), SPREAD
        ),
        keeps("the same in sums", abs(after[1] - before[1]), ROUNDING),
    )


WORDS = {"summed": "in sums", "literal": "Eq. 50 as printed", "scaled": "in sums with the best factor"}
LACKING = ("low approximation error", "avoiding unrelated allocation", "complete allocation")


def _method_table(found: tuple[Measured, ...], floors: list[float]) -> ResultTable:
    columns = [one.case.network.name for one in found]
    rows: list[tuple[str | float | None, ...]] = []
    tables = {form: [one.table(form) for one in found] for form in WORDS}
    for name, method in METHODS.items():
        missing = [text for text, kept in zip(LACKING, method.principles, strict=True) if not kept]
        label = "3" if not missing else f"{method.count}, misses {' and '.join(missing)}"
        means = [_mean([values[name] for values in tables[form] if name in values]) for form in ("literal", "scaled")]
        rows.append((method.name, label, *(values.get(name) for values in tables["summed"]), *means))
    rows.sort(key=lambda row: _mean([cell for cell in row[2 : 2 + len(found)] if isinstance(cell, float)]))
    for name, (label, _) in SLOPES.items():
        rows.append((label, "not judged", *(None for _ in found), _mean([values[name] for values in tables["literal"]]), None))
    rows.append(("least possible", None, *floors, None, None))
    return table(
        "methods",
        "Infidelity of each method",
        """In parts of the infidelity of zero attributions; below one is better than no attribution. The four networks in sums of contributions; then
        the mean over the networks by Eq. 50 as printed and in sums after the factor that serves each image best. The last row is what least squares
        on the same squares attain.""",
        ("Method", "Principles satisfied", *columns, "Eq. 50, mean", "best factor, mean"),
        rows,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _unit_table(line: dict[str, tuple[float, float]]) -> ResultTable:
    return table(
        "units",
        "Both forms on a linear model",
        """f = x1 − 2 x2 at (2, 3), every subset of the two features set to zero. Its slopes and its contributions are both a perfect explanation;
        each form takes only one of them for perfect.""",
        ("Attributions", "Eq. 50 as printed", "in sums"),
        [(name, *values) for name, values in line.items()],
    )


def _settings_table() -> ResultTable:
    return table(
        "settings",
        "How each method was called",
        "Settings that differ from the defaults of the reference functions.",
        ("Method", "Settings"),
        [(m.name, m.settings) for m in METHODS.values()],
    )


def _figure(found: tuple[Measured, ...]) -> Chart:
    series = []
    for place, one in enumerate(found):
        values = {name: value for name, value in one.table("summed").items() if name in METHODS}
        series.append(curve(one.case.network.name, [METHODS[n].count + 0.12 * (place - 1.5) for n in values], list(values.values())))
    return Chart(
        id="figure-5a",
        title="Infidelity against the number of principles satisfied",
        caption="""One point for each method and network, in sums of contributions; the networks are set apart sideways. Fig. 5(a) of the paper has
        the same axes.""",
        x_label="principles satisfied",
        y_label="infidelity (zero attributions: 1)",
        y_scale="log",
        marks="points",
        series=tuple(series),
    )


def _sides_chart(found: tuple[Measured, ...]) -> Chart:
    series = []
    for label, wanted in (("all three principles", True), ("fewer", False)):
        values = torch.stack([
            value.mean(dim=1) / one.none.mean(dim=1)
            for one in found for name, value in one.summed.items() if (METHODS[name].count == 3) is wanted
        ])  # fmt: skip
        low, middle, high = (values.quantile(q, dim=0) for q in (0.25, 0.5, 0.75))
        series.append(curve(label, SIDES, middle, low=low, high=high))
    return Chart(
        id="sides",
        title="Infidelity by the size of the removed square",
        caption="Median over methods and networks, in sums of contributions; the band holds the middle half.",
        x_label="side of the square in pixels",
        y_label="infidelity (zero attributions: 1)",
        y_scale="log",
        series=tuple(series),
    )


@reproduces("infidelity-study")
def infidelity_study() -> Reproduction:
    """Rerun the study."""
    found = measured()
    forms = {form: [correlation(one.table(form)) for one in found] for form in ("summed", "literal", "scaled")}
    images = torch.tensor([value for one in found for value in by_image(one, "summed")], dtype=torch.float64)
    full, others = groups(found)
    line = linear()
    floors = [one.relative(of(one.case, least(one.case))) for one in found]
    return Reproduction(
        study="infidelity-study",
        script=script_of(infidelity_study),
        question="Do methods that satisfy more of the three principles have a lower infidelity?",
        setup=f"""Four networks on the digits of scikit-learn (8 × 8 pixels): perceptrons of three layers and convolutional networks of three layers,
        each with sigmoid and with softplus (test accuracy {_span([one.case.network.accuracy for one in found], "{:.1%}")}). The logit of the true
        class of {IMAGES} test images is explained by the fourteen methods of the paper's Table VI, Grad-CAM on the convolutional networks only, the
        Shapley value from {ORDERS} orders of the pixels. Perturbation: every square of {SIDES[0]} to {SIDES[-1]} pixels on a side is set to zero,
        each side counting alike. Infidelity is given in parts of that of attributions that are zero everywhere.""",
        finding=f"""In sums of contributions, methods that satisfy all three principles have a median infidelity of {full:.2f}, the others of
        {others:.2f}; the rank correlation with the number of principles is {_between(forms["summed"])} on the four networks. By Eq. 50 as printed,
        which takes attributions for slopes, it is {_between(forms["literal"])}, and the exact contributions of a linear model get
        {line["contributions (2, −6)"][0]:.0f} where its slopes get zero. With the best factor for each image, which leaves only the pattern of the
        attributions to be judged, it is {_between(forms["scaled"])}.""",
        comparable=("The direction of the relation: lower infidelity for methods that satisfy all three principles.",),
        not_comparable=(
            "The infidelities themselves: the paper prints none, and neither sizes of squares nor units of the attributions.",
            """The principles as a cause: the six methods that satisfy all three are those whose attributions add up to a change of the output, which
            is what the larger squares ask for. Methods that refer to training images are judged by a removal to zero that they do not describe.""",
            "The number of principles takes three values on fourteen methods, so a rank correlation rests on few distinctions.",
        ),
        measurements=_numbers(found, forms, images, line),
        controls=_controls(found, floors),
        tables=(_method_table(found, floors), _unit_table(line), _settings_table()),
        charts=(_figure(found), _sides_chart(found)),
        seed=SEED,
        versions=versions(),
    )
