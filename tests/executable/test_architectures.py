"""Every method on real architectures: it runs, or refuses with an error that names the module or says what to do."""

import functools
import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from method_cases import CASES

from executable import attribution_equilibrium, cam, daam, necessity_and_sufficiency, sage, vit_shapley
from executable.interactions import GroupImportance, Interactions, TaylorEffects
from executable.testbeds.architectures import bert_like, resnet18, vgg16, vit

MODELS = {
    "vgg16": (lambda: vgg16(width=4, dense=16, classes=10), (3, 32, 32), "28"),
    "resnet18": (lambda: resnet18(width=4, classes=10), (3, 32, 32), "layers.3.1"),
    "vit": (lambda: vit(size=16, patch=4, width=24, depth=2, heads=3, classes=10), (3, 16, 16), "patches"),
    "bert": (lambda: bert_like(vocabulary=20, length=8, width=16, depth=2, heads=4, classes=10), (6, 16), "norm"),
}
FEW = {"n_samples": 40, "n_steps": 4, "max_samples": 80}
CONVOLUTIONAL, ATTENTIVE = {"vgg16", "resnet18"}, {"vit", "bert"}


@dataclass(frozen=True)
class Entry:
    """Functions on architectures, with these options among their arguments (None where the option is left at its default)."""

    functions: set[str]
    names: set[str]
    error: type[Exception] = Exception
    message: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def holds(self, case, name, arguments):
        """Whether it is about this call."""
        chosen = all(arguments.get(key) == value for key, value in self.options.items())
        return chosen and case.function.__name__ in self.functions and name in self.names


LEFT_OUT = [
    # Possible, but the straight line crosses thousands of linear pieces of VGG-16, each with a gradient of its own: minutes.
    Entry({"integrated_gradients"}, {"vgg16"}, options={"method": "exact"}),
    # A normal distribution over d entries needs the inverse of a d x d matrix for every coalition: minutes for the d = 768 and 3072 of images.
    Entry({"causal_shapley"}, {"vgg16", "resnet18", "vit"}),
    # One second derivative for each of 768 entries, 20 seconds; BERT shows that attention is differentiated twice.
    Entry({"integrated_hessians"}, {"vit"}),
    # Asks about each entry by itself, since they have no groups: 3072 answers for each input, which ResNet gives in less time.
    Entry({"explanation_network", "stieltjes_attribution"}, {"vgg16"}),
]
RELU_ONLY = {"deconv", "guided_backprop", "rect_gradient"}
ATTENTION = {"self_attention_attribution", "raw_attention", "attention_rollout", "attention_flow", "gradient_weighted_attention"}
KINKED = r"is piecewise linear, so that its second derivative is zero.*replace it by a smooth module"
REFUSALS = [
    Entry(ATTENTION, CONVOLUTIONAL, NotImplementedError, "no attention ran: the model calls neither"),
    Entry(RELU_ONLY, {"vit"}, NotImplementedError, r"ReLU alone.*no rule for `gelu` in module `encoder.layers.1`; other_activations="),
    Entry(RELU_ONLY, {"bert"}, NotImplementedError, r"ReLU alone.*no rule for `tanh` \(called by the model itself\); other_activations="),
    Entry({"deep_shap"}, {"vgg16"}, NotImplementedError, r"`relu` in module `34` reads \d+ units.*max_inputs=\d+, or use", {"algorithm": None}),
    Entry({"deep_shap"}, {"resnet18"}, NotImplementedError, r"in module `layers.3.1.relu` reads \d+ units.*max_inputs=", {"algorithm": None}),
    Entry({"deep_shap"}, {"vit"}, NotImplementedError, r"`layer_norm` in module `encoder.norm`.*algorithm='rescale'", {"algorithm": None}),
    Entry({"deep_shap"}, {"bert"}, NotImplementedError, r"`layer_norm` in module `encoder.layers.1.norm2`.*algorithm=", {"algorithm": None}),
    Entry({"integrated_gradients"}, {"vit"}, NotImplementedError, r"`layer_norm` in module `encoder.layers.0.norm1`.*quadra", {"method": "exact"}),
    Entry({"integrated_gradients"}, {"bert"}, NotImplementedError, r"`layer_norm` in module `norm` is not.*choose a quadrature", {"method": "exact"}),
    Entry({"integrated_hessians"}, {"vgg16"}, NotImplementedError, r"module `4` \(MaxPool2d\) " + KINKED),
    Entry({"integrated_hessians"}, {"resnet18"}, NotImplementedError, r"module `maxpool` \(MaxPool2d\) " + KINKED),
    Entry({"taylor_interaction_effects"}, {"vgg16", "resnet18", "vit"}, ValueError, r"\d+ entries have \d+ terms.*lower the order or the number"),
    Entry({"propagated_shapley_values"}, {"vgg16"}, ValueError, r"model 1 of the series \(ReLU\) receives 4096 values.*join it with the model"),
    Entry(
        {"grad_cam", "hires_cam"}, {"bert"}, ValueError, r"interpolate `bilinear` is for 2 axes of locations.*has 1; choose one of nearest, .*linear"
    ),
    Entry({"masking_network"}, {"bert"}, ValueError, r"takes images of shape \(batch, channels, height, width\), got \(2, 6, 16\)"),
]


@functools.cache
def built(name):
    return MODELS[name][0]()


def blocks(shape):
    """Six players: stripes along the last axis but one (rows of an image, tokens of a sentence)."""
    stripes = torch.arange(shape[-2]) * 6 // shape[-2]
    return stripes.reshape(-1, 1).expand(shape[-2:]).expand(shape)


def adapted(case, name):
    """The arguments of a case, turned to the shape of the architecture's inputs."""
    shape, layer = MODELS[name][1:]
    small, given = next(pair for pair in (((2, 4, 4), case.images), ((5,), case.rows), ((5, 8), case.tokens)) if pair[1] is not None)
    given, chance = dict(given), torch.Generator().manual_seed(5)
    for key, value in given.items():
        if key == "groups":
            given[key] = torch.stack([blocks(shape) == number for number in range(6)])
        elif key in {"layer", "mask_layer"} and isinstance(value, str):
            given[key] = layer
        elif key in {"causal_order", "unions"}:
            given[key] = [[0, 1], [2, 3], [4, 5]]
        elif isinstance(value, torch.Tensor) and tuple(value.shape[1:]) == small:
            given[key] = torch.rand(value.shape[0], *shape, generator=chance)
        elif key in FEW:
            given[key] = min(value, FEW[key])
    # A grid of RISE and the jitter of a mask are defined by positions, not by players.
    if "feature_mask" in inspect.signature(case.function).parameters and not given.keys() & {"grid", "jitter"}:
        given["feature_mask"] = blocks(shape)
    return given


def values_of(case, found):
    """The numbers in the result; those of interactions in terms of players, not of the small networks of `conftest`."""
    if isinstance(found, Interactions):
        return found.of_size(1)
    return found.values if isinstance(found, GroupImportance | TaylorEffects) else case.result(found)


def entries(listed, case, name, arguments):
    return [entry for entry in listed if entry.holds(case, name, arguments)]


COMMON = [case for case in CASES if (case.rows, case.images, case.tokens) != (None, None, None)]
CALLS = [
    pytest.param(case, name, arguments, id=f"{case.id}:{case.function.__name__}:{number}-{name}")
    for number, case in enumerate(COMMON)
    for name in MODELS
    for arguments in [adapted(case, name)]
    if not entries(LEFT_OUT, case, name, arguments)
]


@pytest.mark.parametrize(("case", "name", "arguments"), CALLS)
def test_runs_or_refuses(case, name, arguments):
    def run():
        return values_of(case, case.function(model, inputs, torch.tensor([0, 2]), **arguments))

    model, inputs = built(name), torch.rand(2, *MODELS[name][1], generator=torch.Generator().manual_seed(4))
    refusals = entries(REFUSALS, case, name, arguments)
    if refusals:
        with pytest.raises(refusals[0].error, match=refusals[0].message):
            run()
        return
    found = run()
    # SAGE explains the whole batch by one vector.
    assert found.shape[0] == (1 if case.id == "sage" else 2)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("entry", [*LEFT_OUT, *REFUSALS], ids=lambda entry: f"{sorted(entry.functions)[0]}-{sorted(entry.names)[0]}")
def test_lists_hold_what_there_is(entry):
    """An entry about a function that has gone, or was renamed, says nothing any more."""
    for function in entry.functions:
        for name in entry.names:
            assert any(entry.holds(case, name, adapted(case, name)) and case.function.__name__ == function for case in COMMON), function


OWN_TERMS = {
    "cam": (lambda m, x, t, p, layer: cam(m, x, t, layer=layer), {"vgg16": "`relu` in module `37`", "vit": "`encoder.norm`", "bert": "`tanh`"}),
    "attribution_equilibrium": (
        lambda m, x, t, p, layer: attribution_equilibrium(m, x, t),
        {"resnet18": r"`relu` in module `layers\.3\.0\.relu`", "bert": "starts at the last convolution, and the model has none"},
    ),
    "daam": (
        lambda m, x, t, p, layer: daam(m, x),
        {"vgg16": "no attention ran", "resnet18": "no attention ran", "vit": "must return images", "bert": "must return images"},
    ),
    "vit_shapley": (
        lambda m, x, t, p, layer: vit_shapley(m, x, t, data=x.repeat(3, *[1] * (x.ndim - 1)), surrogate_epochs=1, n_epochs=1),
        {"vgg16": "no module `encoder`; name the one", "resnet18": "no module `encoder`; name the one"},
    ),
    "sage": (lambda m, x, t, p, layer: sage(m, x, t, feature_mask=p, loss="cross_entropy"), {}),
    "necessity_and_sufficiency": (lambda m, x, t, p, layer: necessity_and_sufficiency(m, x, t, data=x.flip(0), feature_mask=p).sufficiency, {}),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", OWN_TERMS)
def test_methods_without_a_common_case_run_or_refuse(method, name):
    call, refusals = OWN_TERMS[method]
    shape, layer = MODELS[name][1:]
    inputs = torch.rand(2, *shape, generator=torch.Generator().manual_seed(4))
    arguments = (built(name), inputs, torch.tensor([0, 2]), blocks(shape), layer)
    if name in refusals:
        with pytest.raises((NotImplementedError, ValueError), match=refusals[name]):
            call(*arguments)
    else:
        assert torch.isfinite(call(*arguments)).all()
