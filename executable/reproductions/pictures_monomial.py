"""How methods share out one monomial: weights read off each method's answers, with the formula known to nobody but the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from executable.methods import (
    banzhaf_value,
    expected_gradients,
    grad_times_input,
    integrated_gradients,
    kernel_shap,
    lime,
    occlusion_1,
    path_integrated_gradients,
    shapley_value,
)
from executable.reproductions.base import Chart, Reproduction, at_most, breaks, curve, reproduces, script_of, table, versions

STUDY = "monomial-allocation"
SEED = 45
DEGREES = (2, 1, 2)
POINTS = 6
BEND = 2.0
"""The bent path runs through b + (t, t^2, t) (x - b): the second variable comes later."""
EXACT = 1e-8
Attribute = Callable[..., Tensor]


def monomial(x: Tensor) -> Tensor:
    """x1^2 x2 x3^2, rows to values."""
    return x[:, 0] ** 2 * x[:, 1] * x[:, 2] ** 2


def _bent(t: Tensor, x: Tensor, b: Tensor) -> Tensor:
    powers = t.new_tensor([1.0, BEND, 1.0])
    return b + t**powers * (x - b)


def _path(model: Callable[[Tensor], Tensor], x: Tensor, baselines: Tensor) -> Tensor:
    return path_integrated_gradients(model, x, path=_bent, baselines=baselines)


def _times_input(model: Callable[[Tensor], Tensor], x: Tensor, baselines: Tensor) -> Tensor:
    return grad_times_input(model, x)


def _expected(model: Callable[[Tensor], Tensor], x: Tensor, baselines: Tensor) -> Tensor:
    return expected_gradients(model, x, baselines=baselines[:1])


def _kernel(model: Callable[[Tensor], Tensor], x: Tensor, baselines: Tensor) -> Tensor:
    return kernel_shap(model, x, baselines=baselines)


def _lime(model: Callable[[Tensor], Tensor], x: Tensor, baselines: Tensor) -> Tensor:
    # Every coalition once, all with the same weight, no penalty: what is left is the regression itself.
    return lime(model, x, baselines=baselines, n_samples=None, distance="none", alpha=0.0)


METHODS: dict[str, tuple[str, Attribute, tuple[float, float, float], str]] = {
    "integrated-gradients": ("Integrated Gradients", integrated_gradients, (0.4, 0.2, 0.4), "relative degree"),
    "expected-gradients": ("Expected Gradients, one baseline", _expected, (0.4, 0.2, 0.4), "relative degree"),
    "path-integrated-gradients": ("Path IG, bent path", _path, (1 / 3, 1 / 3, 1 / 3), "degree times the speed of the path"),
    "shapley-value": ("Shapley value", shapley_value, (1 / 3, 1 / 3, 1 / 3), "one over the number of variables"),
    "kernel-shap": ("Kernel SHAP", _kernel, (1 / 3, 1 / 3, 1 / 3), "one over the number of variables"),
    "banzhaf-value": ("Banzhaf value", banzhaf_value, (0.25, 0.25, 0.25), "one over two to the number of partners"),
    "lime": ("LIME, all coalitions, equal weights", _lime, (0.25, 0.25, 0.25), "slope of the regression"),
    "occlusion-1": ("Occlusion-1", occlusion_1, (1.0, 1.0, 1.0), "the whole effect"),
    "grad-times-input": ("Gradient × Input", _times_input, (2.0, 1.0, 2.0), "the degree"),
}
"""Id, name, function, the weights that theory gives, the rule in words."""


def points() -> Tensor:
    """Inputs with entries of both signs, none near zero, shape (points, 3)."""
    generator = torch.Generator().manual_seed(SEED)
    size = 0.5 + 1.5 * torch.rand(POINTS, len(DEGREES), generator=generator, dtype=torch.float64)
    sign = torch.randint(0, 2, size.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return size * sign


def weights(method: str, model: Callable[[Tensor], Tensor] = monomial) -> Tensor:
    """Attribution over effect at each point, shape (points, 3), asked one input at a time with the baseline zero."""
    run = METHODS[method][1]
    rows = []
    for x in (point.unsqueeze(0) for point in points()):
        rows.append(run(model, x, baselines=torch.zeros_like(x)) / model(x).unsqueeze(1))
    return torch.cat(rows).detach()


def spread(found: Tensor) -> float:
    """Largest difference between the weights at two points: zero where the method has weights at all."""
    return float((found.amax(dim=0) - found.amin(dim=0)).max())


def _two_terms(x: Tensor) -> Tensor:
    return monomial(x) + x[:, 0] * x[:, 1]


@reproduces(STUDY)
def shares_of_a_monomial() -> Reproduction:
    """The weights of nine methods on x1^2 x2 x3^2."""
    found = {method: weights(method) for method in METHODS}
    mean = {method: values.mean(dim=0) for method, values in found.items()}
    gap = {m: float((found[m] - torch.tensor(METHODS[m][2], dtype=torch.float64)).abs().max()) for m in METHODS}
    two = weights("integrated-gradients", _two_terms)
    return Reproduction(
        study=STUDY,
        script=script_of(shares_of_a_monomial),
        question="""How much of one effect does each method give to each variable, if it is asked for the attributions of $x_1^2 x_2 x_3^2$ and
        the formula is known to nobody but the model?""",
        setup=f"""The function at {POINTS} random points with entries of both signs and the baseline zero, where its value is its only Taylor effect.
        A weight is the attribution over that value; it counts only if it is the same at all points. Integrals by Gauss–Legendre with 50 points.
        The bent path runs through $(t x_1, t^2 x_2, t x_3)$.""",
        finding="""Every one of the nine has fixed weights. Integrated and Expected Gradients weigh by degree along the straight path; the bent path
        makes the weights equal, as the Shapley value does; the Banzhaf value and LIME's regression leave a quarter of the effect unallocated,
        Occlusion-1 gives it away three times and Gradient × Input five times.""",
        comparable=("The shares of Integrated Gradients, Expected Gradients and the Shapley value, which are printed.",),
        not_comparable=("The other six methods, for which the source prints no numbers on this term.",),
        measurements=(
            *(at_most(f"weights against theory, {METHODS[m][0]}", value, EXACT) for m, value in gap.items()),
            *(at_most(f"difference between points, {METHODS[m][0]}", spread(found[m]), EXACT) for m in METHODS),
        ),
        controls=(
            breaks("a second term added, Integrated Gradients: difference between points", spread(two), EXACT),
            breaks("Shapley value held against relative degrees", float((mean["shapley-value"] - mean["integrated-gradients"]).abs().max()), EXACT),
        ),
        tables=(
            table(
                "weights",
                "Weights of the effect",
                "A sum of 1 means that the whole effect is given away once.",
                ("Method", "x1 (degree 2)", "x2 (degree 1)", "x3 (degree 2)", "Sum", "Rule"),
                (_row(m, *mean[m].tolist(), float(mean[m].sum()), METHODS[m][3]) for m in METHODS),
            ),
        ),
        charts=(
            Chart(
                id="weights",
                title="Weights of the three variables",
                caption="""One method of each set of weights; the table has all nine. Rules by degree dip at $x_2$. Rules by coalition are level, at a
                height that says how much they give away.""",
                x_label="variable (1 and 3 have degree 2, 2 has degree 1)",
                y_label="weight of the effect",
                marks="points",
                series=tuple(curve(METHODS[m][0], (1, 2, 3), mean[m], method=m) for m in DRAWN),
            ),
        ),
        seed=SEED,
        versions=versions(),
    )


DRAWN = ("integrated-gradients", "shapley-value", "banzhaf-value", "occlusion-1", "grad-times-input")
"""One method of each set of weights, so that no line covers another."""


def _row(*cells: str | float | None) -> tuple[str | float | None, ...]:
    return cells
