"""The survey's Tables II to VII and Fig. 4 as neutral tables: captions, columns and cells of prose, for the writers of Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taxonomy import records as record_types
from taxonomy.tables import SURVEY

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

TICK = "✓"
NONE = "–"


@dataclass(frozen=True)
class Item:
    """A piece of a cell: prose with formulas between dollar signs, or a formula; with the survey's reference numbers beside it."""

    text: str
    refs: tuple[int, ...] = ()
    formula: bool = False


Cell = tuple[Item, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table. Columns in `wide` hold sentences and take what room there is; those in `ticked` hold ticks, and share it evenly."""

    name: str
    label: str
    caption: str
    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    wide: frozenset[int] = frozenset()
    ticked: frozenset[int] = frozenset()
    works: tuple[str, ...] = field(default=(), repr=False)
    """Keys of the survey's reference list: reference 1 is the first."""

    def key(self, number: int) -> str | None:
        """Citation key of a reference number, if the reference list has it."""
        return self.works[number - 1] if 0 < number <= len(self.works) else None


def tables(atlas: Atlas) -> Iterator[PaperTable]:
    """Tables II to VII and Fig. 4, as far as the records have them."""
    survey = atlas.records.get(SURVEY)
    assert isinstance(survey, record_types.Document | None)
    exhibits = {exhibit.label: exhibit for exhibit in survey.exhibits} if survey else {}
    for name, view in _VIEWS.items():
        label = "Fig. 4" if name == "figure-4" else f"Table {name}"
        if survey and label in exhibits:
            head, rows, wide = view(atlas, atlas.table(name))
            caption = " ".join(exhibits[label].caption.split())
            ticked = frozenset(range(2, len(head))) if name == "figure-4" else frozenset()
            yield PaperTable(name, label, caption, tuple(head), list(rows), frozenset(wide), ticked, survey.bibliography)


_Made = tuple[list[str], list[tuple[Cell, ...]], set[int]]


def _methods(cells: list[Any]) -> Cell:
    return tuple(Item(cell["printed"], tuple(cell.get("ref", ()))) for cell in cells) or (Item(NONE),)


def _names(atlas: Atlas, ids: list[str]) -> Cell:
    return tuple(Item(atlas.record(id_).name) for id_ in ids) or (Item(NONE),)


def _families(atlas: Atlas, rows: list[Any]) -> _Made:
    made: list[tuple[Cell, ...]] = [
        (
            (Item(row["row"], tuple(row["ref"])),),
            (Item(row["formula"].strip(), formula=True),),
            _methods(row["methods"]),
            (Item(row["key-difference"]),),
        )
        for row in rows
    ]
    return ["Family", "Formulation", "Methods", "Key difference"], made, {2, 3}


def _rationales(atlas: Atlas, rows: list[Any]) -> _Made:
    made: list[tuple[Cell, ...]] = []
    for row in rows:
        every = tuple(Item(f"all members of {atlas.record(family).name}") for family in row["all-members-of"])
        methods = every + (_methods(row["methods"]) if row["methods"] or not every else ())
        made.append(((Item(row["row"], tuple(row["ref"])),), (Item(row["summary"]),), methods, _names(atlas, row["families"])))
    return ["Rationale", "Summary", "Methods", "Families"], made, {1, 2, 3}


def _limits(atlas: Atlas, rows: list[Any]) -> _Made:
    made: list[tuple[Cell, ...]] = [
        ((Item(row["row"]),), (Item(limit["text"], tuple(limit["ref"])),)) for row in rows for limit in row["limitations"]
    ]
    return ["Rationale", "Concern"], made, {1}


def _evaluations(atlas: Atlas, rows: list[Any]) -> _Made:
    made: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = []
        for verdict in ("satisfies", "violates", "context-dependent"):
            found = row["verdicts"].get(verdict)
            cells.append((Item(found["printed"], tuple(found["ref"])),) if found else (Item(NONE),))
        made.append(((Item(row["row"], tuple(row["ref"])),), _names(atlas, row["principles"]), *cells))
    return ["Evaluated", "Principles", "Satisfied by", "Violated by", "Depending on context"], made, {1, 2, 3, 4}


def _violations(atlas: Atlas, rows: list[Any]) -> _Made:
    made: list[tuple[Cell, ...]] = [((Item(row["row"]),), _names(atlas, row["principles"])) for row in rows]
    return ["Methods", "Violated principles"], made, {1}


def _figure(atlas: Atlas, rows: list[Any]) -> _Made:
    columns = list(rows[0]["ticks"]) if rows else []
    made: list[tuple[Cell, ...]] = []
    for row in rows:
        ticks = [_ticked(row["methods"], row["ticks"][column]) for column in columns]
        made.append(((Item(row["row"]),), _names(atlas, [row["family"]] if row["family"] else []), *ticks))
    return ["Methods", "Formulation", *columns], made, set()


def _ticked(methods: list[Any], ticked: list[Any]) -> Cell:
    """A tick for the whole row; the names, if only some of its methods have one."""
    if not ticked:
        return ()
    missing = {method["id"] for method in methods} - {cell["id"] for cell in ticked}
    return _methods(ticked) if missing else (Item(TICK),)


_VIEWS: dict[str, Callable[[Atlas, list[Any]], _Made]] = {
    "II": _families, "III": _families, "IV": _rationales, "V": _limits, "VI": _evaluations, "VII": _violations, "figure-4": _figure,
}  # fmt: skip
