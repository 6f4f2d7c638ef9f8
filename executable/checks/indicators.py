"""Checks of the first-principles framework: the extension from indicators, the methods that it reaches and cannot reach, its closed forms."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, at_least, at_most, breaks, counterexample, error, keeps, settle, versions, worst
from executable.checks.modified_gradient_times_input import first_twin, second_twin
from executable.coalitions import banzhaf_weights, coalition_values, membership
from executable.first_principles import (
    Atoms,
    alone_atoms,
    banzhaf_atoms,
    grid_attribution,
    lime_atoms,
    occlusion_atoms,
    relu_attribution,
    rise_atoms,
    shapley_atoms,
    smoothgrad_atoms,
    stieltjes_attribution,
    unit_box_integrals,
)
from executable.methods.gradient_times_input import integrated_gradients
from executable.methods.layerwise_backprop import deeplift_rescale
from executable.methods.local_surrogate import lime
from executable.methods.modified_gradient import gradient
from executable.methods.perturbation import occlusion_1, shapley_value, weighted_marginal_contributions
from executable.testbeds.mlps import lively_draws
from executable.testbeds.polynomials import as_rows, random_point, random_polynomial
from taxonomy.evidence import Evidence

SEED = 91
Model = Callable[[Tensor], Tensor]

ATOMS: dict[str, Atoms] = {
    "occlusion-1": occlusion_atoms,
    "Shapley value": shapley_atoms,
    "Banzhaf value": banzhaf_atoms,
    "RISE": rise_atoms,
    "LIME": lambda x, b: lime_atoms(x, b, kernel_width=0.5),
    "SmoothGrad": lambda x, b: smoothgrad_atoms(x, b, sigma=0.4, nodes=6),
}


def _mean_when_kept(f: Model, x: Tensor, b: Tensor) -> Tensor:
    """RISE with every mask once: the mean output over the sets that hold a feature."""
    inside = membership(torch.arange(2 ** x.shape[1]), x.shape[1]).to(x)
    return coalition_values(f, x, baselines=b) @ inside / inside.sum(dim=0)


def _gaussian_gradient(f: Model, x: Tensor, b: Tensor) -> Tensor:
    """The mean gradient under Gaussian noise of deviation 0.4, by the rule of three points: exact for gradients of degree five in each variable."""
    steps = torch.cartesian_prod(*[torch.tensor([-(3**0.5), 0.0, 3**0.5], dtype=x.dtype)] * x.shape[1])
    mass = torch.cartesian_prod(*[torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=x.dtype)] * x.shape[1]).prod(dim=1)
    return torch.stack([mass @ gradient(f, point + 0.4 * steps) for point in x])


DIRECT: dict[str, Callable[[Model, Tensor, Tensor], Tensor]] = {
    "occlusion-1": lambda f, x, b: occlusion_1(f, x, baselines=b),
    "Shapley value": lambda f, x, b: shapley_value(f, x, baselines=b),
    "Banzhaf value": lambda f, x, b: weighted_marginal_contributions(f, x, weights=banzhaf_weights, baselines=b),
    "RISE": _mean_when_kept,
    "LIME": lambda f, x, b: lime(f, x, baselines=b, n_samples=None, kernel_width=0.5 / 2**0.5, alpha=0.0),
    "SmoothGrad": _gaussian_gradient,
}


def _steps(atoms: Atoms, generator: torch.Generator) -> float:
    """A random combination of indicators of orthants: its attribution against the same combination of theirs."""
    x, b = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    corners, c = torch.randn(6, 3, generator=generator, dtype=torch.float64), torch.randn(6, generator=generator, dtype=torch.float64)

    def model(t: Tensor) -> Tensor:
        return (t.unsqueeze(1) >= corners).all(dim=2).double() @ c

    masses = atoms(x, b)
    expected = torch.stack([ck * masses.of_orthant(corner) for ck, corner in zip(c, corners, strict=True)]).sum(dim=0)
    return error(stieltjes_attribution(model, x, atoms=atoms, baselines=b), expected)


def _density(t: Tensor, x: Tensor) -> Tensor:
    """Attributions of {u >= t} by the density 1 on the unit square for the first feature, and 2 t_1 for the second."""
    rest = (1 - t).clamp(0, 1)
    square = (1 - t.clamp(0, 1).square())[..., :1] * rest[..., 1:]
    return torch.cat([rest.prod(dim=-1, keepdim=True), square], dim=-1)


def extension(claim: str) -> Evidence:
    """Step functions, six methods by their atoms, and a smooth model as a limit of step functions."""
    generator, chance = torch.Generator().manual_seed(SEED), random.Random(SEED)
    draws = 6
    steps = [_steps(atoms, generator) for atoms in ATOMS.values() for _ in range(draws)]
    gaps: dict[str, list[float]] = {name: [] for name in ATOMS}
    crossed = []
    for _ in range(draws):
        f = random_polynomial(chance, 3, degree=3).module()
        x, b = as_rows(random_point(chance, 3)), as_rows(random_point(chance, 3))
        found = {name: stieltjes_attribution(f, x, atoms=atoms, baselines=b) for name, atoms in ATOMS.items()}
        for name, method in DIRECT.items():
            gaps[name].append(error(found[name], method(f, x, b)))
        crossed.append(error(found["Shapley value"], DIRECT["Banzhaf value"](f, x, b)))
    exact = torch.tensor([[0.25, 1 / 3]], dtype=torch.float64)
    grids = {
        cells: error(grid_attribution(lambda t: t.prod(dim=1), torch.ones(1, 2).double(), atom=_density, cells=cells), exact) for cells in (8, 16, 32)
    }
    alone = stieltjes_attribution(lambda t: t.prod(dim=1), torch.ones(1, 2).double(), atoms=alone_atoms)
    return Evidence(
        claim=claim,
        check="indicators/extension",
        status=settle(
            measurements := (
                at_most("sums of indicators against the sums of their attributions, six choices of atoms", worst(steps), ALGEBRA),
                *(at_most(f"{name}: atoms against the method", worst(gap), 1e-8) for name, gap in gaps.items()),
                at_most("a smooth model: error of the sum over 32 cells a side", grids[32], 0.1),
                at_least(
                    "a smooth model: error with 16 cells over that with 32", grids[16] / grids[32], 1.8, "2 for an error like one over the cells"
                ),
            )
        ),
        statement="With $a_i(1_R; x) = \\mu_i(R; x)$ for finite signed measures $\\mu_i$, the linear extension is $a_i(f; x) = \\int f \\, d\\mu_i$. "
        "Point masses at $x_S$ give Occlusion-1, the Shapley and Banzhaf values, RISE and LIME with all binary masks; the density "
        "$(t_i - x_i) / \\sigma^2$ times a normal density gives SmoothGrad.",
        finding="The choice of atoms alone decides which method comes out. The abstract names neither the atoms nor the methods; these are the ones "
        "tried here. For models that are not sums of indicators the limit is that of the integral, which exists since the measures are finite.",
        domain="Random sums of indicators of orthants in three variables, random polynomials of degree three, and $t_1 t_2$ on the unit square",
        measurements=measurements,
        trials=len(steps) + len(DIRECT) * draws + len(grids),
        seed=SEED,
        controls=(
            breaks("atoms of the Shapley value against the Banzhaf value (smallest difference)", min(crossed), 1e-8),
            breaks("atoms of features alone against the Shapley value of a product", float((alone - 0.5).abs().max()), 1e-8),
        ),
        parameters={"draws": draws, "methods": list(DIRECT), "errors by cells a side": {str(cells): float(f"{e:.4g}") for cells, e in grids.items()}},
        versions=versions(),
    )


def _wave(k: float) -> Model:
    return lambda t: torch.sin(k * (t[:, 0] - t[:, 1]))


def integrated_gradients_reached(claim: str) -> Evidence:
    """In one variable both are f(x) - f(b); in two a bounded model gets any score from the one, and equal models unequal scores from the other."""
    x, zero = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    scores = {k: float(integrated_gradients(_wave(k), x)[0, 0]) for k in (4.0, 16.0, 64.0)}
    slope = math.log(scores[64.0] / scores[4.0]) / math.log(16)
    masses = shapley_atoms(x, zero).total_variation.max()
    bounded = max(float(shapley_value(_wave(k), x).abs().max() / masses) for k in scores)
    point = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    twins = [deeplift_rescale(f, point, baselines=0.0) for f in (first_twin, second_twin)]
    drawn = torch.rand(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED)) * 8 - 4
    equal = float((first_twin(drawn) - second_twin(drawn)).abs().max())
    one = []
    for activation in ("tanh", "softplus"):
        for model, row, target in lively_draws(3, activation, bias=True, seed=SEED, sizes=(1, 6, 5, 2)):
            atoms = stieltjes_attribution(model, row, target, atoms=occlusion_atoms)
            one.append(max(error(method, atoms) for method in (integrated_gradients(model, row, target), deeplift_rescale(model, row, target))))
    against = (
        at_least("score of sin(64 (t1 - t2)) at (1, 1), where no finite measure of variation V allows more than V", scores[64.0], 63.9),
        at_least("rate at which that score grows with the frequency, in powers", slope, 0.999),
        at_least("DeepLIFT Rescale: difference of the scores of two networks of one function", float((twins[0] - twins[1]).abs().max()), 0.1),
    )
    measurements = (
        *against,
        at_most("the two networks: largest difference of their outputs at 500 points", equal, 1e-12),
        at_most("one variable: both methods against the atoms of Occlusion-1", worst(one), 1e-6),
    )
    return Evidence(
        claim=claim,
        check="indicators/integrated-gradients",
        status="fails" if all(measurement.within for measurement in against) else "holds",
        statement="There are finite signed measures $\\mu_i$, fixed by the input and the baseline, with $a_i(f) = \\int f \\, d\\mu_i$ for the "
        "scores of Integrated Gradients, and for those of DeepLIFT.",
        condition="There is one variable only, where both methods give $f(x) - f(b)$.",
        finding="$|a_i(f)| \\le |\\mu_i| \\sup |f|$ for a finite measure, while Integrated Gradients give $k$ to $\\sin(k (t_1 - t_2))$ for every "
        "$k$. DeepLIFT is no function of $f$. The abstract speaks of several methods and names neither; a machine-written summary does.",
        domain="Sine waves in two variables, two ReLU networks of one function, random networks of one variable",
        measurements=measurements,
        trials=len(scores) + 2 + len(one),
        seed=SEED,
        counterexample=counterexample(
            "$f = \\sin(9 (t_1 - t_2))$ at $(1, 1)$ from $b = 0$ is bounded by $1$ and receives $(9, -9)$ from Integrated Gradients; with $900$ in "
            "place of $9$ it receives $(900, -900)$. $\\operatorname{relu}(x_1 - 1 - \\operatorname{relu}(x_2))$ and "
            "$\\operatorname{relu}(\\operatorname{relu}(x_1 - 1) - \\operatorname{relu}(x_2))$ are one function with two attributions by DeepLIFT.",
            """
import torch
from executable import deeplift_rescale, integrated_gradients

x = torch.ones(1, 2, dtype=torch.float64)
for k in (9.0, 900.0):
    a = integrated_gradients(lambda t: torch.sin(k * (t[:, 0] - t[:, 1])), x)
    assert torch.allclose(a, torch.tensor([[k, -k]], dtype=torch.float64))     # although |f| <= 1

f = lambda x: torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1]))
g = lambda x: torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1]))
grid = torch.cartesian_prod(*[torch.arange(-4.0, 5.0)] * 2)
assert torch.equal(f(grid), g(grid))
x = torch.tensor([[3.0, 1.0]])
assert not torch.allclose(deeplift_rescale(f, x), deeplift_rescale(g, x))
""",
            input=[1, 1],
            baseline=[0, 0],
            bound=1,
            integrated_gradients=[9, -9],
        ),
        controls=(keeps("the Shapley value of the same waves, in parts of what its measure allows", bounded, 1.0),),
        parameters={"scores by frequency": {f"{k:g}": float(f"{a:.6g}") for k, a in scores.items()}},
        versions=versions(),
    )


def _by_grid(model: nn.Module, x: Tensor, target: Tensor, radius: float, cells: int) -> Tensor:
    """12 / h² times the mean of (t - x) f(t) over the box of side h = 2 radius, at the midpoints of a grid."""
    line = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 * radius - radius
    steps = torch.cartesian_prod(*[line] * x.shape[1])
    rows = []
    for point, t in zip(x, target, strict=True):
        with torch.no_grad():
            values = model(point + steps)[:, t]
        rows.append(3 / radius**2 * (values.unsqueeze(1) * steps).mean(dim=0))
    return torch.stack(rows)


def _by_lines(model: nn.Module, x: Tensor, target: Tensor, radius: float, cells: int) -> Tensor:
    """The same along each axis alone, one feature varying at a time."""
    line = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 * radius - radius
    rows = torch.zeros_like(x)
    for k, (point, t) in enumerate(zip(x, target, strict=True)):
        for i in range(x.shape[1]):
            moved = point.repeat(cells, 1)
            moved[:, i] += line
            with torch.no_grad():
                rows[k, i] = 3 / radius**2 * (model(moved)[:, t] * line).mean()
    return rows


def closed_form(claim: str) -> Evidence:
    """The closed forms for one hidden layer and for any depth, against sums over a fine grid and against each other."""
    radius, cells = 0.7, 300
    numeric, lines, both, wide = [], [], [], []
    sizes = {1: (2, 6, 2), 2: (2, 6, 5, 2), 3: (2, 6, 5, 4, 2)}
    for depth, layers in sizes.items():
        for model, x, target in lively_draws(2, "relu", bias=True, seed=SEED, sizes=layers, batch=2):
            found = relu_attribution(model, x, target, radius=radius)
            numeric.append(error(found, _by_grid(model, x, target, radius, cells)))
            axis = relu_attribution(model, x, target, radius=radius, domain="axis")
            lines.append(error(axis, _by_lines(model, x, target, radius, 4000)))
            wide.append(error(found, gradient(model, x, target)))
            if depth == 1:
                both.append(error(found, relu_attribution(model, x, target, radius=radius, method="regions")))
    affine = [
        error(relu_attribution(nn.Sequential(model[0]), x, target, radius=radius), gradient(nn.Sequential(model[0]), x, target))
        for model, x, target in lively_draws(2, "relu", bias=True, seed=SEED, sizes=(2, 2, 2))
        if isinstance(model, nn.Sequential)
    ]
    mass, moments = unit_box_integrals(torch.tensor([[1.0, 1.0]]), torch.tensor([-1.0]))
    by_hand = max(abs(float(mass[0]) - 1 / 6), float((moments[0] - 1 / 8).abs().max()))
    measurements = (
        at_most("closed form against a sum over 300² points, one to three hidden layers", worst(numeric), 2e-4, "the sum errs at the kinks"),
        at_most("the same along each axis alone, against a sum over 4000 points", worst(lines), 1e-5),
        at_most("one hidden layer: by the corners of the box against by linear regions", worst(both), ALGEBRA),
        at_most("affine networks: against the slope", worst(affine), ALGEBRA),
        at_most("relu(s1 + s2 - 1) on the unit square: integral and moments against 1/6 and 1/8", by_hand, 1e-12),
    )
    parameters: dict[str, Any] = {"radius": radius, "points a side": cells, "hidden layers": list(sizes)}
    return Evidence(
        claim=claim,
        check="indicators/closed-form",
        status=settle(measurements),
        statement="For atoms with the density $12 (t_i - x_i) / h^2$ on a box of side $h$ around $x$, or on its axes, the attribution of a ReLU "
        "network is a finite sum: over the corners of the box for one hidden layer, over the network's linear regions for any depth.",
        finding="It holds for every depth tried, with a number of terms that grows with the linear regions. The paper's own expressions were not at "
        "hand; atoms and formulas are those of this project.",
        domain="Random ReLU networks with biases, two inputs, one to three hidden layers; one neuron by hand",
        measurements=measurements,
        trials=len(numeric) + len(lines) + len(both) + len(affine) + 1,
        seed=SEED,
        controls=(breaks("the gradient at the input, which knows one region only (smallest difference)", min(wide), 2e-4),),
        parameters=parameters,
        versions=versions(),
    )
