"""Numbers by which attributions are measured: a reformulation's fitting error, infidelity, and the overlap with an annotated box."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from executable.arguments import Model, Target, check_finite, check_positive
from executable.forward import prepare, slices
from executable.removal import rows_at_once

Reduction = Literal["mean", "none"]


def fitting_error(reformulated: Tensor, attributions: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Relative distance, in per cent, of reformulated attributions from those the method returns, averaged over inputs.

    E = mean over x of |a(x) - a*(x)|_2 / |a*(x)|_2 times 100                                                        (Taylor paper Eq. 45)

    Parameters
    ----------
    reformulated : Tensor of shape (batch, ...)
        a(x), computed from a reformulation.
    attributions : Tensor of the same shape
        a*(x), what the method itself returns.
    reduction : {"mean", "none"}
        The mean over the batch, as in the equation, or one number for each input.

    Returns
    -------
    Tensor
        A scalar for "mean", else shape (batch,). The error of an input is zero where both attributions vanish, and infinite where only a*
        does: the quotient has no finite value there.

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, the batch is empty, or `reduction` is unknown.

    References
    ----------
    Deng et al., Unifying fourteen post-hoc attribution methods with Taylor interactions, 2024.

    Example
    -------
    >>> fitting_error(torch.tensor([[3.0, 3.0]]), torch.tensor([[3.0, 4.0]]))
    tensor(20.)
    """
    _check_pair("reformulated", reformulated, "attributions", attributions)
    size = attributions.flatten(1).norm(dim=1)
    distance = (reformulated - attributions).flatten(1).norm(dim=1)
    errors = torch.where(distance == 0, torch.zeros_like(distance), 100 * distance / size)
    return _reduce(errors, reduction)


def infidelity(
    model: Model,
    inputs: Tensor,
    attributions: Tensor,
    perturbations: Tensor,
    target: Target = None,
    *,
    masks: Tensor | None = None,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    r"""Mean squared error of predicting the change of the output under a perturbation from the attributions.

    INFD = mean over p of (p . a - (f(x) - f(x - p)))^2                             without masks: a_i is a slope (Taylor paper Eq. 50)
    INFD = mean over p of (sum of a_i over i in S - (f(x) - f(x - p)))^2            with masks: a_i is a contribution, S the features changed

    The two forms belong to two kinds of attributions. A gradient is a slope. Integrated Gradients, the Shapley value, Gradient x Input and
    all others whose sum is an output are contributions: to a linear model and its contributions, which explain it without error, the first
    form gives a positive number. The second has its full meaning for perturbations that put the features of S at their baselines.

    Parameters
    ----------
    model, inputs, target, additional_forward_args
        As for `occlusion_1`.
    attributions : Tensor
        Attributions of the inputs, in their shape.
    perturbations : Tensor of shape (perturbations, batch or 1, ...)
        The drawn values of p, which is subtracted from the input; weighted equally. To put features at a baseline b: `masks * (inputs - b)`.
    masks : Tensor of the shape of `perturbations`, optional
        True where a perturbation changes the feature. Without masks the literal Eq. 50 is evaluated.
    internal_batch_size : int, optional
        Most perturbed inputs given to the model at once.

    Returns
    -------
    Tensor of shape (batch,)
        The infidelity of each input's attributions; their mean is that of a method.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a module is in training mode.

    References
    ----------
    Yeh et al., On the (in)fidelity and sensitivity of explanations, 2019.

    Example
    -------
    >>> x, w = torch.tensor([[2.0, 3.0]]), torch.tensor([1.0, -2.0])
    >>> masks = torch.eye(2, dtype=torch.bool)[:, None]
    >>> infidelity(lambda x: x @ w, x, w.expand(1, 2), masks * x)
    tensor([0.])
    >>> infidelity(lambda x: x @ w, x, w * x, masks * x), infidelity(lambda x: x @ w, x, w * x, masks * x, masks=masks)
    (tensor([74.]), tensor([0.]))
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=False, internal_batch_size=internal_batch_size)
    _check_pair("attributions", attributions, "inputs", inputs)
    p = _drawn("perturbations", perturbations, x).to(x)
    check_finite("perturbations", p)
    factors = p if masks is None else _drawn("masks", masks, x)
    if masks is not None and not bool(((factors == 0) | (factors == 1)).all()):
        raise ValueError("masks must hold only true and false (or 1 and 0): a feature is changed by a perturbation or it is not")
    a = attributions.detach().to(x)
    whole = query.values(x.clone(), query.everywhere(), internal_batch_size)
    total = torch.zeros_like(whole)
    for part in slices(p.shape[0], max(1, rows_at_once(x, internal_batch_size) // x.shape[0])):
        moved = x - p[part]
        index = query.everywhere().repeat(moved.shape[0])
        change = whole - query.values(moved.flatten(0, 1), index, internal_batch_size).reshape(moved.shape[:2])
        predicted = (factors[part].to(x) * a).flatten(2).sum(dim=2)
        total += (predicted.to(change) - change).square().sum(dim=0)
    return total / p.shape[0]


def bounding_box_overlap(attributions: Tensor, boxes: Tensor) -> Tensor:
    r"""Share of a box that is covered by the pixels of largest absolute attribution, as many as the box has.

    Overlap(B, M) = |B and M| / |B|, M = {i : |a_i| is among the |B| largest}                                         (Taylor paper Eq. 51)

    Pixels of equal absolute attribution at the edge of M have no order. Each of them counts with the share of its group that M has room
    for, the mean over all orders; an attribution that is the same everywhere has the overlap of chance, |B| over the number of pixels.

    Parameters
    ----------
    attributions : Tensor of shape (batch, ...)
        One number for each pixel. Sum (or take the norm) over colour channels first.
    boxes : Tensor of the same shape, or of shape (1, ...)
        True (or 1) inside the annotated box, which needs at least one pixel and no particular form.

    Returns
    -------
    Tensor of shape (batch,)
        A number from 0 to 1 for each image.

    Raises
    ------
    ValueError
        If the shapes do not match, a value is not finite, the boxes hold other values than 0 and 1, or a box is empty.

    References
    ----------
    Schulz et al., Restricting the flow: information bottlenecks for attribution, 2020.

    Example
    -------
    >>> box = torch.tensor([[True, True, False, False]])
    >>> bounding_box_overlap(torch.tensor([[0.1, -5.0, 2.0, 0.0]]), box), bounding_box_overlap(torch.ones(1, 4), box)
    (tensor([0.5000]), tensor([0.5000]))
    """
    check_finite("attributions", attributions)
    if attributions.ndim < 2 or boxes.ndim != attributions.ndim or boxes.shape[1:] != attributions.shape[1:]:
        raise ValueError(f"boxes of shape {tuple(boxes.shape)} do not fit attributions of shape {tuple(attributions.shape)}")
    if boxes.shape[0] not in (1, attributions.shape[0]):
        raise ValueError(f"{boxes.shape[0]} boxes for {attributions.shape[0]} images; give one box, or one for each image")
    if not bool(((boxes == 0) | (boxes == 1)).all()):
        raise ValueError("boxes must hold only true and false (or 1 and 0)")
    inside = boxes.bool().to(attributions.device).expand(attributions.shape).flatten(1)
    count = inside.sum(dim=1)
    if bool((count == 0).any()):
        raise ValueError(f"the box of image {int((count == 0).nonzero()[0])} has no pixel")
    size = attributions.detach().abs().flatten(1)
    size = size if size.is_floating_point() else size.to(torch.get_default_dtype())
    least = size.sort(dim=1, descending=True).values.gather(1, count.unsqueeze(1) - 1)
    above, level = size > least, size == least
    room = (count - above.sum(dim=1)).to(size) / level.sum(dim=1)
    covered = (above & inside).sum(dim=1) + room * (level & inside).sum(dim=1)
    return covered / count


def square_masks(height: int, width: int, side: int) -> Tensor:
    """Every square of `side` pixels inside an image: the square removals of infidelity.

    Parameters
    ----------
    height, width : int
        Size of the image.
    side : int
        Side of the square.

    Returns
    -------
    bool Tensor of shape ((height - side + 1) * (width - side + 1), 1, height, width)
        True inside the square; the second axis is for the batch. For images with channels insert an axis: `masks[:, :, None]`.

    Raises
    ------
    ValueError
        If a number is below one, or the square is larger than the image.

    Example
    -------
    >>> square_masks(2, 3, 2).int().flatten(1).tolist()
    [[1, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1, 1]]
    """
    for name, value in (("height", height), ("width", width), ("side", side)):
        check_positive(name, value)
    if side > min(height, width):
        raise ValueError(f"a square of side {side} does not fit into an image of {height} x {width}")
    masks = torch.zeros(height - side + 1, width - side + 1, height, width, dtype=torch.bool)
    for top in range(masks.shape[0]):
        for left in range(masks.shape[1]):
            masks[top, left, top : top + side, left : left + side] = True
    return masks.flatten(0, 1).unsqueeze(1)


def _check_pair(name: str, values: Tensor, other: str, others: Tensor) -> None:
    if values.shape != others.shape:
        raise ValueError(f"{name} of shape {tuple(values.shape)} must have the shape of {other}, {tuple(others.shape)}")
    if values.ndim < 2 or values.numel() == 0:
        raise ValueError(f"{name} must be a non-empty batch of shape (batch, ...), got shape {tuple(values.shape)}")
    check_finite(name, values)
    check_finite(other, others)


def _drawn(name: str, values: Tensor, x: Tensor) -> Tensor:
    """The perturbations or masks as (perturbations, batch, ...), without copying those shared by the batch."""
    if values.ndim != x.ndim + 1 or values.shape[0] == 0:
        raise ValueError(f"{name} must have shape (perturbations, batch or 1, ...) for inputs of shape {tuple(x.shape)}, got {tuple(values.shape)}")
    try:
        return values.detach().to(x.device).expand(values.shape[0], *x.shape)
    except RuntimeError:
        raise ValueError(f"{name} of shape {tuple(values.shape)} cannot be broadcast to inputs of shape {tuple(x.shape)}") from None


def _reduce(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")
    return values.mean() if reduction == "mean" else values
