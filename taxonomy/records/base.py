"""What all records share: identity, provenance, and the claim, which is a relation that some source asserts."""

# No postponed annotations in the modules of record types: pydantic would compile each of them again, a third of the time to build the types.

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from taxonomy.text import Name, Prose, Summary, Title

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"

Id = Annotated[str, Field(pattern=SLUG, max_length=80, description="Slug of a record: lower-case letters, digits and single hyphens.")]
Key = Annotated[str, Field(min_length=1, description="Citation key of an entry in kb/references.bib.")]
Locator = Annotated[
    Name,
    Field(min_length=1, description="Place in the work: `Table III, row Path Integral`, `Eq. 26`, `Sec. IV-D`, `Theorem 7`, `Fig. 4, row IG`."),
]
LiteratureStatus = Literal["asserted", "proved", "conditional", "disputed"]
CodeLink = Annotated[str, Field(pattern=r"^executable(\.\w+)+:\w+$", description="`module:function` inside the package `executable`.")]


def kebab(name: str) -> str:
    """Field name as written in YAML: `special_case_of` -> `special-case-of`; a trailing underscore (`as_`) is dropped."""
    return name.rstrip("_").replace("_", "-")


class Model(BaseModel):
    """Strict, immutable base: an unknown field is an error, keys are written with hyphens."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=kebab, populate_by_name=False, defer_build=True, allow_inf_nan=False)


class Source(Model):
    """One place in one work that says something."""

    work: Id = Field(description="Id of a source record (its BibTeX key).")
    at: Locator
    printed: Name | None = Field(None, description="The label as printed there, if it differs from the record's name (`DSHAP`, `Occ-p`).")
    ref: tuple[int, ...] = Field((), description="Reference numbers printed beside the label; resolved through the work's reference list.")
    note: Prose | None = Field(None, description="What a reader of that place must know (extraction damage, ambiguity).")


Sources = Annotated[tuple[Source, ...], Field(description="Where this is said; at least one place.")]


class Claim(Model):
    """A relation from the record that holds it to the record `to`, as the cited sources assert it."""

    to: Id = Field(description="Id of the record at the other end.")
    as_: Prose | None = Field(None, description="One line: in what form the relation holds (`as the straight path`).")
    sources: Annotated[tuple[Source, ...], Field(min_length=1, description="Where this is asserted; at least one place.")]
    status: LiteratureStatus = Field("asserted", description="Standing in the literature. What our own run found is evidence, kept apart.")
    proof: tuple[Key, ...] = Field((), description="Works that prove it (status `proved`).")
    condition: Prose | None = Field(None, description="Condition stated by the sources (status `conditional`).")
    disputed_by: tuple[Key, ...] = Field((), description="Works that dispute it (status `disputed`).")
    note: Prose | None = Field(None, description="One line of prose for the reader.")
    check: str | None = Field(None, pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", description="Id of the check that tests the claim.")
    definitional: Prose | None = Field(None, description="Why there is nothing to test: the claim names or sorts things.")
    unchecked: Prose | None = Field(None, description="Why no check can test the claim: it rests on the works cited.")


class Record(Model):
    """Fields of every record."""

    kind: ClassVar[str]
    folder: ClassVar[str]

    id: Id = Field(description="Equals the file name without `.yaml`; stable, since addresses are made from it.")
    name: Title = Field(description="Title of the page; plain text.")
    aliases: tuple[Name, ...] = Field((), description="Other names a reader may search for.")
    status: Literal["full", "stub"] = Field("full", description="`stub`: named by a source and legal to point at, not yet written.")
    summary: Summary = Field(description="Markdown. The first paragraph stands alone on cards and in search, without displayed math.")
    sources: Sources = ()
    references: tuple[Key, ...] = Field((), description="Further reading, as citation keys.")
    check: str | None = Field(None, pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", description="Id of the check that runs what the record states.")
    definitional: Prose | None = Field(None, description="Why there is nothing to run: the record names or sorts things.")
    unchecked: Prose | None = Field(None, description="Why the record has no check or code of its own.")

    @property
    def title(self) -> str:
        """Name for headings and links."""
        return self.name

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values, keys as in YAML, unset fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"kind": self.kind}

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import record_html

        return record_html(self)


def _nonempty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("needs at least one entry")
    return values


Ids = Annotated[tuple[Id, ...], Field(description="Ids of records.")]
SomeIds = Annotated[tuple[Id, ...], AfterValidator(_nonempty), Field(description="Ids of records; at least one.")]
