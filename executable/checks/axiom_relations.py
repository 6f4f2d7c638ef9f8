"""Checks of how axioms are said to be related: attributions are put through the tests of both, and found where one has the one and not the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from executable.checks import axiom_domains, axioms
from executable.checks.axiom_claims import METHODS, NAMES, in_order, occluded, shapley
from executable.checks.axioms import Attribution, Domain, Function
from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, subject, versions
from executable.coalitions import coalition_values
from executable.methods.perturbation import shapley_value
from executable.removal import Marginal
from taxonomy.evidence import Control, Counterexample, Evidence, EvidenceStatus, Measurement

SEED = 410
COUNT = 3


def equal_parts(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """The change of the output in equal parts to all features."""
    with torch.no_grad():
        return (f(x) - f(b)).unsqueeze(1).expand(x.shape) / x.shape[1]


def parts_of_present(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """The change of the output in equal parts to the features whose value differs from the baseline's."""
    present = (x != b).to(x)
    with torch.no_grad():
        return (f(x) - f(b)).unsqueeze(1) * present / present.sum(dim=1, keepdim=True).clamp(min=1)


def normalised(f: Function, x: Tensor, b: Tensor) -> Tensor:
    """Shapley value in parts of its absolute sum, zero if that is zero."""
    a = shapley(f, x, b)
    return a / a.abs().sum().clamp(min=1e-300)


ATTRIBUTIONS: dict[str, Attribution] = {
    **{name: a for name, a in METHODS.items() if name != "deeplift-rescale"},
    "occlusion-1": occluded,
    "marginal contributions in one order": in_order,
    "Shapley value in parts of its absolute sum": normalised,
    "equal parts": equal_parts,
    "equal parts of the present": parts_of_present,
}
Requirement = Callable[[Attribution], float]
"""The largest violation of a requirement."""


def _domain() -> Domain:
    return axiom_domains.polynomials(COUNT)


def _by_sets(a: Attribution) -> float:
    """Efficiency with both worths read from the table of the game."""
    gaps = []
    for e in _domain():
        v = coalition_values(e.f, e.x, baselines=e.b)[0]
        gaps.append(abs(float(a(e.f, e.x, e.b).sum() - (v[-1] - v[0]))))
    return max(gaps)


def _by_outputs(a: Attribution) -> float:
    """Completeness with the outputs at input and baseline."""
    return max(abs(float(a(e.f, e.x, e.b).sum() - (e.f(e.x) - e.f(e.b)))) for e in _domain())


def _by_prediction(a: Attribution) -> float:
    """Local accuracy: baseline value plus attributions against the prediction."""
    return max(abs(float(e.f(e.b) + a(e.f, e.x, e.b).sum() - e.f(e.x))) for e in _domain())


def _test(test: Callable[..., axioms.Verdict], **options: Any) -> Requirement:
    return lambda a: test(a, _domain(), **options).violation


def _unused(a: Attribution) -> float:
    """What a feature receives that occurs in no term of a polynomial, at inputs where it is present: the blog's sense of missing."""
    found = [0.0]
    for place, e in enumerate(_domain()):
        assert isinstance(e.f, axiom_domains.Written)
        i = place % e.features
        others = {tuple(int(k != i) for k in range(e.features)): 1.0}
        without = axiom_domains.Written(others | {degrees: c for degrees, c in e.f.terms.items() if degrees[i] == 0})
        found.append(abs(float(a(without, e.x, e.b)[0, i])))
    return max(found)


REQUIREMENTS: Mapping[str, Requirement] = {
    "efficiency": _by_sets,
    "completeness": _by_outputs,
    "local accuracy": _by_prediction,
    "linearity": _test(axioms.linearity),
    "additivity": _test(axioms.additivity),
    "dummy, asked of games": _test(axioms.dummy, reading="game"),
    "dummy, asked of functions": _test(axioms.dummy, reading="function"),
    "missingness": _test(axioms.missingness),
    "no occurrence in the model": _unused,
    "symmetry": _test(axioms.symmetry, reading="game"),
}


@functools.cache
def violation(requirement: str, attribution: str) -> float:
    """Largest violation of a requirement by an attribution."""
    return REQUIREMENTS[requirement](ATTRIBUTIONS[attribution])


def _has(requirement: str, attribution: str) -> bool:
    return violation(requirement, attribution) <= ALGEBRA


def _named(attributions: tuple[str, ...]) -> str:
    return ", ".join(NAMES.get(name, name) for name in attributions)


@dataclass(frozen=True)
class Compared:
    """Which attributions have the first requirement alone, and which the second."""

    first_only: tuple[str, ...]
    second_only: tuple[str, ...]

    @property
    def parted(self) -> int:
        """Number of attributions that have one of the two."""
        return len(self.first_only) + len(self.second_only)


def compare(first: str, second: str) -> Compared:
    """Put every attribution through both tests."""
    one, other = ([name for name in ATTRIBUTIONS if _has(requirement, name)] for requirement in (first, second))
    return Compared(tuple(name for name in one if name not in other), tuple(name for name in other if name not in one))


def _evidence(
    claim: str,
    check: str,
    statement: str,
    status: EvidenceStatus,
    measurements: list[Measurement],
    controls: list[Control],
    finding: str,
    condition: str | None = None,
    shown: Counterexample | None = None,
) -> Evidence:
    return Evidence(
        claim=claim,
        check=f"axiom-relations/{check}",
        status=status,
        statement=statement,
        condition=condition if status != "holds" else None,
        finding=finding,
        domain=f"{len(ATTRIBUTIONS)} attributions, from the Shapley value to equal parts for all, on random polynomials of degree up to six in three "
        "features",
        measurements=tuple(measurements),
        trials=2 * COUNT * len(ATTRIBUTIONS),
        seed=SEED,
        counterexample=shown if status != "holds" else None,
        controls=tuple(controls),
        parameters={"attributions": sorted(ATTRIBUTIONS), "functions": COUNT},
        versions=versions(),
    )


def _apart(first: str, second: str) -> Control:
    return breaks(f"{first} against {second}: attributions that have one of the two", compare(first, second).parted, 0)


def implied(claim: str) -> Evidence:
    """Linearity with both factors one is additivity."""
    found = compare("linearity", "additivity")
    measurements = [
        at_most("attributions that have linearity and not additivity", len(found.first_only), 0),
        at_least("attributions that have both", _both("linearity", "additivity"), 3),
    ]
    return _evidence(
        claim,
        "implied",
        "An attribution with $a(\\lambda f + \\mu g) = \\lambda a(f) + \\mu a(g)$ has $a(f + g) = a(f) + a(g)$.",
        settle(measurements),
        measurements,
        [
            breaks("linearity and missingness: attributions with the first alone", len(compare("linearity", "missingness").first_only), 0),
            breaks("attributions that have neither", len(ATTRIBUTIONS) - _both("linearity", "additivity") - found.parted, 0),
        ],
        "Additivity is the case $\\lambda = \\mu = 1$. Of the attributions tried, those that have one of the two have both.",
    )


def _both(first: str, second: str) -> int:
    return sum(_has(first, name) and _has(second, name) for name in ATTRIBUTIONS)


Quadratic = tuple[Fraction, Fraction]
"""The number p + q √2."""


def _times(a: Quadratic, b: Quadratic) -> Quadratic:
    return a[0] * b[0] + 2 * a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def rational_part(v: tuple[Quadratic, ...]) -> Quadratic:
    """An attribution of one-player games (v of nobody, v of the player): the worth without its multiple of √2."""
    return v[1][0] - v[0][0], Fraction(0)


def _worths() -> Iterator[tuple[Quadratic, ...]]:
    values = (Fraction(0), Fraction(1), Fraction(-2, 3))
    for p in values:
        for q in values:
            yield (Fraction(0), Fraction(0)), (p, q)


def _scaled_apart(factor: Quadratic) -> float:
    """Largest difference between a(λ v) and λ a(v) for the rational part."""
    gaps = []
    for v in _worths():
        one = rational_part(tuple(_times(factor, value) for value in v))
        other = _times(factor, rational_part(v))
        gaps.append(abs(float(one[0] - other[0]) + float(one[1] - other[1]) * 2**0.5))
    return max(gaps)


def _added_apart() -> float:
    gaps = []
    for v in _worths():
        for w in _worths():
            together = rational_part(tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(v, w, strict=True)))
            gaps.append(abs(float(together[0] - rational_part(v)[0] - rational_part(w)[0])))
    return max(gaps)


_ROOT = """
# p + q * sqrt(2) as (p, q); the attribution of a one-player game with v(nobody) = 0 is the rational part of its worth
add = lambda a, b: (a[0] + b[0], a[1] + b[1])
times_root = lambda a: (2 * a[1], a[0])
part = lambda a: (a[0], 0)
for a in [(1, 0), (0, 1), (2, -3)]:
    for b in [(1, 0), (5, 7)]:
        assert part(add(a, b)) == add(part(a), part(b))          # additive
assert part(times_root((1, 0))) == (0, 0) != times_root(part((1, 0))) == (0, 1)   # but sqrt(2) * 1 is not sent to sqrt(2)
"""


def additive(claim: str) -> Evidence:
    """Additivity gives rational multiples; an additive attribution that is not linear exists."""
    cases = (
        Case("factor 3", True, _scaled_apart((Fraction(3), Fraction(0)))),
        Case("factor -2/5", True, _scaled_apart((Fraction(-2, 5), Fraction(0)))),
        Case("factor √2", False, _scaled_apart((Fraction(0), Fraction(1)))),
        Case("factor 1 - √2", False, _scaled_apart((Fraction(1), Fraction(-1)))),
    )
    found = compare("additivity", "linearity")
    measurements = [
        at_most("the rational part: largest violation of additivity", _added_apart(), 0.0, "exact fractions"),
        at_most("largest violation for rational factors", max(case.error for case in cases if case.meets), 0.0),
        at_least("smallest violation for the other factors", min(case.error for case in cases if not case.meets), 0.1),
        at_most("attributions in use that have one of the two", found.parted, 0),
    ]
    return _evidence(
        claim,
        "additive",
        "An attribution has additivity exactly if it has linearity.",
        settle(measurements, judge(cases, 0.0)),
        measurements,
        [_apart("additivity", "missingness"), breaks("the square of the worth: violation of additivity for worths 1 and 1", 4 - 1 - 1, 0)],
        "From $a(f + g) = a(f) + a(g)$ follows $a(\\lambda f) = \\lambda a(f)$ for rational $\\lambda$ only. The attributions tried here, which are "
        "computed by formulas, have both or neither.",
        "Multiples are by rational numbers, or the attribution is continuous in $f$; linearity asks for real multiples.",
        counterexample(
            "One player whose worth is $p + q \\sqrt 2$ with rational $p, q$ receives $p$: worths add up and so do these, but $\\sqrt 2$ times the "
            "game of worth $1$ gives $0$ instead of $\\sqrt 2$.",
            _ROOT,
            worth="p + q sqrt(2)",
            attribution="p",
        ),
    )


_SENSES = """
import torch

f = lambda x: x[:, 0]                       # the second feature does not occur
x, b = torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2)
present = (x != b).float()
a = (f(x) - f(b)) * present / present.sum()  # equal parts to the features that differ from the baseline
assert a.tolist() == [[0.5, 0.5]]           # a feature that is absent would receive 0, the dummy receives 1/2
"""


def dummies(claim: str) -> Evidence:
    """Two senses of missing: not occurring in the model, and not differing from the baseline."""
    model = compare("dummy, asked of functions", "no occurrence in the model")
    games = compare("dummy, asked of games", "missingness")
    cases = (
        Case("a feature that does not occur in the model, dummy asked of functions", True, float(model.parted)),
        Case("a feature that is absent from the input", False, float(games.parted)),
        Case("a feature that does not occur in the model, dummy asked of games", False, float(_games_or_model().parted)),
    )
    measurements = [
        at_most("does not occur in the model against dummy, asked of functions: attributions with one of the two", model.parted, 0),
        at_least("absent from the input: attributions with missingness and without dummy", len(games.second_only), 1),
        at_most("absent from the input: attributions with dummy and without missingness", len(games.first_only), 0, "dummy implies it"),
        number("dummy asked of games against no occurrence in the model: attributions with one of the two", _games_or_model().parted),
    ]
    return _evidence(
        claim,
        "dummies",
        "An attribution has dummy exactly if it has missingness.",
        settle(measurements, judge(cases, 0.0)),
        measurements,
        [_apart("symmetry", "missingness"), keeps("dummy against itself", compare("dummy, asked of games", "dummy, asked of games").parted, 0)],
        "A feature with $x_i = b_i$ changes no value of the game, so dummy, asked of games, implies missingness in the survey's sense. The converse "
        f"is false: {_named(games.second_only)} give absent features nothing and some dummies something.",
        "Missing means that the model does not use the feature, and dummy is asked of functions and not of the values $f(x_S)$ alone.",
        counterexample(
            "$f = x_1$ at $(1, 1)$, $b = 0$, shared in equal parts among the features that differ from the baseline: $(1/2, 1/2)$. Absent features "
            "receive nothing, the dummy $x_2$ does not.",
            _SENSES,
            input=[1, 1],
            baseline=[0, 0],
            attributions=[0.5, 0.5],
        ),
    )


def _games_or_model() -> Compared:
    return compare("dummy, asked of games", "no occurrence in the model")


_EQUAL = """
import torch

x, b = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)     # the second feature is absent
f = lambda x: x[:, 0]
split = lambda f: ((f(x) - f(b)) / 2).expand(2).tolist()   # equal parts: symmetric players receive the same
assert split(f) == [0.5, 0.5]                              # and so does the absent one
v = {"": 0, "1": 1, "2": 1, "12": 2}                       # f(x_S) = |S|: symmetric, neither is missing
arriving = [v["1"] - v[""], v["12"] - v["1"]]
assert arriving == [1, 1]
both = {"": 0, "1": 0, "2": 0, "12": 1}                    # symmetric too
assert [both["1"] - both[""], both["12"] - both["1"]] == [0, 1]   # in order of arrival: nothing for absent players, no symmetry
"""


def unrelated(claim: str) -> Evidence:
    """Attributions with symmetry alone and with missingness alone."""
    found = compare("symmetry", "missingness")
    near = compare("dummy, asked of games", "missingness")
    cases = [Case("attributions that have one of the two", True, float(found.parted))]
    measurements = [
        at_least("attributions with symmetry and without missingness", len(found.first_only), 1),
        at_least("attributions with missingness and without symmetry", len(found.second_only), 1),
        at_most("attributions with dummy, asked of games, and without missingness", len(near.first_only), 0),
    ]
    return _evidence(
        claim,
        "unrelated",
        "An attribution has symmetry exactly if it has missingness.",
        judge(cases, 0.0),
        measurements,
        [
            keeps("efficiency against completeness: attributions with one of the two", compare("efficiency", "completeness").parted, 0),
            breaks("linearity against missingness: attributions with one of the two", compare("linearity", "missingness").parted, 0),
        ],
        f"With symmetry alone: {_named(found.first_only)}. With missingness alone: {_named(found.second_only)}.",
        "No condition makes the two one: neither implies the other. The axiom that implies missingness is that of the dummy player.",
        counterexample(
            "$f = x_1$ at $(1, 0)$: equal parts $(1/2, 1/2)$ have symmetry and pay an absent feature. In the game won by both players together "
            "marginal contributions in order of arrival, $(0, 1)$, pay no absent player and lack symmetry.",
            _EQUAL,
            input=[1, 0],
            baseline=[0, 0],
            attributions=[0.5, 0.5],
        ),
    )


def _by_background() -> tuple[float, float]:
    """Shapley values with removal by a background: gap of the sum to v(N) - v(empty set), and to f(x) - f(b) at the background's mean b."""
    to_game, to_outputs = [], []
    generator = torch.Generator().manual_seed(SEED)
    for e in _domain():
        background = torch.randn(4, e.features, generator=generator, dtype=torch.float64)
        total = shapley_value(e.f, e.x, baselines=Marginal(background)).sum()
        to_game.append(abs(float(total - (e.f(e.x) - e.f(background).mean()))))
        to_outputs.append(abs(float(total - (e.f(e.x) - e.f(background.mean(dim=0, keepdim=True))))))
    return max(to_game), min(to_outputs)


_BACKGROUND = """
import torch
from executable import shapley_value
from executable.removal import Marginal

f = lambda x: x[:, 0] ** 2
x, background = torch.tensor([[3.0]]), torch.tensor([[0.0], [2.0]])
a = shapley_value(f, x, baselines=Marginal(background))
assert a.item() == 7                       # v(N) - v(empty set) = 9 - (0 + 4) / 2
assert f(x).item() - f(background.mean(dim=0, keepdim=True)).item() == 8   # f(x) - f(b) at b = 1
"""
_NAMES = {"efficiency": "efficiency", "local-accuracy": "local accuracy", "completeness": "completeness"}


def same_equation(claim: str) -> Evidence:
    """Three names of one equation, as long as nothing present means the one baseline."""
    first, second = _NAMES[subject(claim)], _NAMES[claim.split("/")[2]]
    found = compare(first, second)
    gap = max(abs(violation(first, name) - violation(second, name)) for name in ATTRIBUTIONS)
    to_game, to_outputs = _by_background()
    by_game = first == "efficiency"
    cases = [Case("one baseline", True, max(float(found.parted), gap))]
    measurements = [
        at_most("attributions that have one of the two", found.parted, 0),
        at_most("largest difference of their violations", gap, ALGEBRA),
        at_least("attributions that have neither", len(ATTRIBUTIONS) - _both(first, second), 3),
    ]
    if by_game:
        cases.append(Case("removal by a background", False, abs(to_outputs - to_game)))
        measurements += [
            at_most("removal by a background: sum of the Shapley value against $v(N) - v(\\emptyset)$", to_game, ALGEBRA),
            at_least("removal by a background: sum against $f(x) - f(b)$ at the mean of the background", to_outputs, 1e-3),
        ]
    return _evidence(
        claim,
        "same-equation",
        f"An attribution has {first} exactly if it has {second}.",
        settle(measurements, judge(cases, ALGEBRA)),
        measurements,
        [_apart(first, "linearity"), _apart(first, "symmetry")],
        "With $x_N = x$ and $x_\\emptyset = b$ the equations are the same. Where a distribution removes features, $f(x_\\emptyset)$ is a mean of "
        "outputs, which no single baseline need have."
        if by_game
        else "$f(b) + \\sum_i a_i = f(x)$ and $\\sum_i a_i = f(x) - f(b)$ are one equation.",
        "Removed features take the values of one baseline, so that $x_\\emptyset = b$.",
        counterexample(
            "$f = x^2$ at $3$ with the background $\\{0, 2\\}$: the Shapley value is $9 - 2 = 7$, as efficiency asks; the change from the mean "
            "baseline $1$ is $8$.",
            _BACKGROUND,
            input=[3],
            background=[[0], [2]],
            attribution=7,
        ),
    )
