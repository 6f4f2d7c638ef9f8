"""What the pages of families, groups and libraries add to the frame, and the parts of a method's page that the families share."""

from __future__ import annotations

from typing import Any

from atlas_pages.claims import locator, references, to
from atlas_pages.context import Site
from atlas_pages.markup import attribute, box, code, escape, one_line, paragraphs, plural, section, table
from atlas_pages.parts import formula_section, implementation, named_fold, prose_section
from taxonomy.records import Evaluation, FormulationFamily, Group, Library, Method, Record, ReformulationFamily, Verdict

ACCESS = {"outputs": "its outputs", "gradients": "its gradients", "internals": "its layers and weights", "training": "training it again"}
MODEL = {
    "any": "any model",
    "differentiable": "differentiable models",
    "relu-network": "ReLU networks",
    "feedforward": "feedforward networks",
    "convolutional": "convolutional networks",
    "attention": "models with attention",
    "graph": "graph networks",
    "diffusion": "diffusion models",
    "tree": "trees",
}
BASELINE = {"none": "none", "zero": "zero", "one": "one", "distribution": "a distribution of baselines", "optional": "optional"}
VERDICTS = {"satisfies": "satisfies", "violates": "violates", "context-dependent": "depends on the context"}


def facts(record: Method) -> str:
    """What it sees of the model, what it works on, its baseline, and what receives the attributions."""
    if record.needs is None and not record.explains:
        return ""
    found = []
    if record.needs is not None:
        found.append(("Sees of the model", ACCESS[record.needs.access]))
        found.append(("Works on", MODEL[record.needs.model]))
        found.append(("Baseline", BASELINE[record.needs.baseline]))
    if record.explains:
        found.append(("Attributes to", ", ".join(record.explains)))
    cells = "".join(f"<div><dt>{attribute(name)}</dt><dd>{attribute(value)}</dd></div>" for name, value in found)
    return f'<dl class="facts">{cells}</dl>'


def beside(record: Method) -> str:
    """A link to the page that puts it beside others; only methods of which something is known stand there."""
    if record.needs is None:
        return ""
    return f'<p class="beside"><a href="@/compare/index.html#?methods={record.id}">Compare with another method</a></p>'


def verdicts_section(site: Site, record: Method) -> str:
    """What the evaluations of a method's families say of it."""
    rows = []
    for evaluation in site.of_kind("evaluation"):
        assert isinstance(evaluation, Evaluation)
        families = [claim.to for claim in evaluation.evaluates]
        inside = any(record.id in site.members(family) for family in families)
        for number, verdict in enumerate(evaluation.verdicts, 1):
            how = _how(evaluation, verdict, record.id, inside)
            if how:
                principles = ", ".join(to(site.records[claim.to]) for claim in evaluation.tests)
                said = f"depends on {', '.join(map(escape, verdict.depends_on))}" if verdict.depends_on else VERDICTS[verdict.verdict]
                rows.append([to(evaluation, anchor=f"verdict-{number}"), principles, said, how])
    shown = box("scroll", table(["Evaluation", "Principle", "Verdict", "Why it applies"], rows)) if rows else ""
    return named_fold(f"{plural(len(rows), 'verdict')} of the evaluations", shown, anchor="verdicts")


def _how(evaluation: Evaluation, verdict: Verdict, method_id: str, inside: bool) -> str:
    if method_id in verdict.methods:
        return "named"
    if not inside:
        return ""
    named = {name for other in evaluation.verdicts for name in other.methods}
    if verdict.quantifier == "all" or (verdict.verdict == "context-dependent" and not verdict.methods):
        return "all members"
    return "one of the others" if verdict.quantifier == "others" and method_id not in named else ""


def family(site: Site, record: Record) -> str:
    """The unified formula and what tells the members apart."""
    assert isinstance(record, FormulationFamily | ReformulationFamily)
    proof = f"Proved in {references(site, record.proof)}." if record.proof else ""
    return paragraphs(
        formula_section(record.formula, record.symbols, equation=record.equation, title="Unified formula"),
        section("What tells its members apart", paragraphs(record.key_difference, proof), anchor="key-difference"),
        prose_section("The idea", record.idea, anchor="idea"),
        prose_section("If the equation holds of every vector", record.vacuous, anchor="vacuous"),
        implementation(site, record.implementation),
    )


def group(site: Site, record: Record) -> str:
    """The methods a group comes down to."""
    assert isinstance(record, Group)
    return section("Methods in it", ", ".join(to(site.records[m]) for m in site.members(record.id)), anchor="methods")


def library(site: Site, record: Record) -> str:
    """A package and which methods it has under which name."""
    assert isinstance(record, Library)
    rows = []
    for item in record.provides:
        note = paragraphs(one_line(item.note or ""), "; ".join(locator(site, source) for source in item.sources)).replace("\n\n", " ")
        rows.append([to(site.records[item.method]), code(item.name), note])
    facts = [f"Package {code(record.package)} {escape(record.version)}", f"licence {escape(record.licence)}", f"[home page]({record.homepage})"]
    return paragraphs(
        " · ".join(facts), section("Methods it has", box("scroll", table(["Method", "Name there", "Note"], rows)) if rows else "", anchor="provided")
    )


BODIES: dict[str, Any] = {
    "formulation-family": family, "reformulation-family": family, "group": group, "library": library,
}  # fmt: skip
