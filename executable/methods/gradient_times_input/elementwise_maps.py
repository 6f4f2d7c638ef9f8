"""HiResCAM: feature maps times their gradients place by place, without the average over locations that Grad-CAM takes first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from executable.arguments import Model, Target
from executable.forward import default_rows, prepare, slices
from executable.methods.gradient_times_input.feature_maps import Layer, _enlarged, _maps_and_gradients, find_layer


def hires_cam(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    layer: Layer,
    relu_attributions: bool = False,
    attr_dim_summation: bool = True,
    interpolate: str | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """HiResCAM: every activation of a layer times its own derivative, added up over the maps.

    a_uv = sum_k df/dA^k_uv A^k_uv                                            (survey Eq. 2 on feature maps, at the input alone)

    A location whose activations the output does not use receives zero. If the rest of the model is affine in the maps, the map adds up to the
    output less its constant part. The backward pass stops at the layer.

    Parameters
    ----------
    model, inputs, target, layer, additional_forward_args, internal_batch_size
        As for `grad_cam`.
    relu_attributions : bool
        Keep the positive part, for display; the definition has both signs.
    attr_dim_summation : bool
        Add up over the maps. False returns the part df/dA^k A^k of each map.
    interpolate : str, optional
        As for `cam`; enlarged after the ReLU.

    Returns
    -------
    Tensor
        Shape (batch, 1, locations of the layer...); K instead of 1 without the summation; locations of the inputs with `interpolate`.

    Raises
    ------
    TypeError, ValueError
        As for `grad_cam`.

    References
    ----------
    Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks, 2020.

    Example
    -------
    >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    >>> _ = model[2].weight.data.copy_(torch.tensor([[1.0, 3.0]]))
    >>> hires_cam(model, torch.tensor([[[[5.0, -1.0]]]]), layer="0")
    tensor([[[[ 5., -3.]]]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    module = find_layer(model, layer)
    parts = []
    for part in slices(x.shape[0], internal_batch_size or default_rows(x)):
        maps, gradients = _maps_and_gradients(query, x[part], query.everywhere()[part], module)
        products = gradients * maps
        parts.append(products.sum(dim=1, keepdim=True) if attr_dim_summation else products)
    raw = torch.cat(parts)
    return _enlarged(raw.clamp(min=0) if relu_attributions else raw, x, interpolate)
