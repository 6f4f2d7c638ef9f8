"""Python-Markdown extension: `$...$` and `$$...$$` become MathML.

Formulas are taken out before blocks are parsed, so that nothing inside them (`*`, `_`, `|`, a line that starts with `>`) is read as Markdown;
code spans and fenced code are left alone. A formula that does not parse stops the build, with the file and the line.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from taxonomy.text import TOKENS, to_mathml


@functools.cache
def _convert(latex: str, display: bool) -> str:
    mathml = to_mathml(latex, display=display)
    return f'<span class="formula">{mathml}</span>' if display else mathml


class MathPreprocessor(Preprocessor):
    """Replaces formulas by placeholders of finished MathML."""

    def run(self, lines: list[str]) -> list[str]:
        """Take the formulas out of the text."""
        text = "\n".join(lines)
        if "$" not in text:
            return lines
        return TOKENS.sub(self._replace, text).split("\n")

    def _replace(self, match: re.Match[str]) -> str:
        if match["code"]:
            return match.group(0)
        if match["escaped"]:
            return "&#36;"
        display = match["display"] is not None
        latex = match["display"] if display else match["inline"]
        try:
            mathml = _convert(latex, display)
        except ValueError as error:
            raise ValueError(f"{self._place(latex)}: {error}") from None
        # Browsers break lines around a formula; brackets and punctuation must not be torn off.
        before, after = match["open"] or "", match["close"] or ""
        if before or after:
            mathml = f'<span class="together">{before}{mathml}{after}</span>'
        return str(self.md.htmlStash.store(mathml))

    def _place(self, latex: str) -> str:
        """File and line of a formula, as far as MkDocs tells which page this is."""
        page = self.md.treeprocessors["relpath"].file if "relpath" in self.md.treeprocessors else None  # type: ignore[attr-defined]
        if page is None:
            return "formula"
        before, found, _ = page.content_string.partition(latex)
        return f"{page.src_uri}:{before.count(chr(10)) + 1}" if found else str(page.src_uri)


class MathExtension(Extension):
    """See the module."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (name given by Python-Markdown)
        """Put the preprocessor in its place."""
        # After fenced code (25) was put aside, before HTML blocks (20) are.
        md.preprocessors.register(MathPreprocessor(md), "mathml", 22)


def makeExtension(**options: Any) -> MathExtension:  # noqa: N802
    """Entry point of Python-Markdown."""
    return MathExtension(**options)
