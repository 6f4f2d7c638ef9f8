"""Checks of theorems that unite methods: every member's own check is run, and the form as printed is put to vectors that are no attributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from executable.checks import (
    feature_additive,
    feature_additive_more,
    modified_gradient_more,
    modified_gradient_times_input,
    nonnegative_backprop,
)
from executable.checks.base import at_most, breaks, counterexample, number, settle, versions
from taxonomy.evidence import Control, Counterexample, Evidence, EvidenceStatus, Measurement

SEED = 90
Members = Mapping[str, Callable[[str], Evidence]]

ADDITIVE: Members = {
    "lrp-0": feature_additive_more.propagated_coefficients,
    "lrp-epsilon": feature_additive.local_accuracy,
    "deeplift-rescale": feature_additive_more.propagated_coefficients,
    "shapley-value": feature_additive.weighted_least_squares,
    "lime": feature_additive_more.fitted_coefficients,
}
MODIFIED: Members = {
    "lrp-0": modified_gradient_more.local_rules,
    "lrp-epsilon": modified_gradient_times_input.local_rule,
    "deeplift-rescale": modified_gradient_more.local_rules,
    "grad-times-input": modified_gradient_more.local_rules,
    "integrated-gradients": modified_gradient_times_input.chain_rule,
}
NONNEGATIVE: Members = {
    "lrp-alpha1-beta0": nonnegative_backprop.fixed_matrices,
    "deep-taylor-decomposition": nonnegative_backprop.fixed_matrices,
    "excitation-backprop": nonnegative_backprop.fixed_matrices,
    "rect-gradient": nonnegative_backprop.rectified_signals,
    "deconv": nonnegative_backprop.rectified_signals,
    "guided-backprop": nonnegative_backprop.rectified_signals,
}
_VACUOUS = "the equation as printed, for random vectors in place of attributions (largest distance)"


def memberships(members: Members, family: str) -> dict[str, Evidence]:
    """What each member's own check finds about its place in the family, by method."""
    found = {}
    for method, run in members.items():
        with torch.random.fork_rng(devices=[]):
            found[method] = run(f"{method}/reformulates-as/{family}")
    return found


def together(found: Mapping[str, Evidence]) -> EvidenceStatus:
    """Status of "all of them are members": it fails with one member, and holds without condition only if every membership does."""
    states = {evidence.status for evidence in found.values()}
    if states == {"holds"}:
        return "holds"
    return "holds under condition" if states <= {"holds", "holds under condition"} else "fails"


def _numbers(found: Mapping[str, Evidence]) -> list[Measurement]:
    """How many members hold in which way, and every number that a member's check holds against a bound."""
    states: tuple[EvidenceStatus, ...] = ("holds", "holds under condition", "fails")
    counts = [number(f"members for which it {state}", sum(evidence.status == state for evidence in found.values())) for state in states]
    bounded = [
        measurement.model_copy(update={"name": f"{method}: {measurement.name}"})
        for method, evidence in found.items()
        for measurement in evidence.measurements
        if measurement.bound is not None
    ]
    return [*counts, *bounded]


def _controls(found: Mapping[str, Evidence]) -> list[Control]:
    return [
        control.model_copy(update={"description": f"{method}: {control.description}"}) for method, e in found.items() for control in e.controls[:1]
    ]


def _united(
    claim: str,
    check: str,
    found: Mapping[str, Evidence],
    statement: str,
    measurements: Sequence[Measurement],
    controls: Sequence[Control],
    **texts: str,
) -> Evidence:
    """The evidence on a theorem from that on its members; `texts` are the condition (dropped if none is needed), the finding and the domain."""
    numbers = (*_numbers(found), *measurements)
    status = settle(numbers, together(found))
    return Evidence(
        claim=claim,
        check=check,
        status=status,
        statement=statement,
        condition=None if status == "holds" else texts["condition"],
        finding=texts["finding"],
        domain=texts["domain"],
        measurements=numbers,
        trials=sum(evidence.trials for evidence in found.values()),
        seed=SEED,
        counterexample=None if status == "holds" else _examples(found),
        controls=(*_controls(found), *controls),
        parameters={"members": {method: {"check": evidence.check, "status": evidence.status} for method, evidence in found.items()}},
        versions=versions(),
    )


def _examples(found: Mapping[str, Evidence]) -> Counterexample | None:
    """The counterexamples of the members, one after another; those with the same data once. None if no member has one."""
    kept: dict[str, tuple[str, Counterexample]] = {}
    for method, evidence in found.items():
        if evidence.counterexample is not None:
            kept.setdefault(str(evidence.counterexample.data), (method, evidence.counterexample))
    if not kept:
        return None
    return counterexample(
        " ".join(f"For `{method}`: {example.description}" for method, example in kept.values()),
        "\n".join(f"# {method}\n{example.code.strip()}" for method, example in kept.values()),
        **{method: example.data for method, example in kept.values()},
    )


def _draw(rows: int = 50, features: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vectors, inputs and baselines that have nothing to do with one another."""
    generator = torch.Generator().manual_seed(SEED)
    a, x, b = torch.randn(3, rows, features, generator=generator, dtype=torch.float64)
    return a, x, b


def feature_additive_methods(claim: str) -> Evidence:
    """Five methods as coefficients of an additive surrogate that agrees with the model at both ends."""
    a, x, _ = _draw()
    f = torch.sin(x).prod(dim=1)
    open_to_all = float(((f - a.sum(dim=1)) + a.sum(dim=1) - f).abs().max())
    asked = float((a.sum(dim=1) - f).abs().min())
    return _united(
        claim,
        "unifications/feature-additive",
        memberships(ADDITIVE, "feature-additive"),
        "The attributions of each of the five methods are the coefficients of $g(z) = w_0 + \\sum_i w_i z_i$, obtained by the method's own "
        "construction, with $g(0, \\ldots, 0) = f(b)$ and $g(1, \\ldots, 1) = f(x)$.",
        [at_most(_VACUOUS, open_to_all, 1e-12, "the free constant takes up the difference, so Eq. 9 excludes no vector")],
        [breaks("random vectors under the two conditions of agreement (smallest gap of 50)", asked, 1e-9)],
        condition="DeepLIFT Rescale and the Shapley value need none. LRP-0, and LRP-ε as $\\epsilon \\to 0$, need a network without biases whose "
        "activations vanish at zero, or an affine one. LIME needs a model that is a sum of one number per component, and no penalty.",
        finding="Without a bound on the error Eq. 9 holds of every vector. With agreement at the input and at the baseline it singles out two of "
        "the five methods; for LRP the biases take relevance away, and LIME fits the full set like its neighbours.",
        domain="Random networks with eight activations, with and without biases; games on up to five players; 50 random vectors",
    )


def modified_gradient_methods(claim: str) -> Evidence:
    """Five methods as the chain rule with one local rule in place of the derivative, times the displacement."""
    a, x, b = _draw()
    open_to_all = float((a / (x - b) * (x - b) - a).abs().max())
    # A bias-free linear neuron fixes the modified gradient to one slope times its weights, whatever the local rule.
    w = torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
    slopes = a / (x - b) / w
    one_slope = float((slopes - slopes.mean(dim=1, keepdim=True)).abs().amax(dim=1).min())
    return _united(
        claim,
        "unifications/modified-gradient",
        memberships(MODIFIED, "modified-gradient-times-input"),
        "The attributions of each of the five methods are $g_i (x_i - b_i)$, where $g$ is computed by the chain rule with one local rule in place "
        "of $\\sigma'$: a number for every neuron that depends on nothing but its values at $x$ and at $b$.",
        [at_most(_VACUOUS, open_to_all, 1e-12, "$a_i / (x_i - b_i)$ serves as the modified gradient, so Eq. 10 excludes no vector")],
        [breaks("random vectors for a single neuron, which a local rule gives one slope (smallest spread of 50)", one_slope, 1e-6)],
        condition="LRP-0, LRP-ε, DeepLIFT Rescale and Gradient×Input need none, if for LRP the rule is applied to the output layer too. "
        "Integrated Gradients needs a network with one layer of activations.",
        finding="Eq. 10 alone holds of every vector. The chain rule with a local rule gives four of the five methods for every activation and "
        "depth. Integrated Gradients average over the line, and two networks of one function would need different slopes at the same neuron.",
        domain="Random networks with eight activations and biases, of one to three layers of activations; 50 random vectors",
    )


def nonnegative_methods(claim: str) -> Evidence:
    """Six methods as products of nonnegative matrices: three are, three only with matrices chosen after the signal."""
    return _united(
        claim,
        "unifications/nonnegative-backprop",
        memberships(NONNEGATIVE, "nonnegative-backprop"),
        "For each of the six methods there are nonnegative matrices, given by the network and the input, whose product maps every start vector "
        "$y \\ge 0$ to the attributions.",
        [],
        [],
        condition="LRP-α1β0, Deep Taylor Decomposition and Excitation Backpropagation need none beyond the inputs on which their rules are defined. "
        "RectGrad with threshold $0$, Deconv and Guided Backpropagation need nonnegative weights; or matrices may be chosen for one signal after "
        "the other, and the step to the input is left out.",
        finding="Three of the six are as stated. The other three rectify a signal that a matrix of both signs has made: the step is not additive, so "
        "no matrix performs it for all start vectors, and the last step leaves negative scores.",
        domain="Random ReLU networks, inputs of either sign and nonnegative ones",
    )
