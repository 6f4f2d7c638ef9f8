"""Checks of surrogate approximation: whether LIME and the Shapley value are coefficients of the linear model nearest to the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_most, breaks, counterexample, error, keeps, number, worst
from executable.checks.grounds_common import DRAWS, SEED, ground
from executable.checks.surrogates import Recorder, cosine_weights
from executable.coalitions import banzhaf_weights, membership, weighted_contributions
from executable.frameworks.feature_additive import shapley_kernel
from executable.methods.local_surrogate import lime
from executable.methods.modified_gradient import gradient
from executable.methods.perturbation import shapley_value
from executable.rationales.surrogate_approximation import BestSurrogate, best_surrogate
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Evidence

Function = Callable[[Tensor], Tensor]
WIDTH = 0.25
NEAR = 1e-8
"""LIME solves normal equations, whose rounding grows with the square of the condition number."""


def functions(count: int, sizes: tuple[int, ...]) -> list[tuple[Function, Tensor]]:
    """Networks with one output each, and an input."""
    found: list[tuple[Function, Tensor]] = []
    for model, x, target in lively_draws(count, "relu", bias=True, seed=SEED, sizes=sizes, batch=1):

        def f(rows: Tensor, model: torch.nn.Module = model, target: Tensor = target) -> Tensor:
            value: Tensor = model(rows)[:, target[0]]
            return value

        found.append((f, x))
    return found


def nearest(f: Function, x: Tensor, z: Tensor, weights: Tensor | None) -> BestSurrogate:
    """The best g = w_0 + w.z, z saying which components are kept and which at the baseline 0."""
    return best_surrogate(f, z * x, columns=torch.cat([torch.ones(z.shape[0], 1, dtype=torch.float64), z], dim=1), weights=weights)


def _every_set(n: int) -> Tensor:
    return membership(torch.arange(2**n), n).double()


def _additive(rows: Tensor) -> Tensor:
    return rows[:, 0] ** 2 + 3 * rows[:, 1] - rows[:, 2].sin() + 1


def _joint(rows: Tensor) -> Tensor:
    return rows[:, 0] * rows[:, 1] + rows[:, 2] * rows[:, 3]


def neighbourhood(claim: str) -> Evidence:
    """LIME against the nearest linear model on the same neighbours, over neighbourhoods and penalties; and on nearly additive functions."""
    gaps: dict[str, list[float]] = {name: [] for name in ("all sets, equal weights", "all sets, cosine kernel", "drawn sets, cosine kernel")}
    gaps |= {"ridge penalty 1, the default": [], "lasso penalty 0.1": []}
    tangent, shapley, distance = [], [], []
    for f, x in functions(DRAWS, (4, 10, 8, 3)):
        z = _every_set(4)
        for name, weights in (("equal weights", None), ("cosine kernel", cosine_weights(z, WIDTH))):
            g = nearest(f, x, z, weights)
            found = lime(f, x, n_samples=None, distance="none" if weights is None else "cosine", alpha=0.0)
            gaps[f"all sets, {name}"].append(error(found, g.coefficients[1:].unsqueeze(0)))
        distance.append(g.distance / float(f(z * x).detach().std()))
        recorder = Recorder(f)
        drawn = lime(recorder, x, n_samples=60, alpha=0.0, seed=SEED)
        asked = (torch.cat(recorder.rows) == x).double()
        gaps["drawn sets, cosine kernel"].append(error(drawn, nearest(f, x, asked, cosine_weights(asked, WIDTH)).coefficients[1:].unsqueeze(0)))
        target = g.coefficients[1:].unsqueeze(0)
        gaps["ridge penalty 1, the default"].append(error(lime(f, x, n_samples=None), target))
        gaps["lasso penalty 0.1"].append(error(lime(f, x, n_samples=None, penalty="lasso", alpha=0.1), target))
        tangent.append(error(gradient(f, x) * x, target))
        shapley.append(error(shapley_value(f, x), target))
    cases = [Case(name, "penalty" not in name, min(found) if "penalty" in name else worst(found)) for name, found in gaps.items()]
    exact, ratio = _implication()
    return ground(
        claim,
        "grounds-surrogates/neighbourhood",
        statement="LIME's attributions are the coefficients of the model that is nearest to $f$, in weighted squared error over the neighbours, "
        "among all linear functions of which components are kept (Eq. 20).",
        cases=cases,
        tolerance=NEAR,
        measurements=(
            at_most("additive function, $g = f$: coefficients against the effects of its terms", exact, NEAR),
            at_most("additive function plus δ times products: change of the coefficients over δ, from δ = 1e-3 to 1e-1", ratio, 1e-6),
            number("largest distance of the nearest g from f, in standard deviations of f over the sets", worst(distance)),
        ),
        controls=[
            breaks("gradient times input, the tangent model (smallest difference)", min(tangent), NEAR),
            breaks("Shapley value, other weights of the sets (smallest difference)", min(shapley), NEAR),
        ],
        condition="The fit has no penalty. The default, a ridge penalty of 1, draws the coefficients towards zero.",
        finding="That the attributions of $g$ stand for those of $f$ follows only as far as $g$ is near $f$: they are exact for additive functions "
        "and move in proportion to what is added. On networks the distance is not small.",
        domain="Random ReLU networks 4-10-8-3 with biases, components at zero when removed; functions of four variables",
        trials=5 * DRAWS,
        example=counterexample(
            "$f = x$ at $1$, the two sets of its one component: the nearest linear function has the coefficient $1$; LIME's default penalty gives "
            "less.",
            """
import torch
from executable.methods import lime
from executable.rationales.surrogate_approximation import best_surrogate

f = lambda x: x[:, 0]
one, sets = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[0.0], [1.0]], dtype=torch.float64)
nearest = best_surrogate(f, sets, columns=torch.cat([torch.ones_like(sets), sets], dim=1))
assert abs(nearest.coefficients[1] - 1) < 1e-9 and nearest.distance < 1e-9
assert abs(lime(f, one, n_samples=None, distance="none", alpha=0.0).item() - 1) < 1e-9
assert lime(f, one, n_samples=None, distance="none").item() < 0.5
""",
            input=[1],
            nearest=1,
        ),
    )


def _implication() -> tuple[float, float]:
    """Coefficients of an additive function against its terms; and how evenly they move as products are added to it."""
    x = torch.tensor([[1.5, -0.5, 2.0, 1.0]], dtype=torch.float64)

    def fitted(delta: float) -> Tensor:
        return lime(lambda rows: _additive(rows) + delta * _joint(rows), x, n_samples=None, alpha=0.0)

    still = fitted(0.0)
    terms = torch.stack([x[0, 0] ** 2, 3 * x[0, 1], -x[0, 2].sin(), 0 * x[0, 3]]).unsqueeze(0)
    slopes = [(fitted(delta) - still) / delta for delta in (1e-3, 1e-1)]
    return error(still, terms), error(slopes[0], slopes[1])


def all_subsets(claim: str) -> Evidence:
    """The Shapley value against the nearest linear model over all sets, with its weights, with others and in a larger class."""
    found, even, loose, pairs, printed, bound, banzhaf = [], [], [], [], [], [], []
    generator = torch.Generator().manual_seed(SEED)
    for n in (2, 3, 4, 5):
        for f, x in functions(DRAWS, (n, 10, 8, 3)):
            z, kernel = _every_set(n), shapley_kernel(n)
            value = shapley_value(f, x)
            found.append(error(nearest(f, x, z, kernel).coefficients[1:].unsqueeze(0), value))
            uniform = nearest(f, x, z, None).coefficients[1:].unsqueeze(0)
            banzhaf.append(error(uniform, weighted_contributions(f(z * x).detach().unsqueeze(0), banzhaf_weights(n))))
            if n > 2:
                even.append(error(uniform, value))
                loose.append(error(nearest(f, x, z, kernel.clamp(max=1.0)).coefficients[1:].unsqueeze(0), value))
                products = torch.stack([z[:, i] * z[:, j] for i in range(n) for j in range(i)], dim=1)
                columns = torch.cat([torch.ones(2**n, 1, dtype=torch.float64), z, products], dim=1)
                pairs.append(error(best_surrogate(f, z * x, columns=columns, weights=kernel).coefficients[1 : n + 1].unsqueeze(0), value))
                raw = best_surrogate(f, z * x, columns=z * x, weights=kernel.clamp(max=1e6)).coefficients.unsqueeze(0)
                printed.append(error(raw * x, value))
            other = value + torch.randn(value.shape, generator=generator, dtype=torch.float64)
            g = f(0 * x).detach() + z @ other[0]
            bound.append(float((other - value).abs().max()) - 2 * float((f(z * x).detach() - g).abs().max()))
    return ground(
        claim,
        "grounds-surrogates/all-subsets",
        statement="The Shapley value is the coefficients of the linear $g$ on presence indicators that is nearest to $f$ over all subsets, in "
        "squared error weighted by the Shapley kernel, and equal to $f$ at the empty and the full set (Eq. 20).",
        measurements=(
            at_most("coefficients of the nearest g against the Shapley value", worst(found), ALGEBRA),
            at_most("equal weights, against the Banzhaf value", worst(banzhaf), ALGEBRA),
            at_most("any additive g: distance of its coefficients from the Shapley value less $2 \\max_S |f - g|$", max(bound), 0.0),
        ),
        controls=[
            breaks("equal weights of all sets (smallest difference)", min(even), ALGEBRA),
            breaks("not required to be exact at the ends (smallest difference)", min(loose), ALGEBRA),
            breaks("$g = w^T x$ as printed, without a constant (smallest difference)", min(printed), ALGEBRA),
            breaks("products of pairs in the class (smallest difference)", min(pairs), ALGEBRA),
            keeps("equal weights against the Banzhaf value", worst(banzhaf), ALGEBRA),
        ],
        finding="Which linear model is meant is decided by the weights: among all fits over subsets this one has the Shapley value as coefficients. "
        "The implication of Eq. 20 holds with a factor of two.",
        domain="Random ReLU networks with two to five inputs and biases, baseline 0",
        trials=len(found),
    )
