"""Other libraries' implementations, on which the audit was not built, are taken for what they are: by their numbers alone."""

import functools
import warnings

import pytest
import torch
from torch import nn

from executable.auditing.answers import examined
from executable.auditing.catalogue import REFERENCES
from executable.auditing.coincidences import coincidences, identified
from executable.auditing.subject import Subject
from executable.conformance.base import declare_missing_operators, peer

DETERMINISTIC = [method for method, known in REFERENCES.items() if "seed" not in known.subject.takes and not known.slow]
ESTIMATES = ["shapley-sampling", "kernel-shap", "gradient-shap", "smoothgrad", "lime"]
SHAPLEY = {"shapley-value", "kernel-shap"}


@pytest.fixture(autouse=True)
def _as_it_comes():
    declare_missing_operators()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def found_for(function, methods=DETERMINISTIC):
    return coincidences(examined(Subject(function)), methods)


def captum(name, *, baselines=True, **settings):
    pytest.importorskip("captum")
    declare_missing_operators()
    kind = getattr(peer("captum.attr"), name)

    def attribute(model, inputs, target=None, baselines=None):
        if "Shap" in name and inputs[0].numel() > 4:
            raise ValueError("too many features to wait for")
        return kind(model).attribute(inputs, target=target, **({} if baselines is None else {"baselines": baselines}), **settings)

    def without(model, inputs, target=None):
        return kind(model).attribute(inputs, target=target, **settings)

    return attribute if baselines else without


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("IntegratedGradients", {}, "integrated-gradients"),
        ("IntegratedGradients", {"method": "riemann_middle", "n_steps": 100}, "integrated-gradients"),
        ("Saliency", {"baselines": False, "abs": False}, "gradient"),
        ("InputXGradient", {"baselines": False}, "grad-times-input"),
        ("FeatureAblation", {}, "occlusion-1"),
        ("ShapleyValues", {}, "shapley-value"),
    ],
)
def test_captum(name, settings, expected):
    settings = dict(settings)
    assert expected in identified(found_for(captum(name, **settings)))


@pytest.mark.parametrize(("name", "expected"), [("GuidedBackprop", "guided-backprop"), ("Deconvolution", "deconv")])
def test_captum_modified_gradients_where_the_network_has_relus(name, expected):
    found = next(item for item in found_for(captum(name, baselines=False), DETERMINISTIC) if item.method == expected)
    assert {"ReLU networks", "ReLU networks without biases", "convolutional networks", "polynomials"} <= set(found.domains)
    assert not found.differs


def test_captum_saliency_is_the_absolute_gradient():
    made = found_for(captum("Saliency", baselines=False))
    found = next(item for item in made if item.method == "gradient" and item.relation == "absolute value")
    assert found.everywhere


def test_captum_deep_lift_is_deeplift_rescale_but_for_products_and_pooling_after_relu():
    found = found_for(captum("DeepLift"), ["deeplift-rescale"])[0]
    layered = {"linear functions", "smooth networks", "ReLU networks", "ReLU networks without biases", "ReLU networks at positive inputs"}
    assert (found.relation, set(found.domains)) == ("equal", layered)
    assert set(found.differs) == {"multilinear functions", "polynomials", "convolutional networks", "positive images"}


def test_captum_lrp_is_lrp_epsilon_but_for_a_model_that_is_one_layer():
    found = found_for(captum("LRP", baselines=False), ["lrp-epsilon"])[0]
    assert set(found.domains) == {"smooth networks", "ReLU networks", "ReLU networks without biases", "ReLU networks at positive inputs"}
    assert found.differs == ("linear functions",)


@pytest.mark.parametrize(
    ("name", "settings"), [("ShapleyValueSampling", {"n_samples": 10}), ("KernelShap", {"n_samples": 40, "perturbations_per_eval": 40})]
)
def test_captum_estimates_of_the_shapley_value(name, settings):
    made = found_for(captum(name, **settings), ["shapley-value", "banzhaf-value", "occlusion-1", "integrated-gradients"])
    assert made[0].method == "shapley-value"
    assert {"multilinear functions", "polynomials", "ReLU networks", "games"} <= set(made[0].domains)
    assert not {"shapley-value"} & {item.method for item in made[1:] if item.everywhere}


def test_captum_gradient_shap_is_expected_gradients():
    pytest.importorskip("captum")
    kind = peer("captum.attr").GradientShap

    def attribute(model, inputs, target=None, *, baselines=None):
        b = torch.zeros_like(inputs[:1]) if baselines is None else baselines
        return kind(model).attribute(inputs, baselines=b, target=target, n_samples=60, stdevs=0.0)

    made = found_for(attribute, ["expected-gradients", "gradient-shap", "gradient", "shapley-value"])
    assert {"expected-gradients", "gradient-shap"} <= {item.method for item in made if item.everywhere and "several baselines" in item.domains}


def test_captum_lime_is_an_estimate_of_none_of_ours_and_depends_on_the_game_alone():
    from executable.auditing.forms import forms
    from executable.auditing.weights import coalition_weights, taylor_allocation

    function = captum("Lime", n_samples=30, perturbations_per_eval=30)
    found = examined(Subject(function))
    assert found.chance
    assert not identified(coincidences(found, ["lime", "shapley-value", "banzhaf-value", "occlusion-1"]))
    subject = found.subject
    forms_found = forms(subject, found.chance, taylor_allocation(subject, found.chance), coalition_weights(subject, found.chance))
    assert next(form for form in forms_found if form.family == "feature-removal").fits


def answers(model, target):
    def predict(x):
        with torch.no_grad():
            out = model(torch.as_tensor(x))
        return (out if target is None else out[:, target]).numpy()

    return predict


def rowwise(explain):
    """SHAP explains with one background for all rows."""

    def attribute(model, inputs, target=None, *, baselines=None):
        b = torch.zeros_like(inputs[:1]) if baselines is None else baselines
        if len(b) > 1 or inputs[0].numel() > 4 or not inputs.is_floating_point():
            raise ValueError("one baseline and a few features only")
        return torch.as_tensor(explain(answers(model, target), inputs, b)).reshape(inputs.shape)

    return attribute


def shap_exact(predict, x, b):
    shap = peer("shap")
    return shap.explainers.Exact(predict, shap.maskers.Independent(b.numpy()))(x.numpy()).values


def shap_kernel(predict, x, b):
    return peer("shap").KernelExplainer(predict, b.numpy()).shap_values(x.numpy(), silent=True)


def shap_sampling(predict, x, b):
    return peer("shap").SamplingExplainer(predict, b.numpy()).shap_values(x.numpy(), nsamples=100, silent=True)


def shapiq_exact(predict, x, b, index="SV"):
    shapiq = peer("shapiq")
    rows = []
    for row in x:

        def game(coalitions, row=row):
            return predict(torch.where(torch.as_tensor(coalitions), row, b[0]))

        values = shapiq.ExactComputer(n_players=len(row), game=game)(index, order=1)
        rows.append([values[(i,)] for i in range(len(row))])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("library", "explain", "expected"),
    [
        ("shap", shap_exact, SHAPLEY),
        ("shap", shap_kernel, SHAPLEY),
        ("shapiq", shapiq_exact, SHAPLEY),
        ("shapiq", functools.partial(shapiq_exact, index="BV"), {"banzhaf-value"}),
    ],
)
def test_exact_values_of_games(library, explain, expected):
    pytest.importorskip(library)
    assert set(identified(found_for(rowwise(explain), [*DETERMINISTIC, "kernel-shap"]))) == expected


def test_shap_sampling():
    pytest.importorskip("shap")
    made = found_for(rowwise(shap_sampling), ["shapley-value", "banzhaf-value", "occlusion-1", "integrated-gradients"])
    assert made[0].method == "shapley-value"
    assert made[0].everywhere


def test_shap_deep_explainer_is_deeplift_rescale_for_one_baseline():
    shap = pytest.importorskip("shap")

    def attribute(model, inputs, target=None, *, baselines=None):
        if not isinstance(model, nn.Sequential):
            raise ValueError("layers only")
        b = torch.zeros_like(inputs[:1]) if baselines is None else baselines
        values = shap.DeepExplainer(model, b).shap_values(inputs, check_additivity=False)
        return torch.as_tensor(values[..., target])

    made = {item.method: item for item in found_for(attribute, ["deeplift-rescale", "integrated-gradients", "deep-shap", "grad-times-input"])}
    assert {"ReLU networks", "ReLU networks without biases", "smooth networks"} <= set(made["deeplift-rescale"].domains)


def zennit(composite):
    def attribute(model, inputs, target=None):
        if not isinstance(model, nn.Sequential):
            raise ValueError("layers only")
        one_hot = nn.functional.one_hot(torch.tensor([target] * len(inputs)), 2).double()
        with peer("zennit.attribution").Gradient(model, composite()) as attributor:
            _, relevance = attributor(inputs, attr_output=lambda output: output * one_hot)
        return relevance.detach()

    return attribute


def epsilon():
    rules, types = peer("zennit.rules"), peer("zennit.types")
    layers = [(types.Activation, rules.Pass()), (types.AvgPool, rules.Norm(stabilizer=1e-9)), (types.Linear, rules.Epsilon(epsilon=1e-9))]
    return peer("zennit.composites").LayerMapComposite(layer_map=layers)


def alpha2_beta1():
    rules, types = peer("zennit.rules"), peer("zennit.types")
    rule = rules.AlphaBeta(alpha=2, beta=1, stabilizer=1e-12, zero_params="bias")
    layers = [(types.Activation, rules.Pass()), (types.AvgPool, rule), (types.Linear, rule)]
    return peer("zennit.composites").LayerMapComposite(layer_map=layers)


def test_zennit_epsilon():
    pytest.importorskip("zennit")
    assert "lrp-0" in identified(found_for(zennit(epsilon)))


def test_zennit_alpha_beta_but_for_the_average_at_the_end_of_a_convolutional_network():
    pytest.importorskip("zennit")
    found = next(item for item in found_for(zennit(alpha2_beta1)) if item.method == "lrp-alpha-beta")
    assert {"smooth networks", "ReLU networks", "ReLU networks without biases", "ReLU networks at positive inputs"} <= set(found.domains)
    assert set(found.differs) <= {"convolutional networks", "positive images"}


@pytest.mark.parametrize(("name", "expected"), [("GuidedBackprop", "guided-backprop"), ("DeconvNet", "deconv")])
def test_zennit_modified_gradients(name, expected):
    pytest.importorskip("zennit")

    def one(model, inputs, target=None):
        if not isinstance(model, nn.Sequential):
            raise ValueError("layers only")
        one_hot = nn.functional.one_hot(torch.tensor([target] * len(inputs)), 2).double()
        with peer("zennit.attribution").Gradient(model, getattr(peer("zennit.composites"), name)()) as attributor:
            return attributor(inputs, attr_output=one_hot)[1].detach()

    assert expected in identified(found_for(one))
