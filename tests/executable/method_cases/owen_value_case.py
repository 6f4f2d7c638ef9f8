"""How owen_value is called in the tests of the contract that all methods keep."""

import torch

from executable import owen_value
from method_cases.base import MethodCase

QUARTERS = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
CASES = [
    MethodCase(
        "owen-value", owen_value, {"unions": [[0, 3], [1, 2, 4]]}, {"unions": [[0], [1, 2], [3]], "feature_mask": QUARTERS}, gradients=False,
        baselines=True,
    ),
]  # fmt: skip
