"""With which known methods a function coincides, and on which testbeds; numbers alone decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from executable.auditing.answers import FEW, MANY, MOST, Answer, Answered, reference, settings_of
from executable.auditing.battery import DOMAINS, GAMES, LINEAR, MULTILINEAR, POLYNOMIALS, SMOOTH, TOKENS, Setting, battery
from executable.auditing.catalogue import REFERENCES
from taxonomy.audit import Coincidence, Relation

EXACT = 1e-6
CLOSE = 5e-3
"""Two quadratures of one integral may differ by this much, relative to the largest attribution."""
KINKED = 0.03
"""The same across the kinks of ReLU networks."""
SIGMAS = 5.0
SHARP = 0.1
"""Estimates that agree within less than this need no more draws."""


def _equal(known: Tensor, setting: Setting) -> Tensor | None:
    return known


def _absolute(known: Tensor, setting: Setting) -> Tensor | None:
    return known.abs()


def _times(known: Tensor, setting: Setting) -> Tensor | None:
    return known * _difference(setting) if setting.x.is_floating_point() and len(setting.x) >= _rows(setting) else None


def _divided(known: Tensor, setting: Setting) -> Tensor | None:
    return known / _difference(setting) if setting.x.is_floating_point() and len(setting.x) >= _rows(setting) else None


def _rows(setting: Setting) -> int:
    return 1 if setting.baselines is None else len(setting.baselines)


def _difference(setting: Setting) -> Tensor:
    return setting.x if setting.baselines is None else setting.x - setting.baselines


TRANSFORMS: dict[Relation, Callable[[Tensor, Setting], Tensor | None]] = {
    "equal": _equal,
    "absolute value": _absolute,
    "times x - b": _times,
    "divided by x - b": _divided,
}


@dataclass(frozen=True)
class Match:
    """How far two answers are apart, relative to the largest attribution, and whether that counts as none."""

    error: float
    same: bool
    noise: float = 0.0


def compared(found: Answer, known: Answer, setting: Setting, relation: Relation = "equal") -> Match | None:
    """Two answers on one setting; None where the relation has no meaning there."""
    if found.mean.shape != known.mean.shape:
        return Match(float("inf"), False)
    ours, theirs = found.mean, known.mean
    if relation == "proportional":
        ours, theirs = _normalised(ours), _normalised(theirs)
        if ours.flatten(1).shape[1] < 3:
            return None
    else:
        transformed = TRANSFORMS[relation](theirs, setting)
        if transformed is None:
            return None
        theirs = transformed
    # Batches may hold rows of very different size, and a method may answer zero.
    scale = max(float(theirs.abs().max()), float(ours.abs().max()), 1e-9)
    error = float((ours - theirs).abs().max()) / scale
    noise = SIGMAS * (found.error**2 + known.error**2) ** 0.5 / scale
    return Match(error, error <= max(noise, _allowed(setting) if found.error + known.error == 0 else EXACT), noise)


def _allowed(setting: Setting) -> float:
    return CLOSE if setting.domain in {LINEAR, MULTILINEAR, POLYNOMIALS, SMOOTH, GAMES, TOKENS} else KINKED


def _normalised(a: Tensor) -> Tensor:
    rows = a.flatten(1)
    return rows / rows.abs().max(dim=1, keepdim=True).values.clamp(min=1e-12)


def on_domain(found: Answered, known: Answered, domain: str, relation: Relation = "equal") -> Match | None:
    """Both functions on all settings of a testbed that both run on; None if there is none."""
    worst: Match | None = None
    for number in settings_of(domain):
        setting = battery()[number]
        match = None
        for count in (FEW, MANY, MOST) if found.chance or known.chance else (1,):
            a, b = found.on(number, count), known.on(number, count)
            match = compared(a, b, setting, relation) if a is not None and b is not None else None
            if (
                match is None
                or (not match.same and (match.error > max(0.3, 4 * match.noise) or count == MANY))
                or (count == MANY and match.noise < SHARP)
            ):
                break
        if match is None:
            continue
        if not match.same:
            return match
        worst = match if worst is None or match.error > worst.error else worst
    return worst


def coincidence(found: Answered, method: str, relation: Relation = "equal", only: Iterable[str] = DOMAINS) -> Coincidence | None:
    """Where the function's numbers are those of a method; None if nowhere."""
    known = reference(method)
    if relation != "equal" and (found.chance or known.chance):
        return None
    matches = {domain: match for domain in only if (match := on_domain(found, known, domain, relation)) is not None}
    same = tuple(domain for domain, match in matches.items() if match.same)
    if not same:
        return None
    differs = tuple(domain for domain in matches if domain not in same)
    error = max(matches[domain].error for domain in same)
    return Coincidence(method=method, relation=relation, domains=same, differs=differs, error=float(f"{error:.0e}") if error > 1e-9 else 0.0)


def coincidences(found: Answered, methods: Iterable[str] | None = None) -> list[Coincidence]:
    """Every known method with the same numbers on something other than linear functions, the closest first.

    A method that is equal nowhere is also tried as its absolute value, up to a factor for each input, and times or divided by x - b; of these only
    what holds wherever both run, on two testbeds or more besides linear functions, is reported.
    """
    made = []
    for method in methods or REFERENCES:
        equal = coincidence(found, method)
        if equal is not None and _telling(equal.domains):
            made.append(equal)
        else:
            others: tuple[Relation, ...] = ("absolute value", "times x - b", "divided by x - b", "proportional")
            for relation in others:
                other = coincidence(found, method, relation)
                if other is not None and other.everywhere and len(_telling(other.domains)) >= 2:
                    made.append(other)
                    break
    return sorted(made, key=_rank)


def _telling(domains: tuple[str, ...]) -> list[str]:
    """All testbeds but linear functions, on which most methods agree."""
    return [domain for domain in domains if domain != LINEAR]


def _rank(item: Coincidence) -> tuple[bool, bool, bool, int, float, str]:
    return item.relation != "equal", not item.everywhere, item.error > CLOSE, -len(item.domains), item.error, item.method


def identified(made: list[Coincidence]) -> tuple[str, ...]:
    """The methods whose numbers these are: equal wherever both run, on the most testbeds, exactly if any is exact."""
    whole = [item for item in made if item.relation == "equal" and item.everywhere and _telling(item.domains)]
    if not whole:
        return ()
    most = max(len(item.domains) for item in whole)
    widest = [item for item in whole if len(item.domains) == most]
    exact = [item for item in widest if item.error <= EXACT] or [item for item in widest if item.error <= CLOSE] or widest
    return tuple(sorted(item.method for item in exact))
