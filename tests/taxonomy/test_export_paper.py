"""The survey's tables in Markdown and LaTeX: balanced, escaped, with the cells of the views."""

import functools
import re
import shutil
import subprocess

import hypothesis
import hypothesis.strategies as st
import markdown as python_markdown
import pytest

from taxonomy import export
from taxonomy.export import paper, table_markup
from taxonomy.export.table_markup import PACKAGES, escape, to_latex

NAMES = ("II", "III", "IV", "V", "VI", "VII", "figure-4")
COMMANDS = {  # what each needed package is needed for
    "amsmath": (r"\begin{aligned}", r"\operatorname"), "amssymb": (r"\checkmark", r"\mathbb"), "booktabs": (r"\toprule",),
    "tabularx": (r"\begin{tabularx}",),
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(kb_atlas):
    return {table.name: table for table in paper.tables(kb_atlas)}


@pytest.fixture(scope="module")
def latex(kb_atlas):
    return {name: text.decode() for name, text in export.make("latex", kb_atlas).items()}


@pytest.fixture(scope="module")
def markdown(kb_atlas):
    return {name: text.decode() for name, text in export.make("markdown", kb_atlas).items()}


def test_every_table_is_there(tables, latex, markdown):
    assert tuple(tables) == NAMES
    stems = {"figure-4", *(f"table-{name}" for name in NAMES[:-1])}
    assert {name.removesuffix(".tex") for name in latex} == stems
    assert {name.removesuffix(".md") for name in markdown} == {*stems, "tables"}


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_view(tables, kb_atlas, name):
    view = kb_atlas.table(name)
    expected = [row["row"] for row in view for _ in row.get("limitations", [row])]
    assert [row[0][0].text for row in tables[name].rows] == expected
    assert all(len(row) == len(tables[name].head) for row in tables[name].rows)


def test_a_tick_stands_for_all_methods_of_a_row(tables, kb_atlas):
    ticks = 0
    for row, view in zip(tables["figure-4"].rows, kb_atlas.table("figure-4"), strict=True):
        for cell, ticked in zip(row[2:], view["ticks"].values(), strict=True):
            assert bool(cell) == bool(ticked)
            ticks += len(view["methods"]) if cell == (paper.Item(paper.TICK),) else len(cell)
    assert ticks == sum(len(found) for view in kb_atlas.table("figure-4") for found in view["ticks"].values()) > 0


def latex_faults(text):
    """What a LaTeX run would stumble over."""
    bare = re.sub(r"(?<!\\)%.*", "", text)
    body = bare.replace(r"\\", " ")
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", body):
        depth += 1 if sign == "{" else -1
        if depth < 0:
            yield "a brace closes what none opened"
    if depth:
        yield "braces"
    open_ = []
    for kind, name in re.findall(r"\\(begin|end)\{([\w*]+)\}", bare):
        if kind == "begin":
            open_.append(name)
        elif not open_ or open_.pop() != name:
            yield f"environment {name}"
    yield from open_
    parts = re.split(r"(?<!\\)\$", body)
    if len(parts) % 2 == 0:
        yield "a formula is not closed"
    for words in parts[::2]:
        words = re.sub(r"\\(cite|label)\{[^}]*\}", "", words)
        yield from re.findall(r"(?<!\\)[#_^]", words)
    if "" in parts[1:-1]:
        yield "an empty formula, or $$"
    for part in parts[1::2]:
        if part.count(r"\left") - part.count(r"\leftarrow") != part.count(r"\right") - part.count(r"\rightarrow"):
            yield f"brackets in {part}"
    yield from (character for character in bare if ord(character) > 126 and not ("À" <= character <= "ž"))


@pytest.mark.parametrize("name", NAMES)
class TestLatex:
    def test_compiles_as_far_as_can_be_told_without_tex(self, latex, name):
        assert list(latex_faults(latex[self.file(name)])) == []

    def test_every_line_has_as_many_cells_as_the_head(self, latex, tables, name):
        body = latex[self.file(name)].split(r"\midrule")[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.strip()]
        assert len(rows) == len(tables[name].rows)
        for row in rows:
            assert row.endswith(r" \\")
            cells = re.sub(r"\\begin\{aligned\}.*?\\end\{aligned\}", "", row).replace(r"\&", "")
            assert cells.count("&") == len(tables[name].head) - 1

    def test_cites_keys_of_the_exported_bibliography(self, latex, kb_atlas, name):
        keys = {key for keys in re.findall(r"\\cite\{([^}]*)\}", latex[self.file(name)]) for key in keys.split(",")}
        assert keys <= kb_atlas.bibliography.keys()
        assert keys or name in {"VII", "figure-4"}

    def file(self, name):
        return f"{name}.tex" if name.startswith("figure") else f"table-{name}.tex"


PAPER = r"""
\documentclass{article}
\usepackage[margin=2cm]{geometry}
\usepackage{amsmath, amssymb, booktabs, tabularx}
\begin{document}
%s
\nocite{*}
\bibliographystyle{plain}
\bibliography{atlas}
\end{document}
"""


@pytest.mark.skipif(not (shutil.which("latex") and shutil.which("bibtex")), reason="needs latex and bibtex, which the workflow installs")
def test_latex_and_bibtex_take_the_tables_and_the_bibliography(kb_atlas, latex, tmp_path):
    """The page of data says how the tables are read into a paper: this is such a paper."""
    for name, text in {**latex, "atlas.bib": export.make("bibtex", kb_atlas)["atlas.bib"].decode()}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "paper.tex").write_text(PAPER % "\n".join(rf"\input{{{name}}}" for name in latex), encoding="utf-8")
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    typeset = ["latex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    assert run(typeset).returncode == 0, (tmp_path / "paper.log").read_text(errors="replace")[-3000:]
    cited = run(["bibtex", "paper"])
    assert cited.returncode == 0, cited.stdout
    assert "error message" not in cited.stdout
    for _ in range(2):
        assert run(typeset).returncode == 0
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert not re.findall(r"(?m)^!.*|.*undefined.*|.*multiply defined.*|.*Float too large.*", log)
    assert [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log) if float(points) > 20] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_independent_parser_reads_every_table(latex, tables, name):
    """In strict mode it refuses braces, environments and formulas that do not close."""
    latexwalker = pytest.importorskip("pylatexenc.latexwalker", reason="needs pylatexenc, which is in the extra `test`")
    text = latex[f"{name}.tex" if name.startswith("figure") else f"table-{name}.tex"]
    nodes, *_ = latexwalker.LatexWalker(text, tolerant_parsing=False).get_latex_nodes()

    def environments(listed):
        for node in listed or ():
            if node.isNodeType(latexwalker.LatexEnvironmentNode):
                yield node.environmentname
            yield from environments(getattr(node, "nodelist", None))

    found = list(environments(nodes))
    assert found[:2] == ["table*", "tabularx"]
    assert set(found[2:]) <= {"aligned"}
    for broken in (text.replace(r"\end{tabularx}", ""), text.replace(r"\caption{", r"\caption", 1), text.replace(r"\begin{table*}", "")):
        with pytest.raises(latexwalker.LatexWalkerParseError):
            latexwalker.LatexWalker(broken, tolerant_parsing=False).get_latex_nodes()


def test_every_package_named_is_needed(latex):
    text = "".join(latex.values())
    assert set(PACKAGES) == set(COMMANDS)
    for package, commands in COMMANDS.items():
        assert any(command in text for command in commands), package
        assert all(rf"\usepackage{{{package}}}" in table for table in latex.values())


@pytest.mark.parametrize("text", [r"{a", r"a}", r"\begin{x}", r"\begin{x}\end{y}", r"$a", r"a_b", r"a $$ b", "ε", r"$\left( a$"])
def test_faults_are_noticed(text):
    assert list(latex_faults(text))


@pytest.mark.parametrize(
    ("prose", "latex"),
    [
        ("50% & #1_a {x} ~ ^ \\\\", r"50\% \& \#1\_a \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}"),
        ("**bold** and *slanted $x*y$*", r"\textbf{bold} and \emph{slanted $x*y$}"),
        ("see [there](https://x.org/a_b)", "see there"),
        ("costs \\$5, `f(a_b)`", r"costs \$5, \texttt{f(a\_b)}"),
        ("LRP-αβ", r"LRP-$\alpha\beta$"),
        ("a < b > c | d", r"a \textless{} b \textgreater{} c \textbar{} d"),
        ("“so” – ‘not’ — …", r"``so'' -- `not' --- \ldots{}"),
    ],
)
def test_prose_as_latex(prose, latex):
    assert to_latex(prose) == latex
    assert list(latex_faults(latex)) == []


@hypothesis.given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cc"])))
def test_plain_text_is_escaped_whatever_it_holds(text):
    assert [fault for fault in latex_faults(escape(text)) if ord(fault[0]) < 128] == []


def test_letters_with_accents_stay():
    assert escape("Öztireli, Čapek") == "Öztireli, Čapek"


class TestMarkdown:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_parser_finds_every_cell(self, markdown, tables, name):
        text = markdown[f"{name}.md" if name.startswith("figure") else f"table-{name}.md"]
        html = python_markdown.markdown(text, extensions=["tables"])
        rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
        assert len(rows) == len(tables[name].rows) + 1
        assert {len(re.findall(r"<t[hd][ >]", row)) for row in rows} == {len(tables[name].head)}

    def test_no_formula_holds_a_bar(self, markdown):
        formulas = re.findall(r"\$([^$]+)\$", markdown["tables.md"])
        assert formulas
        assert not [formula for formula in formulas if "|" in formula]

    def test_all_in_one_is_all(self, markdown):
        assert all(text in markdown["tables.md"] for text in markdown.values())

    def test_bars_in_prose_are_escaped(self):
        item = paper.Item("a | b and $|x|$")
        assert table_markup._markdown_item(item) == r"a \| b and $\vert x\vert $"
