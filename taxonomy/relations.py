"""The relations of the graph, each declared once.

Validation, inverse links, deduction and the site's back-links are all read off this table. A relation whose `field` is set is written in the
record it starts from, under its own name; the others are derived while the graph is built (`equivalent-to` from the equivalence theorems).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed, directed relation between records."""

    name: str
    from_kinds: frozenset[str]
    to_kinds: frozenset[str]
    inverse: str
    meaning: str
    symmetric: bool = False
    transitive: bool = False
    acyclic: bool = False
    field: bool = True
    sorts: bool = False
    """Whether it names or sorts things, so that there is nothing to test."""

    def starts_at(self, kind: str) -> bool:
        """Whether a record of `kind` may carry the relation."""
        return kind in self.from_kinds

    def ends_at(self, kind: str) -> bool:
        """Whether the relation may point to a record of `kind`."""
        return ANY in self.to_kinds or kind in self.to_kinds


def _relation(name: str, from_kinds: str, to_kinds: str, inverse: str, meaning: str, **traits: bool) -> Relation:
    return Relation(name, frozenset(from_kinds.split()), frozenset(to_kinds.split()), inverse, meaning, **traits)


_FAMILIES = "formulation-family reformulation-family"
_REQUIREMENTS = "principle axiom"

RELATIONS: dict[str, Relation] = {
    relation.name: relation
    for relation in (
        _relation("belongs-to", "method", "formulation-family", "has-member", "is formulated as the family is (Table II)"),
        _relation("reformulates-as", "method", "reformulation-family", "unifies", "can be rewritten in the family's form (Table III, Fig. 4)"),
        _relation("grounded-in", "method", "rationale", "grounds", "rests on the rationale (Table IV)"),
        _relation("satisfies", "method", _REQUIREMENTS, "satisfied-by", "satisfies the principle or axiom"),
        _relation("violates", "method", _REQUIREMENTS, "violated-by", "violates the principle or axiom"),
        _relation("context-dependent", "method", _REQUIREMENTS, "depends-on-context-for",
                  "satisfies or violates it, depending on the context", field=False),
        _relation("variant-of", "method", "method", "has-variant", "is a variant of", acyclic=True),
        _relation("special-case-of", "method", "method", "generalises", "is a special case of", acyclic=True, transitive=True),
        _relation("approximates", "method", "method", "approximated-by", "estimates the value of", acyclic=True),
        _relation("equivalent-to", "method", "method", "equivalent-to", "gives the same attributions as, under the stated condition",
                  symmetric=True, field=False),
        _relation("in-paradigm", "rationale", "paradigm", "contains-rationale", "belongs to the paradigm", sorts=True),
        _relation("underlies", "rationale", _FAMILIES, "rests-on", "is the rationale associated with the family", sorts=True),
        _relation("grounds-members-of", "rationale", _FAMILIES, "members-grounded-in", "is said to ground all members of the family"),
        _relation("includes", "group", f"{_FAMILIES} method", "included-in", "includes", sorts=True),
        _relation("evaluates", "evaluation", f"{_FAMILIES} group", "evaluated-by", "evaluates the methods of", sorts=True),
        _relation("tests", "evaluation", _REQUIREMENTS, "tested-by", "tests the principle", sorts=True),
        _relation("comprises", "principle", "principle axiom", "part-of", "is the conjunction of", acyclic=True, transitive=True, sorts=True),
        _relation("corresponds-to", _REQUIREMENTS, _REQUIREMENTS, "corresponds-to", "is another source's name for", symmetric=True),
        _relation("implies", _REQUIREMENTS, _REQUIREMENTS, "implied-by", "implies", transitive=True),
        _relation("characterises", "theorem", "method", "characterised-by", "singles out the method"),
        _relation("assumes", "theorem", _REQUIREMENTS, "assumed-by", "assumes the axiom"),
        _relation("provides", "library", "method", "provided-by", "implements", field=False),
        _relation("concerns", "theorem example metric study insight discrepancy symbol", ANY, "discussed-in", "is about"),
    )
}  # fmt: skip

THEOREMS_OWN = frozenset({"equivalent-to", "characterises", "assumes"})
"""Relations that are parts of a theorem's statement: what a run finds of the theorem, it finds of them."""

INVERSES: dict[str, Relation] = {relation.inverse: relation for relation in RELATIONS.values() if not relation.symmetric}


@functools.cache
def relations_from(kind: str) -> tuple[Relation, ...]:
    """The relations that records of `kind` may carry, in table order."""
    return tuple(relation for relation in RELATIONS.values() if relation.starts_at(kind))
