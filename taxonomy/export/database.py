"""The tables as an SQLite database with foreign keys."""

from __future__ import annotations

import sqlite3

from taxonomy.export.files import Files
from taxonomy.export.relational import KEYS, TABLES, Column, Table
from taxonomy.export.whole import FORMAT_VERSION, Content

_TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "INTEGER"}


def write(content: Content) -> Files:
    """One file, `atlas.sqlite`; truth values are 0 and 1. Equal content gives equal bytes under one version of SQLite."""
    # Made in memory: nothing half written can be left anywhere.
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _fill(database, content)
        return {"atlas.sqlite": database.serialize()}
    finally:
        database.close()


def _fill(database: sqlite3.Connection, content: Content) -> None:
    for setting in ("page_size = 4096", "encoding = 'UTF-8'", "journal_mode = OFF", "foreign_keys = ON", f"user_version = {FORMAT_VERSION}"):
        database.execute(f"PRAGMA {setting}")
    database.execute("BEGIN")
    # A premise may be a fact that comes later in its table: keys are held against each other at the end.
    database.execute("PRAGMA defer_foreign_keys = ON")
    for table in TABLES:
        database.execute(_definition(table))
        places = ", ".join("?" * len(table.columns))
        database.executemany(f"INSERT INTO {table.name} VALUES ({places})", table.rows(content.whole))
    for table in TABLES:
        for column in table.columns:
            if column.references and table.key[0] != column.name:
                database.execute(f"CREATE INDEX {table.name}_{column.name} ON {table.name} ({column.name})")
    database.execute("COMMIT")


def _definition(table: Table) -> str:
    lines = [_column(column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({', '.join(table.key)})")
    lines += [
        f"FOREIGN KEY ({column.name}) REFERENCES {column.references} ({KEYS[column.references]})" for column in table.columns if column.references
    ]
    return f"CREATE TABLE {table.name} (\n  " + ",\n  ".join(lines) + "\n)"


def _column(column: Column) -> str:
    allowed = ", ".join(f"'{choice}'" for choice in column.choices) if column.choices else "0, 1" if column.type == "boolean" else ""
    check = f" CHECK ({column.name} IN ({allowed}))" if allowed else ""
    return f"{column.name} {_TYPES[column.type]}{'' if column.optional else ' NOT NULL'}{check}"
