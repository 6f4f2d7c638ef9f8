"""The vocabulary of the linked data: names for what is said, and how they stand to schema.org, SKOS and CiTO."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from taxonomy import records as record_types
from taxonomy.relations import RELATIONS

HOME = "https://attribution-atlas.github.io/"
"""IRIs are names and need not open in a browser; they begin with the address that belongs to the project's repository."""
TERMS = f"{HOME}vocabulary#"
IDS = f"{HOME}id/"
PREFIXES = {
    "atlas": TERMS,
    "id": IDS,
    "cito": "http://purl.org/spar/cito/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


@dataclass(frozen=True, order=True)
class Iri:
    """The name of a thing."""

    text: str


@dataclass(frozen=True, order=True)
class Literal:
    """A value: text in a language, or the lexical form of a typed value."""

    text: str
    datatype: str | None = None
    language: str | None = None


Triple = tuple[Iri, Iri, Iri | Literal]


def term(name: str) -> Iri:
    """A name by its prefix.

    >>> term("skos:broader").text
    'http://www.w3.org/2004/02/skos/core#broader'
    """
    prefix, _, local = name.partition(":")
    return Iri(PREFIXES[prefix] + local)


def named(*path: str) -> Iri:
    """The IRI of a record, or of a part of the Atlas: `named("claim", "a", "satisfies", "b")`.

    >>> named("place", "deng2025attribution", "Table II").text
    'https://attribution-atlas.github.io/id/place/deng2025attribution/Table%20II'
    """
    return Iri(IDS + "/".join(quote(part, safe="-_.~") for part in path))


def english(text: str) -> Literal:
    """English prose on one line."""
    return Literal(" ".join(text.split()), language="en")


def integer(value: int) -> Literal:
    """A whole number."""
    return Literal(str(value), PREFIXES["xsd"] + "integer")


def class_of(kind: str) -> Iri:
    """The class of the records of a kind.

    >>> class_of("formulation-family").text.rpartition("#")[2]
    'FormulationFamily'
    """
    return Iri(TERMS + "".join(word.capitalize() for word in kind.split("-")))


CLASSES = {
    "Record": ("A record of the Atlas: a concept with a page of its own.", "skos:Concept"),
    "Work": ("A work of the bibliography.", "schema:CreativeWork"),
    "Place": ("A place in a work: a section, an equation, a row of a table.", "schema:CreativeWork"),
    "Claim": ("A relation between two records that someone asserts or that follows, held or not.", "rdf:Statement"),
    "Statement": ("What the record of a theorem, a rationale or an example states besides its relations.", "schema:Claim"),
    "Assertion": ("The act of asserting a claim, by a record and with its sources.", "schema:Claim"),
    "Derivation": ("A proof of a claim from other claims.", None),
    "Evidence": ("What a run found of a claim.", "schema:Observation"),
}
PROPERTIES = {
    "abbreviation": ("Abbreviation of a method.", "skos:altLabel"),
    "access": ("Least access to the model that a method needs.", None),
    "asserts": ("The claim that an assertion makes.", None),
    "basis": ("Whether a claim is `asserted` by anyone or only `derived`.", None),
    "checkedBy": ("Id of the check that tests a claim or a record.", None),
    "condition": ("A condition under which something holds.", None),
    "dataVersion": ("Hash of everything that an export says.", None),
    "derives": ("The claim that a derivation proves.", None),
    "digest": ("Hash of the code, the parameters and the claim of a run.", None),
    "domain": ("What a run was made on.", None),
    "examines": ("The claim that a run was made to examine.", None),
    "finding": ("What a run found, for the reader.", None),
    "form": ("In what form a relation holds.", None),
    "formatVersion": ("Version of the form of an export.", None),
    "formula": ("Definition or statement, in LaTeX.", None),
    "ground": ("The record that states the ground of a rule.", None),
    "holder": ("The record that holds an assertion.", None),
    "implementation": ("The reference function, `module:function`.", None),
    "inverseName": ("A relation's name read backwards.", None),
    "inWork": ("The source that a place lies in.", "schema:isPartOf"),
    "literatureStatus": ("Standing in the literature: `asserted`, `proved`, `conditional` or `disputed`.", None),
    "outcome": ("What a run found, in a word.", None),
    "premise": ("A premise of a derivation.", None),
    "printedAs": ("The label as a place prints it.", None),
    "recordStatus": ("Whether a record is written (`full`) or only named (`stub`).", None),
    "rule": ("The rule of a derivation.", None),
    "schemaVersion": ("Version of the form of the records.", None),
    "seed": ("Seed of the random numbers of a run.", None),
    "statedAt": ("The place where something is said.", "cito:citesAsAuthority"),
    "trials": ("Number of trials of a run.", None),
    "venue": ("Journal, proceedings or archive of a work.", None),
}
BROADER = ("belongs-to", "special-case-of", "variant-of")
"""Relations by which one concept is narrower than another; `corresponds-to` is a close match."""


def definitions() -> list[Triple]:
    """The vocabulary as triples: classes, properties, one property per relation, and how they stand to other vocabularies."""
    found: list[Triple] = []
    is_a, label, comment = term("rdf:type"), term("rdfs:label"), term("rdfs:comment")
    for name, (text, broader) in CLASSES.items():
        it = term(f"atlas:{name}")
        found += [(it, is_a, term("rdfs:Class")), (it, label, english(name)), (it, comment, english(text))]
        found += [(it, term("rdfs:subClassOf"), term(broader))] if broader else []
    for kind, record_type in record_types.KINDS.items():
        it = class_of(kind)
        found += [(it, is_a, term("rdfs:Class")), (it, label, english(kind)), (it, comment, english((record_type.__doc__ or kind).split("\n\n")[0]))]
        found.append((it, term("rdfs:subClassOf"), term("atlas:Record")))
    for name, (text, broader) in PROPERTIES.items():
        it = term(f"atlas:{name}")
        found += [(it, is_a, term("rdf:Property")), (it, label, english(name)), (it, comment, english(text))]
        found += [(it, term("rdfs:subPropertyOf"), term(broader))] if broader else []
    for name, relation in RELATIONS.items():
        it = term(f"atlas:{name}")
        found += [(it, is_a, term("rdf:Property")), (it, label, english(name)), (it, comment, english(relation.meaning))]
        found.append((it, term("atlas:inverseName"), english(relation.inverse)))
        if name in BROADER:
            found.append((it, term("rdfs:subPropertyOf"), term("skos:broader")))
        elif name == "corresponds-to":
            found.append((it, term("rdfs:subPropertyOf"), term("skos:closeMatch")))
    return list(dict.fromkeys(found))
