"""Error of sampled Shapley values against the number of model evaluations they cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from executable.methods import kernel_shap, lime, shapley_sampling, shapley_value
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
    short,
    table,
    versions,
)
from executable.reproductions.models import Trained, trained

STUDY = "shap-sample-efficiency"
SEED = 45
SIDE, IMAGES, RUNS = 4, 4, 12
EVALUATIONS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
LATE = EVALUATIONS.index(512)
Estimate = Callable[[Trained, Tensor, Tensor, int, int], Tensor]


def walks(evaluations: int, features: int = SIDE * SIDE) -> int:
    """How many random orders a number of evaluations pays for: each costs one for every feature but the last, and both ends are shared."""
    return max((evaluations - 2) // (features - 1), 1)


def _orders(name: str) -> Estimate:
    def run(network: Trained, x: Tensor, target: Tensor, evaluations: int, seed: int) -> Tensor:
        count = walks(evaluations)
        # Pairs are whole.
        count -= count % 2 if name == "antithetic" else 0
        return shapley_sampling(network.model, x, target, n_samples=count, orders=name, seed=seed)

    return run


def _kernel(network: Trained, x: Tensor, target: Tensor, evaluations: int, seed: int) -> Tensor:
    return kernel_shap(network.model, x, target, n_samples=evaluations, seed=seed)


def _lime(network: Trained, x: Tensor, target: Tensor, evaluations: int, seed: int) -> Tensor:
    return lime(network.model, x, target, n_samples=evaluations, seed=seed)


ESTIMATES: dict[str, tuple[str, str, Estimate]] = {
    "independent orders": ("Shapley sampling, independent orders", "shapley-sampling", _orders("independent")),
    "antithetic orders": ("Shapley sampling, orders with their reverses", "shapley-sampling", _orders("antithetic")),
    "kernel": ("Kernel SHAP", "kernel-shap", _kernel),
    "lime": ("LIME, held against the Shapley value", "lime", _lime),
}


def distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Relative distance of each image's attributions, shape (images,)."""
    gap: Tensor = (found - wanted).flatten(1).norm(dim=1)
    size: Tensor = gap / wanted.flatten(1).norm(dim=1)
    return size


def errors(estimate: Estimate, wanted: Tensor, network: Trained, x: Tensor, target: Tensor, runs: int = RUNS) -> Tensor:
    """Relative distance from `wanted`, shape (evaluations, runs, images)."""
    rows = [[distance(estimate(network, x, target, count, SEED + run), wanted) for run in range(runs)] for count in EVALUATIONS]
    return torch.stack([torch.stack(row) for row in rows]).detach()


def root_mean_square(found: Tensor) -> Tensor:
    """Over runs and images, shape (evaluations,)."""
    return found.square().mean(dim=(1, 2)).sqrt()


def slope(x: Tensor | tuple[int, ...], y: Tensor) -> float:
    """Slope of the straight line through log y against log x.

    >>> round(slope((1, 10, 100), torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64)), 9)
    -1.0
    """
    across, up = torch.as_tensor(x, dtype=torch.float64).log(), y.double().log()
    across, up = across - across.mean(), up - up.mean()
    return float((across @ up) / (across @ across))


def _band(name: str, method: str, found: Tensor) -> Series:
    """Root mean square over images and runs; the band runs from the least to the largest single run."""
    by_run = found.square().mean(dim=2).sqrt()
    return curve(name, EVALUATIONS, root_mean_square(found), method=method, low=by_run.amin(dim=1), high=by_run.amax(dim=1))


@reproduces(STUDY)
def sample_efficiency() -> Reproduction:
    """Shapley sampling, Kernel SHAP and LIME on one network with sixteen features."""
    network = trained("mlp", "relu", SIDE)
    x, target = network.explained(IMAGES)
    exact = shapley_value(network.model, x, target)
    limit = lime(network.model, x, target, n_samples=None).detach()
    found = {name: errors(run, exact, network, x, target) for name, (_, _, run) in ESTIMATES.items()}
    own = errors(_lime, limit, network, x, target)
    late = slope(EVALUATIONS[LATE:], root_mean_square(own)[LATE:])
    rms = {name: root_mean_square(values) for name, values in found.items()}
    slopes = {name: slope(EVALUATIONS, values) for name, values in rms.items()}
    floor = float(distance(limit, exact).square().mean().sqrt())
    saved = rms["independent orders"] / rms["kernel"]
    return Reproduction(
        study=STUDY,
        script=script_of(sample_efficiency),
        question="How fast do estimates of the Shapley value approach it with the number of model evaluations, and where does LIME go?",
        setup=f"""Handwritten digits of scikit-learn, averaged to {SIDE} × {SIDE} pixels, so that the {2 ** (SIDE * SIDE):,} coalitions can be
        enumerated and the Shapley value and the limit of LIME are exact. A perceptron of three layers with ReLU (test accuracy
        {network.accuracy:.1%}), {IMAGES} test images, the logit of the true class, baseline zero. {RUNS} seeds for each number of evaluations; LIME
        with its usual settings. A coalition that several orders visit is evaluated once, so that the number of evaluations is an upper bound.
        Errors are distances relative to the length of the target.""",
        finding=f"""With eight thousand evaluations Kernel SHAP is at {float(rms["kernel"][-1]):.1%}, Shapley sampling at
        {float(rms["independent orders"][-1]):.1%}, or {float(rms["antithetic orders"][-1]):.1%} with each order walked both ways: the order that the
        source reports. The error of independent orders falls with the exponent {slopes["independent orders"]:.2f}, as a mean of draws has to. LIME
        approaches its own limit with the exponent {late:.2f}, and that limit is {floor:.1%} away from the Shapley value: more evaluations do not
        bring the two together.""",
        comparable=("Which estimator needs fewer evaluations for the same error.", "The exponent of a mean of independent draws, −1/2."),
        not_comparable=(
            "Single numbers: models, data and the accuracy that counts are not given in the source.",
            """By how much Kernel SHAP is ahead: it depends on the number of features, since with sixteen of them a sample of thousands covers a large
            part of the coalitions.""",
        ),
        measurements=(
            at_most("|exponent + 1/2|, Shapley sampling with independent orders", abs(slopes["independent orders"] + 0.5), 0.1),
            at_most("|exponent + 1/2|, orders with their reverses", abs(slopes["antithetic orders"] + 0.5), 0.1),
            at_most(
                "|exponent + 1/2|, LIME towards its own limit",
                abs(late + 0.5),
                0.1,
                f"from {EVALUATIONS[LATE]} evaluations; before, the penalty of LIME's regression counts",
            ),
            at_most("exponent of Kernel SHAP", slopes["kernel"], -0.4),
            at_least("least quotient of the errors of Shapley sampling and Kernel SHAP, 512 evaluations and more", float(saved[3:].min()), 1.0),
            number("LIME's limit: relative distance from the Shapley value", floor),
        ),
        controls=(
            breaks("LIME against the Shapley value: exponent of the last four sizes", slope(EVALUATIONS[-4:], rms["lime"][-4:]), -0.25),
            breaks("LIME's limit taken for the Shapley value: relative distance", floor, 0.02),
        ),
        tables=(
            table(
                "evaluations",
                "Error by number of evaluations",
                "Root mean square of the relative distance from the exact Shapley value; in the last row from LIME's own limit.",
                ("Estimate", *(f"{count:,}" for count in EVALUATIONS), "Exponent"),
                (
                    *(_row(ESTIMATES[name][0], *rms[name].tolist(), slopes[name]) for name in ESTIMATES),
                    _row("LIME, held against its limit", *root_mean_square(own).tolist(), slope(EVALUATIONS, root_mean_square(own))),
                ),
            ),
        ),
        charts=(_chart(found, own),),
        seed=SEED,
        versions=versions(),
    )


def _chart(found: dict[str, Tensor], own: Tensor) -> Chart:
    start = float(root_mean_square(found["independent orders"])[0])
    guide = [short(start * 1.6 * math.sqrt(EVALUATIONS[0] / count)) for count in EVALUATIONS]
    return Chart(
        id="convergence",
        title="Error against the number of evaluations",
        caption="""Both axes are logarithmic: a straight line of slope −1/2 is the error of a mean of independent draws, four times the evaluations
        for half the error. A curve that turns level has reached the limit of its method, which is not the Shapley value. Bands run from the best to
        the worst of the runs.""",
        x_label="model evaluations",
        y_label="relative error",
        x_scale="log",
        y_scale="log",
        series=(
            *(_band(ESTIMATES[name][0], ESTIMATES[name][1], values) for name, values in found.items()),
            _band("LIME, held against its limit", "lime", own),
            curve("slope −1/2", (EVALUATIONS[0], EVALUATIONS[-1]), (guide[0], guide[-1])),
        ),
    )


def _row(*cells: str | float | None) -> tuple[str | float | None, ...]:
    return cells
