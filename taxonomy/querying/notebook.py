"""How things look in a notebook: small tables without scripts and styles; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.comparison import Comparison
    from taxonomy.guide import Choice
    from taxonomy.querying.answer import Answer
    from taxonomy.records import Record

_MOST = 40
"""Rows shown of a table; the rest is counted."""


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """An HTML table; without a head, the first cell of each row names it.

    >>> table([["a", "<b>"]])
    '<table><tbody><tr><th scope="row">a</th><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    kept = list(rows)
    lines = [_row(row, named=not head) for row in kept[:_MOST]]
    if len(kept) > _MOST:
        width = max(len(row) for row in kept)
        lines.append(f'<tr><td colspan="{width}">and {len(kept) - _MOST} more</td></tr>')
    names = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def _row(cells: Sequence[str], *, named: bool) -> str:
    first, *rest = cells
    opening = f'<th scope="row">{escape(first)}</th>' if named else f"<td>{escape(first)}</td>"
    return f"<tr>{opening}{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"


def heading(text: str) -> str:
    """A line in bold."""
    return f"<p><strong>{escape(text)}</strong></p>"


def text_html(text: str) -> str:
    """Text with its line breaks and indents."""
    return f"<pre>{escape(text)}</pre>"


def atlas_html(atlas: Atlas) -> str:
    """How much an atlas holds."""
    counts: dict[str, int] = {}
    for record in atlas.records.values():
        counts[record.kind] = counts.get(record.kind, 0) + 1
    rows = [*counts.items(), ("relations asserted", len(atlas.edges)), ("facts derived", len(atlas.derived)), ("runs", len(atlas.evidence))]
    return heading("Attribution Atlas") + table([(name, str(number)) for name, number in rows])


def record_html(record: Record) -> str:
    """A record's fields; texts are shown as they are written."""
    rows = [(name, _shown(value)) for name, value in record.as_json().items() if name not in ("name", "summary", "kind")]
    return heading(f"{record.title} ({record.kind})") + f"<p>{escape(' '.join(record.summary.split()))}</p>" + table(rows)


def _shown(value: Any) -> str:
    """A field's value in one line: of a claim, the record it points to; of anything else with fields, the fields."""
    if isinstance(value, dict):
        found = value["to"] if "to" in value else "; ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
        return str(found)
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return " ".join(str(value).split())


def choice_html(choice: Choice) -> str:
    """The methods ranked, and those ruled out with the reasons."""
    answers = "; ".join(f"{name}: {', '.join(given)}" for name, given in choice.answers.items()) or "no question answered"
    ranked = [(item.name, f"{item.score:g}", "; ".join(point.text for point in item.points)) for item in choice.ranked]
    out = [(item.name, "; ".join(reason.text for reason in item.reasons)) for item in choice.ruled_out]
    return f"<p>{escape(answers)}</p>" + table(ranked, ("method", "points", "for")) + (table(out, ("ruled out", "because")) if out else "")


def comparison_html(comparison: Comparison) -> str:
    """Methods side by side; rows in which they differ are marked."""
    rows = [
        (row.group, row.label, "≠" if row.differs else "", *(cell.text + (f" ({cell.support})" if cell.support else "") for cell in row.cells))
        for row in comparison.rows
    ]
    return table(rows, ("group", "aspect", "", *comparison.methods))


def answer_html(answer: Answer[Record]) -> str:
    """The answer to a query: the proof if it is impossible, the records that are in it or may be, and how many are not."""
    rows = [(item.standing, item.record.title, item.because) for item in answer.judged if item.standing != "no"]
    rows.sort(key=lambda row: ("yes", "contested", "unknown").index(row[0]))
    proofs = "".join(text_html(f"{'impossible' if answer.impossible else 'note'}: {obstacle}") for obstacle in answer.obstacles)
    counts = ", ".join(f"{standing}: {number}" for standing, number in answer.counts.items())
    return f"<p><code>{escape(answer.query)}</code><br>{escape(counts)}</p>" + proofs + table(rows, ("standing", "record", "because"))
