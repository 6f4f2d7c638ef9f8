"""The whole content of an atlas as plain JSON values: what every other format, and the comparison of two atlases, is made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from taxonomy import SCHEMA_VERSION, __version__
from taxonomy.bibliography import Entry
from taxonomy.coverage import claim_standings, evidence_for
from taxonomy.deduction import Contradiction, Edge, Fact, Proof
from taxonomy.relations import RELATIONS

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.audit import AuditReport
    from taxonomy.records.base import Model

Values = dict[str, Any]
FORMAT = "attribution-atlas"
FORMAT_VERSION = 1
LICENCE = "CC-BY-4.0"
HOMEPAGE = "https://github.com/attribution-atlas/attribution-atlas"
VERSIONS = ("format-version", "schema-version", "atlas-version", "data-version")
_DESCRIPTION = "A knowledge base of feature-attribution theory: claims with their sources, what follows from them, and what runs found of them."


@dataclass(frozen=True)
class Content:
    """An atlas, and everything in it as plain values, made once for all formats."""

    atlas: Atlas

    @cached_property
    def whole(self) -> Values:
        """See `whole_of`."""
        return whole_of(self.atlas)

    @property
    def about(self) -> Values:
        """The versions that every export carries: of its form, of the form of the records, of the Atlas, and of the content."""
        return {name: self.whole[name] for name in VERSIONS}

    @property
    def stamp(self) -> str:
        """The same on one line, for formats that have room for a remark only."""
        return "Attribution Atlas {atlas-version}, schema {schema-version}, format {format-version}, data {data-version}".format(**self.about)


def whole_of(atlas: Atlas) -> Values:
    """Everything an atlas holds, as plain JSON values in a fixed order.

    Returns
    -------
    dict
        Keys `records`, `relations`, `facts` (asserted and derived, with proofs), `contradictions`, `claims` (how each stands), `evidence`,
        `conformance`, `reproductions`, `audits` and `bibliography`, after a few lines that say what the file is, among them the `VERSIONS`. The
        JSON Schema of the whole is `taxonomy.export.schemas.schema()`.
    """
    content = _content(atlas)
    return {
        "format": FORMAT,
        "format-version": FORMAT_VERSION,
        "schema-version": SCHEMA_VERSION,
        "atlas-version": __version__,
        "data-version": hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:16],
        "description": _DESCRIPTION,
        "homepage": HOMEPAGE,
        "licence": LICENCE,
    } | content


def _content(atlas: Atlas) -> Values:
    return {
        "relations": {relation.name: _relation(relation) for relation in RELATIONS.values()},
        "records": {record.id: record.as_json() for record in atlas.records.values()},
        "facts": [_fact(atlas, *found) for found in atlas.facts()],
        "contradictions": [_contradiction(found) for found in atlas.contradictions],
        "claims": [_claim(found) for found in claim_standings(atlas)],
        "evidence": {claim: _dumped(found) for claim, found in atlas.evidence.items()},
        "conformance": {name: _conformance(found) for name, found in atlas.conformance.items()},
        "reproductions": {name: _dumped(found) for name, found in atlas.reproductions.items()},
        "audits": {name: _audit(found) for name, found in sorted(atlas.audits.items())},
        "bibliography": {key: _work(entry) for key, entry in sorted(atlas.bibliography.items())},
    }


def _dumped(model: Model) -> Values:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _audit(found: AuditReport) -> Values:
    # A form that was not tested has none for an outcome, which says something and has to stay.
    return found.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _present(values: Values) -> Values:
    """Without what is not set; a number or a truth value always is."""
    return {name: value for name, value in values.items() if value is not None and value not in ("", [], {})}


def _relation(relation: Any) -> Values:
    return {
        "meaning": relation.meaning, "inverse": relation.inverse, "from": sorted(relation.from_kinds), "to": sorted(relation.to_kinds),
        "symmetric": relation.symmetric, "transitive": relation.transitive, "sorts": relation.sorts,
    }  # fmt: skip


def _fact(atlas: Atlas, fact: Fact, edges: list[Edge], proof: Proof | None) -> Values:
    run = evidence_for(atlas, fact, edges)
    return _present({
        "id": "/".join(fact), "subject": fact.subject, "relation": fact.relation, "object": fact.object,
        "basis": "asserted" if edges else "derived",
        "assertions": [_assertion(edge) for edge in edges],
        "proof": _proof(proof) if proof else None,
        "run": run.status if run else None,
    })  # fmt: skip


def _assertion(edge: Edge) -> Values:
    statement = edge.statement
    return _present({
        "by": edge.holder,
        "status": _status(statement),
        "as": getattr(statement, "as_", None),
        "condition": edge.condition,
        "proof": list(getattr(statement, "proof", ())),
        "disputed-by": list(getattr(statement, "disputed_by", ())),
        "note": getattr(statement, "note", None),
        "sources": [source.model_dump(mode="json", by_alias=True, exclude_defaults=True) for source in edge.sources],
    })  # fmt: skip


def _status(statement: Any) -> str | None:
    # A theorem's `status` says whether its record is written; how it stands in the literature is its `standing`.
    return getattr(statement, "standing", None) or getattr(statement, "status", None)


def _proof(proof: Proof) -> Values:
    return _present({
        "rule": proof.rule, "premises": ["/".join(premise) for premise in proof.premises], "ground": proof.ground,
        "conditions": list(proof.conditions),
    })  # fmt: skip


def _contradiction(found: Contradiction) -> Values:
    refuted = ["/".join(fact) for fact in found.refuted]
    return {"first": "/".join(found.first), "second": "/".join(found.second), "conditional": found.conditional, "refuted": refuted}


def _claim(found: Any) -> Values:
    return _present({"id": found.id, "subject": found.subject, "standing": found.standing, "check": found.check, "reason": found.reason})


def _conformance(found: Any) -> Values:
    values = _dumped(found)
    for item, method in zip(values["methods"], found.methods, strict=True):
        item["verdict"] = method.verdict
    return values


def _work(entry: Entry) -> Values:
    return _present({
        "type": entry.type, "title": entry.title, "authors": list(entry.authors), "venue": entry.venue, "year": entry.year, "url": entry.url,
        "citation": entry.citation, "fields": dict(entry.fields),
    })  # fmt: skip
