"""Rationales, principles, axioms, theorems, and the results that say which methods satisfy what."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from taxonomy.records.base import Claim, CodeLink, Id, Ids, Key, LiteratureStatus, Model, Record, Source
from taxonomy.records.method import Symbol
from taxonomy.text import Formula, Name, Prose


class Paradigm(Record):
    """One of the four kinds of rationale of Sec. III."""

    kind: ClassVar[str] = "paradigm"
    folder: ClassVar[str] = "paradigms"


class Limitation(Model):
    """A concern about a rationale (Table V)."""

    text: Prose
    references: tuple[Key, ...] = ()
    sources: tuple[Source, ...] = Field(min_length=1)


class Rationale(Record):
    """A reason why a method should measure importance (Table IV)."""

    kind: ClassVar[str] = "rationale"
    folder: ClassVar[str] = "rationales"

    formula: Formula | None = None
    equation: Name | None = None
    symbols: tuple[Symbol, ...] = ()
    gist: Prose = Field(description="The summary column of Table IV, in our words.")
    proof: tuple[Key, ...] = Field((), description="Works cited beside the rationale's name in Table IV.")
    limitations: tuple[Limitation, ...] = ()
    in_paradigm: tuple[Claim, ...]
    underlies: tuple[Claim, ...] = Field((), description="Associated families.")
    grounds_members_of: tuple[Claim, ...] = Field((), description="Families all of whose members are said to rest on the rationale.")
    implementation: CodeLink | None = None


class Principle(Record):
    """A requirement on attributions by which methods are evaluated (Sec. IV)."""

    kind: ClassVar[str] = "principle"
    folder: ClassVar[str] = "principles"

    category: Literal["faithfulness", "robustness"]
    informal: bool = Field(False, description="Whether the source gives no definition that a test could decide.")
    formula: Formula | None = None
    symbols: tuple[Symbol, ...] = ()
    comprises: tuple[Claim, ...] = Field((), description="For a composite: it is satisfied exactly if all of these are.")
    corresponds_to: tuple[Claim, ...] = Field((), description="The same requirement under another name (declare it on one side).")
    implies: tuple[Claim, ...] = ()
    implementation: CodeLink | None = None


class Axiom(Record):
    """A property demanded by an axiomatic characterisation."""

    kind: ClassVar[str] = "axiom"
    folder: ClassVar[str] = "axioms"

    tradition: Literal["game theory", "SHAP", "path methods"] = Field(description="Where the name comes from.")
    formula: Formula | None = None
    symbols: tuple[Symbol, ...] = ()
    corresponds_to: tuple[Claim, ...] = ()
    implies: tuple[Claim, ...] = ()
    implementation: CodeLink | None = None


class Verdict(Model):
    """Which methods stand how to the principles of an evaluation."""

    verdict: Literal["satisfies", "violates", "context-dependent"]
    methods: tuple[Id, ...] = Field((), description="The methods named.")
    quantifier: Literal["named", "all", "others"] = Field(
        "named", description="`all` members of the family, or the `others`: those named nowhere in it."
    )
    none: bool = Field(False, description="The source prints a dash: it names no method here.")
    depends_on: tuple[Name, ...] = Field((), description="For `context-dependent`: what it depends on.")
    sources: tuple[Source, ...] = Field(min_length=1)
    status: LiteratureStatus = "asserted"
    proof: tuple[Key, ...] = ()
    condition: Prose | None = None
    note: Prose | None = None
    check: str | None = Field(None, pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", description="Id of the check that tests it, method by method.")
    definitional: Prose | None = None
    unchecked: Prose | None = None

    @model_validator(mode="after")
    def _names_someone(self) -> Self:
        if self.quantifier == "named" and self.verdict != "context-dependent" and bool(self.methods) == self.none:
            raise ValueError("name the methods, or use `quantifier: all`/`others`, or say `none: true` if the source prints a dash")
        if self.quantifier != "named" and self.methods:
            raise ValueError(f"`methods` and `quantifier: {self.quantifier}` exclude each other")
        return self


class Evaluation(Record):
    """How a family fares on one or more principles (a row of Table VI).

    Each verdict applies to every principle in `tests` by itself; a row that judges several principles jointly tests their composite.
    """

    kind: ClassVar[str] = "evaluation"
    folder: ClassVar[str] = "evaluations"

    evaluates: tuple[Claim, ...] = Field(description="The family or group evaluated.")
    tests: tuple[Claim, ...] = Field(description="The principles.")
    verdicts: tuple[Verdict, ...] = Field(min_length=1)


class Theorem(Record):
    """A mathematical statement of a source: proposition, theorem, equivalence, uniqueness result, or a claim made without proof."""

    kind: ClassVar[str] = "theorem"
    folder: ClassVar[str] = "theorems"

    type: Literal["proposition", "theorem", "equivalence", "uniqueness", "definition", "claim"]
    formula: Formula | None = None
    equation: Name | None = None
    symbols: tuple[Symbol, ...] = ()
    conditions: tuple[Prose, ...] = Field((), description="Conditions the source states, one each.")
    unstated: tuple[Prose, ...] = Field((), description="Conditions the source leaves out and the statement needs, with the reason.")
    standing: LiteratureStatus = "asserted"
    proof: tuple[Key, ...] = ()
    disputed_by: tuple[Key, ...] = ()
    between: tuple[Id, ...] = Field((), description="Equivalence: the methods said to be equal (two or more).")
    unconditional: bool = Field(False, description="Equivalence: holds for every model and input, so verdicts carry over.")
    characterises: tuple[Id, ...] = Field((), description="Uniqueness: the method singled out.")
    assumes: tuple[Id, ...] = Field((), description="Uniqueness: the axioms or principles that single it out.")
    concerns: Ids = Field((), description="Records the statement is about.")
    implementation: CodeLink | None = None

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.type == "equivalence" and len(self.between) < 2:
            raise ValueError("an equivalence names at least two methods in `between`")
        if self.type == "uniqueness" and not (self.characterises and self.assumes):
            raise ValueError("a uniqueness result names `characterises` (a method) and `assumes` (axioms)")
        return self
