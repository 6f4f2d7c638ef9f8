"""The table of methods on their index: what each needs and costs, how it can be rewritten, and how its claims stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from atlas_pages.claims import RUN, css_of, mark_of, short, to
from atlas_pages.context import TESTABLE, Site, address
from atlas_pages.markup import attribute, box, escape, first_paragraph, plain, table, together
from atlas_pages.methods import MODEL
from atlas_pages.parts import shorten
from taxonomy.guide.cost import evaluations
from taxonomy.guide.ruling import count
from taxonomy.records import Method

HEAD = ("Method", "Needs", "Evaluations, 10 features", "Can be rewritten as", "Claims, as run")
FEATURES = 10
SHOWN = ("holds", "holds under condition", "fails")
LONGEST = 130


def rows(site: Site, methods: Sequence[Method]) -> str:
    """Methods as a table, one row each."""
    return box("scroll method-index", table(HEAD, [_row(site, method) for method in methods])) if methods else ""


def _row(site: Site, method: Method) -> list[str]:
    cost = evaluations(method, FEATURES)
    # A name in bold, below it what the method does; both in one cell, so that the table fits a page.
    line = shorten(plain(first_paragraph(method.summary)), LONGEST)
    return [
        f"**{to(method, text=method.title)}**<br><small>{escape(line)}</small>",
        _needs(method) or "–",
        count(cost) if cost is not None else "–",
        _forms(site, method) or "–",
        _claims(site, method) or "–",
    ]


def _needs(method: Method) -> str:
    """Access, kind of model and baseline, one below the other."""
    needs = method.needs
    if needs is None:
        return ""
    return "<br>".join((needs.access, MODEL[needs.model], f"baseline: {needs.baseline}", *(["training"] if needs.training else [])))


def _forms(site: Site, method: Method) -> str:
    forms = [s for s in site.outgoing(method.id, "reformulates-as") if s.edges]
    return together(f"[{escape(short(site.records[s.fact.object]))}]({address(method, s.anchor)}){mark_of(s)}" for s in forms)


def _claims(site: Site, method: Method) -> str:
    """How many of its claims hold, hold under a condition, and fail."""
    found = Counter(s.run for s in site.outgoing(method.id) if s.fact.relation in TESTABLE)
    marks = []
    for run in SHOWN:
        if found[run]:
            name, meaning = RUN[run]
            hidden = f'<span class="sr"> {attribute(name.removeprefix("run: "))}</span>'
            marks.append(f'<span class="mark {css_of(run)}" title="{attribute(meaning)}"> {found[run]}{hidden}</span>')
    return " ".join(marks)
