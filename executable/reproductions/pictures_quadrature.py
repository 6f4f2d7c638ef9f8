"""What the details of an implementation cost: error of integrals against their number of steps, and how far two runs of a random method differ."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from executable.methods import baylime, expected_gradients, integrated_gradients, lime, smoothgrad
from executable.reproductions.base import Chart, Reproduction, at_least, at_most, breaks, curve, number, reproduces, script_of, table, versions
from executable.reproductions.models import Trained, trained
from executable.reproductions.pictures_sampling import distance, slope

STUDY = "mind-the-implementation"
SEED = 45
SIDE, IMAGES = 4, 4
RULES = {
    "riemann_left": "left Riemann sum",
    "riemann_right": "right Riemann sum",
    "riemann_midpoint": "midpoint rule",
    "riemann_trapezoid": "trapezoid rule",
    "gauss_legendre": "Gauss–Legendre",
}
STEPS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
ROUNDING = 1e-10
"""An error below this is rounding and depends on the machine; the curve ends there."""
REFERENCE = {"softplus": ("gauss_legendre", 400), "relu": ("riemann_midpoint", 2**15)}
DRAWS, RUNS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096), 16
BACKGROUND = 32
NOISE = 0.15
Random = Callable[[Trained, Tensor, Tensor, int, int], Tensor]


def integrals(activation: str) -> dict[str, list[float]]:
    """Error of integrated gradients by rule and number of steps: root mean square over the images, relative."""
    network = trained("mlp", activation, SIDE)
    x, target = network.explained(IMAGES)
    rule, steps = REFERENCE[activation]
    wanted = integrated_gradients(network.model, x, target, n_steps=steps, method=rule, internal_batch_size=8192).detach()

    def error(method: str, count: int) -> float:
        found = integrated_gradients(network.model, x, target, n_steps=count, method=method).detach()
        return float(distance(found, wanted).square().mean().sqrt())

    return {method: [error(method, count) for count in STEPS] for method in RULES}


def order(errors: list[float], first: int = 16) -> float:
    """Minus the exponent of the error for `first` steps and more, as long as it is above rounding."""
    kept = [(count, error) for count, error in zip(STEPS, errors, strict=True) if count >= first and error > ROUNDING]
    return -slope(torch.tensor([count for count, _ in kept]), torch.tensor([error for _, error in kept], dtype=torch.float64))


def _background(network: Trained) -> Tensor:
    return network.data.train_images[:BACKGROUND]


def _expected(network: Trained, x: Tensor, target: Tensor, draws: int, seed: int) -> Tensor:
    return expected_gradients(network.model, x, target, baselines=_background(network), n_samples=draws, seed=seed)


def _smoothgrad(network: Trained, x: Tensor, target: Tensor, draws: int, seed: int) -> Tensor:
    return smoothgrad(network.model, x, target, n_samples=draws, stdevs=NOISE, seed=seed)


def _lime(network: Trained, x: Tensor, target: Tensor, draws: int, seed: int) -> Tensor:
    return lime(network.model, x, target, n_samples=draws, seed=seed)


def _baylime(network: Trained, x: Tensor, target: Tensor, draws: int, seed: int) -> Tensor:
    return baylime(network.model, x, target, n_samples=draws, seed=seed)


RANDOM: dict[str, tuple[str, Random]] = {
    "expected-gradients": ("Expected Gradients", _expected),
    "smoothgrad": ("SmoothGrad", _smoothgrad),
    "lime": ("LIME", _lime),
    "baylime": ("BayLIME, its prior from the data", _baylime),
}


def spreads(run: Random, network: Trained, x: Tensor, target: Tensor, runs: int = RUNS) -> Tensor:
    """Standard deviation between seeds relative to the length of the mean map, root mean square over images, shape (draws,)."""
    found = []
    for draws in DRAWS:
        maps = torch.stack([run(network, x, target, draws, SEED + seed) for seed in range(runs)]).detach().flatten(2)
        variance = maps.var(dim=0).sum(dim=1)
        found.append((variance / maps.mean(dim=0).square().sum(dim=1)).mean().sqrt())
    return torch.stack(found)


@reproduces(STUDY)
def implementation() -> Reproduction:
    """Quadrature rules on a smooth and on a kinked network, and the spread of four random methods."""
    smooth, kinked = integrals("softplus"), integrals("relu")
    network = trained("mlp", "softplus", SIDE)
    x, target = network.explained(IMAGES)
    spread = {method: spreads(run, network, x, target) for method, (_, run) in RANDOM.items()}
    slopes = {method: slope(DRAWS[LATE:], values[LATE:]) for method, values in spread.items()}
    orders = {method: order(errors) for method, errors in smooth.items() if method != "gauss_legendre"}
    bent = {method: order(errors) for method, errors in kinked.items()}
    few = STEPS.index(32)
    usual = DRAWS.index(1024)
    return Reproduction(
        study=STUDY,
        script=script_of(implementation),
        question="How much of an attribution is the method, and how much is the number of steps or draws that its program takes?",
        setup=f"""Perceptrons of three layers on handwritten digits averaged to {SIDE} × {SIDE} pixels, with softplus (test accuracy
        {network.accuracy:.1%}) and ReLU, {IMAGES} test images, the logit of the true class. Integrated Gradients from zero by five rules, held
        against Gauss–Legendre with {REFERENCE["softplus"][1]} points, for ReLU against the midpoint rule with {REFERENCE["relu"][1]:,}. Random
        methods: the standard deviation between {RUNS} seeds, relative to the length of the mean map; {BACKGROUND} training images as background,
        noise of {NOISE} for SmoothGrad, LIME with its usual settings.""",
        finding=f"""On the smooth network 32 steps leave {smooth["riemann_left"][few]:.2g} with a left sum, {smooth["riemann_midpoint"][few]:.5f} with
        midpoints and rounding with Gauss–Legendre. On the ReLU network the gradient jumps along the path and no rule is better than of order one:
        Gauss–Legendre with 32 steps leaves {kinked["gauss_legendre"][few]:.2g}. Two runs of LIME with a thousand draws differ by
        {float(spread["lime"][usual]):.1%} of the map, of Expected Gradients by {float(spread["expected-gradients"][usual]):.1%}, and halving that
        takes four times the draws.""",
        comparable=("That repeated runs of LIME disagree, and that the disagreement is a matter of the number of draws.",),
        not_comparable=(
            "How large the disagreement is: the source gives no numbers, and it depends on the network and on the number of features.",
            "BayLIME with a prior from other knowledge, for which it was made: here it has only the data.",
        ),
        measurements=(
            *(at_most(f"|order − 1|, {RULES[m]}, softplus", abs(orders[m] - 1), 0.15) for m in ("riemann_left", "riemann_right")),
            *(at_most(f"|order − 2|, {RULES[m]}, softplus", abs(orders[m] - 2), 0.15) for m in ("riemann_midpoint", "riemann_trapezoid")),
            at_most("Gauss–Legendre with 32 steps, softplus: relative error", smooth["gauss_legendre"][few], 1e-9),
            *(at_most(f"order with ReLU, {RULES[m]}", bent[m], 1.6, "one and no more, up to the accidents of where the kinks lie") for m in RULES),
            at_least("Gauss–Legendre with 32 steps, ReLU: relative error", kinked["gauss_legendre"][few], 1e-4),
            *(at_most(f"|exponent + 1/2|, {RANDOM[m][0]}", abs(slopes[m] + 0.5), 0.1) for m in RANDOM),
            *(number(f"spread with 1024 draws, {RANDOM[m][0]}", float(spread[m][usual])) for m in RANDOM),
        ),
        controls=(
            breaks("left Riemann sum held against order two", abs(orders["riemann_left"] - 2), 0.15),
            breaks("Gauss–Legendre on the ReLU network held against the smooth one's bound", kinked["gauss_legendre"][few], 1e-9),
        ),
        tables=(
            table(
                "orders",
                "Order of each rule",
                """How fast the error falls from 16 steps on: by the steps to the power of minus the order. Gauss–Legendre has no order on a smooth
                function, its error falls faster than any power and with 32 steps is rounding, printed as zero.""",
                ("Rule", "Softplus", "ReLU", "Error with 32 steps, softplus", "ReLU"),
                ((name, orders.get(m), bent[m], smooth[m][few] if smooth[m][few] > ROUNDING else 0.0, kinked[m][few]) for m, name in RULES.items()),
            ),
        ),
        charts=(_rules("smooth", "softplus", smooth), _rules("kinked", "ReLU", kinked), _spread(spread)),
        seed=SEED,
        versions=versions(),
    )


LATE = 2
"""Exponents are fitted from the third number of draws on, where LIME's penalty has lost its weight."""


def _rules(id: str, network: str, errors: dict[str, list[float]]) -> Chart:
    series = []
    for method, name in RULES.items():
        seen = [(count, value) for count, value in zip(STEPS, errors[method], strict=True) if value > ROUNDING]
        series.append(curve(name, [count for count, _ in seen], [value for _, value in seen], method="integrated-gradients"))
    said = {
        "smooth": """The gradient is smooth along the path: sums with an end have order one, midpoints and trapezoids order two, and Gauss–Legendre is
        exact up to rounding after a few steps, where its curve ends.""",
        "kinked": """The gradient is constant between kinks and jumps at them: every rule errs by about one step's share of a jump, whatever its order
        on smooth functions.""",
    }
    return Chart(
        id=f"quadrature-{id}",
        title=f"Integrated Gradients by rule and number of steps, {network} network",
        caption=said[id],
        x_label="gradients taken",
        y_label="relative error",
        x_scale="log",
        y_scale="log",
        series=tuple(series),
    )


def _spread(spread: dict[str, Tensor]) -> Chart:
    start = 1.5 * max(float(values[0]) for values in spread.values())
    return Chart(
        id="spread",
        title="How far two runs differ, by number of draws",
        caption="""Standard deviation between seeds relative to the length of the mean map, both axes logarithmic. All fall with slope −1/2 in the
        end: no implementation escapes it, and what differs between methods is where the line starts.""",
        x_label="draws",
        y_label="relative standard deviation",
        x_scale="log",
        y_scale="log",
        series=(
            *(curve(RANDOM[m][0], DRAWS, values, method=m) for m, values in spread.items()),
            curve("slope −1/2", (DRAWS[0], DRAWS[-1]), (start, start * math.sqrt(DRAWS[0] / DRAWS[-1]))),
        ),
    )
