"""Index pages: one per kind of record, grouped so that a reader finds the way."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from atlas_pages import method_index
from atlas_pages.claims import css_of, literature_badge, mark_of, run_badge, short, to
from atlas_pages.context import Site, address
from atlas_pages.markup import (
    attribute,
    badge,
    box,
    bullets,
    code,
    escape,
    first_paragraph,
    inline_math,
    one_line,
    paragraphs,
    plural,
    section,
    table,
    together,
)
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.records import KINDS, Method, Record

LEADS = {
    "method": "Every attribution method that a source names, by the formula it was designed with.",
    "formulation-family": "Seven families of methods that are designed with the same formula (Table II of the survey).",
    "reformulation-family": "Seven forms in which methods of different families can be rewritten (Table III of the survey).",
    "group": "Groupings that a source uses and that are not one of the fourteen families.",
    "paradigm": "The four kinds of reason for calling a number an attribution.",
    "rationale": "Seven reasons why a method should measure importance (Tables IV and V of the survey).",
    "principle": "Requirements by which methods are evaluated.",
    "axiom": "Properties demanded by axiomatic characterisations, under the names their traditions use.",
    "evaluation": "Which methods of a family satisfy or violate a principle, one page per result.",
    "theorem": "Propositions, theorems, equivalences and uniqueness results, with their conditions, stated and unstated.",
    "example": "Worked examples of the sources, with their numbers.",
    "metric": "Quantities by which attributions are measured.",
    "study": "Empirical studies of the sources: what was measured, on what, with which numbers.",
    "insight": "What the sources say in prose: insights, guidance, limitations, traps and open problems.",
    "symbol": "Symbols of both papers.",
    "source": "The works whose statements the Atlas encodes, with the records that cite each place.",
    "library": "Packages that implement some of the methods, and under which names.",
}


def card(site: Site, record: Record, *, extra: str = "") -> str:
    """A record on an index page."""
    stub = " " + badge("stub", "stub") if record.status == "stub" else ""
    label = f' <span class="abbr">{escape(record.abbreviation)}</span>' if isinstance(record, Method) and record.abbreviation else ""
    return box("card", paragraphs(f"**{to(record)}**{label}{stub}", first_paragraph(record.summary), extra))


def cards(site: Site, records: Iterable[Record], extra: Any = None) -> str:
    """Several cards."""
    items = [card(site, record, extra=extra(record) if extra else "") for record in records]
    return box("cards", "\n\n".join(items)) if items else ""


def index(site: Site, kind: str) -> str:
    """The index page of a kind."""
    special = SPECIAL.get(kind)
    body = special(site) if special else cards(site, site.of_kind(kind))
    title = KIND_NAMES[kind][1]
    lead = f"{LEADS[kind]} {plural(len(site.of_kind(kind)), 'record')}."
    return paragraphs(index_front(title, LEADS[kind]), lead, body) + "\n"


# -- methods -------------------------------------------------------------------------------------------------------------------------------


def methods(site: Site) -> str:
    """Methods by formulation family; what belongs to none comes last."""
    groups: dict[str, list[Method]] = defaultdict(list)
    for method in site.of_kind("method"):
        families = [s.fact.object for s in site.outgoing(method.id, "belongs-to") if s.edges]
        groups[families[0] if families else ""].append(method)
    parts = []
    for family in [record.id for record in by_equation(site, "formulation-family")] + [""]:
        members = groups.get(family, [])
        full, stubs = [m for m in members if m.status == "full"], [m for m in members if m.status == "stub"]
        if not members:
            continue
        if family:
            record = site.records[family]
            lead = f"{first_paragraph(record.summary)} [The family]({address(record)}){{ .more }}"
            title = escape(record.name)
        else:
            title, lead = "Outside the seven families", "Interaction indices and other methods that no source puts into a formulation family."
        rest = "Also named by a source, not yet written: " + ", ".join(to(stub) for stub in stubs) if stubs else ""
        parts.append(section(title, paragraphs(lead, method_index.rows(site, full), rest), anchor=family or "other"))
    return paragraphs(*parts)


def by_equation(site: Site, kind: str) -> list[Any]:
    """Families in the order of their equations, which is that of the survey's tables."""
    return sorted(site.of_kind(kind), key=lambda record: _natural(record.equation))


# -- theory --------------------------------------------------------------------------------------------------------------------------------


def families(kind: str) -> Any:
    """Families with their equation and members."""

    def body(site: Site) -> str:
        def extra(record: Any) -> str:
            relation = "belongs-to" if kind == "formulation-family" else "reformulates-as"
            members = [s for s in site.incoming(record.id, relation) if s.edges]
            names = together(
                f"[{escape(short(site.records[s.fact.subject]))}]({address(site.records[s.fact.subject], s.anchor)}){mark_of(s)}" for s in members
            )
            return paragraphs(f'<div class="equation" markdown="span">$${" ".join(record.formula.split())}$$</div>', names)

        return box("wide", cards(site, by_equation(site, kind), extra))

    return body


def grouped(kind: str, attribute: str, order: Sequence[str]) -> Any:
    """Records grouped by the value of a field."""

    def body(site: Site) -> str:
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in site.of_kind(kind):
            groups[str(getattr(record, attribute))].append(record)
        known = [value for value in order if value in groups] + sorted(value for value in groups if value not in order)
        return paragraphs(*(section(value[0].upper() + value[1:], cards(site, groups[value])) for value in known))

    return body


def rationales(site: Site) -> str:
    """Rationales by paradigm."""
    parts = []
    for paradigm in site.of_kind("paradigm"):
        members = [site.records[s.fact.subject] for s in site.incoming(paradigm.id, "in-paradigm")]
        lead = f"{first_paragraph(paradigm.summary)} [The paradigm]({address(paradigm)}){{ .more }}"
        parts.append(section(escape(paradigm.name), paragraphs(lead, cards(site, members)), anchor=paradigm.id))
    return paragraphs(*parts)


def evaluations(site: Site) -> str:
    """Evaluations as a table."""
    rows = []
    for record in site.of_kind("evaluation"):
        families_ = ", ".join(to(site.records[claim.to]) for claim in record.evaluates)
        principles = ", ".join(to(site.records[claim.to]) for claim in record.tests)
        verdicts = ", ".join(dict.fromkeys(verdict.verdict for verdict in record.verdicts))
        rows.append([to(record), families_, principles, escape(verdicts)])
    return box("scroll", table(["Evaluation", "Methods of", "Principle", "Verdicts it holds"], rows)) if rows else ""


def theorems(site: Site) -> str:
    """Theorems by type, with standing and run."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for record in site.of_kind("theorem"):
        groups[record.type].append(record)
    parts = []
    for type_ in ("theorem", "proposition", "equivalence", "uniqueness", "definition", "claim"):
        rows = []
        for record in sorted(groups.get(type_, []), key=lambda r: _natural(r.name)):
            evidence = site.evidence_of(record)
            marks = literature_badge(record.standing) + (" " + run_badge(evidence.status) if evidence else "")
            rows.append([to(record), first_paragraph(record.summary), marks])
        heading = {"equivalence": "Equivalences", "uniqueness": "Uniqueness results", "claim": "Claims made without proof"}.get(
            type_, type_.capitalize() + "s"
        )
        parts.append(section(heading, box("scroll", table(["Statement", "What it says", "Standing"], rows)) if rows else "", anchor=type_))
    return paragraphs(*parts)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part.casefold() for part in re.split(r"(\d+)", name)]


def symbols(site: Site) -> str:
    """Symbols as a table; the notation page has more."""
    rows = [[f'[{inline_math(r.symbol)}]({address(r)} "{attribute(r.name)}")', f"{to(r)} – {one_line(r.summary)}"] for r in site.of_kind("symbol")]
    return paragraphs("[Notation side by side](@/tables/notation.md)", box("scroll", table(["Symbol", "Meaning"], rows)) if rows else "")


def libraries(site: Site) -> str:
    """Libraries against methods."""
    rows = []
    for record in site.of_kind("library"):
        methods_ = ", ".join(to(site.records[item.method], text=short(site.records[item.method])) for item in record.provides)
        rows.append([f"{to(record)} {escape(record.version)}", code(record.package), escape(record.licence), methods_])
    return box("scroll", table(["Library", "Package", "Licence", "Methods it has"], rows)) if rows else ""


def sources(site: Site) -> str:
    """Sources with the number of records that cite them."""
    rows = []
    for record in site.of_kind("source"):
        citing = {other.id for records in site.coverage.get(record.id, {}).values() for other in records} - {record.id}
        rows.append([to(record), escape(record.form), first_paragraph(record.summary), str(len(citing))])
    return box("scroll", table(["Source", "Form", "What it is", "Records that cite it"], rows)) if rows else ""


SEVERITIES = ("serious", "substantive", "minor", "cosmetic")
SEVERITY_MEANS = {
    "serious": "a statement that is false or undefined as printed",
    "substantive": "changes what is claimed of a method",
    "minor": "needs a second look",
    "cosmetic": "a slip no reader trips over",
}


def discrepancies(site: Site) -> str:
    """Discrepancies by severity, then type, after a table of counts whose cells lead to the groups."""
    counts: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for record in site.of_kind("discrepancy"):
        counts[record.severity, record.type].append(record)
    types = sorted({type_ for _, type_ in counts})
    rows = []
    for type_ in types:
        sizes = [len(counts.get((severity, type_), ())) for severity in SEVERITIES]
        links = [f"[{size}](#{severity}-{type_})" if size else "" for severity, size in zip(SEVERITIES, sizes, strict=True)]
        rows.append([type_, *links, str(sum(sizes))])
    totals = [str(sum(record.severity == severity for record in site.of_kind("discrepancy"))) for severity in SEVERITIES]
    rows.append(["all", *totals, str(len(site.of_kind("discrepancy")))])
    head = ["Type", *(f"[{s}](#{s})" for s in SEVERITIES), "All"]
    parts = [box("scroll numbers", table(head, rows)) if types else ""]
    for severity in SEVERITIES:
        groups = []
        for type_ in types:
            records = counts.get((severity, type_), [])
            items = [f"{to(record)} – {first_paragraph(record.summary)}" for record in records]
            groups.append(section(type_.capitalize(), bullets(items), level=3, anchor=f"{severity}-{type_}"))
        body = paragraphs(*groups)
        if body:
            lead = f"{badge(severity, f'severity {css_of(severity)}')} {SEVERITY_MEANS[severity]}"
            parts.append(section(severity.capitalize(), paragraphs(lead, body), anchor=severity))
    return paragraphs(*parts)


SPECIAL: dict[str, Any] = {
    "method": methods,
    "formulation-family": families("formulation-family"),
    "reformulation-family": families("reformulation-family"),
    "rationale": rationales,
    "principle": grouped("principle", "category", ("faithfulness", "robustness")),
    "axiom": grouped("axiom", "tradition", ("game theory", "SHAP", "path methods")),
    "evaluation": evaluations,
    "theorem": theorems,
    "insight": grouped(
        "insight", "type", ("insight", "guidance", "trap", "limitation", "open problem", "framework claim", "contribution", "motivation")
    ),
    "symbol": symbols,
    "library": libraries,
    "source": sources,
    "discrepancy": discrepancies,
}
LEADS["discrepancy"] = (
    "Places in the sources that disagree, or that cannot be right as printed; each with both locators and what it means for the reader."
)
FOLDERS = {kind: cls.folder for kind, cls in KINDS.items()}
