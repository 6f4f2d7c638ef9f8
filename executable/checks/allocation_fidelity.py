"""Checks of the verdicts on allocation as the survey gives them: the three principles together, their two forms, and who satisfies all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from executable.arguments import Model
from executable.checks.allocation_methods import FOURTEEN, SEED, SUBJECTS, distance_from_weights
from executable.checks.allocation_verdicts import all_controls
from executable.checks.allocation_words import DOMAIN
from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, judge, keeps, number, settle, sweep, versions
from executable.methods.perturbation import shapley_value
from executable.principles import allocation
from executable.principles.allocation import BOUND, MODULE, NETWORK, excess_of_used
from executable.principles.base import Explainer, Finding, adapted
from taxonomy.evidence import Counterexample, Evidence, EvidenceStatus

THREE = ("effect-completeness", "allocation-correctness", "allocation-completeness")
OLD = ("low-approximation-error", "no-unrelated-allocation", "complete-allocation")
SIX = ("integrated-gradients", "expected-gradients", "shapley-value", "deeplift-rescale", "deeplift-revealcancel", "deep-shap")
AS_FUNCTIONS = ("integrated-gradients", "expected-gradients", "shapley-value")
_WORDS = {
    "effect-completeness": "the scores add up to $f(x) - f(b)$",
    "allocation-correctness": "features receive nothing of effects in which they take no part",
    "allocation-completeness": "the shares of the effect of a set add up to it",
}


def _by_reading(explain: Explainer, principles: tuple[str, ...]) -> dict[str, dict[str, Finding]]:
    """Reading, then principle: what was found."""
    found = allocation.findings(explain, *principles)
    return {reading: {name: one[k] for name, one in zip(principles, found, strict=True)} for k, reading in enumerate((MODULE, NETWORK))}


def _broken(found: Mapping[str, Finding]) -> list[str]:
    return [name for name, one in found.items() if one.outcome == "violates"]


def _size(found: Mapping[str, Finding]) -> float:
    return max(one.statistic for one in found.values() if one.trials)


def _shown(finding: Finding, method: str) -> Counterexample:
    return counterexample(finding.why.split(" It did not run")[0], SUBJECTS[method].definition() + finding.counterexample, method=method)


def fidelity(claim: str) -> Evidence:
    """The three principles of the survey together, for one method in both readings."""
    method, verdict, _ = claim.split("/")
    found = _by_reading(SUBJECTS[method].explain, THREE)
    broken = {reading: _broken(one) for reading, one in found.items()}
    satisfies = verdict == "satisfies"
    if satisfies:
        cases = [Case(MODULE, True, _size(found[MODULE])), Case(NETWORK, not broken[NETWORK], _size(found[NETWORK]))]
        status = judge(cases, BOUND)
        largest = [number(f"largest violation, {case.setting}", case.error) for case in cases if not case.meets]
        measured = [*(at_most(f"largest violation, {case.setting}", case.error, BOUND) for case in cases if case.meets), *largest]
    else:
        status = _status_of_violation(broken)
        measured = [at_least(f"largest violation, {reading}", _size(one), 10 * BOUND) for reading, one in found.items() if broken[reading]]
    if SUBJECTS[method].weights is not None:
        measured.append(
            at_most("the method on neurons without bias against the weights of its theorem", distance_from_weights(SUBJECTS[method]), ALGEBRA)
        )
    faults = [one for reading in (MODULE, NETWORK) for one in found[reading].values() if one.outcome == "violates"]
    return Evidence(
        claim=claim,
        check="allocation-fidelity/three-principles",
        status=settle(measured, status),
        statement=("All three hold: " if satisfies else "At least one of three fails: ") + "; ".join(_WORDS[name] for name in THREE) + ".",
        condition=None if status == "holds" else _condition(broken, satisfies=satisfies),
        finding=_finding(method, broken),
        domain=DOMAIN,
        measurements=tuple(measured),
        trials=sum(one.trials for parts in found.values() for one in parts.values()),
        seed=SEED,
        counterexample=_shown(faults[0], method) if faults else None,
        controls=all_controls(),
        parameters={"call": SUBJECTS[method].call, "violated": {reading: ", ".join(names) or "none" for reading, names in broken.items()}},
        versions=versions(),
    )


def _status_of_violation(broken: Mapping[str, list[str]]) -> EvidenceStatus:
    readings = sum(bool(names) for names in broken.values())
    return "holds" if readings == 2 else "holds under condition" if readings else "fails"


def _condition(broken: Mapping[str, list[str]], *, satisfies: bool) -> str:
    if satisfies and not broken[MODULE]:
        return "Read within one module: the function is a single neuron."
    if not satisfies and broken[NETWORK]:
        return "Read for whole networks; within one neuron all three hold."
    return "None was found."


_NOTES = {
    "lrp-0": " Within one neuron only a bias does so: without biases all three hold there, as they do for DeepLIFT with the Rescale rule.",
    "lrp-epsilon": " With $\\epsilon = 0$ a bias is needed within one neuron; without biases the scores are those of DeepLIFT's Rescale rule.",
    "grad-times-input": " Both principles on the allocation proper depend on where the terms are expanded; the sum of the scores does not.",
    "grad-cam": " For the linear explanatory model all three hold.",
}


def _finding(method: str, broken: Mapping[str, list[str]]) -> str:
    parts = [
        f"{'within one module' if reading == MODULE else 'read for whole networks'}, {', '.join(names) or 'none'}"
        for reading, names in broken.items()
    ]
    return f"Principles that a network was seen to violate: {'; '.join(parts).replace('-', ' ')}.{_NOTES.get(method, '')}"


def sorted_by_reading(explainers: Mapping[str, Explainer]) -> dict[str, dict[str, list[str]]]:
    """Reading, then method: which principles of the Taylor paper it was seen to violate."""
    found = {method: _by_reading(explain, OLD) for method, explain in explainers.items()}
    return {reading: {method: _broken(one[reading]) for method, one in found.items()} for reading in (MODULE, NETWORK)}


def _misplaced(violated: Mapping[str, list[str]], stated: tuple[str, ...]) -> int:
    """Methods that satisfy everything and are not among those stated, or the other way round."""
    return len({method for method, names in violated.items() if not names} ^ set(stated))


def _halved(explain: Explainer) -> Explainer:
    def half(model: Model, x: Tensor, **given: Any) -> Tensor:
        return explain(model, x, **given) / 2

    return half


def six_of_fourteen(claim: str) -> Evidence:
    """Who satisfies all three principles, within one module and for whole networks."""
    violated = sorted_by_reading({method: SUBJECTS[method].explain for method in FOURTEEN})
    cases = [Case(reading, reading == MODULE, float(_misplaced(violated[reading], SIX))) for reading in (MODULE, NETWORK)]
    spoilt = sorted_by_reading({"shapley-value": _halved(SUBJECTS["shapley-value"].explain)})
    most = max(violated[MODULE], key=lambda method: len(violated[MODULE][method]))
    measured = (
        *sweep(cases, 0.0),
        at_most(
            "whole networks: methods sorted otherwise than IG, EG and the Shapley value against the rest",
            _misplaced(violated[NETWORK], AS_FUNCTIONS),
            0,
        ),
        number(f"largest number of principles that one method violates within one module ({most})", len(violated[MODULE][most])),
    )
    status = settle(measured, judge(cases, 0.0))
    pair = next(one for one in _by_reading(SUBJECTS["deeplift-rescale"].explain, THREE)[NETWORK].values() if one.outcome == "violates")
    return Evidence(
        claim=claim,
        check="allocation-fidelity/six-of-fourteen",
        status=status,
        statement="Integrated gradients, expected gradients, the Shapley value, both DeepLIFT rules and Deep SHAP satisfy the three principles of "
        "the Taylor paper; each of the other eight violates one at least.",
        condition=None
        if status == "holds"
        else "Read within one module: the function is a single neuron. For networks as functions three of the six "
        "remain: integrated gradients, expected gradients and the Shapley value.",
        finding="The sorting is right neuron by neuron, with terms at the baseline for all methods alike. Deep Taylor decomposition then violates "
        "all three, since a neuron without positive contribution loses its terms. LRP-ε is among the eight because of biases alone: without them it "
        "is DeepLIFT's Rescale rule, one of the six.",
        domain=DOMAIN,
        measurements=measured,
        trials=2 * len(FOURTEEN),
        seed=SEED,
        counterexample=None if status == "holds" else _shown(pair, "deeplift-rescale"),
        controls=(breaks("half of the Shapley values, sorted as satisfying all", _misplaced(spoilt[MODULE], ("shapley-value",)), 0.0),),
        parameters={
            "violated": {reading: {method: ", ".join(names) or "none" for method, names in one.items()} for reading, one in violated.items()}
        },
        versions=versions(),
    )


_IN_FULL = tuple(replace(reading, violation=excess_of_used) for reading in allocation.READINGS["complete-allocation"][:2])


def _compared(explainers: Mapping[str, Explainer], old: str, new: str, *, conditional: bool = False) -> list[Case]:
    """Method and reading: one if the two tests disagree. The condition is that whatever is handed out of an effect is all of it."""
    compared = []
    for method, explain in explainers.items():
        ask = functools.cache(functools.partial(allocation.scores, explain))
        for k, reading in enumerate((MODULE, NETWORK)):
            outcomes = [allocation.READINGS[name][k].test(name, ask).outcome for name in (old, new)]
            plain = not conditional or _IN_FULL[k].test("complete-allocation", ask).outcome == "satisfies"
            compared.append(Case(f"{method}, {reading}", plain, float(len(set(outcomes)) - 1)))
    return compared


def _recognises_single_terms(model: Model, x: Tensor) -> Tensor:
    """Shapley values, but doubled and in reverse order if the function is a single term: right for sets with several terms only."""
    a = shapley_value(model, x)
    exponents = getattr(model, "exponents", None)
    return a if exponents is None or len(exponents) > 1 else 2 * a.flip(1)


_PAIRS = {
    "complete-allocation": "allocation-completeness",
    "no-unrelated-allocation": "allocation-correctness",
    "low-approximation-error": "effect-completeness",
}


def correspondence(claim: str) -> Evidence:
    """Whether a principle of the Taylor paper and the one of the survey judge the methods alike."""
    old = claim.split("/")[0]
    new = _PAIRS[old]
    conditional = old == "low-approximation-error"
    cases = _compared({method: one.explain for method, one in SUBJECTS.items()}, old, new, conditional=conditional)
    status = judge(cases, 0.0)
    measured = sweep(cases, 0.0) if conditional else (at_most("methods and readings in which the two tests differ", sum(c.error for c in cases), 0),)
    controls = (
        breaks("a method made to part the two: differences", _parted(old, new), 0.0),
        keeps("the Shapley value: differences", _differences(adapted(shapley_value), old, new), 0.0),
    )
    return Evidence(
        claim=claim,
        check="allocation-fidelity/correspondence",
        status=settle(measured, status),
        statement=_SAME[old][0],
        condition=None if status == "holds" else _SAME[old][1],
        finding=_SAME[old][2],
        domain=f"The fifteen methods of the family. {DOMAIN}",
        measurements=(*measured, number("methods and readings compared", len(cases))),
        trials=len(cases),
        seed=SEED,
        counterexample=None if status == "holds" else _covers_twice(),
        controls=controls,
        parameters={"unlike": [case.setting for case in cases if case.error]},
        versions=versions(),
    )


def _differences(explain: Explainer, old: str, new: str) -> float:
    return sum(case.error for case in _compared({"made": explain}, old, new))


def _parted(old: str, new: str) -> float:
    made = adapted(_recognises_single_terms) if old != "low-approximation-error" else _halved(adapted(shapley_value))
    return _differences(made, old, new)


_SAME = {
    "complete-allocation": (
        "A method hands out every Taylor term in full exactly if it hands out the effect of every set of variables in full.",
        "",
        "The two tests give the same verdict on all methods. Term by term asks for more: shares wrong for single terms may add up for the set.",
    ),
    "no-unrelated-allocation": (
        "A method credits no Taylor term to a variable outside it exactly if it credits no effect of a set to a variable outside the set.",
        "",
        "The two tests give the same verdict on all methods. Term by term asks for more, since what a variable receives of single terms may cancel.",
    ),
    "low-approximation-error": (
        "A method covers all Taylor terms exactly if its scores add up to $f(x) - f(b)$.",
        "The method hands out in full every effect of which it hands out anything.",
        "A sum that fails may come from terms that are left out, and as well from terms counted repeatedly, as by Occlusion-1, or credited in part.",
    ),
}


def _covers_twice() -> Counterexample:
    code = """
import torch
from executable.methods import occlusion_1

f, x = lambda x: x[:, 0] * x[:, 1], torch.ones(1, 2)
assert occlusion_1(f, x).tolist() == [[1.0, 1.0]]      # the only term is covered
assert f(x).item() - f(0 * x).item() == 1.0            # and counted twice: the sum is 2
"""
    return counterexample(
        "$x_1 x_2$ at $(1, 1)$: Occlusion-1 covers the only term, and its scores add up to 2 instead of 1.", code, scores=[1, 1], effect=1
    )
