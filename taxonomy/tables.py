"""The survey's Fig. 4 and Tables I-VII as views: plain rows, generated from what the records say of these places.

Nothing here knows the content of a table. A row exists because the survey's source record lists it; a cell is filled because some claim cites
that place in its sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from taxonomy import records as record_types
from taxonomy.problems import did_you_mean

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.records import Record, Source, Verdict
    from taxonomy.records.document import Exhibit

SURVEY = "deng2025attribution"
Row = dict[str, Any]


def table(atlas: Atlas, name: str) -> list[Row]:
    """Rows of a table of the survey by name: `I` to `VII`, or `figure-4`.

    Raises
    ------
    KeyError
        If there is no such table; the message lists the names.
    """
    view = VIEWS.get(name)
    if view is None:
        raise KeyError(f"no table `{name}`; {did_you_mean(name, VIEWS) or 'tables: ' + ', '.join(VIEWS)}")
    return list(view(atlas))


def _exhibit(atlas: Atlas, label: str) -> Exhibit:
    survey = atlas.records.get(SURVEY)
    exhibits = survey.exhibits if isinstance(survey, record_types.Document) else ()
    found = next((exhibit for exhibit in exhibits if exhibit.label == label), None)
    if found is None:
        raise KeyError(f"these records hold no {label}: it is listed in the exhibits of source `{SURVEY}`")
    return found


def _rows(atlas: Atlas, label: str) -> tuple[str, ...]:
    return _exhibit(atlas, label).rows


def _at(sources: tuple[Source, ...], place: str) -> Source | None:
    return next((source for source in sources if source.work == SURVEY and source.at == place), None)


def _within(sources: tuple[Source, ...], row: str) -> Source | None:
    """The source that cites a row or one of its cells."""
    return next((source for source in sources if source.work == SURVEY and (source.at == row or source.at.startswith(f"{row}, column "))), None)


def _record_at(atlas: Atlas, kind: str, place: str) -> Record | None:
    return next((record for record in atlas.of_kind(kind) if _at(record.sources, place)), None)


def _cited(atlas: Atlas, relation: str, place: str, *, object_: str | None = None) -> list[Row]:
    """The methods whose claims cite `place`, as printed there."""
    cells = []
    for edge, source in atlas._edges_at.get((relation, place), ()):
        if object_ is None or edge.object == object_:
            method = atlas.method(edge.subject)
            printed = source.printed or method.abbreviation or method.name
            cells.append({"id": edge.subject, "printed": printed, "ref": list(source.ref), "to": edge.object, "claim": edge.id})
    return sorted(cells, key=lambda cell: (cell["ref"], cell["printed"], cell["to"]))


def _notation(atlas: Atlas) -> Iterator[Row]:
    for row in _rows(atlas, "Table I"):
        record = _record_at(atlas, "symbol", f"Table I, row {row}")
        symbol = record.symbol if isinstance(record, record_types.Notation) else None
        yield {"row": row, "id": record.id if record else None, "symbol": symbol, "meaning": record.summary.strip() if record else None}


def _families(label: str, kind: str, relation: str) -> Callable[[Atlas], Iterator[Row]]:
    def view(atlas: Atlas) -> Iterator[Row]:
        for row in _rows(atlas, label):
            place = f"{label}, row {row}"
            record: Any = _record_at(atlas, kind, place)
            if record is None:
                continue
            source = _at(record.sources, place)
            yield {
                "row": row, "family": record.id, "ref": list(source.ref) if source else [], "formula": record.formula, "equation": record.equation,
                "methods": _cited(atlas, relation, place), "key-difference": record.key_difference,
            }  # fmt: skip

    return view


def _figure_4(atlas: Atlas) -> Iterator[Row]:
    figure = _exhibit(atlas, "Fig. 4")
    for row in figure.rows:
        place = f"Fig. 4, row {row}"
        methods = _cited(atlas, "belongs-to", place)
        families = sorted({cell["to"] for cell in methods})
        ticks = {column: _cited(atlas, "reformulates-as", f"{place}, column {column}") for column in figure.columns}
        yield {"row": row, "family": families[0] if families else None, "methods": methods, "ticks": ticks}


def _rationales(atlas: Atlas) -> Iterator[Row]:
    for row in _rows(atlas, "Table IV"):
        place = f"Table IV, row {row}"
        record = _record_at(atlas, "rationale", place)
        if not isinstance(record, record_types.Rationale):
            continue
        source = _at(record.sources, place)
        yield {
            "row": row, "rationale": record.id, "ref": list(source.ref) if source else [], "summary": record.gist.strip(),
            "methods": _cited(atlas, "grounded-in", place),
            "all-members-of": [claim.to for claim in record.grounds_members_of if _at(claim.sources, place)],
            "families": [claim.to for claim in record.underlies if _at(claim.sources, place)],
        }  # fmt: skip


def _limitations(atlas: Atlas) -> Iterator[Row]:
    for row in _rows(atlas, "Table V"):
        place = f"Table V, row {row}"
        for record in atlas.of_kind("rationale"):
            assert isinstance(record, record_types.Rationale)
            cells = [
                {"text": limitation.text.strip(), "ref": list(source.ref)}
                for limitation in record.limitations
                if (source := _at(limitation.sources, place))
            ]
            if cells:
                yield {"row": row, "rationale": record.id, "limitations": cells}


def _evaluations(atlas: Atlas) -> Iterator[Row]:
    for row in _rows(atlas, "Table VI"):
        place = f"Table VI, row {row}"
        record = _record_at(atlas, "evaluation", place)
        if not isinstance(record, record_types.Evaluation):
            continue
        source = _at(record.sources, place)
        principles = [principle for claim in record.tests for principle in (atlas.parts_of(claim.to) or [claim.to])]
        cells: dict[str, Row] = {}
        for verdict in record.verdicts:
            cell = _within(verdict.sources, place)
            if cell:
                cells[verdict.verdict] = {
                    "methods": list(verdict.methods), "quantifier": verdict.quantifier, "none": verdict.none, "depends-on": list(verdict.depends_on),
                    "printed": cell.printed or _in_words(verdict), "ref": list(cell.ref),
                }  # fmt: skip
        category = getattr(atlas.records[record.tests[0].to], "category", None)
        yield {
            "row": row, "evaluation": record.id, "families": [claim.to for claim in record.evaluates], "ref": list(source.ref) if source else [],
            "category": category, "principles": principles, "verdicts": cells,
        }  # fmt: skip


def _in_words(verdict: Verdict) -> str:
    if verdict.none:
        return "—"
    return f"depends on {', '.join(verdict.depends_on)}" if verdict.depends_on else ", ".join(verdict.methods) or verdict.quantifier


def _violations(atlas: Atlas) -> Iterator[Row]:
    for row in _rows(atlas, "Table VII"):
        cells = _cited(atlas, "violates", f"Table VII, row {row}")
        methods = {cell["id"]: {"id": cell["id"], "printed": cell["printed"]} for cell in cells}
        principles = sorted({cell["to"] for cell in cells})
        yield {"row": row, "methods": list(methods.values()), "principles": principles, "claims": [cell["claim"] for cell in cells]}


VIEWS: dict[str, Callable[[Atlas], Iterator[Row]]] = {
    "I": _notation,
    "II": _families("Table II", "formulation-family", "belongs-to"),
    "III": _families("Table III", "reformulation-family", "reformulates-as"),
    "IV": _rationales,
    "V": _limitations,
    "VI": _evaluations,
    "VII": _violations,
    "figure-4": _figure_4,
}
