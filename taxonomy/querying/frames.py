"""Tables for pandas, which is imported only here and only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taxonomy import records as record_types
from taxonomy.problems import did_you_mean
from taxonomy.querying.fields import choices, flags, value_of
from taxonomy.relations import RELATIONS

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame  # type: ignore[import-untyped]

    from taxonomy.atlas import Atlas
    from taxonomy.records import Record


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, index: str | None = None) -> DataFrame:
    """A data frame with these columns, also where there are no rows.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("a data frame needs pandas, which is not installed: `pip install 'attribution-atlas[pandas]'`") from error
    made = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=list(columns))
    return made.set_index(index) if index else made


def records_frame(atlas: Atlas, records: Sequence[Record], kind: str) -> DataFrame:
    """One row per record of a kind: names, fields with few values, flags, and the ids along every relation that starts at the kind."""
    relations = [relation.name for relation in RELATIONS.values() if relation.starts_at(kind)]
    plain, yes_or_no = choices(kind), flags(kind)
    columns = ("id", "name", *plain, *yes_or_no, *relations)
    rows = []
    for record in records:
        row: dict[str, Any] = {"id": record.id, "name": record.name}
        row |= {name: value_of(record, options.path) for name, options in plain.items()}
        row |= {name: bool(getattr(record, attribute)) for name, attribute in yes_or_no.items()}
        row |= {name: tuple(neighbor.id for neighbor in atlas.neighbors(record.id, name)) for name in relations}
        rows.append(row)
    return frame(rows, columns, index="id")


def _all_records(atlas: Atlas) -> DataFrame:
    rows = ({"id": record.id, "kind": record.kind, "name": record.name, "status": record.status} for record in atlas.records.values())
    return frame(rows, ("id", "kind", "name", "status"), index="id")


def _facts(atlas: Atlas) -> DataFrame:
    columns = ("subject", "relation", "object", "derived", "rule", "conditions", "run")
    rows = []
    for fact, edges, proof in atlas.facts():
        run = atlas.evidence.get("/".join(fact))
        stated = tuple(edge.condition for edge in edges if edge.condition) if edges else (proof.conditions if proof else ())
        rows.append({
            **fact._asdict(), "derived": not edges, "rule": proof.rule if proof else None, "conditions": stated, "run": run.status if run else None,
        })  # fmt: skip
    return frame(rows, columns)


def _claims(atlas: Atlas) -> DataFrame:
    from taxonomy.coverage import claim_standings

    columns = ("claim", "standing", "check", "reason", "finding")
    return frame((claim.as_json() for claim in claim_standings(atlas)), columns, index="claim")


TABLES = {"records": _all_records, "facts": _facts, "claims": _claims}
"""What `Atlas.to_pandas` can make, besides the records of one kind."""


def table_frame(atlas: Atlas, name: str) -> DataFrame:
    """See `Atlas.to_pandas`."""
    if name in TABLES:
        return TABLES[name](atlas)
    if name in record_types.KINDS:
        return records_frame(atlas, atlas.of_kind(name), name)
    known = [*TABLES, *record_types.KINDS]
    raise KeyError(f"no table `{name}`; {did_you_mean(name, known) or 'one of: ' + ', '.join(known)}")
