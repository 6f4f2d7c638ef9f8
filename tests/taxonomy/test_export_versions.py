"""Every export says by which rules it was made and of which state of the records; read back by a library of each format."""

import json
import re
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import igraph
import pytest
import rdflib
import rispy

import taxonomy
from taxonomy import export
from taxonomy.export import schemas, whole
from taxonomy.export.whole import FORMAT_VERSION, VERSIONS

PAGE = (Path(__file__).parents[2] / "site" / "pages" / "data.md").read_text(encoding="utf-8")

# rdflib warns of a class of its own that its reader of JSON-LD still uses.
pytestmark = pytest.mark.filterwarnings("ignore:.*ConjunctiveGraph is deprecated.*:DeprecationWarning")


@pytest.fixture(scope="module")
def content(atlas):
    return export.Content(atlas)


@pytest.fixture(scope="module")
def about(content):
    return content.about


def stamped(text, about):
    """That a remark holds all four versions."""
    (found,) = set(re.findall(r"Attribution Atlas (\S+), schema (\d+), format (\d+), data ([0-9a-f]{16})", text))
    assert found == tuple(str(about[name]) for name in ("atlas-version", "schema-version", "format-version", "data-version"))


def _json(files, about, folder):
    (text,) = files.values()
    assert {name: json.loads(text)[name] for name in VERSIONS} == about


def _schema(files, about, folder):
    found = json.loads(files["atlas.schema.json"])
    assert found["x-version"] == found["properties"]["schema-version"]["const"] == about["schema-version"]
    assert found["properties"]["format-version"]["const"] == about["format-version"]


def _records(files, about, folder):
    assert all(json.loads(text)["about"] == about for text in files.values())


def _graph(files, about, folder, syntax):
    (text,) = files.values()
    graph = rdflib.Graph().parse(data=text.decode(), format=syntax)
    (dataset,) = graph.subjects(rdflib.RDF.type, rdflib.SDO.Dataset)
    ours = rdflib.Namespace(next(str(name) for prefix, name in graph.namespaces() if prefix == "atlas"))
    names = dict(zip(VERSIONS, (ours.formatVersion, ours.schemaVersion, rdflib.SDO.version, ours.dataVersion), strict=True))
    assert {name: graph.value(dataset, names[name]).toPython() for name in VERSIONS} == about


def _turtle(files, about, folder):
    _graph(files, about, folder, "turtle")


def _jsonld(files, about, folder):
    _graph(files, about, folder, "json-ld")


def _graphml(files, about, folder):
    (folder / "a.graphml").write_bytes(files["atlas.graphml"])
    graph = igraph.Graph.Read_GraphML(str(folder / "a.graphml"))
    assert {name: graph[name] for name in VERSIONS} == about


def _gexf(files, about, folder):
    stamped(ET.fromstring(files["atlas.gexf"]).find("{*}meta/{*}description").text, about)


def _cytoscape(files, about, folder):
    assert json.loads(files["atlas.cyjs"])["data"] == about


def _csv(files, about, folder):
    package = json.loads(files["datapackage.json"])
    assert {name: package[name] for name in VERSIONS} == about
    assert f"data-version,{about['data-version']}\r\n" in files["data/about.csv"].decode()


def _sqlite(files, about, folder):
    database = sqlite3.connect(":memory:")
    database.deserialize(files["atlas.sqlite"])
    rows = dict(database.execute("SELECT name, value FROM about"))
    assert {name: rows[name] for name in VERSIONS} == {name: str(value) for name, value in about.items()}
    assert database.execute("PRAGMA user_version").fetchone() == (about["format-version"],)
    database.close()


def _bibtex(files, about, folder):
    stamped(files["atlas.bib"].decode().split("\n")[0], about)


def _ris(files, about, folder):
    works = rispy.loads(files["atlas.ris"].decode())
    assert works
    stamped(" ".join(work["name_of_database"] for work in works), about)


def _csl_json(files, about, folder):
    stamped(" ".join(item["source"] for item in json.loads(files["atlas.csl.json"])), about)


def _first_line(files, about, folder):
    for text in files.values():
        first = text.decode().split("\n")[0]
        assert first.startswith(("<!-- ", "% "))
        stamped(first, about)


READERS = {
    "json": _json, "schema": _schema, "records": _records, "jsonld": _jsonld, "turtle": _turtle, "graphml": _graphml, "gexf": _gexf,
    "cytoscape": _cytoscape, "csv": _csv, "sqlite": _sqlite, "bibtex": _bibtex, "ris": _ris, "csl-json": _csl_json,
    "markdown": _first_line, "latex": _first_line,
}  # fmt: skip


@pytest.mark.parametrize("name", export.FORMATS)
def test_every_format_carries_its_versions(content, about, tmp_path, name):
    made = export.FORMATS[name].write(content)
    if name in {"markdown", "latex"}:  # the small records have no survey
        made = made or {"none": b"% " + content.stamp.encode()}
    READERS[name](made, about, tmp_path)


def test_the_tables_of_the_survey_carry_them(kb_atlas, tmp_path):
    content = export.Content(kb_atlas)
    for name in ("markdown", "latex"):
        made = export.FORMATS[name].write(content)
        assert len(made) >= 7
        READERS[name](made, content.about, tmp_path)


def test_they_are_what_the_package_says(about):
    assert (about["schema-version"], about["format-version"], about["atlas-version"]) == (
        taxonomy.SCHEMA_VERSION,
        FORMAT_VERSION,
        taxonomy.__version__,
    )


def test_the_data_version_is_that_of_the_content(kb, atlas, about, monkeypatch):
    assert export.Content(taxonomy.load(kb, cache=False)).about == about
    monkeypatch.setattr(whole, "__version__", "9.9.9")
    assert export.Content(taxonomy.load(kb, cache=False)).about == about | {"atlas-version": "9.9.9"}
    path = kb / "methods" / "removal.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("name: Removal", "name: Erasure"), encoding="utf-8")
    assert export.Content(taxonomy.load(kb, cache=False)).about["data-version"] != about["data-version"]


@pytest.mark.parametrize("name", ["schema-version", "format-version", "data-version"])
def test_the_schema_refuses_other_versions(content, name):
    import jsonschema

    validator = jsonschema.Draft202012Validator(schemas.schema())
    assert validator.is_valid(content.whole)
    assert not validator.is_valid(content.whole | {name: 99})


def test_the_page_says_where_they_stand():
    part = PAGE.split("## Versions")[1].split("## JSON")[0]
    assert all(f"`{name}`" in part for name in VERSIONS)
    words = {item.standard.split(" 1.")[0].split(" 2")[0].split(" 3")[0] for item in export.FORMATS.values()}
    for word in words - {"RDF", "Frictionless Data Package", "GitHub Flavored Markdown"} | {"Turtle", "JSON-LD", "CSV", "Markdown"}:
        assert word in part, word
