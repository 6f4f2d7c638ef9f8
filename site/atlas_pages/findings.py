"""Pages about the state of knowledge: what fails, what contradicts, what nobody has checked, what is not written; and the relation table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from atlas_pages.claims import OUTGOING, RUN, badges, own_sources, run_badge, short, step, to
from atlas_pages.context import TESTABLE, Site, Statement, address, statement_address
from atlas_pages.markup import box, bullets, escape, first_paragraph, fold, one_line, paragraphs, plural, section, table
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.evidence import Evidence
from taxonomy.records import Record
from taxonomy.relations import RELATIONS

_WIDE = ["navigation"]
STATUSES = ("holds", "holds under condition", "fails", "empirical", "definitional", "cited")


def findings(site: Site) -> str:
    """Contradictions, and claims that a run refutes or that need a condition."""
    evidence = list(site.atlas.evidence.items())
    hard = [found for found in site.atlas.contradictions if not found.conditional]
    soft = [found for found in site.atlas.contradictions if found.conditional]
    counts = table(["Run", "Claims"], [[run_badge(status), str(sum(e.status == status for _, e in evidence))] for status in STATUSES])
    one_sided = bullets(_contradiction(site, found) for found in soft)
    unconditional = bullets(_contradiction(site, found) for found in hard) or "None."
    return paragraphs(
        index_front("Findings", "Where a run or a deduction disagrees with the sources.", hide=_WIDE),
        "What the Atlas found beyond what the sources say: claims that fail when run, claims that hold only under a condition, and statements that "
        "contradict each other. Nothing is smoothed over; each item leads to its evidence or its proof.",
        counts,
        section("Claims that fail as printed", _with_status(site, "fails"), anchor="fails"),
        section("Claims that hold only under a condition", _with_status(site, "holds under condition"), anchor="conditions"),
        section("Contradictions", unconditional, anchor="contradictions"),
        section("Contradictions in which one side holds only under a condition", one_sided, anchor="conditional-contradictions"),
        section("Claims that hold", _with_status(site, "holds"), anchor="holds"),
        section("Open questions", _open(site), anchor="open-questions"),
    ) + "\n"  # fmt: skip


def _with_status(site: Site, status: str) -> str:
    items = []
    for claim, evidence in site.atlas.evidence.items():
        if evidence.status == status:
            items.append(f"{_claim(site, claim)} – {one_line(_gist(evidence))}")
    return bullets(items)


def _gist(evidence: Evidence) -> str:
    needed = evidence.condition if evidence.status == "holds under condition" else None
    return evidence.finding or needed or evidence.statement


def _claim(site: Site, claim: str) -> str:
    subject, _, rest = claim.partition("/")
    record = site.records.get(subject)
    if record is None:
        return escape(claim)
    if rest == "statement":
        return to(record, anchor="evidence")
    relation, _, object_ = rest.partition("/")
    text = f"{short(record)} {relation.replace('-', ' ')} {short(site.records[object_]) if object_ in site.records else object_}"
    return f"[{escape(text)}]({address(record, f'evidence-{relation}-{object_}')})"


def _contradiction(site: Site, found: Any) -> str:
    first, second = site.statements[found.first], site.statements[found.second]
    record, requirement = site.records[found.first.subject], site.records[found.first.object]
    lines = [f"{to(record, text=record.title)} and {to(requirement)}"]
    for statement in (first, second):
        lines.append(f"- [{statement.fact.relation}]({statement_address(site, statement)}) {badges(statement)} {_ground(site, statement)}")
    return "\n".join([lines[0], "", *lines[1:]])


def _ground(site: Site, statement: Statement) -> str:
    record = site.records[statement.fact.subject]
    if statement.edges:
        places = dict.fromkeys(site.atlas.cite(source) for edge in statement.edges for source in own_sources(record, edge))
        return "– " + escape("; ".join(places))
    assert statement.proof is not None
    condition = f" (on condition: {one_line(statement.proof.condition)})" if statement.proof.condition else ""
    return "– follows from " + "; ".join(step(site, premise) for premise in statement.proof.premises) + condition


def _open(site: Site) -> str:
    pairs: dict[str, list[str]] = defaultdict(list)
    for method, requirement in site.atlas.open_questions:
        pairs[requirement].append(method)
    if not pairs:
        return ""
    lead = f"{plural(sum(map(len, pairs.values())), 'pair')} of a method and a principle about which nothing is asserted and nothing follows."
    parts = []
    for requirement, methods in pairs.items():
        names = ", ".join(to(site.records[method], text=short(site.records[method])) for method in methods)
        parts.append(fold(f"{site.records[requirement].name}: {plural(len(methods), 'method')}", names))
    return paragraphs(lead, *parts)


def unchecked(site: Site) -> str:
    """Claims that no check tests: those no run can decide, with the reason, and those nobody has got round to."""
    reasons: list[str] = []
    waiting: dict[str, list[Statement]] = defaultdict(list)
    named: list[Statement] = []
    for statement in site.statements.values():
        if not statement.edges or statement.fact.relation not in TESTABLE or statement.evidence is not None:
            continue
        if statement.run == "no run can decide":
            why = next(text for edge in statement.edges if (text := getattr(edge.statement, "unchecked", None)))
            reasons.append(f"{_statement(site, statement)} – {one_line(why)}")
        elif statement.run == "check not run":
            named.append(statement)
        else:
            waiting[statement.fact.relation].append(statement)
    records = bullets(f"{to(r)} – {one_line(r.unchecked)}" for r in site.records.values() if r.unchecked)
    groups = [
        fold(f"{OUTGOING[relation]}: {plural(len(items), 'claim')}", bullets(_statement(site, s) for s in items))
        for relation, items in waiting.items()
    ]
    return paragraphs(
        index_front("Claims without a check", "Claims that no run has tested, and why.", hide=_WIDE),
        f"{plural(len(named) + len(reasons) + sum(map(len, waiting.values())), 'claim')} that sources make and that no run has tested.",
        section("No run can decide", bullets(reasons), anchor="undecidable"),
        section("A check exists and has not been run", bullets(_statement(site, s) for s in named), anchor="not-run"),
        section("No check yet", paragraphs(*groups), anchor="no-check"),
        section("Records that state something no run can decide", records, anchor="records"),
    ) + "\n"  # fmt: skip


def _statement(site: Site, statement: Statement) -> str:
    subject, object_ = site.records[statement.fact.subject], site.records[statement.fact.object]
    text = f"{short(subject)} {statement.fact.relation.replace('-', ' ')} {short(object_)}"
    return f"[{escape(text)}]({statement_address(site, statement)})"


def stubs(site: Site) -> str:
    """Records still to be written."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in site.records.values():
        if record.status == "stub":
            groups[record.kind].append(record)
    parts = [
        section(KIND_NAMES[kind][1], bullets(f"{to(r)} – {first_paragraph(r.summary)}" for r in records), anchor=kind)
        for kind, records in groups.items()
    ]
    lead = (
        "Records that a source names and that nobody has written up yet. Each is a good first contribution." if parts else "Every record is written."
    )
    return paragraphs(index_front("To be written", "Stubs: records still to be written.", hide=_WIDE), lead, *parts) + "\n"


def relations(site: Site) -> str:
    """The relation table, from which validation, deduction and back-links are read off."""
    rows = []
    for relation in RELATIONS.values():
        found = [s for s in site.statements.values() if s.fact.relation == relation.name]
        traits = ", ".join(name for name in ("symmetric", "transitive", "acyclic") if getattr(relation, name))
        kinds = [", ".join("any record" if k == "*" else KIND_NAMES[k][0] for k in sorted(side)) for side in (relation.from_kinds, relation.to_kinds)]
        asserted = sum(bool(s.edges) for s in found)
        rows.append(
            [
                f'<span id="{relation.name}"></span>**{relation.name}**',
                escape(relation.meaning),
                relation.inverse,
                *kinds,
                traits,
                str(asserted),
                str(len(found) - asserted),
            ]
        )
    head = ["Relation", "The record ...", "Inverse", "From", "To", "Traits", "Asserted", "Derived"]
    legend = [[run_badge(status), escape(meaning)] for status, (_, meaning) in RUN.items()]
    return paragraphs(
        index_front("Relations", "The relations between records, each declared once.", hide=["navigation", "toc"]),
        "Every link between two records is one of these. Back-links, deduction and validation are read off this table.",
        box("scroll", table(head, rows)),
        section("What a run can say", table(["Mark", "Meaning"], legend), anchor="runs"),
    ) + "\n"  # fmt: skip
