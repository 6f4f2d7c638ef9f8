"""`audit`: everything that can be measured of one attribution function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch  # noqa: F401 - the example reads it

from executable.auditing.answers import Answered, cost, examined, settings_of
from executable.auditing.battery import IMAGES, RELU, TOKENS, battery
from executable.auditing.catalogue import REFERENCES
from executable.auditing.coincidences import CLOSE, EXACT, coincidences, identified
from executable.auditing.forms import forms
from executable.auditing.requirements import axiom_verdicts, principle_verdicts
from executable.auditing.subject import Subject
from executable.auditing.weights import Allocation, GameWeights, coalition_weights, taylor_allocation
from executable.progress import progress
from taxonomy.audit import AuditReport, AuditVerdict, Coincidence, Cost, FamilyFit


def audit(function: Callable[..., Any], *, name: str = "", quick: bool = False, show_progress: bool = False, slow: bool = False) -> AuditReport:
    """Audit an attribution function: requirements, forms, coincidences with known methods, robustness and cost.

    Only numbers are looked at. Models are small and in double precision; a known method counts as the same where all attributions agree.

    Parameters
    ----------
    function : callable
        fn(model, inputs, target=None, *, baselines=None, seed=0, ...) that returns a tensor of the shape of the inputs; `target`, `baselines` and
        `seed` are handed on where it takes them. `model` is a torch module that maps rows to one number or, with a target, to several.
    name : str, optional
        What the report calls it; its own name by default.
    quick : bool, default False
        Leave out the principles and the known methods that depend on chance, and use fewer functions for the axioms.
    show_progress : bool, default False
        Show a bar on standard error.
    slow : bool, default False
        The function optimises for each input: compare on images alone.

    Returns
    -------
    AuditReport

    Raises
    ------
    AuditError
        If it is not callable as above, gives no usable answer on any testbed, or gives other numbers when called again under one seed.

    Example
    -------
    >>> report = audit(lambda model, x: x * torch.autograd.grad(model(x.requires_grad_()).sum(), x)[0].detach(), quick=True)
    >>> report.identified, report.verdict("efficiency"), report.allocation.law
    (('grad-times-input',), 'violates', 'κ_i (gradient x input)')
    """
    subject = Subject(function, name)
    found = examined(subject, slow=slow)
    methods = [method for method, known in REFERENCES.items() if not quick or found.chance or "seed" not in known.subject.takes]
    made = [item for method in progress(methods, "comparing", show=show_progress) for item in coincidences(found, [method])]
    made = _ordered(made)
    verdicts: list[AuditVerdict] = []
    families: list[FamilyFit] = []
    allocation: Allocation | None = None
    weights: GameWeights | None = None
    if set(found.domains()) != {TOKENS}:
        tests = axiom_verdicts(subject, found.chance, quick=quick)
        verdicts = list(progress(tests, "axioms", total=11, show=show_progress))
        if not quick:
            verdicts = _joined(verdicts, progress(principle_verdicts(subject), "principles", total=32, show=show_progress))
        allocation, weights = taylor_allocation(subject, found.chance), coalition_weights(subject, found.chance)
        families = forms(subject, found.chance, allocation, weights)
    names = identified(made)
    return AuditReport(
        function=subject.name, chance=_chance(found), testbeds=found.domains(), refused=dict(found.refused), identified=names,
        summary=tuple(_summary(names, made, verdicts, families, found)), verdicts=tuple(verdicts), families=tuple(families),
        allocation=allocation.table if allocation else None, coalitions=weights.table if weights else None, coincidences=tuple(made),
        cost=tuple(_costs(subject)),
    )  # fmt: skip


def _ordered(made: list[Coincidence]) -> list[Coincidence]:
    """The closest first."""
    return sorted(made, key=lambda c: (c.relation != "equal", not c.everywhere, -len(c.domains), c.error > CLOSE, c.error, c.method))


def _joined(first: list[AuditVerdict], second: Iterator[AuditVerdict]) -> list[AuditVerdict]:
    return [*first, *second]


def _chance(found: Answered) -> str:
    if not found.chance:
        return "The numbers do not depend on chance."
    return f"The numbers depend on a seed: two seeds differ by up to {found.chance:.1g} of the largest attribution."


def _summary(
    names: tuple[str, ...], made: list[Coincidence], verdicts: list[AuditVerdict], families: list[FamilyFit], found: Answered
) -> Iterator[str]:
    if names:
        best = next(item for item in made if item.method in names)
        closeness = "exactly" if best.error <= EXACT else f"up to {best.error:.1g}"
        where = "all testbeds both run on" if len(best.domains) > 1 else best.domains[0]
        yield f"Coincides {closeness} with {', '.join(names)} on {where} ({len(best.domains)} of {len(found.domains())})."
    else:
        yield "Coincides with no known method on all testbeds."
    for item in made:
        if item.relation != "equal":
            yield f"Equals {item.method} {_RELATIONS[item.relation]} on {'; '.join(item.domains)}."
    partly = [item for item in made if item.relation == "equal" and item.method not in names and len(item.domains) > 1]
    for item in partly[:6]:
        where, away = "; ".join(item.domains), f", not on {'; '.join(item.differs)}" if item.differs else ""
        yield f"Coincides with {item.method} on {where}{away}."
    fitting = [fit.form for fit in families if fit.fits and fit.family]
    if fitting:
        yield f"Has the form of: {'; '.join(fitting)}."
    broken = dict.fromkeys(verdict.principle for verdict in verdicts if verdict.outcome == "violates")
    if verdicts:
        yield f"Violates, in at least one reading: {', '.join(broken) or 'nothing that was tested'}."


_RELATIONS = {
    "absolute value": "without its sign",
    "proportional": "up to a factor for each input",
    "times x - b": "times x - b",
    "divided by x - b": "divided by x - b",
}


def _costs(subject: Subject) -> Iterator[Cost]:
    for domain in (RELU, IMAGES, TOKENS):
        found = cost(subject, battery()[settings_of(domain)[0]])
        if found is not None:
            yield found
