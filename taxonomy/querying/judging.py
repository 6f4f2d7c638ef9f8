"""How a relation between two records stands: who says so, what follows, and what runs found against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from taxonomy import deduction
from taxonomy.deduction import OPPOSITES, Fact
from taxonomy.problems import did_you_mean
from taxonomy.querying.truth import Reason, Truth, from_reasons, known, unknown
from taxonomy.relations import RELATIONS

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

Basis = Literal["sources", "runs", "audits"]
BASES: tuple[Basis, ...] = get_args(Basis)
"""What counts: what sources say and what follows; besides that what runs found against it (usual); besides that what our audit measured."""
_SETTLED_BY_RECORDS = frozenset({"concerns", "provides"})


def basis_named(name: str) -> Basis:
    """A basis by its name; raises KeyError with close matches."""
    for basis in BASES:
        if basis == name:
            return basis
    raise KeyError(f"no basis `{name}`; {did_you_mean(name, BASES) or 'one of: ' + ', '.join(BASES)}")


@dataclass(slots=True)
class Judge:
    """Judges relations by what an atlas holds."""

    atlas: Atlas
    basis: Basis = "runs"
    _members: dict[str, dict[str, Fact]] = field(default_factory=dict)

    def relation(self, subject: str, relation: str, object_: str) -> Truth:
        """How `subject relation object` stands.

        `violates` is the complement of `satisfies`. A relation that only sorts things is settled by the records: what they do not say is not so.
        Of any other, silence says nothing.
        """
        if relation == "violates":
            return ~self.relation(subject, "satisfies", object_)
        if relation == "belongs-to" and self.atlas.records[object_].kind == "group":
            return self._in_group(subject, object_)
        fact = Fact(subject, relation, object_)
        opposite = Fact(subject, OPPOSITES[relation], object_) if relation in OPPOSITES else None
        pro, con = self._said(fact), self._refuted(fact)
        if opposite is not None:
            con += self._said(opposite)
            pro += self._refuted(opposite)
            if not pro and not con and (depends := Fact(subject, "context-dependent", object_)) in self.atlas:
                return Truth("unknown", tuple(self._depending(depends)))
            if self.basis == "audits" and not pro and not con:
                pro, con = self._measured(fact)
        if pro or con:
            return from_reasons(pro, con)
        return self._silence(fact)

    def _said(self, fact: Fact) -> list[Reason]:
        if fact not in self.atlas:
            return []
        edges, evidence = self.atlas.assertions(fact), self.atlas.evidence.get("/".join(fact))
        found = evidence.condition if evidence is not None and evidence.status == "holds under condition" else None
        if not edges:
            proof = self.atlas._knowledge.proofs.get(fact)
            conditions = dict.fromkeys(_line(text) for text in (*(proof.conditions if proof else ()), *([found] if found else [])))
            return [Reason("derived", f"{fact}: follows ({proof.rule if proof else 'rule'})", fact, tuple(conditions))]
        places = dict.fromkeys(self.atlas.cite(source) for edge in edges for source in edge.sources)
        # If anyone asserts it without a condition, the others' conditions do not limit it.
        stated = [] if any(edge.condition is None for edge in edges) else [edge.condition or "" for edge in edges]
        conditions = dict.fromkeys(_line(text) for text in (*stated, *([found] if found else [])))
        return [Reason("asserted", f"{fact}: {'; '.join(places) or f'record {edges[0].holder}'}", fact, tuple(conditions))]

    def _depending(self, fact: Fact) -> list[Reason]:
        """That a source leaves the cell open itself."""
        said = self._said(fact)
        return [Reason("context", f"depends on the context: {reason.text}{self._ours(fact)}", fact, reason.conditions) for reason in said]

    def _refuted(self, fact: Fact) -> list[Reason]:
        if self.basis == "sources":
            return []
        ways = [fact, Fact(fact.object, fact.relation, fact.subject)] if RELATIONS[fact.relation].symmetric else [fact]
        for way in ways:
            evidence = self.atlas.evidence.get("/".join(way))
            if evidence is not None and evidence.status == "fails":
                return [Reason("run", f"a run refutes {way}: {_line(evidence.finding or evidence.statement)}", way)]
        return []

    def _measured(self, fact: Fact) -> tuple[list[Reason], list[Reason]]:
        pro, con = [], []
        for verdict in self.atlas.measured(fact.subject, fact.object):
            reason = Reason("measured", f"measured by us, no source says so: {verdict.outcome} {fact.object} ({verdict.reading})", fact)
            if verdict.outcome == "satisfies":
                pro.append(reason)
            elif verdict.outcome == "violates":
                con.append(reason)
        return pro, con

    def _silence(self, fact: Fact) -> Truth:
        relation = RELATIONS[fact.relation]
        if relation.sorts or relation.name in _SETTLED_BY_RECORDS:
            return known(False, f"the records do not say {fact}")
        if relation.name == "belongs-to" and (listed := self._listed(fact.subject)):
            return known(False, f"listed under {', '.join(listed)}")
        ours = self._ours(fact) if fact.relation in OPPOSITES else ""
        return unknown(f"no source says whether {fact}{ours}", fact)

    def _ours(self, fact: Fact) -> str:
        """What our audit measured of a requirement, for a cell that it does not settle."""
        audit = self.atlas.audits.get(fact.subject)
        outcomes = sorted({verdict.outcome for verdict in audit.readings(fact.object)} - {"not applicable"}) if audit else []
        return f"; measured by us: {' in one reading, '.join(outcomes)}{' in another' * (len(outcomes) > 1)}" if outcomes else ""

    def _in_group(self, method: str, group: str) -> Truth:
        if group not in self._members:
            self._members[group] = dict(deduction.members(self.atlas._knowledge, group))
        if (way := self._members[group].get(method)) is not None:
            return known(True, f"in {group}: {way}")
        # A group of methods is a list; one of families is settled only for a method that is listed under some family.
        parts = {self.atlas.records[part].kind for part in self._objects(group, "includes")}
        listed = self._listed(method)
        if parts <= {"method"} or ("reformulation-family" not in parts and listed):
            return known(False, f"not listed in {group}" + (f"; under {', '.join(listed)}" if listed else ""))
        return unknown(f"no source says whether {method} is in {group}", Fact(method, "belongs-to", group))

    def _listed(self, method: str) -> list[str]:
        """The formulation families that a method is listed under."""
        return self._objects(method, "belongs-to")

    def _objects(self, subject: str, relation: str) -> list[str]:
        return sorted(self.atlas._knowledge.by_relation[relation].get(subject, ()))


def _line(text: str) -> str:
    return " ".join(text.split())
