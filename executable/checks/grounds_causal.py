"""Checks of what interventions rest on: average and individual causal effects in small causal models, and Shapley values as effects."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, error, keeps, number, worst
from executable.checks.grounds_common import DRAWS, SEED, ground
from executable.coalitions import coalition_sizes
from executable.methods.perturbation import (
    average_causal_effect,
    banzhaf_value,
    individual_causal_effect,
    occlusion_1,
    occlusion_patch,
    shapley_value,
)
from executable.rationales.causal_attribution import Law, Population, causal_effects, hybrids, undisturbed
from executable.removal import Marginal
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Evidence

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CausalModel:
    """Binary variables, causes before effects: the probability of 1 given the values of the parents; the last `hidden` are not inputs."""

    parents: dict[int, tuple[int, ...]]
    tables: dict[int, dict[tuple[int, ...], Fraction]]
    order: tuple[int, ...]
    inputs: int

    def population(self, i: int | None = None, value: float = 0) -> Population:
        """All cases with their probabilities; with an intervention the cause of variable i is the experimenter."""
        points, chances = [], []
        for values in itertools.product((0, 1), repeat=len(self.order)):
            chance = Fraction(1)
            for k in self.order:
                p = self.tables[k][tuple(values[parent] for parent in self.parents[k])]
                chance *= (p if values[k] else 1 - p) if k != i else Fraction(int(values[k] == int(value)))
            points.append(values[: self.inputs])
            chances.append(float(chance))
        return torch.tensor(points, dtype=torch.float64), torch.tensor(chances, dtype=torch.float64)

    def law(self) -> Law:
        """What interventions do."""
        return self.population

    def rows(self) -> Tensor:
        """The undisturbed distribution as rows, each repeated as often as it occurs in 4**variables."""
        points, chances = self.population()
        return points.repeat_interleave((chances * 4 ** len(self.order)).round().long(), dim=0)


SHAPES: dict[str, dict[int, tuple[int, ...]]] = {
    "no connection": {0: (), 1: (), 2: ()},
    "a common cause": {3: (), 0: (3,), 1: (3,), 2: (3,)},
    "a chain": {0: (), 1: (0,), 2: (1,)},
}


def causal_model(shape: str, chance: random.Random) -> CausalModel:
    """Three inputs: a hidden common cause of all, a chain from first to last, or no connection."""
    parents = SHAPES[shape]
    tables = {
        k: {values: Fraction(chance.randint(1, 3), 4) for values in itertools.product((0, 1), repeat=len(above))} for k, above in parents.items()
    }
    return CausalModel(parents, tables, tuple(parents), 3)


def _table_model(chance: random.Random) -> Function:
    table = torch.tensor([float(chance.randint(-9, 9)) for _ in range(8)], dtype=torch.float64)
    return lambda x: table[(x.long() * 2 ** torch.arange(3)).sum(dim=1)]


def _given(f: Function, rows: Tensor, x: Tensor) -> Tensor:
    """Conditioning in the place of intervention."""
    found = torch.zeros_like(x)
    for i in range(x.shape[1]):
        found[0, i] = f(rows[rows[:, i] == x[0, i]]).mean() - f(rows[rows[:, i] == 0]).mean()
    return found


def average(claim: str) -> Evidence:
    """The method on data from causal models against the effect of interventions in these models."""
    chance, count = random.Random(SEED), 10
    gaps: dict[str, list[float]] = {shape: [] for shape in SHAPES}
    conditioned = []
    x = torch.ones(1, 3, dtype=torch.float64)
    for _ in range(count):
        for shape, found in gaps.items():
            system, f = causal_model(shape, chance), _table_model(chance)
            rows = system.rows()
            truth = causal_effects(f, x, law=system.law())
            found.append(error(average_causal_effect(f, x, data=rows), truth))
            if shape == "a common cause":
                conditioned.append(error(_given(f, rows, x), truth))
    cases = [Case(shape, shape != "a chain", worst(found)) for shape, found in gaps.items()]
    return ground(
        claim,
        "grounds-causal/average",
        statement="ACE, computed from observed data, is the difference of the means of $f$ after the interventions $do(x_i = \\alpha)$ and "
        "$do(x_i = b_i)$ in the causal model that the data come from (Eq. 21).",
        cases=cases,
        controls=[breaks("conditioning on the values in place of intervening, common cause (largest difference)", worst(conditioned), ALGEBRA)],
        condition="No variable of the input causes another one. Common causes do no harm.",
        finding="The method leaves the distribution of the other variables as it is; an intervention changes it for everything downstream. With "
        "causal links among the inputs the method is the direct effect averaged, not the total one.",
        domain="Causal models of three binary inputs with random probabilities, enumerated; random tables of whole numbers as models",
        trials=3 * count,
        example=counterexample(
            "$x_2$ copies the fair coin $x_1$ and $f = x_2$: setting $x_1$ to 1 raises $f$ by $1$, ACE gives it $0$.",
            """
import torch
from executable import average_causal_effect
from executable.rationales.causal_attribution import causal_effects

def law(i, value):  # x1 causes x2
    return (torch.tensor([[value, value]]), torch.ones(1)) if i == 0 else (torch.tensor([[0.0, value], [1.0, value]]), torch.ones(2) / 2)

f = lambda x: x[:, 1]
one = torch.ones(1, 2)
assert causal_effects(f, one, law=law).tolist() == [[1.0, 1.0]]
assert average_causal_effect(f, one, data=torch.tensor([[0.0, 0.0], [1.0, 1.0]])).tolist() == [[0.0, 1.0]]
""",
            input=[1, 1],
            total_effect=[1, 1],
            ace=[0, 1],
        ),
    )


def _product(x: Tensor) -> Tensor:
    return x[:, 0] * x[:, 1] + x[:, 2]


def _additive(x: Tensor) -> Tensor:
    return x[:, 0] ** 2 + 3 * x[:, 1] + x[:, 2].sin()


def _contexts(model: Function, x: Tensor, b: Tensor, target: Tensor | None = None, alpha: Tensor | None = None) -> Tensor:
    """Eq. 21 with each input as its own population of one."""
    values = x if alpha is None else alpha
    rows = []
    for r in range(x.shape[0]):
        chosen = None if target is None else target[r : r + 1]
        rows.append(causal_effects(model, values[r : r + 1], chosen, law=undisturbed(x[r : r + 1]), baselines=b[r : r + 1]))
    return torch.cat(rows)


def individual(claim: str) -> Evidence:
    """ICE as Eq. 21 in a population of one, its mean over a population, and how far one context is from all of them."""
    generator = torch.Generator().manual_seed(SEED)
    one, mean = [], []
    apart: list[float] = []
    equal: list[float] = []
    for f, found in ((_product, apart), (_additive, equal)):
        for _ in range(DRAWS):
            data, points = torch.randn(6, 3, generator=generator, dtype=torch.float64), torch.randn(2, 3, generator=generator, dtype=torch.float64)
            alpha, b = points[:1].expand_as(data), points[1:].expand_as(data)
            single = individual_causal_effect(f, data, baselines=b, interventions=alpha)
            one.append(error(single, _contexts(f, data, b, alpha=alpha)))
            all_of_them = average_causal_effect(f, points[:1], data=data, baselines=points[1:])
            mean.append(error(single.mean(dim=0, keepdim=True), all_of_them))
            found.append(max(error(row.unsqueeze(0), all_of_them) for row in single))
    return ground(
        claim,
        "grounds-causal/individual",
        statement="ICE is the effect of Eq. 21 in a population that consists of one input, and its mean over a population is the average effect "
        "there. In one context it can be another number than the average.",
        measurements=(
            at_most("method against Eq. 21 with one input as population", worst(one), ALGEBRA),
            at_most("mean over six inputs against ACE on them", worst(mean), ALGEBRA),
            at_least("one of the inputs against ACE, model with a product", min(apart), 0.1),
            at_most("any of the inputs against ACE, additive model", worst(equal), ALGEBRA),
        ),
        controls=[
            breaks("ACE in place of ICE, model with a product (smallest difference)", min(apart), ALGEBRA),
            keeps("ACE in place of ICE, additive model", worst(equal), ALGEBRA),
        ],
        finding="The part of the rationale that is missing is the average over contexts: without interactions there is nothing to average, with "
        "interactions the effect of a variable depends on where the others stand.",
        domain="A model with a product and an additive one on random data of three variables",
        trials=len(one),
    )


def one_context(claim: str) -> Evidence:
    """Occlusion-1 against the effect of setting one variable in the fixed input; patches and Shapley values are not that effect."""
    fixed, averaged, patches, shapley = [], [], [], []
    for activation in ("relu", "tanh"):
        for model, x, target in lively_draws(DRAWS, activation, bias=True, seed=SEED, sizes=(4, 8, 6, 3), batch=2):
            generator = torch.Generator().manual_seed(SEED)
            b = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            data = torch.randn(3, x.shape[1], generator=generator, dtype=torch.float64)
            effect = _contexts(model, x, b, target)
            fixed.append(error(occlusion_1(model, x, target, baselines=b), effect))
            drawn = torch.stack([_contexts(model, x, row.expand_as(x), target) for row in data]).mean(dim=0)
            averaged.append(error(occlusion_1(model, x, target, baselines=Marginal(data)), drawn))
            patches.append(error(occlusion_patch(model, x, target, sliding_window_shapes=2, baselines=b), effect))
            shapley.append(error(shapley_value(model, x, target, baselines=b), effect))
    return ground(
        claim,
        "grounds-causal/one-context",
        statement="Occlusion-1 is the individual causal effect $f(x \\mid do(x_i = \\alpha)) - f(x \\mid do(x_i = b_i))$ of one variable at its own "
        "value $\\alpha = x_i$; with removal by a distribution it is the mean of that effect over the baselines.",
        measurements=(
            at_most("one baseline: method against Eq. 21 with the input as population", worst(fixed), ALGEBRA),
            at_most("baselines drawn from data: against the mean of these effects", worst(averaged), ALGEBRA),
        ),
        controls=[
            breaks("occlusion by patches of two, against the effect of one variable (smallest difference)", min(patches), ALGEBRA),
            breaks("Shapley value against the effect in the one context of the input (smallest difference)", min(shapley), ALGEBRA),
        ],
        finding="An identity in every model. What is missing from the average effect is said with the individual one: it holds in the context of "
        "this input alone.",
        domain="Random networks 4-8-6-3 with biases and ReLU or tanh, random baselines",
        trials=2 * len(fixed),
    )


def even_sizes(players: int) -> Tensor:
    """Chances of all sets if each size is equally likely, and each set of that size.

    >>> even_sizes(2)
    tensor([0.3333, 0.1667, 0.1667, 0.3333], dtype=torch.float64)
    """
    sizes = coalition_sizes(players)
    same = torch.bincount(sizes)[sizes].double()
    return 1 / (same * (players + 1))


def _over_hybrids(model: Function, x: Tensor, b: Tensor, target: Tensor, chances: Tensor) -> Tensor:
    """Eq. 21 in the population of mixtures of each input and its baseline."""
    rows = [
        causal_effects(model, x[r : r + 1], target[r : r + 1], law=undisturbed(*hybrids(x[r], b[r], chances)), baselines=b[r : r + 1])
        for r in range(x.shape[0])
    ]
    return torch.cat(rows)


def all_contexts(claim: str) -> Evidence:
    """The Shapley value as average causal effect in one population, that of the mixtures of input and baseline; other populations."""
    found, drawn, coins, point, of_data, by_method = [], [], [], [], [], []
    for activation, n in (("relu", 3), ("tanh", 4), ("relu", 5)):
        for model, x, target in lively_draws(DRAWS, activation, bias=True, seed=SEED, sizes=(n, 8, 6, 3), batch=2):
            generator = torch.Generator().manual_seed(SEED)
            b = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            data = torch.randn(3, n, generator=generator, dtype=torch.float64)
            value = shapley_value(model, x, target, baselines=b)
            found.append(error(_over_hybrids(model, x, b, target, even_sizes(n)), value))
            means = torch.stack([_over_hybrids(model, x, row.expand_as(x), target, even_sizes(n)) for row in data]).mean(dim=0)
            drawn.append(error(means, shapley_value(model, x, target, baselines=Marginal(data))))
            fair = torch.full((2**n,), 2.0**-n, dtype=torch.float64)
            coins.append(error(_over_hybrids(model, x, b, target, fair), value))
            point.append(error(_over_hybrids(model, x, b, target, fair), banzhaf_value(model, x, target, baselines=b)))
            of_data.append(error(average_causal_effect(model, x, target, data=data, baselines=b), value))
            if n == 3:
                rows, _ = hybrids(x[0], b[0], fair)
                often = (12 * even_sizes(3)).round().long()
                ace = average_causal_effect(model, x[:1], target[:1], data=rows.repeat_interleave(often, dim=0), baselines=b[:1])
                by_method.append(error(ace, value[:1]))
    return ground(
        claim,
        "grounds-causal/all-contexts",
        statement="The Shapley value is the average causal effect of Eq. 21 in one population: the mixtures of the input and the baseline in which "
        "the number of variables taken from the input is equally likely to be any.",
        measurements=(
            at_most("Eq. 21 in this population against the Shapley value", worst(found), ALGEBRA),
            at_most("baselines drawn from data: mean of these effects against the Shapley value with marginal removal", worst(drawn), ALGEBRA),
            at_most("the method ACE on these mixtures as data against the Shapley value, three variables", worst(by_method), ALGEBRA),
            at_most("each variable from the input with chance one half: against the Banzhaf value", worst(point), ALGEBRA),
            number("ACE on the data themselves against the Shapley value (smallest difference)", min(of_data)),
        ),
        controls=[
            breaks("each variable from the input with chance one half (smallest difference)", min(coins), ALGEBRA),
            breaks("ACE on data as population (smallest difference)", min(of_data), ALGEBRA),
        ],
        finding="So it is an average causal effect, exactly, but in a population that the method makes up. In the population of the data the effect "
        "is another number unless the model is additive.",
        domain="Random networks with three to five inputs, biases and ReLU or tanh, random baselines and data",
        trials=len(found),
    )
