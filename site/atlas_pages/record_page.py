"""The frame of every record page: title, summary, what its kind adds, relations, evidence, discrepancies, references, how to cite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from atlas_pages import documents, metadata, method_page, methods, theory
from atlas_pages.claims import INCOMING, OUTGOING, css_of, evidence_section, places, reference, statement_block, statement_line, to
from atlas_pages.context import Site, Statement
from atlas_pages.markup import badge, box, bullets, code, escape, first_paragraph, fold, paragraphs, plain, plural, section
from atlas_pages.neighbourhood import neighbourhood
from atlas_pages.parts import KIND_NAMES, bibliography_item, front_matter
from atlas_pages.reproductions import rerun_section
from taxonomy.records import Document, Method, Record
from taxonomy.relations import RELATIONS

Body = Callable[[Site, Record], str]
BODIES: dict[str, Body] = {**methods.BODIES, **theory.BODIES, **documents.BODIES}

# Kinds whose records are listed apart when they are about a record, with the heading.
ABOUT = {"theorem": "Theorems and equivalences about it", **method_page.ABOUT}
MOST_LISTED = 40
SEVERITIES = ("serious", "substantive", "minor", "cosmetic")


def record_page(site: Site, record: Record) -> str:
    """The page of a record as Markdown; that of a method has its own order of sections."""
    return paragraphs(_head(site, record), _method(site, record) if isinstance(record, Method) else _sections(site, record)) + "\n"


def _head(site: Site, record: Record) -> str:
    return paragraphs(
        front_matter(
            title=record.title,
            description=plain(first_paragraph(record.summary)),
            hide=["navigation"],
            boost=_boost(record),
            tags=[*([record.abbreviation] if isinstance(record, Method) and record.abbreviation else []), *record.aliases],
        ),
        crumbs(record),
        f"# {escape(record.title)}",
        _kind_line(site, record),
        _stub_note(record),
        f'<div class="lead" markdown>\n\n{record.summary.strip()}\n\n</div>',
    )


def _method(site: Site, record: Method) -> str:
    shared = {
        "discrepancies": method_page.discrepancies(_discrepancies(site, record)),
        "references": method_page.references(site, record, _references(site, record)),
        "cite": cite(site, record),
    }
    return paragraphs(method_page.opening(site, record), method_page.body(site, record, shared))


def _sections(site: Site, record: Record) -> str:
    return paragraphs(
        neighbourhood(site, record),
        BODIES[record.kind](site, record),
        rerun_section(site, record),
        section("What it says of other records", _outgoing(site, record), anchor="standing"),
        section("What it is about", _concerns(site, record), anchor="concerns"),
        section("What points here", _incoming(site, record), anchor="incoming", searched=False),
        section("Evidence", _evidence(site, record), anchor="evidence"),
        section("Discrepancies in the sources", _listed(_discrepancies(site, record)), anchor="discrepancies", searched=False),
        section("Where the sources speak of it", box("data", places(site, record.sources)) if record.sources else "", anchor="sources"),
        section("References", _listed(_references(site, record)), anchor="references", searched=False),
        section("Cite this page", cite(site, record), anchor="cite", searched=False),
    )


def record_json(record: Record) -> str:
    """The record as the JSON file beside its page."""
    return json.dumps(record.as_json(), indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def crumbs(record: Record) -> str:
    """The way back: home and the index of the kind."""
    return f"[Atlas](@/index.md) / [{KIND_NAMES[record.kind][1]}](@/{record.folder}/index.md)\n{{ .crumbs }}"


def _boost(record: Record) -> float:
    return {"method": 4, "formulation-family": 2, "reformulation-family": 2, "principle": 2, "axiom": 2, "rationale": 2}.get(record.kind, 1)


def _kind_line(site: Site, record: Record) -> str:
    parts = [f'<span class="kind">{KIND_NAMES[record.kind][0]}</span>']
    if record.status == "stub":
        parts.append(badge("stub", "stub", title="Named by a source, not yet written"))
    shown = {record.name.casefold(), (getattr(record, "abbreviation", None) or "").casefold()}
    others = [alias for alias in record.aliases if alias.casefold() not in shown]
    if others:
        parts.append("also " + ", ".join(map(escape, others)))
    key = getattr(record, "reference", None)
    if key:
        parts.append(f"introduced by {reference(site, key)}" if isinstance(record, Method) else reference(site, key))
    return " · ".join(parts) + "\n{ .kindline }"


def _stub_note(record: Record) -> str:
    if record.status != "stub":
        return ""
    return box("note stub", "This record is a stub: a source names it, and nobody has written it up yet. [All stubs](@/findings/stubs.md)")


# -- relations -----------------------------------------------------------------------------------------------------------------------------


def _outgoing(site: Site, record: Record) -> str:
    parts = []
    for relation in RELATIONS:
        statements = site.outgoing(record.id, relation)
        if not statements or relation == "concerns":
            continue
        said = [statement_block(site, s) for s in statements if s.edges or s.evidence]
        derived = [s for s in statements if not (s.edges or s.evidence)]
        body = paragraphs(*said, *_derived(site, derived, said=bool(said)))
        parts.append(section(OUTGOING[relation], body, level=3, anchor=relation))
    return paragraphs(*parts)


def _concerns(site: Site, record: Record) -> str:
    others = [site.records[s.fact.object] for s in site.outgoing(record.id, "concerns")]
    return box("data", bullets(f"{to(other, text=other.title)} ({KIND_NAMES[other.kind][0]})" for other in others)) if others else ""


def _derived(site: Site, statements: Sequence[Statement], *, said: bool) -> Iterable[str]:
    if not statements:
        return
    blocks = paragraphs(*(statement_block(site, s) for s in statements))
    # A folded block still opens when a link leads to one of its anchors.
    if len(statements) > 4 or said:
        yield fold(f"{plural(len(statements), 'more fact')} by deduction", blocks, opened=not said)
    else:
        yield blocks


def _incoming(site: Site, record: Record) -> str:
    parts = []
    for relation in RELATIONS:
        if relation == "concerns":
            continue
        if RELATIONS[relation].symmetric:
            continue
        statements = site.incoming(record.id, relation)
        said = [statement_line(site, s, end="subject") for s in statements if s.edges or s.evidence]
        derived = [statement_line(site, s, end="subject") for s in statements if not (s.edges or s.evidence)]
        body = paragraphs(bullets(said), fold(f"{len(derived)} more by deduction", bullets(derived)) if derived else "")
        parts.append(section(INCOMING[relation], body, level=3, anchor=RELATIONS[relation].inverse, searched=False))
    for kind, heading in ABOUT.items():
        items = [f"{to(other, text=other.title)} – {first_paragraph(other.summary)}" for other in site.about(record.id, kind)]
        body = bullets(items) if len(items) <= MOST_LISTED else fold(plural(len(items), "record"), bullets(items))
        parts.append(section(heading, body, level=3, anchor=f"about-{kind}", searched=False))
    return box("data", paragraphs(*parts)) if any(parts) else ""


def _evidence(site: Site, record: Record) -> str:
    body = evidence_section(site, record)
    if not body and record.check:
        body = f"The check {code(record.check)} exists; its result is not recorded yet."
    if record.unchecked:
        body = paragraphs(body, f"**No run:** {record.unchecked.strip()}")
    return body


def _discrepancies(site: Site, record: Record) -> list[str]:
    """The discrepancies about a record, the gravest first."""
    if record.kind == "discrepancy":
        return []
    found = sorted(site.about(record.id, "discrepancy"), key=lambda other: SEVERITIES.index(_severity(other)))
    return [f"{badge(_severity(other), f'severity {css_of(_severity(other))}')} {to(other)} – {first_paragraph(other.summary)}" for other in found]


def _listed(lines: Sequence[str]) -> str:
    return box("data", bullets(lines)) if lines else ""


def _severity(record: Record) -> str:
    return str(getattr(record, "severity", "minor"))


# -- references ----------------------------------------------------------------------------------------------------------------------------


def _references(site: Site, record: Record) -> list[str]:
    """The works that a record cites; the one that introduced a method first."""
    keys = site.keys_of(record)
    first = record.reference if isinstance(record, Method) else None
    return [bibliography_item(site, key) for key in sorted(keys, key=lambda key: key != first)]


def cite(site: Site, record: Record) -> str:
    """BibTeX for the page, and the record's other forms."""
    path = f"kb/{record.folder}/{record.id}.yaml"
    source = f"{site.repository}/blob/main/{path}" if site.repository else ""
    forms = [f"[the record as JSON](@/{record.folder}/{record.id}.json)"]
    if source:
        forms.insert(0, f"[edit {code(path)}]({source.replace('/blob/', '/edit/')})")
        forms.insert(1, f"[its source]({source})")
    works = "" if isinstance(record, Document) else "The works it draws on are listed above; cite them for their results."
    entry = metadata.bibtex(site, f"{record.folder}/{record.id}", record.title, source)
    return paragraphs(f"```bibtex\n{entry}\n```", works, "This record: " + " · ".join(forms))
