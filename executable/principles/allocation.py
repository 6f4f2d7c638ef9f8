"""The principles on the allocation of Taylor effects, as tests of any attribution function.

An allocation cannot be seen: only its sum for each feature can. The tests therefore use functions whose terms are known. A function with a single
term, or with terms of one order or one set, shows what becomes of that term; a feature that occurs in no term, or only in terms that vanish, can
hold nothing but what belongs to others. Each principle is read in two ways. Within one module the function is one neuron, as in the
theorems on layer-wise methods. For the whole network the terms are those of the function, however it is computed.
Principles that the Taylor paper applies to methods of the gradient at the input have a third reading, with the terms of the expansion there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from executable.principles import allocation_testbeds as beds
from executable.principles.allocation_testbeds import Bed
from executable.principles.base import Explainer, Finding

BOUND = 1e-5
"""Relative; methods that work in single precision must be able to keep it."""
MODULE = "within one module"
NETWORK = "the whole network as a function"
AT_INPUT = "terms of the expansion at the input"
_NEURONS = "Neurons $(w \\cdot x + s)^k$ with two or three inputs and contributions of one or of both signs"
_FUNCTIONS = "Neurons, monomials and polynomials in three variables, and networks of two layers with polynomial activations"


@dataclass(frozen=True)
class Outcome:
    """A method on one function: the scores, or why there are none."""

    bed: Bed
    scores: Tensor | None
    refusal: str = ""


Violation = Callable[[Bed, Tensor], float]


def scores(explain: Explainer, bed: Bed) -> Outcome:
    """Attributions of a function at its input against the baseline zero; a method that draws starts from the same state each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            found = explain(bed.model, bed.x.clone(), baselines=torch.zeros_like(bed.x))
        except Exception as error:  # any refusal is one: the function may be a stranger's
            return Outcome(bed, None, f"{type(error).__name__}: {error}".splitlines()[0])
    if not isinstance(found, Tensor) or found.shape != bed.x.shape:
        return Outcome(bed, None, f"returns {tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__} for a row of features")
    return Outcome(bed, found.detach().double())


def unreceived(bed: Bed, a: Tensor) -> float:
    """One if the effect is there and nobody receives any of it, else zero."""
    return float(abs(bed.effect) > BOUND and not float(a.abs().max()) > BOUND * abs(bed.effect))


def unrelated(bed: Bed, a: Tensor) -> float:
    """Largest score of a feature that occurs in no term, relative to the effect."""
    return float(a[0, list(bed.absent)].abs().max()) / max(1.0, abs(bed.effect)) if bed.absent else 0.0


def excess(bed: Bed, a: Tensor) -> float:
    """Distance of the sum of the scores from the effect, relative to the effect."""
    return abs(float(a.sum()) - bed.effect) / max(1.0, abs(bed.effect))


def excess_of_used(bed: Bed, a: Tensor) -> float:
    """The same where anything is received, else zero."""
    return 0.0 if unreceived(bed, a) else excess(bed, a)


@dataclass(frozen=True)
class Reading:
    """A way to test a principle: the functions, the violation, and how both are told."""

    name: str
    domain: str
    testbeds: Callable[[], Iterable[Bed]]
    violation: Violation

    @property
    def limit(self) -> float:
        """What the largest violation may come to; coverage is all or nothing."""
        return 0.0 if self.violation is unreceived else BOUND

    def test(self, principle: str, ask: Callable[[Bed], Outcome]) -> Finding:
        """The finding on one method, which `ask` puts to a function."""
        outcomes = [ask(bed) for bed in self.testbeds()]
        ran = [(one.bed, one.scores) for one in outcomes if one.scores is not None]
        refusals = [one for one in outcomes if one.scores is None]
        if not ran:
            return Finding(principle, self.name, "not applicable", math.nan, self.limit, self.domain, 0, f"It ran on none: {refusals[0].refusal}.")
        found = [math.inf if math.isnan(value) else value for value in (self.violation(bed, a) for bed, a in ran)]
        left_out = f" It did not run on {len(refusals)} of the functions ({refusals[0].refusal})." if refusals else ""
        worst = max(found)
        if worst <= self.limit:
            why = f"{_SEEN[self.violation]} on all {len(ran)} functions.{left_out}"
            return Finding(principle, self.name, "satisfies", worst, self.limit, self.domain, len(ran), why)
        first = next(k for k, value in enumerate(found) if value > self.limit)
        bed, a = ran[first]
        why = f"{tell(self.violation, bed, a)}{left_out}"
        return Finding(principle, self.name, "violates", worst, self.limit, self.domain, len(ran), why, snippet(self.violation, bed, a))


_SEEN: dict[Violation, str] = {
    unreceived: "Every effect reaches some feature",
    unrelated: "Features that occur in no term receive nothing",
    excess: "The scores add up to the effect",
    excess_of_used: "The scores add up to the effect wherever one is received",
}


def _numbers(a: Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in a[0].tolist())


def _point(bed: Bed) -> str:
    return "(" + ", ".join(f"{value:g}" for value in bed.point) + ")"


def tell(violation: Violation, bed: Bed, a: Tensor) -> str:
    """A violation in a sentence."""
    start = f"For {bed.name} at {_point(bed)} the scores are ({_numbers(a)})"
    if violation is unrelated:
        holder = max(bed.absent, key=lambda i: float(a[0, i].abs()))
        return f"{start}: feature {holder + 1} receives {float(a[0, holder]):.4g}, although all terms it occurs in are zero, or nearly."
    if violation is unreceived:
        return f"{start}: nobody receives anything of the effect {bed.effect:.4g}."
    return f"{start}: they add up to {float(a.sum()):.4g}, the effect is {bed.effect:.4g}."


def snippet(violation: Violation, bed: Bed, a: Tensor) -> str:
    """Lines that show a violation, with `explain` for the method."""
    lines = [bed.setup(), "a = explain(model, x, baselines=torch.zeros_like(x))[0]", "effect = (model(x) - model(0 * x)).item()"]
    if violation is unrelated:
        holder = max(bed.absent, key=lambda i: float(a[0, i].abs()))
        lines.append(f"assert abs(a[{holder}]) > {BOUND} * max(1, abs(effect))      # {float(a[0, holder]):.4g}, and occurs in no term that counts")
    elif violation is unreceived:
        lines.append(f"assert abs(effect) > {BOUND} and not a.abs().max() > {BOUND} * abs(effect)")
    else:
        lines.append(f"assert abs(a.sum() - effect) > {BOUND} * max(1, abs(effect))  # {float(a.sum()):.4g} and {bed.effect:.4g}")
    return "\n".join(lines) + "\n"


def _functions(*parts: Callable[[], Iterable[Bed]]) -> Callable[[], Iterable[Bed]]:
    return lambda: (bed for part in parts for bed in part())


READINGS: dict[str, tuple[Reading, ...]] = {
    "low-approximation-error": (
        Reading(MODULE, f"{_NEURONS}, without bias: terms of one order", beds.orders_of_neurons, unreceived),
        Reading(NETWORK, _FUNCTIONS, _functions(beds.orders_of_neurons, beds.monomials, beds.networks), unreceived),
        Reading(AT_INPUT, "Single terms of an expansion at the input, in two variables", beds.terms_at_input, unreceived),
    ),
    "no-unrelated-allocation": (
        Reading(MODULE, f"{_NEURONS}, one input without weight or almost at the baseline", beds.neurons_with_absent_feature, unrelated),
        Reading(
            NETWORK,
            "The same neurons, monomials in three variables, and differences of two networks of one function",
            _functions(beds.neurons_with_absent_feature, beds.monomials, beds.networks_with_dummies),
            unrelated,
        ),
    ),
    "complete-allocation": (
        Reading(MODULE, f"{_NEURONS}, without and with bias", beds.neurons, excess),
        Reading(NETWORK, _FUNCTIONS, _functions(beds.neurons, beds.monomials, beds.networks), excess),
        Reading(f"{AT_INPUT}, those in use", "Single terms of an expansion at the input, in two variables", beds.terms_at_input, excess_of_used),
    ),
    "effect-completeness": (
        Reading(MODULE, f"{_NEURONS}, without and with bias", beds.neurons, excess),
        Reading(NETWORK, _FUNCTIONS, _functions(beds.neurons, beds.polynomials, beds.networks), excess),
    ),
    "allocation-correctness": (
        Reading(MODULE, f"{_NEURONS}, one input without weight or almost at the baseline", beds.neurons_with_absent_feature, unrelated),
        Reading(
            NETWORK,
            "The same neurons, polynomials with the effect of one set, and differences of two networks of one function",
            _functions(beds.neurons_with_absent_feature, beds.effects_of_sets, beds.networks_with_dummies),
            unrelated,
        ),
    ),
    "allocation-completeness": (
        Reading(MODULE, f"{_NEURONS}, without and with bias", beds.neurons, excess),
        Reading(
            NETWORK,
            "Neurons, polynomials with the effect of one set, and networks of two layers",
            _functions(beds.neurons, beds.effects_of_sets, beds.networks),
            excess,
        ),
    ),
}
"""Principle: its readings."""


def findings(explain: Explainer, *principles: str) -> tuple[tuple[Finding, ...], ...]:
    """All readings of principles (of `READINGS`) for one method, which is asked once about each function."""
    ask = functools.cache(lambda bed: scores(explain, bed))
    return tuple(tuple(reading.test(principle, ask) for reading in READINGS[principle]) for principle in principles)


def low_approximation_error(explain: Explainer) -> tuple[Finding, ...]:
    """First principle of the Taylor paper (Sec. IV-A): almost every term of the expansion is used.

    Tested as coverage. Of a function with terms of one kind only, some feature must receive something. Terms handed out in part, or several times
    over, count as used. The third reading takes the terms of the expansion at the input instead of the baseline.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, for the whole network as a function, and with the terms of the expansion at the input.

    Example
    -------
    >>> from executable import integrated_gradients
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in low_approximation_error(adapted(integrated_gradients))]
    ['satisfies', 'satisfies', 'satisfies']
    """
    return findings(explain, "low-approximation-error")[0]


def no_unrelated_allocation(explain: Explainer) -> tuple[Finding, ...]:
    """Second principle of the Taylor paper (Eqs. 46, 47): a term is credited only to variables that occur in it.

    A feature all of whose terms are zero, or tend to zero, can hold only parts of terms in which it does not occur, and must receive nothing.
    Networks whose function does not depend on a feature are the second test; what a method makes of them may depend on the network.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, and for the whole network as a function.

    Example
    -------
    >>> from executable import shapley_value
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in no_unrelated_allocation(adapted(shapley_value))]
    ['satisfies', 'satisfies']
    """
    return findings(explain, "no-unrelated-allocation")[0]


def complete_allocation(explain: Explainer) -> tuple[Finding, ...]:
    """Third principle of the Taylor paper (Eqs. 48, 49): the parts of each term add up to the term.

    The third reading asks this only of the terms of the expansion at the input of which anything is handed out at all, as Table VI of
    the paper does for methods of first-order terms.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, for the whole network as a function, and with the terms of the expansion at the input.

    Example
    -------
    >>> from executable import occlusion_1
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in complete_allocation(adapted(occlusion_1))]
    ['violates', 'violates', 'satisfies']
    """
    return findings(explain, "complete-allocation")[0]


def effect_completeness(explain: Explainer) -> tuple[Finding, ...]:
    """First principle of the survey (Sec. IV-D): the scores add up to the total effect f(x) - f(b).

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, and for the whole network as a function.

    Example
    -------
    >>> from executable import occlusion_1
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in effect_completeness(adapted(occlusion_1))]
    ['violates', 'violates']
    """
    return findings(explain, "effect-completeness")[0]


def allocation_correctness(explain: Explainer) -> tuple[Finding, ...]:
    """Second principle of the survey (Sec. IV-D): features receive nothing of effects in which they take no part, set by set.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, and for the whole network as a function.

    Example
    -------
    >>> from executable import deeplift_rescale
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in allocation_correctness(adapted(deeplift_rescale))]
    ['satisfies', 'violates']
    """
    return findings(explain, "allocation-correctness")[0]


def allocation_completeness(explain: Explainer) -> tuple[Finding, ...]:
    """Third principle of the survey (Sec. IV-D): the shares of each effect add up to the effect, set by set.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, and for the whole network as a function.

    Example
    -------
    >>> from executable import occlusion_1
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in allocation_completeness(adapted(occlusion_1))]
    ['violates', 'violates']
    """
    return findings(explain, "allocation-completeness")[0]


def allocation_fidelity(explain: Explainer) -> tuple[Finding, ...]:
    """The three principles of the survey together: violated in a reading if one of them is, satisfied if all are.

    Parameters
    ----------
    explain
        The method as `adapted` returns it; it is given rows of shape (1, n) with the baseline zero, and returns scores of that shape.

    Returns
    -------
    tuple of Finding
        Within one module, and for the whole network as a function.

    Example
    -------
    >>> from executable import shapley_value
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in allocation_fidelity(adapted(shapley_value))]
    ['satisfies', 'satisfies']
    """
    parts = findings(explain, "effect-completeness", "allocation-correctness", "allocation-completeness")
    return tuple(_together(same) for same in zip(*parts, strict=True))


def _together(same: tuple[Finding, ...]) -> Finding:
    for outcome in ("violates", "not applicable"):
        for one in same:
            if one.outcome == outcome:
                named = one.principle.replace("-", " ").capitalize()
                return replace(one, principle="allocation-fidelity", why=f"{named}: {one.why}")
    trials = sum(one.trials for one in same)
    return replace(same[0], principle="allocation-fidelity", trials=trials, why=f"All three principles were seen to hold on {trials} functions.")
