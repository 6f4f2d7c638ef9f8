"""The methods against independent libraries, in double precision."""

import sys
import types

import pytest
import torch
from torch import nn

from executable import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value

pytestmark = pytest.mark.filterwarnings("ignore")
CLOSE = {"rtol": 1e-7, "atol": 1e-8}


@pytest.fixture
def cnn():
    torch.manual_seed(7)
    layers = [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(*layers).double().eval()


TARGETS = torch.tensor([0, 1, 2, 1, 0])


def test_gradient_captum(cnn, images):
    attr = pytest.importorskip("captum.attr")
    torch.testing.assert_close(gradient(cnn, images, TARGETS), attr.Saliency(cnn).attribute(images, TARGETS, abs=False), **CLOSE)


NAMES = {"gauss_legendre": "gausslegendre", "riemann_left": "riemann_left", "riemann_right": "riemann_right", "riemann_midpoint": "riemann_middle"}


@pytest.mark.parametrize(("ours", "theirs"), NAMES.items())
def test_integrated_gradients_captum(ours, theirs, cnn, images):
    attr = pytest.importorskip("captum.attr")
    baseline = 0.1 * torch.ones_like(images[:1])
    expected = attr.IntegratedGradients(cnn).attribute(images, baseline, TARGETS, n_steps=30, method=theirs)
    torch.testing.assert_close(integrated_gradients(cnn, images, TARGETS, baselines=baseline, n_steps=30, method=ours), expected, **CLOSE)


def test_occlusion_captum(cnn, images):
    attr = pytest.importorskip("captum.attr")
    baseline = 0.1 * torch.ones_like(images[:1])
    mask = torch.arange(8).reshape(1, 2, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    for groups in (None, mask):
        expected = attr.FeatureAblation(cnn).attribute(images, baseline, TARGETS, feature_mask=groups)
        torch.testing.assert_close(occlusion_1(cnn, images, TARGETS, baselines=baseline, feature_mask=groups), expected, **CLOSE)


def test_shapley_value_captum(cnn, images):
    attr = pytest.importorskip("captum.attr")
    mask = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]).repeat(1, 2, 1, 1)
    expected = attr.ShapleyValues(cnn).attribute(images, 0.1, TARGETS, feature_mask=mask)
    torch.testing.assert_close(
        shapley_value(cnn, images, TARGETS, baselines=0.1, feature_mask=mask).float(), expected, rtol=1e-4, atol=1e-6
    )  # Captum rounds to single


@pytest.mark.parametrize("epsilon", [1e-9, 1e-3, 0.25])
def test_lrp_captum(epsilon, cnn, images):
    attr = pytest.importorskip("captum.attr")
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")

    class Functional(nn.Module):  # Captum has no rule for nn.Flatten
        def __init__(self):
            super().__init__()
            self.features, self.head = cnn[:5], cnn[6]

        def forward(self, x):
            return self.head(self.features(x).flatten(1))

    for layer in cnn:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.rule = rules.EpsilonRule(epsilon=epsilon)
    expected = attr.LRP(Functional()).attribute(images, TARGETS)
    torch.testing.assert_close(lrp_epsilon(cnn, images, TARGETS, epsilon=epsilon), expected.detach(), **CLOSE)


def import_zennit():
    """Zennit imports torchvision for its canonizers alone; where the installed build does not fit torch, empty classes stand in."""
    try:
        pytest.importorskip("zennit")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "zennit")]:
            del sys.modules[name]
        stand_ins = ("torchvision", "torchvision.models", "torchvision.models.resnet", "torchvision.models.vgg")
        for name in stand_ins:
            sys.modules[name] = types.ModuleType(name)
        for name in ("BasicBlock", "Bottleneck", "ResNet"):
            setattr(sys.modules["torchvision.models.resnet"], name, type(name, (nn.Module,), {}))
        import zennit  # noqa: F401

        for name in stand_ins:
            del sys.modules[name]


@pytest.mark.parametrize("epsilon", [1e-9, 1e-3, 0.25])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_lrp_zennit(epsilon, activation, cnn, images):
    import_zennit()
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon, Pass
    from zennit.types import Activation, AvgPool, Linear

    model = nn.Sequential(*[activation() if isinstance(layer, nn.ReLU) else layer for layer in cnn])
    composite = LayerMapComposite([(Linear, Epsilon(epsilon=epsilon)), (AvgPool, Epsilon(epsilon=epsilon)), (Activation, Pass())])
    one_hot = nn.functional.one_hot(TARGETS, 3).double()
    with Gradient(model, composite) as attributor:
        _, expected = attributor(images, attr_output=lambda output: output * one_hot)
    torch.testing.assert_close(lrp_epsilon(model, images, TARGETS, epsilon=epsilon), expected.detach(), **CLOSE)


def test_shapley_value_shap(relu_net, rows):
    shap = pytest.importorskip("shap")
    background = torch.full((1, 5), 0.3, dtype=torch.float64).numpy()

    def predict(x):
        with torch.no_grad():
            return relu_net(torch.from_numpy(x)).numpy()[:, 1]

    explain = shap.explainers.Exact(predict, shap.maskers.Independent(background))
    torch.testing.assert_close(shapley_value(relu_net, rows, 1, baselines=0.3), torch.from_numpy(explain(rows.numpy()).values), **CLOSE)


def test_shapley_value_shapiq(relu_net, rows):
    shapiq = pytest.importorskip("shapiq")

    def game(coalitions):
        with torch.no_grad():
            return relu_net(torch.where(torch.from_numpy(coalitions), rows[0], 0.3))[:, 1].numpy()

    values = shapiq.ExactComputer(n_players=5, game=game)("SV", order=1)
    expected = torch.tensor([values[(i,)] for i in range(5)], dtype=torch.float64)
    torch.testing.assert_close(shapley_value(relu_net, rows[:1], 1, baselines=0.3)[0], expected, **CLOSE)
