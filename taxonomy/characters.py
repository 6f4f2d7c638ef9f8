r"""Characters that a record may not hold: those nobody sees, and letters that pass for others.

What cannot be seen cannot be reviewed: a zero-width space makes two names out of one, a bidirectional override shows a line in another order than a
program reads it. The list is written out rather than taken from `unicodedata`, whose answers change with the version of Python.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile(
    "\r(?!\n)|["
    # control characters but for tab and the ends of lines; a carriage return alone ends a line for some programs only
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\uffff"
    "\ufe00-\ufe0f\ufdd0-\ufdef"
    "\ud800-\udfff\ue000-\uf8ff"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
    "]"
)
# Letters and marks that take no room; all other unseen characters count as not printable.
_PRINTABLE_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_LETTERS = re.compile(r"[^\W\d_]+")
_SCRIPTS = frozenset({"LATIN", "GREEK"})
_LETTER_LIKE = frozenset("ℓℝℕℤℂℚ℘ℏªº")
_LOOKS_LATIN = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺικνορυχϲ")
_LATIN = re.compile("[A-Za-z]")


def unseen(text: str) -> tuple[int, str] | None:
    """Position and description of the first character that nobody would see; None if there is none.

    >>> unseen("a\u200bb")
    (1, 'U+200B (ZERO WIDTH SPACE)')
    """
    # Every record passes here: the regular expressions are for what the faster questions leave open.
    if text.replace("\n", "").isprintable() and (text.isascii() or not _PRINTABLE_UNSEEN.search(text)):
        return None
    match = _UNSEEN.search(text)
    return (match.start(), described(match.group())) if match else None


def described(character: str) -> str:
    """A character by number and name, since it cannot be shown or would be taken for another."""
    name = unicodedata.name(character, "control character" if ord(character) < 160 else "no character")
    return f"U+{ord(character):04X} ({name})"


def shown(text: str, most: int = 80) -> str:
    """Text for a message: cut to length, and what cannot be seen written as an escape."""
    cut = text if len(text) <= most else text[:most] + "…"
    return _UNSEEN.sub(lambda match: f"\\u{{{ord(match.group()):04X}}}", cut) if unseen(cut) else cut


def impostor(name: str) -> str:
    """What makes a name look like another one that it is not; empty if nothing does.

    Names are written in Latin and Greek letters, composed (NFC), and no word mixes Latin letters with Greek ones that look Latin.

    >>> impostor("LRP-αβ"), impostor("ε-LRP")
    ('', '')
    >>> impostor("Gr\u0430dient")
    'holds U+0430 (CYRILLIC SMALL LETTER A); names are written in Latin or Greek letters'
    """
    if name.isascii():
        return ""
    if unicodedata.normalize("NFC", name) != name:
        return "is written with separate accents; use composed letters (Unicode normalisation NFC)"
    for character in name:
        if character.isspace() and character != " ":
            return f"holds {described(character)}; use a plain space"
        if character.isalpha() and character not in _LETTER_LIKE:
            script, decomposed = unicodedata.name(character, "?").partition(" ")[0], unicodedata.decomposition(character)
            if script not in _SCRIPTS or decomposed.startswith(("<font>", "<wide>", "<compat>")):
                return f"holds {described(character)}; names are written in Latin or Greek letters"
    for word in _LETTERS.findall(name):
        if _LATIN.search(word) and (mixed := _LOOKS_LATIN.intersection(word)):
            return f"mixes Latin letters with {described(min(mixed))}, which looks like one"
    return ""
