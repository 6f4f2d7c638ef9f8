"""Checks of the axioms: each method that is said to satisfy or to violate one is put through its property test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from executable.checks import axiom_domains, axioms
from executable.checks.axiom_domains import Written
from executable.checks.axioms import Attribution, Domain, Example, Function, Verdict
from executable.checks.base import (
    ALGEBRA,
    Case,
    at_least,
    at_most,
    breaks,
    counterexample,
    judge,
    keeps,
    settle,
    subject,
    sweep,
    versions,
)
from executable.coalitions import coalition_values
from executable.methods.gradient_times_input import integrated_gradients
from executable.methods.layerwise_backprop import deeplift_rescale
from executable.methods.local_surrogate import lime
from executable.methods.modified_gradient import gradient
from executable.methods.perturbation import banzhaf_value, kernel_shap, occlusion_1, shapley_value
from taxonomy.evidence import Control, Counterexample, Evidence, Measurement

SEED = 0
COUNT = 6
KERNELS: dict[str, dict[str, Any]] = {
    "equal weights": {"distance": "none"},
    "cosine distance, exp(-D^2/(2 nu^2)), nu = 0.25": {"distance": "cosine", "kernel_width": 0.25},
    "cosine distance, exp(-D^2/sigma^2), sigma = 0.25": {"distance": "cosine", "kernel_width": 0.25 / 2**0.5},
    "Euclidean distance, exp(-D^2/(2 nu^2)), nu = 0.75 sqrt(n)": {"distance": "euclidean"},
}
NAMES = {
    "banzhaf-value": "the Banzhaf value",
    "deeplift-rescale": "DeepLIFT Rescale",
    "gradient": "the gradient",
    "integrated-gradients": "integrated gradients",
    "lime": "LIME",
    "shapley-value": "the Shapley value",
}


def integrated(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Integrated gradients by a quadrature that is exact for the polynomials used here."""
    return integrated_gradients(f, x, baselines=b, n_steps=8)


def exactly_integrated(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Integrated gradients of a piecewise linear function."""
    return integrated_gradients(f, x, baselines=b, method="exact")


def shapley(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Shapley value."""
    return shapley_value(f, x, baselines=b)


def banzhaf(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Banzhaf value."""
    return banzhaf_value(f, x, baselines=b)


def slope(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """The gradient at x, without regard to a baseline."""
    return gradient(f, x)


def rescaled(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """DeepLIFT Rescale."""
    return deeplift_rescale(f, x, baselines=b)


def fitted(**options: Any) -> Attribution:
    """LIME on all sets of features."""
    return lambda f, x, b: lime(f, x, baselines=b, n_samples=None, **({"alpha": 0.0} | options))


def occluded(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Occlusion-1."""
    return occlusion_1(f, x, baselines=b)


def in_order(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """What each feature changes as the features come in, in their order."""
    v = coalition_values(f, x, baselines=b)
    return torch.stack([v[:, 2 ** (i + 1) - 1] - v[:, 2**i - 1] for i in range(x.shape[1])], dim=1)


def normalised(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Shapley value in parts of its absolute sum, as maps are shown."""
    a = shapley(f, x, b)
    return a / a.abs().sum()


METHODS: dict[str, Attribution] = {
    "banzhaf-value": banzhaf,
    "deeplift-rescale": rescaled,
    "gradient": slope,
    "integrated-gradients": integrated,
    "lime": fitted(),
    "shapley-value": shapley,
}
NAMES = {
    "banzhaf-value": "the Banzhaf value", "deeplift-rescale": "DeepLIFT Rescale", "gradient": "the gradient",
    "integrated-gradients": "Integrated Gradients", "lime": "LIME", "shapley-value": "the Shapley value", "occlusion-1": "Occlusion-1",
}  # fmt: skip
"""What the methods are called in a sentence."""
CALLS = {
    "deeplift-rescale": ("executable.methods.layerwise_backprop", "deeplift_rescale", ""),
    "gradient": ("executable", "gradient", ""),
    "integrated-gradients": ("executable", "integrated_gradients", ""),
    "lime": ("executable.methods.local_surrogate", "lime", ', n_samples=None, distance="none", alpha=0.0'),
    "shapley-value": ("executable", "shapley_value", ""),
}


def computed_on(method: str, domain: Domain) -> Attribution:
    """The method as it is computed on a domain: on networks integrated gradients goes from kink to kink."""
    return exactly_integrated if method == "integrated-gradients" and "networks" in domain.name else METHODS[method]


def domains(method: str) -> list[Domain]:
    """What a method can be asked about."""
    smooth, kinked = axiom_domains.polynomials(COUNT), axiom_domains.networks("relu", COUNT)
    if method in ("shapley-value", "banzhaf-value", "lime"):
        return [axiom_domains.table_games(COUNT), smooth, kinked]
    return [axiom_domains.polynomials(2), kinked, axiom_domains.networks("tanh", COUNT)] if method == "deeplift-rescale" else [smooth, kinked]


_DOMAIN = "Three features: random polynomials of degree up to six, random networks with kinks, and random tables of games for what reads outputs only"


def evidence_of(
    claim: str, check: str, statement: str, measurements: Sequence[Measurement], controls: Sequence[Control], trials: int, **more: Any
) -> Evidence:
    """The evidence, with what all these checks have in common."""
    found = {"status": settle(measurements), "domain": _DOMAIN, "parameters": {"examples of each domain": COUNT}} | more
    return Evidence(
        claim=claim,
        check=f"axiom-claims/{check}",
        statement=statement,
        measurements=tuple(measurements),
        trials=trials,
        seed=SEED,
        controls=tuple(controls),
        versions=versions(),
        **found,
    )


Test = Callable[[Attribution, Domain], Verdict]


def _everywhere(method: str, test: Test) -> tuple[list[Measurement], int]:
    found = [(domain, test(computed_on(method, domain), domain)) for domain in domains(method)]
    return [at_most(f"{domain.name}: largest violation", v.violation, ALGEBRA) for domain, v in found], sum(v.trials for _, v in found)


def linearity(claim: str) -> Evidence:
    """a(λ f + μ g) = λ a(f) + μ a(g), for three pairs of factors."""
    return _satisfied(
        claim,
        "linearity",
        axioms.linearity,
        "$a_i(\\lambda f + \\mu g) = \\lambda a_i(f) + \\mu a_i(g)$ for all features",
        [breaks("the Shapley value in parts of its absolute sum", _on_games(axioms.linearity, normalised), ALGEBRA)],
    )


def additivity(claim: str) -> Evidence:
    """The same with both factors one."""
    return _satisfied(
        claim,
        "additivity",
        axioms.additivity,
        "$a_i(f + g) = a_i(f) + a_i(g)$ for all features",
        [breaks("the Shapley value in parts of its absolute sum", _on_games(axioms.additivity, normalised), ALGEBRA)],
    )


def efficiency(claim: str) -> Evidence:
    """The sum of the attributions against the change of the output."""
    return _satisfied(claim, "efficiency", axioms.efficiency, "$\\sum_i a_i = f(x_N) - f(x_\\emptyset)$", incomplete())


def local_accuracy(claim: str) -> Evidence:
    """The same equation, with the baseline value on the other side."""
    return _satisfied(claim, "local-accuracy", axioms.local_accuracy, "$f(b) + \\sum_i a_i = f(x)$", incomplete())


def missingness(claim: str) -> Evidence:
    """Features that have their baseline value in the input."""
    control = [
        breaks("the gradient of random polynomials", axioms.missingness(slope, axiom_domains.polynomials(COUNT)).violation, ALGEBRA),
        breaks("LIME on games, cosine distance, $\\exp(-D^2/(2\\nu^2))$, $\\nu = 0.25$", _on_games(axioms.missingness, fitted()), ALGEBRA),
    ]
    statement = "a feature that is absent from the input, $z_i = 0$ or $x_i = b_i$, receives zero"
    return _satisfied(claim, "missingness", axioms.missingness, statement, control)


def consistency(claim: str) -> Evidence:
    """Pairs of functions in which a feature's marginal contributions grow or stay."""
    control = [
        breaks("the gradient of random polynomials", axioms.consistency(slope, axiom_domains.polynomials(COUNT)).violation, ALGEBRA),
        breaks("LIME on games, cosine distance, $\\exp(-D^2/(2\\nu^2))$, $\\nu = 0.25$", _on_games(axioms.consistency, fitted()), ALGEBRA),
    ]
    statement = "if $f'(x_{S \\cup i}) - f'(x_S) \\ge f(x_{S \\cup i}) - f(x_S)$ for every $S$ without $i$, then $a_i(f') \\ge a_i(f)$"
    return _satisfied(claim, "consistency", axioms.consistency, statement, control)


def two_efficiency(claim: str) -> Evidence:
    """Every pair of features merged into one switch."""
    control = [breaks("the Shapley value", _on_games(axioms.two_efficiency, shapley), ALGEBRA)]
    statement = "if two features $i, j$ are made to come and go together, the one that stands for both receives $a_i + a_j$"
    return _satisfied(claim, "two-efficiency", axioms.two_efficiency, statement, control)


def _on_games(test: Test, a: Attribution) -> float:
    return test(a, axiom_domains.table_games(COUNT)).violation


def incomplete() -> list[Control]:
    """Two methods that are not complete."""
    return [
        breaks(f"{name} on random games", _on_games(axioms.efficiency, a), ALGEBRA)
        for name, a in (("Banzhaf value", banzhaf), ("Occlusion-1", occluded))
    ]


def _satisfied(claim: str, check: str, test: Test, statement: str, controls: Sequence[Control]) -> Evidence:
    measurements, trials = _everywhere(subject(claim), test)
    return evidence_of(claim, check, f"For {NAMES[subject(claim)]}: {statement}.", measurements, controls, trials)


def dummy(claim: str) -> Evidence:
    """The two readings of a feature without effect: on the corners of the box, or everywhere."""
    conjunction = Example(lambda z: z[:, 0] * z[:, 1], torch.ones(1, 3, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64))
    controls = [
        breaks(f"LIME, {kernel}: what the AND of two features gives a third", abs(_third(fitted(**options), conjunction)), ALGEBRA)
        for kernel, options in KERNELS.items()
        if "cosine" in kernel
    ]
    statement = "a feature for which $f(x_{S \\cup i}) = f(x_S)$ for every $S$ receives zero"
    return _two_readings(claim, "dummy", axioms.dummy, statement, controls, "that depends on one variable less than it is given")


def _third(a: Attribution, e: Example) -> float:
    return float(a(e.f, e.x, e.b)[0, 2])


def symmetry(claim: str) -> Evidence:
    """The two readings of interchangeable features."""
    controls = [breaks("marginal contributions along one order, on games", _on_games(axioms.symmetry, in_order), ALGEBRA)]
    statement = "two features with $f(x_{S \\cup i}) = f(x_{S \\cup j})$ for every $S$ without them receive the same"
    return _two_readings(claim, "symmetry", axioms.symmetry, statement, controls, "symmetric in two variables that have the same values")


def _two_readings(claim: str, check: str, test: Callable[..., Verdict], statement: str, controls: list[Control], function: str) -> Evidence:
    method = subject(claim)
    a, cases, trials = METHODS[method], [], 0
    for domain in domains(method):
        for reading in ("function", "game"):
            if method == "integrated-gradients" and reading == "game" and "networks" in domain.name:
                continue  # the function with a given game is no piecewise linear one
            verdict = test(computed_on(method, domain), domain, reading=reading)
            cases.append(Case(f"{domain.name}, {reading}", reading == "function", verdict.violation))
            trials += verdict.trials
    status = judge(cases, ALGEBRA)
    statement = f"For {NAMES[method]}: {statement}."
    if status != "holds under condition":
        return evidence_of(
            claim, check, statement, [at_most(f"{c.setting}: largest violation", c.error, ALGEBRA) for c in cases], controls, trials, status=status
        )
    e = first_against(test, a, reading="game")
    found = a(e.f, e.x, e.b)[0].tolist()
    return evidence_of(
        claim,
        check,
        statement,
        sweep(cases, ALGEBRA),
        [
            *controls,
            keeps(
                "the Shapley value on the same functions, games read",
                test(shapley, axiom_domains.polynomials(COUNT), reading="game").violation,
                ALGEBRA,
            ),
        ],
        trials,
        status=status,
        condition=f"The axiom is asked of functions: of an $f$ {function}. Asked of the game $S \\mapsto f(x_S)$, as its formula is written, it is "
        "false.",
        finding="Integrated gradients sees the inside of the box between baseline and input, and two functions with one game may differ there: "
        f"${formula_of(e)}$ has the game ${[round(v) for v in e.game().tolist()]}$ at $(1, 1)$ and receives $({found[0]:.4g}, {found[1]:.4g})$.",
        counterexample=shown(
            method,
            e,
            f"$f = {formula_of(e)}$ at $(1, 1)$, $b = 0$: in the game the axiom's premise holds, the attributions are $({found[0]:.4g}, "
            f"{found[1]:.4g})$.",
            f"v = coalition_values(f, x)[0].tolist()   # v of no feature, the first, the second, both\nassert v == {e.game().tolist()}\n",
        ),
    )


def first_against(test: Callable[..., Verdict], a: Attribution, **options: Any) -> Example:
    """A smallest example against an axiom."""
    found = test(a, axiom_domains.small_polynomials(), **options).first
    if found is None:
        raise ValueError("no small polynomial violates the axiom")
    return found


def formula_of(e: Example) -> str:
    """The function, for a reader."""
    return e.f.formula() if isinstance(e.f, Written) else e.name


def shown(method: str, e: Example, description: str, more: str = "") -> Counterexample:
    """A snippet that computes the attributions of an example and goes on with `more`."""
    assert isinstance(e.f, Written)
    module, function, options = CALLS[method]
    a = METHODS[method](e.f, e.x, e.b) if method != "lime" else fitted(distance="none")(e.f, e.x, e.b)
    code = f"""
import torch
from executable.coalitions import coalition_values
from {module} import {function}

f = lambda x: {e.f.code()}
x = torch.tensor({e.x.tolist()}, dtype=torch.float64)
a = {function}(f, x{options})
assert torch.allclose(a, torch.tensor({[[float(f"{v:.10g}") for v in a[0].tolist()]]}, dtype=torch.float64))
{more}"""
    values = [float(f"{v:.6g}") for v in a[0].tolist()]
    return counterexample(description, code, input=e.x[0].tolist(), baseline=[0] * e.features, attributions=values, change=e.change())


def completeness(claim: str) -> Evidence:
    """The sum of the attributions against the change of the output; for the two methods said to violate it, the least of the largest gaps."""
    method = subject(claim)
    if "/satisfies/" in claim:
        return _satisfied(claim, "completeness", axioms.completeness, "$\\sum_i a_i = f(x) - f(b)$", incomplete())
    settings = {kernel: fitted(**options) for kernel, options in KERNELS.items()} if method == "lime" else {"": slope}
    gaps = {(name, d.name): axioms.completeness(a, d) for name, a in settings.items() for d in domains(method)}
    e = _smallest_gap(fitted(distance="none"), 3) if method == "lime" else first_against(axioms.completeness, slope)
    total = float((fitted(distance="none") if method == "lime" else slope)(e.f, e.x, e.b).sum())
    if method == "lime":
        control = keeps("the same fit with the weights of KernelSHAP, on games", _on_games(axioms.completeness, _kernel_shap), ALGEBRA)
    else:
        control = keeps("integrated gradients on polynomials", axioms.completeness(integrated, axiom_domains.polynomials(COUNT)).violation, ALGEBRA)
    return evidence_of(
        claim,
        "completeness",
        f"{NAMES[method][:1].upper()}{NAMES[method][1:]} does not satisfy $\\sum_i a_i = f(x) - f(b)$ for all $f$"
        + (", whichever of four kernels weights the sets." if method == "lime" else "."),
        [at_least("largest gap, in the setting where it is smallest", min(v.violation for v in gaps.values()), 1e-3)],
        [control],
        sum(v.trials for v in gaps.values()),
        finding=f"For $f = {formula_of(e)}$ at {point_of(e)} with $b = 0$ the attributions add up to {total:g}, the output changes by {e.change():g}"
        + (" (all sets weighted equally, no penalty)." if method == "lime" else "."),
        counterexample=shown(
            method,
            e,
            f"Against the axiom: $f = {formula_of(e)}$ at {point_of(e)}, $b = 0$: attributions with the sum {total:g} for a change of "
            f"{e.change():g}.",
            f"assert abs(a.sum().item() - {total:.10g}) < 1e-9 and f(x).item() - f(0 * x).item() == {e.change()}\n",
        ),
        parameters={"examples of each domain": COUNT, "settings": sorted({name for name, _ in gaps if name})},
    )


def _kernel_shap(f: Function, x: Tensor, b: Tensor) -> Tensor:
    return kernel_shap(f, x, baselines=b)


def point_of(e: Example) -> str:
    """The input, for a reader."""
    return f"$({', '.join(f'{v:g}' for v in e.x[0].tolist())})$" if e.features > 1 else f"$x = {float(e.x):g}$"


def _smallest_gap(a: Attribution, features: int) -> Example:
    for size in range(1, features + 1):
        found = axioms.completeness(a, axiom_domains.small_polynomials(features=size, degree=2)).first
        if found is not None:
            return found
    raise ValueError("no small polynomial violates completeness")
