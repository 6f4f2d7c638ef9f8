"""A reference as a person gives it: a pasted BibTeX entry, a DOI, or a key of references.bib. Nothing is downloaded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taxonomy.bibliography import Entry, faults, parse
from taxonomy.problems import AtlasError, Problem, did_you_mean

# Older ones hold the pages between angle brackets, `15:17<1661::AID-SIM968>3.0.CO;2-2`; without these, all works of an issue would be one.
_DOI = re.compile(r"\b(10\.\d{4,9}/(?:[^\s{}\"<>,]|<\w*::[\w-]*>)+)", re.IGNORECASE)
_KEY = re.compile(r"^(\s*@\w+\s*\{\s*)([^,\s]*)(\s*,)")
_SMALL = frozenset(["a", "an", "the", "on", "from"])


class CitationError(ValueError):
    """The reference given cannot be read or leads nowhere."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that was recognised: the key to cite, and the text to add to references.bib if the entry is new."""

    key: str
    added: str = ""
    note: str = ""


def doi_of(text: str) -> str | None:
    """The DOI in a text (`https://doi.org/10.1/x` and `doi:10.1/x` included), in lower case, or None."""
    found = _DOI.search(text)
    return found.group(1).rstrip(".;)").lower() if found else None


def recognise(text: str, known: Mapping[str, Entry]) -> Reference:
    """Understand a reference: a BibTeX entry (added unless it is there already), a DOI or a key (which must be there).

    Raises
    ------
    CitationError
        If the BibTeX does not parse, lacks a field or holds what references.bib may not, if it holds more than one entry, or if a DOI or key is
        not in references.bib.
    """
    text = text.strip()
    if text.startswith("@"):
        return _from_bibtex(text, known)
    if (doi := doi_of(text)) is not None:
        for entry in known.values():
            if doi_of(entry.fields.get("doi", "")) == doi:
                return Reference(entry.key, note=f"DOI {doi} is `{entry.key}`: {entry.citation}")
        raise CitationError(f"no entry of references.bib has the DOI {doi}; nothing is looked up, so paste its BibTeX entry instead")
    if text in known:
        return Reference(text)
    hint = did_you_mean(text, known)
    raise CitationError(f"no entry `{text}` in references.bib; {hint or 'give its BibTeX entry, as @article{...}'}")


def _from_bibtex(text: str, known: Mapping[str, Entry]) -> Reference:
    match = _KEY.match(text)
    given = match[2] if match else ""
    text = _KEY.sub(r"\g<1>unnamed\g<3>", text, count=1)  # the key is made anew, so that its own form does not matter
    _refuse(faults(text, ""))
    try:
        found = parse(text)
    except AtlasError as error:
        raise CitationError(f"the entry cannot be read: {error.problems[0].message}") from error
    if len(found) != 1:
        raise CitationError(f"one BibTeX entry is expected, not {len(found)}")
    entry = next(iter(found.values()))
    missing = [name for name, value in (("author", entry.authors), ("title", entry.title), ("year", entry.year)) if not value]
    if missing:
        raise CitationError(f"the BibTeX entry lacks {' and '.join(missing)}")
    for other in known.values():
        if same_work(entry, other):
            return Reference(other.key, note=f"that work is in references.bib already, as `{other.key}`: {other.citation}")
    key = proposed_key(entry, known)
    added = formatted(entry, key)
    _refuse(faults(added, ""))  # again, since fields now stand on lines of their own, as in references.bib
    return Reference(key, added, "" if key == given else f"its key becomes `{key}`: first author, year, first word of the title")


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        advice = f"; {problems[0].suggestion}" if problems[0].suggestion else ""
        raise CitationError(f"the BibTeX entry cannot stand in references.bib: {problems[0].message}{advice}")


def same_work(first: Entry, second: Entry) -> bool:
    """Whether two entries are one work: the same DOI, the same arXiv number, or the same title and first author."""
    for name in ("doi", "eprint"):
        one, other = (entry.fields.get(name, "").casefold() for entry in (first, second))
        if name == "doi":
            one, other = doi_of(one) or one, doi_of(other) or other
        if one and one == other:
            return True
    return _bare(first.title) == _bare(second.title) and _surname(first) == _surname(second)


def proposed_key(entry: Entry, known: Mapping[str, Entry]) -> str:
    """The key in the style of references.bib, `sundararajan2017axiomatic`, made unique by a letter where it is taken."""
    words = [word for word in re.findall(r"[a-z0-9]+", _ascii(entry.title)) if word not in _SMALL] or ["work"]
    base = f"{_surname(entry) or 'anonymous'}{re.sub(r'[^0-9]', '', entry.year)}{words[0]}"
    keys = {key.casefold() for key in known}
    return next(key for key in (base, *(f"{base}{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")) if key not in keys)


def formatted(entry: Entry, key: str) -> str:
    """The entry as references.bib writes it: two spaces, equals signs in a column."""
    lines = [line.strip().rstrip(",") for line in entry.bibtex.splitlines()[1:-1]]
    pairs = [line.split(" = ", 1) for line in lines]
    order = {name: place for place, name in enumerate(("author", "title", "booktitle", "journal", "volume", "number", "pages", "publisher", "year"))}
    pairs.sort(key=lambda pair: order.get(pair[0], len(order)))
    width = max(9, *(len(name) for name, _ in pairs))
    body = "".join(f"  {name.ljust(width)} = {value},\n" for name, value in pairs)
    return f"@{entry.type}{{{key},\n{body}}}\n"


def with_entry(bibliography: str, key: str, entry: str) -> str:
    """The bibliography with a new entry, before the first entry whose key comes later in the alphabet; all else stays as it is."""
    for match in re.finditer(r"^@\w+\s*\{\s*([^,\s]+)\s*,", bibliography, re.MULTILINE):
        if match.group(1).casefold() > key.casefold():
            return f"{bibliography[: match.start()]}{entry}\n{bibliography[match.start() :]}"
    stripped = bibliography.rstrip("\n")
    return f"{stripped}\n\n{entry}" if stripped else entry


def _surname(entry: Entry) -> str:
    # The names come with the given names first; the surname is the last word in letters.
    words = _ascii(entry.authors[0]).split() if entry.authors else []
    return re.sub(r"[^a-z]", "", words[-1]) if words else ""


def _bare(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _ascii(title))


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
