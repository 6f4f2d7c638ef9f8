"""A study of the sources rerun on our own data: tables, curves and small pictures under `kb/reproductions/`, read here without torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from taxonomy.disk import put
from taxonomy.evidence import Control, Measurement, to_json
from taxonomy.problems import Problem, did_you_mean
from taxonomy.recorded import files_of, parsed, surveyed
from taxonomy.records.base import Id, Model, Record
from taxonomy.text import Prose

FOLDER = "reproductions"


class Series(Model):
    """One curve: y against x, with a band from `low` to `high` if there is one."""

    name: str = Field(min_length=1)
    method: Id | None = Field(default=None, description="The method whose curve it is; its page is linked.")
    x: tuple[float, ...] = Field(min_length=1)
    y: tuple[float, ...] = Field(min_length=1)
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.y) != len(self.x) or len(self.low) not in (0, len(self.x)) or len(self.high) != len(self.low):
            raise ValueError(f"the curve `{self.name}` needs as many y, low and high as x")
        return self


class Chart(Model):
    """A figure drawn from curves."""

    model_config = ConfigDict(populate_by_name=True)

    id: Id
    title: str
    caption: Prose = Field(description="What is seen, and what to look for.")
    x_label: str
    y_label: str
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    marks: Literal["lines", "points"] = Field(default="lines", description="Whether the points of a series are joined.")
    series: tuple[Series, ...] = Field(min_length=1)


class Grid(Model):
    """Small pictures in rows and columns: each cell is a matrix of values, drawn in a diverging colour scale around zero."""

    id: Id
    title: str
    caption: Prose
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[tuple[tuple[float, ...], ...] | None, ...], ...] = Field(description="One matrix per row and column; null where none applies.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.cells) != len(self.rows) or any(len(row) != len(self.columns) for row in self.cells):
            raise ValueError(f"the grid `{self.id}` needs a cell for each of its {len(self.rows)} rows and {len(self.columns)} columns")
        return self


class ResultTable(Model):
    """A table of results: ours, the source's, or both side by side. Cells are text or numbers; null prints as a dash."""

    id: Id
    title: str
    caption: Prose
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of the table `{self.id}` needs {len(self.columns)} cells")
        return self


class Reproduction(Model):
    """What came of rerunning one study."""

    model_config = ConfigDict(populate_by_name=True)

    study: Id = Field(description="The study, metric or principle record it belongs to.")
    script: str = Field(description="`module:function` that computes it.")
    question: Prose = Field(description="What the source asked, in one or two sentences.")
    setup: Prose = Field(description="Data, models, methods, seeds: enough to judge the numbers.")
    finding: Prose = Field(description="What came out, in two or three sentences.")
    comparable: tuple[Prose, ...] = Field(default=(), description="What can be held against the source's numbers.")
    not_comparable: tuple[Prose, ...] = Field(default=(), description="What cannot, and why.")
    measurements: tuple[Measurement, ...] = Field(default=(), description="Numbers with the bounds they were held against.")
    controls: tuple[Control, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    charts: tuple[Chart, ...] = ()
    grids: tuple[Grid, ...] = ()
    seed: int
    versions: dict[str, str] = Field(default={})
    digest: str = Field(default="", description="Hash of the code it was computed with.")

    def to_json(self) -> str:
        """The file's text: stable order, one final newline."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))


def write(found: Reproduction, kb: Path) -> Path:
    """Store a reproduction below the record folder and return the file's path."""
    path = kb / FOLDER / f"{found.study}.json"
    put(path, found.to_json())
    return path


def read(path: Path) -> Reproduction:
    """Read one file.

    Raises
    ------
    ValueError
        If it is not valid; the message begins with the path.
    """
    found = parsed(Reproduction, path, "reproduction")
    if path.stem != found.study:
        raise ValueError(f"{path}: holds the reproduction of `{found.study}`, which belongs in {found.study}.json")
    return found


def load(kb: Path) -> dict[str, Reproduction]:
    """All reproductions below a record folder, by study.

    Raises
    ------
    ValueError
        If a file is invalid.
    """
    return {found.study: found for found in map(read, files_of(kb / FOLDER))}


def survey(kb: Path, records: Mapping[str, Record]) -> tuple[dict[str, Reproduction], list[Problem]]:
    """All reproductions by study, and what is wrong with the files: not valid, or about records that are not there."""

    def problem(path: Path, fault: str) -> Problem:
        return Problem("reproduction", fault, f"{kb.name}/{FOLDER}/{path.name}", suggestion="delete the file and run `atlas reproduce`")

    return surveyed(files_of(kb / FOLDER), read, lambda found: _strangers(found, records), problem)


def _strangers(found: Reproduction, records: Mapping[str, Record]) -> Iterable[str]:
    if found.study not in records:
        yield f"there is no record `{found.study}`" + (f"; {hint}" if (hint := did_you_mean(found.study, records)) else "")
    for series in (series for chart in found.charts for series in chart.series):
        if series.method is not None and getattr(records.get(series.method), "kind", "") != "method":
            yield f"there is no method `{series.method}`" + (f"; {hint}" if (hint := did_you_mean(series.method, records)) else "")
