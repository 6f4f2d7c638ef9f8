"""What checks are made of: how a number is held against a bound, how a sweep is judged, and the registry entry."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taxonomy.evidence import Control, Counterexample, Evidence, EvidenceStatus, Measurement

ALGEBRA = 1e-9
"""Relative tolerance of an algebraic identity in float64."""
SMOOTH = 1e-8
"""Tolerance of a quadrature of a smooth function."""
KINKED = 2e-3
"""Tolerance of a quadrature across the kinks of a ReLU network."""


@dataclass(frozen=True)
class Check:
    """A test of claims: `claims` are those it decides, `run(claim)` decides one. Modules it rests on are found from `run`."""

    id: str
    claims: tuple[str, ...]
    run: Callable[[str], Evidence]

    def __call__(self, claim: str) -> Evidence:
        """Run the check on one of its claims.

        Raises
        ------
        KeyError
            If the check does not decide the claim.
        """
        if claim not in self.claims:
            raise KeyError(f"check `{self.id}` does not decide `{claim}`; it decides {', '.join(self.claims)}")
        with torch.random.fork_rng(devices=[]):
            return self.run(claim)


def each(rest: str, *methods: str) -> tuple[str, ...]:
    """One claim for each method: `each("satisfies/dummy", "shapley-value")`."""
    return tuple(f"{method}/{rest}" for method in methods)


def reformulations(family: str, *methods: str) -> tuple[str, ...]:
    """The claims that the methods can be rewritten in the form of the family."""
    return each(f"reformulates-as/{family}", *methods)


def subject(claim: str) -> str:
    """The method a claim is about."""
    return claim.split("/")[0]


def stable(value: float) -> float:
    """Six significant digits; one digit for rounding noise, which differs between machines.

    >>> stable(0.123456789), stable(3.14e-16)
    (0.123457, 3e-16)
    """
    return float(f"{value:.{1 if abs(value) < 1e-9 else 6}g}")


def at_most(name: str, value: float, bound: float, note: str | None = None) -> Measurement:
    """A number that has to stay at or below its bound."""
    return Measurement(name=name, value=stable(value), bound=bound, relation="<=", note=note)


def at_least(name: str, value: float, bound: float, note: str | None = None) -> Measurement:
    """A number that has to reach its bound."""
    return Measurement(name=name, value=stable(value), bound=bound, relation=">=", note=note)


def number(name: str, value: float, note: str | None = None) -> Measurement:
    """A number for the reader, without a bound."""
    return Measurement(name=name, value=stable(value), note=note)


def breaks(description: str, value: float, bound: float) -> Control:
    """A control for which the tested identity is false: its error must exceed the tolerance."""
    return Control(description=description, value=stable(value), bound=bound, detected=value > bound)


def keeps(description: str, value: float, bound: float) -> Control:
    """A control that has the property found missing: its error must stay within the tolerance."""
    return Control(description=description, value=stable(value), bound=bound, detected=value <= bound)


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected entry of each input (at least one)."""
    size = expected.abs().flatten(1).amax(dim=1).clamp(min=1)
    return float(((found - expected).abs().flatten(1).amax(dim=1) / size).max())


def worst(errors: Sequence[float]) -> float:
    """The largest error; NaN counts as infinite."""
    return max((math.inf if math.isnan(e) else e for e in errors), default=0.0)


@dataclass(frozen=True)
class Case:
    """One setting of a sweep: whether it meets the condition that is being tried out, and the error found there."""

    setting: str
    meets: bool
    error: float


def judge(cases: Sequence[Case], tolerance: float) -> EvidenceStatus:
    """Status of a claim from a sweep: what passes decides, and a condition counts only if it separates what passes from what fails.

    >>> judge([Case("relu", True, 0.0), Case("tanh", False, 0.5)], 1e-9)
    'holds under condition'
    >>> judge([Case("relu", True, 0.0), Case("tanh", False, 0.0)], 1e-9)
    'holds'
    >>> judge([Case("relu", True, 0.5), Case("tanh", False, 0.0)], 1e-9)
    'fails'
    """
    passed = [case.error <= tolerance for case in cases]
    if all(passed):
        return "holds"
    if any(passed) and passed == [case.meets for case in cases]:
        return "holds under condition"
    return "fails"


def settle(measurements: Sequence[Measurement], otherwise: EvidenceStatus = "holds") -> EvidenceStatus:
    """`otherwise` if every measurement keeps its bound, else `fails`."""
    return otherwise if all(measurement.within for measurement in measurements) else "fails"


def sweep(cases: Sequence[Case], tolerance: float) -> tuple[Measurement, Measurement]:
    """The worst error of the settings that meet the condition, and the least error of the others."""
    inside = worst([case.error for case in cases if case.meets])
    outside = min((case.error for case in cases if not case.meets), default=math.inf)
    return (
        at_most("largest error where the condition is met", inside, tolerance),
        at_least("smallest error where it is not", min(outside, 1e300), 10 * tolerance, "capped at 1e300"),
    )


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {"python": platform.python_version(), "torch": str(torch.__version__).split("+", maxsplit=1)[0]}


def counterexample(description: str, code: str, **data: Any) -> Counterexample:
    """A counterexample with its data and a snippet that runs by itself."""
    return Counterexample(description=description, data=data, code=code.strip() + "\n")
