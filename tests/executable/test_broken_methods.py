"""Checks of theorems, examples and attention must fail when what they check is broken."""

import pytest
import torch

from executable.checks import attention_weights, examples, indicators, learned_values, modified_gradient_times_input, unifications
from executable.checks.unifications import together

CASES = [
    (indicators, "shapley_atoms", indicators.extension, "attributions-from-indicator-atoms/statement", "holds"),
    (indicators, "relu_attribution", indicators.closed_form, "relu-attribution-in-closed-form/statement", "holds"),
    (examples, "shapley_value", examples.study_room, "study-room/statement", "holds"),
    (examples, "occlusion_1", examples.study_room, "study-room/statement", "holds"),
    (examples, "integrated_gradients", examples.monomial_allocation, "monomial-allocation/statement", "holds"),
    (examples, "expected_gradients", examples.monomial_allocation, "monomial-allocation/statement", "holds"),
    (examples, "kernel_shap", examples.or_of_three_variables, "or-of-three-variables/statement", "holds"),
    (attention_weights, "raw_attention", attention_weights.raw_weights, "bert-attention-analysis/belongs-to/attention", "holds"),
    (
        attention_weights,
        "self_attention_attribution",
        attention_weights.weights_and_gradients,
        "self-attention-attribution/belongs-to/attention",
        "holds under condition",
    ),
]


def halved(function):
    def half(*args, **keywords):
        found = function(*args, **keywords)
        if isinstance(found, torch.Tensor):
            return found / 2
        return type(found)(found.points, found.weights / 2)

    return half


@pytest.mark.parametrize(("module", "name", "check", "claim", "status"), CASES, ids=[f"{case[1]}-{case[2].__name__}" for case in CASES])
def test_half_of_a_method_fails(monkeypatch, module, name, check, claim, status):
    if name == "shapley_atoms":
        monkeypatch.setitem(indicators.ATOMS, "Shapley value", halved(indicators.shapley_atoms))
    else:
        monkeypatch.setattr(module, name, halved(getattr(module, name)))
    with torch.random.fork_rng(devices=[]):
        found = check(claim).status
    assert found == "fails" != status


def test_heat_maps_of_other_words_fail(monkeypatch):
    whole = attention_weights.daam

    class Turned:
        def __init__(self, found):
            self.maps = found.maps.flip(1)

    monkeypatch.setattr(attention_weights, "daam", lambda *args, **keywords: Turned(whole(*args, **keywords)))
    assert attention_weights.cross_attention("daam/belongs-to/attention").status == "fails"


def test_estimator_that_is_not_trained_fails(monkeypatch):
    whole = learned_values.train_vit_shapley
    monkeypatch.setattr(learned_values, "train_vit_shapley", lambda *args, n_epochs, **keywords: whole(*args, n_epochs=1, **keywords))
    assert learned_values.learned_estimate("vit-shapley/approximates/shapley-value").status == "fails"


def test_a_theorem_holds_only_if_every_member_does(monkeypatch):
    claim = "modified-gradient-unification/statement"
    monkeypatch.setattr(modified_gradient_times_input, "lrp_epsilon", halved(modified_gradient_times_input.lrp_epsilon))
    monkeypatch.setattr(unifications, "MODIFIED", {name: unifications.MODIFIED[name] for name in ("lrp-0", "lrp-epsilon")})
    found = unifications.modified_gradient_methods(claim)
    assert found.status == "fails"
    assert found.parameters["members"]["lrp-epsilon"]["status"] == "fails"
    assert found.parameters["members"]["lrp-0"]["status"] == "holds"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "holds under condition"], "holds under condition"),
        (["holds", "fails", "holds under condition"], "fails"),
        (["holds", "empirical"], "fails"),
    ],
)
def test_status_of_members_together(states, expected):
    class Found:
        def __init__(self, status):
            self.status = status

    assert together({str(number): Found(status) for number, status in enumerate(states)}) == expected
