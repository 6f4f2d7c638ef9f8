"""The principles of faithfulness (Sec. IV-A to IV-C) as property tests: axiomatic fidelity, decision relevance, output and parameter sensitivity.

The survey sets no numbers. Each test decides by a bound that lies between two known cases, which its finding names: what a method without the
fault in question gives and what the fault gives.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from executable.arguments import Model
from executable.checks import axiom_domains, axioms
from executable.checks.axioms import Attribution, Domain, Example, Pair, Verdict
from executable.checks.input_recovery import patches
from executable.principles.asking import RefusedError, ask, cosine, not_applicable, share, shown
from executable.principles.base import Explainer, Finding
from executable.testbeds.mlps import mlp

SEED = 900
SMOOTH_GAP, KINKED_GAP = 2e-3, 0.05
"""Allowed share of the change of the output: ten times what a quadrature with fifty nodes leaves open on smooth functions, and three times what it
leaves open across the kinks of ReLU networks."""
HALFWAY = 0.5
"""Half of the way from unrelated maps of the same method to maps of one direction."""
FEATURES, WIDTH, LAYERS, LATE, NETWORKS = 8, 128, 14, 4, 6
INPUTS, UNITS, FILTERS, SIDE, DRAWS = 10, 1000, 150, 6, 5

_GAPS = (
    "Two or three features, baseline zero: polynomials, random tables of games, ReLU and tanh networks, pairs of networks that compute one function; "
    "violations in units of what is allowed, 0.05 with kinks and 0.002 without"
)


def axiomatic_fidelity(explain: Explainer) -> tuple[Finding, ...]:
    """Local accuracy, missingness and consistency, each by itself and together.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        One for each axiom and one for the composite. A method violates the composite if it violates one of them, and satisfies it if it
        satisfies all.

    Example
    -------
    >>> from executable import shapley_value
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in axiomatic_fidelity(adapted(shapley_value))]
    ['satisfies', 'satisfies', 'satisfies', 'satisfies']
    """
    parts = tuple(_axiom(explain, *part) for part in _PARTS)
    broken = [part for part in parts if part.outcome == "violates"]
    silent = [part for part in parts if part.outcome == "not applicable"]
    if silent and not broken:
        first = silent[0]
        whole = Finding("axiomatic-fidelity", _TOGETHER, "not applicable", math.nan, 1.0, _GAPS, 0, f"Without {first.principle}: {first.why}")
    else:
        names = ", ".join(part.principle for part in (broken or parts))
        worst = max(part.statistic for part in parts if part.outcome != "not applicable")
        why = f"Violated: {names}." if broken else f"No violation of {names} was found."
        snippet = next((part.counterexample for part in broken if part.counterexample), "")
        trials = sum(part.trials for part in parts)
        outcome = "violates" if broken else "satisfies"
        whole = Finding("axiomatic-fidelity", _TOGETHER, outcome, worst, 1.0, _GAPS, trials, why, snippet)  # type: ignore[arg-type]
    return (whole, *parts)


_TOGETHER = "local accuracy, missingness and consistency together"
Test = Callable[[Attribution, Domain], Verdict]
Findings = Iterator[tuple[Example, float]]


def _at_zero(domain: Domain) -> Domain:
    """The domain with the zero baseline, which methods have that are given none."""

    def draw(number: int) -> Example:
        drawn = domain.draw(number)
        return Example(drawn.f, drawn.x, torch.zeros_like(drawn.x), drawn.name)

    return Domain(domain.name, draw, domain.count, domain.fixed)


def _domains() -> list[Domain]:
    few = (axiom_domains.polynomials(3), axiom_domains.networks("relu", 3), axiom_domains.networks("tanh", 3), axiom_domains.table_games(3))
    return [axiom_domains.small_polynomials(degree=2), *map(_at_zero, few)]


def _missing(a: Attribution, domain: Domain) -> Verdict:
    """A feature that is zero in the input, as it is in the baseline."""

    def findings() -> Findings:
        for e in domain:
            for i in range(e.features):
                x = e.x.clone()
                x[0, i] = 0
                yield Example(e.f, x, e.b, e.name), abs(float(a(e.f, x, e.b)[0, i]))

    return _judged(findings())


def _same_game(a: Attribution, domain: Domain) -> Verdict:
    """Two programs for one function have the same marginal contributions; a saturating function has larger ones than a weak linear one."""

    def findings() -> Findings:
        zero = torch.zeros(1, 3, dtype=torch.float64)
        one, two = _summed()
        pairs = [*axiom_domains.twin_pairs(), *axiom_domains.relu_pairs(1), Pair("relu(x1 + x2 + x3 - 1), x1 + x2 formed first", one, two, _AT, zero)]
        answered, refused = 0, RefusedError("")
        for pair in pairs:
            b = torch.zeros_like(pair.x)
            try:
                gap = float((a(pair.first, pair.x, b) - a(pair.second, pair.x, b)).abs().max())
            except RefusedError as error:
                refused = error
                continue
            answered += 1
            yield Example(pair.first, pair.x, b, pair.how), gap
        if not answered:
            raise refused
        x, b = torch.tensor([[2.0, 1.0]], dtype=torch.float64), zero[:, :2]
        more = Example(lambda z: 1 - torch.relu(1 - z[:, 0]), x, b, "1 - relu(1 - x1) against x1 / 4 at x1 = 2")
        with contextlib.suppress(RefusedError):
            yield more, float(a(lambda z: z[:, 0] / 4, x, b)[0, 0] - a(more.f, x, b)[0, 0])

    return _judged(findings())


_AT = torch.tensor([[2.0, -1.0, 1.5]], dtype=torch.float64)


@functools.cache
def _summed() -> tuple[Model, Model]:
    """relu(x1 + x2 + x3 - 1) at once, and after a linear layer that has added the first two."""
    first, last = nn.Linear(3, 2, bias=False, dtype=torch.float64), nn.Linear(2, 1, dtype=torch.float64)
    whole = nn.Linear(3, 1, dtype=torch.float64)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
        for layer in (last, whole):
            layer.weight.fill_(1.0)
            layer.bias.fill_(-1.0)
    outputs = axiom_domains.Output(nn.Sequential(whole, nn.ReLU())), axiom_domains.Output(nn.Sequential(first, last, nn.ReLU()))
    return outputs[0].requires_grad_(False), outputs[1].requires_grad_(False)


def _judged(findings: Findings) -> Verdict:
    worst, trials, first = 0.0, 0, None
    for example, violation in findings:
        trials += 1
        if violation > max(worst, axioms.NOISE):
            worst, first = violation, example
    return Verdict(worst, trials, first)


def _axiom(explain: Explainer, name: str, formula: str, tests: tuple[Test, ...]) -> Finding:
    found: list[tuple[float, Verdict, str]] = []
    reason = ""
    for test in tests:
        for domain in [_PAIRS] if test is _same_game else _domains():
            try:
                verdict = test(lambda f, x, b: ask(explain, f, x, b), domain)
            except RefusedError as refusal:
                reason = reason or str(refusal)
                continue
            found.append((verdict.violation / (KINKED_GAP if "relu" in domain.name else SMOOTH_GAP), verdict, domain.name))
    if not found:
        return not_applicable(name, formula, 1.0, _GAPS, reason)
    trials = sum(verdict.trials for _, verdict, _ in found)
    value, verdict, where = max(found, key=lambda f: f[0])
    if value <= 1:
        return Finding(
            name, formula, "satisfies", value, 1.0, _GAPS, trials, f"No violation beyond the tolerance was found; the largest is on {where}."
        )
    small = next((v.first for ratio, v, on in found if ratio > 1 and on == "small polynomials"), verdict.first)
    example = f", for instance {small.name}" if small is not None else ""
    why = f"The largest violation, on {where}, is {verdict.violation:.2g}{example}."
    return Finding(name, formula, "violates", value, 1.0, _GAPS, trials, why, shown(_snippet(name, small), explain))


_PAIRS = Domain("relu pairs", lambda _: Example(axiom_domains.Written({(1,): 1.0}), torch.ones(1, 1), torch.zeros(1, 1)), 0)


def _snippet(name: str, e: Example | None) -> str:
    if e is None or not isinstance(e.f, axiom_domains.Written) or name not in _ASSERTED:
        return ""
    x = [[float(v) for v in e.x[0]]]
    return (
        f"import torch\n\nf = lambda x: {e.f.code()}\nx = torch.tensor({x}, dtype=torch.float64)\na = explain(f, x, None, 0 * x)\n{_ASSERTED[name]}"
    )


_ASSERTED = {
    "local-accuracy": f"assert abs(a.sum().item() - (f(x) - f(0 * x)).item()) > {SMOOTH_GAP}\n",
    "missingness": f"assert a[x == 0].abs().max().item() > {SMOOTH_GAP}\n",
}
_PARTS = (
    ("local-accuracy", "f(b) + sum of the attributions = f(x)", (axioms.local_accuracy,)),
    ("missingness", "a feature with x_i = b_i receives zero", (_missing,)),
    ("consistency", "a feature whose marginal contributions grow does not receive less", (axioms.consistency, _same_game)),
)


def decision_relevance(explain: Explainer) -> tuple[Finding, ...]:
    """Whether attributions in wide random networks with one hidden layer rebuild the input, and whether they ignore the class.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        One for each of two operational readings of a principle that has no formula: the attributions have the direction of the input, and the
        attributions of two outputs with independent weights have one direction.

    Example
    -------
    >>> from executable import guided_backprop
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in decision_relevance(adapted(guided_backprop))]
    ['violates', 'violates']
    """
    recovered, classes, reason = [], [], ""
    for name, models, target in (("dense network", _dense(), lambda x: x), ("convolution with max-pooling", _pooled(), patches)):
        try:
            maps = [(x, [ask(explain, output, x) for output in outputs]) for outputs, x in models]
        except RefusedError as refusal:
            reason = reason or str(refusal)
            continue
        own = math.fsum(max(cosine(a, x), cosine(a, target(x))) for x, found in maps for a in found) / (2 * len(maps))
        other = math.fsum(cosine(a, y) for (_, found), (y, _) in _unrelated(maps) for a in found) / (2 * len(maps))
        recovered.append((share(own, other), name))
        together = math.fsum(cosine(*found) for _, found in maps) / len(maps)
        apart = math.fsum(cosine(p[0], q[1]) for (_, p), (_, q) in _unrelated(maps)) / len(maps)
        classes.append((share(together, apart), name))
    domain = (
        f"Random networks with one hidden layer, {DRAWS} draws: {INPUTS} inputs and {UNITS} units; {SIDE} x {SIDE} images, {FILTERS} filters and "
        "max-pooling"
    )
    said = (
        (recovered, "the input is not rebuilt", "the attributions have come this part of the way from an unrelated input to the explained one"),
        (classes, "two outputs with independent weights", "the attributions of the two outputs have come this part of the way to one direction"),
    )
    return tuple(_halfway("decision-relevance", reading, found, domain, DRAWS * 2 * len(found), what, reason) for found, reading, what in said)


def _unrelated(maps: list[tuple[Tensor, list[Tensor]]]) -> Iterator[tuple[tuple[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]]:
    return zip(maps, [*maps[1:], maps[0]], strict=True)


def _halfway(principle: str, reading: str, found: list[tuple[float, str]], domain: str, trials: int, what: str, reason: str) -> Finding:
    if not found:
        return not_applicable(principle, reading, HALFWAY, domain, reason)
    value, where = max(found)
    outcome = "violates" if value >= HALFWAY else "satisfies"
    return Finding(principle, reading, outcome, value, HALFWAY, domain, trials, f"On the {where} {what}: {value:.2g}.")  # type: ignore[arg-type]


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _positive(body: list[nn.Module], last: nn.Linear, x: Tensor) -> tuple[nn.Sequential, ...]:
    """One network for each output, with its weights turned so that the output is positive: relevance that starts from it has one sign."""
    with torch.no_grad():
        hidden = nn.Sequential(*body)(x)
        outputs = []
        for row in last.weight:
            layer = nn.Linear(last.in_features, 1, bias=False, dtype=torch.float64)
            layer.weight.copy_(row * (1 if float(hidden[0] @ row) >= 0 else -1))
            outputs.append(nn.Sequential(*body, layer).eval().requires_grad_(False))
    return tuple(outputs)


Drawn = tuple[tuple[tuple[nn.Sequential, ...], Tensor], ...]


@functools.cache
def _dense() -> Drawn:
    drawn = []
    for seed in range(DRAWS):
        generator = torch.Generator().manual_seed(SEED + seed)
        first, last = nn.Linear(INPUTS, UNITS, bias=False, dtype=torch.float64), nn.Linear(UNITS, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            for layer in (first, last):
                layer.weight.copy_(_normal(generator, *layer.weight.shape))
        x = _normal(generator, 1, INPUTS)
        drawn.append((_positive([first, nn.ReLU()], last, x), x))
    return tuple(drawn)


@functools.cache
def _pooled() -> Drawn:
    drawn = []
    for seed in range(DRAWS):
        generator = torch.Generator().manual_seed(SEED + 50 + seed)
        places = ((SIDE - 2) // 2) ** 2
        first, last = nn.Conv2d(1, FILTERS, 3, bias=False, dtype=torch.float64), nn.Linear(FILTERS * places, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            for weight in (first.weight, last.weight):
                weight.copy_(_normal(generator, *weight.shape))
        x = _normal(generator, 1, 1, SIDE, SIDE)
        drawn.append((_positive([first, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()], last, x), x))
    return tuple(drawn)


@functools.cache
def deep_networks(layers: int = LAYERS, fresh: int = 0) -> Drawn:
    """Random ReLU networks without biases for three outputs each, with a positive input; in the last `fresh` layers the weights are drawn again.

    Far fewer layers than units: a product of signed random matrices tends to one direction too, only much later.
    """
    drawn = []
    for seed in range(NETWORKS):
        generator = torch.Generator().manual_seed(SEED + 100 + seed)
        sizes = [FEATURES] + [WIDTH] * (layers - 1) + [3]
        model, other = (mlp(sizes, "relu", bias=False, generator=generator) for _ in range(2))
        x = torch.rand(1, FEATURES, generator=generator, dtype=torch.float64) + 0.1
        kept = 2 * (layers - fresh)
        parts = [*list(model)[:kept], *list(other)[kept:]]
        last = parts[-1]
        assert isinstance(last, nn.Linear)
        drawn.append((_positive(parts[:-1], last, x), x))
    return tuple(drawn)


_DEEP = f"Random ReLU networks without biases, {FEATURES} inputs, width {WIDTH}, {LAYERS} layers, {NETWORKS} draws, inputs of positive entries"
Readings = tuple[tuple[str, Callable[[float], float]], ...]
_SIGNED: Readings = (("direction with its sign", lambda c: c), ("direction up to its sign", abs))


def output_sensitivity(explain: Explainer) -> tuple[Finding, ...]:
    """Whether the attributions of different outputs for one input differ in deep networks.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        Two readings: with the sign of the cosine, and up to it.

    Example
    -------
    >>> from executable import gradient
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in output_sensitivity(adapted(gradient))]
    ['satisfies', 'satisfies']
    """
    try:
        deep, shallow = _maps(explain, deep_networks()), _maps(explain, deep_networks(2))
    except RefusedError as refusal:
        return tuple(not_applicable("output-sensitivity", reading, HALFWAY, _DEEP, str(refusal)) for reading, _ in _SIGNED)
    findings = []
    for reading, measure in _SIGNED:
        value, flat = (share(_mean(measure, _classes(maps)), _mean(measure, _null(maps))) for maps in (deep, shallow))
        what = f"Between outputs the maps have come {value:.2g} of the way from unrelated ones to one direction, with 2 layers {flat:.2g}"
        findings.append(_sensitivity("output-sensitivity", reading, value, what, 3 * NETWORKS))
    return tuple(findings)


def parameter_sensitivity(explain: Explainer) -> tuple[Finding, ...]:
    """Whether the attributions change when the last third of the layers is drawn again.

    Parameters
    ----------
    explain
        The attribution function as `adapted` returns it.

    Returns
    -------
    tuple of Finding
        Two readings: with the sign of the cosine, and up to it.

    Example
    -------
    >>> from executable import gradient
    >>> from executable.principles.base import adapted
    >>> [found.outcome for found in parameter_sensitivity(adapted(gradient))]
    ['satisfies', 'satisfies']
    """
    try:
        before, cascade = _maps(explain, deep_networks()), [_maps(explain, deep_networks(fresh=k)) for k in (1, LATE)]
    except RefusedError as refusal:
        return tuple(not_applicable("parameter-sensitivity", reading, HALFWAY, _DEEP, str(refusal)) for reading, _ in _SIGNED)
    findings = []
    for reading, measure in _SIGNED:
        null = _mean(measure, _null(before))
        one, late = (share(_mean(measure, _same(before, after)), null) for after in cascade)
        kept = f"{late:.2g} of the way from unrelated maps to the same ones is left, with the last layer alone {one:.2g}"
        what = f"With the last {LATE} of {LAYERS} layers drawn again {kept}"
        findings.append(_sensitivity("parameter-sensitivity", reading, late, what, 3 * NETWORKS))
    return tuple(findings)


Maps = list[list[Tensor]]


def _maps(explain: Explainer, drawn: Drawn) -> Maps:
    return [[ask(explain, output, x) for output in outputs] for outputs, x in drawn]


def _classes(maps: Maps) -> Iterator[float]:
    return (cosine(a, b) for found in maps for a, b in itertools.combinations(found, 2))


def _same(before: Maps, after: Maps) -> Iterator[float]:
    return (cosine(a, b) for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True))


def _null(maps: Maps) -> Iterator[float]:
    """Maps of the same method for unrelated networks and inputs: what its signs alone give."""
    return (cosine(a, b) for one, other in itertools.combinations(maps, 2) for a, b in itertools.product(one, other))


def _mean(measure: Callable[[float], float], cosines: Iterable[float]) -> float:
    values = [measure(c) for c in cosines]
    return math.fsum(values) / len(values)


def _sensitivity(principle: str, reading: str, value: float, what: str, trials: int) -> Finding:
    outcome = "violates" if value >= HALFWAY else "satisfies"
    return Finding(principle, reading, outcome, value, HALFWAY, _DEEP, trials, f"{what}.")  # type: ignore[arg-type]
