"""The bibliography as BibTeX, RIS and CSL-JSON."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from taxonomy.evidence import to_json
from taxonomy.export.files import Files
from taxonomy.export.whole import Content, Values

if TYPE_CHECKING:
    from taxonomy.bibliography import Entry

People = dict[str, list[dict[str, str]]]
_MARKUP = re.compile(r"[{}]|\\(?=[&%$#_])")
_RIS_TYPES = {"article": "JOUR", "inproceedings": "CONF", "incollection": "CHAP", "book": "BOOK"}
_CSL_TYPES = {"article": "article-journal", "inproceedings": "paper-conference", "incollection": "chapter", "book": "book"}
_CSL_FIELDS = {"volume": "volume", "number": "issue", "publisher": "publisher", "address": "publisher-place", "doi": "DOI", "note": "note"}


def bibtex(content: Content) -> Files:
    """The entries sorted by key, in UTF-8: made for biber, or for BibTeX with a LaTeX of 2018 or later."""
    entries = (entry for _, entry in sorted(content.atlas.bibliography.items()))
    return {"atlas.bib": (f"% {content.stamp}\n\n" + "\n\n".join(entry.bibtex for entry in entries) + "\n").encode()}


def ris(content: Content) -> Files:
    """RIS, one record per work; `ID` holds the BibTeX key."""
    names = people(content)
    lines: list[str] = []
    for key, entry in sorted(content.atlas.bibliography.items()):
        lines += [*(f"{tag}  - {value}" for tag, value in _ris(key, entry, names[key], content.stamp)), ""]
    return {"atlas.ris": "\r\n".join(lines).encode()}


def _ris(key: str, entry: Entry, names: People, stamp: str) -> Iterator[tuple[str, str]]:
    fields = entry.fields
    yield "TY", _RIS_TYPES.get(entry.type, "GEN")
    yield "ID", key
    yield "DB", stamp
    for role, tag in (("author", "AU"), ("editor", "ED")):
        for person in names.get(role, ()):
            yield tag, ", ".join(part for part in (person.get("family"), person.get("given"), person.get("suffix")) if part) or person["literal"]
    yield "TI", entry.title
    if entry.venue and entry.venue != plain(fields.get("publisher", "")):
        yield "T2" if entry.type in _RIS_TYPES else "PB", entry.venue
    if entry.year:
        yield "PY", entry.year
    for name, tag in (("volume", "VL"), ("number", "IS"), ("publisher", "PB"), ("address", "CY"), ("doi", "DO"), ("note", "N1")):
        if name in fields:
            yield tag, plain(fields[name])
    if "pages" in fields:
        first, _, last = fields["pages"].partition("--")
        yield "SP", first
        if last:
            yield "EP", last
    if entry.url:
        yield "UR", entry.url
    yield "ER", ""


def csl_json(content: Content) -> Files:
    """CSL-JSON, as citation processors read it; `id` is the BibTeX key."""
    names = people(content)
    items = [_csl(key, entry, names[key]) | {"source": content.stamp} for key, entry in sorted(content.atlas.bibliography.items())]
    return {"atlas.csl.json": to_json(items).encode()}


def _csl(key: str, entry: Entry, names: People) -> Values:
    fields = entry.fields
    item: Values = {"id": key, "type": _CSL_TYPES.get(entry.type, "article" if "eprint" in fields else "document"), "title": entry.title}
    for role in ("author", "editor"):
        if names.get(role):
            item[role] = names[role]
    if re.fullmatch(r"\d{1,4}", entry.year):
        item["issued"] = {"date-parts": [[int(entry.year)]]}
    elif entry.year:
        item["issued"] = {"literal": entry.year}
    if venue := plain(fields.get("journal") or fields.get("booktitle") or ""):
        item["container-title"] = venue
    elif entry.type == "misc" and entry.venue:
        item["publisher"] = entry.venue
    item |= {name: plain(fields[field]) for field, name in _CSL_FIELDS.items() if field in fields}
    if "pages" in fields:
        item["page"] = fields["pages"].replace("--", "-")
    return item | ({"URL": entry.url} if entry.url else {})


def people(content: Content) -> dict[str, People]:
    """The names of each work by role, in parts as CSL has them: `family`, `given`, `non-dropping-particle`, `suffix`; or `literal`."""
    return _people("\n".join(entry.bibtex for entry in content.atlas.bibliography.values()))


@functools.lru_cache(maxsize=2)
def _people(text: str) -> dict[str, People]:
    import pybtex.database

    entries = pybtex.database.parse_string(text, "bibtex").entries
    return {key: {role: [_person(person) for person in found] for role, found in entry.persons.items()} for key, entry in entries.items()}


def _person(person: Any) -> dict[str, str]:
    parts = {
        "family": person.last_names, "given": person.first_names + person.middle_names, "non-dropping-particle": person.prelast_names,
        "suffix": person.lineage_names,
    }  # fmt: skip
    found = {name: plain(" ".join(words)) for name, words in parts.items() if words}
    # An organisation, or a mononym: nothing to put in the family's place but the whole.
    return found if "given" in found else {"literal": plain(str(person))}


def plain(text: str) -> str:
    r"""Text without the markup of BibTeX.

    >>> plain(r"Computers \& {Graphics}: 1--2")
    'Computers & Graphics: 1–2'
    """
    return _MARKUP.sub("", text).replace("---", "—").replace("--", "–")
