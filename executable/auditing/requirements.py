"""The axioms and principles as verdicts on one function."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import taxonomy
from executable.auditing.catalogue import linked
from executable.auditing.smallest import TWINS, small_networks, smallest_polynomials, snippets
from executable.auditing.subject import Subject, UnansweredError
from executable.checks import axiom_domains, axioms
from executable.checks.axioms import Attribution, Domain, Example, Function, Verdict
from executable.principles.base import Finding, Principle
from taxonomy.audit import AuditVerdict, rounded
from taxonomy.records import Principle as PrincipleRecord

SMOOTH_GAP, KINKED_GAP = 2e-3, 0.05
"""A violation up to this is put down to quadrature: on smooth functions, and across the kinks of ReLU networks."""
KINKED = ("relu networks", "implementations")
SMALL_GAP = 0.15
"""On small networks one kink is the whole function; a quadrature with fifty nodes errs by a twentieth and more."""


def attribution(subject: Subject) -> Attribution:
    """The function as the tests of the axioms call it.

    Where it takes no baseline, its own is zero: inputs are then measured from the baseline, f(b + z) at z = x - b.
    """

    def a(f: Function, x: Tensor, b: Tensor) -> Tensor:
        if subject.takes_baselines:
            return subject(f, x, None, b)
        if not bool(b.any()):
            return subject(f, x)
        return subject(lambda z, f=f: f(z + b), x - b)

    return a


def explainer(subject: Subject) -> Callable[..., Tensor]:
    """The function as principles and counterexamples call it."""
    a = attribution(subject)

    def explain(model: Function, x: Tensor, target: int | None = None, baselines: Tensor | float | None = None) -> Tensor:
        if baselines is None or target is not None:
            return subject(model, x, target, baselines)
        b = baselines if isinstance(baselines, Tensor) else torch.full_like(x, float(baselines))
        return a(model, x, b.expand_as(x) if len(b) in {1, len(x)} else b)

    return explain


def _from_zero(domain: Domain) -> Domain:
    """The domain with the baseline zero, for functions that take none."""

    def draw(number: int) -> Example:
        drawn = domain.draw(number)
        return Example(drawn.f, drawn.x, torch.zeros_like(drawn.x), drawn.name)

    return Domain(domain.name, draw, domain.count, domain.fixed)


def domains(subject: Subject, *, quick: bool) -> list[Domain]:
    """Small functions in order of size first, then random ones."""
    count = 1 if quick else 3
    drawn = [axiom_domains.polynomials(count), axiom_domains.networks("tanh", count), axiom_domains.networks("relu", count)]
    fixed = [smallest_polynomials(), small_networks()]
    return [*fixed, *(drawn if subject.takes_baselines else map(_from_zero, drawn))]


@dataclass(frozen=True)
class Axiom:
    """One reading of an axiom."""

    axiom: str
    reading: str
    test: Callable[[Attribution, Domain], Verdict]
    means: str
    """What a violation is, after `the largest`."""
    random: bool = True
    """Whether the test changes functions so that its premise is met; plain functions that do this have no layers."""


_GAME, _FUNCTION = "by the values f(x_S)", "by the function"
AXIOMS = (
    Axiom("linearity", "a(k f + m g) = k a(f) + m a(g)", axioms.linearity, "difference of the two sides"),
    Axiom("additivity", "a(f + g) = a(f) + a(g)", axioms.additivity, "difference of the two sides"),
    Axiom("efficiency", "sum of a = f(x) - f(b)", axioms.efficiency, "gap"),
    Axiom("completeness", "sum of a = f(x) - f(b)", axioms.completeness, "gap"),
    Axiom("dummy", _GAME, functools.partial(axioms.dummy, reading="game"), "attribution of a feature without effect"),
    Axiom("dummy", _FUNCTION, functools.partial(axioms.dummy, reading="function"), "attribution of a feature without effect"),
    Axiom("symmetry", _GAME, functools.partial(axioms.symmetry, reading="game"), "difference between interchangeable features"),
    Axiom("symmetry", _FUNCTION, functools.partial(axioms.symmetry, reading="function"), "difference between interchangeable features"),
    Axiom("sensitivity", "input and baseline differ in one feature", axioms.sensitivity, "change that receives nothing"),
    Axiom("two-efficiency", "two features as one", axioms.two_efficiency, "gap"),
)


def axiom_verdicts(subject: Subject, chance: float, *, quick: bool = False) -> Iterator[AuditVerdict]:
    """Each axiom on each domain, and the implementations of one function."""
    for axiom in AXIOMS:
        yield _verdict(subject, axiom, domains(subject, quick=quick), chance)
    yield _invariance(subject, chance)


def _bound(domain: str, chance: float) -> float:
    gap = SMALL_GAP if domain == "small ReLU networks" else KINKED_GAP if domain in KINKED else SMOOTH_GAP
    return max(gap, min(chance, 1.0))


def _verdict(subject: Subject, axiom: Axiom, tried: Iterable[Domain], chance: float) -> AuditVerdict:
    a = attribution(subject)
    ran: list[tuple[Domain, Verdict]] = []
    refused = ""
    for domain in tried:
        try:
            found = axiom.test(a, domain)
        except UnansweredError as error:
            refused = refused or str(error)
            continue
        if found.trials:
            ran.append((domain, found))
    return _told(axiom, ran, refused, chance, lambda bound: _counterexample(subject, axiom, ran, bound))


def _told(axiom: Axiom, ran: list[tuple[Domain, Verdict]], refused: str, chance: float, snippet: Callable[[float], str]) -> AuditVerdict:
    if not ran:
        why = f"It answers on none of the testbeds; the first refusal: {refused}"
        return AuditVerdict(principle=axiom.axiom, reading=axiom.reading, outcome="not applicable", why=why)
    domain, worst = max(ran, key=lambda item: item[1].violation / _bound(item[0].name, chance))
    bound = _bound(domain.name, chance)
    broken = not worst.violation <= bound
    rest = f" It does not answer on some others: {refused}" if refused else ""
    size = "infinite" if not math.isfinite(worst.violation) else f"{worst.violation:.1g}"
    error = "" if broken or worst.violation <= 1e-6 else ", which a quadrature or chance may leave"
    return AuditVerdict(
        principle=axiom.axiom, reading=axiom.reading, outcome="violates" if broken else "satisfies", statistic=rounded(worst.violation),
        bound=rounded(bound), domain="; ".join(domain.name for domain, _ in ran), trials=sum(found.trials for _, found in ran),
        why=f"The largest {axiom.means} is {size}, on {domain.name}{error}.{rest}", counterexample=snippet(bound) if broken else "",
    )  # fmt: skip


def _counterexample(subject: Subject, axiom: Axiom, ran: list[tuple[Domain, Verdict]], bound: float) -> str:
    """The first snippet whose assertions hold, on a domain that was found violated."""
    explain = explainer(subject)
    reading = "game" if axiom.reading == _GAME else "function"
    names = {domain.name for domain, _ in ran}
    for domain in (axiom_domains.small_polynomials(), small_networks()):
        if domain.name in names:
            for snippet in snippets(axiom.axiom, reading, domain, explain, max(0.1, bound) if domain.name == "small ReLU networks" else 1e-2):
                if holds(snippet, explain):
                    return snippet
    return ""


def holds(snippet: str, explain: Callable[..., Tensor]) -> bool:
    """Whether a snippet's assertions hold for the function."""
    try:
        exec(compile(snippet, "counterexample", "exec"), {"explain": explain})  # one of the audit's own texts
    except (AssertionError, UnansweredError):
        return False
    return True


def _invariance(subject: Subject, chance: float) -> AuditVerdict:
    a = attribution(subject)
    pairs = axiom_domains.twin_pairs() + axiom_domains.relu_pairs(1) + axiom_domains.product_pairs(1)
    if not subject.takes_baselines:
        pairs = [axioms.Pair(p.how, p.first, p.second, p.x, torch.zeros_like(p.x)) for p in pairs]
    found, refused, trials = [], "", 0
    for pair in pairs:
        try:
            verdict = axioms.implementation_invariance(a, [pair])
        except UnansweredError as error:
            refused = refused or str(error)
            continue
        trials += 1
        found.append((verdict.violation, pair))
    axiom = Axiom("implementation-invariance", "one function written in two ways", axioms.linearity, "difference between two programs")
    if not found:
        return _told(axiom, [], refused, chance, lambda bound: "")
    worst, pair = max(found, key=lambda item: item[0])
    domain = Domain("implementations", lambda number: Example(pair.first, pair.x, pair.b), 1)
    explain = explainer(subject)
    told = _told(axiom, [(domain, Verdict(worst, trials, None))], refused, chance, lambda bound: TWINS if holds(TWINS, explain) else "")
    return told.model_copy(update={"why": told.why.replace("on implementations", f"for: {pair.how}")})


@functools.cache
def principles() -> dict[str, Principle]:
    """The property test of every principle whose record links to one."""
    records = taxonomy.load().of_kind("principle")
    links = {record.id: record.implementation for record in records if isinstance(record, PrincipleRecord) and record.implementation}
    found = {name: linked(link) for name, link in links.items()}
    return {name: test for name, test in found.items() if len(inspect.signature(test).parameters) == 1}


def principle_verdicts(subject: Subject, known: dict[str, Principle] | None = None) -> Iterator[AuditVerdict]:
    """Every reading of every principle."""
    explain = explainer(subject)
    seen: set[tuple[str, str]] = set()
    for name, test in (principles() if known is None else known).items():
        try:
            found: tuple[Finding, ...] = test(explain)
        except Exception as error:  # a function that answers in ways a test did not foresee must not end the audit
            yield AuditVerdict(
                principle=name, reading="all", outcome="not applicable", why=f"The test broke off: {type(error).__name__}: {error}"[:300]
            )
            continue
        for item in found:
            if (item.principle, item.reading) not in seen:
                seen.add((item.principle, item.reading))
                yield _recorded(item)


def _recorded(found: Finding) -> AuditVerdict:
    applies = found.outcome != "not applicable"
    why = found.why.replace("UnansweredError: ", "")
    return AuditVerdict(
        principle=found.principle, reading=found.reading, outcome=found.outcome, statistic=rounded(found.statistic) if applies else None,
        bound=rounded(found.bound) if applies else None, domain=found.domain, trials=found.trials, why=why, counterexample=found.counterexample,
    )  # fmt: skip
