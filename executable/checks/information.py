"""Checks of the information-theoretic rationale on small discrete distributions, where every probability is a fraction."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_most, breaks, counterexample, judge, keeps, number, settle, sweep, versions, worst
from executable.frameworks.feature_removal import banzhaf_mean, leave_one_out, mean_when_included, removal_attribution, shapley_mean
from executable.methods.influential_subset import exhaustive_subset
from executable.methods.perturbation import loss_shap, sage
from executable.rationales import information_theory
from executable.rationales.information_theory import JointTable, conditional_information, subsets, weighted_information
from executable.removal import ConditionalEmpirical, Marginal
from taxonomy.evidence import Evidence, EvidenceStatus, Measurement

SEED = 340
FEATURES, PARTS, DRAWS = 3, 4, 2


@functools.cache
def joint(seed: int, independent: bool) -> JointTable:
    """A random joint distribution of three binary features and a label, with positive integer counts."""
    chance = random.Random(SEED + seed)
    sides = [(chance.randint(1, 2), chance.randint(1, 2)) for _ in range(FEATURES)]
    counts = {}
    for x in itertools.product((0, 1), repeat=FEATURES):
        often = math.prod(side[value] for side, value in zip(sides, x, strict=True)) if independent else chance.randint(1, 5)
        first = chance.randint(1, PARTS - 1)
        counts.update({(x, 0): often * first, (x, 1): often * (PARTS - first)})
    return JointTable(counts)


def predictor(p: JointTable, power: int) -> Callable[[Tensor], Tensor]:
    """p(y | x) as a model; with a power above one, an overconfident one."""
    table = torch.zeros(2**FEATURES, 2, dtype=torch.float64)
    for (x, y), _ in p.counts.items():
        table[sum(v << i for i, v in enumerate(x)), y] = float(p.given(y, dict(enumerate(x)))) ** power
    table = table / table.sum(dim=1, keepdim=True)

    def model(x: Tensor) -> Tensor:
        return table[(x.long() * 2 ** torch.arange(FEATURES)).sum(dim=1)]

    return model


@dataclass(frozen=True)
class Setting:
    """A case of the sweep."""

    name: str
    meets: bool
    independent: bool = False
    power: int = 1
    conditional: bool = True
    loss: str = "log_loss"

    def removal(self, rows: Tensor) -> Marginal | ConditionalEmpirical:
        """What takes the place of removed features."""
        return ConditionalEmpirical(rows) if self.conditional else Marginal(rows)


SETTINGS = (
    Setting("true probabilities, conditional removal, cross entropy", True),
    Setting("independent features, true probabilities, marginal removal, cross entropy", True, independent=True, conditional=False),
    Setting("marginal removal", False, conditional=False),
    Setting("overconfident model", False, power=2),
)
SQUARED = Setting("squared error as the loss", False, loss="squared_error")


def worths(p: JointTable, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """F(x_S) for every input and label that occur, shape (cases, sets), with the inputs and the labels."""
    rows, _ = p.rows()
    cases = list(p.counts)
    x = torch.tensor([point for point, _ in cases], dtype=torch.float64)
    y = torch.tensor([label for _, label in cases])
    seen: list[Tensor] = []

    def keep(game: Tensor) -> Tensor:
        seen.append(game)
        return leave_one_out(game)

    removal_attribution(predictor(p, setting.power), x, y, removal=setting.removal(rows), summary=keep)
    return seen[0], x, y


def posterior(p: JointTable) -> Tensor:
    """p(y | x_S) of every case and set, shape (cases, sets)."""
    return torch.stack([information_theory.subset_information(p, x, y).probability for x, y in p.counts])


def pointwise(p: JointTable) -> Tensor:
    """Pointwise mutual information of every case and set, shape (cases, sets)."""
    return torch.stack([information_theory.subset_information(p, x, y).pointwise for x, y in p.counts])


def over_draws(setting: Setting, gap: Callable[[JointTable, Setting], float]) -> Case:
    """The setting with its largest gap over some distributions."""
    return Case(setting.name, setting.meets, worst([gap(joint(seed, setting.independent), setting) for seed in range(DRAWS)]))


def sage_gap(p: JointTable, setting: Setting) -> float:
    """SAGE against the weighted mean of conditional mutual information."""
    rows, labels = p.rows()
    if setting.loss == "squared_error":
        hot = torch.nn.functional.one_hot(labels, 2).double()
        found = sage(predictor(p, setting.power), rows, hot, loss="squared_error", baselines=setting.removal(rows))
    else:
        found = sage(predictor(p, setting.power), rows, labels, loss="log_loss", baselines=setting.removal(rows))
    return float((found - weighted_information(p)).abs().max())


def loss_gap(p: JointTable, setting: Setting) -> float:
    """Worth of each set less that of the empty set, and LossSHAP, against pointwise mutual information."""
    game, x, y = worths(p, setting)
    rows, _ = p.rows()
    watched = -2 * (1 - game).square() if setting.loss == "squared_error" else game.log()
    information = pointwise(p)
    gaps = [float((watched - watched[:, :1] - information).abs().max())]
    if setting.loss == "log_loss":
        found = loss_shap(predictor(p, setting.power), x, y, loss="log_loss", baselines=setting.removal(rows))
        gaps.append(float((found - shapley_mean(information)).abs().max()))
    return max(gaps)


def prediction_gap(p: JointTable, setting: Setting) -> float:
    """Worth of each set against the conditional probability of the label."""
    game, _, _ = worths(p, setting)
    return float((game - posterior(p)).abs().max())


def _family_gap(p: JointTable, setting: Setting) -> float:
    """Every summary of both behaviours against the same summary of probabilities and of pointwise mutual information."""
    _, x, y = worths(p, setting)
    rows, _ = p.rows()
    gaps = []
    for summary in (leave_one_out, shapley_mean, banzhaf_mean, mean_when_included):
        model, removal = predictor(p, setting.power), setting.removal(rows)
        found = removal_attribution(model, x, y, removal=removal, summary=summary)
        logs = removal_attribution(model, x, y, removal=removal, behaviour=_gain, summary=summary)
        gaps += [float((found - summary(posterior(p))).abs().max()), float((logs - summary(pointwise(p))).abs().max())]
    return max(gaps)


@functools.cache
def _family_cases() -> tuple[Case, ...]:
    return tuple(over_draws(setting, _family_gap) for setting in SETTINGS)


def _gain(game: Tensor) -> Tensor:
    """Log probability of the label, less that without any feature."""
    return game.log() - game[:, :1].log()


DATA = """
import math
import torch

data = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)  # the second feature copies the first, the label too
model = lambda x: torch.stack([1 - x[:, 0], x[:, 0]], dim=1)
"""
COPY = "Two features that are always equal, and a model that reads the first"


def _evidence(
    claim: str,
    check: str,
    cases: tuple[Case, ...],
    status: EvidenceStatus,
    *,
    statement: str,
    condition: str,
    finding: str,
    description: str,
    code: str,
    data: dict[str, object],
    control: Case,
    extra: tuple[Measurement, ...] = (),
) -> Evidence:
    kept = next(case for case in cases if case.meets)
    measurements = (*sweep(cases, ALGEBRA), *(number(f"error: {case.setting}", case.error) for case in cases), *extra)
    return Evidence(
        claim=claim,
        check=f"information/{check}",
        status=settle(measurements, status),
        statement=statement,
        condition=condition,
        finding=finding,
        domain="Random joint distributions of three binary features and a binary label with integer counts; every entry computed from the counts",
        measurements=measurements,
        trials=DRAWS * len(cases),
        seed=SEED,
        counterexample=counterexample(description, DATA + code, **data),
        controls=(breaks(control.setting, control.error, ALGEBRA), keeps(kept.setting, kept.error, ALGEBRA)),
        parameters={"features": FEATURES, "distributions": DRAWS},
        versions=versions(),
    )


CONDITION = "The model outputs the true conditional probabilities and removed features are drawn from their conditional distribution given the rest"


def sage_information(claim: str) -> Evidence:
    """SAGE is the Shapley-weighted mean of conditional mutual information for an ideal model, proper removal and cross entropy."""
    cases = tuple(over_draws(setting, sage_gap) for setting in (*SETTINGS, SQUARED))
    code = """
from executable.methods import sage
from executable.removal import Marginal

found = sage(model, data, torch.tensor([0, 1]), loss="log_loss", baselines=Marginal(data))
assert torch.allclose(found, torch.tensor([[math.log(2), 0.0]], dtype=torch.float64))
"""

    return _evidence(
        claim,
        "sage",
        cases,
        judge(cases, ALGEBRA),
        statement="The SAGE value of feature $i$ is the mean, with the weights of the Shapley value, of $I(Y; X_i \\mid X_S)$ over the sets $S$ of "
        "other features.",
        condition=f"{CONDITION}; the loss is the cross entropy.",
        finding="With marginal removal, an overconfident model or the squared error the equality is lost; for independent features marginal removal "
        "is conditional removal.",
        description=f"{COPY}: with marginal removal SAGE is $(\\log 2, 0)$, while each feature has information $\\log 2$ alone and none after the "
        "other, hence $\\tfrac12 \\log 2$ in the weighted mean.",
        code=code,
        data={"rows": [[0, 0], [1, 1]], "labels": [0, 1]},
        control=Case("SAGE against plain mutual information $I(Y; X_i)$, without conditioning", False, _unconditional_gap()),
    )


def _unconditional_gap() -> float:
    p = joint(0, False)
    rows, labels = p.rows()
    found = sage(predictor(p, 1), rows, labels, loss="log_loss", baselines=ConditionalEmpirical(rows))
    plain = torch.tensor([[conditional_information(p, i, ()) for i in range(FEATURES)]], dtype=torch.float64)
    return float((found - plain).abs().max())


def loss_information(claim: str) -> Evidence:
    """Minus the cross entropy differs from pointwise mutual information by log p(y), if the model and the removal are right."""
    cases = tuple(over_draws(setting, loss_gap) for setting in (*SETTINGS, SQUARED))
    p = joint(0, False)
    raw = float((worths(p, SETTINGS[0])[0].log() - pointwise(p)).abs().max())
    code = """
from executable.methods import loss_shap
from executable.removal import Marginal

found = loss_shap(model, data[1:], 1, loss="log_loss", baselines=Marginal(data))
assert torch.allclose(found, torch.tensor([[math.log(2), 0.0]], dtype=torch.float64))
"""
    return _evidence(
        claim,
        "loss",
        cases,
        judge(cases, ALGEBRA),
        statement="With $v(S)$ minus the loss of $F(x_S)$, the gain $v(S) - v(\\emptyset)$ is the pointwise mutual information "
        "$\\log p(y \\mid x_S) / p(y)$, and LossSHAP is the Shapley value of that game.",
        condition=f"{CONDITION}; the loss is the cross entropy, and the worth is counted from that of the empty set.",
        finding="The worth itself is $\\log p(y \\mid x_S)$, which is the information plus the constant $\\log p(y)$.",
        description=f"{COPY}: at $(1, 1)$ with label 1 and marginal removal LossSHAP is $(\\log 2, 0)$, although either feature tells the label with "
        "the pointwise information $\\log 2$.",
        code=code,
        data={"rows": [[0, 0], [1, 1]], "input": [1, 1], "label": 1},
        control=Case("the worth itself, not counted from that of the empty set", False, raw),
        extra=(number("worth less information, largest: $-\\log p(y)$", raw),),
    )


def prediction_probability(claim: str) -> Evidence:
    """The worth of a set is the conditional probability of the label given its features, if the model and the removal are right."""
    cases = tuple(over_draws(setting, prediction_gap) for setting in SETTINGS)
    p = joint(0, False)
    game, _, _ = worths(p, SETTINGS[0])
    single = posterior(p)[:, [1, 2, 4]]
    apart = float((shapley_mean(game) - single).abs().max())
    code = """
from executable.frameworks.feature_removal import removal_attribution
from executable.removal import Marginal

alone = removal_attribution(model, data[1:], 1, removal=Marginal(data), summary=lambda game: game[:, 1:3])  # worth of {1} and of {2}
assert torch.equal(alone, torch.tensor([[1.0, 0.5]], dtype=torch.float64))
"""
    return _evidence(
        claim,
        "prediction",
        cases,
        judge(cases, ALGEBRA),
        statement="With the prediction itself as behaviour, the worth of every set of features is $v(S) = F(x_S) = p(y \\mid x_S)$.",
        condition=f"{CONDITION}.",
        finding="It is the worth of a set that equals a probability; an attribution summarises differences of such worths, and is no probability.",
        description=f"{COPY}: at $(1, 1)$ the second feature alone has the worth $1/2$ under marginal removal, while $p(y = 1 \\mid x_2 = 1) = 1$.",
        code=code,
        data={"rows": [[0, 0], [1, 1]], "input": [1, 1], "worths": [1, 0.5], "probabilities": [1, 1]},
        control=Case("Shapley values against $p(y \\mid x_i)$", False, apart),
        extra=(number("largest difference of Shapley values from $p(y \\mid x_i)$", apart),),
    )


def family_information(claim: str) -> Evidence:
    """Every summary of the family is the same summary of probabilities or of information under the same condition."""
    cases = _family_cases()
    p = joint(0, False)
    game, _, _ = worths(p, SETTINGS[0])
    code = """
from executable.frameworks.feature_removal import leave_one_out, removal_attribution
from executable.removal import ConditionalEmpirical, Marginal

one = data[1:]
assert removal_attribution(model, one, 1, removal=Marginal(data), summary=leave_one_out).tolist() == [[0.5, 0.0]]
assert removal_attribution(model, one, 1, removal=ConditionalEmpirical(data), summary=leave_one_out).tolist() == [[0.0, 0.0]]
"""
    return _evidence(
        claim,
        "feature-removal",
        cases,
        judge(cases, ALGEBRA),
        statement="Leave-one-out, Shapley, Banzhaf and mean-when-included summaries of $F(x_S)$, and of its logarithm less that for no feature, "
        "are the same summaries of $p(y \\mid x_S)$ and of the pointwise mutual information of $y$ and $x_S$.",
        condition=f"{CONDITION}.",
        finding="Removal by a fixed or marginal baseline measures how the model reacts, not how much information the features carry, unless they are "
        "independent.",
        description=f"{COPY}: at $(1, 1)$ leaving one out gives $(1/2, 0)$ with marginal removal. No probability changes when one of two copies is "
        "left out, and conditional removal gives $(0, 0)$.",
        code=code,
        data={"rows": [[0, 0], [1, 1]], "input": [1, 1], "marginal": [0.5, 0], "conditional": [0, 0]},
        control=Case("Shapley against Banzhaf summary of the same worths", False, float((shapley_mean(game) - banzhaf_mean(game)).abs().max())),
    )


@dataclass(frozen=True)
class Search:
    """A way to choose a subset."""

    name: str
    meets: bool
    setting: Setting
    game: str = "preservation"
    bonus: bool = False


SEARCHES = (
    Search("preservation, two features, conditional removal", True, SETTINGS[0]),
    Search("preservation, two features, marginal removal, independent features", True, SETTINGS[1]),
    Search("preservation, two features, marginal removal", False, SETTINGS[2]),
    Search("deletion, two features, conditional removal", False, SETTINGS[0], game="deletion"),
    Search("model with inverted odds", False, Setting("", False, power=-1)),
)


def _shortfall(search: Search) -> Case:
    """How much pointwise mutual information the chosen pairs fall short of the best pair."""
    gaps = []
    for seed in range(2 * DRAWS):
        p = joint(seed, search.setting.independent)
        rows, _ = p.rows()
        x = torch.tensor([point for point, _ in p.counts], dtype=torch.float64)
        y = torch.tensor([label for _, label in p.counts])
        removal = search.setting.removal(rows)
        chosen = exhaustive_subset(predictor(p, search.setting.power), x, y, game=search.game, size=2, baselines=removal).subset
        column = (chosen.long() * 2 ** torch.arange(FEATURES)).sum(dim=1)
        information = pointwise(p)
        best = information[:, [3, 5, 6]].amax(dim=1)
        gaps.append(float((best - information.gather(1, column.unsqueeze(1)).squeeze(1)).max()))
    return Case(search.name, search.meets, worst(gaps))


def _sizes(sign: int) -> float:
    """Mean size of the set that maximises its mutual information with the label plus (sign) a twentieth of its number of features."""
    sizes = []
    for seed in range(DRAWS):
        p = joint(seed, False)
        chance = torch.tensor([float(p.share(dict(enumerate(x)), y)) for x, y in p.counts], dtype=torch.float64)
        members = torch.tensor([float(len(s)) for s in subsets(FEATURES)], dtype=torch.float64)
        best = int((chance @ pointwise(p) + sign * members / 20).argmax())
        sizes.append(len(subsets(FEATURES)[best]))
    return sum(sizes) / len(sizes)


def subset_information(claim: str) -> Evidence:
    """Keeping the prediction high with a fixed number of features maximises pointwise information; deletion and other removals do not."""
    cases = tuple(_shortfall(search) for search in SEARCHES)
    code = """
from executable.methods import exhaustive_subset
from executable.removal import ConditionalEmpirical

rows = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
chance = lambda x: 0.1 + 0.6 * x[:, 0] + 0.2 * x[:, 2]  # p(y = 1 | x)
removal = ConditionalEmpirical(rows)
kept = exhaustive_subset(chance, rows[3:], game="preservation", size=1, baselines=removal)
removed = exhaustive_subset(chance, rows[3:], game="deletion", size=1, baselines=removal)
assert kept.subset.tolist() == [[1, 0, 0]]  # p = 0.8
assert removed.subset.tolist() == [[0, 0, 1]]  # the weak feature, with p = 0.6 alone
"""
    return _evidence(
        claim,
        "subset",
        cases,
        judge(cases, ALGEBRA),
        statement="The subset of a given size that a search by the model's prediction chooses has the largest pointwise mutual information with the "
        "label among the subsets of that size.",
        condition=f"The search preserves the prediction with a fixed number of features; {CONDITION[0].lower()}{CONDITION[1:]}.",
        finding="The deletion game, in which Meaningful Perturbation is usually played, chooses other subsets. With the printed sign a size that is "
        "added while maximising always leads to all features.",
        description="Two features that are always equal and a weaker third: a single copy kept gives $p = 0.8$, the third $0.6$; but removing a "
        "single copy changes nothing, so that deletion chooses the third.",
        code=code,
        data={"rows": [[0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]], "input": [1, 1, 1]},
        control=Case("the pair with the least information: shortfall", False, _worst_pair()),
        extra=(
            at_most("features missing from the best set, size added with the printed sign", FEATURES - _sizes(1), 0.0),
            number("mean size of the best set, size subtracted", _sizes(-1)),
        ),
    )


def _worst_pair() -> float:
    pairs = pointwise(joint(0, False))[:, [3, 5, 6]]
    return float((pairs.amax(dim=1) - pairs.amin(dim=1)).max())
