"""Words by which the search finds a record: its names in every spelling that a keyboard gives, and for methods the authors and the year.

The search splits a text at spaces and hyphens and knows nothing of accents, of Greek letters written out, or of a sign of multiplication typed as a
star, so each of these stands here as a word of its own. The words go into the `tags` of a page, which the index weighs above its title.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator

from atlas_pages.context import Site
from taxonomy.records import Method, Notation, Record

MOST_AUTHORS = 8
_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
_MACRO = re.compile(rf"\\(?:var)?({_GREEK.replace(' ', '|')})(?![a-z])", re.IGNORECASE)


def keywords(site: Site, record: Record) -> list[str]:
    """Every name of the record in its spellings, then what else leads to it; none twice."""
    names = [record.name, *([record.abbreviation] if isinstance(record, Method) and record.abbreviation else []), *record.aliases]
    found = [spelling for name in names for spelling in spellings(name)]
    if isinstance(record, Method):
        found += _introduced(site, record)
        found += letters(symbol.symbol for symbol in record.symbols)
    if isinstance(record, Notation):
        found += letters([record.symbol])
    return list({word.casefold(): word for word in reversed(found)}.values())[::-1]


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


def _introduced(site: Site, record: Method) -> list[str]:
    """Surnames of those who introduced the method, and the year."""
    entry = site.atlas.bibliography.get(record.reference or "")
    if entry is None:
        return []
    surnames = [author.split(",")[0] if "," in author else author.split()[-1] for author in entry.authors[:MOST_AUTHORS]]
    return [*(spelling for name in surnames for spelling in dict.fromkeys((name, unaccented(name)))), *([entry.year] if entry.year else [])]
