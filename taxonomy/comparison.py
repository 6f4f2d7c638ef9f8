"""Methods side by side: what each needs and costs, where it stands, what it satisfies, who ships it; and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxonomy.deduction import Fact
from taxonomy.guide.standing import Standing, requirement, standing
from taxonomy.records import Library, Method

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: a short text, its status if it is a claim, and the claim."""

    text: str
    status: str = ""
    """`satisfies`, `violates`, `fits`, `rests` or nothing."""
    support: str = ""
    """What a run found of it, as the guide counts it."""
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One aspect of all methods compared."""

    group: str
    label: str
    cells: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        """Whether the methods differ here."""
        return len({(cell.text, cell.status, cell.support) for cell in self.cells}) > 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more methods side by side."""

    methods: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows in which they differ."""
        return tuple(row for row in self.rows if row.differs)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = [
            {
                "group": row.group, "label": row.label, "differs": row.differs,
                "values": [{"text": c.text, "status": c.status, "run": c.support, "claim": c.claim} for c in row.cells],
            }
            for row in self.rows
        ]  # fmt: skip
        return {"methods": list(self.methods), "rows": rows}

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import comparison_html

        return comparison_html(self)


def compare(atlas: Atlas, *names: str) -> Comparison:
    """Compare two or more methods.

    Raises
    ------
    KeyError
        If a name is not known.
    ValueError
        If fewer than two different methods are named.

    Examples
    --------
    >>> import taxonomy
    >>> found = compare(taxonomy.load(), "IG", "Grad×Input")
    >>> [cell.text for row in found.rows if row.label == "Evaluations" for cell in row.cells]
    ['100', '2']
    """
    methods = [atlas.method(name) for name in names]
    if len({method.id for method in methods}) < 2:
        raise ValueError("name at least two different methods: `atlas compare IG SHAP`")
    sheets = [profile(atlas, method) for method in methods]
    keys = list(dict.fromkeys(key for sheet in sheets for key in sheet))
    order = {key: number for number, key in enumerate(labels(atlas))}
    keys.sort(key=lambda key: order[key])
    rows = tuple(Row(*key, tuple(sheet.get(key, Cell("–")) for sheet in sheets)) for key in keys)
    return Comparison(tuple(method.id for method in methods), rows)


Key = tuple[str, str]


def profile(atlas: Atlas, method: Method) -> dict[Key, Cell]:
    """What is compared of one method, by group and label; what is not known is left out."""
    needs, cost = method.needs, method.cost
    found: dict[Key, Cell] = {}
    for label, text in (
        ("Attributes to", ", ".join(method.explains)),
        ("Access to the model", needs.access if needs else ""),
        ("Kind of model", needs.model if needs else ""),
        ("Baseline", needs.baseline if needs else ""),
        ("Background data", ("needed" if needs.data else "not needed") if needs else ""),
        ("Auxiliary training", ("needed" if needs.training else "not needed") if needs else ""),
        ("Evaluations", (cost.evaluations or "").replace("2**n", "2ⁿ").replace("*", "·") if cost else ""),
    ):
        if text:
            found["Needs and cost", label] = Cell(text)
    for group, relation, kind, word in _MEMBERSHIPS:
        for record in atlas.of_kind(kind):
            stands = standing(atlas, Fact(method.id, relation, record.id))
            if stands is not None:
                found[group, record.name] = _cell(stands, word)
    for kind in ("principle", "axiom"):
        for record in atlas.of_kind(kind):
            pair = [one for one in requirement(atlas, method.id, record.id) if one is not None]
            if pair:
                found["Principles and axioms", record.name] = _judged(pair)
    for library in atlas.of_kind("library"):
        assert isinstance(library, Library)
        names = [provided.name for provided in library.provides if provided.method == method.id]
        if names:
            found["Libraries", library.name] = Cell(", ".join(names))
    return found


_MEMBERSHIPS = (
    ("Formulation", "belongs-to", "formulation-family", "yes"),
    ("Reformulations", "reformulates-as", "reformulation-family", "fits"),
    ("Rationales", "grounded-in", "rationale", "rests on it"),
)


def _cell(stands: Standing, word: str) -> Cell:
    return Cell(word, stands.fact.relation, stands.support, stands.claim)


def _judged(pair: list[Standing]) -> Cell:
    words = " and ".join(stands.fact.relation for stands in pair) if len(pair) > 1 else pair[0].fact.relation
    return Cell(words, pair[0].fact.relation if len(pair) == 1 else "disputed", pair[0].support, pair[0].claim)


def labels(atlas: Atlas) -> list[Key]:
    """Every label in the order of the rows."""
    needs = ("Attributes to", "Access to the model", "Kind of model", "Baseline", "Background data", "Auxiliary training", "Evaluations")
    found: list[Key] = [("Needs and cost", label) for label in needs]
    for group, _, kind, _ in _MEMBERSHIPS:
        found += [(group, record.name) for record in atlas.of_kind(kind)]
    found += [("Principles and axioms", record.name) for kind in ("principle", "axiom") for record in atlas.of_kind(kind)]
    return [*found, *(("Libraries", record.name) for record in atlas.of_kind("library"))]
