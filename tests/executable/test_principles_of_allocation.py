"""The allocation principles as property tests: known methods, artificial ones with one fault each, and methods that refuse."""

import math
from functools import partial

import pytest
import torch
from expected_verdicts_of_allocation import ALLOCATION

from executable import methods
from executable.checks import allocation_settings
from executable.checks.allocation_verdicts import taylor_principle
from executable.principles import allocation
from executable.principles import allocation_testbeds as beds
from executable.principles.base import Finding, adapted

PATCHES = partial(methods.occlusion_patch, sliding_window_shapes=(2,), strides=1)
POSITIVE = partial(methods.deep_taylor_decomposition, input_rule="z_plus")
THREE = "low-approximation-error", "no-unrelated-allocation", "complete-allocation"
FUNCTIONS = {
    "low-approximation-error": allocation.low_approximation_error,
    "no-unrelated-allocation": allocation.no_unrelated_allocation,
    "complete-allocation": allocation.complete_allocation,
    "effect-completeness": allocation.effect_completeness,
    "allocation-correctness": allocation.allocation_correctness,
    "allocation-completeness": allocation.allocation_completeness,
    "allocation-fidelity": allocation.allocation_fidelity,
}
# Within one module, then for the whole network: first, second and third principle of the Taylor paper, terms at the baseline.
KNOWN = {
    "integrated-gradients": (methods.integrated_gradients, "+++", "+++"),
    "expected-gradients": (methods.expected_gradients, "+++", "+++"),
    "shapley-value": (methods.shapley_value, "+++", "+++"),
    "deeplift-rescale": (methods.deeplift_rescale, "+++", "+-+"),
    "deeplift-revealcancel": (methods.deeplift_revealcancel, "+++", "+-+"),
    "deep-shap": (methods.deep_shap, "+++", "+-+"),
    "occlusion-1": (methods.occlusion_1, "++-", "++-"),
    "prediction-difference": (methods.prediction_difference, "++-", "++-"),
    "occlusion-patch": (PATCHES, "+--", "+--"),
    "grad-times-input": (methods.grad_times_input, "++-", "++-"),
    "lrp-0": (methods.lrp_0, "++-", "+--"),
    "lrp-epsilon": (methods.lrp_epsilon, "++-", "+--"),
    "lrp-alpha-beta": (methods.lrp_alpha_beta, "+--", "+--"),
    "deep-taylor-decomposition": (POSITIVE, "---", "---"),
    "gradient": (methods.gradient, "+--", "+--"),
    "deep-taylor-w-square": (methods.deep_taylor_decomposition, "+-+", "---"),
}
SIGN = {"satisfies": "+", "violates": "-", "not applicable": "?"}


def _run(snippet, explain):
    exec(compile(snippet, "counterexample", "exec"), {"explain": explain})


@pytest.mark.parametrize("name", KNOWN)
def test_known_methods(name):
    function, module, network = KNOWN[name]
    explain = adapted(function)
    found = allocation.findings(explain, *THREE)
    assert "".join(SIGN[one[0].outcome] for one in found) == module
    assert "".join(SIGN[one[1].outcome] for one in found) == network
    for finding in (finding for one in found for finding in one):
        assert finding.trials > 0 or finding.outcome == "not applicable"
        assert (finding.outcome == "violates") == bool(finding.counterexample)
        if finding.outcome == "violates":
            assert finding.statistic > finding.bound
            _run(finding.counterexample, explain)


@pytest.mark.parametrize("principle", FUNCTIONS)
def test_every_principle_is_read_in_two_ways(principle):
    found = FUNCTIONS[principle](adapted(methods.integrated_gradients))
    assert [one.reading for one in found][:2] == [allocation.MODULE, allocation.NETWORK]
    assert {one.outcome for one in found} == {"satisfies"}
    assert all(isinstance(one, Finding) and one.principle == principle for one in found)


def test_gradient_and_occlusion_are_on_a_par():
    """Terms of the expansion at the input: both use some of them only, and hand those out in full."""
    for function in (methods.grad_times_input, methods.occlusion_1, methods.prediction_difference):
        explain = adapted(function)
        assert allocation.low_approximation_error(explain)[2].outcome == "violates"
        assert allocation.complete_allocation(explain)[2].outcome == "satisfies"
    assert allocation.low_approximation_error(adapted(methods.shapley_value))[2].outcome == "satisfies"


def test_fidelity_names_the_principle_that_fails():
    module, network = allocation.allocation_fidelity(adapted(methods.deeplift_rescale))
    assert (module.outcome, network.outcome) == ("satisfies", "violates")
    assert network.why.startswith("Allocation correctness: ")
    _run(network.counterexample, adapted(methods.deeplift_rescale))
    assert allocation.allocation_fidelity(adapted(methods.occlusion_1))[0].why.startswith("Effect completeness: ")


def _nothing(model, x):
    return torch.zeros_like(x)


def _shuffled(model, x):
    return methods.shapley_value(model, x).flip(1)


def _half(model, x):
    return methods.shapley_value(model, x) / 2


@pytest.mark.parametrize(("function", "expected"), [(_nothing, "-+-"), (_shuffled, "+-+"), (_half, "++-")])
def test_one_fault_is_seen_by_the_principle_it_breaks(function, expected):
    found = allocation.findings(adapted(function), *THREE)
    for reading in (0, 1):
        assert "".join(SIGN[one[reading].outcome] for one in found) == expected


def test_values_that_are_no_numbers_are_violations():
    finding = allocation.effect_completeness(adapted(lambda model, x: x * math.nan))[0]
    assert finding.outcome == "violates"
    assert finding.statistic == math.inf


@pytest.mark.parametrize("function", [methods.grad_cam, lambda model, x: x.sum(), lambda model, x: None])
def test_refusals_are_not_violations(function):
    for principle, test in FUNCTIONS.items():
        for finding in test(adapted(function)):
            assert finding.outcome == "not applicable", principle
            assert finding.trials == 0
            assert math.isnan(finding.statistic)
            assert "It ran on none: " in finding.why


def test_partial_refusals_are_said():
    finding = allocation.complete_allocation(adapted(methods.deeplift_rescale))[1]
    assert "It did not run on 19 of the functions (NotImplementedError" in finding.why


def test_random_methods_are_tested_repeatably():
    def noisy(model, x):
        return methods.shapley_value(model, x) + 1e-3 * torch.randn_like(x)

    state = torch.get_rng_state()
    assert allocation.effect_completeness(adapted(noisy)) == allocation.effect_completeness(adapted(noisy))
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    "source",
    [
        beds.orders_of_neurons,
        beds.neurons,
        beds.neurons_with_absent_feature,
        beds.monomials,
        beds.effects_of_sets,
        beds.polynomials,
        beds.terms_at_input,
        beds.networks,
        beds.networks_with_dummies,
    ],
)
def test_testbeds_are_what_they_are_said_to_be(source):
    for bed in source():
        zero = torch.zeros_like(bed.x)
        assert abs(bed.model(zero).item()) < 1e-12
        assert bool((bed.x > 0).all())
        names = {}
        exec(compile(bed.setup(), bed.name, "exec"), names)
        assert torch.equal(names["model"](bed.x), bed.model(bed.x))
        for i in bed.absent:
            without = bed.x.clone()
            without[0, i] = 0
            assert abs((bed.model(bed.x) - bed.model(without)).item()) < 1e-6


@pytest.mark.parametrize("name", beds.IMPLEMENTATIONS)
def test_two_networks_compute_one_function(name):
    x = 3 * torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    first, second = (beds.two_implementations(name, extra=which)(x) for which in (1, 2))
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(beds.two_implementations(name)(x), x[:, 2])


def test_a_term_at_the_input_has_no_others():
    model = beds.expanded_at([1, 2], (2, 1))
    for u, v in ((0.5, 1.0), (3.0, -1.0)):
        assert model(beds.row(u, v)).item() == pytest.approx((u - 1) ** 2 * (v - 2) + 2)


@pytest.mark.parametrize("claim", [claim for claim in ALLOCATION if claim.endswith("/complete-allocation")])
def test_a_broken_method_breaks_its_verdict(claim, monkeypatch):
    """Half the scores: a verdict that is right of the method must not be found right of this."""
    name = claim.split("/")[0].replace("-", "_")
    whole = getattr(methods, name)
    monkeypatch.setattr(methods, name, lambda *args, **keywords: whole(*args, **keywords) / 2)
    assert taylor_principle(claim).status == "fails"


def test_verdicts_need_their_conditions(monkeypatch):
    """A condition that does not separate what passes from what fails is not accepted."""
    claim = "deep-taylor-decomposition/satisfies/complete-allocation"
    assert taylor_principle(claim).status == "holds under condition"
    monkeypatch.setitem(allocation_settings.OUTSIDE, ("complete-allocation", "deep-taylor-decomposition"), ((allocation_settings.BOTH,), "Wrong."))
    assert taylor_principle(claim).status == "fails"
