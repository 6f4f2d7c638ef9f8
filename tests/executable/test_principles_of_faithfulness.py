"""The property tests of faithfulness and robustness: a method known to have each requirement passes, one known to lack it does not."""

import functools
import math

import pytest
import torch

from executable import methods
from executable.principles.base import adapted
from executable.principles.faithfulness import axiomatic_fidelity, decision_relevance, output_sensitivity, parameter_sensitivity
from executable.principles.robustness import input_perturbation_robustness, model_perturbation_robustness, ridge
from executable.testbeds.mlps import mlp

TESTS = (
    axiomatic_fidelity,
    decision_relevance,
    output_sensitivity,
    parameter_sensitivity,
    input_perturbation_robustness,
    model_perturbation_robustness,
)
METHODS = {
    "gradient": methods.gradient,
    "smoothgrad": functools.partial(methods.smoothgrad, stdevs=0.3),
    "gradient x input": methods.grad_times_input,
    "integrated gradients": methods.integrated_gradients,
    "deconv": methods.deconv,
    "guided": methods.guided_backprop,
    "excitation": methods.excitation_backprop,
    "alpha 1": functools.partial(methods.lrp_alpha_beta, alpha=1.0, beta=0.0),
    "epsilon": methods.lrp_epsilon,
    "rescale": methods.deeplift_rescale,
    "revealcancel": methods.deeplift_revealcancel,
    "lime": functools.partial(methods.lime, n_samples=None, alpha=0.0),
    "shapley": methods.shapley_value,
    "the input": lambda model, x: x,
}
SATISFIES, VIOLATES, SILENT = "satisfies", "violates", "not applicable"
KNOWN = [
    (axiomatic_fidelity, "shapley", [SATISFIES, SATISFIES, SATISFIES, SATISFIES]),
    (axiomatic_fidelity, "integrated gradients", [SATISFIES, SATISFIES, SATISFIES, SATISFIES]),
    (axiomatic_fidelity, "gradient", [VIOLATES, VIOLATES, VIOLATES, VIOLATES]),
    (axiomatic_fidelity, "rescale", [VIOLATES, SATISFIES, SATISFIES, VIOLATES]),
    (axiomatic_fidelity, "revealcancel", [VIOLATES, SATISFIES, SATISFIES, VIOLATES]),
    (axiomatic_fidelity, "epsilon", [VIOLATES, VIOLATES, SATISFIES, VIOLATES]),
    (axiomatic_fidelity, "lime", [VIOLATES, VIOLATES, VIOLATES, VIOLATES]),
    (decision_relevance, "gradient", [SATISFIES, SATISFIES]),
    (decision_relevance, "shapley", [SATISFIES, SATISFIES]),
    (decision_relevance, "guided", [VIOLATES, VIOLATES]),
    (decision_relevance, "deconv", [VIOLATES, VIOLATES]),
    (decision_relevance, "alpha 1", [SATISFIES, VIOLATES]),
    (decision_relevance, "excitation", [SILENT, SILENT]),
    (output_sensitivity, "gradient", [SATISFIES, SATISFIES]),
    (output_sensitivity, "shapley", [SATISFIES, SATISFIES]),
    (output_sensitivity, "rescale", [SATISFIES, SATISFIES]),
    (output_sensitivity, "alpha 1", [VIOLATES, VIOLATES]),
    (output_sensitivity, "guided", [VIOLATES, VIOLATES]),
    (output_sensitivity, "deconv", [VIOLATES, VIOLATES]),
    (parameter_sensitivity, "gradient", [SATISFIES, SATISFIES]),
    (parameter_sensitivity, "shapley", [SATISFIES, SATISFIES]),
    (parameter_sensitivity, "alpha 1", [VIOLATES, VIOLATES]),
    (parameter_sensitivity, "excitation", [VIOLATES, VIOLATES]),
    (parameter_sensitivity, "the input", [VIOLATES, VIOLATES]),
    (input_perturbation_robustness, "gradient", [SATISFIES, VIOLATES, VIOLATES]),
    (input_perturbation_robustness, "integrated gradients", [SATISFIES, SATISFIES, VIOLATES]),
    (input_perturbation_robustness, "shapley", [SATISFIES, SATISFIES, SATISFIES]),
    (input_perturbation_robustness, "guided", [SILENT, VIOLATES, VIOLATES]),
    (input_perturbation_robustness, "epsilon", [VIOLATES, VIOLATES, VIOLATES]),
    (model_perturbation_robustness, "gradient", [VIOLATES, SATISFIES, VIOLATES]),
    (model_perturbation_robustness, "integrated gradients", [VIOLATES, SATISFIES, VIOLATES]),
    (model_perturbation_robustness, "smoothgrad", [SATISFIES, SATISFIES, VIOLATES]),
    (model_perturbation_robustness, "shapley", [SATISFIES, SATISFIES, VIOLATES]),
    (model_perturbation_robustness, "alpha 1", [SATISFIES, VIOLATES, VIOLATES]),
    (model_perturbation_robustness, "the input", [SATISFIES, SATISFIES, SATISFIES]),
]


@pytest.mark.parametrize(("test", "name", "expected"), KNOWN, ids=[f"{test.__name__}-{name}" for test, name, _ in KNOWN])
def test_known_methods_are_told_apart(test, name, expected):
    explain = adapted(METHODS[name])
    found = test(explain)
    assert [finding.outcome for finding in found] == expected, found
    for finding in found:
        assert finding.why.endswith((".", '"')) or finding.outcome == SILENT
        assert finding.reading
        assert finding.domain
        assert (finding.trials > 0) == (finding.outcome != SILENT)
        assert math.isnan(finding.statistic) == (finding.outcome == SILENT)
        if finding.counterexample:
            exec(compile(finding.counterexample, name, "exec"), {"explain": explain})


@pytest.mark.parametrize("test", TESTS)
def test_a_function_that_refuses_everything_gets_no_verdict(test):
    def broken(model, inputs):
        raise ValueError("not today")

    found = test(adapted(broken))
    assert {finding.outcome for finding in found} == {SILENT}
    assert all("not today" in finding.why for finding in found)


def test_a_function_that_insists_on_a_class_is_given_one():
    def slope(model, inputs, target):
        return methods.gradient(model, inputs, target)

    assert [finding.outcome for finding in output_sensitivity(adapted(slope))] == [SATISFIES, SATISFIES]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("wrong", [lambda model, x: x.sum(), lambda model, x: x * float("nan"), lambda model, x: None])
def test_an_answer_that_is_no_attribution_counts_as_refusal(test, wrong):
    assert {finding.outcome for finding in test(adapted(wrong))} == {SILENT}


@pytest.mark.parametrize("test", TESTS)
def test_results_do_not_depend_on_the_state_of_the_generator(test):
    explain = adapted(lambda model, x: torch.randn_like(x) + x)
    first = test(explain)
    torch.manual_seed(7)
    assert test(explain) == first


def test_a_method_that_jumps_on_smooth_models_is_noticed():
    found = input_perturbation_robustness(adapted(lambda model, x: (methods.gradient(model, x) * 1e7).round() % 2))
    assert found[0].outcome == VIOLATES


def test_removal_that_knows_the_data_is_robust_on_them():
    """With features filled in on the plane of the data the models cannot be told apart."""

    def explain(model, x, target=None):
        mean = torch.zeros_like(x)
        with torch.no_grad():
            change = (model(x) - model(mean)).reshape(-1, 1)
        return change * torch.ones_like(x) / x.shape[1]

    assert model_perturbation_robustness(adapted(explain))[2].outcome == SATISFIES


def test_the_ridge_is_low_and_steep():
    network = mlp((3, 4, 1), "relu", bias=True, generator=torch.Generator().manual_seed(0))
    w = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    x = torch.linspace(-0.2, 0.2, 4001, dtype=torch.float64).unsqueeze(1) * w
    rise = (ridge(network, w, 0.001, 100.0)(x) - network(x))[:, 0]
    assert rise.min() >= -1e-15
    assert math.isclose(rise.max(), 0.001, rel_tol=1e-9)
    assert math.isclose((rise[2001] - rise[1999]) / 0.0002, -0.1, rel_tol=1e-6)
