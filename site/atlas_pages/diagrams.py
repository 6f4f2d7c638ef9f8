"""Counterexamples as small diagrams: networks with the values that flow through them, games, curves and planes, each beside the attributions.

`site/diagrams.yaml` holds the structures: weights, functions, inputs. All values that a drawing shows are computed from them here; attributions are
read from the recorded evidence, or stand in the file with the method that gives them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from atlas_pages import diagram_shapes as shapes
from atlas_pages.context import Site, html_address
from atlas_pages.markup import attribute
from taxonomy.evidence import Evidence

FILE = Path(__file__).parent.parent / "diagrams.yaml"
APPLY: dict[str, Callable[[float], float]] = {
    "relu": lambda z: max(z, 0.0), "abs": abs, "square": lambda z: z * z, "cube": lambda z: z**3, "identity": lambda z: z,
}  # fmt: skip
RULES: dict[str, str] = {"equal parts": "equal parts for all", "order": "contributions in order of arrival"}
"""Ways to share that no record describes, as a reader is told of them."""


@dataclass(frozen=True)
class Given:
    """Attributions shown beside the inputs: whose they are, of which output, with which options."""

    label: str
    values: tuple[float, ...]
    method: str | None = None
    rule: str | None = None
    output: str | None = None
    options: Mapping[str, Any] | None = None

    @property
    def texts(self) -> list[str]:
        """As they are printed: always with a sign."""
        return [shapes.signed(value) for value in self.values]


@dataclass(frozen=True)
class Unit:
    """A unit of a network: the weighted sum of others, plus a bias, through an activation."""

    name: str
    of: Mapping[str, float]
    bias: float = 0.0
    apply: str = "identity"

    def value(self, at: Mapping[str, float]) -> float:
        """Its value where those of its sources are known."""
        return APPLY[self.apply](math.fsum(weight * at[source] for source, weight in self.of.items()) + self.bias)


@dataclass(frozen=True)
class Network:
    """Units in the order in which they are computed; those that no other reads are the outputs."""

    title: str
    input: tuple[float, ...]
    units: tuple[Unit, ...]
    gives: tuple[Given, ...]
    baseline: tuple[float, ...] | None = None

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs: x1, x2, ..."""
        return [f"x{k + 1}" for k in range(len(self.input))]

    @property
    def outputs(self) -> list[str]:
        """Names of the units that no other reads."""
        read = {source for unit in self.units for source in unit.of}
        return [unit.name for unit in self.units if unit.name not in read]

    def values(self, at: Sequence[float] | None = None) -> dict[str, float]:
        """The forward pass: the value of every input and unit, at the input or at another point."""
        found = dict(zip(self.inputs, self.input if at is None else at, strict=True))
        for unit in self.units:
            found[unit.name] = unit.value(found)
        return found


Terms = tuple[tuple[float, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Polynomial:
    """Terms (coefficient, exponents), and how the function is written."""

    name: str
    terms: Terms

    def __call__(self, *x: float) -> float:
        """Its value."""
        return math.fsum(c * math.prod(v**k for v, k in zip(x, powers, strict=True)) for c, powers in self.terms)

    def slope(self, x: float) -> float:
        """Its derivative, for one variable."""
        return math.fsum(c * powers[0] * x ** (powers[0] - 1) for c, powers in self.terms if powers[0])


@dataclass(frozen=True)
class Game:
    """A function with each variable at its input or at its baseline."""

    title: str
    function: Polynomial
    input: tuple[float, ...]
    baseline: tuple[float, ...]
    gives: tuple[Given, ...]

    def values(self) -> dict[tuple[int, ...], float]:
        """Value of each set of players, the players counted from zero."""
        n = len(self.input)
        sets = itertools.chain.from_iterable(itertools.combinations(range(n), size) for size in range(n + 1))
        return {s: self.function(*(self.input[i] if i in s else self.baseline[i] for i in range(n))) for s in sets}


@dataclass(frozen=True)
class Curves:
    """Functions of one variable between a baseline and beyond an input."""

    title: str
    functions: tuple[Polynomial, ...]
    input: tuple[float, ...]
    baseline: tuple[float, ...]
    gives: tuple[Given, ...]
    """One for each function: its attribution, which is its slope at the input where `tangents` is true."""
    tangents: bool = True


@dataclass(frozen=True)
class Plane:
    """sin(times (x1 - x2)) over the square from the baseline to the input, with the straight path."""

    title: str
    times: float
    input: tuple[float, ...]
    baseline: tuple[float, ...]
    gives: tuple[Given, ...]

    def __call__(self, x1: float, x2: float) -> float:
        """Its value."""
        return math.sin(self.times * (x1 - x2))


Panel = Network | Game | Curves | Plane


@dataclass(frozen=True)
class Diagram:
    """The picture of one counterexample: what it shows in a sentence, and its panels."""

    claim: str
    says: str
    panels: tuple[Panel, ...]


# -- reading -----------------------------------------------------------------------------------------------------------------------------------


@functools.cache
def _written() -> dict[str, dict[str, Any]]:
    entries = [item for item in yaml.safe_load(FILE.read_text(encoding="utf-8")) if "claim" in item]
    names = [item["claim"] for item in entries]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise LookupError(f"{FILE.name}: {', '.join(sorted(repeated))} stands there twice")
    return {item["claim"]: item for item in entries}


def claims() -> list[str]:
    """The claims that have a diagram."""
    return sorted(_written())


def diagram(evidence: Evidence) -> Diagram | None:
    """The diagram of a claim's counterexample, with its attributions read from the evidence; None if there is none.

    Raises
    ------
    LookupError
        If the diagram names a place in the evidence that is not there.
    ValueError
        If the diagram shows another input or baseline than the evidence.
    """
    item = _written().get(evidence.claim)
    if item is None or evidence.counterexample is None:
        return None
    data = evidence.counterexample.data
    found = Diagram(evidence.claim, item["says"], tuple(_panel(panel, data, evidence.claim) for panel in item["panels"]))
    for panel in found.panels:
        for name in ("input", "baseline"):
            recorded, drawn = data.get(name), getattr(panel, name)
            if recorded is not None and drawn is not None and not item.get("other-points") and [float(v) for v in recorded] != list(drawn):
                raise ValueError(f"{FILE.name}: {evidence.claim}: the {name} is {list(drawn)}, in the evidence {recorded}")
    return found


def number(value: str | float) -> float:
    """A number as evidence holds it: JSON's own, or a fraction in a string.

    >>> number("1/3") * 3
    1.0
    """
    return float(Fraction(value)) if isinstance(value, str) else float(value)


def _at(data: Any, place: str, claim: str) -> Any:
    for step in place.split("."):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise LookupError(f"{FILE.name}: the evidence of {claim} has nothing at `{place}`") from None
    return data if isinstance(data, list) else [data]


def _given(item: Mapping[str, Any], data: Any, claim: str) -> Given:
    values = _at(data, item["values"], claim) if isinstance(item["values"], str) else item["values"]
    kept = {name: item.get(name) for name in ("method", "rule", "output", "options")}
    return Given(item["label"], tuple(map(number, values)), **kept)


def _panel(item: Mapping[str, Any], data: Any, claim: str) -> Panel:
    given = tuple(_given(one, data, claim) for one in item["gives"])
    point = tuple(map(float, item["input"]))
    base = tuple(map(float, item["baseline"])) if "baseline" in item else None
    if "units" in item:
        return Network(item["title"], point, tuple(_unit(unit) for unit in item["units"]), given, base)
    zero = base or (0.0,) * len(point)
    if "wave" in item:
        return Plane(item["title"], float(item["wave"]), point, zero, given)
    functions = tuple(Polynomial(name, tuple((float(c), tuple(k)) for c, k in terms)) for name, terms in item["functions"].items())
    if item.get("curves"):
        return Curves(item["title"], functions, point, zero, given, bool(item.get("tangents", True)))
    return Game(item["title"], functions[0], point, zero, given)


def _unit(item: Mapping[str, Any]) -> Unit:
    return Unit(item["name"], {k: float(v) for k, v in item["of"].items()}, float(item.get("bias", 0)), item.get("apply", "identity"))


# -- drawing -----------------------------------------------------------------------------------------------------------------------------------


def drawn(site: Site, evidence: Evidence) -> str:
    """The diagram of a claim's counterexample as HTML for its page; nothing if there is none."""
    found = diagram(evidence)
    if found is None:
        return ""
    panels = "".join(_figure(site, panel) for panel in found.panels)
    return f'<div class="diagrams"><p class="says">{attribute(found.says)}</p><div class="panels">{panels}</div></div>'


def svg(panel: Panel) -> str:
    """A panel as one SVG element with its text alternative."""
    texts = [given.texts for given in panel.gives]
    if isinstance(panel, Network):
        return shapes.network(panel, texts, words(panel))
    if isinstance(panel, Game):
        return shapes.lattice(panel.values(), texts, words(panel))
    if isinstance(panel, Curves):
        return shapes.curves(panel, words(panel))
    return shapes.plane(panel, texts, words(panel))


def words(panel: Panel) -> str:
    """What the drawing shows, in words and numbers."""
    point = _point(panel.input)
    parts = [f"{panel.title} at {point}" + (f" with baseline {_point(panel.baseline)}" if panel.baseline else "") + "."]
    if isinstance(panel, Network):
        values = panel.values()
        parts += [f"{unit.name} = {_formula(unit)} = {shapes.plain(values[unit.name])}." for unit in panel.units]
    elif isinstance(panel, Game):
        parts += [f"Present {_set(s)}: {shapes.plain(v)}." for s, v in panel.values().items()]
    elif isinstance(panel, Curves):
        ends = [(f, f(panel.baseline[0]), f(panel.input[0])) for f in panel.functions]
        parts += [f"{f.name} goes from {shapes.plain(low)} to {shapes.plain(high)}." for f, low, high in ends]
    else:
        parts.append(f"Zero at both ends and along the straight path between them; never beyond 1 in size; slope {shapes.plain(panel.times)}.")
    parts += [f"{given.label}: {', '.join(given.texts)}." for given in panel.gives]
    return " ".join(parts)


def _point(values: Sequence[float]) -> str:
    return f"({', '.join(shapes.plain(v) for v in values)})"


def _set(players: Sequence[int]) -> str:
    return ", ".join(f"x{i + 1}" for i in players) or "nothing"


def _formula(unit: Unit) -> str:
    inner = " + ".join(f"{shapes.plain(weight)} · {source}" for source, weight in unit.of.items())
    inner += f" + {shapes.plain(unit.bias)}" if unit.bias else ""
    inner = inner.replace("+ −", "− ")
    return inner if unit.apply == "identity" else f"{unit.apply}({inner})"


def _figure(site: Site, panel: Panel) -> str:
    base = f", baseline {_point(panel.baseline)}" if panel.baseline else ""
    letters = itertools.chain("abcdefgh")
    rows = [
        f"<li><b>{letter}</b> {_whose(site, given)}: {attribute(', '.join(given.texts))}</li>"
        for letter, given in zip(letters, panel.gives, strict=False)
    ]
    caption = f"{attribute(panel.title)}, input {_point(panel.input)}{base}"
    return f'<figure class="diagram">{svg(panel)}<figcaption>{caption}<ul>{"".join(rows)}</ul></figcaption></figure>'


def _whose(site: Site, given: Given) -> str:
    record = site.records.get(given.method) if given.method else None
    if record is None:
        return attribute(given.label)
    return f'<a href="{html_address(record)}">{attribute(given.label)}</a>'
