"""The neutral tables as Markdown (GitHub's pipe tables) and as LaTeX (booktabs and tabularx)."""

from __future__ import annotations

import re
import unicodedata

from taxonomy.export.files import Files
from taxonomy.export.paper import TICK, Cell, Item, PaperTable, tables
from taxonomy.export.whole import Content

PACKAGES = ("amsmath", "amssymb", "booktabs", "tabularx")
_SPANS = re.compile(
    r"(?P<math>\$\$.+?\$\$|(?<!\\)\$[^$]+?(?<!\\)\$)|`(?P<code>[^`]+)`|\[(?P<link>[^\]]+)\]\((?P<to>[^)]*)\)"
    r"|\*\*(?P<bold>(?:[^*$]|\$[^$]*\$)+)\*\*|\*(?P<italic>(?:[^*$]|\$[^$]*\$)+)\*|(?P<escaped>\\[\\`*_{}\[\]()#+.!$-])",
    re.DOTALL,
)
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "×": r"$\times$", TICK: r"$\checkmark$", "–": "--",
    "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$", "→": r"$\to$",
    "\u00a0": "~", "−": "$-$", "·": r"$\cdot$",
}  # fmt: skip
_LETTERS = {"EPSILON": "varepsilon", "PHI": "varphi"}


def markdown(content: Content) -> Files:
    """One file per table, and all in one."""
    made = {table.name: f"<!-- {content.stamp} -->\n\n{_markdown(table)}" for table in tables(content.atlas)}
    return {f"{_stem(name)}.md": text.encode() for name, text in made.items()} | {"tables.md": "\n".join(made.values()).encode()}


def latex(content: Content) -> Files:
    r"""One file per table, made to be read in with `\input`."""
    return {f"{_stem(table.name)}.tex": f"% {content.stamp}\n{_latex(table)}".encode() for table in tables(content.atlas)}


def _stem(name: str) -> str:
    return name if name.startswith("figure") else f"table-{name}"


def _markdown(table: PaperTable) -> str:
    lines = [f"**{table.label}.** {table.caption}", "", _line(table.head), _line(["---"] * len(table.head))]
    lines += [_line([", ".join(map(_markdown_item, cell)) for cell in row]) for row in table.rows]
    return "\n".join(lines) + "\n"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_item(item: Item) -> str:
    # A bar would end the cell, in a formula too: \vert is the same sign.
    text = f"${barless(item.text)}$" if item.formula else _SPANS.sub(_barless_span, " ".join(item.text.split())).replace("|", r"\|")
    return text + (f" [{', '.join(map(str, item.refs))}]" if item.refs else "")


def _barless_span(match: re.Match[str]) -> str:
    return barless(match.group(0)) if match.group("math") else match.group(0)


def barless(formula: str) -> str:
    r"""A formula on one line, its bars spelt out.

    >>> barless(r"\left| S \right| + |x|")
    '\\left\\vert  S \\right\\vert  + \\vert x\\vert '
    """
    return " ".join(formula.split("\n")).replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _latex(table: PaperTable) -> str:
    columns = "".join(_column(table, number) for number in range(len(table.head)))
    body = [" & ".join(_latex_cell(table, cell) for cell in row) + r" \\" for row in table.rows]
    lines = [
        f"% {table.label} from the Attribution Atlas (CC BY 4.0). Needs: " + " ".join(f"\\usepackage{{{name}}}" for name in PACKAGES),
        r"\begin{table*}",
        r"  \centering\footnotesize",
        rf"  \caption{{{to_latex(table.caption)}}}",
        rf"  \label{{tab:atlas-{table.name.lower()}}}",
        rf"  \begin{{tabularx}}{{\textwidth}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(map(to_latex, table.head))} \\\\",
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabularx}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _column(table: PaperTable, number: int) -> str:
    if number in table.wide:
        return r">{\raggedright\arraybackslash}X"
    return r">{\centering\arraybackslash}X" if number in table.ticked else "l"


def _latex_cell(table: PaperTable, cell: Cell) -> str:
    return ", ".join(_latex_item(table, item) for item in cell)


def _latex_item(table: PaperTable, item: Item) -> str:
    text = f"${_one_line(item.text)}$" if item.formula else to_latex(item.text)
    keys = [key for number in item.refs if (key := table.key(number))]
    return text + (rf"~\cite{{{','.join(keys)}}}" if keys else "")


def _one_line(formula: str) -> str:
    return " ".join(formula.split())


def to_latex(prose: str) -> str:
    r"""Markdown prose as LaTeX: formulas as they are, all else escaped.

    >>> to_latex("50 % of *IG*, $x_i$ & `a_b`: LRP-ε")
    '50 \\% of \\emph{IG}, $x_i$ \\& \\texttt{a\\_b}: LRP-$\\varepsilon$'
    """
    text, pieces, end = " ".join(prose.split()), [], 0
    for match in _SPANS.finditer(text):
        pieces += [escape(text[end : match.start()]), _span(match)]
        end = match.end()
    return "".join([*pieces, escape(text[end:])])


def _span(match: re.Match[str]) -> str:
    found = match.groupdict()
    if found["math"]:
        return f"${found['math'].strip('$').strip()}$"
    if found["code"]:
        return rf"\texttt{{{escape(found['code'])}}}"
    if found["link"]:
        return to_latex(found["link"])
    if found["escaped"]:
        return escape(found["escaped"][1:])
    return rf"\textbf{{{to_latex(found['bold'])}}}" if found["bold"] else rf"\emph{{{to_latex(found['italic'])}}}"


def escape(text: str) -> str:
    """Plain text as LaTeX. Latin letters with accents stay as they are; Greek letters become formulas."""
    return "".join(map(_character, text)).replace("$$", "")  # neighbouring formulas are one


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    kind, _, name = unicodedata.name(character, "").partition(" SMALL LETTER ")
    return f"$\\{_LETTERS.get(name, name.lower())}$" if kind == "GREEK" and name.isalpha() else character
