"""JSON Schemas of the record types, written into `kb/schema/` so that editors complete and check records while they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from taxonomy import SCHEMA_VERSION
from taxonomy.disk import put_all
from taxonomy.records import KINDS, Model, Record


def schema_of(record_type: type[Record]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one record type."""
    schema = record_type.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": record_type.kind, "x-version": SCHEMA_VERSION}


def schema_text(record_type: type[Record]) -> str:
    """The schema as it stands in `kb/schema/`."""
    return json.dumps(schema_of(record_type), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write_schemas(kb: Path) -> list[Path]:
    """Write `kb/schema/<kind>.json` for every kind; returns the files whose text changed.

    Raises
    ------
    FileNotFoundError
        If there is no such record folder.
    """
    if not kb.is_dir():
        raise FileNotFoundError(f"no record folder at {kb}")
    texts = {kb / "schema" / f"{kind}.json": schema_text(record_type).encode("utf-8") for kind, record_type in KINDS.items()}
    changed = {path: text for path, text in texts.items() if not path.exists() or path.read_bytes() != text}
    put_all(changed)
    return list(changed)


def model_at(record_type: type[Record], path: tuple[str | int, ...]) -> type[Model] | None:
    """The model whose fields stand at `path` inside a record, or None if no model does."""
    model: type[Model] | None = record_type
    for step in path:
        if isinstance(step, int):
            continue
        if model is None:
            return None
        info = next((info for name, info in model.model_fields.items() if info.alias == step or name == step), None)
        model = _model_in(info.annotation) if info else None
    return model


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
