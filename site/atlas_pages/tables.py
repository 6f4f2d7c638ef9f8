"""The survey's Tables I-VII and Fig. 4, generated from the records; every cell leads to the record or the claim behind it."""

from __future__ import annotations

from typing import Any

from atlas_pages.as_run import as_run
from atlas_pages.claims import RUN, css_of, mark_of, places, run_badge, short, to
from atlas_pages.context import SURVEY, Site, Statement, address, html_address, slug, statement_address, table_page
from atlas_pages.markup import attribute, box, display_math, escape, inline_math, link, one_line, paragraphs, table, together
from atlas_pages.parts import index_front
from atlas_pages.theory import judged
from taxonomy.deduction import Fact

TITLES = {
    "I": ("Notation", "The symbols of both papers, and where each of them defines them."),
    "II": ("Table II: formulation families", "Methods that are designed with the same formula."),
    "III": ("Table III: reformulation families", "Methods that can be rewritten in the same form."),
    "IV": ("Table IV: rationales", "The reasons why a method should measure importance."),
    "V": ("Table V: limits of the rationales", "Concerns about four of the rationales."),
    "VI": ("Table VI: evaluations", "Which methods satisfy and which violate a principle."),
    "VII": ("Table VII: violated principles", "Methods that violate principles of faithfulness."),
    "figure-4": ("Fig. 4: methods and reformulations", "Which methods, grouped by their formulation, can be rewritten in which forms."),
}
VIEW_NOTE = (
    "Generated from the records, row by row and label by label as printed; each entry leads to the claim, with its sources and the result of "
    "running it."
)


def statement_of(site: Site, claim: str) -> Statement:
    """The statement with a claim id."""
    subject, relation, object_ = claim.split("/")
    return site.statements[Fact(subject, relation, object_)]


def _method(site: Site, cell: dict[str, Any]) -> str:
    statement = statement_of(site, cell["claim"])
    refs = "".join(_reference(site, number) for number in cell["ref"])
    return f"{link(cell['printed'], statement_address(site, statement))}{mark_of(statement)}{refs}"


def _reference(site: Site, number: int) -> str:
    key = site.numbered(SURVEY, number)
    return f" [\\[{number}\\]](@/bibliography.md#{key}){{ .ref }}" if key else f" \\[{number}\\]"


def _methods(site: Site, cells: list[dict[str, Any]]) -> str:
    return together(_method(site, cell) for cell in cells) or "–"


def printed(head: list[str], rows: list[tuple[str, list[str]]], *, css: str = "") -> str:
    """A table of Markdown cells with an anchor per row."""
    lines = [[f'<span id="{anchor}" class="row"></span>{first}', *rest] for anchor, (first, *rest) in rows]
    return box(f"scroll printed {css}".strip(), table(head, lines))


def page(site: Site, name: str, body: str, *, note: str = VIEW_NOTE) -> str:
    """A table's page."""
    title, description = TITLES[name]
    legend = "" if name in {"I", "V"} else LEGEND
    run = as_run(site, name)
    return (
        paragraphs(
            index_front(title, description, hide=["navigation", "toc"] if name != "I" else ["navigation"]),
            f"{description} {note}" + (" [What the runs found, cell by cell](#as-run)" if run else ""),
            body,
            legend,
            run,
        )
        + "\n"
    )


LEGEND = box("legend", "What a run found: " + " ".join(run_badge(s) for s in ("holds", "holds under condition", "fails", "empirical", "definitional"))
             + " – an entry without a mark has not been run. [How to read this](@/reading.md)")  # fmt: skip


def families(site: Site, name: str, kind: str) -> str:
    """Tables II and III."""
    rows = []
    for row in site.atlas.table(name):
        record = site.records[row["family"]]
        refs = "".join(_reference(site, number) for number in row["ref"])
        formula = f"{display_math(row['formula'])}[{escape(row['equation'])}]({address(record, 'formula')}){{ .eqno }}"
        difference = f"{one_line(row['key-difference'])} [more]({address(record, 'key-difference')}){{ .more }}"
        rows.append((f"row-{slug(row['row'])}", [f"{to(record, text=row['row'])}{refs}", formula, _methods(site, row["methods"]), difference]))
    return page(site, name, printed([kind, "Unified formula", "Methods as printed", "What tells them apart"], rows, css="families"))


def rationales(site: Site) -> str:
    """Table IV."""
    rows = []
    for row in site.atlas.table("IV"):
        record = site.records[row["rationale"]]
        methods = [_method(site, cell) for cell in row["methods"]]
        for family in row["all-members-of"]:
            statement = statement_of(site, f"{record.id}/grounds-members-of/{family}")
            methods.append(f"all methods of {link(site.records[family].name, statement_address(site, statement))}")
        underlain = [statement_of(site, f"{record.id}/underlies/{family}") for family in row["families"]]
        linked = [link(site.records[s.fact.object].name, statement_address(site, s)) for s in underlain]
        refs = "".join(_reference(site, number) for number in row["ref"])
        gist = f"{one_line(row['summary'])} [more]({address(record, 'gist')}){{ .more }}"
        cells = [f"{to(record, text=row['row'])}{refs}", gist, together(methods) or "–", ", ".join(linked) or "–"]
        rows.append((f"row-{slug(row['row'])}", cells))
    return page(site, "IV", printed(["Rationale", "In short", "Methods as printed", "Families"], rows))


def limitations(site: Site) -> str:
    """Table V."""
    rows = []
    for row in site.atlas.table("V"):
        record = site.records[row["rationale"]]
        texts = [one_line(item["text"]) + "".join(_reference(site, number) for number in item["ref"]) for item in row["limitations"]]
        rows.append(
            (f"row-{slug(row['row'])}", [to(record, text=row["row"]), "<br>".join(texts) + f" [more]({address(record, 'limitations')}){{ .more }}"])
        )
    return page(site, "V", printed(["Rationale", "Concerns"], rows))


def _cell(site: Site, row: dict[str, Any], verdict: str) -> str:
    found = row["verdicts"].get(verdict)
    record: Any = site.records[row["evaluation"]]
    number = next((n for n, item in enumerate(record.verdicts, 1) if item.verdict == verdict), 1)
    target = address(record, f"verdict-{number}")
    if found is None:
        return f"[–]({target})"
    if found["quantifier"] != "named":
        return link("all methods" if found["quantifier"] == "all" else "all others", target)
    if found["none"]:
        return f"[–]({target})"
    return together(judged(site, record, verdict, method, short(site.records[method])) for method in found["methods"]) or f"[–]({target})"


def evaluations(site: Site) -> str:
    """Table VI."""
    rows = []
    for row in site.atlas.table("VI"):
        record = site.records[row["evaluation"]]
        principles = ", ".join(to(site.records[p]) for p in row["principles"])
        refs = "".join(_reference(site, number) for number in row["ref"])
        context = row["verdicts"].get("context-dependent")
        if context is not None:
            number = next(n for n, item in enumerate(record.verdicts, 1) if item.verdict == "context-dependent")  # type: ignore[attr-defined]
            satisfied = f"[depends on {', '.join(escape(d) for d in context['depends-on']) or 'the context'}]({address(record, f'verdict-{number}')})"
            violated = satisfied
        else:
            satisfied, violated = _cell(site, row, "satisfies"), _cell(site, row, "violates")
        families_ = ", ".join(to(site.records[f]) for f in row["families"])
        rows.append(
            (f"row-{slug(row['row'])}", [f"{to(record, text=row['row'])}{refs}", families_, row["category"] or "–", principles, satisfied, violated])
        )
    return page(site, "VI", printed(["Evaluation", "Family", "Category", "Principle", "Satisfied by", "Violated by"], rows))


def violations(site: Site) -> str:
    """Table VII."""
    rows = []
    for row in site.atlas.table("VII"):
        claims = [statement_of(site, claim) for claim in row["claims"]]
        methods = ", ".join(link(cell["printed"], address(site.records[cell["id"]])) for cell in row["methods"])
        cells = []
        for principle in row["principles"]:
            behind = [s for s in claims if s.fact.object == principle]
            who = together(f"{link(short(site.records[s.fact.subject]), statement_address(site, s))}{mark_of(s)}" for s in behind)
            cells.append(f"{to(site.records[principle])}: {who}")
        rows.append((f"row-{slug(row['row'])}", [link(row["row"], f"@/sources/{SURVEY}.md#table-vii"), methods or "–", "<br>".join(cells) or "–"]))
    return page(site, "VII", printed(["Row as printed", "Methods", "Violated principles, with the claim of each method"], rows))


def figure_4(site: Site) -> str:
    """Fig. 4 as a matrix: a tick is one claim per method of the row, coloured by what the run found."""
    data = site.atlas.table("figure-4")
    if not data:
        return page(site, "figure-4", "")
    columns = list(data[0]["ticks"])
    column_of: dict[str, str] = {}
    for row in data:
        for column, cells in row["ticks"].items():
            for cell in cells:
                column_of.setdefault(column, cell["to"])
    head = "".join(f'<th scope="col">{_column(site, column, column_of.get(column))}</th>' for column in columns)
    lines = [f'<div class="scroll"><table class="matrix"><thead><tr><th scope="col">Family</th><th scope="col">Method</th>{head}</tr></thead><tbody>']
    spans = _spans([row["family"] for row in data])
    for number, row in enumerate(data):
        methods = " ".join(
            f'<a href="{_claim_html(site, cell["claim"])}" title="{attribute(site.records[cell["id"]].name)}">{attribute(cell["printed"])}</a>'
            for cell in _as_printed(row, row["methods"])
        )
        family = ""
        if number in spans:
            name = site.records[row["family"]].name if row["family"] else ""
            inner = f'<a href="{_html(site, row["family"])}">{attribute(name)}</a>' if row["family"] else ""
            family = f'<th scope="rowgroup" rowspan="{spans[number]}" class="family">{inner}</th>'
        ticks = "".join(f"<td>{''.join(_tick(site, cell) for cell in _as_printed(row, row['ticks'][c]))}</td>" for c in columns)
        css = ' class="first"' if number in spans else ""
        lines.append(f'<tr id="row-{slug(row["row"])}"{css}>{family}<th scope="row">{methods or attribute(row["row"])}</th>{ticks}</tr>')
    lines.append("</tbody></table></div>")
    return page(site, "figure-4", "\n".join(lines), note=VIEW_NOTE + " An open ring is a claim that has not been run yet.")


def _as_printed(row: dict[str, Any], cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The methods of a row, each once, in the order in which its label names them."""
    return sorted({cell["id"]: cell for cell in cells}.values(), key=lambda cell: row["row"].find(cell["printed"]))


def _html(site: Site, id_: str) -> str:
    return html_address(site.records[id_])


def _claim_html(site: Site, claim: str) -> str:
    statement = statement_of(site, claim)
    return html_address(site.records[statement.fact.subject], statement.anchor)


def _tick(site: Site, cell: dict[str, Any]) -> str:
    statement = statement_of(site, cell["claim"])
    run = statement.run if statement.evidence else "unrun"
    record, family = site.records[cell["id"]], site.records[cell["to"]]
    text = f"{cell['printed']} as {family.name}: {RUN[statement.run][0]}"
    title = attribute(f"{record.name}: {RUN[statement.run][0]}")
    target = _claim_html(site, cell["claim"])
    return f'<a class="tick {css_of(run)}" href="{target}" title="{title}"><span class="sr">{attribute(text)}</span></a>'


def _column(site: Site, column: str, family: str | None) -> str:
    return f'<a href="{_html(site, family)}">{attribute(column)}</a>' if family else attribute(column)


def _spans(families_: list[str | None]) -> dict[int, int]:
    """Where a run of equal families starts, and how long it is."""
    spans: dict[int, int] = {}
    start = 0
    for number, family in enumerate(families_):
        if number and family != families_[start]:
            start = number
        spans[start] = number - start + 1
    return spans


def notation(site: Site) -> str:
    """The symbols of both papers: first those of the survey's table as printed, then the others."""
    order = [row["id"] for row in site.atlas.table("I") if row["id"]]
    others = [record.id for record in site.of_kind("symbol") if record.id not in order]
    rows = []
    for id_ in [*dict.fromkeys(order), *others]:
        record: Any = site.records[id_]
        row = next((s.at for s in record.sources if s.work == SURVEY and s.at.startswith("Table I, row ")), "")
        anchor = f"row-{slug(row.removeprefix('Table I, row '))}" if row else record.id
        meaning = f"{to(record)} – {one_line(record.summary)}"
        rows.append(
            (anchor, [f'[{inline_math(record.symbol)}]({address(record)} "{attribute(record.name)}")', meaning, places(site, record.sources)])
        )
    note = "Where the two papers use one letter for two things, both are listed."
    return page(site, "I", printed(["Symbol", "Meaning", "Where"], rows, css="notation"), note=note)


def index(site: Site) -> str:
    """The list of tables."""
    items = [f"**[{escape(title)}](@/{table_page(name)})**\n\n{description}" for name, (title, description) in TITLES.items()]
    front = index_front("The survey's tables, alive", "Tables I-VII and Fig. 4 of the survey as views of the records.", hide=["navigation", "toc"])
    return paragraphs(front, VIEW_NOTE, box("cards", "\n\n".join(box("card", item) for item in items))) + "\n"


PAGES = {
    "I": notation,
    "II": lambda site: families(site, "II", "Formulation family"),
    "III": lambda site: families(site, "III", "Reformulation family"),
    "IV": rationales,
    "V": limitations,
    "VI": evaluations,
    "VII": violations,
    "figure-4": figure_4,
}
