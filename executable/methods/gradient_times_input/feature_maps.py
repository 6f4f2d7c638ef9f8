"""Members of the family whose input is a layer's feature maps: CAM, Grad-CAM, and Score-CAM, which weights maps by outputs instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from executable._engine.rules import REARRANGEMENTS, is_affine
from executable._engine.tape import Step, pull, record
from executable.arguments import Baselines, Model, Target
from executable.forward import Query, default_rows, prepare, select_output, slices
from executable.progress import progress

Layer = nn.Module | str
"""A module of the model, or its path as `model.named_modules()` gives it, e.g. `features.29`."""


def cam(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    layer: Layer,
    interpolate: str | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """Class activation mapping: the last feature maps, weighted by the weights of the explained class.

    a_uv = sum_k w_k A^k_uv

    For networks in which the layer's maps reach the output by global average pooling and a linear head. The mean of the map over locations, plus
    the bias, is then the output. w_k is read off the gradient, which in such a network is w_k / (number of locations) everywhere.

    Parameters
    ----------
    model, inputs, target, additional_forward_args, internal_batch_size
        As for `gradient`.
    layer : Module or str
        The layer whose output is A, shape (batch, K, locations...), as a module or by its path in the model. It must run once. The second axis
        is always taken for the maps; the tokens of a transformer, (batch, tokens, width), have them last and need a module that transposes them.
    interpolate : str, optional
        Enlarge the map to the locations of the inputs by this mode of `torch.nn.functional.interpolate` (`nearest`, `linear`, `bilinear`,
        `trilinear`, ...). The map of the layer itself where left out.

    Returns
    -------
    Tensor
        Shape (batch, 1, locations of the layer...), or (batch, 1, locations of the inputs...) with `interpolate`.

    Raises
    ------
    ValueError
        If what follows the layer is not global average pooling and a linear head, the layer does not exist, does not run exactly once or does not
        return feature maps, or as for `gradient`.

    References
    ----------
    Zhou et al., Learning deep features for discriminative localization, 2016.

    Example
    -------
    >>> head = torch.nn.Sequential(torch.nn.Identity(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> cam(head, torch.tensor([[[[1.0, 3.0]]]]), layer="0")
    tensor([[[[1., 3.]]]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    module = find_layer(model, layer)
    parts = []
    for part in slices(x.shape[0], internal_batch_size or default_rows(x)):
        maps, weights = _class_weights(query, x[part], query.everywhere()[part], module)
        parts.append((weights * maps).sum(dim=1, keepdim=True))
    return _enlarged(torch.cat(parts), x, interpolate)


def grad_cam(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    layer: Layer,
    relu_attributions: bool = True,
    attr_dim_summation: bool = True,
    interpolate: str | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """Grad-CAM: feature maps weighted by their gradient, which is averaged over locations.

    α_k = mean_uv df/dA^k_uv,    ã_uv = sum_k α_k A^k_uv,    a_uv = max(0, ã_uv)        (survey Eq. 2 on feature maps; Taylor paper, Eqs. 22-23)

    The backward pass stops at the layer.

    Parameters
    ----------
    model, inputs, target, layer, additional_forward_args, internal_batch_size
        As for `cam`; the model may go on in any differentiable way after the layer.
    relu_attributions : bool
        Keep the positive part, as the paper does. False returns ã, of which the theorems speak (and which Captum returns by default).
    attr_dim_summation : bool
        Add up over the maps. False returns the part α_k A^k of each map.
    interpolate : str, optional
        As for `cam`; enlarged after the ReLU.

    Returns
    -------
    Tensor
        Shape (batch, 1, locations of the layer...); K instead of 1 without the summation; locations of the inputs with `interpolate`.

    Raises
    ------
    TypeError
        If the layer is neither a name nor a module, or as for `gradient`.
    ValueError
        If the layer does not exist, does not run exactly once or does not return feature maps, the output does not depend on it, or as for
        `gradient`.

    References
    ----------
    Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, 2017.

    Example
    -------
    >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    >>> _ = model[2].weight.data.copy_(torch.tensor([[1.0, 3.0]]))
    >>> grad_cam(model, torch.tensor([[[[5.0, -1.0]]]]), layer="0")
    tensor([[[[10.,  0.]]]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    module = find_layer(model, layer)
    parts = []
    for part in slices(x.shape[0], internal_batch_size or default_rows(x)):
        maps, gradients = _maps_and_gradients(query, x[part], query.everywhere()[part], module)
        weighted = _mean_over_locations(gradients) * maps
        parts.append(weighted.sum(dim=1, keepdim=True) if attr_dim_summation else weighted)
    raw = torch.cat(parts)
    return _enlarged(raw.clamp(min=0) if relu_attributions else raw, x, interpolate)


def score_cam(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    layer: Layer,
    baselines: Baselines = None,
    weighting: str = "softmax",
    relu_attributions: bool = True,
    interpolate: str | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Score-CAM: feature maps weighted by the output for the input seen through each map.

    H^k = norm(up(A^k)),    c_k = f(x * H^k) - f(b),    a_uv = max(0, sum_k softmax_k(c) A^k_uv)

    `up` enlarges linearly to the locations of the input and `norm` brings the values of each map to [0, 1]; a map that is constant becomes 0.

    Parameters
    ----------
    model, inputs, target, layer, additional_forward_args
        As for `cam`; the inputs are (batch, channels, locations...) with as many axes of locations as the maps.
    baselines : None, number or Tensor
        b, broadcast to the inputs; None is zero. Drops out of the softmax.
    weighting : str
        `softmax` is the paper's formula. `increase` weights by c_k itself; the authors' code does so, with class probabilities as f and without b.
    relu_attributions : bool
        Keep the positive part, as the paper does.
    interpolate : str, optional
        As for `cam`.
    internal_batch_size : int, optional
        Most masked inputs given to the model at once.
    show_progress : bool
        Show a bar over the parts in which the model is asked.

    Returns
    -------
    Tensor
        Shape (batch, 1, locations of the layer...), or (batch, 1, locations of the inputs...) with `interpolate`.

    Raises
    ------
    ValueError
        As for `grad_cam`; also if `weighting` is unknown.

    References
    ----------
    Wang et al., Score-CAM: score-weighted visual explanations for convolutional neural networks, 2020.

    Example
    -------
    >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> score_cam(model, torch.tensor([[[[1.0, 3.0]]]]), layer="0")
    tensor([[[[1., 3.]]]])
    """
    if weighting not in ("softmax", "increase"):
        raise ValueError(f"unknown weighting `{weighting}`; choose one of softmax, increase")
    query, x, b = prepare(model, inputs, target, baselines, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    module = find_layer(model, layer)
    limit = internal_batch_size or default_rows(x)
    whole = [_maps_and_values(query, x[part], query.everywhere()[part], module) for part in slices(x.shape[0], limit)]
    maps = torch.cat([part for part, _ in whole])
    scores = _scores(query, x, maps, limit, show_progress)
    if weighting == "increase":
        weights = scores - query.values(b.clone(), query.everywhere(), limit).to(scores).unsqueeze(1)
    else:
        weights = torch.softmax(scores, dim=1)
    raw = (weights.reshape(*weights.shape, *[1] * (maps.ndim - 2)) * maps).sum(dim=1, keepdim=True)
    return _enlarged(raw.clamp(min=0) if relu_attributions else raw, x, interpolate)


def find_layer(model: Model, layer: Layer) -> nn.Module:
    """The module itself, or the one at the path."""
    if isinstance(layer, nn.Module):
        return layer
    if not isinstance(layer, str):
        raise TypeError(f"layer must be a module or its path in the model, not {type(layer).__name__}")
    if not isinstance(model, nn.Module):
        raise TypeError("layer is a path, but the model is not an nn.Module; pass the module itself")
    modules = dict(model.named_modules())
    if layer not in modules:
        raise ValueError(f"the model has no module `{layer}`; it has {', '.join(f'`{name}`' for name in modules if name) or 'no modules inside'}")
    found: nn.Module = modules[layer]
    return found


@dataclass
class Seen:
    """What a layer returned while it was watched."""

    outputs: list[Tensor] = field(default_factory=list)

    def once(self, rows: int) -> Tensor:
        """Its only output for so many rows."""
        if len(self.outputs) != 1:
            often = "did not run" if not self.outputs else f"ran {len(self.outputs)} times"
            raise ValueError(f"the layer {often} while the model answered; name a layer that runs exactly once")
        found = self.outputs[0]
        if found.shape[:1] != (rows,):
            raise ValueError(f"the layer returned shape {tuple(found.shape)} for {rows} rows; the first axis must be the batch")
        return found


@contextmanager
def watched(module: nn.Module, replace: Callable[[Tensor], Tensor]) -> Iterator[Seen]:
    """Put `replace(output)` in place of the module's output and keep it; nothing stays on the module afterwards."""
    seen = Seen()

    def hook(_: nn.Module, __: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise ValueError(f"the layer must return one floating-point tensor, not {getattr(output, 'dtype', type(output).__name__)}")
        seen.outputs.append(replace(output))
        # A copy, so that whatever works in place on it afterwards leaves the layer's own values alone.
        return seen.outputs[-1].clone()

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _maps_and_values(query: Query, x: Tensor, index: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
    with torch.no_grad(), watched(module, lambda output: output.detach().clone()) as seen:
        values = query.outputs(x.clone(), index)
    return _check_maps(seen.once(x.shape[0])), values


def _maps_and_gradients(query: Query, x: Tensor, index: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
    """A and df/dA."""

    def begin(output: Tensor) -> Tensor:
        # What comes before the layer needs no graph: gradients are switched on here, and off again by the context around the model's answer.
        torch.set_grad_enabled(True)
        return output.detach().clone().requires_grad_()

    with torch.inference_mode(False):
        with torch.no_grad(), watched(module, begin) as seen:
            values = query.outputs(x.clone(), index)
        maps = _check_maps(seen.once(x.shape[0]))
        if not values.requires_grad:
            raise ValueError("the explained output does not depend differentiably on the layer; name a layer on the way to the output")
        (gradients,) = torch.autograd.grad(values.sum(), maps, allow_unused=True)
    if gradients is None:
        raise ValueError("the explained output does not depend differentiably on the layer; name a layer on the way to the output")
    return maps.detach(), gradients.detach()


def _check_maps(maps: Tensor) -> Tensor:
    if maps.ndim < 3:
        raise ValueError(f"the layer returned shape {tuple(maps.shape)}; feature maps have shape (batch, maps, locations...)")
    return maps


def _mean_over_locations(values: Tensor) -> Tensor:
    return values.mean(dim=tuple(range(2, values.ndim)), keepdim=True)


@dataclass(frozen=True, eq=False)
class _Tail:
    """The model from the layer on, as a function of the layer's output."""

    owner: Model
    query: Query
    x: Tensor
    index: Tensor
    module: nn.Module

    def __call__(self, maps: Tensor) -> Tensor:
        handle = self.module.register_forward_hook(lambda *_: maps)
        try:
            return self.query.call(self.x, self.index)
        finally:
            handle.remove()


def _class_weights(query: Query, x: Tensor, index: Tensor, module: nn.Module) -> tuple[Tensor, Tensor]:
    """A and the weights w_k, where the rest of the model is an affine function of the means of the maps."""
    maps, gradients = _maps_and_gradients(query, x, index, module)

    def only_affine(step: Step, upstream: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not (step.name in REARRANGEMENTS or is_affine(step)):
            raise ValueError(
                f"CAM needs global average pooling and a linear layer after the feature maps, but {step.where} is neither; use grad_cam instead"
            )
        return step.pullback(upstream)

    tape = record(_Tail(query.model, query, x.clone(), index, module), maps)
    with torch.inference_mode(False), torch.enable_grad():
        answer = tape.answer.detach().clone().requires_grad_()
        chosen = select_output(answer, x.shape[0], None if query.target is None else query.target[index])
        (start,) = torch.autograd.grad(chosen.sum(), answer)
    pull(tape, start, only_affine)
    mean = _mean_over_locations(gradients)
    spread = (gradients - mean).abs().max()
    if float(spread) > 1e3 * torch.finfo(mean.dtype).eps * float(gradients.abs().max()):
        raise ValueError("CAM needs global average pooling after the feature maps, but the output weighs their locations unequally; use grad_cam")
    return maps, mean * maps[0, 0].numel()


def _scores(query: Query, x: Tensor, maps: Tensor, limit: int, show: bool) -> Tensor:
    """f(x * H^k) of each input and map, shape (batch, K)."""
    if maps.ndim != x.ndim:
        raise ValueError(f"feature maps of shape {tuple(maps.shape)} cannot be enlarged to masks of inputs of shape {tuple(x.shape)}")
    count, mode = maps.shape[1], _LINEAR.get(maps.ndim)
    if mode is None:
        raise ValueError(f"feature maps with {maps.ndim - 2} axes of locations cannot be enlarged; there may be 1, 2 or 3")
    number = torch.arange(x.shape[0] * count)
    values = []
    for part in progress(slices(number.shape[0], limit), "masks", total=-(-number.shape[0] // limit), show=show):
        owner, which = number[part] // count, number[part] % count
        mask = functional.interpolate(maps[owner.to(maps.device), which.to(maps.device)].unsqueeze(1), x.shape[2:], mode=mode, align_corners=False)
        values.append(query.values(x[owner.to(x.device)] * _to_unit_range(mask), owner, limit))
    return torch.cat(values).to(x).reshape(x.shape[0], count)


def _to_unit_range(mask: Tensor) -> Tensor:
    dims = tuple(range(1, mask.ndim))
    low, high = mask.amin(dims, keepdim=True), mask.amax(dims, keepdim=True)
    return torch.where(high > low, (mask - low) / torch.where(high > low, high - low, 1.0), 0.0)


_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_MODES = {"nearest": None, "nearest-exact": None, "area": None, "linear": False, "bilinear": False, "bicubic": False, "trilinear": False}
_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def _enlarged(values: Tensor, x: Tensor, mode: str | None) -> Tensor:
    if mode is None:
        return values
    if mode not in _MODES:
        raise ValueError(f"unknown interpolate `{mode}`; choose one of {', '.join(_MODES)}, or None")
    if values.ndim != x.ndim:
        raise ValueError(f"a map of shape {tuple(values.shape)} cannot be enlarged to inputs of shape {tuple(x.shape)}; leave out interpolate")
    axes = _AXES.get(mode)
    if axes is not None and axes != x.ndim - 2:
        fitting = [name for name in _MODES if _AXES.get(name, x.ndim - 2) == x.ndim - 2]
        raise ValueError(
            f"interpolate `{mode}` is for {axes} axes of locations, and the map of shape {tuple(values.shape)} has {x.ndim - 2}; "
            f"choose one of {', '.join(fitting)}, or leave it out"
        )
    return functional.interpolate(values, x.shape[2:], mode=mode, align_corners=_MODES[mode])
