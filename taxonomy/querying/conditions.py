"""Conditions on records: what `where` and the query language build, and how each is judged and written.

A condition is an immutable value. `str(condition)` is its text in the query language, and parsing that text gives the condition back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from taxonomy.querying import fields
from taxonomy.querying.truth import Truth
from taxonomy.relations import INVERSES, RELATIONS

if TYPE_CHECKING:
    from taxonomy.querying.judging import Judge
    from taxonomy.records import Record

WORDS = ("and", "but", "or", "not", "anything")
_BARE = re.compile(r"""[^\s()"'\\]+""")


class Condition:
    """Something that is so of a record, is not so, or is not known."""

    __slots__ = ()

    def judge(self, judge: Judge, record: Record) -> Truth:
        """How it stands of a record."""
        raise NotImplementedError

    def __and__(self, other: Condition) -> Condition:
        return Every((self, other))

    def __or__(self, other: Condition) -> Condition:
        return Some((self, other))

    def __invert__(self) -> Condition:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Anything(Condition):
    """Holds of every record."""

    def judge(self, judge: Judge, record: Record) -> Truth:
        """Always so."""
        return Truth("yes", said=True)

    def __str__(self) -> str:
        return "anything"


@dataclass(frozen=True, slots=True)
class Related(Condition):
    """In a relation, written under its name or its inverse name, to the record with the id `target`."""

    relation: str
    target: str

    def judge(self, judge: Judge, record: Record) -> Truth:
        """By what sources say, what follows and what runs found."""
        if self.relation in RELATIONS:
            return judge.relation(record.id, self.relation, self.target)
        return judge.relation(self.target, INVERSES[self.relation].name, record.id)

    def __str__(self) -> str:
        return f"{self.relation} {quoted(self.target)}"


@dataclass(frozen=True, slots=True)
class Field(Condition):
    """A field has a value; `access` means that this access suffices."""

    name: str
    value: str

    def judge(self, judge: Judge, record: Record) -> Truth:
        """By the record."""
        return fields.judge_field(record, self.name, self.value)

    def __str__(self) -> str:
        return f"{self.name} {quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Flag(Condition):
    """Something that is either so or not, as `implemented`."""

    name: str

    def judge(self, judge: Judge, record: Record) -> Truth:
        """By the record."""
        return fields.judge_flag(record, self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Needs(Condition):
    """A method needs something: a level of access or more, a baseline, data, an auxiliary model."""

    what: str

    def judge(self, judge: Judge, record: Record) -> Truth:
        """By the record."""
        return fields.judge_need(record, self.what)

    def __str__(self) -> str:
        return f"needs {self.what}"


@dataclass(frozen=True, slots=True)
class Mentions(Condition):
    """A text occurs in the id, the names or the summary."""

    text: str

    def judge(self, judge: Judge, record: Record) -> Truth:
        """By the record."""
        return fields.judge_mention(record, self.text)

    def __str__(self) -> str:
        return f"mentions {quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite of a condition; not known where it is not."""

    part: Condition

    def judge(self, judge: Judge, record: Record) -> Truth:
        """Turned round."""
        return ~self.part.judge(judge, record)

    def __str__(self) -> str:
        return f"not {_bracketed(self.part, (Every, Some))}"


def _flattened(parts: tuple[Condition, ...], kind: type[Every] | type[Some]) -> tuple[Condition, ...]:
    flat: list[Condition] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    if len(flat) < 2:
        raise ValueError(f"{kind.__name__} joins at least two conditions")
    return tuple(flat)


@dataclass(frozen=True, slots=True)
class Every(Condition):
    """Every part holds."""

    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _flattened(self.parts, Every))

    def judge(self, judge: Judge, record: Record) -> Truth:
        """All parts together."""
        return reduce(lambda one, other: one & other, (part.judge(judge, record) for part in self.parts))

    def __str__(self) -> str:
        return " and ".join(_bracketed(part, (Some,)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some(Condition):
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _flattened(self.parts, Some))

    def judge(self, judge: Judge, record: Record) -> Truth:
        """Any part by itself."""
        return reduce(lambda one, other: one | other, (part.judge(judge, record) for part in self.parts))

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


def _bracketed(part: Condition, kinds: tuple[type[Condition], ...]) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


def quoted(text: str) -> str:
    r"""A name as the query language has it: bare if it is one plain word, in quotes otherwise.

    >>> print(quoted("completeness"), quoted("input features"), quoted('say "x"'))
    completeness "input features" "say \"x\""
    """
    if _BARE.fullmatch(text) and text.casefold() not in WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def joined(first: Condition, second: Condition) -> Condition:
    """Both; `Anything` adds nothing."""
    if isinstance(first, Anything):
        return second
    return first if isinstance(second, Anything) else Every((first, second))


Literal = tuple[Condition, bool]
"""A condition without parts, and whether it is meant to hold."""


def alternatives(condition: Condition, *, most: int = 64) -> list[tuple[Literal, ...]] | None:
    """The disjunctive normal form: the ways a condition can hold, each a list of literals; None if there are more than `most`."""
    found: list[tuple[Literal, ...]] = []
    for way in _ways(condition, True):
        found.append(way)
        if len(found) > most:
            return None
    return found


def _ways(condition: Condition, holds: bool) -> Iterator[tuple[Literal, ...]]:
    if isinstance(condition, Not):
        yield from _ways(condition.part, not holds)
    elif isinstance(condition, Every | Some):
        split: Callable[[tuple[Condition, ...]], Iterator[tuple[Literal, ...]]]
        split = _product if isinstance(condition, Every) == holds else _sum
        yield from split(tuple(part if holds else Not(part) for part in condition.parts))
    else:
        yield ((condition, holds),)


def _sum(parts: tuple[Condition, ...]) -> Iterator[tuple[Literal, ...]]:
    for part in parts:
        yield from _ways(part, True)


def _product(parts: tuple[Condition, ...]) -> Iterator[tuple[Literal, ...]]:
    if not parts:
        yield ()
        return
    for way in _ways(parts[0], True):
        for rest in _product(parts[1:]):
            yield (*way, *rest)
