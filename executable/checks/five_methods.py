"""Five methods by id, for the checks that put several of them to one test.

In a module of its own: a check rests on every module it imports, and must not run again because of a method that it does not use.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from executable.methods import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value

METHODS: dict[str, Callable[..., Tensor]] = {
    "gradient": gradient,
    "integrated-gradients": integrated_gradients,
    "lrp-epsilon": lrp_epsilon,
    "occlusion-1": occlusion_1,
    "shapley-value": shapley_value,
}
