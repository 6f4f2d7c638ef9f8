"""Which formulation family a new method probably belongs to, by the words it shares with the methods of each."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

from taxonomy.authoring.code import FAMILIES
from taxonomy.records import Method, Record

_NEAREST = 3
"""Members of a family that count; of all of them, the large families would always win."""


def guessed_families(text: str, records: Mapping[str, Record], without: str | None = None) -> list[str]:
    """The families with code, the likeliest first; empty if the text shares no telling word with any method.

    `without` leaves one method out, to try the guess on methods whose family is known.
    """
    members = {
        record.id: (record.belongs_to[0].to, _words(f"{record.name} {' '.join(record.aliases)} {record.summary}"))
        for record in records.values()
        if isinstance(record, Method) and record.belongs_to and record.id != without
    }
    counts = Counter(word for _, words in members.values() for word in words)
    scores: dict[str, list[float]] = {}
    for family, words in members.values():
        shared = _words(text) & words
        weight = sum(math.log(1 + len(members) / counts[word]) for word in shared)
        scores.setdefault(family, []).append(weight / math.sqrt(len(words) + 1))
    totals = {family: sum(sorted(found, reverse=True)[:_NEAREST]) for family, found in scores.items() if family in FAMILIES}
    return [family for family in sorted(totals, key=lambda name: -totals[name]) if totals[family] > 0]


def _words(text: str) -> set[str]:
    """Words of four letters and more, without endings."""
    return {re.sub(r"(ations?|ions?|ing|ed|es|s)$", "", word) for word in re.findall(r"[a-z]{4,}", text.casefold())}
