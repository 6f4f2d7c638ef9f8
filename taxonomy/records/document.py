"""The sources themselves, what they say outside theorems, where they disagree, and their notation."""

from typing import ClassVar, Literal

from pydantic import Field

from taxonomy.records.base import CodeLink, Id, Ids, Key, Model, Record, Source
from taxonomy.text import Cell, Formula, Name, Prose


class Section(Model):
    """A section, by the label that locators use."""

    label: Name = Field(description="`II-B`, or the heading where sections are not numbered.")
    title: Name


class Exhibit(Model):
    """A table or figure with the row labels that locators may name, in printed order."""

    label: Name = Field(description="`Table III`, `Fig. 4`.")
    caption: Prose = Field(description="What it shows, in our words.")
    columns: tuple[Name, ...] = ()
    rows: tuple[Name, ...] = ()


class Document(Record):
    """A work whose statements the base encodes. Its id is its BibTeX key."""

    kind: ClassVar[str] = "source"
    folder: ClassVar[str] = "sources"

    form: Literal["survey", "paper", "abstract", "blog", "summary page", "software"]
    short: Name = Field(description="How the pages call it: `the survey`.")
    sections: tuple[Section, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    equations: int = Field(0, ge=0, description="Number of numbered equations.")
    theorems: int = Field(0, ge=0)
    propositions: int = Field(0, ge=0)
    footnotes: int = Field(0, ge=0)
    bibliography: tuple[Key, ...] = Field((), description="Its reference list: the first entry is reference 1.")


class Place(Model):
    """One side of a discrepancy: where, and what it says there."""

    work: Id
    at: Name
    says: Prose


class Discrepancy(Record):
    """Two places in the sources that disagree, or one place that cannot be right as printed."""

    kind: ClassVar[str] = "discrepancy"
    folder: ClassVar[str] = "discrepancies"

    between: tuple[Place, ...] = Field(min_length=2, description="The places, each with what it says.")
    type: Literal["membership", "condition", "notation", "reference", "definition", "verdict", "caption", "naming", "count", "extraction", "claim"]
    severity: Literal["cosmetic", "minor", "substantive", "serious"] = Field(
        description="cosmetic: a slip no reader trips over; minor: needs a second look; substantive: changes what is claimed of a method; "
        "serious: a statement that is false or undefined as printed."
    )
    meaning: Prose = Field(description="What it means for the reader.")
    resolution: Prose = Field(description="What the base encodes, and why.")
    concerns: Ids = ()


class Advice(Model):
    """What a source advises in a certain situation; the guide for choosing counts it."""

    when: dict[str, str] = Field(min_length=1, description="Answers of the guide on which it applies: `{model: cnn}`.")
    favours: tuple[Id, ...] = Field(min_length=1, description="Methods or families.")
    rather_than: Id | None = Field(None, description="The method in whose place they are advised.")
    because: Prose = Field(description="The reason, in a few words.")


class Insight(Record):
    """A statement in prose: insight, guidance, open problem, limitation, trap, contribution, or a framework's claim about itself."""

    kind: ClassVar[str] = "insight"
    folder: ClassVar[str] = "insights"

    type: Literal["insight", "guidance", "open problem", "limitation", "trap", "contribution", "framework claim", "motivation"]
    advice: tuple[Advice, ...] = Field((), description="For guidance that depends on the situation: what it favours when.")
    concerns: Ids = ()


class Notation(Record):
    """A symbol of the notation tables."""

    kind: ClassVar[str] = "symbol"
    folder: ClassVar[str] = "symbols"

    symbol: Formula
    sources: tuple[Source, ...] = Field(min_length=1)
    concerns: Ids = ()


class Grid(Model):
    """A small printed table."""

    columns: tuple[Name, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Example(Record):
    """A worked example of a source, with its numbers."""

    kind: ClassVar[str] = "example"
    folder: ClassVar[str] = "examples"

    formula: Formula
    values: Grid | None = Field(None, description="The numbers the source gives for it.")
    concerns: Ids = ()


class Study(Record):
    """An empirical study of a source: what was measured, on what, with which numbers."""

    kind: ClassVar[str] = "study"
    folder: ClassVar[str] = "studies"

    metric: Id | None = None
    setup: Prose = Field(description="Models, data, baselines as far as the source states them.")
    finding: Prose
    values: Grid | None = None
    unspecified: tuple[Prose, ...] = Field((), description="What one would need in order to repeat it and the source does not say.")
    concerns: Ids = ()


class Metric(Record):
    """A quantity by which attributions are measured."""

    kind: ClassVar[str] = "metric"
    folder: ClassVar[str] = "metrics"

    formula: Formula
    equation: Name | None = None
    better: Literal["lower", "higher"]
    reference: Key | None = None
    concerns: Ids = ()
    implementation: CodeLink | None = None
