"""`kb/references.bib`, parsed by pybtex, and the entries as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from taxonomy.problems import Problem

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_MARKUP = re.compile(r"[{}]|\\(?=[&%$#_])")


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
            return f"https://doi.org/{doi}"
        if eprint := self.fields.get("eprint"):
            return f"https://arxiv.org/abs/{eprint}"
        return self.fields.get("url", "")

    @property
    def citation(self) -> str:
        """One line: authors, title, venue, year."""
        names = " and ".join(self.authors) if len(self.authors) < 3 else f"{self.authors[0]} et al."
        return f"{names}{': ' if names else ''}{self.title}. {', '.join(part for part in (self.venue, self.year) if part)}."


def parse(text: str) -> dict[str, Entry]:
    """Parse BibTeX.

    Raises
    ------
    pybtex.scanner.PybtexSyntaxError, pybtex.database.BibliographyDataError
        If the text is not valid BibTeX.
    """
    import pybtex.database

    database = pybtex.database.parse_string(text, "bibtex")
    return {key: _entry(key, item) for key, item in database.entries.items()}


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
    if not path.exists():
        return {}, [Problem("bibliography", "the record folder has no references.bib", file, suggestion="add one; it may be empty")]
    raw = path.read_bytes()
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
        seen.setdefault(match.group(2), line)
    return seen, problems
