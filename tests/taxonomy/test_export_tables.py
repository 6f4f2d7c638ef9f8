"""The data package and the database: the same tables, read again with nothing of ours."""

import csv
import hashlib
import io
import json
import re
import sqlite3
from pathlib import Path

import jsonschema
import pytest

from taxonomy import export
from taxonomy.export import data_package, database, relational

PAGE = Path(__file__).parent.parent.parent / "site" / "pages" / "data.md"
READ = {"string": str, "integer": int, "number": float, "boolean": lambda text: {"true": True, "false": False}[text]}

# What the standards ask of a descriptor, of a resource and of a table schema, as far as it is used here.
FIELD = {
    "type": "object",
    "required": ["name", "type"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "type": {"enum": list(READ)},
        "description": {"type": "string"},
        "constraints": {
            "type": "object",
            "properties": {"required": {"const": True}, "enum": {"type": "array", "minItems": 1, "uniqueItems": True}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
REFERENCE = {
    "type": "object",
    "required": ["fields", "reference"],
    "properties": {
        "fields": NAMES,
        "reference": {"type": "object", "required": ["resource", "fields"], "properties": {"resource": {"type": "string"}, "fields": NAMES}},
    },
}
RESOURCE = {
    "type": "object",
    "required": ["name", "path", "schema", "type", "encoding"],
    "properties": {
        "name": {"pattern": r"^[-a-z0-9._/]+$"},
        "path": {"pattern": r"^(?!/)(?!.*\.\.)[\w./-]+\.csv$"},
        "type": {"const": "table"},
        "format": {"const": "csv"},
        "mediatype": {"const": "text/csv"},
        "encoding": {"const": "utf-8"},
        "hash": {"pattern": "^sha256:[0-9a-f]{64}$"},
        "bytes": {"type": "integer", "minimum": 1},
        "schema": {
            "type": "object",
            "required": ["fields"],
            "properties": {
                "fields": {"type": "array", "minItems": 1, "items": FIELD},
                "primaryKey": NAMES,
                "missingValues": {"const": [""]},
                "foreignKeys": {"type": "array", "minItems": 1, "items": REFERENCE},
            },
            "additionalProperties": False,
        },
    },
}
PACKAGE = {
    "type": "object",
    "required": ["$schema", "name", "resources", "licenses"],
    "properties": {
        "$schema": {"const": "https://datapackage.org/profiles/2.0/datapackage.json"},
        "name": {"pattern": r"^[-a-z0-9._/]+$"},
        "licenses": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name", "path"]}},
        "resources": {"type": "array", "minItems": 1, "items": RESOURCE},
    },
}


@pytest.fixture(scope="module")
def content(kb_atlas):
    return export.Content(kb_atlas)


@pytest.fixture(scope="module")
def package(content):
    files = data_package.write(content)
    return json.loads(files["datapackage.json"]), files


def rows_of(files, resource):
    """The rows of a resource as the descriptor says to read them."""
    fields = resource["schema"]["fields"]
    lines = csv.reader(io.StringIO(files[resource["path"]].decode(resource["encoding"]), newline=""), strict=True)
    assert next(lines) == [field["name"] for field in fields]
    for line in lines:
        assert len(line) == len(fields)
        row = {}
        for field, text in zip(fields, line, strict=True):
            constraints = field.get("constraints", {})
            assert text or not constraints.get("required"), (resource["name"], field["name"], line)
            row[field["name"]] = READ[field["type"]](text) if text else None
            assert not text or text in constraints.get("enum", [text])
        yield row


class TestDataPackage:
    def test_the_descriptor_is_as_the_standard_has_it(self, package):
        descriptor, files = package
        jsonschema.validate(descriptor, PACKAGE, jsonschema.Draft202012Validator)
        assert {resource["path"] for resource in descriptor["resources"]} | {"datapackage.json"} == set(files)

    def test_hashes_and_sizes_are_right(self, package):
        descriptor, files = package
        for resource in descriptor["resources"]:
            text = files[resource["path"]]
            assert resource["bytes"] == len(text)
            assert resource["hash"] == f"sha256:{hashlib.sha256(text).hexdigest()}"

    def test_rows_keep_types_and_keys(self, package):
        descriptor, files = package
        tables = {resource["name"]: (resource["schema"], list(rows_of(files, resource))) for resource in descriptor["resources"]}
        for name, (schema, rows) in tables.items():
            keys = [tuple(row[column] for column in schema["primaryKey"]) for row in rows]
            assert len(keys) == len(set(keys)), name
            for reference in schema.get("foreignKeys", ()):
                (column,), target = reference["fields"], reference["reference"]
                known = {row[target["fields"][0]] for row in tables[target["resource"]][1]}
                assert {row[column] for row in rows if row[column] is not None} <= known, (name, column)
        assert len(tables["records"][1]) > 600
        assert all(rows for name, (_, rows) in tables.items() if name != "audit_verdicts")

    def test_what_is_read_is_what_was_meant(self, package, content):
        descriptor, files = package
        for resource, table in zip(descriptor["resources"], relational.TABLES, strict=True):
            assert [tuple(row.values()) for row in rows_of(files, resource)] == table.rows(content.whole)


@pytest.fixture(scope="module")
def connection(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("database") / "atlas.sqlite"
    path.write_bytes(database.write(content)["atlas.sqlite"])
    found = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield found
    found.close()


class TestDatabase:
    def test_is_sound(self, connection):
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

    def test_declares_every_reference(self, connection):
        for table in relational.TABLES:
            found = {(row[3], row[2]) for row in connection.execute(f"PRAGMA foreign_key_list({table.name})")}
            assert found == {(column.name, column.references) for column in table.columns if column.references}

    def test_holds_the_same_as_the_data_package(self, connection, package):
        descriptor, files = package
        for resource in descriptor["resources"]:
            stored = connection.execute(f"SELECT * FROM {resource['name']}").fetchall()
            assert sorted(map(repr, stored)) == sorted(repr(tuple(_as_stored(value) for value in row.values())) for row in rows_of(files, resource))

    def test_refuses_what_breaks_a_key(self, content):
        with sqlite3.connect(":memory:") as copy:
            copy.deserialize(database.write(content)["atlas.sqlite"])
            copy.execute("PRAGMA foreign_keys = ON")
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                copy.execute("INSERT INTO aliases VALUES ('no-such-record', 'x')")
            with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
                copy.execute("UPDATE records SET status = 'half' WHERE id = 'integrated-gradients'")
        copy.close()

    @pytest.mark.parametrize("number", range(4))
    def test_the_queries_of_the_page_run(self, connection, number):
        queries = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert len(queries) == 4
        assert connection.execute(queries[number]).fetchall()

    def test_a_query_gives_what_the_atlas_says(self, connection, kb_atlas):
        found = connection.execute("SELECT subject FROM facts WHERE relation = 'satisfies' AND object = 'completeness'")
        assert {subject for (subject,) in found} == {n.id for n in kb_atlas.neighbors("completeness", "satisfied-by")}


def _as_stored(value):
    return int(value) if isinstance(value, bool) else value


def test_every_table_comes_after_those_it_refers_to():
    seen = set()
    for table in relational.TABLES:
        assert {column.references for column in table.columns if column.references} <= seen | {table.name}
        seen.add(table.name)
