"""`atlas query`: a query in one line, printed as a table, JSON or CSV. Also what `atlas find` looks for."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from taxonomy import output
from taxonomy.problems import UsageError
from taxonomy.querying.expressions import QueryError
from taxonomy.store import load

if TYPE_CHECKING:
    from taxonomy.querying.answer import Answer
    from taxonomy.records import Record


def run_query(kb: Path | None, text: str, *, basis: str, everything: bool, as_json: bool, as_csv: bool) -> int:
    """Print the answer to a query; returns the exit code.

    Raises
    ------
    taxonomy.problems.UsageError
        If the query cannot be read; the message shows where.
    """
    if as_json and as_csv:
        raise UsageError("give one of --json and --csv")
    try:
        answer = load(kb).query(text).by(basis).answer()
    except QueryError as error:
        raise UsageError(str(error)) from None
    if as_json:
        print(json.dumps(answer.as_json(), indent=2, ensure_ascii=False))
    elif as_csv:
        _print_csv(answer)
    else:
        _print_table(answer, everything=everything)
    return 0


def _print_csv(answer: Answer[Record]) -> None:
    writer = csv.DictWriter(sys.stdout, ("id", "kind", "name", "standing", "because"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(answer.rows())


def _print_table(answer: Answer[Record], *, everything: bool) -> None:
    for obstacle in answer.obstacles:
        output.plain(f"{'impossible' if answer.impossible else 'note'}: {obstacle}")
    shown = answer.judged if everything else (*answer.members, *answer.contested)
    if shown:
        output.table(("id", "standing", "because"), [(item.record.id, item.standing, item.because) for item in shown])
    output.table(("standing", "records"), [(standing, str(count)) for standing, count in answer.counts.items()])


def run_find(kb: Path | None, text: str, *, as_json: bool) -> int:
    """Print the records that mention a text, those known by it first; raises KeyError with close matches if there are none."""
    atlas = load(kb)
    wanted = text.casefold()
    found = []
    for record in atlas.records.values():
        names = (record.id, record.name, getattr(record, "abbreviation", None) or "", *record.aliases)
        rank = 0 if any(wanted == name.casefold() for name in names) else 1 if any(wanted in name.casefold() for name in names) else 2
        if rank < 2 or wanted in record.summary.casefold():
            found.append((rank, record))
    if not found:
        atlas.find(text)
    found.sort(key=lambda item: item[0])
    if as_json:
        print(json.dumps([{"id": record.id, "kind": record.kind, "name": record.name} for _, record in found], indent=2, ensure_ascii=False))
    else:
        output.table(("id", "kind", "name"), [(record.id, record.kind, record.title) for _, record in found])
    return 0
