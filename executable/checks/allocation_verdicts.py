"""Checks of the verdicts on fourteen methods by the three principles of the Taylor paper (its Table VI)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from executable.arguments import Model
from executable.checks.allocation_methods import HIGHEST, OTHER_PARAMETERS, SEED, SUBJECTS, distance_from_weights, weight_violations
from executable.checks.allocation_settings import (
    BOTH,
    EXPANDED,
    FIRST_ORDER,
    OUTSIDE,
    VIOLATIONS,
    Tried,
    linear_terms,
    settings,
)
from executable.checks.allocation_words import COMPLETE, COVERAGE, DOMAIN, FINDING, PLAIN, STATEMENT, UNRELATED
from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, sweep, versions
from executable.methods.perturbation import shapley_value
from executable.principles import allocation_testbeds as beds
from executable.principles.allocation import AT_INPUT, BOUND, MODULE, NETWORK, scores, snippet, tell
from executable.principles.base import Explainer, adapted
from taxonomy.evidence import Control, Counterexample, Evidence, EvidenceStatus, Measurement


def _nothing(model: Model, x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def _exchanged(model: Model, x: Tensor) -> Tensor:
    return shapley_value(model, x).flip(1)


def _halved(model: Model, x: Tensor) -> Tensor:
    return shapley_value(model, x) / 2


_SPOILT: dict[str, tuple[str, Explainer]] = {
    COVERAGE: ("scores that are all zero", adapted(_nothing)),
    UNRELATED: ("Shapley values in reverse order", adapted(_exchanged)),
    COMPLETE: ("half of the Shapley values", adapted(_halved)),
}


def _largest(principle: str, explain: Explainer) -> float:
    found = [scores(explain, bed) for bed in (beds.neurons_with_absent_feature() if principle == UNRELATED else beds.orders_of_neurons())]
    return max(VIOLATIONS[principle](one.bed, one.scores) for one in found if one.scores is not None)


def controls(principle: str) -> tuple[Control, ...]:
    """A method made to break the principle, and one that keeps it in every reading."""
    name, explain = _SPOILT[principle]
    return (
        breaks(f"{name}, on the neurons", _largest(principle, explain), BOUND),
        keeps("the Shapley value, on the neurons", _largest(principle, adapted(shapley_value)), BOUND),
    )


def _of_weights(principle: str, method: str, found: Sequence[Tried], *, satisfies: bool) -> tuple[Measurement, ...]:
    """Exact weights of the theorem and how close the method comes to them; nothing where weights do not depend on the term alone."""
    subject = SUBJECTS[method]
    if subject.weights is None:
        return ()
    exact = float(weight_violations(subject)[principle])
    what = {COVERAGE: "terms without any weight (1 if there are)", UNRELATED: "largest weight of a variable not in the term"}
    name = f"weights of the theorem, orders up to {HIGHEST}: {what.get(principle, 'largest distance of their sum from one')}"
    kept = all(one.violation <= BOUND for one in found if one.name == BOTH or (principle == UNRELATED and one.reading == MODULE))
    stated = at_most(name, exact, 0.0, "exact rational arithmetic") if kept else number(name, exact, "exact rational arithmetic")
    if not satisfies and not kept:
        stated = at_least(name, exact, 0.5, "exact rational arithmetic")
    return stated, at_most("the method on neurons against these weights", distance_from_weights(subject), ALGEBRA)


def taylor_principle(claim: str) -> Evidence:
    """One method and one principle, within one neuron and for the whole network."""
    method, verdict, principle = claim.split("/")
    found = settings(principle, method)
    outside, condition = OUTSIDE.get((principle, method), ((), ""))
    satisfies = verdict == "satisfies"
    # What comes of Occlusion-1 in the reading that the gradient needs is shown and does not count: the paper's terms are those at the baseline.
    beside = [one for one in found if one.name == EXPANDED and method not in FIRST_ORDER]
    counted = [one for one in found if one not in beside]
    cases = [Case(one.name, one.name not in outside, one.violation) for one in counted]
    measured = list(_of_weights(principle, method, counted, satisfies=satisfies))
    if satisfies:
        measured += sweep(cases, BOUND) if outside else [at_most("largest violation in all settings", max(case.error for case in cases), BOUND)]
        status = settle(measured, judge(cases, BOUND))
    else:
        status = _violated(counted, outside)
        measured += _where_violated(counted, outside)
        status = settle(measured, status)
    measured += [
        number(
            f"largest violation with {one.name}, of those in use" if principle == COMPLETE else f"largest violation with {one.name}", one.violation
        )
        for one in beside
    ]
    if method == "lrp-epsilon" and principle == COVERAGE:
        measured.append(
            at_most("ReLU networks with biases: scores against the linear terms at the input", linear_terms(SUBJECTS[method], bias=True)[0], ALGEBRA)
        )
    return Evidence(
        claim=claim,
        check="allocation-verdicts/taylor-principle",
        status=status,
        statement=STATEMENT[principle][verdict],
        condition=None if status == "holds" else condition or "None was found.",
        finding=FINDING[principle].get(method, PLAIN),
        domain=DOMAIN,
        measurements=tuple(measured),
        trials=sum(one.trials for one in found),
        seed=SEED,
        counterexample=_counterexample(claim, status, found),
        controls=controls(principle),
        parameters={
            "call": SUBJECTS[method].call,
            "settings": {
                one.name: {"reading": one.reading, "violation": float(f"{one.violation:.2g}"), "met": one.name not in outside} for one in counted
            },
        },
        versions=versions(),
    )


def _violated(found: Sequence[Tried], outside: Sequence[str]) -> EvidenceStatus:
    """A violation is shown by a counterexample in each reading; one that is found in some settings only holds under their condition."""
    readings = {one.reading for one in found if one.violation > BOUND}
    if {MODULE, NETWORK} <= readings:
        return "holds"
    return "holds under condition" if outside and readings else "fails"


def _where_violated(found: Sequence[Tried], outside: Sequence[str]) -> list[Measurement]:
    if outside:
        least = min(one.violation for one in found if one.name not in outside)
        most = max(one.violation for one in found if one.name in outside)
        return [
            at_least("smallest violation where the condition is met", least, 10 * BOUND),
            at_most("largest violation where it is not", most, BOUND),
        ]
    worst = {reading: max(one.violation for one in found if one.reading == reading) for reading in (MODULE, NETWORK)}
    return [
        at_least(f"largest violation {reading}" if reading == MODULE else f"largest violation for {reading}", value, 10 * BOUND)
        for reading, value in worst.items()
    ]


def _counterexample(claim: str, status: EvidenceStatus, found: Sequence[Tried]) -> Counterexample | None:
    method, verdict, principle = claim.split("/")
    if (verdict, principle) == ("violates", COVERAGE) and status != "holds":
        return _square_is_used(method)
    seen = [one.first for one in found if one.first is not None and one.reading != AT_INPUT and "ε = 1/4" not in one.name]
    if not seen:
        return None
    # The covered terms of LRP-αβ are missed with its other parameters only.
    subject = OTHER_PARAMETERS[method] if claim == f"lrp-alpha-beta/satisfies/{COVERAGE}" else SUBJECTS[method]
    violation, bed, a = seen[0]
    return counterexample(
        tell(violation, bed, a), subject.definition() + snippet(violation, bed, a), input=bed.point, scores=a[0].tolist(), effect=bed.effect
    )


def _square_is_used(method: str) -> Counterexample:
    subject = SUBJECTS[method]
    bed = beds.neuron_bed((1,), 2)
    value = float(subject.explain(bed.model, bed.x, baselines=0 * bed.x))
    code = f"""{subject.definition()}{bed.setup()}
a = explain(model, x, baselines=torch.zeros_like(x))
assert model(x).item() - model(0 * x).item() == 1      # the one term at the baseline 0
assert a.item() == {value:g}                           # and it is not left out
"""
    return counterexample(
        f"$x^2$ at $1$ with $b = 0$ has one term, of second order; the score is ${value:g}$, so it is not left out.",
        code,
        input=[1],
        score=value,
        effect=1,
    )


def all_controls() -> tuple[Control, ...]:
    """Methods made to break one principle each, and the Shapley value, which keeps all."""
    return tuple(controls(principle)[0] for principle in VIOLATIONS) + tuple(controls(principle)[1] for principle in (UNRELATED, COMPLETE))
