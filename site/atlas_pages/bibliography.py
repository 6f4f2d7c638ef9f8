"""The bibliography: every work, where to read it, its BibTeX, and the records that cite it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

from atlas_pages.claims import author_year, family_name, short, to
from atlas_pages.context import Site, slug
from atlas_pages.markup import box, bullets, code, escape, paragraphs, plural, section
from atlas_pages.parts import index_front
from taxonomy.export import Content, citations
from taxonomy.records import Document

MOST_SHOWN = 15
FOLDER = "bibliography"
FORMATS = {"bib": "BibTeX", "ris": "RIS", "json": "CSL-JSON"}
"""The formats of a single work by the ending of its file, as `taxonomy.export` writes them for all works together."""
WHOLE = {"BibTeX": "bib", "RIS": "ris", "CSL-JSON": "csl.json"}
"""The files of all works together, which `exports` puts beside the page of data, by the ending of their names."""


def bibliography(site: Site) -> str:
    """All entries by the first author's initial."""
    entries = sorted(site.atlas.bibliography.values(), key=lambda e: (_sort_name(e.authors), e.year, e.key))
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: not entry.authors):
        groups[_sort_name(entry.authors)[:1].upper() or "Without an author"].append(entry.key)
    whole = ", ".join(f"[{name}](@/data/atlas.{ending})" for name, ending in WHOLE.items())
    lead = f"{plural(len(entries), 'work')} that the records cite or the sources list, all together as {whole}; each by itself beside its entry."
    parts = []
    for initial, keys in groups.items():
        works = box("works data", bullets(_entry(site, key) for key in keys))
        parts.append(section(initial, works, anchor=f"letter-{slug(initial)}"))
    return paragraphs(index_front("Bibliography", "Every work that the records cite or the sources list."), lead, *parts) + "\n"


def _sort_name(authors: tuple[str, ...]) -> str:
    name = family_name(authors[0]) if authors else ""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()


def _entry(site: Site, key: str) -> str:
    entry = site.atlas.bibliography[key]
    text = f'<span id="{key}" class="entry"></span>'
    if entry.authors:
        text += f"**{escape(author_year(site, key))}.** {escape(', '.join(entry.authors).rstrip('.'))}. "
    text += f"*{escape(entry.title)}*."
    rest = ", ".join(escape(part) for part in (entry.venue, entry.year) if part)
    text += f" {rest}." if rest else ""
    if entry.url:
        text += f" [{'doi' if 'doi.org' in entry.url else 'arXiv' if 'arxiv.org' in entry.url else 'web'}]({entry.url})"
    text += f" {code(key)} ({', '.join(f'[{name}](@/{FOLDER}/{key}.{ending})' for ending, name in FORMATS.items())})"
    numbers = [
        f"{escape(record.short)} \\[{n}\\]" for record in site.of_kind("source") if isinstance(record, Document)
        for n, other in enumerate(record.bibliography, 1) if other == key
    ]  # fmt: skip
    if numbers:
        text += f". In {', '.join(numbers)}"
    records = site.cited_by.get(key, [])
    if isinstance(site.records.get(key), Document):
        text += f". {to(site.records[key], text='Its page')}"
    if records:
        shown = ", ".join(to(record, text=short(record)) for record in records[:MOST_SHOWN])
        more = f" and {len(records) - MOST_SHOWN} more" if len(records) > MOST_SHOWN else ""
        text += f"<br>Cited by {shown}{more}"
    return text


def files(site: Site) -> Iterator[tuple[str, str]]:
    """Each work by itself in every format, as (path, text)."""
    content = Content(site.atlas)
    ris = citations.ris(content)["atlas.ris"].decode().split("\r\n\r\n")
    by_key = {re.findall(r"^ID  - (.*?)\r?$", record, re.MULTILINE)[0]: record.strip() for record in ris if record.strip()}
    csl = {item["id"]: item for item in json.loads(citations.csl_json(content)["atlas.csl.json"])}
    for key, entry in site.atlas.bibliography.items():
        forms = {"bib": entry.bibtex, "ris": by_key[key], "json": json.dumps([csl[key]], indent=1, ensure_ascii=False)}
        yield from ((f"{FOLDER}/{key}.{ending}", forms[ending] + "\n") for ending in FORMATS)
