"""BibTeX, RIS and CSL-JSON of the bibliography, each read again."""

import json

import jsonschema
import pybtex.database
import pytest
import rispy

from taxonomy import export
from taxonomy.export import citations

# What CSL-JSON asks of an item, as far as it is used here.
NAME = {
    "type": "object",
    "properties": {name: {"type": "string", "minLength": 1} for name in ("family", "given", "non-dropping-particle", "suffix", "literal")},
    "additionalProperties": False,
    "anyOf": [{"required": ["family"]}, {"required": ["literal"]}],
}
DATE = {
    "type": "object",
    "properties": {"date-parts": {"type": "array", "items": {"type": "array", "minItems": 1, "items": {"type": "integer"}}}, "literal": {}},
    "additionalProperties": False,
}
TEXTS = ("title", "container-title", "volume", "issue", "publisher", "publisher-place", "page", "DOI", "URL", "note", "source")
CSL = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "type"],
        "properties": {
            "id": {"type": "string"},
            "type": {"enum": ["article", "article-journal", "book", "chapter", "document", "paper-conference"]},
            **{name: {"type": "string", "minLength": 1} for name in TEXTS},
            **{role: {"type": "array", "minItems": 1, "items": NAME} for role in ("author", "editor")},
            "issued": DATE,
        },
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def content(kb_atlas):
    return export.Content(kb_atlas)


@pytest.fixture(scope="module")
def entries(content):
    """The exported BibTeX as pybtex reads it."""
    return pybtex.database.parse_string(citations.bibtex(content)["atlas.bib"].decode(), "bibtex").entries


def names(entry, role="author"):
    return [" ".join(person.last_names) for person in entry.persons.get(role, [])]


def test_bibtex_says_what_the_records_say(entries, kb_atlas):
    original = pybtex.database.parse_string(kb_atlas._bibtex, "bibtex").entries
    assert set(entries) == set(original)
    for key, entry in entries.items():
        assert entry.type == original[key].type
        assert names(entry) == names(original[key])
        assert dict(entry.fields.lower()) == {name: " ".join(value.split()) for name, value in original[key].fields.lower().items()}


@pytest.fixture(scope="module")
def ris(content):
    return rispy.loads(citations.ris(content)["atlas.ris"].decode())


def test_ris_names_the_same_works(ris, entries):
    found = {item["id"]: item for item in ris}
    assert set(found) == set(entries)
    for key, entry in entries.items():
        item = found[key]
        people = names(entry) or names(entry, "editor")
        listed = item.get("authors") or item.get("secondary_authors") or []
        assert [name.partition(",")[0] for name in listed] == [citations.plain(name) for name in people], key
        quoted = entry.fields["title"].replace("``", "“").replace("''", "”")
        assert item["title"] == citations.plain(quoted).replace("–", "--")
        assert item["year"] == entry.fields["year"]
        if "pages" in entry.fields:
            assert "--".join(filter(None, (item["start_page"], item.get("end_page")))) == entry.fields["pages"]


def test_ris_keeps_the_shape_of_the_format(content):
    text = citations.ris(content)["atlas.ris"].decode()
    lines = text.split("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert lines.count("ER  - ") == sum(line.startswith("TY  - ") for line in lines)
    assert all(line == "" or (line[2:6] == "  - " and line[:2].isalnum() and line[:2].isupper()) for line in lines)


def test_csl_json_is_valid_and_names_the_same_works(content, entries):
    items = json.loads(citations.csl_json(content)["atlas.csl.json"])
    jsonschema.validate(items, CSL, jsonschema.Draft202012Validator)
    assert [item["id"] for item in items] == sorted(entries)
    for item in items:
        entry = entries[item["id"]]
        assert item["issued"] == {"date-parts": [[int(entry.fields["year"])]]}
        assert [name.get("family", name.get("literal")) for name in item.get("author", ())] == [citations.plain(name) for name in names(entry)]


@pytest.mark.parametrize(
    ("bibtex", "tag", "value"),
    [
        ("@article{k, author={de la Cruz, Bo}, title={T}, year={2001}, journal={Maps \\& {T}ables}, pages={1--9}}", "T2", "Maps & Tables"),
        ("@article{k, author={de la Cruz, Bo}, title={T}, year={2001}, journal={J}, pages={1--9}}", "EP", "9"),
        ("@article{k, author={de la Cruz, Bo}, title={T}, year={2001}, journal={J}}", "AU", "Cruz, Bo"),
        ("@misc{k, author={{The Group}}, title={T}, year={2001}, eprint={1.2}}", "AU", "The Group"),
        ("@misc{k, author={Doe, A.}, title={T}, year={2001}, eprint={1.2}}", "UR", "https://arxiv.org/abs/1.2"),
        ("@book{k, editor={Doe, A.}, title={T}, year={2001}, publisher={P}}", "ED", "Doe, A."),
        ("@book{k, editor={Doe, A.}, title={T}, year={2001}, publisher={P}, doi={10.1/x}}", "DO", "10.1/x"),
    ],
)
def test_single_entries(bibtex, tag, value):
    from types import SimpleNamespace

    from taxonomy import bibliography

    content = SimpleNamespace(atlas=SimpleNamespace(bibliography=bibliography.parse(bibtex)), stamp="Atlas")
    lines = citations.ris(content)["atlas.ris"].decode().split("\r\n")
    assert f"{tag}  - {value}" in lines
    jsonschema.validate(json.loads(citations.csl_json(content)["atlas.csl.json"]), CSL, jsonschema.Draft202012Validator)
