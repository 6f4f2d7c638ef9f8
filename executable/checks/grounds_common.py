"""What the checks of Table IV share: how a ground is put on record, and the networks it is tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, Case, judge, settle, sweep, versions
from executable.checks.equivalences import outcomes
from executable.testbeds.mlps import mlp
from taxonomy.evidence import Control, Counterexample, Evidence, Measurement

SEED = 410
DRAWS = 3
Networks = Iterator[tuple[nn.Sequential, Tensor, Tensor]]


def ground(
    claim: str,
    check: str,
    *,
    statement: str,
    finding: str,
    domain: str,
    controls: Sequence[Control],
    trials: int,
    measurements: Sequence[Measurement] = (),
    cases: Sequence[Case] = (),
    tolerance: float = ALGEBRA,
    condition: str | None = None,
    example: Counterexample | None = None,
    parameters: dict[str, Any] | None = None,
) -> Evidence:
    """The evidence; with cases they are judged, and the condition counts only if it separates them."""
    numbers = (*(sweep(cases, tolerance) if cases else ()), *measurements)
    status = settle(numbers, judge(cases, tolerance) if cases else "holds")
    if status == "fails" and condition is None:
        condition = "A measured number misses its bound."
    return Evidence(
        claim=claim,
        check=check,
        status=status,
        statement=statement,
        condition=None if status == "holds" else condition,
        finding=finding,
        domain=domain,
        measurements=numbers,
        trials=trials,
        seed=SEED,
        counterexample=example,
        controls=tuple(controls),
        parameters=(parameters or {}) | (outcomes(cases) if cases else {}),
        versions=versions(),
    )


def layers_of(model: nn.Sequential) -> list[nn.Sequential]:
    """Each affine layer with the activation that follows it."""
    return [nn.Sequential(*list(model)[k : k + 2]) for k in range(0, len(model), 2)]


def with_biases(sign: int, draws: int, sizes: Sequence[int] = (6, 10, 9, 7, 3)) -> Networks:
    """ReLU networks whose biases are all of one sign (1, -1), absent (0) or of both signs (2), and inputs whose largest output is positive."""
    generator = torch.Generator().manual_seed(SEED)
    found = 0
    while found < draws:
        model = mlp(sizes, "relu", bias=sign != 0, generator=generator)
        with torch.no_grad():
            for name, values in model.named_parameters():
                if name.endswith("bias") and sign in (1, -1):
                    values.copy_(sign * values.abs())
        x = torch.randn(2, sizes[0], generator=generator, dtype=torch.float64)
        with torch.no_grad():
            output, target = model(x).max(dim=1)
        if bool((output > 0.1).all()):
            found += 1
            yield model, x, target
