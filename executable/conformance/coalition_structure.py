"""The Owen value beside the partition explainer of SHAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from executable.conformance.base import Case, comparison, peer
from executable.methods.perturbation import owen_value

EXACT = 1e-6
TARGET = 1
# A tree as SciPy writes it: the two nodes that are joined, their distance, and the number of leaves; leaves come first.
_PAIRS = [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 1.0, 2.0], [4.0, 5.0, 2.0, 4.0]]
_PAIR_AND_ONE = [[0.0, 2.0, 1.0, 2.0], [3.0, 1.0, 2.0, 3.0]]
_CHAIN = [[0.0, 1.0, 1.0, 2.0], [4.0, 2.0, 2.0, 3.0], [5.0, 3.0, 3.0, 4.0]]


def _network(features: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(31)
        return nn.Sequential(nn.Linear(features, 9), nn.Tanh(), nn.Linear(9, 3)).double().eval()


def _explained(model: nn.Module, tree: list[list[float]], x: Tensor, baseline: float) -> Tensor:
    shap, np = peer("shap"), peer("numpy")
    answer: Callable[[Any], Any] = lambda rows: model(torch.from_numpy(np.asarray(rows))).detach().numpy()[:, TARGET]  # noqa: E731
    masker = shap.maskers.Partition(torch.full_like(x[:1], baseline).numpy(), clustering=np.array(tree))
    return torch.from_numpy(shap.PartitionExplainer(answer, masker)(x.numpy(), silent=True).values)


@comparison("owen-value", library="shap", name="shap.PartitionExplainer")
def partition_explainer() -> Iterator[Case]:
    """Trees that are unions and their members, and one with a level more."""
    for tree, unions, name in ((_PAIRS, [[0, 1], [2, 3]], "two unions of two"), (_PAIR_AND_ONE, [[0, 2], [1]], "a union of two and one alone")):
        features = sum(map(len, unions))
        x = torch.randn(3, features, dtype=torch.float64, generator=torch.Generator().manual_seed(32))
        model = _network(features)
        for baseline in (0.0, 0.4):
            ours = owen_value(model, x, TARGET, unions=unions, baselines=baseline)
            yield Case(f"MLP with tanh, {name}, baseline {baseline}", ours, _explained(model, tree, x, baseline), "clustering", EXACT)
    x, model = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(33)), _network(4)
    reason = "SHAP splits along every level of its binary tree, so a union of three is divided as a pair and one, and not among three equals."
    theirs = _explained(model, _CHAIN, x, 0.0)
    yield Case(
        "MLP with tanh, a union of three and one alone", owen_value(model, x, TARGET, unions=[[0, 1, 2], [3]]), theirs, "clustering", EXACT, reason
    )
