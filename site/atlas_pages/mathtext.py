"""Formulas as a line of plain text, for descriptions, titles and data files: the same MathML as on the pages, read aloud to a terminal."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from xml.etree import ElementTree

from taxonomy.text import to_mathml

_ACCENTS = {"¯": "\u0304", "‾": "\u0304", "^": "\u0302", "ˆ": "\u0302", "~": "\u0303", "˜": "\u0303", "→": "\u20d7", "˙": "\u0307"}
_SPACED = set("=<>≤≥≠≈≔∼→←↦⇒⟹⟸∈∉∋⊆⊂⊊⊇∪∩∖∨∧±+×⊗⊙∣∀∃:")
"""Operators between which and their sides a reader expects room; a bar or a minus may also be something else."""
_SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
_ALIKE = str.maketrans({"ϵ": "ε", "ϕ": "φ", "⋅": "·"})
_LETTERS = re.compile("[\u210a-\u2112\u211b-\u211d\u2128\u212c-\u2134\U0001d400-\U0001d7ff]")
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|apos);)\w+;")
"""Entities of HTML that XML does not know."""
_UNSEEN = re.compile("[\u2060-\u2064\ufe00-\ufe0f]")
_BRACKETED = re.compile(r"[\w.′]*|.|.\u0304|.\u0302|.\u0303|[(\[{|‖].*[)\]}|‖]", re.DOTALL)


@functools.cache
def plain_math(latex: str) -> str:
    r"""A formula in one line of text; one that does not parse stays as it is written, as its page says so where it stands.

    >>> plain_math(r"\tfrac{1}{2}\max(0, x_1 - b_{12}) \neq \sqrt{x^2}")
    '1/2 max(0, x_1 - b_12) ≠ √(x^2)'
    """
    try:
        mathml = _ENTITY.sub(lambda m: html.unescape(m.group()), to_mathml(latex, display=False))
    except ValueError:
        return latex
    text = re.sub(r"\s+", " ", _text(ElementTree.fromstring(mathml)))
    text = re.sub(r"(?<=[(\[{]) | (?=[)\]},;])", "", text).strip()
    return re.sub(r"(^|[(\[{=<>≤≥,;] ?)- ", r"\1-", text)


def _text(node: ElementTree.Element) -> str:
    tag = node.tag.rpartition("}")[2]
    parts = [_text(child) for child in node]
    if tag in {"mi", "mn", "mtext", "ms"}:
        return _word(_characters(node))
    if tag == "mo":
        return _operator(_characters(node))
    if tag == "mspace":
        return " "
    if tag == "mfrac":
        return f"{_group(parts[0])}/{_group(parts[1])} "
    if tag in {"msqrt", "mroot"}:
        return f"√{_group(parts[0])}"
    if tag in {"msub", "munder"}:
        return f"{parts[0].rstrip()}_{_group(parts[1])}"
    if tag in {"msup", "mover"}:
        return _over(parts[0], parts[1])
    if tag in {"msubsup", "munderover"}:
        return _over(f"{parts[0].rstrip()}_{_group(parts[1])}", parts[2])
    if tag in {"mtr", "mlabeledtr"}:
        return " ".join(parts) + "; "
    return _joined(node, parts)


def _joined(node: ElementTree.Element, parts: list[str]) -> str:
    """Parts one after another, apart where two would read as one word: `x_1^2 x_2`, `ln u`."""
    text = before = ""
    for child, part in zip(node, parts, strict=True):
        ends_in_word = len(text) > 1 and text[-2:].isalpha()
        text += " " + part if part[:1].isalnum() and (ends_in_word or (before in _SCRIPTS and text[-1:] != "′")) else part
        before = child.tag.rpartition("}")[2] if part else before
    return text


def _characters(node: ElementTree.Element) -> str:
    """What a leaf says, without invisible signs, letters of mathematical alphabets as letters: few fonts have them."""
    text = _UNSEEN.sub("", node.text or "")
    return "".join(unicodedata.normalize("NFKC", sign) if _LETTERS.match(sign) else sign for sign in text).translate(_ALIKE)


def _word(text: str) -> str:
    """Names of functions and words stand apart from what is before them."""
    return f" {text}" if len(text) > 1 and text.isalpha() else text


def _operator(text: str) -> str:
    if text in _SPACED or text in {"−", "-"}:
        return f" {text.replace('−', '-')} "
    return text + (" " if text in {",", ";"} else "")


def _group(text: str) -> str:
    text = text.strip()
    return text if _BRACKETED.fullmatch(text) else f"({text})"


def _over(base: str, above: str) -> str:
    above = above.strip()
    if above in _ACCENTS and len(base.strip()) == 1:
        return base.strip() + _ACCENTS[above]
    return f"{base.rstrip()}{above}" if above in {"′", "″"} else f"{base.rstrip()}^{_group(above)}"
