"""How a condition stands, and why: it holds, it does not, it is contested, or nothing is known.

Conditions are joined as in the strong three-valued logic of Kleene (Introduction to Metamathematics, 1952, section 64), in which what is open stays
open unless the other side decides. Open are two things here: `unknown`, where nothing speaks for or against, and `contested`, where something
speaks for and something against, as where a source asserts what a run refuted. Joined with each other, these make `contested`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from taxonomy.deduction import Fact

Standing = Literal["yes", "no", "contested", "unknown"]
STANDINGS: tuple[Standing, ...] = ("yes", "contested", "unknown", "no")
Ground = Literal["asserted", "derived", "run", "measured", "record", "context", "silent"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for or against a condition, or why it is open: no source speaks (`silent`), or one says that it depends (`context`)."""

    ground: Ground
    text: str
    fact: Fact | None = None
    """What `Atlas.why` can be asked about, if it is a relation."""
    conditions: tuple[str, ...] = ()
    """Conditions under which it holds."""

    def __str__(self) -> str:
        return self.text + "".join(f"; on condition: {condition}" for condition in self.conditions)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        fact = list(self.fact) if self.fact else None
        return {"ground": self.ground, "text": self.text, "fact": fact, "conditions": list(self.conditions)}


@dataclass(frozen=True, slots=True)
class Truth:
    """How a condition stands and the reasons for it; `said` is whether something speaks for it, `denied` whether something speaks against it.

    Examples
    --------
    >>> yes, no, unknown, contested = known(True, ""), known(False, ""), Truth("unknown"), Truth("contested", said=True, denied=True)
    >>> (yes & unknown).standing, (yes | unknown).standing, (no & contested).standing, (unknown | contested).standing, (~no).standing
    ('unknown', 'yes', 'no', 'contested', 'yes')
    """

    standing: Standing
    reasons: tuple[Reason, ...] = ()
    said: bool = False
    denied: bool = False

    def __and__(self, other: Truth) -> Truth:
        standing = _joined(self.standing, other.standing, decided_by="no")
        return Truth(standing, _because(standing, self, other), self.said and other.said, self.denied or other.denied)

    def __or__(self, other: Truth) -> Truth:
        standing = _joined(self.standing, other.standing, decided_by="yes")
        return Truth(standing, _because(standing, self, other), self.said or other.said, self.denied and other.denied)

    def __invert__(self) -> Truth:
        return Truth(_OPPOSITES.get(self.standing, self.standing), self.reasons, self.denied, self.said)


_OPPOSITES: dict[Standing, Standing] = {"yes": "no", "no": "yes"}
_OPEN: tuple[Standing, ...] = ("contested", "unknown")


def _joined(first: Standing, second: Standing, *, decided_by: Standing) -> Standing:
    """Decided if one side has the deciding standing; otherwise open if one is open, contested before unknown."""
    both = (first, second)
    if decided_by in both:
        return decided_by
    return next((standing for standing in _OPEN if standing in both), first)


def _because(standing: Standing, *sides: Truth) -> tuple[Reason, ...]:
    """The reasons of the sides that made it so: of those that have the standing, or, if it is open, of all that are open."""
    wanted = _OPEN if standing in _OPEN else (standing,)
    return tuple(dict.fromkeys(reason for side in sides if side.standing in wanted for reason in side.reasons))


def known(value: bool, text: str) -> Truth:
    """The truth of something that a record settles."""
    return Truth("yes" if value else "no", (Reason("record", text),), said=value, denied=not value)


def unknown(text: str, fact: Fact | None = None) -> Truth:
    """Nothing is known; `text` says of what."""
    return Truth("unknown", (Reason("silent", text, fact),))


def from_reasons(pro: Iterable[Reason], con: Iterable[Reason]) -> Truth:
    """The truth that the reasons for and against make, of which there is at least one."""
    said, denied = tuple(pro), tuple(con)
    standing: Standing = ("contested" if denied else "yes") if said else ("no" if denied else "unknown")
    return Truth(standing, (*said, *denied), bool(said), bool(denied))
