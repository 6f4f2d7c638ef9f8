"""What is fuzzed with bytes: each target takes any bytes and raises unless the project's own located error, or nothing, comes of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for _folder in (ROOT, ROOT / "site"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from fuzz.inert import MATH, Fault, check_prose_in_place, watch  # noqa: E402
from taxonomy import bibliography, locators  # noqa: E402
from taxonomy.guide.cost import value_of  # noqa: E402
from taxonomy.loading import FOLDERS, typed  # noqa: E402
from taxonomy.problems import AtlasError, Problem  # noqa: E402
from taxonomy.querying.expressions import QueryError  # noqa: E402
from taxonomy.querying.expressions import parse as parse_query  # noqa: E402
from taxonomy.reading import parse as parse_record  # noqa: E402
from taxonomy.records import Record  # noqa: E402
from taxonomy.text import check_cell, check_code, check_formula, check_name, check_prose, to_mathml  # noqa: E402

VALID = ROOT / "tests" / "taxonomy" / "fixtures" / "valid"
KINDS = list(FOLDERS.values())
MOST = 4096
"""Bytes given to a target; larger input is tested by itself."""


def decoded(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 is refused before any target sees it."""
    return data[:MOST].decode("utf-8", errors="replace")


@functools.cache
def small_atlas() -> Any:
    """The small valid record folder of the tests."""
    import taxonomy

    return taxonomy.load(VALID, cache=False)


def check_located(problems: list[Problem], text: str) -> None:
    """Every problem names its file and a line that the text has."""
    lines = text.count("\n") + 2
    for problem in problems:
        if not problem.file or not 1 <= problem.line <= lines or problem.column < 1 or not problem.message:
            raise Fault(f"not located: {problem!r}")
        if not str(problem).replace("\n", "").isprintable() and text.isprintable():
            raise Fault(f"message cannot be printed: {problem!r}")


def read_record(text: str, kind: type[Record]) -> Record | None:
    """The record in a text, or None if it was refused with located problems."""
    document, problems = parse_record(text, "kb/x/x.yaml")
    record = typed(kind, document, problems) if document.values is not None and not problems else None
    if record is None and not problems:
        raise Fault("refused without a problem")
    check_located(problems, text)
    return record


def record(data: bytes) -> None:
    """YAML of a record; the first byte says of which kind."""
    if data:
        read_record(decoded(data[1:]), KINDS[data[0] % len(KINDS)])


def page(data: bytes) -> None:
    """From the text of a record to its page, rendered."""
    if data and (found := read_record(decoded(data[1:]), KINDS[data[0] % len(KINDS)])) is not None:
        from fuzz.records import check_page

        check_page(found)


def bibtex(data: bytes) -> None:
    """The bibliography parser, and what pages make of an entry."""
    text = decoded(data)
    check_located(list(bibliography._refused(text, "kb/references.bib")), text)
    try:
        entries = bibliography.parse(text)
    except AtlasError as error:
        check_located(error.problems, text)
        return
    for entry in entries.values():
        _ = entry.title, entry.venue, entry.citation, entry.year, entry.bibtex
        if entry.url and not entry.url.startswith(("https://", "http://")):
            raise Fault(f"address {entry.url!r}")
        if any(sign in entry.url for sign in "<>\"'` \t\n[]{}|\\^"):
            raise Fault(f"address {entry.url!r}")


def latex(data: bytes) -> None:
    """A formula: what is accepted becomes MathML and nothing else."""
    text = decoded(data)
    try:
        check_formula(text)
    except ValueError:
        return
    for display in (True, False):
        for formula in (text, " ".join(text.split())):
            watch(to_mathml(formula, display=display) + "<p>MARK</p>", allowed=MATH | {"p"})


def prose(data: bytes) -> None:
    """Markdown of a record: what is accepted stays in its place on the page and is inert."""
    text = decoded(data)
    if "MARK" in text:
        return
    from taxonomy.characters import unseen

    try:
        check_prose(text)
    except ValueError:
        return
    if unseen(text) is None:  # the reader of files has looked for it
        check_prose_in_place(text)


def plain(data: bytes) -> None:
    """Names, cells and code: what is accepted stays in its place."""
    from taxonomy.characters import unseen

    text = decoded(data)
    if "MARK" in text or unseen(text):
        return
    from atlas_pages.markup import attribute, code, escape, table

    from fuzz.inert import rendered

    for check in (check_name, check_cell, check_code):
        try:
            check(text)
        except ValueError:
            continue
        if check is check_code and text.strip():
            watch(rendered(f"```text\n{text.strip()}\n```\n\nMARK"))
    row = table(["a", "b", "c"], [[f"x {escape(text)}", f"x {code(text)} x" if text.strip() else "", "third"]])
    cells = watch(rendered(f'{row}\n\nx <span title="{attribute(text)}">{attribute(text)}</span>\n\nMARK'))
    if len(cells) != 3:
        raise Fault(f"{len(cells)} cells")


def cost(data: bytes) -> None:
    """The expression for what an explanation costs."""
    for features in (2, 10, 1000):
        try:
            value = value_of(decoded(data), features)
        except ValueError:
            continue
        if value != value:
            raise Fault("not a number")


def query(data: bytes) -> None:
    """The query language: what can be read is written so that it reads the same again."""
    try:
        found = parse_query(small_atlas(), decoded(data))
    except QueryError as error:
        if not 0 <= error.position <= len(error.text):
            raise Fault(f"position {error.position}") from error
        return
    again = parse_query(small_atlas(), str(found))
    if again != found:
        raise Fault(f"{found} is read as {again}")


def locator(data: bytes) -> None:
    """The place inside a work."""
    text = decoded(data)
    locators.parse(text)
    for work in small_atlas().records.values():
        if work.kind == "source":
            for fault in locators.faults(text, work):
                if len(fault) > 1000:
                    raise Fault("a message of more than 1000 characters")


def recorded(data: bytes) -> None:
    """JSON of a run: evidence, audit, reproduction, conformance, gallery."""
    import tempfile

    from taxonomy import audit, conformance, evidence, gallery, reproduction
    from taxonomy.recorded import parsed

    kinds = (evidence.Evidence, audit.AuditReport, reproduction.Reproduction, conformance.LibraryConformance, gallery.Gallery, audit.Confusion)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(data[1:])
        file.flush()
        try:
            found = parsed(kinds[data[0] % len(kinds) if data else 0], Path(file.name), "file")
        except ValueError as error:
            if not str(error).startswith(file.name):
                raise
            return
        if hasattr(found, "to_json"):
            found.to_json()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (record, page, bibtex, latex, prose, plain, cost, query, locator, recorded)
}
