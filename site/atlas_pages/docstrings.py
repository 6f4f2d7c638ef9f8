"""Docstrings in the style of numpy as HTML: prose, displayed lines, lists of parameters, and examples that one can copy.

The result is raw HTML, in which nothing of a docstring is taken for Markdown or for markup; only the code blocks are Markdown, to be coloured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from atlas_pages.markup import attribute

Linker = Callable[[str], str]
"""What turns the text of a code span into HTML."""

LISTS = frozenset({"Parameters", "Returns", "Yields", "Raises", "Attributes", "Warns", "Other Parameters"})
MOST_GAP = 3
_RULE = re.compile(r"^-{3,}$")
_CODE = re.compile(r"``(.+?)``|`([^`]+)`")
_DISPLAYED = re.compile(r"\S {3,}\S|^\s")


def plain_code(text: str) -> str:
    """A code span without a link."""
    return f"<code>{attribute(text)}</code>"


def inline(text: str, linker: Linker = plain_code) -> str:
    """A line of prose as HTML.

    >>> inline("If `x` < 1 & <b>.")
    'If <code>x</code> &lt; 1 &amp; &lt;b&gt;.'
    """
    parts, end = [], 0
    for match in _CODE.finditer(text):
        # The attribute form also drops spaces at the ends, which stand between words here.
        parts += [_prose(text[end : match.start()]), linker(match.group(1) or match.group(2))]
        end = match.end()
    return "".join([*parts, _prose(text[end:])])


def _prose(text: str) -> str:
    lead = " " if text[:1].isspace() else ""
    trail = " " if text[-1:].isspace() and text.strip() else ""
    return lead + attribute(text) + trail


def sections(doc: str) -> list[tuple[str, list[str]]]:
    r"""The parts of a docstring with their headings; the first has none.

    >>> sections("One.\n\nReturns\n-------\nint\n    Two.")
    [('', ['One.', '']), ('Returns', ['int', '    Two.'])]
    """
    found: list[tuple[str, list[str]]] = [("", [])]
    lines = doc.splitlines()
    for number, line in enumerate(lines):
        if _RULE.match(line) and number and lines[number - 1].strip() and not lines[number - 1].startswith(" "):
            title = found[-1][1].pop()
            found.append((title, []))
        else:
            found[-1][1].append(line)
    return found


def rendered(doc: str, linker: Linker = plain_code) -> str:
    """A docstring as Markdown that holds HTML.

    Parameters
    ----------
    doc
        The docstring without its common indentation.
    linker
        What turns a code span into HTML.
    """
    parts: list[str] = []
    for title, lines in sections(doc):
        if title:
            parts.append(f'<p class="doc-title">{attribute(title)}</p>')
        if title in LISTS:
            parts.append(_entries(lines, linker, typed=title in {"Returns", "Yields", "Raises", "Warns"}))
        else:
            parts += _blocks(lines, linker)
    return "\n\n".join(part for part in parts if part)


def _entries(lines: list[str], linker: Linker, *, typed: bool) -> str:
    """`name : type` with an indented text below; where only types are listed, the whole line is one."""
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.strip() and not line.startswith(" "):
            entries.append((line.strip(), []))
        elif entries:
            entries[-1][1].append(line.removeprefix("    "))
    if not entries:
        return ""
    cells = []
    for head, text in entries:
        name, _, kind = head.partition(" : ")
        shown = f"<code>{attribute(name)}</code>" + (f' <span class="type">{inline(kind, linker)}</span>' if kind else "")
        if typed and " " in name and not kind:
            shown = f'<span class="type">{inline(name, linker)}</span>'
        cells.append(f"<dt>{shown}</dt><dd>{''.join(_html(text, linker))}</dd>")
    return f'<dl class="doc-list" data-search-exclude>{"".join(cells)}</dl>'


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            part.append(line.rstrip())
        elif part:
            yield part
            part = []


def _html(lines: list[str], linker: Linker) -> Iterator[str]:
    """Paragraphs, displayed lines and lists inside an entry."""
    for part in _paragraphs(lines):
        if part[0].lstrip().startswith("- "):
            yield _list(part, linker)
        elif any(_DISPLAYED.search(line) for line in part):
            yield f'<pre class="doc-lines">{_exact(part)}</pre>'
        else:
            yield f"<p>{inline(' '.join(part), linker)}</p>"


def _exact(lines: list[str]) -> str:
    # No blank line stands inside a part, so the Markdown around it does not end the block of HTML.
    return "\n".join(attribute_kept(line) for line in squeezed(lines))


def squeezed(lines: list[str]) -> list[str]:
    """Lines with every gap that runs through all of them cut to three columns: a source file is wider than a page.

    >>> squeezed(["a = 1        (Eq. 1)", "b = 22       (Eq. 2)"])
    ['a = 1    (Eq. 1)', 'b = 22   (Eq. 2)']
    """
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    kept: list[int] = []
    gap = 0
    for column in range(width):
        gap = gap + 1 if all(line[column] == " " for line in padded) else 0
        if gap <= MOST_GAP and not (gap and not kept):
            kept.append(column)
    return ["".join(line[column] for column in kept).rstrip() for line in padded]


def attribute_kept(line: str) -> str:
    """A line with its spaces, safe in HTML."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;").replace("|", "&#124;")


def _list(lines: list[str], linker: Linker) -> str:
    items: list[str] = []
    for line in lines:
        if line.lstrip().startswith("- "):
            items.append(line.lstrip()[2:])
        else:
            items[-1] += " " + line.strip()
    return "<ul>" + "".join(f"<li>{inline(item, linker)}</li>" for item in items) + "</ul>"


def _blocks(lines: list[str], linker: Linker) -> Iterator[str]:
    """Blocks at the top: an example, which may hold blank lines of its own, becomes one block of code."""
    example: list[str] = []
    for part in _paragraphs(lines):
        if part[0].lstrip().startswith(">>> "):
            example += ([""] if example else []) + part
            continue
        if example:
            yield _example(example)
            example = []
        yield from _html(part, linker)
    if example:
        yield _example(example)


def _example(lines: list[str]) -> str:
    return "```pycon\n" + "\n".join(lines) + "\n```"
