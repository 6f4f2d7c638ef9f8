"""The JSON Schema (draft 2020-12) of the whole export, made from the types the records are read with."""

from __future__ import annotations

from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from taxonomy import SCHEMA_VERSION
from taxonomy.audit import AuditReport
from taxonomy.conformance import LibraryConformance
from taxonomy.conformance import Verdict as ConformanceVerdict
from taxonomy.coverage import STANDINGS
from taxonomy.evidence import Evidence, EvidenceStatus
from taxonomy.export.whole import FORMAT, FORMAT_VERSION, Values
from taxonomy.records import KINDS
from taxonomy.records.base import LiteratureStatus, Model
from taxonomy.relations import RELATIONS
from taxonomy.reproduction import Reproduction

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}


def schema() -> Values:
    """The schema of the file that `atlas export json` writes; that of one record is found in it under `$defs`."""
    models: list[type[Model]] = [*KINDS.values(), Evidence, LibraryConformance, Reproduction, AuditReport]
    names, found = models_json_schema([(model, "validation") for model in models], by_alias=True)
    definitions: Values = found["$defs"]
    at = {model: names[model, "validation"]["$ref"] for model in models}
    for kind, model in KINDS.items():
        _with_kind(definitions[at[model].rpartition("/")[2]], kind)
    definitions["ComparedMethod"]["properties"]["verdict"] = {"enum": list(get_args(ConformanceVerdict))}
    definitions |= {"Fact": _fact(), "Assertion": _assertion(), "Proof": _proof(), "ClaimStanding": _claim(), "Work": _work()}
    definitions |= {"Relation": _relation(), "AnyRecord": _record({kind: at[model] for kind, model in KINDS.items()})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Attribution Atlas",
        "description": "The whole content of the Attribution Atlas, as `atlas export json` writes it.",
        "x-version": SCHEMA_VERSION,
        **_closed({
            "format": {"const": FORMAT},
            "format-version": {"const": FORMAT_VERSION},
            "schema-version": {"const": SCHEMA_VERSION},
            "atlas-version": _TEXT,
            "data-version": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "description": _TEXT,
            "homepage": {"type": "string", "format": "uri"},
            "licence": _TEXT,
            "relations": _by_name({"$ref": "#/$defs/Relation"}),
            "records": _by_name({"$ref": "#/$defs/AnyRecord"}),
            "facts": {"type": "array", "items": {"$ref": "#/$defs/Fact"}},
            "contradictions": {
                "type": "array",
                "items": _closed({"first": _TEXT, "second": _TEXT, "conditional": {"type": "boolean"}, "refuted": {"type": "array", "items": _TEXT}}),
            },
            "claims": {"type": "array", "items": {"$ref": "#/$defs/ClaimStanding"}},
            "evidence": _by_name({"$ref": at[Evidence]}),
            "conformance": _by_name({"$ref": at[LibraryConformance]}),
            "reproductions": _by_name({"$ref": at[Reproduction]}),
            "audits": _by_name({"$ref": at[AuditReport]}),
            "bibliography": _by_name({"$ref": "#/$defs/Work"}),
        }),
        "$defs": dict(sorted(definitions.items())),
    }  # fmt: skip


def _closed(properties: Values, optional: tuple[str, ...] = ()) -> Values:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _by_name(items: Values) -> Values:
    return {"type": "object", "additionalProperties": items}


def _with_kind(definition: Values, kind: str) -> None:
    definition["properties"]["kind"] = {"const": kind}
    definition["required"] = [*definition.get("required", []), "kind"]


def _record(references: dict[str, str]) -> Values:
    """One schema per kind, chosen by the field `kind`, so that a fault is reported where it is and not for all kinds at once."""
    chosen: list[Any] = [{"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": reference}} for kind, reference in references.items()]
    return {"type": "object", "required": ["id", "kind"], "properties": {"kind": {"enum": list(references)}}, "allOf": chosen}


def _relation() -> Values:
    flag = {"type": "boolean"}
    return _closed({"meaning": _TEXT, "inverse": _TEXT, "from": _TEXTS, "to": _TEXTS, "symmetric": flag, "transitive": flag, "sorts": flag})


def _fact() -> Values:
    properties = {
        "id": {"type": "string", "pattern": r"^[a-z0-9-]+/[a-z0-9-]+/[a-z0-9-]+$"},
        "subject": _TEXT,
        "relation": {"enum": list(RELATIONS)},
        "object": _TEXT,
        "basis": {"enum": ["asserted", "derived"]},
        "assertions": {"type": "array", "items": {"$ref": "#/$defs/Assertion"}},
        "proof": {"$ref": "#/$defs/Proof"},
        "run": {"enum": list(get_args(EvidenceStatus))},
    }
    return _closed(properties, optional=("assertions", "proof", "run"))


def _assertion() -> Values:
    properties = {
        "by": _TEXT, "status": {"enum": list(get_args(LiteratureStatus))}, "as": _TEXT, "condition": _TEXT, "proof": _TEXTS, "disputed-by": _TEXTS,
        "note": _TEXT, "sources": {"type": "array", "items": {"$ref": "#/$defs/Source"}},
    }  # fmt: skip
    return _closed(properties, optional=tuple(name for name in properties if name != "by"))


def _proof() -> Values:
    return _closed({"rule": _TEXT, "premises": _TEXTS, "ground": _TEXT, "conditions": _TEXTS}, optional=("premises", "ground", "conditions"))


def _claim() -> Values:
    properties = {"id": _TEXT, "subject": _TEXT, "standing": {"enum": list(STANDINGS)}, "check": _TEXT, "reason": _TEXT}
    return _closed(properties, optional=("check", "reason"))


def _work() -> Values:
    properties = {
        "type": _TEXT, "title": _TEXT, "authors": _TEXTS, "venue": _TEXT, "year": _TEXT, "url": {"type": "string", "format": "uri"},
        "citation": _TEXT, "fields": _by_name({"type": "string"}),
    }  # fmt: skip
    return _closed(properties, optional=("title", "authors", "venue", "year", "url"))
