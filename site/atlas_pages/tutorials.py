"""The tutorials: notebooks under `site/tutorials/`, as pages with every cell and what it put out when it was last run.

A notebook is read as plain JSON, so that the site needs neither torch nor Jupyter; `python site/tutorials/run.py` runs the notebooks and records
their outputs. HTML and SVG are taken over by a list of what may be in them.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from atlas_pages.context import Site
from atlas_pages.markup import bullets, escape, link, paragraphs
from atlas_pages.parts import front_matter, index_front

FOLDER = "tutorials"
NOTEBOOKS = Path(__file__).resolve().parents[1] / FOLDER
ORDER = ("explain-a-cnn", "explain-a-tabular-model", "audit-a-method", "query-the-graph")
"""The order in which they are read; others come last, by name."""
INDEX = f"{FOLDER}/index.md"
_DESCRIPTION = "Notebooks to read or to run: explain a network, explain a black box, audit a method, query the graph."
_HTML = {"table", "thead", "tbody", "tr", "th", "td", "p", "strong", "em", "code", "pre", "br", "ul", "ol", "li"}
_SVG = {"svg", "g", "rect", "path", "line", "polyline", "circle", "text", "title"}
_ATTRIBUTES = {
    "scope", "colspan", "rowspan", "viewbox", "width", "height", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "points", "fill",
    "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "font-size", "text-anchor", "transform", "role", "aria-label",
}  # fmt: skip
_SPELLED = {"viewbox": "viewBox"}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)\.html(#[^)\s]*)?\)")
_CELL = {"markdown", "code"}


@dataclass(frozen=True)
class Tutorial:
    """One notebook."""

    name: str
    title: str
    description: str
    cells: tuple[dict[str, Any], ...]
    text: str
    """The file as it is, for downloading."""


@functools.cache
def tutorials() -> tuple[Tutorial, ...]:
    """All notebooks, in the order in which they are read.

    Raises
    ------
    ValueError
        If a notebook has no title, no description, or a cell of a kind that the pages cannot show; the message begins with the file.
    """
    files = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    names = [*(name for name in ORDER if name in files), *(name for name in files if name not in ORDER)]
    return tuple(read(files[name]) for name in names)


def read(path: Path) -> Tutorial:
    """One notebook; see `tutorials`."""
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    cells = found["cells"]
    description = found["metadata"].get("atlas", {}).get("description")
    first = "".join(cells[0]["source"]).splitlines()[0] if cells else ""
    if not first.startswith("# ") or not description:
        raise ValueError(f"{path}: a tutorial begins with a title (`# ...`) and has a description (metadata, `atlas`, `description`)")
    for cell in cells:
        if cell["cell_type"] not in _CELL:
            raise ValueError(f"{path}: cell `{cell['id']}` is of kind `{cell['cell_type']}`; write markdown or code")
    return Tutorial(path.stem, first.removeprefix("# ").strip(), description, tuple(cells), text)


def index(site: Site) -> str:
    """The page that lists the tutorials."""
    del site
    lines = [f"**{link(item.title, f'@/{FOLDER}/{item.name}.md')}** – {escape(item.description)}" for item in tutorials()]
    return paragraphs(
        index_front("Tutorials", _DESCRIPTION),
        "Each of these pages is a notebook: text, code, and what the code put out when it was last run. The tests run all of them and compare. Read "
        "them here, or download one and run it with the package installed (`pip install 'attribution-atlas[torch]'`); nothing else is fetched.",
        bullets(lines),
    ) + "\n"  # fmt: skip


def files(site: Site) -> Iterator[tuple[str, str]]:
    """Each tutorial as a page, and its notebook beside it, as (path, text)."""
    del site
    found = tutorials()
    for number, tutorial in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        yield f"{FOLDER}/{tutorial.name}.md", page(tutorial, following)
        yield f"{FOLDER}/{tutorial.name}.ipynb", tutorial.text


def page(tutorial: Tutorial, following: Tutorial | None = None) -> str:
    """A notebook as a page: its title, where to download it, every cell."""
    title, _, rest = "".join(tutorial.cells[0]["source"]).partition("\n")
    onward = f" · Next: {link(following.title, f'{following.name}.md')}" if following else ""
    facts = f"[Download this notebook]({tutorial.name}.ipynb) · {link('All tutorials', 'index.md')}{onward}\n{{ .nb-facts }}"
    return paragraphs(
        front_matter(title=tutorial.title, description=tutorial.description),
        title,
        facts,
        _markdown(rest),
        *(_cell(cell) for cell in tutorial.cells[1:]),
    ) + "\n"  # fmt: skip


def _markdown(text: str) -> str:
    """Text of a notebook; links to pages of the site lead to their sources, which MkDocs checks."""
    return _LINK.sub(lambda match: f"]({match.group(1)}.md{match.group(2) or ''})", text.strip("\n"))


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return _markdown(source)
    outputs = [_output(output) for output in cell["outputs"]]
    return paragraphs(_fence(source, "python"), *outputs)


def _fence(text: str, language: str) -> str:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"^`+", text, re.MULTILINE)), default=0))
    return f"{ticks}{language}\n{text.strip(chr(10))}\n{ticks}"


def _output(output: dict[str, Any]) -> str:
    """What a cell put out: text as text, tables and drawings as far as they are safe."""
    if output["output_type"] == "stream":
        return _text("".join(output["text"]))
    if output["output_type"] == "error":
        raise ValueError(f"a cell failed: {output['ename']}: {output['evalue']}")
    data = {kind: "".join(value) for kind, value in output["data"].items()}
    if "image/svg+xml" in data:
        return f'<div class="nb-out nb-figure" tabindex="0">{clean(data["image/svg+xml"], _SVG)}</div>'
    if "text/html" in data:
        return f'<div class="nb-out nb-table" tabindex="0">{clean(data["text/html"], _HTML)}</div>'
    return _text(data["text/plain"])


def _text(text: str) -> str:
    # A line break as an entity: Markdown would take an empty line for the end of the block.
    lines = html.escape(text.rstrip("\n"), quote=False).replace("$", "&#36;").replace("\n", "&#10;")
    return f'<div class="nb-out"><pre class="nb-text" tabindex="0">{lines}</pre></div>'


# -- cleaning ------------------------------------------------------------------------------------------------------------------------------


def clean(text: str, allowed: set[str]) -> str:
    """HTML or SVG with the elements allowed and harmless attributes alone, on one line.

    Raises
    ------
    ValueError
        If there is an element that is not allowed: what a notebook shows is ours, so this is a mistake in it.
    """
    parser = _Cleaner(allowed)
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


class _Cleaner(HTMLParser):
    def __init__(self, allowed: set[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed = allowed
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.allowed:
            raise ValueError(f"an output holds the element `{tag}`, which the pages do not show")
        kept = [(name, value or "") for name, value in attrs if name in _ATTRIBUTES and "url(" not in (value or "")]
        self.parts.append(f"<{tag}{''.join(f' {_SPELLED.get(name, name)}={_quoted(value)}' for name, value in kept)}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "br":
            self.parts.append(f"</{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if tag != "br":
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(html.escape(data, quote=False).replace("$", "&#36;").replace("\n", "&#10;"))


def _quoted(value: str) -> str:
    return '"' + html.escape(value).replace("$", "&#36;") + '"'
