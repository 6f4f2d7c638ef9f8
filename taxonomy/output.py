"""How the command line prints: colours and boxes on a terminal, tab-separated plain text in a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxonomy.problems import Problem, Severity

if TYPE_CHECKING:
    from rich.console import Console

    from taxonomy.atlas import Atlas
    from taxonomy.audit import AuditReport
    from taxonomy.reproduction import Reproduction

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


def _terminal() -> Console | None:
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console()


def plain(text: str) -> None:
    """Print text as it is."""
    print(text)


def heading(title: str, kind: str) -> None:
    """A record's title and kind."""
    console = _terminal()
    if console:
        from rich.markup import escape

        console.print(f"[bold]{escape(title)}[/]  [dim]{kind}[/]", highlight=False)
    else:
        print(f"{title}\t{kind}")


def paragraph(text: str) -> None:
    """Prose, wrapped on a terminal; paragraphs stay apart."""
    console = _terminal()
    for block in text.strip().split("\n\n"):
        line = " ".join(block.split())
        console.print(line, markup=False, highlight=False) if console else print(line)


def field(name: str, value: Any) -> None:
    """One named field."""
    text = " ".join(str(value).split())
    console = _terminal()
    if console:
        from rich.text import Text

        console.print(Text.assemble((f"{name}: ", "bold cyan"), text))
    else:
        print(f"{name}\t{text}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under column names."""
    console = _terminal()
    if console is None:
        for row in (columns, *rows):
            print("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, header_style="bold")
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def problem(found: Problem, *, github: bool) -> None:
    """One problem, as text or as a workflow annotation."""
    console = None if github else _terminal()
    if console:
        console.print(str(found), style=_COLOURS[found.severity], markup=False, highlight=False)
    else:
        print(found.as_annotation() if github else str(found))


def reproduction(found: Reproduction) -> None:
    """What came of rerunning a study: the question, the finding, the numbers and the tables; curves and pictures are for the site."""
    heading(found.study, "reproduction")
    for name in ("question", "setup", "finding"):
        field(name, getattr(found, name))
    for name, texts in (("comparable", found.comparable), ("not comparable", found.not_comparable)):
        for text in texts:
            field(name, text)
    rows = [
        (item.name, f"{item.value:g}", "" if item.bound is None else f"{item.relation} {item.bound:g}", "" if item.within else "outside")
        for item in found.measurements
    ]
    if rows:
        table(("measurement", "value", "bound", ""), rows)
    for results in found.tables:
        paragraph(results.title)
        table(results.columns, [["–" if cell is None else f"{cell:g}" if isinstance(cell, float) else cell for cell in row] for row in results.rows])


def counts(atlas: Atlas) -> dict[str, dict[str, int]]:
    """How much an atlas holds: records by kind, asserted and derived relations, claims, evidence, and what is open."""
    records = Counter(record.kind for record in atlas.records.values())
    contradictions = atlas.contradictions
    totals = {
        "records": len(atlas.records),
        "stubs": sum(record.status == "stub" for record in atlas.records.values()),
        "asserted relations": len(atlas.edges),
        "claims with locators": sum(bool(edge.sources) for edge in atlas.edges),
        "locators": sum(len(edge.sources) for edge in atlas.edges),
        "claims with a check": sum(bool(edge.check) for edge in atlas.edges),
        "derived facts": len(atlas.derived),
        "contradictions": len(contradictions),
        "of these under a condition": sum(found.conditional for found in contradictions),
        "discrepancies": records["discrepancy"],
        "open questions": len(atlas.open_questions),
        "references": len(atlas.bibliography),
    }
    relations = Counter(edge.relation for edge in atlas.edges)
    evidence = Counter(str(found.status) for found in atlas.evidence.values())
    derived = Counter(proof.rule for proof in atlas.derived.values())
    return {"total": totals, "kind": dict(records), "relation": dict(relations), "deduction rule": dict(derived), "evidence": dict(evidence)}


def audit(found: AuditReport) -> None:
    """An audit's summary and tables."""
    heading(found.function, "audit")
    for line in (*found.summary, found.chance):
        plain(line)
    for title, columns, rows in found.tables():
        heading(title, "")
        table(columns, rows)
