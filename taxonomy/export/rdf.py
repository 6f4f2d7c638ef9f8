"""Turtle and JSON-LD.

Written here rather than by a library: there are no blank nodes, so that each takes a few lines, and equal content gives equal bytes.
"""

from __future__ import annotations

import re
from typing import Any

from taxonomy.evidence import to_json
from taxonomy.export.files import Files
from taxonomy.export.linked import triples
from taxonomy.export.vocabulary import PREFIXES, Iri, Literal, Triple, term
from taxonomy.export.whole import Content

_LOCAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TYPE = term("rdf:type")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def turtle(content: Content) -> Files:
    """RDF 1.1 Turtle."""
    lines = [f"@prefix {prefix}: <{address}> ." for prefix, address in PREFIXES.items()]
    for subject, properties in _grouped(triples(content.whole)).items():
        lines += ["", short(subject)]
        said = [f"    {_predicate(name)} {', '.join(map(_object, objects))}" for name, objects in properties.items()]
        lines.append(" ;\n".join(said) + " .")
    return {"atlas.ttl": ("\n".join(lines) + "\n").encode()}


def json_ld(content: Content) -> Files:
    """JSON-LD 1.1: the same triples."""
    nodes = []
    for subject, properties in _grouped(triples(content.whole)).items():
        node: dict[str, Any] = {"@id": short(subject, brackets=False)}
        for name, objects in properties.items():
            if name == _TYPE:
                node["@type"] = [short(kind, brackets=False) for kind in objects if isinstance(kind, Iri)]
            else:
                values = [_value(object_) for object_ in objects]
                node[short(name, brackets=False)] = values[0] if len(values) == 1 else values
        nodes.append(node)
    return {"atlas.jsonld": to_json({"@context": {"@version": 1.1} | PREFIXES, "@graph": nodes}).encode()}


def _grouped(found: list[Triple]) -> dict[Iri, dict[Iri, list[Iri | Literal]]]:
    grouped: dict[Iri, dict[Iri, list[Iri | Literal]]] = {}
    for subject, name, object_ in found:
        grouped.setdefault(subject, {}).setdefault(name, []).append(object_)
    return grouped


def short(iri: Iri, *, brackets: bool = True) -> str:
    """An IRI with its prefix where the rest is a plain word; in full otherwise.

    >>> short(term("skos:broader")), short(Iri("https://example.org/a b"), brackets=False)
    ('skos:broader', 'https://example.org/a b')
    """
    for prefix, address in PREFIXES.items():
        if iri.text.startswith(address) and _LOCAL.fullmatch(iri.text[len(address) :]):
            return f"{prefix}:{iri.text[len(address) :]}"
    return f"<{iri.text}>" if brackets else iri.text


def _predicate(name: Iri) -> str:
    return "a" if name == _TYPE else short(name)


def _object(value: Iri | Literal) -> str:
    if isinstance(value, Iri):
        return short(value)
    text = f'"{value.text.translate(_ESCAPES)}"'
    return f"{text}@{value.language}" if value.language else f"{text}^^{short(Iri(value.datatype))}" if value.datatype else text


def _value(value: Iri | Literal) -> Any:
    if isinstance(value, Iri):
        return {"@id": short(value, brackets=False)}
    if value.language:
        return {"@value": value.text, "@language": value.language}
    return {"@value": value.text, "@type": short(Iri(value.datatype), brackets=False)} if value.datatype else value.text
