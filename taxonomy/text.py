r"""The two kinds of text a record may hold, and what makes each of them valid.

`Prose` is Markdown with `$...$` for mathematics; `Formula` is LaTeX alone. Both are checked while a record is read, so a formula that does not
parse is reported at its own line rather than when a page is drawn.

Records come from strangers, and their text goes into pages as it is. So prose is a small part of Markdown: paragraphs, lists, emphasis, code spans,
formulas, links to other sites. What would leave its place on the page (a heading, a rule, an attribute list, an opened fence) is refused here.
"""

from __future__ import annotations

import functools
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from taxonomy.characters import impostor, shown

MOST_PROSE = 10_000
MOST_FORMULA = 2_000
MOST_BRACES = 30
MOST_BRACKETS = 60
MOST_UNCLOSED = 10

# What stands between backticks is never mathematics, so code spans come first. The site takes formulas out of pages with this same expression:
# were it another one, something could be a formula here and raw HTML there.
TOKENS = re.compile(
    r"(?P<code>(?<![\\`])(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<escaped>\\\$)"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|(?P<open>(?<!\])\()?\$(?P<inline>[^$]+?)(?<!\\)\$(?P<close>[).,;:?!]*)",
    re.DOTALL,
)
_SPECIAL = re.compile(r"[<$\[\]`{~#=!?]|^[ \t>]*[-*_]", re.MULTILINE)
# Characters nobody sees are looked for where files are read, once for all of a file.
_HTML = re.compile(r"<[A-Za-z!?/][^<>]{0,60}>?")
_LINK = re.compile(r"\[[^\[\]\n]*\]\(https?://[A-Za-z0-9][A-Za-z0-9./:?=#%,;@+~_-]*\)(?!\{)")
_REFERENCE = re.compile(r"&#(?!(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});)")
# Python-Markdown reads the rest of the page as text after one of these, even in a code span, and closes no container any more.
_OPENS_MARKUP = re.compile(r"&#|<[!?]")
_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9./:?=#%&,;@+~_-]*")
_ADDRESS = re.compile(r"\](?:\(|:)[\s<]*([^\s)>]*)")
_DEFINITION = re.compile(r"^[ \t>]*(?:(?:[*+-]|\d+[.)])[ \t]+)*\[[^\]\n]*\]:", re.MULTILINE)
_SET_OF_NAMES = re.compile(r"(?<=[ (])\{[\w ]+(?:, ?[\w ]+)*\}(?=[.,;:)]| \S)")
_BLOCK = re.compile(
    r"^[ \t>]*(?:(?:[*+-]|\d+[.)])[ \t]+)*(?:(?P<heading>#)|(?P<rule>(?:[-=*_][ \t]*)+$)|(?P<fence>~~~|```)|"
    r"(?P<box>!!!|\?\?\?)|(?P<contents>\[TOC\]))",
    re.MULTILINE,
)
_BLOCKS = {
    "heading": "a heading", "rule": "a rule or an underlined heading", "fence": "a fenced block", "box": "an admonition",
    "contents": "a table of contents",
}  # fmt: skip
_BRACES = re.compile(r"(?<!\\)(?:\\\\)*[{}]")
_DELIMITERS = re.compile(
    r"(?P<opening>[(\[]|\\\{|\\l(?:angle|floor|ceil|brace|brack|vert|Vert|group|moustache|parenthesis)|\\ulcorner|\\llcorner)"
    r"|(?P<closing>[)\]]|\\\}|\\r(?:angle|floor|ceil|brace|brack|vert|Vert|group|moustache|parenthesis)|\\urcorner|\\lrcorner)"
    r"|(?P<cell>&|\\\\)|\\.|(?P<group>\{)|(?P<end>\})",
    re.DOTALL,
)
_COMMENT = re.compile(r"(?<!\\)(?:\\\\)*%")
_FORBIDDEN = re.compile(r"\\(?:[egx]?def|g?let|[a-z]*newcommand|[hm]space|m?kern|[hm]?skip|label|(?:eq)?ref|tag)(?![A-Za-z])\*?")
_FENCE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)


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

    _refuse_absurd(latex)
    try:
        mathml: str = _converter().convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"formula does not parse: {shown(reason)} in `{shown(latex.strip())}`") from None
    return mathml


def _refuse_absurd(latex: str) -> None:
    # The parser recurses in the machine's own stack and would end the whole process.
    if len(latex) > MOST_FORMULA:
        raise ValueError(f"formula has {len(latex)} characters; at most {MOST_FORMULA} are read")
    if latex.count("{") > MOST_BRACES:
        _refuse_depth(latex)
    if latex.count("[") + latex.count("(") + latex.count("\\") > MOST_UNCLOSED:
        _refuse_unclosed(latex)
    if command := _FORBIDDEN.search(latex):
        raise ValueError(f"formula does not parse: `{command.group()}` is not allowed in a record in `{shown(latex.strip())}`")
    if "%" in latex and _COMMENT.search(latex):
        raise ValueError(f"formula does not parse: `%` begins a comment in `{shown(latex.strip())}`; write `\\%` for the sign")


def _refuse_depth(latex: str) -> None:
    depth = 0
    for match in _BRACES.finditer(latex):
        depth += 1 if match.group()[-1] == "{" else -1
        if depth > MOST_BRACES:
            raise ValueError(f"formula has braces nested deeper than {MOST_BRACES} levels")


def _refuse_unclosed(latex: str) -> None:
    # math-core looks for the partner of each opening bracket, again for every bracket around it: the time doubles with each that has none.
    groups, unclosed = [0], 0
    for match in _DELIMITERS.finditer(latex):
        kind = match.lastgroup
        if kind == "opening":
            groups[-1] += 1
        elif kind == "closing":
            groups[-1] = max(0, groups[-1] - 1)
        elif kind == "group":
            groups.append(0)
        else:  # the end of a group, a cell or a line: what is open there stays so
            unclosed += groups.pop() if kind == "end" and len(groups) > 1 else 0
            if kind == "cell":
                unclosed, groups[-1] = unclosed + groups[-1], 0
        if unclosed + sum(groups) > MOST_UNCLOSED:
            raise ValueError(f"formula has more than {MOST_UNCLOSED} brackets that are open at once in `{shown(latex.strip())}`")


def formulas_of(prose: str) -> list[tuple[str, bool]]:
    """The formulas of a Markdown text as (LaTeX, displayed) pairs; code spans are skipped."""
    return _taken_apart(prose)[1]


def _taken_apart(prose: str) -> tuple[str, list[tuple[str, bool]]]:
    """The words, with something in place of each code span and formula that can carry an attribute list as they could; and the formulas."""
    words: list[str] = []
    formulas: list[tuple[str, bool]] = []
    start = 0
    for match in TOKENS.finditer(prose):
        code, escaped, display, opened, inline, close = match.group("code", "escaped", "display", "open", "inline", "close")
        words.append(prose[start : match.start()])
        start = match.end()
        if code:
            if sign := _OPENS_MARKUP.search(code):
                raise ValueError(f"`{sign.group()}` is not allowed in a code span: renderers of Markdown take it for the beginning of markup")
            words.append("c*")
        elif escaped:
            words.append("d")
        else:
            words.append(f"{opened or ''}m*{close or ''}")
            formulas.append((inline or display, inline is None))
    return "".join([*words, prose[start:]]), formulas


def check_formula(latex: str) -> str:
    """Return `latex` unchanged if it parses as mathematics, alone and on one line with other text."""
    if "$" in latex:
        raise ValueError(f"formula does not parse: it holds `$` in `{shown(latex.strip())}`; dollar signs stand around formulas in prose only")
    _converted(latex, display=True)
    return latex


@functools.lru_cache(maxsize=8192)  # many formulas occur in several places
def _converted(latex: str, *, display: bool) -> None:
    to_mathml(latex, display=display)
    joined = " ".join(latex.split())
    if not joined:
        raise ValueError("formula is empty")
    if joined != latex:  # pages set it so
        to_mathml(joined, display=display)


def check_prose(prose: str) -> str:
    """Return `prose` unchanged if its formulas parse and nothing in it can leave its place on a page: no raw HTML, no block of its own, no script."""
    if len(prose) > MOST_PROSE:
        raise ValueError(f"text has {len(prose)} characters; at most {MOST_PROSE} are read")
    if prose.isspace():
        raise ValueError("text is empty")
    if not _SPECIAL.search(prose):
        return prose
    words, formulas = _taken_apart(prose) if "$" in prose or "`" in prose else (prose, [])
    if tag := _HTML.search(words):
        raise ValueError(f"raw HTML is not allowed in a record: `{tag.group(0)}`; write Markdown instead")
    if "&#" in words and (sign := _REFERENCE.search(words)):
        raise ValueError(f"`{sign.group()}` is not allowed in a record; write `&` as `&amp;`")
    if "`" in words:
        raise ValueError("unbalanced backtick: a code span is closed on the line where it opens")
    _check_links(words)
    _check_blocks(words)
    if "$" in words:
        raise ValueError("unbalanced `$`: close the formula, or write `\\$` for a dollar sign")
    for latex, display in formulas:
        _converted(latex, display=display)
    return prose


def _check_links(words: str) -> None:
    if "]" not in words and "[" not in words:
        return
    if "![" in words:
        raise ValueError("pictures are not allowed in the text of a record")
    rest = _LINK.sub("link*", words)
    if (match := _ADDRESS.search(rest)) and ("](" in rest or _DEFINITION.search(rest)):
        raise ValueError(f"links may point to https: or http: addresses only, not to `{shown(match.group(1))}`")
    if "][" in rest:
        raise ValueError("links by reference (`[words][name]`) are not allowed in a record; write `[words](https://…)`")
    if rest.count("[") > MOST_BRACKETS:
        raise ValueError(f"text has more than {MOST_BRACKETS} opening brackets")


def _check_blocks(words: str) -> None:
    if block := _BLOCK.search(words):
        what = _BLOCKS[str(block.lastgroup)]
        raise ValueError(f"{what} is not allowed in the text of a record: `{shown(block.group().strip())}`; it would leave its place on the page")
    if "{" in words:
        rest = _SET_OF_NAMES.sub("", words)
        if (at := rest.find("{")) >= 0:
            raise ValueError(f"braces can change the page: `{shown(rest[at:], 30)}`; set a formula in `$…$` and code in backticks")


def check_summary(prose: str) -> str:
    """As `check_prose`; the first paragraph must not hold displayed mathematics, since cards and tooltips reuse it."""
    check_prose(prose)
    if "$$" in prose.strip().split("\n\n", 1)[0]:
        raise ValueError("the first paragraph of a summary must not hold displayed mathematics (`$$`): cards and search reuse it")
    return prose


def check_name(name: str) -> str:
    """Return `name` unchanged if it stands on one line, holds no markup, and does not pass for another name."""
    if name != " ".join(name.split()):
        raise ValueError("a name stands on one line, without spaces around it or doubled inside it")
    if not name:
        raise ValueError("a name is empty")
    if tag := _HTML.search(name):
        raise ValueError(f"a name is plain text, without markup: `{tag.group(0)}`")
    if fault := impostor(name):
        raise ValueError(f"`{shown(name)}` {fault}")
    return name


def check_cell(text: str) -> str:
    """Return `text` unchanged if it is plain, or, where it holds formulas, valid prose: such text is set as prose."""
    return check_prose(text) if "$" in text else text


def check_address(address: str) -> str:
    """Return `address` unchanged if it leads to another site and ends nowhere but at its end, wherever it is written."""
    if not _URL.fullmatch(address):
        raise ValueError(f"`{shown(address)}` is no address: write `https://…` with letters, digits and `./:?=#%&,;@+~_-` only")
    return address


def check_code(code: str) -> str:
    """Return `code` unchanged if it can stand in a fenced block: no line of it closes the block."""
    if fence := _FENCE.search(code):
        raise ValueError(f"a line of the code begins with `{fence.group().strip()}`, which would end the block it is shown in")
    return code


Prose = Annotated[str, Field(min_length=1), AfterValidator(check_prose)]
Summary = Annotated[str, Field(min_length=1), AfterValidator(check_summary)]
Formula = Annotated[str, Field(min_length=1), AfterValidator(check_formula)]
Name = Annotated[str, AfterValidator(check_name)]
Title = Annotated[str, Field(min_length=1, max_length=160), AfterValidator(check_name)]
Address = Annotated[str, AfterValidator(check_address)]
Cell = Annotated[str, AfterValidator(check_cell)]
Code = Annotated[str, AfterValidator(check_code)]
