"""The survey's tables a second time, sorted by what the runs found: every cell that claims something, counted, with a link to its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from atlas_pages.claims import audited, short
from atlas_pages.context import Site, Statement, address, slug, statement_address
from atlas_pages.markup import box, escape, link, paragraphs, plural, section, table
from taxonomy.deduction import Fact
from taxonomy.evidence import Evidence

COLUMNS = {
    "Holds": ("holds",),
    "Holds under a condition": ("holds under condition",),
    "Fails as printed": ("fails",),
    "Measured, defined, cited": ("empirical", "definitional", "cited"),
    "By the audit of the method": ("audit agrees", "audit agrees in one reading", "audit disagrees"),
    "Not run": ("check not run", "no check yet"),
}
ALWAYS = ("Holds", "Holds under a condition", "Fails as printed")
VERDICTS = {"context-dependent": "depends on the context for"}
WORDS = {
    "empirical": "measured", "definitional": "by definition", "cited": "cited", "no check yet": "no check", "audit agrees": "agrees",
    "audit agrees in one reading": "agrees in one reading, not in another", "audit disagrees": "disagrees",
}  # fmt: skip
"""What is said beside a cell in a column of several outcomes."""


@dataclass(frozen=True)
class Cell:
    """An entry of a table that claims something: its text, what a run found in the words of the pages, where that stands, and its column."""

    text: str
    run: str
    address: str
    about: str = ""
    """What it says of the method, where cells of a row say different things; they are listed under it."""


@dataclass(frozen=True)
class Row:
    """A row of a table as printed, with its cells."""

    label: str
    cells: tuple[Cell, ...]

    @property
    def anchor(self) -> str:
        """The printed row on the same page."""
        return f"row-{slug(self.label)}"


def rows(site: Site, name: str) -> list[Row]:
    """The rows of a table with a cell for every claim that they make; rows without any are left out."""
    found = [Row(row["row"], tuple(_CELLS[name](site, row))) for row in site.atlas.table(name)]
    return [row for row in found if row.cells]


def _claimed(site: Site, claim: str, text: str, about: str = "") -> Cell:
    subject, relation, object_ = claim.split("/")
    return _cell(site, site.statements[Fact(subject, relation, object_)], text, about)


def _cell(site: Site, statement: Statement, text: str, about: str) -> Cell:
    if statement.evidence is not None:
        return Cell(text, statement.run, address(site.records[statement.fact.subject], f"evidence-{statement.anchor}"), about)
    return Cell(text, audited(site, statement) or statement.run, statement_address(site, statement), about)


def _members(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Tables II and III: a method belongs to a family."""
    for cell in row["methods"]:
        yield _claimed(site, cell["claim"], cell["printed"])


def _grounds(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Table IV: methods, all members of a family, and families rest on a rationale."""
    yield from _members(site, row)
    for relation, families, words in (("grounds-members-of", row["all-members-of"], "all of {}"), ("underlies", row["families"], "family {}")):
        for family in families:
            yield _claimed(site, f"{row['rationale']}/{relation}/{family}", words.format(site.records[family].name))


def _limits(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Table V: concerns about a rationale; the run is that of the rationale's own check."""
    record = site.records[row["rationale"]]
    found: Evidence | None = site.evidence_of(record)
    if found is not None:
        yield Cell(record.name, found.status, address(record, "evidence-statement"))
    else:
        yield Cell(record.name, "no check yet", address(record, "limitations"))


def _verdicts(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Table VI: a method satisfies or violates a principle, or may do either, also where the table says `others` or `all` of a family."""
    named = {method for verdict in row["verdicts"].values() for method in verdict["methods"]}
    members = {method for family in row["families"] for method in site.members(family)}
    for word, verdict in row["verdicts"].items():
        everyone = verdict["methods"] or sorted(members - (named if verdict["quantifier"] == "others" else set()))
        if verdict["quantifier"] == "named" and not verdict["methods"]:
            continue
        for principle in row["principles"]:
            about = f"{VERDICTS.get(word, word)} {_lower(site.records[principle].name)}"
            for method in everyone:
                statement = site.statements.get(Fact(method, word, principle))
                if statement is not None:
                    yield _cell(site, statement, short(site.records[method]), about)


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _violations(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Table VII: a method violates a principle."""
    for claim in row["claims"]:
        subject, _, object_ = claim.split("/")
        yield _claimed(site, claim, short(site.records[subject]), _lower(site.records[object_].name))


def _ticks(site: Site, row: dict[str, Any]) -> Iterator[Cell]:
    """Fig. 4: a method can be rewritten in a form."""
    for cells in row["ticks"].values():
        for cell in cells:
            yield _claimed(site, cell["claim"], cell["printed"], f"as {site.records[cell['to']].name}")


_CELLS = {
    "II": _members, "III": _members, "IV": _grounds, "V": _limits, "VI": _verdicts, "VII": _violations, "figure-4": _ticks,
}  # fmt: skip


def summary(found: Iterable[Row]) -> str:
    """How many cells there are and how they fared, in words."""
    counted = Counter(cell.run for row in found for cell in row.cells)
    words = {
        "holds": "hold", "holds under condition": "hold under a condition", "fails": "fail as printed", "empirical": "measured",
        "definitional": "true by definition", "cited": "cited only", "check not run": "with a check not run yet", "no check yet": "without a check",
        "audit agrees": "without a check of their own where the method's audit agrees",
        "audit agrees in one reading": "where it agrees in one reading alone", "audit disagrees": "where it disagrees",
    }  # fmt: skip
    parts = [f"{counted[run]} {text}" for run, text in words.items() if counted[run]]
    return f"{plural(sum(counted.values()), 'cell')}: {', '.join(parts)}."


def as_run(site: Site, name: str) -> str:
    """The section below a printed table; nothing for the table of symbols, which claims nothing."""
    if name not in _CELLS:
        return ""
    found = rows(site, name)
    if not found:
        return ""
    happened = {cell.run for row in found for cell in row.cells}
    # What may have happened always has its column: that nothing fails is worth seeing.
    columns = {name: runs for name, runs in COLUMNS.items() if name in ALWAYS or happened & set(runs)}
    lines = [[link(row.label, f"#{row.anchor}"), *(_column(row, runs) for runs in columns.values())] for row in found]
    head = [f"[{name}](@/reading.md)" for name in ("Row", *columns)]
    note = NOTES.get(name, "")
    return section("As run", paragraphs(f"{summary(found)} {note}".strip(), box("scroll printed as-run", table(head, lines))), anchor="as-run")


NOTES = {
    "V": "A concern is not itself a claim that a run decides; what stands here is the check of the rationale that it concerns.",
    "VI": "Where the table says *all* or *others*, or names a family's context, every method of the family that this covers is a cell of its own.",
}


def _column(row: Row, runs: tuple[str, ...]) -> str:
    """The cells of a row with one of some outcomes, those that say the same thing together; in a mixed column with the outcome in a word."""
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in row.cells:
        if cell.run in runs:
            groups.setdefault((cell.about, WORDS.get(cell.run, "") if len(runs) > 1 else ""), []).append(link(cell.text, cell.address))
    return "<br>".join(
        (f"{escape(about)}: " if about else "") + ", ".join(cells) + (f" ({word})" if word else "") for (about, word), cells in groups.items()
    ) or "–"  # fmt: skip
