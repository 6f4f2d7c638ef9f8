"""Words by which the search finds a page: its names in every spelling that a keyboard gives, and for methods and works the authors and the year.

The search splits a text at spaces and hyphens and knows nothing of accents, of Greek letters written out, or of a sign of multiplication typed as a
star, so each of these stands here as a word of its own. The words go into the `tags` of a page, which the index weighs above its title. A tag is a
name, the first one the page's own: `assets/js/search.js` puts the pages that a query names first. Words that lead to a page but do not name it stand
together in the last tag, which nobody types.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator

from atlas_pages.context import TABLES, Site
from taxonomy.records import KINDS, Document, Library, Method, Notation, Record

MOST_AUTHORS = 8
_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
_MACRO = re.compile(rf"\\(?:var)?({_GREEK.replace(' ', '|')})(?![a-z])", re.IGNORECASE)


_NAMES = {
    "index": ("Home",),
    "guide/index": ("Guide", "Which method", "Choose a method"),
    "compare/index": ("Compare", "Comparison"),
    "matrix/index": ("Matrix",),
    "methods/index": ("All methods",),
    "pictures/index": ("Pictures",),
    "changes": ("Changes", "Changelog", "News"),
    "reading": ("Legend", "Reading"),
    "python": ("Python", "Query language"),
    "data": ("Data", "Exports", "Export", "Download"),
    "reference/index": ("API", "Reference"),
    "tables/index": ("Tables", "Overview"),
    "findings/index": ("What the runs found",),
    "findings/counterexamples": ("Counterexamples",),
    "findings/unchecked": ("Unchecked", "Unchecked claims", "Open claims"),
    "findings/stubs": ("Stubs",),
    "implementations/audits": ("Audits",),
    "implementations/conformance": ("Conformance", "Other libraries compared"),
    "implementations/speed": ("Benchmarks",),
    "sources/index": ("The works encoded", "Works encoded"),
    "sources/coverage": ("Coverage",),
    "bibliography": ("References", "Works"),
}
"""What a generated page is called besides its title, by its path."""

PAGE_BOOST = 4
"""Pages of the menu stand as high as methods: they are few, and what they are called are words that many records contain."""


def names_of(record: Record) -> list[str]:
    """Name, abbreviation and aliases of a record, as they are written."""
    return [record.name, *([record.abbreviation] if isinstance(record, Method) and record.abbreviation else []), *record.aliases]


def keywords(site: Site, record: Record) -> list[str]:
    """Every name of the record in its spellings, then in one tag what else leads to it; none twice."""
    found = [spelling for name in names_of(record) for spelling in spellings(name)]
    others: list[str] = []
    if isinstance(record, Method):
        found += _provided(site, record)
        others = [*_introduced(site, record.reference), *letters(symbol.symbol for symbol in record.symbols)]
    if isinstance(record, Notation):
        found += letters([record.symbol])
    if isinstance(record, Document):
        others = _introduced(site, record.id)
    found = _once(found)
    rest = [word for word in _once(others) if word.casefold() not in {name.casefold() for name in found}]
    return [*found, *([" ".join(rest)] if rest else [])]


def page_keywords(path: str, title: str) -> list[str]:
    """What a page is called that is no record's: its title, the halves of a title of two, and what else somebody calls it.

    >>> page_keywords("tables/table-4.md", "Table IV: rationales")
    ['Table IV: rationales', 'Table IV', 'Table 4', 'Tab. IV', 'Tab. 4']
    >>> page_keywords("theorems/index.md", "Theorems and equivalences")
    ['Theorems and equivalences', 'Theorems', 'equivalences']
    """
    page = path.removesuffix(".md")
    halves = title.split(" and ") if page.split("/")[0] in _FOLDERS and page.endswith("/index") else []
    return _once([title, *halves, *_exhibit(page), *_NAMES.get(page, ())])


def _exhibit(page: str) -> list[str]:
    """Names of a printed table or figure, with its number as printed and as a figure."""
    numeral = next((numeral for numeral, name in TABLES.items() if page == f"tables/{name}"), "")
    if not numeral:
        return []
    if not numeral.isupper():
        number = numeral.rsplit("-", 1)[-1]
        return [f"{word} {number}" for word in ("Figure", "Fig.")]
    number = str(list(TABLES).index(numeral) + 1)
    return [f"{word} {digits}" for word in ("Table", "Tab.") for digits in (numeral, number)]


_FOLDERS = frozenset(kind.folder for kind in KINDS.values())


def _once(words: Iterable[str]) -> list[str]:
    """Words in order, each where and as it stands first."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word.casefold(), word)
    return list(found.values())


def _provided(site: Site, record: Method) -> list[str]:
    """What libraries call the method: the last part of the name, which is what one writes after an import, and the whole.

    A last part that names another record is left to it: `LRP` is one class for many rules.
    """
    libraries = (library for library in site.of_kind("library") if isinstance(library, Library))
    found = [provided.name for library in libraries for provided in library.provides if provided.method == record.id]
    taken = {name.casefold() for other in site.records.values() if found and other.id != record.id for name in names_of(other)}
    return [name for whole in found for name in (whole.rsplit(".", 1)[-1], whole) if name.casefold() not in taken]


def weighed(site: Site, record: Record, boost: float) -> float:
    """How far up the search puts the record: what many others lead to comes before its variants, which share the words of its name."""
    return round(boost * (1 + math.log10(1 + len(site.incoming(record.id)))), 1)


def spellings(name: str) -> Iterator[str]:
    """A name as it is, with Latin letters and spaces only, and in one word.

    >>> list(spellings("LRP-ε"))
    ['LRP-ε', 'LRP epsilon', 'LRPepsilon']
    >>> list(spellings("Gradient×Input"))
    ['Gradient×Input', 'Gradient Input', 'GradientInput']
    >>> list(spellings("Štrumbelj"))
    ['Štrumbelj', 'Strumbelj']
    >>> list(spellings("Grad-CAM"))
    ['Grad-CAM', 'GradCAM']
    """
    yield name
    spelled = "".join(f" {_letter(c)} " if _letter(c) else c for c in name)
    latin = unaccented(spelled)
    words = re.findall(r"[A-Za-z0-9+]+", latin)
    if words and words != re.split(r"[\s\-]+", name):  # the index cuts there by itself
        yield " ".join(words)
    # One word for those who leave the sign between two words out; a whole sentence in one word helps nobody.
    if 1 < len(words) < 5 and re.search(r"[^\w\s]|_", name):
        yield "".join(words)


def unaccented(text: str) -> str:
    """Latin letters without their marks; other letters are dropped.

    >>> unaccented("Erik Štrumbelj, Łukasz")
    'Erik Strumbelj, Lukasz'
    """
    bare = text.translate(str.maketrans("łŁøØđĐıßæÆ×·", "lLoOdDisaA  "))
    return unicodedata.normalize("NFKD", bare).encode("ascii", "ignore").decode()


def letters(formulas: Iterable[str]) -> list[str]:
    r"""The Greek letters of formulas, as letter and as name.

    >>> letters([r"\varphi_i", r"x_i"])
    ['phi', 'φ']
    """
    names = dict.fromkeys(match.lower() for formula in formulas for match in _MACRO.findall(formula))
    return [word for name in names for word in (name, unicodedata.lookup(f"GREEK SMALL LETTER {'LAMDA' if name == 'lambda' else name.upper()}"))]


def _letter(character: str) -> str:
    name = unicodedata.name(character, "")
    if not name.startswith("GREEK"):
        return ""
    return {"lamda": "lambda"}.get(word := name.split()[-1].lower(), word)


def _introduced(site: Site, key: str | None) -> list[str]:
    """Surnames of the authors of a work, with and without accents, and its year; nothing without a work."""
    entry = site.atlas.bibliography.get(key or "")
    if entry is None:
        return []
    surnames = [author.split(",")[0] if "," in author else author.split()[-1] for author in entry.authors[:MOST_AUTHORS]]
    return [*(spelling for name in surnames for spelling in dict.fromkeys((name, unaccented(name)))), *([entry.year] if entry.year else [])]
