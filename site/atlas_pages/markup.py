"""Small pieces of Markdown: escaping, links, badges, tables.

Addresses are written from the top of the site with the marker `@/` (`@/methods/lime.md`); `relative` turns them into relative ones for the page
that holds them, so that the functions which write pages need not know where their text will stand.
"""

from __future__ import annotations

import functools
import html
import posixpath
import re
from collections.abc import Iterable, Sequence

from atlas_pages.mathtext import plain_math

_MARKDOWN = re.compile(r"([\\`*_\[\]{}#])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;", '"': "&quot;"})
# An element inside a paragraph is read as Markdown too, its attributes included.
_IN_HTML = str.maketrans({sign: f"&#{ord(sign)};" for sign in "|$[]`{}\\"})
_ADDRESS = re.compile(r'(\]\(|(?:href|src)=")@/([^)"#\s]*)')
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_MATH = re.compile(r"(?<![\\$])(\${1,2})(?!\$)(.+?)(?<!\\)\1(?!\$)", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)")


def escape(text: str) -> str:
    """Plain text as Markdown that shows exactly that text, also within a table cell."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split())).translate(_ENTITIES)


def attribute(text: str) -> str:
    """Plain text for an attribute or the content of an HTML element."""
    return html.escape(" ".join(text.split())).translate(_IN_HTML)


def link(text: str, address: str, *, title: str = "", css: str = "") -> str:
    """A link with plain text."""
    hint = f' "{attribute(title)}"' if title else ""
    return f"[{escape(text)}]({address}{hint})" + (f"{{ .{css} }}" if css else "")


def code(text: str) -> str:
    """Plain text as a code span, on one line: a blank line would end the span and leave the rest to be read as Markdown."""
    text = " ".join(text.splitlines()) if not text.isprintable() else text
    if _OPENS_MARKUP.search(text):
        return f"<code>{escape(text)}</code>"
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def inline_math(latex: str) -> str:
    """LaTeX as inline mathematics."""
    return f"${' '.join(latex.split())}$"


def display_math(latex: str) -> str:
    """LaTeX as displayed mathematics on one line."""
    return f"$${' '.join(latex.split())}$$"


def one_line(prose: str) -> str:
    """Checked Markdown prose on one line, fit for a table cell or a list item."""
    text = " ".join(prose.split())
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(0))
        return f"\x00{len(kept) - 1}\x00"

    text = _MATH.sub(keep, _CODE.sub(keep, text)).replace("|", "&#124;")
    while "\x00" in text:
        text = re.sub("\x00(\\d+)\x00", lambda m: kept[int(m.group(1))], text)
    return text


def first_paragraph(prose: str) -> str:
    """The paragraph that stands alone on cards and in search."""
    return one_line(re.split(r"\n\s*\n", prose.strip(), maxsplit=1)[0])


# Python-Markdown reads the rest of the page as text after one of these, even in a code span, and closes no container any more.
_OPENS_MARKUP = re.compile(r"&#|<[!?]")


def plain(prose: str) -> str:
    """Prose without any markup."""
    text = _MATH.sub(lambda m: plain_math(m.group(2)), prose)
    text = _LINK.sub(r"\1", _CODE.sub(r"\2", text))
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", text))
    return " ".join(re.sub(r"\\([\\`*_{}\[\]()#+\-.!$])", r"\1", text).split())


def relative(text: str, page: str) -> str:
    """Replace `@/` addresses in the text of `page` by relative ones; a page's link to itself keeps the anchor alone."""
    folder = posixpath.dirname(page)

    def turn(match: re.Match[str]) -> str:
        target = match.group(2)
        return match.group(1) + (_from(folder or ".", target) if target else "")

    return _ADDRESS.sub(turn, text)


@functools.lru_cache(maxsize=1 << 17)
def _from(folder: str, target: str) -> str:
    # A page links to the same few pages over and over, and `relpath` asks the operating system where it is each time.
    return posixpath.relpath(target, folder)


def badge(text: str, css: str, *, title: str = "") -> str:
    """A status badge: shape and colour come from the class, the words from the text."""
    hint = f' title="{attribute(title)}"' if title else ""
    return f'<span class="badge {css}"{hint}>{attribute(text)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already.

    Raises
    ------
    ValueError
        If a cell has several lines: the table would end there.
    """
    lines = [head, ["---"] * len(head), *rows]
    broken = next((cell for cells in lines for cell in cells if "\n" in cell), None)
    if broken is not None:
        raise ValueError(f"a cell of a table holds a line break, with which the table would end: {broken!r}")
    return "\n".join("| " + " | ".join(cell or " " for cell in cells) + " |" for cells in lines)


def bullets(items: Iterable[str]) -> str:
    """A Markdown list; an item of several lines is indented, one of several paragraphs set apart."""
    lines = ["- " + item.replace("\n", "\n    ") for item in items]
    return ("\n\n" if any("\n" in line for line in lines) else "\n").join(lines)


def section(title: str, body: str, *, level: int = 2, anchor: str = "", searched: bool = True) -> str:
    """A heading with its text, or nothing if there is no text; what only repeats other pages need not be `searched`."""
    if not body.strip():
        return ""
    marks = ([f"#{anchor}"] if anchor else []) + ([] if searched else ["data-search-exclude"])
    mark = f" {{ {' '.join(marks)} }}" if marks else ""
    return f"{'#' * level} {title}{mark}\n\n{body.strip()}\n"


def box(css: str, body: str, *, anchor: str = "", tag: str = "div") -> str:
    """A container with Markdown inside."""
    mark = f' id="{anchor}"' if anchor else ""
    return f'<{tag} class="{css}"{mark} markdown>\n\n{body.strip()}\n\n</{tag}>'


def fold(summary: str, body: str, *, opened: bool = False) -> str:
    """A part that opens on demand."""
    return f'<details class="fold"{" open" if opened else ""} markdown>\n<summary>{attribute(summary)}</summary>\n\n{body.strip()}\n\n</details>'


def together(items: Iterable[str]) -> str:
    """A list of names with marks, each in the line of its name: at the beginning of the next it would seem to belong to what follows."""
    names = list(items)
    return " ".join(f'<span class="in-list">{name}{"," if number < len(names) else ""}</span>' for number, name in enumerate(names, start=1))


def few(items: Sequence[str], most: int) -> str:
    """A list in a line or a cell, of which `most` are shown and the rest opens on demand; `–` if there are none."""
    shown = ", ".join(items[:most]) or "–"
    rest = items[most:]
    return shown + (f'<details class="rest"><summary>and {len(rest)} more</summary>{", ".join(rest)}</details>' if rest else "")


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 method`, `2 methods`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def paragraphs(*parts: str) -> str:
    """Non-empty parts, a blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part and part.strip())
