"""How far the methods are backed by code, and the claims by runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from taxonomy.deduction import Edge, Fact
from taxonomy.evidence import Evidence
from taxonomy.records import Evaluation, Method
from taxonomy.relations import RELATIONS, THEOREMS_OWN

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


@dataclass(frozen=True)
class MethodStatus:
    """One method: its function, what proves it right, and how other libraries' implementations compare."""

    id: str
    name: str
    status: str
    function: str | None
    oracles: tuple[str, ...]
    peers: dict[str, str]
    """Verdict by the library's name for the method."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"id": self.id, "status": self.status, "function": self.function, "oracles": list(self.oracles), "peers": self.peers}


def method_status(atlas: Atlas) -> list[MethodStatus]:
    """The status of every method, in the order of the records.

    Examples
    --------
    >>> import taxonomy
    >>> status = {item.id: item for item in method_status(taxonomy.load())}
    >>> status["integrated-gradients"].function
    'executable.methods.gradient_times_input:integrated_gradients'
    """
    compared: dict[str, dict[str, str]] = {}
    for library in atlas.conformance.values():
        for item in library.methods:
            compared.setdefault(item.method, {})[item.name] = item.verdict
    found = []
    for record in atlas.of_kind("method"):
        assert isinstance(record, Method)
        kinds = tuple(dict.fromkeys(oracle.kind for oracle in record.oracles))
        found.append(MethodStatus(record.id, record.title, record.status, record.implementation, kinds, compared.get(record.id, {})))
    return found


Standing = Literal["holds", "holds under condition", "fails", "empirical", "definitional", "cited", "not run", "open"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""What a run found; or why there is none: true by definition, cited only (no run can decide), a check that has not been run, no check yet."""

NO_CLAIMS = frozenset({"concerns", "provides"})
"""Relations that claim nothing: `concerns` is an index, and what a library `provides` is put to the test by `atlas conformance`."""
_STATING = frozenset({"theorem", "rationale", "example"})
"""Kinds of records that state something themselves, besides their relations."""


@dataclass(frozen=True)
class ClaimStanding:
    """One claim and how it stands."""

    id: str
    standing: Standing
    subject: str
    check: str | None = None
    reason: str | None = None
    """Why there is no run, for a claim that is definitional or cited."""
    evidence: Evidence | None = None

    @property
    def about(self) -> frozenset[str]:
        """Ids of the records the claim is about."""
        parts = self.id.split("/")
        return frozenset({parts[0], parts[2]}) if len(parts) == 3 else frozenset({self.subject})

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        found = self.evidence
        values: dict[str, Any] = {"claim": self.id, "standing": self.standing, "check": self.check, "reason": self.reason}
        if found is not None:
            example = found.counterexample.model_dump(mode="json") if found.counterexample else None
            values |= {"finding": found.finding, "condition": found.condition, "counterexample": example}
        return values


def standing_of(statements: Iterable[Any], evidence: Evidence | None, relation: str | None = None) -> tuple[Standing, str | None]:
    """How a claim stands, and the reason if no run can or need decide it.

    A run counts most; without one, a check that waits for its run; then what the records say: that the claim is definitional, or why nothing can
    test it.

    Parameters
    ----------
    statements
        Whatever asserts the claim: claims, verdicts or records, with their fields `check`, `definitional` and `unchecked`.
    evidence
        What a run of the claim's check found.
    relation
        Name of the relation, if the claim is one: some relations only sort things.
    """
    if evidence is not None:
        return evidence.status, None
    said = list(statements)
    if any(getattr(statement, "check", None) for statement in said):
        return "not run", None
    fields: tuple[tuple[str, Standing], ...] = (("definitional", "definitional"), ("unchecked", "cited"))
    for name, standing in fields:
        if reason := next((text for statement in said if (text := getattr(statement, name, None))), None):
            return standing, " ".join(str(reason).split())
    if relation is not None and RELATIONS[relation].sorts:
        return "definitional", f"The relation `{relation}` names or sorts things."
    return "open", None


def evidence_for(atlas: Atlas, fact: Fact, edges: Sequence[Edge]) -> Evidence | None:
    """What a run found of a fact, or of the theorem of which it is a part."""
    found = atlas.evidence.get("/".join(fact))
    if found is not None or fact.relation not in THEOREMS_OWN:
        return found
    return next((theirs for edge in edges if (theirs := atlas.evidence.get(f"{edge.holder}/statement"))), None)


def claim_standings(atlas: Atlas) -> list[ClaimStanding]:
    """Every claim of the records with its standing, sorted by id.

    A claim is a relation that some source asserts, an evaluation's verdict that names no methods (`<evaluation>/verdict-<number>`), the statement of
    a theorem, a rationale or an example (`<record>/statement`), and whatever a run has decided. Relations that belong to a theorem's statement are
    not counted again.

    Examples
    --------
    >>> import taxonomy
    >>> found = {claim.id: claim for claim in claim_standings(taxonomy.load())}
    >>> found["integrated-gradients/reformulates-as/path-integral"].standing
    'holds'
    >>> found["gradient-sensitivity/in-paradigm/local-sensitivity"].standing
    'definitional'
    """
    found: dict[str, ClaimStanding] = {}

    def add(name: str, statements: Sequence[Any], relation: str | None = None) -> None:
        evidence = atlas.evidence.get(name)
        standing, reason = standing_of(statements, evidence, relation)
        check = evidence.check if evidence else next((c for s in statements if (c := getattr(s, "check", None))), None)
        found[name] = ClaimStanding(name, standing, name.split("/")[0], check, reason, evidence)

    ran = {evidence.check for evidence in atlas.evidence.values()}
    for fact, edges, _ in atlas.facts():
        if edges and fact.relation not in NO_CLAIMS | THEOREMS_OWN:
            add("/".join(fact), [edge.statement for edge in edges], fact.relation)
    for record in atlas.records.values():
        if record.kind in _STATING or record.check:
            add(f"{record.id}/statement", [record])
        if isinstance(record, Evaluation):
            for number, verdict in enumerate(record.verdicts, 1):
                # Once run, the check of a verdict on all members decides one claim for each of them, under the claims' own names.
                if not verdict.methods and not verdict.none and verdict.check not in ran:
                    add(f"{record.id}/verdict-{number}", [verdict])
    for name in atlas.evidence:
        if name not in found:
            add(name, [])
    return [found[name] for name in sorted(found)]


def totals(standings: Iterable[ClaimStanding]) -> dict[Standing, int]:
    """Number of claims with each standing, every standing present."""
    counts = Counter(claim.standing for claim in standings)
    return {standing: counts[standing] for standing in STANDINGS}
