"""Attribution methods, the families that unify them, and the checks that test what is claimed of them.

>>> import torch
>>> from executable import integrated_gradients
>>> integrated_gradients(lambda x: x.prod(dim=1), torch.tensor([[2.0, 3.0]]), method="riemann_midpoint", n_steps=1)
tensor([[3., 3.]])
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _error:  # pragma: no cover - exercised in a process of its own
    raise ImportError("the package `executable` computes with PyTorch, which is not installed: pip install 'attribution-atlas[torch]'") from _error

from executable.methods import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value

__all__ = ["gradient", "integrated_gradients", "lrp_epsilon", "occlusion_1", "shapley_value"]
