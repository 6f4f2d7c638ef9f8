"""The page of a method: one order of sections for all, from the summary to how to cite it, each left out only where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

from atlas_pages import implementations, method_code, method_use, methods, pictures
from atlas_pages.claims import (
    INCOMING,
    OUTGOING,
    badges_with_audit,
    css_of,
    evidence_block,
    forms_of,
    mark_or_audit,
    places,
    short,
    statement_details,
    statement_line,
    to,
)
from atlas_pages.context import Site, Statement
from atlas_pages.drawn_evidence import figures_of
from atlas_pages.markup import attribute, box, bullets, escape, first_paragraph, fold, paragraphs, plural, section
from atlas_pages.neighbourhood import neighbourhood
from atlas_pages.notation import explained
from atlas_pages.parts import KIND_NAMES, formula, named_fold
from taxonomy.records import Method
from taxonomy.relations import RELATIONS

SECTIONS = {
    "formula": "Formula", "picture": "Picture", "use": "When to use it and when not", "standing": "Where it stands", "costs": "What it costs",
    "code": "Code", "libraries": "In other libraries", "equivalences": "Equivalences", "discrepancies": "Discrepancies in the sources",
    "references": "References", "cite": "Cite this page",
}  # fmt: skip
"""Anchors and headings in the order of every method page; the summary and the facts stand above them."""
SAME = ("equivalent-to", "special-case-of", "approximates")
"""Relations between methods that say how their numbers are related."""
# What the short overview calls the relations that it shows.
GLANCE = {
    "belongs-to": "Formulated as", "reformulates-as": "Can be rewritten as", "grounded-in": "Rests on", "satisfies": "Satisfies",
    "violates": "Violates", "context-dependent": "Depends on the context",
}  # fmt: skip
MOST_AT_A_GLANCE = 8
MOST_LISTED = 4
ABOUT = {
    "example": "Worked examples",
    "study": "Studies",
    "metric": "Metrics",
    "insight": "Insights, guidance and open problems",
    "symbol": "Notation",
}


def opening(site: Site, record: Method) -> str:
    """What stands above the first heading, after the summary: facts and standing at a glance."""
    return paragraphs(methods.facts(record), glance(site, record), methods.beside(record))


def body(site: Site, record: Method, shared: dict[str, str]) -> str:
    """All sections in order; `shared` has the text of those that every kind of record has."""
    texts = {
        "formula": _formula(record),
        "picture": paragraphs(pictures.of_method(site, record.id), figures_of(site, record)),
        "use": method_use.use(site, record),
        "standing": _standing(site, record),
        "costs": method_use.costs(site, record),
        "code": method_code.code_of(site, record),
        "libraries": implementations.in_libraries(site, record),
        "equivalences": _equivalences(site, record),
        **shared,
    }
    unsearched = {"discrepancies", "references", "cite"}
    return paragraphs(*(section(title, texts[anchor], anchor=anchor, searched=anchor not in unsearched) for anchor, title in SECTIONS.items()))


def _formula(record: Method) -> str:
    if not record.formula:
        return ""
    idea = section("The idea", record.idea or "", level=3, anchor="idea")
    return paragraphs(formula(record.formula, explained(record.formula, record.symbols)), idea)


# -- where it stands -----------------------------------------------------------------------------------------------------------------------


def glance(site: Site, record: Method) -> str:
    """One row for each relation to a family, a rationale, a principle or an axiom; every entry leads to its claim below."""
    rows = []
    for relation, name in GLANCE.items():
        statements = site.outgoing(record.id, relation)
        if not statements:
            continue
        # What is said or was run comes first; of what merely follows only as much as there is room for.
        known = [s for s in statements if s.edges or s.evidence]
        shown = [*known, *(s for s in statements if s not in known)][: max(MOST_AT_A_GLANCE, len(known))]
        chips = [_chip(site, statement) for statement in shown]
        if rest := len(statements) - len(shown):
            chips.append(f'<a class="chip rest" href="#{relation}">and {rest} more</a>')
        rows.append(f"<div><dt>{attribute(name)}</dt><dd>{' '.join(chips)}</dd></div>")
    return f'<dl class="glance" data-search-exclude>{"".join(rows)}</dl>' if rows else ""


def _chip(site: Site, statement: Statement) -> str:
    target = site.records[statement.fact.object]
    css = "chip" if statement.edges or statement.evidence else "chip derived"
    return f'<a class="{css}" href="#{statement.anchor}">{mark_or_audit(site, statement)}{attribute(short(target))}</a>'


def _standing(site: Site, record: Method) -> str:
    parts = [_group(site, record, name) for name in RELATIONS if name not in (*SAME, "concerns")]
    said = site.outgoing(record.id, "concerns")
    about = bullets(to(site.records[s.fact.object]) for s in said)
    return paragraphs(
        neighbourhood(site, record),
        *parts,
        methods.verdicts_section(site, record),
        section("What it is about", box("data", about), level=3, anchor="concerns") if about else "",
        _incoming(site, record),
    )


def _group(site: Site, record: Method, relation: str) -> str:
    statements = site.outgoing(record.id, relation)
    said = [_claim(site, s) for s in statements if s.edges or s.evidence]
    derived = [_claim(site, s) for s in statements if not (s.edges or s.evidence)]
    # A folded claim still opens when a link leads to it.
    rest = fold(f"{plural(len(derived), 'more fact' if said else 'fact')} by deduction", paragraphs(*derived)) if derived else ""
    return section(OUTGOING[relation], paragraphs(*said, rest), level=3, anchor=relation)


def _claim(site: Site, statement: Statement) -> str:
    """A claim on one line, which opens to what a run found, who says it, and the evidence."""
    target = site.records[statement.fact.object]
    forms = "; ".join(forms_of(statement))
    line = f"**{escape(target.title)}** {badges_with_audit(site, statement)}" + (f" <small>{forms}</small>" if forms else "")
    evidence = ""
    if statement.evidence is not None:
        evidence = fold("Evidence", evidence_block(site, statement.evidence, anchor=f"evidence-{statement.anchor}"))
    where = f"{KIND_NAMES[target.kind][0].capitalize()}: {to(target)}"
    inside = paragraphs(*statement_details(site, statement), evidence, where)
    opening_tag = f'<details class="claim {css_of(statement.run)}" id="{statement.anchor}" markdown>'
    return f'{opening_tag}\n<summary markdown="span">{line}</summary>\n\n{inside}\n\n</details>'


def _incoming(site: Site, record: Method) -> str:
    """What other records say of it, folded; how other methods' numbers are related to its own stands under the equivalences."""
    lists = [
        (INCOMING[name], _lines(site, site.incoming(record.id, name)), RELATIONS[name].inverse)
        for name in RELATIONS
        if name not in (*SAME, "concerns", "provides") and not RELATIONS[name].symmetric
    ]
    lists += [(heading, _about(site, record, kind), f"about-{kind}") for kind, heading in ABOUT.items()]
    filled = [(heading, items, anchor) for heading, items, anchor in lists if items]
    if not filled:
        return ""
    count = sum(len(items) for _, items, _ in filled)
    inside = box("data", paragraphs(*(_list(heading, items, anchor) for heading, items, anchor in filled)))
    return named_fold(f"What points here: {plural(count, 'statement or record', 'statements and records')}", inside, anchor="incoming")


def _list(heading: str, items: Sequence[str], anchor: str) -> str:
    # No headings: they would fill the table of contents with what is folded.
    return f'<p class="list-title" id="{anchor}">{attribute(heading)}</p>\n\n{bullets(items)}'


def _lines(site: Site, statements: Sequence[Statement]) -> list[str]:
    return [statement_line(site, s, end="subject") for s in statements]


def _about(site: Site, record: Method, kind: str) -> list[str]:
    return [f"{to(other, text=other.title)} – {first_paragraph(other.summary)}" for other in site.about(record.id, kind)]


# -- equivalences, references --------------------------------------------------------------------------------------------------------------


def _equivalences(site: Site, record: Method) -> str:
    """Methods with the same numbers, in general or in special cases, and the theorems about it."""
    backward = [
        section(INCOMING[name], bullets(items), level=3, anchor=RELATIONS[name].inverse, searched=False)
        for name in SAME
        if not RELATIONS[name].symmetric and (items := _lines(site, site.incoming(record.id, name)))
    ]
    theorems = _about(site, record, "theorem")
    text = paragraphs(
        *(_group(site, record, name) for name in SAME),
        box("data", paragraphs(*backward)) if backward else "",
        named_fold(f"{plural(len(theorems), 'theorem')} about it", box("data", bullets(theorems)) if theorems else "", anchor="about-theorem"),
    )  # fmt: skip
    # The picture of the neighbourhood leads to what points here, wherever that is listed.
    anchored = "" if not (backward or theorems) or _incoming(site, record) else '<span id="incoming"></span>'
    return paragraphs(anchored, text)


def discrepancies(lines: Sequence[str]) -> str:
    """The discrepancies between sources that concern the method, the gravest first, of many the others folded."""
    return _some(lines, "discrepancy", "discrepancies")


def references(site: Site, record: Method, works: Sequence[str]) -> str:
    """The works, and where the sources speak of the method."""
    where = fold("Where the sources speak of it", box("data", places(site, record.sources))) if record.sources else ""
    return paragraphs(_some(works, "work", "works"), f'<div id="sources" markdown>\n\n{where}\n\n</div>' if where else "")


def _some(lines: Sequence[str], noun: str, nouns: str) -> str:
    if not lines:
        return ""
    first, rest = lines[:MOST_LISTED], lines[MOST_LISTED:]
    if len(rest) < 2:
        first, rest = lines, []
    more = fold(f"{plural(len(rest), f'more {noun}', f'more {nouns}')}", box("data", bullets(rest))) if rest else ""
    return paragraphs(box("data", bullets(first)), more)
