"""Attribution methods, their two kinds of family, groups of them, and the libraries that ship them."""

from typing import ClassVar, Literal

from pydantic import Field

from taxonomy.records.base import Claim, CodeLink, Id, Key, Model, Record, Source
from taxonomy.text import Address, Cell, Formula, Name, Prose

Access = Literal["outputs", "gradients", "internals", "training"]
ModelClass = Literal["any", "differentiable", "relu-network", "feedforward", "convolutional", "attention", "graph", "diffusion", "tree"]
Baseline = Literal["none", "zero", "one", "distribution", "optional"]
Explains = Literal["input features", "patches", "feature maps", "tokens", "interactions", "subset", "global importance"]


class Symbol(Model):
    """A symbol of a formula and what it stands for."""

    symbol: Formula
    meaning: Prose


class Parameter(Model):
    """A choice the user of a method makes."""

    name: Name
    symbol: Formula | None = None
    meaning: Prose
    usual: Cell | None = Field(None, description="Value commonly used, as the original work or its reference code gives it.")


class Needs(Model):
    """What a method requires; the guide for choosing rules methods out by it."""

    access: Access = Field(description="Least access to the model that suffices.")
    model: ModelClass = Field(description="Class of models the method is defined on.")
    baseline: Baseline = Field(description="Whether the user supplies a baseline, and how many.")
    data: bool = Field(False, description="Whether background data is needed beyond the input.")
    training: bool = Field(False, description="Whether an auxiliary model is trained.")


class Cost(Model):
    """Work for one explanation of one input, as LaTeX in the method's own symbols."""

    forward: Formula | None = Field(None, description="Model evaluations without gradient.")
    backward: Formula | None = Field(None, description="Forward and backward passes.")
    evaluations: str | None = Field(
        None,
        pattern=r"^[0-9n+*(), mi-]+$",
        description="Evaluations with the reference function's default settings in the number n of features, a backward pass counted as one more: "
        "`2**n`, `n + 1`, `min(2**n, 2050)`. Where data are drawn from, with ten rows of them; where layers count, with those of a usual network.",
    )
    note: Prose | None = None


class Oracle(Model):
    """Something other than the implementation that proves it right."""

    kind: Literal["closed form", "brute force", "matrix form", "symbolic", "finite differences", "identity", "statistics", "trained model"]
    what: Prose = Field(description="What was compared, in a few words.")
    test: str = Field(pattern=r"^tests/[\w/]+\.py::test_\w+$", description="The test that compares: file and function.")


class Method(Record):
    """An attribution method or a named variant of one."""

    kind: ClassVar[str] = "method"
    folder: ClassVar[str] = "methods"

    abbreviation: Name | None = Field(None, description="As in the survey: `IG`, `DL-Res`.")
    reference: Key | None = Field(None, description="Work that introduced the method.")
    explains: tuple[Explains, ...] = Field((), description="What receives an attribution.")
    formula: Formula | None = Field(None, description="The definition; `\\begin{aligned}` for several lines.")
    symbols: tuple[Symbol, ...] = Field((), description="Symbols of the formula, in order of appearance.")
    idea: Prose | None = Field(None, description="The idea behind it: why anyone would compute this.")
    misleads: Prose | None = Field(None, description="Where it misleads: failure modes a user must know.")
    parameters: tuple[Parameter, ...] = ()
    needs: Needs | None = None
    cost: Cost | None = None
    implementation: CodeLink | None = None
    oracles: tuple[Oracle, ...] = Field((), description="What proves the implementation right, besides other libraries.")

    belongs_to: tuple[Claim, ...] = ()
    reformulates_as: tuple[Claim, ...] = ()
    grounded_in: tuple[Claim, ...] = ()
    satisfies: tuple[Claim, ...] = ()
    violates: tuple[Claim, ...] = ()
    variant_of: tuple[Claim, ...] = ()
    special_case_of: tuple[Claim, ...] = ()
    approximates: tuple[Claim, ...] = ()

    @property
    def title(self) -> str:
        """Name with abbreviation."""
        return f"{self.name} ({self.abbreviation})" if self.abbreviation else self.name


class Family(Record):
    """Fields of both kinds of family."""

    label: Name | None = Field(None, description="The family's label where it is printed shortest (a column of Fig. 4).")
    formula: Formula = Field(description="The unified formulation.")
    equation: Name = Field(description="Its equation number in the survey: `Eq. 12`.")
    symbols: tuple[Symbol, ...] = ()
    key_difference: Prose = Field(description="What tells the members apart, as the key-difference column has it.")
    proof: tuple[Key, ...] = Field((), description="Works that prove the unification.")
    idea: Prose | None = None
    vacuous: Prose | None = Field(None, description="If the equation as printed holds of every vector: why, and the statement with content.")
    implementation: CodeLink | None = None


class FormulationFamily(Family):
    """A family of Table II: methods designed with the same formula."""

    kind: ClassVar[str] = "formulation-family"
    folder: ClassVar[str] = "formulation-families"


class ReformulationFamily(Family):
    """A family of Table III: methods that can be rewritten in the same form."""

    kind: ClassVar[str] = "reformulation-family"
    folder: ClassVar[str] = "reformulation-families"


class Group(Record):
    """A grouping that a source uses and that is not one of the fourteen families (the gradient-based family of Table VI)."""

    kind: ClassVar[str] = "group"
    folder: ClassVar[str] = "groups"

    includes: tuple[Claim, ...] = Field(description="Families or methods in the group.")


class Provided(Model):
    """A library's name for one of our methods."""

    method: Id
    name: Name = Field(description="Dotted path that imports: `captum.attr.IntegratedGradients`.")
    note: Prose | None = None
    sources: tuple[Source, ...] = ()


class Library(Record):
    """A package that implements some of the methods."""

    kind: ClassVar[str] = "library"
    folder: ClassVar[str] = "libraries"

    package: Name = Field(description="Distribution name on the package index.")
    version: Name = Field(description="Version looked at.")
    licence: Name
    homepage: Address = Field(pattern=r"^https://")
    provides: tuple[Provided, ...] = ()
