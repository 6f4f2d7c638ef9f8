"""The whole as one JSON file, its schema, and one file per record."""

from __future__ import annotations

from taxonomy import records as record_types
from taxonomy.evidence import to_json
from taxonomy.export.files import Files
from taxonomy.export.whole import Content, Values


def whole(content: Content) -> Files:
    """Everything: `atlas.json`."""
    return {"atlas.json": to_json(content.whole).encode()}


def schema_file(content: Content) -> Files:
    """The schema of `atlas.json`; it does not depend on the content."""
    from taxonomy.export.schemas import schema

    return {"atlas.schema.json": to_json(schema()).encode()}


def records(content: Content) -> Files:
    """One file per record, in a folder per kind: versions, the record, the facts in which it is subject or object, the evidence on its claims."""
    facts: dict[str, list[Values]] = {}
    for fact in content.whole["facts"]:
        for record in dict.fromkeys((fact["subject"], fact["object"])):
            facts.setdefault(record, []).append(fact)
    runs: dict[str, Values] = {}
    for claim, found in content.whole["evidence"].items():
        runs.setdefault(claim.partition("/")[0], {})[claim] = found
    files: Files = {}
    for id_, record in content.whole["records"].items():
        values = {"about": content.about, "record": record, "facts": facts.get(id_, []), "evidence": runs.get(id_, {})}
        files[f"{record_types.KINDS[record['kind']].folder}/{id_}.json"] = to_json(values).encode()
    return files
