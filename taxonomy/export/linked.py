"""The content as triples: the same set is written as Turtle and as JSON-LD.

A relation is stated plainly (`id:a atlas:satisfies id:b`) only where nothing is held against it: someone asserts it without a condition or a dispute,
or it follows without one, and no run refutes it. Every relation, held or not, is also a claim with a name of its own, on which assertions,
derivations and evidence hang.
"""

from __future__ import annotations

from collections.abc import Iterator

from taxonomy.export.vocabulary import BROADER, IDS, Iri, Literal, Triple, class_of, definitions, english, integer, named, term
from taxonomy.export.whole import HOMEPAGE, Values

_WORK_TYPES = {"article": "ScholarlyArticle", "inproceedings": "ScholarlyArticle", "incollection": "Chapter", "book": "Book"}
_A = term("rdf:type")
_SCHEME = Iri(IDS + "atlas")


def triples(whole: Values) -> list[Triple]:
    """All triples of an export, each once, in the order of the content."""
    found = [*definitions(), *_scheme(whole)]
    for record in whole["records"].values():
        found += _record(record)
    for key, work in whole["bibliography"].items():
        found += _work(key, work)
    for fact in whole["facts"]:
        found += _fact(fact)
    for claim in whole["claims"]:
        found += _claim(claim)
    for claim_id, evidence in whole["evidence"].items():
        found += _evidence(claim_id, evidence)
    return list(dict.fromkeys(found))


def claim_iri(claim: str) -> Iri:
    """The name of a claim."""
    return named("claim", *claim.split("/"))


def _scheme(whole: Values) -> Iterator[Triple]:
    yield _SCHEME, _A, term("skos:ConceptScheme")
    yield _SCHEME, _A, term("schema:Dataset")
    yield _SCHEME, term("schema:name"), english("Attribution Atlas")
    yield _SCHEME, term("schema:description"), english(whole["description"])
    yield _SCHEME, term("schema:version"), Literal(whole["atlas-version"])
    yield _SCHEME, term("atlas:dataVersion"), Literal(whole["data-version"])
    yield _SCHEME, term("atlas:formatVersion"), integer(whole["format-version"])
    yield _SCHEME, term("atlas:schemaVersion"), integer(whole["schema-version"])
    yield _SCHEME, term("schema:license"), Iri("https://creativecommons.org/licenses/by/4.0/")
    yield _SCHEME, term("schema:url"), Iri(HOMEPAGE)


def _record(record: Values) -> Iterator[Triple]:
    it = named(record["id"])
    yield it, _A, class_of(record["kind"])
    yield it, _A, term("skos:Concept")
    yield it, term("skos:inScheme"), _SCHEME
    yield it, term("skos:notation"), Literal(record["id"])
    yield it, term("skos:prefLabel"), english(record["name"])
    for alias in record.get("aliases", ()):
        if alias != record["name"]:  # SKOS: a preferred name is no other name
            yield it, term("skos:altLabel"), english(alias)
    yield it, term("schema:description"), Literal(record["summary"].strip(), language="en")
    yield it, term("atlas:recordStatus"), Literal(record.get("status", "full"))
    for name in ("abbreviation", "formula", "implementation"):
        if record.get(name):
            yield it, term(f"atlas:{name}"), Literal(record[name].strip())
    if record.get("check"):
        yield it, term("atlas:checkedBy"), Literal(record["check"])
    if record.get("needs"):
        yield it, term("atlas:access"), Literal(record["needs"]["access"])
    if record.get("reference"):
        yield it, term("cito:usesMethodIn"), named("work", record["reference"])
    for key in record.get("references", ()):
        yield it, term("cito:citesForInformation"), named("work", key)
    yield from _sources(it, record.get("sources", ()))


def _sources(it: Iri, sources: list[Values] | tuple[()]) -> Iterator[Triple]:
    for source in sources:
        place = named("place", source["work"], source["at"])
        yield it, term("atlas:statedAt"), place
        yield it, term("cito:citesAsAuthority"), named("work", source["work"])
        yield place, _A, term("atlas:Place")
        yield place, term("schema:name"), english(source["at"])
        yield place, term("atlas:inWork"), named(source["work"])
        if source.get("printed"):
            yield place, term("atlas:printedAs"), Literal(source["printed"])


def _work(key: str, work: Values) -> Iterator[Triple]:
    it = named("work", key)
    yield it, _A, term("atlas:Work")
    yield it, _A, term(f"schema:{_WORK_TYPES.get(work['type'], 'CreativeWork')}")
    yield it, term("schema:identifier"), Literal(key)
    yield it, term("schema:name"), Literal(work["title"])
    for author in work.get("authors", ()):
        yield it, term("schema:author"), Literal(author)
    yield it, term("schema:creditText"), Literal(work["citation"])
    for name, property_ in (("venue", "atlas:venue"), ("year", "schema:datePublished")):
        if name in work:
            yield it, term(property_), Literal(work[name])
    if "url" in work:
        yield it, term("schema:url"), Iri(work["url"])


def _fact(fact: Values) -> Iterator[Triple]:
    subject, relation, object_ = named(fact["subject"]), term(f"atlas:{fact['relation']}"), named(fact["object"])
    claim = claim_iri(fact["id"])
    yield claim, _A, term("atlas:Claim")
    yield claim, term("rdf:subject"), subject
    yield claim, term("rdf:predicate"), relation
    yield claim, term("rdf:object"), object_
    yield claim, term("atlas:basis"), Literal(fact["basis"])
    if stands(fact):
        yield subject, relation, object_
        if fact["relation"] in BROADER:
            yield subject, term("skos:broader"), object_
        elif fact["relation"] == "corresponds-to":
            yield subject, term("skos:closeMatch"), object_
    seen: dict[str, int] = {}
    for assertion in fact.get("assertions", ()):
        seen[assertion["by"]] = number = seen.get(assertion["by"], 0) + 1
        yield from _assertion(fact, assertion, claim, number)
    if "proof" in fact:
        yield from _derivation(fact, claim)


def stands(fact: Values) -> bool:
    """Whether a fact is stated plainly: see the head of this module."""
    if fact.get("run") == "fails":
        return False
    said = any(
        "condition" not in assertion and assertion.get("status") not in ("conditional", "disputed") for assertion in fact.get("assertions", ())
    )
    return said or ("proof" in fact and not fact["proof"].get("conditions"))


def _assertion(fact: Values, assertion: Values, claim: Iri, number: int) -> Iterator[Triple]:
    # Named by its holder; the rare second assertion of the same claim by the same record is numbered.
    it = named("assertion", *fact["id"].split("/"), assertion["by"], *([str(number)] if number > 1 else []))
    yield it, _A, term("atlas:Assertion")
    yield it, term("atlas:asserts"), claim
    yield it, term("atlas:holder"), named(assertion["by"])
    if "status" in assertion:
        yield it, term("atlas:literatureStatus"), Literal(assertion["status"])
    for name, property_ in (("as", "atlas:form"), ("condition", "atlas:condition"), ("note", "skos:note")):
        if name in assertion:
            yield it, term(property_), english(assertion[name])
    for key in assertion.get("proof", ()):
        yield it, term("cito:obtainsSupportFrom"), named("work", key)
    for key in assertion.get("disputed-by", ()):
        yield it, term("cito:isDisputedBy"), named("work", key)
    yield from _sources(it, assertion.get("sources", ()))


def _derivation(fact: Values, claim: Iri) -> Iterator[Triple]:
    proof, it = fact["proof"], named("derivation", *fact["id"].split("/"))
    yield it, _A, term("atlas:Derivation")
    yield it, term("atlas:derives"), claim
    yield it, term("atlas:rule"), english(proof["rule"])
    for premise in proof.get("premises", ()):
        yield it, term("atlas:premise"), claim_iri(premise)
    if "ground" in proof:
        yield it, term("atlas:ground"), named(proof["ground"])
    for condition in proof.get("conditions", ()):
        yield it, term("atlas:condition"), english(condition)


def _claim(claim: Values) -> Iterator[Triple]:
    it = claim_iri(claim["id"])
    if claim["id"].count("/") == 1:
        yield it, _A, term("atlas:Statement")
        yield it, term("schema:about"), named(claim["subject"])
    if "check" in claim:
        yield it, term("atlas:checkedBy"), Literal(claim["check"])


def _evidence(claim: str, found: Values) -> Iterator[Triple]:
    it = named("evidence", *claim.split("/"))
    yield it, _A, term("atlas:Evidence")
    yield it, term("atlas:examines"), claim_iri(claim)
    yield it, term("atlas:checkedBy"), Literal(found["check"])
    yield it, term("atlas:outcome"), Literal(found["status"])
    yield it, term("schema:description"), english(found["statement"])
    for name in ("condition", "finding", "domain"):
        if found.get(name):
            yield it, term(f"atlas:{name}"), english(found[name])
    yield it, term("atlas:trials"), integer(found["trials"])
    yield it, term("atlas:seed"), integer(found["seed"])
    if found.get("digest"):
        yield it, term("atlas:digest"), Literal(found["digest"])
