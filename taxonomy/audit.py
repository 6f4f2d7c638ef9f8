"""What an audit of an attribution function found: measured verdicts, fits of the families, coincidences with known methods, and cost.

Audits of the reference functions lie under `kb/audits/`, one file per method, with `confusion.json` beside them. `atlas audit --all` writes them;
they are read here without torch. Their verdicts are measurements of ours: no source asserts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from taxonomy.disk import put
from taxonomy.evidence import to_json
from taxonomy.problems import Problem, did_you_mean
from taxonomy.recorded import fault_in, files_of, parsed, surveyed
from taxonomy.records import Method, Record
from taxonomy.records.base import Id, Model
from taxonomy.text import Code, Prose

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.deduction import Fact
    from taxonomy.explaining import Explanation

FOLDER = "audits"
CONFUSION = "confusion.json"
Row = tuple[str, ...]
Outcome = Literal["satisfies", "violates", "not applicable"]
Relation = Literal["equal", "absolute value", "proportional", "times x - b", "divided by x - b"]


class AuditVerdict(Model):
    """One reading of one axiom or principle."""

    principle: Id
    reading: str
    outcome: Outcome
    statistic: float | None = Field(default=None, description="The number that decided; absent if it is not finite or the test does not apply.")
    bound: float | None = None
    domain: str = ""
    trials: int = 0
    why: Prose
    counterexample: Code = Field(default="", description="A snippet with the smallest case found; `explain` is the audited function.")


class FamilyFit(Model):
    """Whether the numbers have the form of a reformulation family, or another form that can be read off numbers."""

    form: str
    family: Id | None = Field(default=None, description="The reformulation family, if the form is one's.")
    fits: bool | None = Field(default=None, description="Absent if the test could not be run.")
    error: float | None = None
    why: Prose


class WeightTable(Model):
    """Weights that were read off the numbers, and the known law they follow."""

    title: str
    law: str | None = Field(default=None, description="The known law; absent if the weights follow none, or if there are no such weights.")
    error: float | None = Field(default=None, description="Largest distance from the law.")
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Coincidence(Model):
    """A known method with the same numbers on some testbeds."""

    method: Id
    relation: Relation
    domains: tuple[str, ...] = Field(description="Where the two coincide.")
    differs: tuple[str, ...] = Field((), description="Where they do not.")
    error: float = Field(description="Largest difference where they coincide, relative to the largest attribution.")

    @property
    def everywhere(self) -> bool:
        """Whether they coincide wherever both run."""
        return not self.differs


class Cost(Model):
    """Calls for one input, counted in rows handed to the model."""

    domain: str
    features: int
    evaluations: float
    gradients: float


class AuditReport(Model):
    """Everything one audit found."""

    function: str = Field(description="What was audited.")
    method: Id | None = Field(default=None, description="The record, if it is the reference function of one.")
    chance: str = Field(description="Whether the numbers depend on chance, and how much they scatter.")
    testbeds: tuple[str, ...]
    refused: dict[str, str] = Field(default={}, description="Testbeds on which there is no result, with the error.")
    identified: tuple[Id, ...] = Field((), description="The methods whose numbers these are wherever both run.")
    summary: tuple[Prose, ...] = ()
    verdicts: tuple[AuditVerdict, ...] = ()
    families: tuple[FamilyFit, ...] = ()
    allocation: WeightTable | None = None
    coalitions: WeightTable | None = None
    coincidences: tuple[Coincidence, ...] = ()
    cost: tuple[Cost, ...] = ()
    digest: str = ""

    def to_json(self) -> str:
        """The file's text."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True))

    def verdict(self, principle: str) -> Outcome | None:
        """All readings of one requirement together: violated if one is, not applicable if none was tested, None if there is none."""
        found = {verdict.outcome for verdict in self.verdicts if verdict.principle == principle}
        outcomes: tuple[Outcome, ...] = ("violates", "satisfies", "not applicable")
        return next((outcome for outcome in outcomes if outcome in found), None)

    def readings(self, principle: str) -> tuple[AuditVerdict, ...]:
        """The verdicts on one requirement."""
        return tuple(verdict for verdict in self.verdicts if verdict.principle == principle)

    def tables(self) -> list[tuple[str, Row, list[Row]]]:
        """Title, columns and rows of each table of the report."""
        made: list[tuple[str, Row, list[Row]]] = []
        rows: list[Row] = [(v.principle, v.reading, v.outcome, _shown(v.statistic), v.why) for v in self.verdicts]
        made.append(("Axioms and principles", ("requirement", "reading", "found", "number", "why"), rows))
        fits = {True: "yes", False: "no", None: "not tested"}
        forms: list[Row] = [(f.form, fits[f.fits], _shown(f.error), f.why) for f in self.families]
        made.append(("Forms", ("form", "fits", "error", "why"), forms))
        for table in (self.allocation, self.coalitions):
            if table is not None and table.rows:
                law = f": {table.law}" if table.law else ": no known law"
                made.append((table.title + law, table.columns, list(table.rows)))
        same: list[Row] = [(c.method, c.relation, _shown(c.error), "; ".join(c.domains), "; ".join(c.differs)) for c in self.coincidences]
        made.append(("Coincidences", ("method", "relation", "error", "coincides on", "differs on"), same))
        cost: list[Row] = [(c.domain, str(c.features), f"{c.evaluations:g}", f"{c.gradients:g}") for c in self.cost]
        made.append(("Cost for one input", ("testbed", "features", "evaluations", "gradients"), cost))
        if self.refused:
            made.append(("No result", ("testbed", "error"), list(self.refused.items())))
        return [entry for entry in made if entry[2]]

    def to_markdown(self) -> str:
        """The report as a Markdown page."""
        lines = [f"# Audit of `{self.function}`", "", *(f"- {line}" for line in self.summary), f"- {self.chance}", ""]
        for title, columns, rows in self.tables():
            lines += [f"## {title}", "", _row(columns), _row(("---",) * len(columns)), *map(_row, rows), ""]
        shown = [v for v in self.verdicts if v.counterexample]
        lines += ["## Counterexamples", ""] if shown else []
        for found in shown:
            lines += [f"`{found.principle}`, {found.reading}:", "", "```python", found.counterexample.strip(), "```", ""]
        return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1g}"


def rounded(value: float) -> float | None:
    """One digit, as later ones depend on the machine; None if not finite, zero below rounding.

    >>> rounded(0.0123), rounded(3e-14), rounded(float("inf"))
    (0.01, 0.0, None)
    """
    if not math.isfinite(value):
        return None
    return 0.0 if abs(value) < 1e-9 else float(f"{value:.0e}")


class ConfusionRow(Model):
    """What the numbers of one method were taken for."""

    method: Id
    best: tuple[Id, ...] = Field(description="All methods whose numbers are the same wherever both run, on the most testbeds.")
    also: tuple[Id, ...] = Field((), description="Methods that coincide wherever both run, on fewer testbeds.")


class Confusion(Model):
    """Which methods the audit tells apart by numbers alone."""

    rows: tuple[ConfusionRow, ...]
    classes: tuple[tuple[Id, ...], ...] = Field((), description="Methods that have the same numbers on every testbed both run on.")

    def to_json(self) -> str:
        """The file's text."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))


def path_of(method: str, kb: Path) -> Path:
    """Where a method's audit is stored."""
    return kb / FOLDER / f"{method}.json"


def write(found: AuditReport, kb: Path) -> Path:
    """Store a method's audit below the record folder and return the file's path; raises ValueError for a report of no method."""
    if found.method is None:
        raise ValueError("only audits of recorded methods are stored")
    path = path_of(found.method, kb)
    put(path, found.to_json())
    return path


def write_confusion(found: Confusion, kb: Path) -> Path:
    """Store the confusion table and return the file's path."""
    path = kb / FOLDER / CONFUSION
    put(path, found.to_json())
    return path


def read(path: Path) -> AuditReport:
    """Read one file.

    Raises
    ------
    ValueError
        If it is not valid; the message begins with the path.
    """
    found = parsed(AuditReport, path, "audit")
    if path.stem != found.method:
        raise ValueError(f"{path}: holds the audit of `{found.method}`, which belongs in {found.method}.json")
    return found


def read_confusion(kb: Path) -> Confusion | None:
    """The stored confusion table, or None; raises ValueError if the file is invalid."""
    path = kb / FOLDER / CONFUSION
    return parsed(Confusion, path, "audit") if path.exists() else None


def load(kb: Path) -> dict[str, AuditReport]:
    """All audits below a record folder, by method.

    Raises
    ------
    ValueError
        If a file is invalid.
    """
    return {path.stem: read(path) for path in _files(kb)}


def explanation(atlas: Atlas, fact: Fact) -> Explanation | None:
    """Why a fact of which no source speaks holds by our own check or audit; None if neither found it.

    If it would follow from what sources say, were it not for something that a run refuted, that is said too.
    """
    from taxonomy.explaining import Explanation

    run, audited = atlas.evidence.get("/".join(fact)), atlas.audits.get(fact.subject)
    lines = [str(fact), "  no source says so, and it does not follow"]
    if run is not None and run.status != "fails":
        lines.append(f"  run: {run.status}" + (f" ({' '.join(run.finding.split())})" if run.finding else ""))
    if audited is not None and audited.verdict(fact.object) == fact.relation:
        lines += ["  measured by us (audit):", *_lines(audited, fact.object)]
    if len(lines) == 2:
        return None
    chains = [f"  {line}" for chain in atlas.why_not(*fact) for line in str(chain).splitlines()]
    return Explanation(fact, (), None, run, (), "\n".join([*lines, *chains]))


def _lines(found: AuditReport, requirement: str) -> list[str]:
    return [f"    {verdict.outcome} ({verdict.reading}): {' '.join(verdict.why.split())}" for verdict in found.readings(requirement)]


def contrary(atlas: Atlas, fact: Fact) -> str:
    """What to add to the news that a fact is not known: that the opposite was measured, with the readings; or nothing."""
    found = atlas.audits.get(fact.subject)
    outcome = found.verdict(fact.object) if found is not None else None
    if found is None or outcome is None or fact.relation not in {"satisfies", "violates"}:
        return ""
    return "\n".join([f"; measured by us (audit): {outcome}", *_lines(found, fact.object)])


def survey(kb: Path, records: Mapping[str, Record]) -> tuple[dict[str, AuditReport], list[Problem]]:
    """All audits by method, and what is wrong with the files: not valid, or about records that are not there."""

    def problem(path: Path, fault: str) -> Problem:
        return Problem("audit", fault, f"{kb.name}/{FOLDER}/{path.name}", suggestion="delete the file and run `atlas audit --all`")

    found, problems = surveyed(_files(kb), read, lambda report: _strangers(report, records), problem)
    try:
        read_confusion(kb)
    except ValueError as error:
        path = kb / FOLDER / CONFUSION
        problems.append(problem(path, fault_in(path, error)))
    return found, problems


def _strangers(found: AuditReport, records: Mapping[str, Record]) -> Iterable[str]:
    methods = [record.id for record in records.values() if isinstance(record, Method)]
    for method in dict.fromkeys((found.method or "", *(item.method for item in found.coincidences))):
        if method not in methods:
            hint = did_you_mean(method, methods)
            yield f"there is no method `{method}`" + (f"; {hint}" if hint else "")
    for name in dict.fromkeys(verdict.principle for verdict in found.verdicts):
        if name not in records:
            hint = did_you_mean(name, records)
            yield f"there is no axiom or principle `{name}`" + (f"; {hint}" if hint else "")


def _files(kb: Path) -> list[Path]:
    return [path for path in files_of(kb / FOLDER) if path.name != CONFUSION]
