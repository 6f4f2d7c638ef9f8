"""Checks of methods that compare gradients at noisy copies of the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from executable.checks.base import at_least, at_most, breaks, error, settle, versions, worst
from executable.methods.modified_gradient import smoothgrad
from executable.methods.vargrad_method import vargrad
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Evidence

SEED = 178
ACTIVATIONS = ("relu", "tanh", "softplus")
SIGMA = 0.5
DRAWS = 40
ROUNDING = 1e-8
"""The added weights are ten times the gradient, and what they leave behind is squared."""


class _WithLinear(nn.Module):
    """A network and the same linear function added to each of its outputs."""

    def __init__(self, network: nn.Module, weights: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:
        """All outputs."""
        answer: Tensor = self.network(x) + (x @ self.get_buffer("weights")).unsqueeze(1)
        return answer


def linear_part(claim: str) -> Evidence:
    """VarGrad and SmoothGrad before and after a linear function is added to the model."""
    same, size, moved = [], [], []
    generator = torch.Generator().manual_seed(SEED)
    for activation in ACTIVATIONS:
        for model, x, target in lively_draws(4, activation, bias=True, seed=SEED):
            weights = 10 * torch.randn(x.shape[1], generator=generator, dtype=torch.float64)
            other = _WithLinear(model, weights).eval()
            before, after = (vargrad(f, x, target, stdevs=SIGMA, n_samples=DRAWS) for f in (model, other))
            same.append(error(after, before))
            size.append(float(before.amax(dim=1).min()))
            shift = smoothgrad(other, x, target, stdevs=SIGMA, n_samples=DRAWS) - smoothgrad(model, x, target, stdevs=SIGMA, n_samples=DRAWS)
            moved.append(float(shift.abs().max()))
    measurements = (
        at_most("largest change of VarGrad", worst(same), ROUNDING),
        at_least("least of the largest values of VarGrad", min(size), 1e-4, "so that there is something to change"),
    )
    return Evidence(
        claim=claim,
        check="noisy-gradients/linear-part",
        status=settle(measurements),
        statement="VarGrad of a model does not change when any linear function is added to its output, whatever that does to the gradient.",
        finding="It holds draw by draw and not only on average, also for ReLU networks, which have no series. VarGrad is made of gradients near the "
        "input; what does not enter is what they have in common.",
        domain="Random networks 6-10-9-7-3 with three activations; weights ten times as large as normal numbers",
        measurements=measurements,
        trials=len(same),
        seed=SEED,
        controls=(breaks("SmoothGrad under the same change (smallest change of any draw)", min(moved), ROUNDING),),
        parameters={"sigma": SIGMA, "copies": DRAWS, "networks": 4, "activations": list(ACTIVATIONS)},
        versions=versions(),
    )
