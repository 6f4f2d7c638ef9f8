"""Checks of what removal and masks rest on in terms of information: SAGE, Shapley values, meaningful perturbation, information bottleneck."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, error, keeps, number, worst
from executable.checks.grounds_common import ground
from executable.checks.information import CONDITION, DRAWS, SETTINGS, SQUARED, Setting, joint, loss_gap, over_draws, posterior, predictor, sage_gap
from executable.coalitions import leave_one_out_weights, weighted_contributions
from executable.frameworks.feature_removal import shapley_mean
from executable.methods.influential_subset import FeatureStatistics, information_bottleneck, meaningful_perturbation
from executable.methods.influential_subset.bottleneck import information
from executable.methods.perturbation import sage, shapley_value
from executable.rationales.information_theory import JointTable, Point, subset_information, weighted_information
from executable.removal import ConditionalEmpirical
from taxonomy.evidence import Evidence

COPIES = """
import math
import torch
from executable.removal import ConditionalEmpirical, Marginal

data = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)  # the second feature copies the first, the label too
model = lambda x: torch.stack([1 - x[:, 0], x[:, 0]], dim=1)
"""


def global_information(claim: str) -> Evidence:
    """SAGE against weighted conditional mutual information, over models, removals and losses."""
    cases = [over_draws(setting, sage_gap) for setting in (*SETTINGS, SQUARED)]
    left_out, sums = [], []
    for seed in range(DRAWS):
        p = joint(seed, False)
        rows, labels = p.rows()
        found = sage(predictor(p, 1), rows, labels, loss="log_loss", baselines=ConditionalEmpirical(rows))
        worth = torch.stack([subset_information(p, x, y).pointwise for x, y in p.counts])
        often = torch.tensor([float(c) for c in p.counts.values()], dtype=torch.float64)
        known = (often / often.sum()) @ worth
        sums.append(abs(float(found.sum() - known[-1])))
        left_out.append(error(weighted_contributions(known.unsqueeze(0), leave_one_out_weights(3)), weighted_information(p)))
    return ground(
        claim,
        "grounds-information/global",
        statement="The SAGE value of feature $i$ is the mean of $I(Y; X_i \\mid X_S)$ over the sets $S$ of other features, weighted as in the "
        "Shapley value; together the values are $I(Y; X)$.",
        cases=cases,
        measurements=(at_most("sum of the values against $I(Y; X)$, condition met", worst(sums), ALGEBRA),),
        controls=[
            breaks("$I(Y; X_i \\mid X_{N \\setminus i})$, nothing averaged, in place of the mean (smallest difference)", min(left_out), ALGEBRA)
        ],
        condition=f"{CONDITION}; the loss is the cross entropy. For independent features marginal removal is conditional removal.",
        finding="The original work removes by the marginal distribution and explains models as they are: then SAGE is the model's gain from each "
        "feature, not the information that the feature holds.",
        domain="Random joint distributions of three binary features and a label with whole counts; every information computed from the counts",
        trials=DRAWS * len(cases),
        example=counterexample(
            "Two equal features and a model that reads the first: with marginal removal SAGE is $(\\log 2, 0)$, with conditional removal "
            "$(\\tfrac12 \\log 2, \\tfrac12 \\log 2)$, which is the mean information of each.",
            COPIES
            + """
from executable import sage

labels, half = torch.tensor([0, 1]), math.log(2) / 2
found = sage(model, data, labels, loss="log_loss", baselines=Marginal(data))
assert torch.allclose(found, torch.tensor([[2 * half, 0.0]], dtype=torch.float64))
found = sage(model, data, labels, loss="log_loss", baselines=ConditionalEmpirical(data))
assert torch.allclose(found, torch.tensor([[half, half]], dtype=torch.float64))
""",
            rows=[[0, 0], [1, 1]],
            labels=[0, 1],
        ),
    )


def _shapley_gap(p: JointTable, setting: Setting) -> float:
    """The Shapley value of the predicted probability, and of its logarithm, against those of the table."""
    rows, _ = p.rows()
    x = torch.tensor([point for point, _ in p.counts], dtype=torch.float64)
    y = torch.tensor([label for _, label in p.counts])
    found = shapley_value(predictor(p, setting.power), x, y, baselines=setting.removal(rows))
    return max(error(found, shapley_mean(posterior(p))), loss_gap(p, setting))


def local_information(claim: str) -> Evidence:
    """The Shapley value of an ideal model against that of p(y | x_S), over models and removals."""
    cases = [over_draws(setting, _shapley_gap) for setting in SETTINGS]
    p = joint(0, False)
    single = posterior(p)[:, [1, 2, 4]] - posterior(p)[:, :1]
    return ground(
        claim,
        "grounds-information/local",
        statement="The Shapley value of a predicted probability is the mean gain in $p(y \\mid x_S)$ when feature $i$ becomes known, and that of its "
        "logarithm the mean gain in pointwise mutual information (Eq. 22).",
        cases=cases,
        controls=[
            breaks("$p(y \\mid x_i) - p(y)$, what the feature tells alone", error(shapley_mean(posterior(p)), single), ALGEBRA),
            keeps("sum of the gains against $p(y \\mid x) - p(y)$", _sum_gap(p), ALGEBRA),
        ],
        condition=f"{CONDITION}.",
        finding="With a fixed or marginal baseline the value says how the model reacts; it says what the features tell only where they are "
        "independent.",
        domain="Random joint distributions of three binary features and a label with whole counts",
        trials=DRAWS * len(cases),
        example=counterexample(
            "Two equal features and a model that reads the first, at $(1, 1)$: with marginal removal the value is $(1/2, 0)$, although both tell the "
            "same; with conditional removal $(1/4, 1/4)$.",
            COPIES
            + """
from executable import shapley_value

assert shapley_value(model, data[1:], 1, baselines=Marginal(data)).tolist() == [[0.5, 0.0]]
assert shapley_value(model, data[1:], 1, baselines=ConditionalEmpirical(data)).tolist() == [[0.25, 0.25]]
""",
            rows=[[0, 0], [1, 1]],
            input=[1, 1],
        ),
    )


def _sum_gap(p: JointTable) -> float:
    table = posterior(p)
    return float((shapley_mean(table).sum(dim=1) - (table[:, -1] - table[:, 0])).abs().max())


ODDS = ((4, 1), (3, 1), (3, 2))
"""Of each feature: counts of the value that speaks for the label and of that which speaks against it."""
SILENT = 2
"""Count of the value 0, which is equally frequent under both labels and tells nothing."""


@functools.cache
def evidence_table() -> JointTable:
    """Features in {-1, 0, 1}, independent given the label."""
    counts = {}
    for x in itertools.product((-1, 0, 1), repeat=len(ODDS)):
        for y in (0, 1):
            often = [SILENT if v == 0 else pair[0] if (v > 0) == (y == 1) else pair[1] for v, pair in zip(x, ODDS, strict=True)]
            counts[x, y] = math.prod(often)
    return JointTable(counts)


@functools.cache
def copied_table() -> JointTable:
    """The first two features always equal, the third independent of them given the label."""
    counts: dict[tuple[Point, int], int] = {}
    for (a, c), y in itertools.product(itertools.product((-1, 0, 1), repeat=2), (0, 1)):
        often = [SILENT if v == 0 else pair[0] if (v > 0) == (y == 1) else pair[1] for v, pair in ((a, (4, 1)), (c, (3, 1)))]
        counts[(a, a, c), y] = math.prod(often)
    return JointTable(counts)


def log_odds(weights: tuple[float, ...]) -> Callable[[Tensor], Tensor]:
    """The probability of label 1 from a sum of evidence."""
    row = torch.tensor(weights, dtype=torch.float64)
    return lambda x: torch.sigmoid(x @ row)


@dataclass(frozen=True)
class Masking:
    """A case of the search by masks."""

    name: str
    meets: bool
    table: Callable[[], JointTable]
    weights: tuple[float, ...]
    baseline: tuple[float, ...] = (0.0, 0.0, 0.0)
    game: str = "preservation"
    price: float = 0.08


_TRUE = tuple(math.log(a / b) for a, b in ODDS)
_SPLIT = (math.log(4) / 2, math.log(4) / 2, math.log(3))
MASKINGS = (
    Masking("preservation, silent baseline", True, evidence_table, _TRUE),
    Masking("deletion, silent baseline", True, evidence_table, _TRUE, game="deletion"),
    Masking("preservation, baseline that speaks", False, evidence_table, _TRUE, baseline=(1.0, 0.0, 0.0)),
    Masking("preservation, features that depend on each other", False, copied_table, _SPLIT, price=0.15),
    Masking("preservation, evidence weighed the wrong way round", False, evidence_table, tuple(reversed(_TRUE))),
)


def _chosen(masking: Masking) -> tuple[float, int]:
    """How much information the chosen sets lack of the best set of their size, and how many are neither empty nor full."""
    table = masking.table()
    points = [x for x, y in table.counts if y == 1 and all(x)]
    x = torch.tensor(points, dtype=torch.float64)
    masks = meaningful_perturbation(
        log_odds(masking.weights),
        x,
        game=masking.game,
        perturbation="constant",
        baselines=torch.tensor(masking.baseline, dtype=torch.float64),
        area_weight=masking.price,
        n_steps=150,
    )
    lacking, proper = [0.0], 0
    sizes = torch.tensor([s.bit_count() for s in range(2 ** x.shape[1])])
    for point, mask in zip(points, masks > 0.5, strict=True):
        told = subset_information(table, point, 1).pointwise
        chosen = sum(int(inside) << i for i, inside in enumerate(mask.tolist()))
        lacking.append(float(told[sizes == sizes[chosen]].max() - told[chosen]))
        proper += 0 < chosen < 2 ** x.shape[1] - 1
    return worst(lacking), proper


def masks(claim: str) -> Evidence:
    """Thresholded masks against the sets of their size that tell most of the label, over baselines and dependence."""
    found = {masking: _chosen(masking) for masking in MASKINGS}
    cases = [Case(masking.name, masking.meets, lacking) for masking, (lacking, _) in found.items()]
    single = subset_information(evidence_table(), (1, 1, 1), 1).pointwise[[1, 2, 4]]
    return ground(
        claim,
        "grounds-information/masks",
        statement="The set of features at which the mask exceeds one half has the largest pointwise mutual information with the label among the sets "
        "of its size.",
        cases=cases,
        measurements=(
            at_least("masks that are neither empty nor full, where the condition is met", sum(n for m, (_, n) in found.items() if m.meets), 5),
        ),
        controls=[breaks("the weakest single feature in place of the best: what it lacks", float(single.max() - single.min()), ALGEBRA)],
        condition="The features are independent given the label, the model weighs their evidence in the true order, and the baseline is a value that "
        "tells nothing of the label. The size is an outcome of the price, not part of the comparison.",
        finding="The method keeps what moves the prediction away from its baseline. This is what tells most only if moving to the baseline is the "
        "same as not knowing. The search maximises a prediction less the price of a size; with the printed plus sign the largest set would win.",
        domain="Three features with three values and a label, whole counts; the Bayes classifier and others as models; constant baselines",
        trials=sum(len({x for x, _ in masking.table().counts if all(x)}) for masking in MASKINGS),
        example=counterexample(
            "Two copies of a feature with odds $4$, a model that gives each half of the evidence, and a third feature with odds $3$: each copy alone "
            "tells more than the third, yet the model moves more with the third.",
            """
from math import log
import torch
from executable.checks.grounds_information import copied_table
from executable.methods import meaningful_perturbation
from executable.rationales.information_theory import subset_information

told = subset_information(copied_table(), (1, 1, 1), 1).pointwise
first, second, third = told[1], told[2], told[4]
assert first == second > third                  # pointwise mutual information of single features with the label
weights = torch.tensor([log(4) / 2, log(4) / 2, log(3)])   # a model with the right output
f = lambda x: torch.sigmoid(x @ weights)
found = meaningful_perturbation(f, torch.ones(1, 3), game="preservation", perturbation="constant", area_weight=0.15)
assert found.round().tolist() == [[0, 0, 1]]
""",
            weights=["log(4)/2", "log(4)/2", "log(3)"],
        ),
        parameters={"price of a feature": {masking.name: masking.price for masking in MASKINGS}},
    )


def _density(z: Tensor, mean: float, std: float) -> Tensor:
    return (-((z - mean) ** 2) / (2 * std**2)).exp() / (std * math.sqrt(2 * math.pi))


def channel(share: float, strength: float) -> tuple[float, float, float, float]:
    """Exact numbers of a bottleneck: I(R; Z), H(Y | Z), and the two terms of the method's objective that stand for them.

    The label y is ±1 with even chances, R = y μ + noise of variance one, Z = λ R + (1 - λ) ε with the moments of R, the model the Bayes
    classifier of R.
    """
    total = math.sqrt(1 + strength**2)
    std = math.sqrt(share**2 + (1 - share) ** 2 * total**2)
    z = torch.linspace(-14 * total, 14 * total, 40001, dtype=torch.float64)
    up, down = _density(z, share * strength, std), _density(z, -share * strength, std)
    both = (up + down) / 2
    spread = -torch.trapezoid(both * both.clamp(min=1e-300).log(), z)
    known = float(spread) - math.log((1 - share) * total * math.sqrt(2 * math.pi * math.e))
    left = -float(torch.trapezoid((up * (up / (up + down).clamp(min=1e-300)).clamp(min=1e-300).log()), z))
    crossed = -float(torch.trapezoid(up * torch.nn.functional.logsigmoid(2 * strength * z), z))
    price = float(information(torch.tensor(share, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)))
    return known, left, price, crossed


def _optimum(beta: float) -> tuple[float, float]:
    """By how much the method's shares miss the best value of its objective on a grid, and the bits of a feature that the model ignores."""
    strength, total = 1.5, math.sqrt(1 + 1.5**2)
    x = torch.tensor([[2.0, 2.0]], dtype=torch.float64)
    weights = torch.tensor([[strength, 0.0], [-strength, 0.0]], dtype=torch.float64)
    statistics = FeatureStatistics(torch.zeros(2, dtype=torch.float64), torch.full((2,), total, dtype=torch.float64))
    found = information_bottleneck(
        lambda v: v @ weights.T, x, 0, layer=None, data=statistics, beta=beta, n_steps=150, learning_rate=0.3, n_samples=64
    )
    noise = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    chance = _density(noise, 0, 1)

    def objective(share: float) -> float:
        z = share * 2.0 + (1 - share) * total * noise
        missed = -torch.trapezoid(chance * torch.nn.functional.logsigmoid(2 * strength * z), noise)
        price = information(torch.tensor(share, dtype=torch.float64), torch.tensor(2.0 / total, dtype=torch.float64))
        return float(missed + beta / 2 * price)

    best = min(objective(k / 200) for k in range(199))
    return objective(float(found.passing[0, 0])) - best, float(found.capacity[0, 1])


def bottleneck(claim: str) -> Evidence:
    """The objective as a bound of information, computed by quadrature, and the method as its maximiser."""
    cells = [(share, strength, *channel(share, strength)) for share in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95) for strength in (0.5, 1.0, 2.0)]
    price = [known - cost for _, _, known, _, cost, _ in cells]
    label = [left - crossed for _, _, _, left, _, crossed in cells]
    missed, ignored = zip(*(_optimum(beta) for beta in (0.05, 0.2)), strict=True)
    naive = max(known - share**2 / 2 for share, _, known, _, _, _ in cells)
    about_label = max(abs(cost - (math.log(2) - left)) for _, _, _, left, cost, _ in cells)
    return ground(
        claim,
        "grounds-information/bottleneck",
        statement="Averaged over the data, the method's objective is an upper bound of $H(Y \\mid Z) + \\beta I(R; Z)$, so that lowering it raises "
        "a lower bound of $I(Y; Z) - \\beta I(R; Z)$; the shares found minimise it.",
        measurements=(
            at_most("$I(R; Z)$ less the bits that the method counts (largest)", max(price), ALGEBRA),
            at_most("$H(Y \\mid Z)$ less the cross entropy (largest)", max(label), ALGEBRA),
            at_least("bits counted less $I(R; Z)$ (largest)", -min(price), 0.01),
            at_most("objective at the shares found less its minimum on a grid", worst(missed), 0.01),
            at_most("bits of a feature that the model ignores", worst(ignored), 0.05),
            number("bits counted against the information about the label (largest difference, nats)", about_label),
        ),
        controls=[
            breaks("$\\lambda^2 / 2$ in place of the divergence: how far it falls short of $I(R; Z)$", naive, ALGEBRA),
            breaks("bits counted, read as information about the label (largest difference)", about_label, ALGEBRA),
        ],
        finding="The search is for what carries most information about the label at a price, through bounds on both terms. The scores are the "
        "price: bits that a feature lets through, not what it tells of the label.",
        domain="A label of even chances seen through normal noise, at three strengths, with the Bayes classifier as model; the method on one input",
        trials=len(cells) + 2,
    )
