"""What the pages ask of an atlas: statements with their standing, who cites what, and where everything is on the site."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from taxonomy import locators
from taxonomy.coverage import NO_CLAIMS, ClaimStanding, claim_standings, evidence_for, standing_of
from taxonomy.deduction import Edge, Fact, Proof, is_unconditional
from taxonomy.evidence import Evidence
from taxonomy.records import KINDS, Document, Method, Record, Source, Theorem
from taxonomy.records.document import Place
from taxonomy.relations import RELATIONS

SURVEY = "deng2025attribution"

# Relations that claim something; the others sort things, index them, or say what a library provides, which `atlas conformance` tests.
TESTABLE = frozenset(name for name, relation in RELATIONS.items() if not relation.sorts and name not in NO_CLAIMS)

# How a claim without a run stands, in the words of the pages.
_WORDS = {"not run": "check not run", "open": "no check yet"}

# Keys of a record under which citation keys stand.
_CITING = frozenset({"reference", "references", "proof", "disputed_by"})


def slug(text: str) -> str:
    """Text as part of an address: lower-case letters, digits and hyphens."""
    text = text.replace("\u0304", " bar").replace("+", " plus").replace("×", " x ").replace("∂", " d ")
    spelled = "".join(f" {name.split()[-1]} " if (name := unicodedata.name(c, "")).startswith("GREEK") else c for c in text)
    ascii_ = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_.lower()).strip("-") or "x"


@dataclass(frozen=True)
class Statement:
    """A relation between two records: everyone who asserts it, what a run found, and how it follows if nobody says it."""

    fact: Fact
    edges: tuple[Edge, ...]
    proof: Proof | None
    evidence: Evidence | None
    of_theorem: Evidence | None = None
    """What a run found of the theorem of which the relation is a part; it is shown on the theorem's page."""

    @property
    def id(self) -> str:
        """Id of the claim, under which its evidence is filed."""
        return "/".join(self.fact)

    @property
    def anchor(self) -> str:
        """Anchor on the page of the subject."""
        return f"{self.fact.relation}-{self.fact.object}"

    @property
    def literature(self) -> str:
        """Standing in the literature: the strongest objection counts, then the strongest support.

        `derived` if no source says it, `measured` if it does not follow either and only a run tells.
        """
        if not self.edges and self.proof is None:
            return "measured"
        found = {edge_status(edge) for edge in self.edges}
        return next((status for status in ("disputed", "proved", "conditional", "asserted") if status in found), "derived")

    @property
    def conditional(self) -> bool:
        """Whether every source that asserts it states a condition."""
        return bool(self.edges) and not any(is_unconditional(edge) for edge in self.edges)

    @property
    def run(self) -> str:
        """What a run found, or why there is none."""
        standing, _ = standing_of([edge.statement for edge in self.edges], self.evidence or self.of_theorem, self.fact.relation)
        return _WORDS.get(standing, standing)


def edge_status(edge: Edge) -> str:
    """Standing of one assertion in the literature."""
    statement = edge.statement
    return str(statement.standing if isinstance(statement, Theorem) else getattr(statement, "status", "asserted"))


def sources_of(value: Any) -> Iterator[Source | Place]:
    """Every place in a source that a record, or a part of it, names."""
    if isinstance(value, Source | Place):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from sources_of(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from sources_of(item)


def citations_of(value: Any, name: str = "") -> Iterator[str]:
    """Every citation key in a record, in order."""
    if isinstance(value, BaseModel):
        for field_name in type(value).model_fields:
            yield from citations_of(getattr(value, field_name), field_name)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from citations_of(item, name)
    elif isinstance(value, str) and name in _CITING:
        yield value


@dataclass
class Site:
    """An atlas as the pages see it."""

    atlas: Any
    repository: str = ""
    gallery: dict[str, Any] | None = None
    benchmarks: dict[str, Any] | None = None
    name: str = "Attribution Atlas"

    # -- records ---------------------------------------------------------------------------------------------------------------------------

    @property
    def records(self) -> dict[str, Record]:
        """All records by id."""
        return self.atlas.records  # type: ignore[no-any-return]

    @cached_property
    def by_kind(self) -> dict[str, list[Record]]:
        """Records of each kind, every kind present."""
        found: dict[str, list[Record]] = {kind: [] for kind in KINDS}
        for record in self.records.values():
            found[record.kind].append(record)
        return found

    def of_kind(self, kind: str) -> list[Any]:
        """Records of a kind."""
        return self.by_kind[kind]

    # -- statements ------------------------------------------------------------------------------------------------------------------------

    @cached_property
    def statements(self) -> dict[Fact, Statement]:
        """Every relation, asserted or derived, once."""
        runs = self.atlas.evidence
        found = [
            Statement(fact, tuple(edges), proof, runs.get("/".join(fact)), evidence_for(self.atlas, fact, edges))
            for fact, edges, proof in self.atlas.facts()
        ]
        known = {statement.id for statement in found}
        # A check of a verdict may decide what no source says of a method by name and what no longer follows: the run stands for itself.
        only_run = (Fact(*claim.split("/")) for claim in runs if claim.count("/") == 2 and claim not in known)
        found += [Statement(fact, (), None, runs["/".join(fact)]) for fact in only_run if {fact.subject, fact.object} <= set(self.records)]
        found.sort(key=lambda s: (s.fact.subject, _ORDER[s.fact.relation], not s.edges, s.fact.object))
        return {statement.fact: statement for statement in found}

    @cached_property
    def standings(self) -> list[ClaimStanding]:
        """Every claim with how it stands."""
        return claim_standings(self.atlas)

    @cached_property
    def _from(self) -> dict[str, list[Statement]]:
        found: dict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements.values():
            found[statement.fact.subject].append(statement)
        return found

    @cached_property
    def _to(self) -> dict[str, list[Statement]]:
        found: dict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements.values():
            found[statement.fact.object].append(statement)
        return found

    def outgoing(self, id_: str, relation: str = "") -> list[Statement]:
        """Statements that start from a record."""
        return [s for s in self._from.get(id_, ()) if not relation or s.fact.relation == relation]

    def incoming(self, id_: str, relation: str = "") -> list[Statement]:
        """Statements that point to a record."""
        return [s for s in self._to.get(id_, ()) if not relation or s.fact.relation == relation]

    def about(self, id_: str, kind: str) -> list[Record]:
        """Records of `kind` that are about a record."""
        return [self.records[s.fact.subject] for s in self.incoming(id_, "concerns") if self.records[s.fact.subject].kind == kind]

    def members(self, family: str) -> list[str]:
        """Ids of the methods in a family or group."""
        found = {s.fact.subject for relation in ("belongs-to", "reformulates-as") for s in self.incoming(family, relation) if s.edges or s.proof}
        for statement in self.outgoing(family, "includes"):
            part = statement.fact.object
            found |= {part} if isinstance(self.records[part], Method) else set(self.members(part))
        return sorted(found)

    def evidence_of(self, record: Record) -> Evidence | None:
        """What a run of the record's own check found."""
        return self.atlas.evidence.get(f"{record.id}/statement")  # type: ignore[no-any-return]

    # -- citations -------------------------------------------------------------------------------------------------------------------------

    @cached_property
    def cited_by(self) -> dict[str, list[Record]]:
        """The records that cite each work of the bibliography."""
        found: dict[str, dict[str, Record]] = defaultdict(dict)
        for record in self.records.values():
            for key in self._citations(record):
                found[key][record.id] = record
        return {key: list(records.values()) for key, records in found.items()}

    def keys_of(self, record: Record) -> list[str]:
        """Citation keys of a record in order, each once; the works its sources are in come last."""
        works = (source.work for source in self._sources(record) if source.work in self.atlas.bibliography)
        return list(dict.fromkeys((*self._citations(record), *works)))

    @cached_property
    def _walked(self) -> dict[str, tuple[tuple[str, ...], tuple[Source | Place, ...]]]:
        """What `citations_of` and `sources_of` found in each record: several parts of its page ask, and records do not change."""
        return {}

    def _citations(self, record: Record) -> tuple[str, ...]:
        return self._found_in(record)[0]

    def _sources(self, record: Record) -> tuple[Source | Place, ...]:
        return self._found_in(record)[1]

    def _found_in(self, record: Record) -> tuple[tuple[str, ...], tuple[Source | Place, ...]]:
        found = self._walked.get(record.id)
        if found is None:
            found = self._walked[record.id] = (tuple(citations_of(record)), tuple(sources_of(record)))
        return found

    @cached_property
    def coverage(self) -> dict[str, dict[locators.Place, list[Record]]]:
        """For each source, the records that cite each of its places."""
        found: dict[str, dict[locators.Place, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
        for record in self.records.values():
            for source in self._sources(record):
                place = locators.parse(source.at)
                if place is not None:
                    found[source.work][place][record.id] = record
        return {work: {place: list(records.values()) for place, records in places.items()} for work, places in found.items()}

    def numbered(self, work: str, number: int) -> str | None:
        """Citation key of a work's reference number."""
        document = self.records.get(work)
        if isinstance(document, Document) and 1 <= number <= len(document.bibliography):
            return document.bibliography[number - 1]
        return None


_ORDER = {name: index for index, name in enumerate(RELATIONS)}


# -- addresses -----------------------------------------------------------------------------------------------------------------------------


def page_of(record: Record) -> str:
    """Path of a record's page below the top of the site."""
    return f"{record.folder}/{record.id}.md"


def address(record: Record, anchor: str = "") -> str:
    """Address of a record's page, for links."""
    return f"@/{page_of(record)}" + (f"#{anchor}" if anchor else "")


def html_address(record: Record, anchor: str = "") -> str:
    """Address of a record's finished page, for links inside raw HTML, which MkDocs does not touch."""
    return address(record, anchor).replace(".md", ".html", 1)


def statement_address(site: Site, statement: Statement) -> str:
    """Address of a statement on its subject's page."""
    return address(site.records[statement.fact.subject], statement.anchor)


TABLES = {
    "I": "notation", "II": "table-2", "III": "table-3", "IV": "table-4", "V": "table-5", "VI": "table-6", "VII": "table-7", "figure-4": "figure-4",
}  # fmt: skip


def table_page(name: str) -> str:
    """Path of a printed table's page."""
    return f"tables/{TABLES[name]}.md"


def place_anchor(place: locators.Place) -> str:
    """Anchor of a place on the page of its source."""
    if place.kind == "section":
        return f"sec-{slug(place.label)}"
    if place.kind in {"exhibit", "front"}:
        return slug(place.label)
    return f"{place.kind}-{place.first}"


def place_address(site: Site, work: str, at: str) -> str | None:
    """Where a locator leads on the site: the row of the survey's table, else the place on the source's page."""
    document, place = site.records.get(work), locators.parse(at)
    if document is None or place is None:
        return None
    if work == SURVEY and place.kind == "exhibit":
        name = "figure-4" if place.label == "Fig. 4" else place.label.removeprefix("Table ")
        if name in TABLES:
            return f"@/{table_page(name)}" + (f"#row-{slug(place.row)}" if place.row else "")
    return address(document, place_anchor(place))
