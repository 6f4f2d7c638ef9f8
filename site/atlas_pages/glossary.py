"""The glossary: every symbol and every term in one sentence, each with the records that say more."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atlas_pages.claims import to
from atlas_pages.context import Site, address, slug
from atlas_pages.markup import attribute, box, escape, first_paragraph, inline_math, one_line, paragraphs, plural, section, table
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.records import Record

FILE = Path(__file__).parent.parent / "glossary.yaml"
KINDS = ("principle", "axiom", "rationale", "paradigm", "formulation-family", "reformulation-family", "group", "metric")
"""Kinds whose records are terms by themselves: their first sentence is the definition."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z$*])")


@dataclass(frozen=True)
class Term:
    """A word, its definition in one sentence of Markdown, and the records that say more."""

    name: str
    means: str
    see: tuple[Record, ...]
    kind: str = ""


@functools.cache
def _written() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def terms(site: Site) -> list[Term]:
    """The terms of the glossary file and the records that are terms, by name.

    Raises
    ------
    LookupError
        If a term names a record that does not exist, or stands in the file twice.
    """
    found = [Term(item["term"], item["means"], tuple(_record(site, item["term"], id_) for id_ in item["see"])) for item in _written()]
    names = [term.name for term in found]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise LookupError(f"{FILE.name}: {', '.join(sorted(repeated))} stands there twice")
    for kind in KINDS:
        found += [Term(record.name, first_sentence(record.summary), (record,), KIND_NAMES[kind][0]) for record in site.of_kind(kind)]
    return sorted(found, key=lambda term: (term.name.casefold(), term.kind))


def _record(site: Site, term: str, id_: str) -> Record:
    if id_ not in site.records:
        raise LookupError(f"{FILE.name}: the term {term!r} names the record {id_!r}, which does not exist")
    return site.records[id_]


def first_sentence(prose: str) -> str:
    """The first sentence of checked prose; a full stop inside a formula ends none."""
    kept = []
    for part in _SENTENCE.split(first_paragraph(prose)):
        kept.append(part)
        if " ".join(kept).count("$") % 2 == 0:
            break
    return " ".join(kept)


def glossary(site: Site) -> str:
    """The page."""
    found = terms(site)
    groups: dict[str, list[Term]] = defaultdict(list)
    for term in found:
        groups[term.name[0].upper()].append(term)
    used: dict[str, int] = defaultdict(int)
    parts = []
    for initial, terms_ in groups.items():
        lines = [_line(term, used) for term in terms_]
        parts.append(section(initial, "\n\n".join(lines), anchor=f"letter-{slug(initial)}"))
    symbols = [_symbol(record) for record in site.of_kind("symbol")]
    lead = (
        f"{plural(len(found), 'term')} and {plural(len(symbols), 'symbol')}, each in one sentence; follow the links for what the sources say. "
        "A word that several records use has an entry for each."
    )
    notation = paragraphs(
        box("scroll", table(["Symbol", "Stands for"], symbols)),
        "[Where each paper defines them, in the order of the survey's table](@/tables/notation.md)",
    )
    front = index_front("Glossary", "The terms and symbols of attribution theory, each in one sentence.")
    return paragraphs(front, lead, section("Symbols", notation, anchor="symbols"), *parts) + "\n"


def _line(term: Term, used: dict[str, int]) -> str:
    anchor = slug(term.name)
    used[anchor] += 1
    if used[anchor] > 1:
        anchor += f"-{slug(term.kind or str(used[anchor]))}"
    kind = f" ({term.kind})" if term.kind else ""
    if len(term.see) == 1 and term.kind:
        head, more = to(term.see[0], text=term.name), ""
    else:
        head, more = escape(term.name), " See " + ", ".join(to(record, text=record.title) for record in term.see) + "."
    return f'<span id="{anchor}" class="entry"></span>**{head}**{kind} – {one_line(term.means)}{more}'


def _symbol(record: Any) -> list[str]:
    return [f'[{inline_math(record.symbol)}]({address(record)} "{attribute(record.name)}")', f"{to(record)} – {first_sentence(record.summary)}"]
