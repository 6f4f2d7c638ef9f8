"""Checks of statements about several axioms at once: a table of methods against axioms, and the two axioms of integrated gradients."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from executable.checks import axiom_domains, axioms
from executable.checks.axiom_claims import METHODS, NAMES, evidence_of, exactly_integrated, occluded
from executable.checks.axioms import NOISE, Domain
from executable.checks.base import ALGEBRA, at_least, at_most, breaks, counterexample, keeps, number, settle
from executable.methods.local_surrogate import lime
from taxonomy.evidence import Counterexample, Evidence

PRINTED = {
    "gradient": (False, False, False),
    "lime": (False, False, True),
    "deeplift-rescale": (True, True, False),
    "integrated-gradients": (True, True, True),
    "shapley-value": (True, True, True),
}
AXIOMS = ("sensitivity", "completeness", "implementation invariance")


Rows = dict[str, tuple[bool, bool, bool]]


def measured() -> tuple[Rows, Rows]:
    """Which method has which axiom, sensitivity in its weaker and in its stronger reading."""
    few, small, one = _last(axiom_domains.small_polynomials(degree=2), 6), axiom_domains.small_polynomials(), axiom_domains.polynomials(1)
    pairs = axiom_domains.twin_pairs() + axiom_domains.relu_pairs(1)
    weak: Rows = {}
    strong: Rows = {}
    for method in PRINTED:
        a = _equally_weighted if method == "lime" else METHODS[method]
        on = exactly_integrated if method == "integrated-gradients" else a
        complete = axioms.completeness(a, one).violation <= ALGEBRA
        invariant = axioms.implementation_invariance(on, pairs).violation <= ALGEBRA
        for found, reading in ((weak, "single"), (strong, "removed")):
            domain = small if method == "gradient" else few
            found[method] = (axioms.sensitivity(a, domain, reading=reading).violation <= NOISE, complete, invariant)
    return weak, strong


def _last(domain: Domain, count: int) -> Domain:
    return Domain(domain.name, lambda k: domain.draw(domain.count - 1 - k), count, domain.fixed)


def _equally_weighted(f: axioms.Function, x: Tensor, b: Tensor) -> Tensor:
    return lime(f, x, baselines=b, n_samples=None, distance="none", alpha=0.0)


def comparison(claim: str) -> Evidence:
    """Fifteen entries, and which of them the property tests reproduce."""
    weak, strong = measured()

    def wrong(found: Rows) -> list[str]:
        return [f"{AXIOMS[k]} of {NAMES[m]}" for m, row in PRINTED.items() for k in range(3) if found[m][k] != row[k]]

    return evidence_of(
        claim,
        "comparison",
        "Gradients have none of sensitivity, completeness and implementation invariance, LIME the last, DeepLIFT the first two, integrated "
        "gradients and the Shapley value all three.",
        [
            number("entries of fifteen that are not found, sensitivity as in the axiom's formula", len(wrong(weak))),
            number("entries that are not found, sensitivity for every feature whose removal changes the output", len(wrong(strong))),
        ],
        [
            breaks(
                "Occlusion-1 put through the test of completeness", axioms.completeness(occluded, axiom_domains.polynomials(2)).violation, ALGEBRA
            ),
            keeps("Occlusion-1 put through the stronger test of sensitivity", _strong_occlusion(), NOISE),
        ],
        30,
        status="fails" if wrong(weak) and wrong(strong) else "holds",
        condition="The gradient's third entry is reversed: gradients are implementation invariant. LIME's first entry needs the stronger reading "
        "of sensitivity, or a lasso penalty, and under the stronger reading DeepLIFT, integrated gradients and the Shapley value fail too.",
        finding=f"Not reproduced with sensitivity as in its formula: {', '.join(wrong(weak))}. With the stronger reading: "
        f"{', '.join(wrong(strong))}.",
        domain="Small polynomials, random polynomials, and pairs of networks for one function; LIME on all sets with equal weights, the Shapley "
        "value for SHAP",
        counterexample=_invariant_gradient(),
        parameters={"single": _plain(weak), "removed": _plain(strong), "axioms": list(AXIOMS)},
    )


def _strong_occlusion() -> float:
    return axioms.sensitivity(occluded, axiom_domains.small_polynomials(degree=2), reading="removed").violation


def _plain(found: Rows) -> dict[str, Any]:
    return {method: list(row) for method, row in found.items()}


def _invariant_gradient() -> Counterexample:
    code = """
import torch
from executable import gradient

f = lambda x: torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1]))
g = lambda x: torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1]))   # the same function
x = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
assert gradient(f, x).tolist() == gradient(g, x).tolist() == [[1.0, -1.0]]
"""
    return counterexample(
        "Two networks for one function at $(3, 1)$: both have the gradient $(1, -1)$.", code, input=[3, 1], gradients=[[1, -1], [1, -1]]
    )


def path_axioms(claim: str) -> Evidence:
    """Integrated gradients has both axioms; the gradient lacks the one, DeepLIFT the other."""
    small, few, pairs = axiom_domains.small_polynomials(), axiom_domains.small_polynomials(degree=2), axiom_domains.twin_pairs()
    a = METHODS["integrated-gradients"]
    measurements = [
        at_most(
            "sensitivity, input and baseline differing in one feature: largest change without attribution",
            axioms.sensitivity(a, small).violation,
            NOISE,
        ),
        at_most("implementation invariance: largest difference", axioms.implementation_invariance(exactly_integrated, pairs).violation, ALGEBRA),
        at_least("sensitivity as worded, any feature that matters: largest change without attribution", _worded(few), 0.5),
        at_least("the gradient, sensitivity: largest change without attribution", axioms.sensitivity(METHODS["gradient"], small).violation, 0.5),
        at_least("DeepLIFT Rescale, implementation invariance", axioms.implementation_invariance(METHODS["deeplift-rescale"], pairs).violation, 0.1),
    ]
    gradient_gap = axioms.implementation_invariance(METHODS["gradient"], pairs).violation
    return evidence_of(
        claim,
        "path-axioms",
        "Integrated gradients has sensitivity and implementation invariance; the gradient and DeepLIFT each lack at least one of them.",
        measurements,
        [
            breaks("the gradient put through the test of sensitivity", axioms.sensitivity(METHODS["gradient"], small).violation, NOISE),
            breaks("DeepLIFT put through the test of implementation invariance", measurements[-1].value, ALGEBRA),
            keeps("Occlusion-1 put through sensitivity as worded", _strong_occlusion(), NOISE),
        ],
        2 * small.count + few.count + 3 * len(pairs),
        status=settle(measurements, "holds under condition"),
        condition="Sensitivity is asked for inputs that differ from the baseline in one feature only, and the gradient exists at almost all points "
        "of the line.",
        finding=f"The gradient lacks sensitivity alone (implementations differ by {gradient_gap:.0g}); DeepLIFT lacks invariance alone.",
        domain="Small polynomials at ones, and one function written as two networks",
        counterexample=counterexample(
            "$f = 2 x_1 x_2 - x_1$ at $(1, 1)$ from $b = 0$: removing $x_1$ changes the output from $1$ to $0$, its integrated gradient is zero.",
            """
import torch
from executable import integrated_gradients

f = lambda x: 2 * x[:, 0] * x[:, 1] - x[:, 0]
x = torch.ones(1, 2, dtype=torch.float64)
assert torch.allclose(integrated_gradients(f, x), torch.tensor([[0.0, 1.0]], dtype=torch.float64))
assert f(x).item() == 1 and f(torch.tensor([[0.0, 1.0]])).item() == 0
""",
            input=[1, 1],
            baseline=[0, 0],
            attributions=[0, 1],
        ),
    )


def _worded(domain: axioms.Domain) -> float:
    return axioms.sensitivity(METHODS["integrated-gradients"], domain, reading="removed").violation
