"""Pages about the state of knowledge: what fails, what contradicts, what nobody has checked, what is not written; and the relation table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from atlas_pages.claims import RUN, VERBS, badges, own_sources, run_badge, short, step, to
from atlas_pages.context import Site, Statement, address, statement_address
from atlas_pages.markup import box, bullets, escape, first_paragraph, fold, link, one_line, paragraphs, plural, section, table
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.coverage import ClaimStanding, totals
from taxonomy.guide.standing import measured
from taxonomy.records import Record
from taxonomy.relations import RELATIONS

_WIDE = ["navigation"]


def findings(site: Site) -> str:
    """Claims that a run refutes or that need a condition, and contradictions; the totals of all claims."""
    decided = [found for found in site.atlas.contradictions if found.refuted]
    soft = [found for found in site.atlas.contradictions if found.conditional]
    hard = [found for found in site.atlas.contradictions if not found.refuted and not found.conditional]
    unconditional = bullets(_contradiction(site, found) for found in hard) or "None."
    return paragraphs(
        index_front("Findings", "Where a run or a deduction disagrees with the sources.", hide=_WIDE),
        "What the Atlas found beyond what the sources say: claims that fail when run, claims that hold only under a condition, and statements that "
        "contradict each other. Nothing is smoothed over; each item leads to its evidence or its proof.",
        _totals(site),
        section("Claims that fail as printed", _found(site, "fails"), anchor="fails"),
        section("Claims that hold only under a condition", _found(site, "holds under condition"), anchor="conditions"),
        section("Contradictions", unconditional, anchor="contradictions"),
        section("Contradictions that a run decides", bullets(_contradiction(site, found) for found in decided), anchor="decided-contradictions"),
        section(
            "Contradictions in which one side holds only under a condition",
            bullets(_contradiction(site, found) for found in soft),
            anchor="conditional-contradictions",
        ),
        section("Claims that hold", _with_status(site, "holds"), anchor="holds"),
        section("Claims that were measured", _with_status(site, "empirical"), anchor="empirical"),
        section("Open questions", _open(site), anchor="open-questions"),
    ) + "\n"  # fmt: skip


_WORDS = {"not run": "check not run", "open": "no check yet"}
_LEADS = {
    "holds": "#holds", "holds under condition": "#conditions", "fails": "#fails", "empirical": "#empirical",
    "definitional": "@/findings/unchecked.md#definitional", "cited": "@/findings/unchecked.md#cited",
    "not run": "@/findings/unchecked.md#not-run", "open": "@/findings/unchecked.md#no-check",
}  # fmt: skip


def _totals(site: Site) -> str:
    """Number of claims with each standing; each number leads to the list."""
    rows = []
    for standing, count in totals(site.standings).items():
        badge = run_badge(_WORDS.get(standing, standing))
        rows.append([badge, link(str(count), _LEADS[standing]) if count else "0"])
    return table(["Run", "Claims"], [*rows, ["all", str(len(site.standings))]])


def _found(site: Site, status: str) -> str:
    """The claims that fail, or hold only under a condition: what was found, when they hold, and the way to the counterexample."""
    rows = []
    for claim in site.standings:
        found = claim.evidence
        if found is None or claim.standing != status:
            continue
        condition = one_line(found.condition) if found.condition else "–"
        example = f"[counterexample]({_evidence(site, claim.id)})" if found.counterexample else "–"
        rows.append([_claim(site, claim.id), one_line(found.finding or found.statement), condition, example])
    return box("scroll", table(["Claim", "Found", "Holds if", ""], rows)) if rows else ""


def _with_status(site: Site, status: str) -> str:
    return bullets(
        f"{_claim(site, claim.id)} – {one_line(claim.evidence.finding or claim.evidence.statement)}"
        for claim in site.standings
        if claim.evidence is not None and claim.standing == status
    )


def _evidence(site: Site, claim: str) -> str:
    """Address of what a run found of a claim."""
    subject, _, rest = claim.partition("/")
    return address(site.records[subject], f"evidence-{rest.replace('/', '-', 1)}")


def _claim(site: Site, claim: str) -> str:
    """Link to a claim: to what a run found of it, if there was a run."""
    subject, _, rest = claim.partition("/")
    record = site.records.get(subject)
    if record is None:
        return escape(claim)
    if "/" not in rest:
        verdict = rest != "statement"
        text = f"{record.name}, {rest.replace('-', ' ')}" if verdict else record.name
        return to(record, text=text, anchor=rest if verdict else "evidence" if claim in site.atlas.evidence else "")
    relation, _, object_ = rest.partition("/")
    text = f"{short(record)} {VERBS.get(relation, relation)} {short(site.records[object_]) if object_ in site.records else object_}"
    anchor = f"{relation}-{object_}"
    return f"[{escape(text)}]({address(record, f'evidence-{anchor}' if claim in site.atlas.evidence else anchor)})"


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
    cells = [(method, requirement) for requirement, methods in pairs.items() for method in methods]
    filled = sum(measured(site.atlas, *cell) is not None for cell in cells)
    lead = (
        f"{plural(len(cells), 'pair')} of a method and a principle about which nothing is asserted and nothing follows. Our audit of the reference "
        f"functions measured {filled} of them; these verdicts are ours, not the sources'."
    )
    parts = []
    for requirement, methods in pairs.items():
        names = ", ".join(_cell(site, method, requirement) for method in methods)
        parts.append(fold(f"{site.records[requirement].name}: {plural(len(methods), 'method')}", names))
    return paragraphs(lead, *parts)


def _cell(site: Site, method: str, requirement: str) -> str:
    name, ours = to(site.records[method], text=short(site.records[method])), measured(site.atlas, method, requirement)
    if ours is None:
        return name
    return f"{name} (we measured: {ours.fact.relation}{' in one reading' if ours.support == 'measured in part' else ''})"


def unchecked(site: Site) -> str:
    """Claims that no run has tested: true by definition, cited only, with a check that waits for its run, or open."""
    groups: dict[str, list[ClaimStanding]] = defaultdict(list)
    for claim in site.standings:
        if claim.evidence is None:
            groups[claim.standing].append(claim)
    parts = [
        section("No check yet", bullets(_claim(site, claim.id) for claim in groups["open"]), anchor="no-check"),
        section("A check exists and has not been run", bullets(_claim(site, claim.id) for claim in groups["not run"]), anchor="not-run"),
        section("No run can decide", _reasons(site, groups["cited"]), anchor="cited"),
        section("True by definition", _reasons(site, groups["definitional"]), anchor="definitional"),
    ]
    records = [r for r in site.records.values() if (r.unchecked or r.definitional) and f"{r.id}/statement" not in {c.id for c in site.standings}]
    without = bullets(f"{to(r)} – {one_line(str(r.unchecked or r.definitional))}" for r in records)
    return paragraphs(
        index_front("Claims without a check", "Claims that no run has tested, and why.", hide=_WIDE),
        f"{plural(sum(map(len, groups.values())), 'claim')} of {len(site.standings)} that no run has tested. Some need none, of some no run can "
        "tell, and the rest are work to be done.",
        *parts,
        section("Records without code of their own", without, anchor="records"),
    ) + "\n"  # fmt: skip


def _reasons(site: Site, claims: list[ClaimStanding]) -> str:
    """The claims, gathered under the reason where several share one."""
    shared: dict[str, list[str]] = defaultdict(list)
    for claim in claims:
        shared[str(claim.reason)].append(_claim(site, claim.id))
    single = [f"{found[0]} – {one_line(reason)}" for reason, found in shared.items() if len(found) == 1]
    folds = [fold(plural(len(found), "claim"), paragraphs(one_line(reason), bullets(found))) for reason, found in shared.items() if len(found) > 1]
    return paragraphs(bullets(single), *folds)


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
