"""The variance of noisy gradients beside Captum."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from executable.conformance.base import Case, comparison, peer
from executable.methods.modified_gradient import gradient
from executable.methods.vargrad_method import vargrad

_DRAWS = 3000


def _mlp() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(41)
        return nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3)).double().eval()


def _five_errors(model: nn.Module, x: Tensor, sigma: float, ours: Tensor) -> float:
    """Five standard errors of the difference of two variances of so many draws each, relative to the largest of ours."""
    noise = torch.randn(2000, *x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(42))
    each = gradient(model, (x + sigma * noise).flatten(0, 1), 1).reshape(noise.shape)
    squares = (each - each.mean(dim=0)).square()
    return 5 * float(squares.std(dim=0).max()) * math.sqrt(2 / _DRAWS) / float(ours.abs().max())


@comparison("vargrad", library="captum", name="captum.attr.NoiseTunnel")
def variance_of_gradients() -> Iterator[Case]:
    """Each side's own noise, and Captum's default of absolute values."""
    attr, model = peer("captum.attr"), _mlp()
    x = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(43))
    tunnel = attr.NoiseTunnel(attr.Saliency(model))
    for sigma in (0.5, 1.0):
        ours = vargrad(model, x, 1, stdevs=sigma, n_samples=_DRAWS)
        theirs = tunnel.attribute(x.clone(), target=1, abs=False, nt_type="vargrad", nt_samples=_DRAWS, stdevs=sigma)
        options = f'Saliency with abs=False, nt_type="vargrad", nt_samples={_DRAWS}, stdevs={sigma}'
        yield Case(f"MLP with tanh, standard deviation {sigma}", ours, theirs, options, _five_errors(model, x, sigma, ours))
    theirs = tunnel.attribute(x.clone(), target=1, nt_type="vargrad", nt_samples=_DRAWS, stdevs=1.0)
    because = "by default Captum takes the variance of the absolute values of the gradients"
    options = f'nt_type="vargrad", nt_samples={_DRAWS}, stdevs=1.0'
    yield Case("MLP with tanh, absolute values", ours, theirs, options, _five_errors(model, x, 1.0, ours), because)
