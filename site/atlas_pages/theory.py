"""What the pages of paradigms, rationales, principles, axioms, evaluations and theorems add to the frame."""

from __future__ import annotations

from typing import Any

from atlas_pages.claims import literature_badge, mark_of, places, references, to
from atlas_pages.context import Site, address, statement_address
from atlas_pages.markup import box, bullets, escape, link, one_line, paragraphs, section, together
from atlas_pages.methods import VERDICTS
from atlas_pages.parts import formula_section, implementation
from taxonomy.deduction import Fact
from taxonomy.records import Axiom, Evaluation, Principle, Rationale, Record, Theorem, Verdict


def paradigm(site: Site, record: Record) -> str:
    """Nothing but its rationales, which point to it."""
    return ""


def rationale(site: Site, record: Record) -> str:
    """Formula, gist and limitations."""
    assert isinstance(record, Rationale)
    limitations = [
        paragraphs(
            one_line(item.text) + (f" ({references(site, item.references)})" if item.references else ""), places(site, item.sources) + "\n{ .places }"
        )
        for item in record.limitations
    ]
    gist = paragraphs(record.gist, f"See {references(site, record.proof)}." if record.proof else "")
    return paragraphs(
        formula_section(record.formula, record.symbols, equation=record.equation),
        section("In short", gist, anchor="gist"),
        section("Limitations", bullets(limitations), anchor="limitations"),
        implementation(site, record.implementation),
    )


def requirement(site: Site, record: Record) -> str:
    """A principle or an axiom."""
    assert isinstance(record, Principle | Axiom)
    if isinstance(record, Principle):
        line = f"Category: {record.category}."
        if record.informal:
            line += " The source gives no definition that a test could decide."
    else:
        line = f"The name comes from {record.tradition}."
    return paragraphs(line, formula_section(record.formula, record.symbols, title="Definition"), implementation(site, record.implementation))


def evaluation(site: Site, record: Record) -> str:
    """The verdicts, each with an anchor."""
    assert isinstance(record, Evaluation)
    families = ", ".join(to(site.records[claim.to]) for claim in record.evaluates)
    principles = ", ".join(to(site.records[claim.to]) for claim in record.tests)
    blocks = [_verdict(site, record, verdict, number) for number, verdict in enumerate(record.verdicts, 1)]
    return paragraphs(f"Methods of {families}, held against {principles}.", section("Verdicts", paragraphs(*blocks), anchor="verdicts"))


def judged(site: Site, record: Evaluation, verdict: str, method: str, text: str = "") -> str:
    """A method named by a verdict: the link leads to the claim on the method's page, the mark says what a run found."""
    facts = [Fact(method, verdict, claim.to) for claim in record.tests]
    found = [site.statements[fact] for fact in facts if fact in site.statements]
    name = text or site.records[method].name
    if not found:
        return link(name, address(site.records[method]))
    return link(name, statement_address(site, found[0])) + "".join(mark_of(statement) for statement in found)


def _verdict(site: Site, record: Evaluation, verdict: Verdict, number: int) -> str:
    who = together(judged(site, record, verdict.verdict, method) for method in verdict.methods)
    if verdict.quantifier == "all":
        who = "all members"
    elif verdict.quantifier == "others":
        who = "all other members"
    elif verdict.none:
        who = "no method is named (the source prints a dash)"
    elif not who:
        who = "the family as a whole"
    head = f"**{VERDICTS[verdict.verdict].capitalize()}:** {who} {literature_badge(verdict.status)}"
    lines = []
    if verdict.depends_on:
        lines.append(f"Depends on {', '.join(escape(item) for item in verdict.depends_on)}.")
    if verdict.proof:
        lines.append(f"Proof: {references(site, verdict.proof)}.")
    if verdict.condition:
        lines.append(f"**Condition:** {one_line(verdict.condition)}")
    if verdict.note:
        lines.append(one_line(verdict.note))
    if verdict.definitional:
        lines.append(f"**By definition:** {one_line(verdict.definitional)}")
    if verdict.unchecked:
        lines.append(f"**No run:** {one_line(verdict.unchecked)}")
    return box("claim", paragraphs(head, " ".join(lines), places(site, verdict.sources) + "\n{ .places }"), anchor=f"verdict-{number}")


def theorem(site: Site, record: Record) -> str:
    """Formula, conditions, standing."""
    assert isinstance(record, Theorem)
    standing = [f"{record.type.capitalize()} · {literature_badge(record.standing)}"]
    if record.proof:
        standing.append("proof: " + references(site, record.proof))
    if record.disputed_by:
        standing.append("disputed by " + references(site, record.disputed_by))
    between = " and ".join(to(site.records[id_], text=site.records[id_].title) for id_ in record.between)
    scope = ("for every model and input" if record.unconditional else "under the conditions below") if between else ""
    return paragraphs(
        " · ".join(standing),
        f"Between {between}, {scope}." if between else "",
        formula_section(record.formula, record.symbols, equation=record.equation, title="Statement"),
        section("Conditions that the source states", bullets(one_line(item) for item in record.conditions), anchor="conditions"),
        section("Conditions that it needs and the source leaves out", bullets(one_line(item) for item in record.unstated), anchor="unstated"),
        implementation(site, record.implementation),
    )


BODIES: dict[str, Any] = {
    "paradigm": paradigm, "rationale": rationale, "principle": requirement, "axiom": requirement, "evaluation": evaluation, "theorem": theorem,
}  # fmt: skip
