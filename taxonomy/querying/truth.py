"""What speaks for a condition and what against it, kept apart.

A condition is judged by two lists of reasons, so four things can be true of it: only something speaks for it (`yes`), only something against it
(`no`), nothing either way (`unknown`), or both (`contested`, as where a source asserts what a run refuted). This is the logic of Belnap ("A useful
four-valued logic", 1977): `and`, `or` and `not` obey the laws of sets, and no contradiction spreads beyond the conditions it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from taxonomy.deduction import Fact

Standing = Literal["yes", "no", "contested", "unknown"]
STANDINGS: tuple[Standing, ...] = ("yes", "contested", "unknown", "no")
Ground = Literal["asserted", "derived", "run", "measured", "record", "silent"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for or against a condition, or the news that nothing does (`silent`)."""

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
        return {
            "ground": self.ground,
            "text": self.text,
            "fact": list(self.fact) if self.fact else None,
            "conditions": list(self.conditions),
        }


@dataclass(frozen=True, slots=True)
class Truth:
    """What speaks for a condition (`pro`) and against it (`con`); None where nothing does. `open` says what is not known.

    Examples
    --------
    >>> yes, unknown = Truth(pro=()), Truth()
    >>> (yes & unknown).standing, (yes | unknown).standing, (~yes).standing
    ('unknown', 'yes', 'no')
    """

    pro: tuple[Reason, ...] | None = None
    con: tuple[Reason, ...] | None = None
    open: tuple[Reason, ...] = ()

    @property
    def standing(self) -> Standing:
        """`yes`, `no`, `contested` or `unknown`."""
        if self.pro is not None:
            return "yes" if self.con is None else "contested"
        return "unknown" if self.con is None else "no"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons for this standing, without repetition."""
        found = (*(self.pro or ()), *(self.con or ())) if self.standing != "unknown" else self.open
        return tuple(dict.fromkeys(found))

    def __and__(self, other: Truth) -> Truth:
        return Truth(_both(self.pro, other.pro), _either(self.con, other.con), (*self.open, *other.open))

    def __or__(self, other: Truth) -> Truth:
        return Truth(_either(self.pro, other.pro), _both(self.con, other.con), (*self.open, *other.open))

    def __invert__(self) -> Truth:
        return Truth(self.con, self.pro, self.open)


Reasons = tuple[Reason, ...] | None


def _both(first: Reasons, second: Reasons) -> Reasons:
    return None if first is None or second is None else (*first, *second)


def _either(first: Reasons, second: Reasons) -> Reasons:
    return None if first is None and second is None else (*(first or ()), *(second or ()))


def known(value: bool, text: str) -> Truth:
    """The truth of something that a record settles."""
    reason = (Reason("record", text),)
    return Truth(pro=reason) if value else Truth(con=reason)


def unknown(text: str, fact: Fact | None = None) -> Truth:
    """Nothing is known; `text` says of what."""
    return Truth(open=(Reason("silent", text, fact),))


def from_reasons(pro: Iterable[Reason], con: Iterable[Reason]) -> Truth:
    """The truth that two lists of reasons make; an empty list says nothing."""
    return Truth(tuple(pro) or None, tuple(con) or None)
