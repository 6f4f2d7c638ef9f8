"""Modified gradient family (survey Eq. 1): attributions are a gradient whose backward rule through activations may be changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from executable._engine import ActivationRule, activation_rule, ordinary, pull, record
from executable._engine.rules import ACTIVATIONS, Activation
from executable._engine.tape import operation_name
from executable.arguments import Model, Target, check_finite, check_positive, generator_of
from executable.forward import Query, default_rows, prepare, select_output, slices
from executable.progress import progress

__all__ = [
    "Activation", "ActivationRule", "deconv", "deconvolution", "gradient", "guided", "guided_backprop", "modified_gradient", "ordinary",
    "smoothgrad",
]  # fmt: skip


def gradient(
    model: Model, inputs: Tensor, target: Target = None, *, additional_forward_args: Any = None, internal_batch_size: int | None = None
) -> Tensor:
    """Gradient of the explained output with respect to the input.

    a_i = df(x) / dx_i                                                        (survey Eq. 1 with the ordinary derivative)

    Parameters
    ----------
    model : callable
        f: takes a batch, returns one value per input or a row of outputs. An `nn.Module` is left exactly as it was found.
    inputs : Tensor, shape (batch, ...)
        x.
    target : int, LongTensor of shape (batch,), or None
        Which output is explained; None for a model with one output.
    additional_forward_args
        Further arguments of the model; tensors whose first axis is the batch follow the inputs.
    internal_batch_size : int, optional
        Most inputs given to the model at once.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError
        If `inputs` is not floating point.
    ValueError
        If `inputs` is empty or not finite, `target` is missing or out of range, or a module is in training mode.

    References
    ----------
    Baehrens et al., How to explain individual classification decisions, 2010. Simonyan et al., Deep inside convolutional networks, 2013.

    Example
    -------
    >>> gradient(lambda x: x[:, 0] ** 2 * x[:, 1], torch.tensor([[3.0, 2.0]]))
    tensor([[12.,  9.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    return query.gradients(x, query.everywhere(), internal_batch_size)


def modified_gradient(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    rule: ActivationRule = ordinary,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """The family's equation: a gradient taken with another backward rule at the activations.

    a_i = d^M f(x) / dx_i                                                     (survey Eq. 1)

    Parameters
    ----------
    model, inputs, target, additional_forward_args, internal_batch_size
        As for `gradient`.
    rule : callable
        `rule(activation, upstream)` replaces upstream * σ'(z) at every activation; the activation gives `z`, `value` = σ(z), `name` and
        `backward`. Here: `ordinary` (gradient), `guided`, `deconvolution`.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    NotImplementedError
        If part of the model cannot be seen, e.g. a custom `autograd.Function`.
    TypeError, ValueError
        As for `gradient`.

    Example
    -------
    >>> modified_gradient(lambda x: torch.tanh(x).sum(1), torch.tensor([[0.0, 9.0]]), rule=lambda activation, upstream: upstream)
    tensor([[1., 1.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    parts = slices(x.shape[0], internal_batch_size or default_rows(x))
    return torch.cat([_walked_back(query, x[part], query.everywhere()[part], rule) for part in parts])


def _walked_back(query: Query, rows: Tensor, index: Tensor, rule: ActivationRule) -> Tensor:
    tape, start = record_query(query, rows, index)
    return pull(tape, start, activation_rule(rule))


def record_query(query: Query, rows: Tensor, index: Tensor) -> tuple[Any, Tensor]:
    """The tape of the rows and the one-hot signal at the explained outputs."""

    def run(values: Tensor) -> Tensor:
        return query.call(values, index)

    run.owner = query.model  # type: ignore[attr-defined]
    tape = record(run, rows)
    with torch.inference_mode(False), torch.enable_grad():
        answer = tape.answer.detach().clone().requires_grad_()
        chosen = select_output(answer, rows.shape[0], None if query.target is None else query.target[index])
        (start,) = torch.autograd.grad(chosen.sum(), answer)
    return tape, start


def guided(activation: Activation, upstream: Tensor) -> Tensor:
    """Guided backpropagation: only positive signals pass, and only through active units."""
    return activation.backward(upstream.clamp(min=0))


def deconvolution(_: Activation, upstream: Tensor) -> Tensor:
    """Deconvolution: positive signals pass, whether or not the unit was active."""
    return upstream.clamp(min=0)


def deconv(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    other_activations: str = "refuse",
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """Deconvolutional network: at every ReLU the positive part of the returning signal goes on, whatever the unit did on the way forward.

    r^(l-1) = J_l^T max(0, r^(l)),    a = r^(0)                               (survey Eq. 1 with the rule `deconvolution`)

    J_l is the Jacobian of what lies between two ReLUs. There is no gate at the input; a maximum sends the signal to the position that won.
    A ReLU counts wherever it is called: as a module, a function or a method, in place or not, once or several times.

    Parameters
    ----------
    model, inputs, target, additional_forward_args, internal_batch_size
        As for `gradient`; the start is a one at the explained output.
    other_activations : str
        The rule is defined for ReLU alone. `refuse` raises an error at any other activation through which the signal passes; `ordinary` takes
        the ordinary derivative there, as libraries that change nothing but ReLU modules do.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    NotImplementedError
        If the signal meets another activation and `other_activations` is `refuse`, or part of the model cannot be seen.
    TypeError, ValueError
        As for `gradient`; also if `other_activations` is unknown.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.

    Example
    -------
    >>> deconv(lambda x: torch.relu(x[:, 0]) - torch.relu(x[:, 1]), torch.tensor([[-1.0, 1.0]]))
    tensor([[1., 0.]])
    """
    rule = at_relus(deconvolution, "the deconvolutional network", other_activations)
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    return _through_gates(query, x, rule, internal_batch_size, active_only=False, refuse=other_activations == "refuse")


def guided_backprop(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    other_activations: str = "refuse",
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """Guided backpropagation: at every ReLU only positive signals go on, and only through units that were active.

    r^(l-1) = J_l^T (1[z^(l) > 0] max(0, r^(l))),    a = r^(0)                (survey Eq. 1 with the rule `guided`)

    Parameters
    ----------
    model, inputs, target, other_activations, additional_forward_args, internal_batch_size
        As for `deconv`.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    NotImplementedError, TypeError, ValueError
        As for `deconv`.

    References
    ----------
    Springenberg et al., Striving for simplicity: the all convolutional net, 2014.

    Example
    -------
    >>> guided_backprop(lambda x: torch.relu(x[:, 0]) - torch.relu(x[:, 1]), torch.tensor([[1.0, 1.0]]))
    tensor([[1., 0.]])
    """
    rule = at_relus(guided, "guided backpropagation", other_activations)
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    return _through_gates(query, x, rule, internal_batch_size, active_only=True, refuse=other_activations == "refuse")


def at_relus(rule: ActivationRule, method: str, other_activations: str) -> ActivationRule:
    """The rule at ReLUs; other activations are refused in the name of the method, or have their ordinary derivative."""
    if other_activations not in ("refuse", "ordinary"):
        raise ValueError(f"unknown other_activations `{other_activations}`; choose one of refuse, ordinary")

    def apply(activation: Activation, upstream: Tensor) -> Tensor:
        if activation.name == "relu":
            return rule(activation, upstream)
        if other_activations == "ordinary":
            return activation.backward(upstream)
        raise NotImplementedError(
            f"{method} is defined for ReLU alone and has no rule for {activation.step.where}; "
            'other_activations="ordinary" takes the ordinary derivative there'
        )

    return apply


def _through_gates(query: Query, x: Tensor, rule: ActivationRule, limit: int | None, *, active_only: bool, refuse: bool) -> Tensor:
    """The rule by gates put in the place of ReLUs, as fast as a gradient; step by step where the gates may miss something."""
    parts = []
    for part in slices(x.shape[0], limit or default_rows(x)):
        rows, index = x[part], query.everywhere()[part]
        found = _gated_gradient(query, rows, index, active_only, refuse)
        parts.append(_walked_back(query, rows, index, rule) if found is None else found)
    return torch.cat(parts)


def _gated_gradient(query: Query, rows: Tensor, index: Tensor, active_only: bool, refuse: bool) -> Tensor | None:
    with torch.inference_mode(False), torch.enable_grad():
        leaf = rows.detach().clone().requires_grad_()
        gates = _Gates(active_only)
        with gates:
            values = query.outputs(leaf.clone(), index)
        if not values.requires_grad or (refuse and gates.others) or _escapes(values.grad_fn):
            return None
        (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
    return torch.zeros_like(rows) if gradient is None else gradient.detach()


class _Gate(torch.autograd.Function):
    """ReLU on the way forward; on the way back the positive part of the signal, of active units only or of all."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, active_only: bool) -> Tensor:
        """ReLU."""
        value = torch.relu(z)
        ctx.active_only = active_only
        if active_only:
            ctx.save_for_backward(value)
        return value

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None]:
        """The gate."""
        positive = torch.relu(signals[0])
        return (torch.ops.aten.threshold_backward(positive, *ctx.saved_tensors, 0) if ctx.active_only else positive), None


class _Gates(TorchFunctionMode):
    """Puts a gate in the place of every ReLU that is called, and notes whether other activations are."""

    def __init__(self, active_only: bool) -> None:
        super().__init__()
        self.active_only = active_only
        self.others = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation_name(func)
        if name != "relu" or not args:
            self.others |= name in ACTIVATIONS
            return func(*args, **(kwargs or {}))
        gate: Any = _Gate
        value = gate.apply(args[0], self.active_only)
        in_place = func.__name__.endswith("_") or (len(args) > 1 and args[1]) or (kwargs or {}).get("inplace", False)
        return args[0].copy_(value) if in_place else value


def _escapes(end: Any) -> bool:
    """Whether the graph holds an operation written by hand that may hide a ReLU; a ReLU in sight but without a gate is an error."""
    stack, seen = [end], {end}
    while stack:
        node = stack.pop()
        name = node.name()
        if "Relu" in name and "Leaky" not in name and "Prelu" not in name:
            raise NotImplementedError(
                f"a ReLU ({name}) runs inside a larger operation, such as a recurrent layer, where no gate can be put; write it as a call of its own"
            )
        if isinstance(node, torch._C._FunctionBase) and name != "_GateBackward":
            return True
        following = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= following
        stack.extend(following)
    return False


def smoothgrad(
    model: Model,
    inputs: Tensor,
    target: Target = None,
    *,
    n_samples: int = 50,
    stdevs: float | Tensor | None = None,
    noise_level: float | None = None,
    seed: int = 0,
    additional_forward_args: Any = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
) -> Tensor:
    """SmoothGrad: the mean gradient over copies of the input to which normal noise was added.

    a_i = 1/m sum_k df(x + ε_k) / dx_i,    ε_k ~ N(0, σ² I)                   (survey Eq. 1, averaged over noise)

    The mean is kept running, so the memory needed does not grow with `n_samples`. All inputs of the batch get the same standard normal draws,
    so that an input is explained alike whatever it is batched with.

    Parameters
    ----------
    model, inputs, target, additional_forward_args
        As for `gradient`.
    n_samples : int
        m; the error of the mean falls as 1 / sqrt(m).
    stdevs : float or Tensor, optional
        σ in units of the input (as Captum has it); a tensor is broadcast to the inputs.
    noise_level : float, optional
        σ relative to the range max(x) - min(x) of each input, as in the paper, which uses 0.1 to 0.2. 0.15 where neither is given.
    seed : int
        Seed of the noise.
    internal_batch_size : int, optional
        Most noisy copies given to the model at once.
    show_progress : bool
        Show a bar over the parts in which the model is asked.

    Returns
    -------
    Tensor
        Shape of `inputs`.

    Raises
    ------
    TypeError, ValueError
        As for `gradient`; also if both `stdevs` and `noise_level` are given, or one is negative or not finite.

    References
    ----------
    Smilkov et al., SmoothGrad: removing noise by adding noise, 2017.

    Example
    -------
    >>> smoothgrad(lambda x: 3 * x[:, 0] - x[:, 1], torch.tensor([[1.0, 5.0]]))
    tensor([[ 3., -1.]])
    """
    query, x, _ = prepare(model, inputs, target, None, additional_forward_args, differentiable=True, internal_batch_size=internal_batch_size)
    check_positive("n_samples", n_samples or 0)
    sigma = noise_width(x, stdevs, noise_level)
    total = torch.zeros_like(x, dtype=running_dtype(x))
    for gradients in gradients_of_copies(query, x, sigma, n_samples, seed, internal_batch_size, show_progress=show_progress):
        total += gradients.sum(dim=0, dtype=total.dtype)
    return (total / n_samples).to(x.dtype)


def gradients_of_copies(
    query: Query, x: Tensor, sigma: Tensor, n_samples: int, seed: int, limit: int | None, *, show_progress: bool
) -> Iterator[Tensor]:
    """Gradients at noisy copies of the inputs, some copies at a time: shape (copies, *shape of the inputs)."""
    generator = generator_of(seed)
    at_once = max(1, (limit or default_rows(x)) // x.shape[0])
    for part in progress(slices(n_samples, at_once), "noise", total=-(-n_samples // at_once), show=show_progress):
        # One draw at a time: how many fall into a part must not change the numbers.
        noise = torch.stack([torch.randn(x.shape[1:], generator=generator, dtype=x.dtype) for _ in range(part.stop - part.start)])
        copies = torch.addcmul(x, sigma, noise.to(x.device).unsqueeze(1))
        index = query.everywhere().repeat(copies.shape[0])
        yield query.gradients(copies.flatten(0, 1), index, limit).reshape(copies.shape)


def running_dtype(x: Tensor) -> torch.dtype:
    """In what to keep sums over many draws: a sum of numbers of half precision may overflow though their mean does not."""
    return torch.promote_types(x.dtype, torch.float32)


def noise_width(x: Tensor, stdevs: float | Tensor | None, noise_level: float | None) -> Tensor:
    """σ, broadcast to the inputs."""
    if stdevs is not None and noise_level is not None:
        raise ValueError("stdevs and noise_level both set the width of the noise; give one of them")
    name, given = ("noise_level", 0.15 if noise_level is None else noise_level) if stdevs is None else ("stdevs", stdevs)
    if isinstance(given, bool) or not isinstance(given, int | float | Tensor):
        raise TypeError(f"{name} must be a number or a tensor, not {type(given).__name__}")
    width = torch.as_tensor(given, dtype=x.dtype, device=x.device).detach()
    check_finite(name, width)
    if bool((width < 0).any()):
        raise ValueError(f"{name} must not be negative, got {width.min().item():g}")
    if stdevs is None:
        rows = x.flatten(1)
        width = width * (rows.amax(dim=1) - rows.amin(dim=1)).reshape(-1, *[1] * (x.ndim - 1))
    try:
        return width.expand(x.shape)
    except RuntimeError:
        raise ValueError(f"{name} of shape {tuple(width.shape)} cannot be broadcast to inputs of shape {tuple(x.shape)}") from None
