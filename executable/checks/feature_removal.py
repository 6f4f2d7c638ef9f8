"""Checks of Eq. 14: removal, behaviour and summary put together against the method itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, at_most, breaks, error, settle, subject, versions, worst
from executable.checks.five_methods import METHODS
from executable.checks.formulation import games
from executable.frameworks.feature_removal import (
    Summary,
    banzhaf_mean,
    leave_one_out,
    mean_when_included,
    negative_squared_error,
    removal_attribution,
    shapley_mean,
)
from executable.removal import Marginal
from executable.testbeds.games import GameModel, and_game
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Evidence

SEED = 80
SUMMARIES: dict[str, tuple[str, Summary]] = {
    "occlusion-1": ("leave-one-out, $\\psi_i = v(N) - v(N \\setminus \\{i\\})$", leave_one_out),
    "shapley-value": ("the Shapley mean of the marginal contributions", shapley_mean),
}
_WRONG: dict[str, tuple[str, Summary]] = {
    "occlusion-1": ("mean when included (RISE)", mean_when_included),
    "shapley-value": ("Banzhaf mean", banzhaf_mean),
}


def removal_summary(claim: str) -> Evidence:
    """Fixed and random baselines, outputs and a loss, for one method."""
    method = subject(claim)
    parameters: dict[str, Any] = {"random games": 20, "networks": 4, "baselines": 5, "method": method}
    words, summary = SUMMARIES[method]
    fixed = [_game_error(method, table, summary) for table in games(parameters["random games"])]
    random_baseline, loss = [], []
    generator = torch.Generator().manual_seed(SEED)
    for model, x, target in lively_draws(parameters["networks"], "relu", bias=True, seed=SEED):
        samples = torch.randn(parameters["baselines"], x.shape[1], generator=generator, dtype=torch.float64)
        weights = torch.rand(parameters["baselines"], generator=generator, dtype=torch.float64)
        found = removal_attribution(model, x, target, removal=Marginal(samples, weights), summary=summary)
        each = torch.stack([METHODS[method](model, x, target, baselines=sample) for sample in samples])
        random_baseline.append(error(found, torch.tensordot(weights / weights.sum(), each, dims=1)))
        labels = torch.randn(x.shape[0], generator=generator, dtype=torch.float64)
        behaviour = negative_squared_error(labels)
        found = removal_attribution(model, x, target, removal=Marginal(samples[:1]), behaviour=behaviour, summary=summary)
        direct = METHODS[method](_negative_loss(model), x, baselines=samples[0], additional_forward_args=(target, labels))
        loss.append(error(found, direct))
    measurements = (
        at_most("fixed baseline, games", worst(fixed), ALGEBRA),
        at_most("random baseline, the output as behaviour: against the mean of the method over baselines", worst(random_baseline), ALGEBRA),
        at_most("fixed baseline, negative squared error as behaviour: against the method on the loss", worst(loss), ALGEBRA),
    )
    name, other = _WRONG[method]
    return Evidence(
        claim=claim,
        check="feature-removal/removal-summary",
        status=settle(measurements),
        statement=f"The method equals Eq. 14 with $F(x_S) = E_b[f(x_S, b_{{\\bar S}})]$ and the summary {words}. With the output as behaviour "
        "a random baseline gives the mean of the method over baselines.",
        finding="Eq. 14 is printed with $b_S$; the features that are replaced are those outside $S$, and so it was tested.",
        domain="Games on up to five players and random ReLU networks with biases; fixed and random baselines, outputs and a loss",
        measurements=measurements,
        trials=len(fixed) + len(random_baseline) + len(loss),
        seed=SEED,
        controls=(breaks(f"another summary: {name}, on the AND game of three players", _game_error(method, and_game(3), other), ALGEBRA),),
        parameters=parameters,
        versions=versions(),
    )


def _game_error(method: str, table: Tensor, summary: Summary) -> float:
    ones = torch.ones(1, table.numel().bit_length() - 1, dtype=torch.float64)
    found = removal_attribution(GameModel(table), ones, removal=Marginal(torch.zeros_like(ones)), summary=summary)
    return error(found, METHODS[method](GameModel(table), ones))


def _negative_loss(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def negative_loss(rows: Tensor, target: Tensor, labels: Tensor) -> Tensor:
        return -((model(rows).gather(1, target.unsqueeze(1))[:, 0] - labels) ** 2)

    return negative_loss
