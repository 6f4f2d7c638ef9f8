"""Whether finished HTML is inert: nothing in it runs, loads from elsewhere, or stands where it should not.

The prose of a record is rendered with the very extensions of the site, in the three places where pages set it: as paragraphs in a container, as a
cell of a table, and as an item of a list. Each place is followed by a mark, so that what leaves its place is noticed.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

BREAKS = frozenset({"br", "img", "hr", "input", "meta", "link", "wbr", "source", "col", "area", "base", "embed", "track", "param"})
RUNS = frozenset(
    {"script", "iframe", "object", "embed", "base", "meta", "link", "style", "form", "input", "button", "video", "audio", "frame", "svg"}
)
PROSE = frozenset(
    {"p", "ul", "ol", "li", "em", "strong", "code", "a", "span", "blockquote", "br", "pre", "table", "thead", "tbody", "tr", "th", "td"}
)
MATH = frozenset(
    [
        "math",
        "mi",
        "mn",
        "mo",
        "ms",
        "mspace",
        "mtext",
        "merror",
        "mfrac",
        "mpadded",
        "mphantom",
        "mroot",
        "mrow",
        "msqrt",
        "mstyle",
        "mmultiscripts",
        "mover",
        "mprescripts",
        "msub",
        "msubsup",
        "msup",
        "munder",
        "munderover",
        "mtable",
        "mtd",
        "mtr",
        "menclose",
        "semantics",
        "annotation",
        "mlabeledtr",
        "maction",
    ]
)
FRAME = frozenset({"div"})
_SAFE_ADDRESS = re.compile(r"(?:https?:)?[\w./#?&=%@:;,+~()-]*")
_STYLE = re.compile(r"[\w:.;%, #()-]*")


class Fault(AssertionError):  # noqa: N818 (what was found, not what went wrong here)
    """HTML that is not inert."""


class _Watch(HTMLParser):
    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed, self.open, self.marks = allowed, [], 0
        self.cells: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in RUNS or tag not in self.allowed:
            raise Fault(f"element <{tag}>")
        if tag in {"td", "li"}:
            self.cells.append(dict(attributes))
        for name, value in attributes:
            _check_attribute(tag, name, value or "")
        if tag not in BREAKS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in BREAKS:
            return
        if not self.open or self.open[-1] != tag:
            raise Fault(f"</{tag}> closes {self.open[-1:] or 'nothing'}")
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "MARK" in data:
            self.marks += 1
            if self.open not in (["p"], ["div", "p"]):
                raise Fault(f"the text after it stands inside {self.open}")

    def handle_comment(self, data: str) -> None:
        raise Fault("comment")

    def handle_decl(self, decl: str) -> None:
        raise Fault("declaration")

    def handle_pi(self, data: str) -> None:
        raise Fault("processing instruction")


def _check_attribute(tag: str, name: str, value: str) -> None:
    if name.startswith("on") or name in {"srcdoc", "formaction", "background", "ping", "srcset", "id", "name"}:
        raise Fault(f"attribute {name} of <{tag}>")
    if name in {"href", "src", "xlink:href", "action", "data", "cite", "poster"}:
        plain = re.sub(r"[\x00-\x20]", "", value)
        if tag != "a" or not _SAFE_ADDRESS.fullmatch(value) or re.match(r"(?!https?:)[^/?#]*:", plain):
            raise Fault(f"address {value!r} of <{tag}>")
    if name == "style" and ((tag not in MATH and tag not in {"td", "th"}) or not _STYLE.fullmatch(value) or "url" in value or "expression" in value):
        raise Fault(f"style {value!r} of <{tag}>")
    if tag in {"p", "li", "em", "strong", "code", "blockquote", "pre", "tr", "ul", "ol", "td"} and name not in {"style", "class"}:
        raise Fault(f"attribute {name} of <{tag}>")
    if tag in {"p", "li", "em", "strong", "td", "a"} and name == "class":
        raise Fault(f"class of <{tag}>")


_converters: dict[str, Any] = {}


def rendered(text: str) -> str:
    """Markdown as the site renders it, without what MkDocs adds to links between pages."""
    import markdown
    from atlas_pages import mathml

    if "site" not in _converters:
        names = ["attr_list", "md_in_html", "tables", "admonition", "toc", "pymdownx.highlight", "pymdownx.superfences"]
        _converters["site"] = markdown.Markdown(extensions=[*names, mathml.MathExtension()], extension_configs={"toc": {"permalink": False}})
    converter = _converters["site"]
    converter.reset()
    return str(converter.convert(text))


def watch(page: str, *, allowed: frozenset[str] = PROSE | MATH | FRAME, marks: int = 1) -> list[dict[str, str | None]]:
    """Go through finished HTML; returns the attributes of its table cells and list items.

    Raises
    ------
    Fault
        If anything in it runs, loads from elsewhere or left its place.
    """
    parser = _Watch(allowed)
    parser.feed(page)
    parser.close()
    if parser.open:
        raise Fault(f"unclosed {parser.open}")
    if parser.marks != marks:
        raise Fault(f"the text after it is gone: {parser.marks} of {marks} marks")
    return parser.cells


def check_prose_in_place(prose: str) -> None:
    """Render accepted prose in the three places where pages set it and look whether it stays there.

    Raises
    ------
    Fault
        If it does not.
    """
    from atlas_pages.markup import box, bullets, one_line, table

    watch(rendered(box("data", prose) + "\n\nMARK"))
    line = one_line(prose)
    cells = watch(rendered(box("data", table(["a", "b"], [[line, "second"]])) + "\n\nMARK"), allowed=PROSE | MATH | FRAME)
    if len(cells) < 2 or any(set(attributes) - {"style"} for attributes in cells):
        raise Fault(f"cells of the table: {cells}")
    watch(rendered(bullets([f"before – {line}", f"{line} after"]) + "\n\nMARK"))


def watch_page(page: str, allowed: frozenset[str]) -> None:
    """Go through a whole page of the generator, which has parts that prose may not have: headings, folds, tables, small pictures.

    Raises
    ------
    Fault
        If anything in it runs, or its elements are not closed in order.
    """
    parser = _WatchPage(allowed | _OF_PAGES)
    parser.feed(page)
    parser.close()
    if parser.open:
        raise Fault(f"unclosed {parser.open}")


_OF_PAGES = frozenset(
    [
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "img",
        "details",
        "summary",
        "figure",
        "figcaption",
        "dl",
        "dt",
        "dd",
        "small",
        "section",
        "svg",
        "path",
        "g",
        "text",
        "tspan",
        "rect",
        "circle",
        "line",
        "polyline",
        "polygon",
        "title",
        "desc",
        "defs",
        "marker",
        "use",
        "label",
        "b",
        "i",
        "sub",
        "sup",
        "button",
        "nav",
        "aside",
        "input",
        "caption",
        "colgroup",
        "col",
        "kbd",
        "del",
        "ins",
        "time",
    ]
)


class _WatchPage(_Watch):
    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.allowed:
            raise Fault(f"element <{tag}>")
        for name, value in attributes:
            plain = re.sub(r"[\x00-\x20]", "", value or "")
            if name.startswith("on") or name in {"srcdoc", "formaction", "background", "ping", "srcset"}:
                raise Fault(f"attribute {name} of <{tag}>")
            if name in {"href", "src", "xlink:href"} and re.match(r"(?!https?:)[^/?#]*:", plain):
                raise Fault(f"address {value!r} of <{tag}>")
            if "__pwned" in name or "alert" in name:
                raise Fault(f"attribute {name}")
        if tag not in BREAKS and tag not in {"path", "rect", "circle", "line", "polyline", "polygon", "use"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "rect", "circle", "line", "polyline", "polygon", "use"}:
            super().handle_endtag(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in BREAKS:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        pass
