"""The relations written in a record, read off the relation table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taxonomy import records as record_types
from taxonomy.relations import Relation, relations_from

if TYPE_CHECKING:
    from taxonomy.records import Claim, Record

Path = tuple[str | int, ...]


def links_of(record: Record) -> Iterator[tuple[Relation, Path, str, Claim | None]]:
    """Every relation written in a record: the relation, where it stands, the target, and the claim if it is an asserted one."""
    for relation in relations_from(record.kind):
        if not relation.field:
            continue
        for index, item in enumerate(getattr(record, relation.name.replace("-", "_"), ())):
            if isinstance(item, record_types.Claim):
                yield relation, (relation.name, index, "to"), item.to, item
            else:
                yield relation, (relation.name, index), item, None
