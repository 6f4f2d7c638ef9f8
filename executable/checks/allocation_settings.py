"""Where the verdicts on allocation are tried out: settings by principle and method, with what is found in each and what a condition leaves out."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.checks.allocation_methods import (
    OTHER_PARAMETERS,
    SEED,
    SUBJECTS,
    Subject,
    all_negative_layer,
    both_signs,
    equal_weights,
    explanatory_models,
    layers_with_positive,
    mixed_layers,
    negative_only,
    polynomial_pairs,
    positive_only,
    rectifier_pairs,
    with_bias,
)
from executable.checks.allocation_words import COMPLETE, COVERAGE, UNRELATED
from executable.checks.base import error
from executable.methods.gradient_times_input import grad_times_input
from executable.principles import allocation_testbeds as beds
from executable.principles.allocation import AT_INPUT, MODULE, NETWORK, Violation, excess, excess_of_used, scores, unreceived, unrelated
from executable.principles.allocation_testbeds import Bed
from executable.testbeds.mlps import lively_draws

VIOLATIONS: dict[str, Violation] = {COVERAGE: unreceived, UNRELATED: unrelated, COMPLETE: excess}

BOTH, POSITIVE, NEGATIVE = (f"one neuron, contributions {signs}" for signs in ("of both signs", "all positive", "all negative"))
BIAS = "one neuron with bias"
ABSENT = "one neuron, an input without weight or almost at the baseline"
TERMS = "single monomials"
MIXED = "two layers, both signs at every neuron"
WITH_POSITIVE = "two layers, a positive contribution at every neuron"
ALL_NEGATIVE = "two layers, no positive contribution in the second"
PAIRS = "differences of two networks of one function"
POLYNOMIAL_PAIRS, RECTIFIER_PAIRS = "differences of two networks of one polynomial", "differences of two ReLU networks of one function"
AVERAGING = "head that sees the mean of the map only"
EXPLANATORY = "explanatory model"
EXPANDED = "terms of the expansion at the input"
BIASED, UNBIASED = "ReLU networks with biases, linear terms at the input", "ReLU networks without biases, linear terms at the input"
ONE_GROUP = f"{NEGATIVE}, α = 1 and β = 0"
DAMPED = f"{BOTH}, ε = 1/4"
DAMPED_PAIRS = f"{RECTIFIER_PAIRS}, ε = 1/4"

Testbeds = Callable[[], Sequence[Bed]]
_NETWORKS: tuple[tuple[str, str, Testbeds], ...] = (
    (TERMS, NETWORK, beds.monomials),
    (MIXED, NETWORK, mixed_layers),
    (WITH_POSITIVE, NETWORK, layers_with_positive),
    (ALL_NEGATIVE, NETWORK, all_negative_layer),
)
_ORDERS: tuple[tuple[str, str, Testbeds], ...] = (
    (BOTH, MODULE, both_signs),
    (POSITIVE, MODULE, positive_only),
    (NEGATIVE, MODULE, negative_only),
)
_COMMON: dict[str, tuple[tuple[str, str, Testbeds], ...]] = {
    COVERAGE: (*_ORDERS, *_NETWORKS),
    UNRELATED: ((ABSENT, MODULE, beds.neurons_with_absent_feature), (TERMS, NETWORK, beds.monomials), (PAIRS, NETWORK, beds.networks_with_dummies)),
    COMPLETE: (*_ORDERS, (BIAS, MODULE, with_bias), *_NETWORKS),
}
_PAIRS_APART = ((POLYNOMIAL_PAIRS, NETWORK, polynomial_pairs), (RECTIFIER_PAIRS, NETWORK, rectifier_pairs))
FIRST_ORDER = ("grad-times-input", "grad-cam", "lrp-epsilon")
_AT_INPUT = ("grad-times-input", "grad-cam", "occlusion-1", "prediction-difference")


@dataclass(frozen=True)
class Tried:
    """A setting and what a method did in it: the largest violation, and the first one with its function."""

    name: str
    reading: str
    violation: float
    trials: int
    first: tuple[Violation, Bed, Tensor] | None = None


def tried(name: str, reading: str, subject: Subject, testbeds: Testbeds, violation: Violation) -> Iterator[Tried]:
    """The method on the functions of a setting; nothing if it runs on none of them."""
    ran = [(one.bed, one.scores) for one in map(functools.partial(scores, subject.explain), testbeds()) if one.scores is not None]
    if ran:
        found = [violation(bed, a) for bed, a in ran]
        first = next((k for k, value in enumerate(found) if not value <= 1e-5), None)
        yield Tried(name, reading, max(found), len(ran), None if first is None else (violation, *ran[first]))


def settings(principle: str, method: str) -> list[Tried]:
    """All settings in which a method is held against a principle of the Taylor paper."""
    subject = SUBJECTS[method]
    wanted = _COMMON[principle]
    if principle == UNRELATED and method == "lrp-epsilon":
        wanted = (*wanted[:2], *_PAIRS_APART)
    found = [one for name, reading, testbeds in wanted for one in tried(name, reading, subject, testbeds, VIOLATIONS[principle])]
    if principle != UNRELATED and method in _AT_INPUT:
        violation = unreceived if principle == COVERAGE else excess_of_used
        found += tried(EXPANDED, AT_INPUT, subject, beds.terms_at_input, violation)
    return found + list(_special(principle, method))


def _special(principle: str, method: str) -> Iterator[Tried]:
    subject, violation = SUBJECTS[method], VIOLATIONS[principle]
    if method == "grad-cam":
        yield from tried(EXPLANATORY, MODULE, subject, explanatory_models, violation)
        if principle == UNRELATED:
            yield from tried(AVERAGING, MODULE, subject, equal_weights, violation)
    elif method == "lrp-alpha-beta" and principle == COVERAGE:
        yield from tried(ONE_GROUP, MODULE, OTHER_PARAMETERS[method], negative_only, violation)
    elif method == "lrp-epsilon":
        damped = OTHER_PARAMETERS[method]
        if principle == UNRELATED:
            yield from tried(DAMPED_PAIRS, NETWORK, damped, rectifier_pairs, violation)
        elif principle == COMPLETE:
            yield from tried(DAMPED, MODULE, damped, both_signs, violation)
            yield Tried(BIASED, AT_INPUT, linear_terms(subject, bias=True)[0], 6)
        else:
            yield Tried(BIASED, AT_INPUT, linear_terms(subject, bias=True)[1], 6)
            yield Tried(UNBIASED, AT_INPUT, linear_terms(subject, bias=False)[1], 6)


def linear_terms(subject: Subject, *, bias: bool) -> tuple[float, float]:
    """On ReLU networks: scores against the linear terms at the input, and the least part of the change that these terms leave."""
    gaps, left = [], []
    for net, x, target in itertools.islice(lively_draws(6, "relu", bias=bias, seed=SEED, batch=1), 6):
        found = subject.explain(net, x, target)
        gaps.append(error(found, grad_times_input(net, x, target)))
        with torch.no_grad():
            change = net(x)[0, target] - net(torch.zeros_like(x))[0, target]
        left.append(float((change - found.sum()).abs()) / max(1.0, float(change.abs())))
    return max(gaps), min(left) if bias else max(left)


_AT_BASELINE = (BOTH, POSITIVE, NEGATIVE, TERMS, MIXED, WITH_POSITIVE, ALL_NEGATIVE)
_LAYERED = "The function is one neuron. Read for a whole network, "
OUTSIDE: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    (COVERAGE, "lrp-alpha-beta"): ((ONE_GROUP,), "$\\beta \\neq 0$, or the neuron has a positive contribution."),
    (COVERAGE, "deep-taylor-decomposition"): ((NEGATIVE, ALL_NEGATIVE), "Every neuron has a positive contribution."),
    (COVERAGE, "grad-times-input"): (
        _AT_BASELINE,
        "The terms are those of the expansion at $x$.",
    ),
    (COVERAGE, "grad-cam"): (
        (*_AT_BASELINE, EXPLANATORY),
        "The terms are those of the network's expansion at the feature maps of the explained input.",
    ),
    (COVERAGE, "lrp-epsilon"): (
        (BOTH, POSITIVE, NEGATIVE, MIXED, WITH_POSITIVE, ALL_NEGATIVE, UNBIASED),
        "The model is a ReLU network with biases, $\\epsilon \\to 0$, and the terms are those of the expansion at $x$.",
    ),
    (UNRELATED, "grad-cam"): (
        (ABSENT, TERMS, PAIRS),
        "The gradient is the same at all locations of a map, as in the explanatory model and for heads that see the mean of a map only.",
    ),
    (UNRELATED, "lrp-epsilon"): ((POLYNOMIAL_PAIRS, DAMPED_PAIRS), "The function is one neuron, or a ReLU network with $\\epsilon \\to 0$."),
    **{
        (UNRELATED, method): ((PAIRS,), f"{_LAYERED}features on which the function does not depend can receive scores.")
        for method in ("deeplift-rescale", "deeplift-revealcancel", "deep-shap")
    },
    (COMPLETE, "grad-times-input"): (
        (*_AT_BASELINE, BIAS),
        "The terms are those of the expansion at $x$, and only those in use count.",
    ),
    (COMPLETE, "grad-cam"): (
        (*_AT_BASELINE, BIAS, EXPANDED),
        "The terms are those of the explanatory model, which is linear.",
    ),
    (COMPLETE, "lrp-epsilon"): (
        (BIAS, DAMPED),
        "$\\epsilon \\to 0$, and the neurons have no biases; with biases for ReLU networks, of whose terms at $x$ the linear ones alone count.",
    ),
    (COMPLETE, "lrp-alpha-beta"): (
        (POSITIVE, NEGATIVE, WITH_POSITIVE, ALL_NEGATIVE),
        "Every neuron has positive and negative contributions.",
    ),
    (COMPLETE, "deep-taylor-decomposition"): ((NEGATIVE, ALL_NEGATIVE), "Every neuron has a positive contribution."),
}
"""Principle and method: the settings that the condition excludes, and the condition; the sweep decides whether it separates."""
