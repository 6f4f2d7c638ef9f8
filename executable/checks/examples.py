"""Checks of the sources' worked examples: every number a record states, recomputed with exact fractions and by the methods themselves.

`parameters["values"]` of each check holds the recomputed table in the layout of the record.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, at_least, at_most, breaks, error, settle, versions, worst
from executable.frameworks.taylor_interaction import AllocationWeight, allocate_effects, equal_shares, proportional_to_degree, whole_effect
from executable.interactions import harsanyi_dividends, taylor_interaction_effects
from executable.methods.gradient_times_input import expected_gradients, integrated_gradients
from executable.methods.perturbation import kernel_shap, occlusion_1, shapley_value
from executable.testbeds.games import GameModel, or_game, value_by_orders
from executable.testbeds.polynomials import Polynomial, as_rows, game, integrate_gradient
from taxonomy.evidence import Evidence

SEED = 94
ONE, ZERO = Fraction(1), Fraction(0)
POINTS = [[Fraction(2), Fraction(3), Fraction(5)], [Fraction(1, 2), Fraction(-3), Fraction(7, 3)]]
Method = Callable[[Polynomial, Sequence[Fraction]], list[Fraction]]


def _numbers(values: Sequence[Fraction]) -> Tensor:
    """Fractions as one float64 row."""
    return torch.tensor([[float(v) for v in values]], dtype=torch.float64)


def _gap(found: Sequence[Fraction], expected: Sequence[Fraction]) -> float:
    return float(max(abs(a - b) for a, b in zip(found, expected, strict=True)))


def _weights_of(method: Method, term: Polynomial) -> list[Fraction]:
    """The part of a single term that each feature receives.

    Raises
    ------
    ArithmeticError
        If the parts differ between the two points, so that they are no weights.
    """
    first, second = ([a / term(x) for a in method(term, x)] for x in POINTS)
    if first != second:
        raise ArithmeticError(f"the parts {first} and {second} of one term depend on the input")
    return first


def _shapley(f: Polynomial, x: Sequence[Fraction]) -> list[Fraction]:
    return value_by_orders(game(f, x, [ZERO] * f.variables))


def _path(f: Polynomial, x: Sequence[Fraction]) -> list[Fraction]:
    return integrate_gradient(f, x, [ZERO] * f.variables)


def _occlusion(f: Polynomial, x: Sequence[Fraction]) -> list[Fraction]:
    return [f(x) - f([ZERO if j == i else v for j, v in enumerate(x)]) for i in range(f.variables)]


ROOM = Polynomial({(1, 0, 0): Fraction(3), (1, 1, 1): Fraction(2)})


def study_room(claim: str) -> Evidence:
    """The function 3 book + 2 desk lamp book: the weights of its two effects in two methods, and the attribution of the book."""
    parts = {degrees: Polynomial({degrees: c}) for degrees, c in ROOM.terms.items()}
    methods = {"Shapley value": _shapley, "Occlusion-1": _occlusion}
    weights = {name: [_weights_of(method, part)[0] for part in parts.values()] for name, method in methods.items()}
    ones = [ONE] * 3
    shapley, occlusion = _shapley(ROOM, ones), _occlusion(ROOM, ones)
    switches = [[Fraction(v) for v in point] for point in itertools.product((0, 1), repeat=3)]
    formula = {
        name: max(abs(methods[name](ROOM, x)[0] - (alone * 3 * x[0] + joint * 2 * x[1] * x[2] * x[0])) for x in switches)
        for name, (alone, joint) in weights.items()
    }
    rows, zero = as_rows(ones), as_rows([ZERO] * 3)
    model = ROOM.module()
    measurements = (
        at_most("book by the Shapley value against 11/3", float(abs(shapley[0] - Fraction(11, 3))), 0.0, "exact"),
        at_most("book by Occlusion-1 against 5", float(abs(occlusion[0] - 5)), 0.0, "exact"),
        at_most(
            "sum of the three by Occlusion-1 against 9, output against 5",
            float(max(abs(sum(occlusion, ZERO) - 9), abs(ROOM(ones) - 5))),
            0.0,
            "exact",
        ),
        at_most("the two formulas for the book at all eight inputs", float(max(formula.values())), 0.0, "exact"),
        at_most("project's Shapley value", error(shapley_value(model, rows, baselines=zero), _numbers(shapley)), ALGEBRA),
        at_most("project's Occlusion-1", error(occlusion_1(model, rows, baselines=zero), _numbers(occlusion)), ALGEBRA),
    )
    values = [
        [
            name,
            str(alone),
            str(joint),
            f"{alone} · 3 x_book + {joint} · 2 x_desk x_lamp x_book",
        ]
        for name, (alone, joint) in weights.items()
    ]
    return Evidence(
        claim=claim,
        check="examples/study-room",
        status=settle(measurements),
        statement="For $f = 3 x_b + 2 x_d x_l x_b$ at $(1, 1, 1)$ with baseline zero, the book receives $3 + 2/3 = 11/3$ from the Shapley value and "
        "$3 + 2 = 5$ from Occlusion-1, whose three attributions add up to $9$ while $f = 5$.",
        domain="The function of the example at all eight inputs, exact fractions",
        measurements=measurements,
        trials=len(switches) + 2 * len(methods),
        seed=SEED,
        controls=(
            breaks("the interaction shared by two instead of three: the book against the Shapley value", float(abs(3 + ONE - shapley[0])), 0.0),
            breaks("the Shapley value asked to give the book what Occlusion-1 does", _gap(shapley, occlusion), 0.0),
        ),
        parameters={"values": values, "shapley": [str(a) for a in shapley], "occlusion-1": [str(a) for a in occlusion]},
        versions=versions(),
    )


def monomial_allocation(claim: str) -> Evidence:
    """x1^2 x2 x3^2: the parts of the term by integrated and expected gradients, the Shapley value and Occlusion-1."""
    term = Polynomial({(2, 1, 2): ONE})
    degree, equal, whole = (_weights_of(method, term) for method in (_path, _shapley, _occlusion))
    model, x, zero = term.module(), as_rows(POINTS[0]), as_rows([ZERO] * 3)
    value = term(POINTS[0])
    rows = {
        "project's integrated gradients": (integrated_gradients(model, x, baselines=zero), degree),
        "project's expected gradients, one baseline": (expected_gradients(model, x, baselines=zero), degree),
        "project's Shapley value": (shapley_value(model, x, baselines=zero), equal),
        "project's Occlusion-1": (occlusion_1(model, x, baselines=zero), whole),
    }
    by_weights: dict[str, tuple[AllocationWeight, list[Fraction]]] = {
        "relative degree": (proportional_to_degree, degree),
        "one over the number of variables": (equal_shares, equal),
        "whole effect": (whole_effect, whole),
    }
    effects = term.effects(POINTS[0], [ZERO] * 3)
    measurements = (
        at_most("integrated gradients against 2/5, 1/5, 2/5", _gap(degree, [Fraction(2, 5), Fraction(1, 5), Fraction(2, 5)]), 0.0, "exact"),
        at_most("Shapley value against 1/3 each", _gap(equal, [Fraction(1, 3)] * 3), 0.0, "exact"),
        at_most("sum of the parts against one, both methods", float(max(abs(sum(degree, ZERO) - 1), abs(sum(equal, ZERO) - 1))), 0.0, "exact"),
        at_most("Occlusion-1 against the whole for each, three in all", _gap(whole, [ONE] * 3), 0.0, "exact"),
        *(
            at_most(f"the framework's weights, {name}", _gap(allocate_effects(effects, rule), [w * value for w in found]), 0.0, "exact")
            for name, (rule, found) in by_weights.items()
        ),
        *(at_most(name, error(found, _numbers([w * value for w in parts])), 1e-8) for name, (found, parts) in rows.items()),
    )
    return Evidence(
        claim=claim,
        check="examples/monomial-allocation",
        status=settle(measurements),
        statement="Of $x_1^2 x_2 x_3^2$ with baseline zero, Integrated Gradients and Expected Gradients give $2/5, 1/5, 2/5$, the Shapley value "
        "$1/3$ each, Occlusion-1 the whole to each of the three.",
        domain="The term of the example at two points, exact fractions",
        measurements=measurements,
        trials=len(POINTS) * 3 + len(rows) + len(by_weights),
        seed=SEED,
        controls=(
            breaks("relative degree asked of the Shapley value", _gap(equal, degree), 0.0),
            breaks("degrees (1, 1, 2) in place of (2, 1, 2)", _gap(_weights_of(_path, Polynomial({(1, 1, 2): ONE})), degree), 0.0),
        ),
        parameters={
            "values": [
                ["Integrated Gradients and Expected Gradients", "relative degree", *(str(w) for w in degree)],
                ["Shapley value", "one over the number of variables", *(str(w) for w in equal)],
            ]
        },
        versions=versions(),
    )


def or_of_three_variables(claim: str) -> Evidence:
    """OR of three: one third each by every road to the Shapley value, zero by Occlusion-1."""
    table = [Fraction(int(value)) for value in or_game(3).tolist()]
    model, ones = GameModel(or_game(3)), torch.ones(1, 3, dtype=torch.float64)
    exact = value_by_orders(table)
    measurements = (
        at_most("mean over all orders against 1/3 each", _gap(exact, [Fraction(1, 3)] * 3), 0.0, "exact"),
        at_most("project's Shapley value", error(shapley_value(model, ones), _numbers(exact)), ALGEBRA),
        at_most("project's kernel SHAP on all coalitions", error(kernel_shap(model, ones), _numbers(exact)), ALGEBRA),
        at_most("Occlusion-1 against zero", float(occlusion_1(model, ones).abs().max()), 0.0),
        at_least("change of the output when all three are removed", float(table[-1] - table[0]), 1.0),
    )
    conjunction = [Fraction(int(s == 7)) for s in range(8)]
    return Evidence(
        claim=claim,
        check="examples/or-of-three-variables",
        status=settle(measurements),
        statement="For $x_1 \\vee x_2 \\vee x_3$ with all inputs on and all off as the baseline, the Shapley values are one third each, and "
        "Occlusion-1 gives zero to all three.",
        domain="The function of the example",
        measurements=measurements,
        trials=4,
        seed=SEED,
        controls=(
            breaks(
                "two variables in place of three: their value against 1/3", float(value_by_orders([ZERO, ONE, ONE, ONE])[0] - Fraction(1, 3)), 0.0
            ),
            breaks("AND in place of OR: Occlusion-1 against zero", float(conjunction[7] - conjunction[6]), 0.0),
        ),
        parameters={"game": [int(value) for value in table], "shapley": [str(a) for a in exact]},
        versions=versions(),
    )


_NAMES = ("x1", "x2", "x3")


def _monomial(degrees: Sequence[int]) -> str:
    """A monomial in the writing of the record: `x1 x2 x3^2`."""
    return " ".join(name + (f"^{d}" if d > 1 else "") for name, d in zip(_NAMES, degrees, strict=True) if d)


def _printed(x: Tensor) -> Tensor:
    """The polynomial of the example as a network would compute it."""
    a, b, c = x.unbind(dim=1)
    return a + a**3 + a * b * c**2 + a**3 * b * c**2


def polynomial_effects(claim: str) -> Evidence:
    """x1 + x1^3 + x1 x2 x3^2 + x1^3 x2 x3^2: its Taylor effects at zero, by degree vector and by set."""
    f = Polynomial({(1, 0, 0): ONE, (3, 0, 0): ONE, (1, 1, 2): ONE, (3, 1, 2): ONE})
    x, zero = POINTS[0], [ZERO] * 3
    effects = {degrees: value for degrees, value in sorted(f.effects(x, zero).items(), key=lambda pair: sum(pair[0])) if value}
    by_set: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for degrees in effects:
        by_set.setdefault(tuple(i for i, d in enumerate(degrees) if d), []).append(degrees)
    generic = {members: sum((effects[d] for d in terms), ZERO) for members, terms in by_set.items()}
    dividends = harsanyi_dividends(_printed, as_rows(x), baselines=as_rows(zero))
    by_dividend = dict(zip(dividends.members, dividends.values[0].tolist(), strict=True))
    found = taylor_interaction_effects(_printed, as_rows(x), baselines=as_rows(zero), order=6).effects(0)
    printed = {(1, 0, 0): 2, (3, 0, 0): 8, (1, 1, 2): 2 * 3 * 25, (3, 1, 2): 8 * 3 * 25}
    other = f.effects(x, [ONE, ZERO, ZERO])
    measurements = (
        at_most("effects at (2, 3, 5) against 2, 8, 150 and 600", float(max(abs(effects[d] - v) for d, v in printed.items())), 0.0, "exact"),
        at_most("number of effects less four", float(abs(len(effects) - 4)), 0.0),
        at_most(
            "automatic differentiation against the expansion, all effects up to degree six",
            worst([abs(float(found.get(d, ZERO)) - float(effects.get(d, ZERO))) for d in {*found, *effects}]),
            1e-8,
        ),
        at_most(
            "effects of a set of variables against the Harsanyi dividends of the model's game",
            worst([abs(value - float(generic.get(members, ZERO))) for members, value in by_dividend.items()]),
            ALGEBRA,
        ),
    )
    values = [
        *(
            [f"Taylor {'independent' if sum(d > 0 for d in degrees) == 1 else 'interaction'} effect", _monomial(degrees), str(list(degrees))]
            for degrees in effects
        ),
        *([_generic_name(members), " + ".join(_monomial(d) for d in terms), ""] for members, terms in by_set.items()),
    ]
    return Evidence(
        claim=claim,
        check="examples/polynomial-effects",
        status=settle(measurements),
        statement="At the baseline zero $x_1 + x_1^3 + x_1 x_2 x_3^2 + x_1^3 x_2 x_3^2$ has the four effects $x_1$, $x_1^3$, $x_1 x_2 x_3^2$ and "
        "$x_1^3 x_2 x_3^2$; the first two add up to the generic effect of $x_1$, the others to that of $\\{x_1, x_2, x_3\\}$.",
        domain="The polynomial of the example, exact fractions",
        measurements=measurements,
        trials=len(effects) + len(generic),
        seed=SEED,
        controls=(
            breaks("baseline (1, 0, 0) in place of zero: number of effects beyond four", float(sum(v != 0 for v in other.values()) - 4), 0.0),
            breaks("the generic effect of x1 without its cubic term", float(generic[(0,)] - effects[(1, 0, 0)]), 0.0),
        ),
        parameters={"values": values},
        versions=versions(),
    )


def _generic_name(members: Sequence[int]) -> str:
    names = [_NAMES[i] for i in members]
    return f"Generic independent effect of {names[0]}" if len(names) == 1 else f"Generic interaction effect of {{{', '.join(names)}}}"


def eye_nose_mouth(claim: str) -> Evidence:
    """The term c (eye - b)^2 (nose - b)(mouth - b): it vanishes with any of the three, and its degrees are 2, 1, 1."""
    b = [Fraction(1), Fraction(-2), Fraction(1, 2)]
    degrees, c = (2, 1, 1), Fraction(3)
    term = Polynomial({degrees: c})  # in powers of x - b

    def f(x: Sequence[Fraction]) -> Fraction:
        return term([v - w for v, w in zip(x, b, strict=True)])

    removed, whole = [], []
    for x in POINTS:
        table = game(f, x, b)
        removed.append(max(abs(v) for v in table[:-1]))
        whole.append(abs(table[-1]))
    # The k-th finite difference of a power below k vanishes: it finds the degree of each variable.
    found = [next(k for k in range(5) if not _difference(f, POINTS[0], i, k + 1)) for i in range(3)]
    plain = Polynomial({(2, 1, 1): c})
    measurements = (
        at_most("the term with any of the three at its baseline, two points", float(max(removed)), 0.0, "exact"),
        at_least("the term with all three present (smallest absolute value)", float(min(whole)), 0.1),
        at_most("degrees found by finite differences against 2, 1, 1", float(max(abs(a - d) for a, d in zip(found, degrees, strict=True))), 0.0),
    )
    return Evidence(
        claim=claim,
        check="examples/eye-nose-mouth",
        status=settle(measurements),
        statement="$c (x_e - b_e)^2 (x_n - b_n)(x_m - b_m)$ is zero whenever one of the three is at its baseline, and is of degree two in the eye, "
        "one in nose and mouth.",
        domain="The term with $c = 3$, all eight sets of present variables at two points, exact fractions",
        measurements=measurements,
        trials=len(POINTS) * 8 + 3,
        seed=SEED,
        controls=(
            breaks("the same powers of x instead of x - b: largest value without one of the three", float(_left(plain, b)), 0.0),
            breaks("an OR of the three in place of the AND: value with one of them", float(or_game(3)[1]), 0.0),
        ),
        parameters={"values": [[name, str(degree)] for name, degree in zip(("eye", "nose", "mouth"), found, strict=True)]},
        versions=versions(),
    )


def _left(f: Polynomial, b: Sequence[Fraction]) -> Fraction:
    """Largest absolute value of f at the first point with one variable at its baseline."""
    x = POINTS[0]
    return max(abs(f([b[j] if j == i else v for j, v in enumerate(x)])) for i in range(3))


def _difference(f: Callable[[Sequence[Fraction]], Fraction], x: Sequence[Fraction], i: int, order: int) -> Fraction:
    """The finite difference of the given order in variable i, step one."""
    signs: Mapping[int, int] = {0: 1}
    for _ in range(order):
        signs = {k: signs.get(k - 1, 0) - signs.get(k, 0) for k in range(len(signs) + 1)}
    return sum((sign * f([v + (k if j == i else 0) for j, v in enumerate(x)]) for k, sign in signs.items()), ZERO)
