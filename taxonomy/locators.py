"""Locators: the place inside a work, parsed and held against the work's own inventory."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from taxonomy.characters import shown
from taxonomy.problems import did_you_mean
from taxonomy.records.document import Document

_ITEM = re.compile(r"(?:\([0-9ivxa-z]+\))+$")
_PATTERNS = (
    ("exhibit", re.compile(r"(?P<label>Table [IVX]+|Fig\. [0-9]{1,6})(?P<caption>, caption)?(?:, row (?P<row>.+?))?(?:, column (?P<column>.+))?")),
    ("section", re.compile(r"Sec\. (?P<label>.+)")),
    ("equation", re.compile(r"Eqs?\. (?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6}))?")),
    ("theorem", re.compile(r"Theorem (?P<first>[0-9]{1,6})")),
    ("proposition", re.compile(r"Proposition (?P<first>[0-9]{1,6})")),
    ("reference", re.compile(r"Ref\. (?P<first>[0-9]{1,6})")),
    ("footnote", re.compile(r"Footnote (?P<first>[0-9]{1,6})")),
    ("front", re.compile(r"Abstract|Title|Index Terms")),
)
MOST_CHARACTERS = 300
FORMS = (
    "`Table III, row X`, `Fig. 4, row X, column Y`, `Sec. II-B(4)`, `Eq. 12`, `Eqs. 9-16`, `Theorem 7`, `Proposition 1`, `Ref. 60`, "
    "`Footnote 1`, `Abstract`"
)


class Place(NamedTuple):
    """A parsed locator."""

    kind: str
    label: str = ""
    row: str = ""
    column: str = ""
    first: int = 0
    last: int = 0


@functools.lru_cache(maxsize=4096)
def parse(locator: str) -> Place | None:
    """Parse a locator, or return None if it has none of the known forms."""
    if len(locator) > MOST_CHARACTERS:
        return None
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(locator)
        if match is None:
            continue
        groups = match.groupdict()
        first = int(groups.get("first") or 0)
        label = groups.get("label") or locator
        if kind == "section":
            label = _ITEM.sub("", label).strip()
        return Place(kind, label, groups.get("row") or "", groups.get("column") or "", first, int(groups.get("last") or first))
    return None


def faults(locator: str, work: Document) -> Iterator[str]:
    """What is wrong with a locator into `work`, as messages; nothing if the place exists."""
    place = parse(locator)
    if place is None:
        yield f"locator `{shown(locator)}` is not understood; write one of {FORMS}"
    elif place.kind == "section":
        labels = [section.label for section in work.sections]
        if place.label not in labels:
            yield _missing(work, "section", place.label, labels)
    elif place.kind == "exhibit":
        yield from _exhibit_faults(place, work)
    elif place.kind != "front":
        count = len(work.bibliography) if place.kind == "reference" else getattr(work, f"{place.kind}s")
        if not 1 <= place.first <= place.last <= count:
            yield f"`{locator}` does not exist: {work.short} has {count} {place.kind}{'' if count == 1 else 's'}"


def _exhibit_faults(place: Place, work: Document) -> Iterator[str]:
    exhibit = next((exhibit for exhibit in work.exhibits if exhibit.label == place.label), None)
    if exhibit is None:
        yield _missing(work, "table or figure", place.label, [exhibit.label for exhibit in work.exhibits])
        return
    for part, label, known in (("row", place.row, exhibit.rows), ("column", place.column, exhibit.columns)):
        if label and label not in known:
            yield _missing(work, part, label, list(known), f" in {place.label}")


def _missing(work: Document, what: str, label: str, known: list[str], where: str = "") -> str:
    hint = did_you_mean(label, known)
    return f"{work.short} has no {what} `{label}`{where}" + (f"; {hint}" if hint else "")
