"""Checks on single terms: how often an interaction is counted, and which relevance a neuron's root can be made to yield."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_most, breaks, counterexample, judge, keeps, sweep
from executable.checks.equivalences import evidence_of, outcomes
from executable.methods.perturbation import occlusion_1, occlusion_patch, prediction_difference, shapley_value
from executable.rationales.deep_taylor import neuron_terms, root_for
from executable.removal import Marginal
from executable.testbeds.polynomials import degree_vectors
from taxonomy.evidence import Counterexample, Evidence

SEED = 80


class Term:
    """prod_i (x_i - b_i)**κ_i."""

    def __init__(self, degrees: Sequence[int], b: Tensor) -> None:
        self.degrees, self.b = torch.tensor(degrees, dtype=torch.float64), b

    def __call__(self, x: Tensor) -> Tensor:
        """Value at each row."""
        value: Tensor = ((x - self.b) ** self.degrees).prod(dim=1)
        return value


def effects_counted(claim: str) -> Evidence:
    """The sum of the attributions of a single term, in parts of its value, for all terms in four variables up to degree five."""
    b = torch.tensor([[0.3, -0.4, 0.1, 0.7]], dtype=torch.float64)
    x = torch.tensor([[1.4, 1.1, 1.7, 1.9]], dtype=torch.float64)
    rows = torch.cat([b, b])
    names = (
        "Occlusion-1",
        "prediction difference, two equal rows of data",
        "patches of one pixel",
        "patches of two pixels, against the size of the set",
        "patches of two pixels, against the pixels of the patches it touches",
    )
    cases_of: dict[str, tuple[bool, list[float]]] = {name: (not name.endswith("size of the set"), []) for name in names}
    shapley, additive, twice = 0.0, 0.0, 0.0
    terms = degree_vectors(4, 5)
    for degrees in terms:
        f = Term(degrees, b)
        effect, members = float(f(x)), [i for i, d in enumerate(degrees) if d]
        sums = {
            "Occlusion-1": occlusion_1(f, x, baselines=b),
            "prediction difference, two equal rows of data": prediction_difference(f, x, baselines=Marginal(rows)),
            "patches of one pixel": occlusion_patch(f, x, sliding_window_shapes=1, baselines=b),
        }
        for name, a in sums.items():
            cases_of[name][1].append(abs(float(a.sum()) / effect - len(members)))
        pairs = float(occlusion_patch(f, x, sliding_window_shapes=2, strides=2, baselines=b).sum()) / effect
        cases_of[names[3]][1].append(abs(pairs - len(members)))
        cases_of[names[4]][1].append(abs(pairs - 2 * len({i // 2 for i in members})))
        shapley = max(shapley, abs(float(shapley_value(f, x, baselines=b).sum()) / effect - 1))
        twice = max(twice, abs(float(sums["Occlusion-1"].sum()) / effect - 1))
        if len(members) == 1:
            additive = max(additive, abs(float(sums["Occlusion-1"].sum()) / effect - 1))
    cases = [Case(name, meets, max(found)) for name, (meets, found) in cases_of.items()]
    return evidence_of(
        claim,
        "single-terms/effects-counted",
        "In Occlusion-1, Occlusion-patch and prediction difference the parts given of an interaction of a set $S$ add up to $|S|$ times the effect.",
        [*sweep(cases, ALGEBRA), at_most("terms in one variable: the factor's distance from 1", additive, ALGEBRA)],
        [
            breaks("Occlusion-1, each term asked to be counted once (largest excess)", twice, 0.5),
            keeps("the Shapley value counts every term once", shapley, ALGEBRA),
        ],
        len(terms) * len(cases),
        status=judge(cases, ALGEBRA),
        condition="Each patch has one pixel. Otherwise the factor is the number of pixels in all patches that the set touches. For sets of one "
        "variable the factor is one, so for additive models nothing is counted twice.",
        finding="A term vanishes as soon as one of its variables is removed, so each of them is given the whole of it.",
        domain="All terms in four variables up to degree five",
        counterexample=counterexample(
            "$f = x_1$ with the patch $\\{1, 2\\}$ at $(1, 1)$: the effect of the set $\\{1\\}$ is $1$, and both pixels of the patch receive it, "
            "so that the factor is $2$, not $1$.",
            """
import torch
from executable.methods.perturbation import occlusion_1, occlusion_patch

f = lambda x: x[:, 0]
x = torch.ones(1, 2, dtype=torch.float64)
assert occlusion_patch(f, x, sliding_window_shapes=2, strides=2).tolist() == [[1.0, 1.0]]
assert occlusion_1(f, x).tolist() == [[1.0, 0.0]]
both = lambda x: x[:, 0] * x[:, 1]      # a set of two, counted twice
assert occlusion_1(both, x).tolist() == [[1.0, 1.0]]
""",
            input=[1, 1],
            patch=[1, 1],
            single=[1, 0],
        ),
        parameters={"terms": len(terms)} | outcomes(cases),
    )


def arbitrary_roots(claim: str) -> Evidence:
    """For any wished relevance of one neuron, the root that yields it, in exact arithmetic."""
    chance = random.Random(SEED)
    trials, gaps, off = 200, [], []
    for _ in range(trials):
        n = chance.randint(2, 5)
        w = [Fraction(chance.choice([-1, 1]) * chance.randint(1, 9), chance.randint(1, 5)) for _ in range(n)]
        x, s = [Fraction(chance.randint(-9, 9)) for _ in range(n)], Fraction(chance.randint(-9, 9))
        wished = [Fraction(chance.randint(-20, 20)) for _ in range(n - 1)]
        wished.append(sum((a * b for a, b in zip(w, x, strict=True)), s) - sum(wished, Fraction(0)))
        root = root_for(w, x, wished)
        off.append(abs(sum((a * b for a, b in zip(w, root, strict=True)), s)))
        gaps.append(max(abs(a - y) for a, y in zip(neuron_terms(w, x, root), wished, strict=True)))
    unreached = abs(0 * (Fraction(1) - Fraction(5)) - 1)
    total = abs(
        sum((a * b for a, b in zip([1, 1], root_for([Fraction(1)] * 2, [Fraction(1)] * 2, [Fraction(3), Fraction(0)]), strict=True)), Fraction(0))
    )
    return evidence_of(
        claim,
        "single-terms/arbitrary-roots",
        "For a neuron $\\operatorname{relu}(w^T x + s)$ that is active, and any $r$ with $\\sum_i r_i = w^T x + s$, the point with $b_i = x_i - "
        "r_i / w_i$ is a root, and the expansion there gives $r$.",
        [
            at_most("pre-activation at the root", float(max(off)), 0.0, "exact rational arithmetic"),
            at_most("expansion at the root against the wished relevance", float(max(gaps)), 0.0, "exact rational arithmetic"),
        ],
        [
            breaks("a feature with weight zero that is to receive 1: what is missing, whatever the root", float(unreached), 0.0),
            breaks("wished relevance (3, 0) for an output of 2: pre-activation at the point", float(total), 0.0),
        ],
        trials,
        status="holds under condition" if not any(off + gaps) else "fails",
        condition="The wished relevances add up to the pre-activation, and they are zero for features whose weight is zero. The slope at the root "
        "is that of the active side.",
        finding="What is left of the input is the sum alone: any division of it among the features is a Deep Taylor decomposition.",
        domain="Single neurons with two to five inputs, rational weights, biases and inputs, and random wishes",
        counterexample=_no_weight(),
        parameters={"neurons": trials},
    )


def _no_weight() -> Counterexample:
    code = """
from fractions import Fraction
from executable.rationales.deep_taylor import root_for

# relu(2 x1 + x2) at (1, 1) is 3: the root (9/2, -9) yields the relevance (-7, 10).
root = root_for([Fraction(2), Fraction(1)], [Fraction(1), Fraction(1)], [Fraction(-7), Fraction(10)])
assert 2 * root[0] + root[1] == 0 and (2 * (1 - root[0]), 1 - root[1]) == (-7, 10)
# relu(x1 + 0 x2) at (1, 1): the second feature receives 0 * (1 - b2) = 0 for every root (0, b2).
assert all(0 * (1 - b) == 0 for b in range(-100, 100))
"""
    return counterexample(
        "$\\operatorname{relu}(2x_1 + x_2)$ at $(1, 1)$ can be given the relevance $(-7, 10)$, by the root $(9/2, -9)$. Not so "
        "$\\operatorname{relu}(x_1 + 0x_2)$: there the second feature receives zero whatever the root.",
        code,
        input=[1, 1],
        root=["9/2", "-9"],
        relevance=[-7, 10],
    )
