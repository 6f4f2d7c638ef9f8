"""Checks of what gradients rest on: the limit of finite sensitivity, and first-order terms of one expansion or of many small ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, error, keeps, number, worst
from executable.checks.grounds_common import DRAWS, SEED, ground
from executable.frameworks.path_integral import Lattice, path_integral
from executable.methods.gradient_times_input import grad_times_input, integrated_gradients
from executable.methods.modified_gradient import deconv, gradient, guided_backprop
from executable.rationales.first_order_taylor import first_order_terms
from executable.rationales.gradient_sensitivity import finite_sensitivity
from executable.testbeds.mlps import lively_draws
from taxonomy.evidence import Evidence

STEP, LIMIT = 1e-6, 1e-6
STEPS, PATH = 4096, 1e-3
Function = Callable[[Tensor], Tensor]


def limit_of_sensitivity(model: Function, x: Tensor, target: Tensor | None, step: float) -> Tensor:
    """The limit of finite sensitivity from one side: two steps, and their error of first order extrapolated away."""
    return 2 * finite_sensitivity(model, x, target, step=step / 2) - finite_sensitivity(model, x, target, step=step)


def _both_sides(method: Callable[..., Tensor], model: Function, x: Tensor, target: Tensor | None = None) -> float:
    return max(error(method(model, x, target), limit_of_sensitivity(model, x, target, side * STEP)) for side in (1, -1))


def _order() -> float:
    """Exponent with which one step's sensitivity approaches the gradient."""
    model, x, target = next(lively_draws(1, "tanh", bias=True, seed=SEED))
    far, near = (error(finite_sensitivity(model, x, target, step=h), gradient(model, x, target)) for h in (1e-3, 1e-4))
    return math.log10(far / near)


def sensitivity(claim: str) -> Evidence:
    """The gradient against changes of the output by small steps to either side, on smooth and kinked functions, on and off the kinks."""
    cases, others = [], []
    for activation in ("tanh", "softplus", "sigmoid", "relu"):
        drawn = list(lively_draws(DRAWS, activation, bias=True, seed=SEED))
        cases.append(Case(f"{activation} networks, off any kink", True, worst([_both_sides(gradient, *each) for each in drawn])))
        if activation == "relu":
            others = [min(_both_sides(method, *each) for each in drawn) for method in (guided_backprop, deconv, grad_times_input)]
    zero = torch.zeros(1, 1, dtype=torch.float64)
    kinked: dict[str, Function] = {
        "max(0, x) at 0": lambda v: torch.relu(v[:, 0]),
        "|x| at 0": lambda v: v[:, 0].abs(),
        "max(x, 2 x) at 0": lambda v: torch.maximum(v[:, 0], 2 * v[:, 0]),
    }
    cases += [Case(name, False, _both_sides(gradient, f, zero)) for name, f in kinked.items()]
    model, x, target = next(lively_draws(1, "relu", bias=False, seed=SEED))
    cases.append(Case("ReLU network without biases at 0", False, _both_sides(gradient, model, 0 * x, target)))
    return ground(
        claim,
        "grounds-gradients/sensitivity",
        statement="The gradient is the limit of $[f(x + h e_i) - f(x)] / h$ for steps $h \\to 0$ from either side.",
        cases=cases,
        tolerance=LIMIT,
        measurements=(at_most("order in $h$ of the distance of one step, tanh networks: distance from 1", abs(_order() - 1), 0.05),),
        controls=[
            breaks(f"{name}, ReLU networks (smallest distance)", value, LIMIT)
            for name, value in zip(("guided backpropagation", "deconvolution", "gradient times input"), others, strict=True)
        ],
        condition="The model is differentiable at the input. On a kink the limits from the two sides differ, and automatic differentiation returns "
        "some number between them.",
        finding="Of the backward rules only the ordinary derivative is a sensitivity; a gradient with another rule is not the response to any small "
        "step.",
        domain="Random networks 6-10-9-7-3 with tanh, softplus, sigmoid and ReLU; functions of one variable on their kink",
        trials=4 * DRAWS * 4 + 7,
        example=counterexample(
            "$\\max(0, x)$ at $0$: the sensitivity is $1$ to the right and $0$ to the left; the method returns $0$.",
            """
import torch
from executable import gradient
from executable.rationales.gradient_sensitivity import finite_sensitivity

f = lambda x: torch.relu(x[:, 0])
zero = torch.zeros(1, 1)
assert finite_sensitivity(f, zero, step=1.0).item() == 1 and finite_sensitivity(f, zero, step=-1.0).item() == 0
assert gradient(f, zero).item() == 0
""",
            input=[0],
            right=1,
            left=0,
            gradient=0,
        ),
    )


def _remainder_order(model: nn.Module, x: Tensor, target: Tensor) -> float:
    """Exponent with which the method leaves less of the change as the baseline, the new origin, draws near the input."""
    left = []
    for t in (1e-2, 1e-3):

        def moved(u: Tensor, t: float = t) -> Tensor:
            value: Tensor = model(x - t * x.sign() + u)
            return value

        u = t * x.sign()
        change = (moved(u) - moved(0 * u)).gather(1, target.unsqueeze(1))[:, 0]
        left.append(float((change.detach() - grad_times_input(moved, u, target).sum(dim=1)).abs().max()))
    return math.log10(left[0] / left[1])


def linear_terms(claim: str) -> Evidence:
    """Gradient times input against the linear terms of the expansion at the input; the expansion at the baseline and other rules as controls."""
    found, at_baseline, guided, integrated, left = [], [], [], [], []
    for activation in ("tanh", "softplus", "relu"):
        for model, x, target in lively_draws(DRAWS, activation, bias=True, seed=SEED):
            product, terms = grad_times_input(model, x, target), first_order_terms(model, x, target)
            found.append(error(product, terms.terms))
            left.append(float((terms.remainder.abs() / terms.change.abs()).median()))
            at_baseline.append(error(product, first_order_terms(model, x, target, at="baseline").terms))
            integrated.append(error(integrated_gradients(model, x, target), terms.terms))
            if activation == "relu":
                guided.append(error(guided_backprop(model, x, target) * x, terms.terms))
    orders = [_remainder_order(*each) for each in lively_draws(DRAWS, "tanh", bias=True, seed=SEED)]
    return ground(
        claim,
        "grounds-gradients/linear-terms",
        statement="Gradient times input gives each variable its linear term of Eq. 17, the expansion of $f$ at the input read at the baseline $0$.",
        measurements=(
            at_most("method against the terms", worst(found), ALGEBRA),
            at_least(
                "order of what the terms leave, as the baseline draws near the input", min(orders), 1.9, "a linear term more would leave order 1"
            ),
            number("median over networks: share of the change that the terms leave at the baseline 0", sorted(left)[len(left) // 2]),
        ),
        controls=[
            breaks("terms of the expansion at the baseline (smallest distance)", min(at_baseline), ALGEBRA),
            breaks("guided backpropagation times input, ReLU networks (smallest distance)", min(guided), ALGEBRA),
            breaks("integrated gradients (smallest distance)", min(integrated), ALGEBRA),
        ],
        finding="An identity once the expansion is made at the input, for every differentiable model. The terms are a decomposition of the output "
        "change only near the input: at the baseline 0 the remainder is a large part of the change.",
        domain="Random networks 6-10-9-7-3 with biases and tanh, softplus or ReLU",
        trials=len(found),
    )


def in_small_steps(model: Function, x: Tensor, target: Tensor | None, steps: int) -> tuple[Tensor, Tensor]:
    """Sums, over equal steps from 0 to x, of the first-order terms of each step expanded at its end, and of what they leave."""
    ends = torch.arange(1, steps + 1, dtype=x.dtype).reshape(-1, 1, 1) / steps
    points, before = (ends * x).flatten(0, 1), ((ends - 1 / steps) * x).flatten(0, 1)
    found = first_order_terms(model, points, None if target is None else target.repeat(steps), baselines=before)
    return found.terms.reshape(steps, *x.shape).sum(dim=0), found.remainder.reshape(steps, -1).sum(dim=0)


def _path_cases() -> tuple[list[Case], list[float], list[float], float]:
    """Many steps and single expansions, with the remainders and other paths, and the exponent of the steps' error."""
    cases, left, other, decay = [], [], [], 0.0
    for activation in ("tanh", "softplus", "relu"):
        many: list[float] = []
        single: dict[str, list[float]] = {"the input": [], "the baseline": [], "the middle": []}
        for model, x, target in lively_draws(DRAWS, activation, bias=True, seed=SEED):
            whole = integrated_gradients(model, x, target, method="exact" if activation == "relu" else "gauss_legendre", n_steps=200)
            terms, remainder = in_small_steps(model, x, target, STEPS)
            many.append(error(terms, whole))
            left.append(float(remainder.abs().max()))
            single["the input"].append(error(first_order_terms(model, x, target).terms, whole))
            single["the baseline"].append(error(first_order_terms(model, x, target, at="baseline").terms, whole))
            single["the middle"].append(error(gradient(model, x / 2, target) * x, whole))
            if activation == "tanh":
                other.append(error(path_integral(model, x, target, path=Lattice(tuple(range(x.shape[1]))), n_steps=60), terms))
                decay = math.log2(error(in_small_steps(model, x, target, 256)[0], whole) / error(in_small_steps(model, x, target, 512)[0], whole))
        cases.append(Case(f"{activation}, {STEPS} steps", True, worst(many)))
        cases += [Case(f"{activation}, one expansion at {name}", False, min(values)) for name, values in single.items()]
    return cases, left, other, decay


def small_steps(claim: str) -> Evidence:
    """Integrated gradients against first-order terms summed over the steps of the line; one step is not enough."""
    cases, left, other, decay = _path_cases()
    affine = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)

    def linear(v: Tensor) -> Tensor:
        return (v * affine).sum(dim=1) + 1

    point = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.float64)
    return ground(
        claim,
        "grounds-gradients/small-steps",
        statement="Integrated gradients is what the first-order terms add up to if the line from the baseline to the input is cut into steps and "
        "each step is expanded by itself.",
        cases=cases,
        tolerance=PATH,
        measurements=(
            at_most(f"what the terms of {STEPS} steps leave of the change of the output", worst(left), 5 * PATH),
            at_most("order in the number of steps of the distance, tanh networks: distance from 1", abs(decay - 1), 0.1),
        ),
        controls=[
            breaks("integral along another path, the edges of the box (smallest distance)", min(other), PATH),
            keeps("linear function, a single expansion", error(first_order_terms(linear, point).terms, integrated_gradients(linear, point)), PATH),
        ],
        condition="The steps are small: the terms tend to the method, and their remainders together to zero, as the number of steps grows. One "
        "expansion, wherever it is made, gives another result unless the derivatives along the line have their mean there, as for linear functions.",
        finding="The method is a chain of first-order decompositions, none of them made between input and baseline, and this is how it gets rid of "
        "the remainder that gradient times input leaves.",
        domain="Random networks 6-10-9-7-3 with biases and tanh, softplus or ReLU; baseline 0",
        trials=3 * DRAWS * 4,
        example=counterexample(
            "$x^2$ at $1$: integrated gradients gives $1$; the expansion at the input gives $2$, that at the baseline $0$, and $n$ steps $1 + 1/n$.",
            """
import torch
from executable.rationales.first_order_taylor import first_order_terms
from executable import integrated_gradients

f = lambda x: x[:, 0] ** 2
one = torch.ones(1, 1)
assert abs(integrated_gradients(f, one).item() - 1) < 1e-6
assert first_order_terms(f, one).terms.item() == 2 and first_order_terms(f, one, at="baseline").terms.item() == 0
ends = torch.arange(1, 5).reshape(4, 1) / 4
assert first_order_terms(f, ends, baselines=ends - 1 / 4).terms.sum() == 1 + 1 / 4
""",
            input=[1],
            integrated=1,
            at_input=2,
            at_baseline=0,
        ),
        parameters={"steps": STEPS},
    )
