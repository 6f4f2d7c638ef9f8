"""`kb/references.bib`, parsed by pybtex, and the entries as plain data."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from taxonomy.characters import shown, unseen
from taxonomy.guarded import MOST_BIBLIOGRAPHY, RefusedFileError, read_bytes
from taxonomy.problems import AtlasError, Problem

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_FILE = "references.bib"
_MARKUP = re.compile(r"[{}]|\\(?=[&%$#_])")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.+-]*")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9./:?=#%&,;@+~()_-]*")
_BRACES = re.compile(r"(?<!\\)[{}]")
MOST_BRACES = 20
MOST_PROBLEMS = 50
_REFUSED = (
    # A macro can double with every line; a cross reference can lead in a circle.
    (re.compile(r"@\s*(?P<what>string|preamble|comment)\b", re.IGNORECASE), "`@{what}` is not allowed in references.bib", "write entries only"),
    (re.compile(r"^\s*(?P<what>crossref|xdata|xref)\s*=", re.IGNORECASE | re.MULTILINE), "field `{what}` is not allowed", "write the fields out"),
    (re.compile(r"(?P<what><[A-Za-z!/?][^<>\n]{0,40})"), "markup `{what}` is not allowed in references.bib", "write plain text or LaTeX"),
    (re.compile(r"^\s*url\s*=\s*+[{\"]*+(?!https?://[A-Za-z0-9])(?P<what>[^\n]{0,40})", re.IGNORECASE | re.MULTILINE),
     "`{what}` is no address", "a `url` begins with https:// or http://"),
    (re.compile(r"^\s*(?:url|doi|eprint)\s*=\s*+[{\"]*+(?P<what>[^}\",\n]*[\s<>\[\]`|^][^}\"\n]*)[}\"]", re.IGNORECASE | re.MULTILINE),
     "`{what}` holds a sign that no address has", "write it as the publisher does"),
)  # fmt: skip
"""What pybtex would read and this base does not take: pattern, message, advice."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One work of the bibliography."""

    key: str
    type: str
    fields: dict[str, str]
    authors: tuple[str, ...]
    bibtex: str

    @property
    def title(self) -> str:
        """Title without BibTeX braces, with quotation marks in place of those that LaTeX writes with accents."""
        return _MARKUP.sub("", self.fields.get("title", "")).replace("``", "\u201c").replace("''", "\u201d")

    @property
    def year(self) -> str:
        """Year of publication as printed."""
        return self.fields.get("year", "")

    @property
    def venue(self) -> str:
        """Journal, proceedings, publisher or preprint archive."""
        for name in ("journal", "booktitle", "publisher", "howpublished", "institution"):
            if name in self.fields:
                return _MARKUP.sub("", self.fields[name])
        return f"arXiv:{self.fields['eprint']}" if "eprint" in self.fields else ""

    @property
    def url(self) -> str:
        """Where to read it: DOI, arXiv or the entry's own address; empty if unknown."""
        if doi := self.fields.get("doi"):
            return f"https://doi.org/{quote(_plain(doi), safe='/:;,@+~()')}"
        if eprint := self.fields.get("eprint"):
            return f"https://arxiv.org/abs/{quote(_plain(eprint), safe='/')}"
        address = _plain(self.fields.get("url", ""))
        return address if _ADDRESS.fullmatch(address) else ""

    @property
    def citation(self) -> str:
        """One line: authors, title, venue, year."""
        names = " and ".join(self.authors) if len(self.authors) < 3 else f"{self.authors[0]} et al."
        return f"{names}{': ' if names else ''}{self.title}. {', '.join(part for part in (self.venue, self.year) if part)}."


def _plain(text: str) -> str:
    return _MARKUP.sub("", text)


def parse(text: str) -> dict[str, Entry]:
    """Parse BibTeX.

    Raises
    ------
    taxonomy.AtlasError
        If the text is not valid BibTeX; it says at which line.
    """
    return dict(_parsed(text))


@functools.lru_cache(maxsize=2)
def _parsed(text: str) -> dict[str, Entry]:
    # The file seldom changes, but is parsed with every atlas that holds it.
    import pybtex.database
    import pybtex.exceptions

    _refuse_depth(text)
    try:
        database = pybtex.database.parse_string(text, "bibtex")
        return {key: _entry(key, item) for key, item in database.entries.items()}
    except (pybtex.exceptions.PybtexError, RecursionError, ValueError, LookupError) as error:
        line = min(getattr(error, "lineno", None) or 1, text.count("\n") + 1)
        raise AtlasError([Problem("bibliography", f"BibTeX does not parse: {shown(str(error), 300)}", _FILE, line)]) from None


def _refuse_depth(text: str) -> None:
    depth = 0
    for match in _BRACES.finditer(text):
        depth += 1 if match.group() == "{" else -1
        if depth > MOST_BRACES:
            line = text.count("\n", 0, match.start()) + 1
            message = f"BibTeX does not parse: braces nested deeper than {MOST_BRACES} levels"
            raise AtlasError([Problem("bibliography", message, _FILE, line)])


def _entry(key: str, item: object) -> Entry:
    import pybtex.database

    assert isinstance(item, pybtex.database.Entry)
    fields = {name.lower(): " ".join(str(value).split()) for name, value in item.fields.items()}
    people = item.persons.get("author", item.persons.get("editor", []))
    authors = tuple(_MARKUP.sub("", " ".join(p.first_names + p.middle_names + p.prelast_names + p.last_names + p.lineage_names)) for p in people)
    # Written by hand: pybtex escapes what it writes, also what is escaped already.
    persons = {role: " and ".join(map(str, people)) for role, people in item.persons.items()}
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in (persons | fields).items())
    return Entry(key, item.type, fields, authors, f"@{item.type}{{{key},\n{lines}}}")


def check(path: Path, file: str) -> tuple[dict[str, int], list[Problem]]:
    """The keys in a bibliography file, and the problems of the file itself."""
    if not path.exists() and not path.is_symlink():
        return {}, [Problem("bibliography", "the record folder has no references.bib", file, suggestion="add one; it may be empty")]
    try:
        raw = read_bytes(path, MOST_BIBLIOGRAPHY)
    except RefusedFileError as error:
        return {}, [Problem("file", f"file {error}", file)]
    text = raw.decode("utf-8", errors="replace")
    problems: list[Problem] = []
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem("encoding", f"not UTF-8: byte {raw[error.start]:#04x}", file, line, suggestion="save as UTF-8"))
    seen: dict[str, int] = {}
    for match in _ENTRY.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match.group(2) in seen:
            problems.append(
                Problem("duplicate-reference", f"key `{match.group(2)}` is defined twice; first at line {seen[match.group(2)]}", file, line)
            )
        if not _KEY.fullmatch(match.group(2)):
            message = f"key `{shown(match.group(2))}` is not allowed"
            problems.append(Problem("bibliography", message, file, line, suggestion="a key has letters, digits and `_:.+-`"))
        seen.setdefault(match.group(2), line)
    return seen, [*problems, *_refused(text, file)][:MOST_PROBLEMS]


def _refused(text: str, file: str) -> Iterator[Problem]:
    if found := unseen(text):
        line = text.count("\n", 0, found[0]) + 1
        yield Problem("character", f"the file holds {found[1]}, which nobody would see", file, line, suggestion="remove it")
    for pattern, message, advice in _REFUSED:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start("what")) + 1
            yield Problem("bibliography", message.format(what=shown(match["what"].strip(), 40)), file, line, suggestion=advice)
