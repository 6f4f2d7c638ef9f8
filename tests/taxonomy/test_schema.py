"""The JSON Schemas beside the records: up to date, and true of every record."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from taxonomy.cli import main
from taxonomy.loading import FOLDERS, record_files
from taxonomy.records import KINDS
from taxonomy.schema import model_at, schema_of, schema_text, write_schemas
from taxonomy.store import packaged_kb

KB = packaged_kb()


def test_schemas_in_the_record_folder_are_up_to_date():
    stale = [kind for kind, record_type in KINDS.items() if (KB / "schema" / f"{kind}.json").read_text("utf-8") != schema_text(record_type)]
    assert stale == [], "run `atlas schema`"
    assert {path.stem for path in (KB / "schema").iterdir()} == set(KINDS)


def test_writing_touches_only_what_changed(tmp_path):
    assert {path.stem for path in write_schemas(tmp_path)} == set(KINDS)
    (tmp_path / "schema" / "method.json").write_text("{}")
    assert [path.name for path in write_schemas(tmp_path)] == ["method.json"]
    assert write_schemas(tmp_path) == []


def test_a_schema_that_is_no_text_is_replaced(tmp_path):
    write_schemas(tmp_path)
    (tmp_path / "schema" / "axiom.json").write_bytes(b"\xff\xfe")
    assert [path.name for path in write_schemas(tmp_path)] == ["axiom.json"]


def test_no_record_folder_is_made(tmp_path, capsys):
    assert main(["schema", "--kb", str(tmp_path / "nope")]) == 1
    assert capsys.readouterr().err == f"atlas: no record folder at {tmp_path / 'nope'}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
class TestSchema:
    def test_is_itself_valid(self, kind):
        schema = schema_of(KINDS[kind])
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["title"] == kind
        assert schema["additionalProperties"] is False

    def test_own_fields_are_described_where_shared(self, kind):
        properties = schema_of(KINDS[kind])["properties"]
        assert properties["summary"]["description"]
        assert all("_" not in name for name in properties)

    def test_holds_of_every_record(self, kind):
        validator = jsonschema.Draft202012Validator(schema_of(KINDS[kind]))
        paths = sorted((KB / KINDS[kind].folder).glob("*.yaml"))
        assert paths
        faults = [
            f"{path.name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for path in paths
            for error in validator.iter_errors(yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        ]
        assert faults == []

    def test_every_record_names_it_in_the_first_line(self, kind):
        expected = f"# yaml-language-server: $schema=../schema/{kind}.json"
        assert [path.name for path in sorted((KB / KINDS[kind].folder).glob("*.yaml")) if path.read_text("utf-8").split("\n", 1)[0] != expected] == []


def test_a_schema_refuses_what_loading_refuses():
    validator = jsonschema.Draft202012Validator(schema_of(KINDS["method"]))
    record = {"id": "a", "name": "A", "summary": "B.", "belongs-to": [{"to": "c", "sources": []}], "belongs_to": []}
    assert {tuple(error.absolute_path) for error in validator.iter_errors(record)} == {(), ("belongs-to", 0, "sources")}


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("method", (), "Method"),
        ("method", ("belongs-to", 0), "Claim"),
        ("method", ("belongs-to", 0, "sources", 1), "Source"),
        ("method", ("cost",), "Cost"),
        ("evaluation", ("verdicts", 2), "Verdict"),
        ("method", ("name",), None),
        ("method", ("name", "deeper"), None),
        ("method", ("nowhere",), None),
    ],
)
def test_model_at_a_path(kind, path, name):
    model = model_at(KINDS[kind], path)
    assert (model and model.__name__) == name


def test_every_record_folder_holds_one_kind():
    assert {Path(name).parent.name for name, _ in record_files(KB)} == set(FOLDERS)
    assert len(FOLDERS) == len(KINDS)


def test_schema_text_is_stable():
    text = schema_text(KINDS["method"])
    assert text == schema_text(KINDS["method"])
    assert json.loads(text)["properties"]["belongs-to"]
