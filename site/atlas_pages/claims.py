"""Statements on a page: who says it and where, its standing in the literature, what a run found, and how it follows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from atlas_pages import diagrams
from atlas_pages.context import TESTABLE, Site, Statement, address, edge_status, place_address, statement_address
from atlas_pages.markup import attribute, badge, box, bullets, code, escape, fold, link, one_line, paragraphs, table
from taxonomy.deduction import Edge, Fact
from taxonomy.evidence import Evidence, Measurement
from taxonomy.records import Document, Evaluation, Library, Method, Record, Source, Theorem, Verdict
from taxonomy.records.document import Place
from taxonomy.relations import RELATIONS

# Headings for a record's own statements, and for those that point to it.
OUTGOING = {
    "belongs-to": "Formulated as", "reformulates-as": "Can be rewritten as", "grounded-in": "Rests on the rationale", "satisfies": "Satisfies",
    "violates": "Violates", "context-dependent": "Depends on the context",
    "variant-of": "Variant of", "special-case-of": "Special case of", "approximates": "Estimates",
    "equivalent-to": "Gives the same attributions as", "in-paradigm": "Paradigm", "underlies": "Underlies the families",
    "grounds-members-of": "Said to ground all members of", "includes": "Includes", "evaluates": "Evaluates", "tests": "Tests",
    "comprises": "Comprises", "corresponds-to": "Known elsewhere as", "implies": "Implies", "characterises": "Singles out", "assumes": "Assumes",
    "provides": "Implements", "concerns": "Is about",
}  # fmt: skip
VERBS = {
    "belongs-to": "is formulated as", "reformulates-as": "can be rewritten as", "grounded-in": "rests on the rationale", "satisfies": "satisfies",
    "violates": "violates",
    "context-dependent": "satisfies or violates, depending on the context,", "variant-of": "is a variant of",
    "special-case-of": "is a special case of", "approximates": "estimates",
    "equivalent-to": "gives the same attributions as", "in-paradigm": "belongs to the paradigm", "underlies": "underlies",
    "grounds-members-of": "is said to ground all members of", "includes": "includes", "evaluates": "evaluates", "tests": "tests",
    "comprises": "comprises", "corresponds-to": "is another name for", "implies": "implies", "characterises": "singles out", "assumes": "assumes",
    "provides": "implements", "concerns": "is about",
}  # fmt: skip
"""Of a claim as a sentence: subject, verb, object."""
INCOMING = {
    "belongs-to": "Members", "reformulates-as": "Methods that can be rewritten so", "grounded-in": "Methods that rest on it",
    "satisfies": "Satisfied by", "violates": "Violated by", "context-dependent": "Depends on the context for",
    "variant-of": "Variants", "special-case-of": "Special cases",
    "approximates": "Estimated by", "equivalent-to": "Gives the same attributions as", "in-paradigm": "Rationales", "underlies": "Rationales",
    "grounds-members-of": "Said to be grounded, with all members, in", "includes": "Included in", "evaluates": "Evaluated by", "tests": "Tested by",
    "comprises": "Part of", "corresponds-to": "Known elsewhere as", "implies": "Implied by", "characterises": "Singled out by",
    "assumes": "Assumed by", "provides": "In other libraries", "concerns": "Discussed in",
}  # fmt: skip

LITERATURE = {
    "asserted": ("asserted", "A source says so, without a proof"),
    "proved": ("proved", "A work is cited that proves it"),
    "conditional": ("conditional", "The sources state it under a condition"),
    "disputed": ("disputed", "Other works dispute it"),
    "derived": ("derived", "No source says it; it follows from what sources say"),
    "measured": ("measured", "No source says it and it does not follow; a run found it"),
}
RUN = {
    "holds": ("run: holds", "A run found it true"),
    "holds under condition": ("run: holds under condition", "A run found it true only under a condition"),
    "fails": ("run: fails", "A run found a counterexample to it as printed"),
    "empirical": ("run: empirical", "A run measured it; it is not the kind of statement that is true or false"),
    "definitional": ("by definition", "True by the way words are defined, or it only sorts things; there is nothing to run"),
    "cited": ("cited only", "No run can decide it, and the record says why; it rests on the works cited"),
    "check not run": ("check not run yet", "A check exists and its result is not recorded yet"),
    "no check yet": ("no check yet", "Nobody has written a check for it yet"),
}


def css_of(status: str) -> str:
    """Class name of a status."""
    return status.replace(" ", "-")


def literature_badge(status: str) -> str:
    """Badge of a standing in the literature."""
    text, meaning = LITERATURE[status]
    return badge(text, f"lit {css_of(status)}", title=meaning)


def run_badge(status: str) -> str:
    """Badge of a run's outcome."""
    text, meaning = RUN[status]
    return badge(text, f"run {css_of(status)}", title=meaning)


def badges(statement: Statement) -> str:
    """Both badges of a statement; the second only where a run could say something."""
    plain = statement.literature == "asserted" and statement.fact.relation not in JUDGED
    both = [] if plain else [literature_badge(statement.literature)]
    if statement.evidence is not None or statement.fact.relation in TESTABLE:
        both.append(run_badge(statement.run))
    return " ".join(both)


# Relations of which it matters whether they are merely asserted; others are how a source arranges its matter.
JUDGED = TESTABLE | {"underlies"}


# -- sources -------------------------------------------------------------------------------------------------------------------------------


def short(record: Record) -> str:
    """The shortest name a reader knows a record by."""
    if isinstance(record, Method) and record.abbreviation:
        return record.abbreviation
    return str(getattr(record, "label", None) or (record.short if isinstance(record, Document) else record.name))


def to(record: Record, *, text: str = "", anchor: str = "") -> str:
    """Link to a record."""
    return link(text or record.name, address(record, anchor))


def reference(site: Site, key: str) -> str:
    """Link to a work of the bibliography, named by author and year."""
    return link(author_year(site, key), f"@/bibliography.md#{key}")


def author_year(site: Site, key: str) -> str:
    """`Sundararajan et al., 2017`."""
    entry = site.atlas.bibliography.get(key)
    if entry is None or not entry.authors:
        return entry.title if entry else key
    names = [family_name(author) for author in entry.authors]
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
    return f"{who}, {entry.year}" if entry.year else who


def family_name(author: str) -> str:
    """The name without initials and given names."""
    words = author.split()
    particles = next((i for i, word in enumerate(words[:-1]) if word in {"van", "von", "de", "der", "del", "la"}), len(words) - 1)
    return " ".join(words[particles:]) if words else author


def references(site: Site, keys: Iterable[str]) -> str:
    """Several works, separated by semicolons."""
    return "; ".join(reference(site, key) for key in keys)


def locator(site: Site, source: Source | Place) -> str:
    """A place in a work, as a link."""
    target = place_address(site, source.work, source.at)
    return link(source.at, target) if target else escape(source.at)


def places(site: Site, sources: Sequence[Source]) -> str:
    """Sources, grouped by work: `the survey: Table III, row IG (printed “IG” [9]); Fig. 4`."""
    grouped: dict[str, list[Source]] = {}
    for source in sources:
        grouped.setdefault(source.work, []).append(source)
    return "<br>".join(
        f"{_work(site, work)}: " + "; ".join(_place(site, source) for source in items) for work, items in grouped.items()
    )  # fmt: skip


def _work(site: Site, work: str) -> str:
    record = site.records.get(work)
    return link(record.short[0].upper() + record.short[1:], address(record)) if isinstance(record, Document) else reference(site, work)


def _place(site: Site, source: Source) -> str:
    text = locator(site, source)
    label = [f"“{escape(source.printed)}”"] if source.printed else []
    numbers = []
    for number in source.ref:
        key = site.numbered(source.work, number)
        numbers.append(f"[\\[{number}\\]](@/bibliography.md#{key})" if key else f"\\[{number}\\]")
    if label or numbers:
        text += f" (printed {' '.join([*label, *numbers])})"
    if source.note:
        text += f" – {one_line(source.note)}"
    return text


# -- statements ----------------------------------------------------------------------------------------------------------------------------


def statement_block(site: Site, statement: Statement) -> str:
    """A statement in full, with its anchor, on the page of its subject."""
    target = site.records[statement.fact.object]
    head = f"**{to(target, text=target.title)}** {badges(statement)}"
    if forms := forms_of(statement):
        head += "<br>\n" + "; ".join(forms)
    return box(f"claim {css_of(statement.run)}", paragraphs(head, *statement_details(site, statement)), anchor=statement.anchor)


def statement_details(site: Site, statement: Statement) -> list[str]:
    """What a run found of a statement, who makes it, and how it follows if nobody does."""
    parts = []
    if statement.evidence is not None:
        parts.append(_run_line(site, statement))
    elif statement.of_theorem is not None:
        theorem = site.records[statement.of_theorem.claim.split("/")[0]]
        parts.append(f"**Run:** of the theorem, {link('evidence', address(theorem, 'evidence-statement'))}")
    parts += [_assertion(site, statement, edge) for edge in statement.edges]
    if not statement.edges and statement.proof is not None:
        parts.append(_proof(site, statement))
    return parts


def forms_of(statement: Statement) -> list[str]:
    """In what form the relation holds, as each assertion has it; the pages put `as` before it."""
    return [one_line(as_).removeprefix("as ") for edge in statement.edges if (as_ := getattr(edge.statement, "as_", None))]


def _run_line(site: Site, statement: Statement) -> str:
    evidence = statement.evidence
    assert evidence is not None
    found = one_line(evidence.finding or evidence.condition or evidence.statement)
    return f"**Run:** {found} [Evidence](#evidence-{statement.anchor})"


def _assertion(site: Site, statement: Statement, edge: Edge) -> str:
    said = edge.statement
    lines: list[str] = []
    if edge.holder != statement.fact.subject and edge.holder in site.records:
        verb = "Judged in" if isinstance(site.records[edge.holder], Evaluation) else "Stated in"
        lines.append(f"{verb} {to(site.records[edge.holder])}.")
    if edge_status(edge) != statement.literature:
        lines.append(literature_badge(edge_status(edge)))
    if keys := getattr(said, "proof", ()):
        lines.append(f"Proof: {references(site, keys)}.")
    if keys := getattr(said, "disputed_by", ()):
        lines.append(f"Disputed by {references(site, keys)}.")
    if edge.condition:
        lines.append(f"**Condition:** {one_line(edge.condition)}")
    if not isinstance(said, Theorem):
        for name, lead in (("note", ""), ("definitional", "**By definition:** "), ("unchecked", "**No run:** ")):
            if text := getattr(said, name, None):
                lines.append(lead + one_line(text))
    text = " ".join(lines)
    if edge.sources:
        text = paragraphs(text, f"{places(site, own_sources(site.records[statement.fact.subject], edge))}\n{{ .places }}")
    return text


def own_sources(record: Record, edge: Edge) -> Sequence[Source]:
    """The sources of an assertion that speak of `record`: a verdict on many methods cites a row for each."""
    if not isinstance(edge.statement, Verdict):
        return edge.sources
    names = {name.casefold() for name in (record.name, short(record), *record.aliases)}
    own = [source for source in edge.sources if source.printed is None or "," in source.printed or source.printed.casefold() in names]
    return own or edge.sources


RULES = {
    "symmetry": "the relation holds both ways",
}


def _proof(site: Site, statement: Statement) -> str:
    proof = statement.proof
    assert proof is not None
    ground = f" ({to(site.records[proof.ground])})" if proof.ground in site.records else ""
    steps = [step(site, premise) for premise in proof.premises]
    condition = f" **Condition:** {one_line(proof.condition)}" if proof.condition else ""
    return f"Follows by: {RULES.get(proof.rule, proof.rule)}{ground}.{condition}\n\n" + bullets(steps)


def step(site: Site, fact: Fact) -> str:
    """A premise as a sentence of links: subject, relation (leads to the claim), object."""
    statement = site.statements.get(fact)
    relation = VERBS[fact.relation]
    middle = f"*{relation}*"
    if statement is not None and RELATIONS[fact.relation].name != "concerns":
        middle = link(relation, statement_address(site, statement))
    subject, object_ = site.records[fact.subject], site.records[fact.object]
    return f"{to(subject, text=short(subject))} {middle} {to(object_, text=short(object_))}"


def statement_line(site: Site, statement: Statement, *, end: str) -> str:
    """A statement on one line, from the page of the record at its other `end` (`subject` or `object`)."""
    record = site.records[getattr(statement.fact, end)]
    text = f"{to(record, text=record.title)}"
    if forms := forms_of(statement):
        text += f" – {'; '.join(forms)}"
    if isinstance(record, Library) and end == "subject":
        names = [code(item.name) for item in record.provides if item.method == statement.fact.object]
        return f"{text}: {', '.join(names)}"
    return f"{text} {badges(statement)} [claim]({statement_address(site, statement)}){{ .more }}"


# -- evidence ------------------------------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """A number as a reader wants it: `3.2 × 10⁻¹²`, `0.981`, `12`."""
    if value < 0:
        return f"−{number(-value)}"
    if value == int(value) and value < 1e6:
        return f"{int(value)}"
    if 1e-3 <= value < 1e5:
        return f"{value:.4g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.rstrip('0').rstrip('.')} × 10{raised}"


def evidence_block(site: Site, evidence: Evidence, *, anchor: str, title: str = "") -> str:
    """What a run found, in full."""
    head = f"{run_badge(evidence.status)} " + (f"**{title}**" if title else "")
    parts = [head.strip(), f"**Tested:** {evidence.statement.strip()}"]
    if evidence.finding:
        parts.append(f"**Found:** {evidence.finding.strip()}")
    if evidence.condition:
        parts.append(f"**Holds if:** {evidence.condition.strip()}")
    if evidence.measurements:
        parts.append(box("scroll", table(["Quantity", "Value", "Bound", ""], [_measurement(m) for m in evidence.measurements])))
    seed = f", seed {evidence.seed}" if evidence.trials > 1 else ""
    trials = f"{evidence.trials:,} trial{'' if evidence.trials == 1 else 's'}{seed}"
    parts.append(f"On: {escape(evidence.domain)}. {trials}. Check {code(evidence.check)}.\n{{ .small }}")
    if found := evidence.counterexample:
        # Their own ids keep the theme's copy buttons from giving both the id of the box.
        data = f"``` {{ .json #{anchor}-data }}\n{compact_json(found.data)}\n```" if found.data else ""
        shown = paragraphs(found.description, diagrams.drawn(site, evidence), data, f"``` {{ .python #{anchor}-code }}\n{found.code.strip()}\n```")
        parts.append(fold("Counterexample", shown, opened=evidence.status == "fails"))
    if evidence.controls:
        rows = [[one_line(c.description), number(c.value), number(c.bound), "noticed" if c.detected else "**missed**"] for c in evidence.controls]
        lead = "The same test on something of which the claim is false; it has to notice."
        parts.append(fold("Controls", paragraphs(lead, table(["Control", "Value", "Tolerance", "Test"], rows))))
    if evidence.parameters or evidence.versions or evidence.digest:
        items = [f"{escape(name)}: {code(json.dumps(value, ensure_ascii=False))}" for name, value in evidence.parameters.items()]
        items += [f"{escape(name)} {escape(version)}" for name, version in evidence.versions.items()]
        items += [f"digest {code(evidence.digest[:16])}"] if evidence.digest else []
        parts.append(fold("How it was run", bullets(items)))
    return box(f"evidence {css_of(evidence.status)}", paragraphs(*parts), anchor=anchor)


def compact_json(value: Any) -> str:
    """JSON with lists of plain values on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda m: "[" + ", ".join(part.strip() for part in m.group(0)[1:-1].split(",")) + "]", text)


def _measurement(measured: Measurement) -> list[str]:
    sign = {"<=": "≤", ">=": "≥", None: ""}[measured.relation]
    bound = f"{sign} {number(measured.bound)}".strip() if measured.bound is not None else ""
    name = escape(measured.name) if "$" not in measured.name else one_line(measured.name)
    verdict = "" if measured.bound is None else ("kept" if measured.within else "**broken**")
    note = one_line(measured.note) if measured.note else ""
    return [name, number(measured.value), bound, "; ".join(part for part in (verdict, note) if part)]


def evidence_section(site: Site, record: Record) -> str:
    """All evidence on a record: its own check, and the checks of its claims."""
    blocks = []
    own = site.evidence_of(record)
    if own is not None:
        blocks.append(evidence_block(site, own, anchor="evidence-statement"))
    for statement in site.outgoing(record.id):
        if statement.evidence is not None:
            title = f"{OUTGOING[statement.fact.relation]} {link(site.records[statement.fact.object].name, '#' + statement.anchor)}"
            blocks.append(evidence_block(site, statement.evidence, anchor=f"evidence-{statement.anchor}", title=title))
    return paragraphs(*blocks)


AUDIT = {
    "audit agrees": ("audit agrees", "holds", "No check of its own: our audit of the method found the same"),
    "audit agrees in one reading": (
        "audit agrees in one reading",
        "holds-under-condition",
        "No check of its own: the same in one reading alone",
    ),
    "audit disagrees": ("audit disagrees", "fails", "No check of its own: our audit of the method found the opposite"),
}
"""What the audit of a method makes of a claim that has no check of its own: words, class, meaning."""


def audited(site: Site, statement: Statement) -> str:
    """Whether the audit of the method found what a claim says; nothing if it was not put to the test, or leaves both open."""
    fact = statement.fact
    if fact.relation not in ("satisfies", "violates") or fact.subject not in site.atlas.audits:
        return ""
    outcomes = {verdict.outcome for verdict in site.atlas.audits[fact.subject].readings(fact.object)} & {"satisfies", "violates"}
    if not outcomes:
        return ""
    if outcomes == {fact.relation}:
        return "audit agrees"
    return "audit agrees in one reading" if fact.relation in outcomes else "audit disagrees"


def _instead(site: Site, statement: Statement) -> tuple[str, str, str] | None:
    """Words, class and meaning of what the audit found of a claim that has no check of its own."""
    return None if statement.evidence is not None else AUDIT.get(audited(site, statement))


def badges_with_audit(site: Site, statement: Statement) -> str:
    """As `badges`; where there is no check, the audit's finding stands in its place."""
    found = _instead(site, statement)
    if found is None:
        return badges(statement)
    text, css, meaning = found
    return f"{literature_badge(statement.literature)} {badge(text, f'run {css}', title=meaning)}"


def mark_or_audit(site: Site, statement: Statement) -> str:
    """The mark of a run or, where there is no check, of the audit; nothing if there is neither."""
    found = _instead(site, statement)
    return mark_of(statement).strip() if found is None else _mark(*found)


def mark_of(statement: Statement) -> str:
    """A small mark of what a run found, for use beside a link; nothing if there was no run."""
    if statement.evidence is None:
        return ""
    text, meaning = RUN[statement.run]
    return f" {_mark(text, css_of(statement.run), meaning)}"


def _mark(text: str, css: str, meaning: str) -> str:
    return f'<span class="mark {css}" title="{attribute(meaning)}"><span class="sr">{text}</span></span>'
