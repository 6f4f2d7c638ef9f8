"""Parts that several kinds of page share."""

from __future__ import annotations

import json
from collections.abc import Sequence

from atlas_pages import api, source_code
from atlas_pages.context import Site
from atlas_pages.markup import attribute, box, code, display_math, escape, inline_math, link, one_line, paragraphs, section, table
from taxonomy.records import Record
from taxonomy.records.document import Grid
from taxonomy.records.method import Symbol

# Singular and plural of each kind, as pages write them.
KIND_NAMES = {
    "method": ("method", "Methods"), "formulation-family": ("formulation family", "Formulation families"),
    "reformulation-family": ("reformulation family", "Reformulation families"), "group": ("group", "Groups"),
    "paradigm": ("paradigm", "Paradigms"), "rationale": ("rationale", "Rationales"), "principle": ("principle", "Principles"),
    "axiom": ("axiom", "Axioms"), "evaluation": ("evaluation", "Evaluations"), "theorem": ("mathematical statement", "Theorems and equivalences"),
    "example": ("worked example", "Worked examples"), "metric": ("metric", "Metrics"), "study": ("study", "Studies"),
    "insight": ("insight", "Insights and guidance"), "discrepancy": ("discrepancy", "Discrepancies"), "symbol": ("symbol", "Notation"),
    "source": ("source", "Sources"), "library": ("library", "Libraries"),
}  # fmt: skip


def front_matter(*, title: str, description: str = "", hide: Sequence[str] = (), boost: float = 1, tags: Sequence[str] = ()) -> str:
    """YAML before a page; JSON strings are valid YAML, whatever they contain. Search puts a match in `tags` first."""
    lines = [f"title: {json.dumps(title, ensure_ascii=False)}"]
    if description:
        lines.append(f"description: {json.dumps(shorten(description, 300), ensure_ascii=False)}")
    if hide:
        lines += ["hide:", *(f"  - {item}" for item in hide)]
    if tags:
        lines += ["tags:", *(f"  - {json.dumps(tag, ensure_ascii=False)}" for tag in tags)]
    if boost != 1:
        lines += ["search:", f"  boost: {boost}"]
    return "---\n" + "\n".join(lines) + "\n---"


def shorten(text: str, most: int) -> str:
    """At most so many characters, cut between words."""
    if len(text) <= most:
        return text
    return text[:most].rsplit(" ", 1)[0].rstrip(",;:.") + " …"


def index_front(title: str, description: str = "", *, hide: Sequence[str] = ()) -> str:
    """Front matter and heading of a page that is in the menu."""
    return paragraphs(front_matter(title=title, description=description, hide=hide), f"# {escape(title)}")


def formula(latex: str | None, symbols: Sequence[Symbol] = (), *, equation: str = "") -> str:
    """A displayed formula with its symbols explained."""
    if not latex:
        return ""
    number = f'<span class="eqno">{attribute(equation)}</span>' if equation else ""
    parts = [f'<div class="equation" markdown="span">{display_math(latex)}{number}</div>']
    if symbols:
        rows = "\n".join(f"- {inline_math(symbol.symbol)} – {one_line(symbol.meaning)}" for symbol in symbols)
        parts.append(box("symbols", rows))
    return paragraphs(*parts)


def formula_section(latex: str | None, symbols: Sequence[Symbol] = (), *, equation: str | None = None, title: str = "Formula") -> str:
    """The formula as a section."""
    return section(title, formula(latex, symbols, equation=equation or ""), anchor="formula")


def grid(values: Grid | None) -> str:
    """A small printed table."""
    if values is None:
        return ""
    return box(
        "scroll",
        table([escape(c) for c in values.columns], [[one_line(cell) if "$" in cell else escape(cell) for cell in row] for row in values.rows]),
    )


def implementation(site: Site, link_: str | None) -> str:
    """The reference implementation as an import line, with links to its entry in the API reference and to its file."""
    if not link_:
        return ""
    module, _, function = link_.partition(":")
    item, entry = source_code.find(module, function), api.entry_of(link_)
    path = item.file if item else module.replace(".", "/") + ".py"
    links = [link("Signature, parameters and examples", entry.address)] if entry else []
    if site.repository:
        links.append(f"[{code(path)}]({site.repository}/blob/main/{path})")
    return section(
        "Reference implementation", paragraphs(f"```python\nfrom {module} import {function}\n```", " · ".join(links)), anchor="implementation"
    )


def bibliography_item(site: Site, key: str) -> str:
    """A work as a reference list prints it, with a link to where it can be read."""
    entry = site.atlas.bibliography.get(key)
    if entry is None:
        return escape(key)
    authors = ", ".join(entry.authors[:6]) + (" et al." if len(entry.authors) > 6 else "")
    text = f"{escape(authors.rstrip('.'))}. " if authors else ""
    text += f"*{escape(entry.title)}*."
    rest = ", ".join(escape(part) for part in (entry.venue, entry.year) if part)
    text += f" {rest}." if rest else ""
    if entry.url:
        label = "doi" if "doi.org" in entry.url else "arXiv" if "arxiv.org" in entry.url else "web"
        text += f" [{label}]({entry.url})"
    return f"{text} {link('entry', f'@/bibliography.md#{key}')}{{ .more }}"


def prose_section(title: str, text: str | None, *, anchor: str) -> str:
    """A text field as a section."""
    return section(title, text or "", anchor=anchor)


def named_fold(title: str, body: str, *, anchor: str) -> str:
    """A part with a name that opens on demand; a link to its anchor opens it."""
    if not body.strip():
        return ""
    return f'<details class="fold named" id="{anchor}" markdown>\n<summary>{attribute(title)}</summary>\n\n{body.strip()}\n\n</details>'


def named(records: Sequence[Record]) -> str:
    """Names of records as links, separated by commas."""
    from atlas_pages.claims import to

    return ", ".join(to(record) for record in records)
