"""`kb/references.bib`, parsed by pybtex, and the entries as plain data."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from taxonomy.characters import shown, unseen
from taxonomy.guarded import MOST_BIBLIOGRAPHY, RefusedFileError, read_bytes
from taxonomy.problems import AtlasError, Problem

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_HEAD = re.compile(r"^\s*@", re.MULTILINE)
_FILE = "references.bib"
_MARKUP = re.compile(r"[{}]|\\(?=[&%$#_])")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.+-]*")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9./:?=#%&,;@+~()_-]*")
_BRACES = re.compile(r"(?<!\\)[{}]")
_FORMULA = re.compile(r"(?<![\\$])\$[^$<>\n]*(?:<(?![!/?])[^$<>\n]*)+\$(?!\$)")
_DOI = re.compile(r"^\s*doi\s*=\s*+[{\"]*+[^\s<>{}\"]*<\w*::[\w-]*>(?=[^\s<>{}\"]*[}\"])", re.IGNORECASE | re.MULTILINE)
MOST_BRACES = 20
MOST_PROBLEMS = 50
_REFUSED = (
    # A macro can double with every line; a cross reference can lead in a circle.
    (re.compile(r"@\s*(?P<what>string|preamble|comment)\b", re.IGNORECASE), "`@{what}` is not allowed in references.bib", "write entries only"),
    (re.compile(r"^\s*(?P<what>crossref|xdata|xref)\s*=", re.IGNORECASE | re.MULTILINE), "field `{what}` is not allowed", "write the fields out"),
    (re.compile(r"(?P<what><[A-Za-z!/?][^<>\n]{0,40})"), "markup `{what}` is not allowed in references.bib",
     "write plain text, and a formula between dollar signs"),
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


def parse(text: str, file: str = _FILE) -> dict[str, Entry]:
    """Parse BibTeX. `file` is the name that a problem gives to the text.

    Raises
    ------
    taxonomy.AtlasError
        If the text is not valid BibTeX; it says at which line.
    """
    try:
        return dict(_parsed(text))
    except AtlasError as error:
        raise AtlasError(replace(problem, file=file) for problem in error.problems) from None


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


class Keys(dict[str, int]):
    """The keys of a bibliography with their lines. Of one that could not be read, `unknown`, none is missed: its own fault is told, and no more."""

    unknown = False

    def __contains__(self, key: object) -> bool:
        return self.unknown or super().__contains__(key)


def check(path: Path, file: str) -> tuple[Keys, list[Problem]]:
    """The keys in a bibliography file, and the problems of the file itself."""
    if not path.exists() and not path.is_symlink():
        return Keys(), [Problem("bibliography", "the record folder has no references.bib", file, suggestion="add one; it may be empty")]
    unknown = Keys()
    unknown.unknown = True
    try:
        raw = read_bytes(path, MOST_BIBLIOGRAPHY)
    except RefusedFileError as error:
        return unknown, [Problem("file", f"file {error}", file)]
    text = raw.decode("utf-8", errors="replace")
    problems: list[Problem] = []
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem("encoding", f"not UTF-8: byte {raw[error.start]:#04x}", file, line, suggestion="save as UTF-8"))
    problems += faults(text, file)
    keys = Keys((match[2], text.count("\n", 0, match.start()) + 1) for match in _ENTRY.finditer(text))
    # Parsing takes long and is left to whoever wants the entries, unless the beginning of one has not the usual form.
    if not problems and len(keys) != len(_HEAD.findall(text)):
        try:
            keys = Keys((key, keys.get(key, 1)) for key in parse(text, file))
        except AtlasError as error:
            return unknown, error.problems
    return keys, problems[:MOST_PROBLEMS]


def faults(text: str, file: str) -> list[Problem]:
    """What BibTeX may hold and this base does not take: keys given twice or of another form, macros, cross references, markup, what is no address."""
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for match in _ENTRY.finditer(text):
        key, line = match[2], text.count("\n", 0, match.start()) + 1
        if key in seen:
            problems.append(Problem("duplicate-reference", f"key `{key}` is defined twice; first at line {seen[key]}", file, line))
        if not _KEY.fullmatch(key):
            advice = "a key has letters, digits and `_:.+-`"
            problems.append(Problem("bibliography", f"key `{shown(key)}` is not allowed", file, line, suggestion=advice))
        seen.setdefault(key, line)
    return [*problems, *_refused(text, file)]


def _refused(text: str, file: str) -> Iterator[Problem]:
    if found := unseen(text):
        line = text.count("\n", 0, found[0]) + 1
        yield Problem("character", f"the file holds {found[1]}, which nobody would see", file, line, suggestion="remove it")
    # The sign for "less" in a formula, and the pages between angle brackets in an older DOI, are no markup. The length stays, so places do.
    plain = _DOI.sub(_unbracketed, _FORMULA.sub(_unbracketed, text))
    for pattern, message, advice in _REFUSED:
        for match in pattern.finditer(plain):
            line = plain.count("\n", 0, match.start("what")) + 1
            what = shown(text[slice(*match.span("what"))].strip(), 40)
            yield Problem("bibliography", message.format(what=what), file, line, suggestion=advice)


def _unbracketed(match: re.Match[str]) -> str:
    return match[0].replace("<", "-").replace(">", "-")
