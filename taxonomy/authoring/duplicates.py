"""Records that are perhaps the one about to be written: the same name or alias, nearly the same, or the same reference."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from taxonomy.records import Record


@dataclass(frozen=True, slots=True)
class Likeness:
    """A record that may be the same thing, and why one should look."""

    id: str
    kind: str
    reason: str
    certain: bool
    """Whether the name is taken, so that the records would not pass the checks."""


def likely(kind: str, names: Iterable[str], reference: str | None, records: Mapping[str, Record]) -> list[Likeness]:
    """Records of the kind that share a name, nearly share one, or were introduced by the same work; certain ones first.

    `names` are the id, the name, the abbreviation and the aliases of the record to come.
    """
    found: dict[str, Likeness] = {}
    wanted = [name for name in names if name]
    for record in records.values():
        if record.kind != kind:
            continue
        for likeness in _likenesses(record, wanted, reference):
            known = found.get(record.id)
            if known is None or (likeness.certain and not known.certain):
                found[record.id] = likeness
    return sorted(found.values(), key=lambda one: (not one.certain, one.id))


def _likenesses(record: Record, wanted: list[str], reference: str | None) -> Iterator[Likeness]:
    for other in names_of(record):
        for name in wanted:
            if name.casefold() == other.casefold():
                yield Likeness(record.id, record.kind, f"it is called `{other}`", True)
            elif bare(name) and bare(name) == bare(other):
                yield Likeness(record.id, record.kind, f"`{name}` is its name `{other}` written otherwise", record.id == other)
            elif _near(bare(name), bare(other)):
                yield Likeness(record.id, record.kind, f"`{name}` resembles its name `{other}`", False)
    if reference is not None and getattr(record, "reference", None) == reference:
        yield Likeness(record.id, record.kind, f"`{reference}` introduced it, too", False)


def names_of(record: Record) -> list[str]:
    """All names a record answers to, its id first."""
    return [record.id, record.name, *([record.abbreviation] if getattr(record, "abbreviation", None) else []), *record.aliases]  # type: ignore[attr-defined]


def bare(name: str) -> str:
    """A name without accents, case, spaces and signs."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode())


def _near(one: str, other: str) -> bool:
    if min(len(one), len(other)) < 6:  # abbreviations resemble each other by chance
        return False
    matcher = difflib.SequenceMatcher(None, one, other)
    return matcher.real_quick_ratio() >= 0.88 and matcher.quick_ratio() >= 0.88 and matcher.ratio() >= 0.88
