"""Functions in order of size, so that the first violation found is a smallest one, and snippets that show it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from executable.checks.axiom_domains import Written, small_polynomials
from executable.checks.axioms import Domain, Example

COUNT = 24
_LAYERS: list[tuple[list[list[int]], list[int], list[int]]] = [
    ([[1, 1]], [-1], [1]), ([[1, -1]], [0], [1]), ([[1, 1]], [-1], [-1]), ([[1, 0]], [0], [1]), ([[2, -1]], [0], [1]), ([[2, 1]], [-1], [1]),
    ([[1, 1], [1, -1]], [0, 0], [1, 1]), ([[1, 1], [1, 1]], [-1, 0], [1, -1]), ([[1, 1], [-1, -1]], [-1, 1], [1, 1]),
    ([[1, -2], [-1, 1]], [1, 1], [1, 1]), ([[2, -1], [1, 1]], [0, -1], [1, -1]), ([[1, 0], [0, 1]], [0, 0], [1, -1]),
    ([[1, 0], [1, 0]], [0, -1], [1, 1]), ([[2, 1], [1, 2]], [-1, -1], [1, 1]), ([[2, -1], [-1, 2]], [0, 0], [1, 1]),
    ([[1, 2], [-1, 1]], [-1, 0], [-1, 2]),
]  # fmt: skip
"""Weights and biases of the hidden layer, and weights of the last."""


class SmallNetwork(nn.Sequential):
    """Linear, ReLU, linear with small integers; one number for each row."""

    def __init__(self, first: list[list[int]], bias: list[int], last: list[int]) -> None:
        hidden, output = nn.Linear(2, len(bias), dtype=torch.float64), nn.Linear(len(bias), 1, bias=False, dtype=torch.float64)
        super().__init__(hidden, nn.ReLU(), output, nn.Flatten(0))
        self.written = (first, bias, last)
        with torch.no_grad():
            hidden.weight.copy_(torch.tensor(first))
            hidden.bias.copy_(torch.tensor(bias))
            output.weight.copy_(torch.tensor([last]))
        self.eval().requires_grad_(False)

    def code(self) -> str:
        """Lines that build it, as `f`."""
        first, bias, last = self.written
        return (
            f"f = nn.Sequential(nn.Linear(2, {len(bias)}), nn.ReLU(), nn.Linear({len(bias)}, 1, bias=False), nn.Flatten(0)).double().eval()\n"
            f"for p, v in zip(f.parameters(), ({first}, {bias}, [{last}])):\n    p.data = torch.tensor(v, dtype=torch.float64)"
        )


def small_networks() -> Domain:
    """ReLU networks with one or two hidden neurons and integer weights at x = (1, 1) and b = 0."""
    cases = [(layers, point) for layers in _LAYERS for point in ((1.0, 1.0),)]

    def draw(number: int) -> Example:
        layers, point = cases[number]
        x = torch.tensor([point], dtype=torch.float64)
        return Example(SmallNetwork(*layers), x, torch.zeros_like(x), f"network {number}")

    return Domain("small ReLU networks", draw, len(cases), fixed=True)


def smallest_polynomials() -> Domain:
    """The first of the small polynomials in two variables at (1, 1)."""
    every = small_polynomials()
    return Domain(every.name, every.draw, min(COUNT, every.count), fixed=True)


def _built(e: Example, name: str = "f") -> str | None:
    if isinstance(e.f, Written):
        return f"{name} = lambda x: {e.f.code()}"
    if isinstance(e.f, SmallNetwork):
        return e.f.code().replace("f = ", f"{name} = ", 1).replace("f.parameters", f"{name}.parameters", 1)
    return None


def _point(e: Example) -> str:
    x, b = (", ".join(f"{v:g}" if v != int(v) else f"{v:.1f}" for v in t[0].tolist()) for t in (e.x, e.b))
    return f"x, b = torch.tensor([[{x}]], dtype=torch.float64), torch.tensor([[{b}]], dtype=torch.float64)"


_TESTS: dict[str, tuple[str, ...]] = {
    "efficiency": ("a = explain(f, x, baselines=b)", "assert abs(a.sum() - (f(x) - f(b)).item()) > {bound}  # {a} against a change of {change}"),
    "symmetry": ("a = explain(f, x, baselines=b)", "assert abs(a[0, 0] - a[0, 1]) > {bound}  # {a}, though {alike}"),
    "dummy": ("a = explain(f, x, baselines=b)", "assert abs(a[0, {i}]) > {bound}  # {a}, though feature {j} changes {nothing}"),
    "sensitivity": (
        "b = x.clone()", "b[0, {i}] = 0  # input and baseline differ in feature {j} alone", "assert abs((f(x) - f(b)).item()) > {bound}",
        "assert abs(explain(f, x, baselines=b)[0, {i}]) <= 1e-9",
    ),
    "two-efficiency": (
        "a = explain(f, x, baselines=b)",
        "both = explain(lambda z: f(z[:, [0, 0]]), x[:, :1], baselines=b[:, :1])  # the two features as one",
        "assert abs(both.sum() - a.sum()) > {bound}",
    ),
    "linearity": (
        "a, c = explain(f, x, baselines=b), explain(g, x, baselines=b)",
        "assert (explain(lambda z: {k} * f(z) + {m} * g(z), x, baselines=b) - ({k} * a + {m} * c)).abs().max() > {bound}",
    ),
    "additivity": (
        "a, c = explain(f, x, baselines=b), explain(g, x, baselines=b)",
        "assert (explain(lambda z: f(z) + g(z), x, baselines=b) - (a + c)).abs().max() > {bound}",
    ),
}  # fmt: skip

_WORDS = {
    True: {"alike": "f(x_S) is the same with either feature", "nothing": "no f(x_S)"},
    False: {"alike": "f and x treat both features alike", "nothing": "nothing"},
}

TWINS = """import torch

f = lambda x: torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1]))
g = lambda x: torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1]))  # the same function
x = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
b = torch.zeros_like(x)
assert (explain(f, x, baselines=b) - explain(g, x, baselines=b)).abs().max() > 1e-3
"""


def snippets(axiom: str, reading: str, domain: Domain, explain: Callable[..., Tensor], bound: float) -> Iterator[str]:
    """Candidates for a counterexample, smallest first; whether one holds shows when it runs."""
    lines = _TESTS.get({"completeness": "efficiency", "local-accuracy": "efficiency"}.get(axiom, axiom))
    if lines is None:
        return
    examples = [*domain]
    cases = list(itertools.pairwise(examples)) if axiom in {"linearity", "additivity"} else [(e, e) for e in examples]
    for e, other in cases:
        head = ["import torch", *(["from torch import nn"] if isinstance(e.f, SmallNetwork) else []), "", str(_built(e))]
        if other is not e:
            head.append(str(_built(other, "g")))
        values = {"a": _shown(explain, e), "change": f"{e.change():.3g}", "bound": f"{bound:g}"} | _WORDS[reading == "game"]
        for i, (k, m) in itertools.product(range(e.features), ((2, -3), (0, 0.5), (-1, 1)) if axiom == "linearity" else ((1, 1),)):
            if axiom == "symmetry" and not _exchangeable(e, reading):
                break
            if axiom == "dummy" and not _idle(e, i, reading):
                continue
            filled = [line.format(i=i, j=i + 1, k=k, m=m, **values) for line in lines]
            yield "\n".join([*head, _point(e), *filled]) + "\n"


def _shown(explain: Callable[..., Tensor], e: Example) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in explain(e.f, e.x, baselines=e.b)[0].tolist()) + ")"


def _probes() -> Tensor:
    return torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _exchangeable(e: Example, reading: str) -> bool:
    v = e.game()
    if reading == "game" and abs(float(v[1] - v[2])) < 1e-9:
        return True
    z = _probes()
    return bool((e.f(z) - e.f(z.flip(1))).abs().max() < 1e-9) and float(e.x[0, 0]) == float(e.x[0, 1])


def _idle(e: Example, i: int, reading: str) -> bool:
    v = e.game()
    if reading == "game":
        return max(abs(float(v[1 << i] - v[0])), abs(float(v[3] - v[3 & ~(1 << i)]))) < 1e-9
    z = _probes()
    moved = z.clone()
    moved[:, i] = z[:, i].flip(0)
    return bool((e.f(z) - e.f(moved)).abs().max() < 1e-9)
