"""The tables as CSV files with a `datapackage.json` (Frictionless Data Package 2.0) that declares columns, types and keys."""

from __future__ import annotations

import csv
import hashlib
import io

from taxonomy import __version__
from taxonomy.evidence import to_json
from taxonomy.export.files import Files
from taxonomy.export.relational import KEYS, TABLES, Column, Table, as_text
from taxonomy.export.whole import HOMEPAGE, LICENCE, Content, Values

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"


def write(content: Content) -> Files:
    """`datapackage.json` and one CSV file per table."""
    whole = content.whole
    files = {f"data/{table.name}.csv": _csv(table, whole) for table in TABLES}
    return {"datapackage.json": to_json(_package(content, files)).encode()} | files


def _csv(table: Table, whole: Values) -> bytes:
    stream = io.StringIO(newline="")
    lines = csv.writer(stream, lineterminator="\r\n")
    lines.writerow([column.name for column in table.columns])
    for row in table.rows(whole):
        lines.writerow([as_text(cell) for cell in row])
    return stream.getvalue().encode()


def _package(content: Content, files: Files) -> Values:
    return {
        "$schema": PROFILE,
        "name": "attribution-atlas",
        "title": "Attribution Atlas",
        "description": "Feature-attribution theory as tables: records, claims with their sources, what follows, and what runs found.",
        "version": __version__,
        "homepage": HOMEPAGE,
        "licenses": [{"name": LICENCE, "path": "https://creativecommons.org/licenses/by/4.0/"}],
        **content.about,
        "resources": [_resource(table, files[f"data/{table.name}.csv"]) for table in TABLES],
    }


def _resource(table: Table, content: bytes) -> Values:
    return {
        "name": table.name,
        "description": table.meaning,
        "path": f"data/{table.name}.csv",
        "type": "table",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(content),
        "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "schema": _schema(table),
    }


def _schema(table: Table) -> Values:
    references = [
        {"fields": [column.name], "reference": {"resource": column.references, "fields": [KEYS[column.references]]}}
        for column in table.columns
        if column.references
    ]
    fields = [_field(column) for column in table.columns]
    return {"fields": fields, "missingValues": [""], "primaryKey": list(table.key)} | ({"foreignKeys": references} if references else {})


def _field(column: Column) -> Values:
    constraints: Values = {} if column.optional else {"required": True}
    if column.choices:
        constraints["enum"] = list(column.choices)
    return {"name": column.name, "type": column.type, "description": column.meaning} | ({"constraints": constraints} if constraints else {})
