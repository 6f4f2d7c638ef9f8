r"""The two kinds of text a record may hold, and what makes each of them valid.

`Prose` is Markdown with `$...$` for mathematics; `Formula` is LaTeX alone. Both are checked while a record is read, so a formula that does not
parse is reported at its own line rather than when a page is drawn.
"""

from __future__ import annotations

import functools
import html
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

_CODE = re.compile(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
_INLINE = re.compile(r"(?<![\\$])\$(?!\$)([^$]+?)(?<!\\)\$(?!\$)", re.DOTALL)
_HTML = re.compile(r"<\s*/?\s*[A-Za-z!?][^<>]*>")
_LINK = re.compile(r"\](?:\(|:)\s*([^\s)]*)")
_SCHEME = re.compile(r"[^/?#:]*:")
_SPECIAL = re.compile(r"[<$\]]")


@functools.cache
def _converter() -> Any:
    # Imported late: reading a cached atlas needs no formula parser.
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False)


def to_mathml(latex: str, *, display: bool) -> str:
    """Convert LaTeX to MathML.

    Raises
    ------
    ValueError
        If the formula does not parse; the message says where in the formula.
    """
    from math_core import LatexError

    try:
        mathml: str = _converter().convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"formula does not parse: {reason} in `{latex.strip()}`") from None
    return mathml


def formulas_of(prose: str) -> list[tuple[str, bool]]:
    """The formulas of a Markdown text as (LaTeX, displayed) pairs; code spans are skipped."""
    without_code = _CODE.sub("", prose)
    displayed = [(match.group(1), True) for match in _DISPLAY.finditer(without_code)]
    inline = _INLINE.finditer(_DISPLAY.sub("", without_code))
    return displayed + [(match.group(1), False) for match in inline]


def check_formula(latex: str) -> str:
    """Return `latex` unchanged if it parses as displayed mathematics."""
    to_mathml(latex, display=True)
    return latex


def check_prose(prose: str) -> str:
    """Return `prose` unchanged if its formulas parse and it holds no raw HTML and no script link."""
    if not _SPECIAL.search(prose):
        return prose
    words = _INLINE.sub("", _DISPLAY.sub("", _CODE.sub("", prose)))
    if tag := _HTML.search(words):
        raise ValueError(f"raw HTML is not allowed in a record: `{tag.group(0)}`; write Markdown instead")
    for match in _LINK.finditer(words):
        scheme = _SCHEME.match(html.unescape(match.group(1)))
        if scheme and scheme.group(0).lower() not in {"http:", "https:"}:
            raise ValueError(f"links may point to https:, http: or relative addresses only, not to `{match.group(1)}`")
    if "$" in words.replace(r"\$", ""):
        raise ValueError("unbalanced `$`: close the formula, or write `\\$` for a dollar sign")
    for latex, display in formulas_of(prose):
        to_mathml(latex, display=display)
    return prose


def check_summary(prose: str) -> str:
    """As `check_prose`; the first paragraph must not hold displayed mathematics, since cards and tooltips reuse it."""
    check_prose(prose)
    if "$$" in prose.strip().split("\n\n", 1)[0]:
        raise ValueError("the first paragraph of a summary must not hold displayed mathematics (`$$`): cards and search reuse it")
    return prose


Prose = Annotated[str, Field(min_length=1), AfterValidator(check_prose)]
Summary = Annotated[str, Field(min_length=1), AfterValidator(check_summary)]
Formula = Annotated[str, Field(min_length=1), AfterValidator(check_formula)]
