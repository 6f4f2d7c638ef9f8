"""Layer-wise propagation on networks of many kinds, and the errors that name what it cannot pass."""

import pytest
import torch
from torch import nn

from executable import gradient, lrp_epsilon
from executable.methods import modified_gradient
from executable.methods.modified_gradient import guided

LOOSE = {"rtol": 1e-8, "atol": 1e-9}


def conv_net(*extra):
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), *extra, nn.Flatten(), nn.LazyLinear(3)).double().eval()


RELU_NETS = {
    "max-pool": [nn.ReLU(), nn.MaxPool2d(2)],
    "average-pool": [nn.ReLU(), nn.AvgPool2d(2)],
    "adaptive": [nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)],
    "adaptive-max": [nn.LeakyReLU(0.2), nn.AdaptiveMaxPool2d(2)],
    "batch-norm": [nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(6, 4, 3, stride=2)],
    "transposed": [nn.ReLU(), nn.ConvTranspose2d(6, 3, 2, stride=2), nn.PReLU(3), nn.ZeroPad2d(1)],
}


@pytest.mark.parametrize("kind", RELU_NETS)
def test_homogeneous_networks_give_gradient_times_input(kind, images):
    model = conv_net(*RELU_NETS[kind])
    with torch.no_grad():
        model(images)
    torch.testing.assert_close(lrp_epsilon(model, images, 1, epsilon=0.0), gradient(model, images, 1) * images, **LOOSE)
    torch.testing.assert_close(modified_gradient(model, images, 1), gradient(model, images, 1), **LOOSE)


def test_functional_network_with_residual_sums_reuse_and_in_place_steps(residual, images):
    torch.testing.assert_close(lrp_epsilon(residual, images, 1, epsilon=0.0), gradient(residual, images, 1) * images, **LOOSE)
    torch.testing.assert_close(modified_gradient(residual, images, 1), gradient(residual, images, 1), **LOOSE)


def test_bias_free_relevance_is_conserved_through_sums_and_splits(rows):
    first, second = torch.randn(4, 5, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)

    def model(x):
        left, right = torch.tanh(x @ first.T).chunk(2, dim=1)
        h = torch.cat([right, left], dim=1)
        return (x + h @ second.T - 0.5 * x).mean(dim=1)

    torch.testing.assert_close(lrp_epsilon(model, rows, epsilon=0.0).sum(1), model(rows), **LOOSE)


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, nn.functional.gelu, nn.functional.softplus, nn.functional.silu, torch.Tensor.tanh])
def test_activations_pass_relevance_on(function, rows):
    weight = torch.randn(1, 5, dtype=torch.float64)

    def model(x):
        return function(nn.functional.linear(x, weight))[:, 0]

    z = rows @ weight.T
    torch.testing.assert_close(lrp_epsilon(model, rows, epsilon=0.0), rows * weight / z * model(rows).unsqueeze(1), **LOOSE)


class Head(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=1)


class Gate(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, upstream):
        return upstream * 2


class Hidden(nn.Module):
    def forward(self, x):
        return Custom.apply(x) + x


class Cut(nn.Module):
    def forward(self, x):
        return x + x.detach()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Softmax(dim=1), r"no rule for `softmax` in module `body.1`; explain the logits"),
        (Head(), r"no rule for `softmax` in module `body.1`"),
        (Gate(), r"no rule for `mul` in module `body.1` of two values that both depend on the inputs"),
        (nn.LayerNorm(4), r"no rule for `layer_norm` in module `body.1`"),
        (Hidden(), r"in module `body.1` bypasses torch functions"),
        (Cut(), r"relevance cannot pass `detach` in module `body.1`"),
    ],
)
def test_layers_without_a_rule_are_named(layer, message, rows):
    model = nn.Sequential()
    model.add_module("body", nn.Sequential(nn.Linear(5, 4), layer))
    model.add_module("top", nn.Linear(4, 2))
    with pytest.raises(NotImplementedError, match=message):
        lrp_epsilon(model.double().eval(), rows, 0)


def test_functional_dropout_in_training_mode_is_named(rows):
    def model(x):
        return nn.functional.dropout(x, 0.5).sum(1)

    with pytest.raises(ValueError, match="`dropout` in module `model` runs in training mode"):
        lrp_epsilon(model, rows)


def test_attention_is_an_error_for_lrp_and_none_for_the_modified_gradient():
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double().eval()
    x = torch.randn(2, 3, 8, dtype=torch.float64)

    def logit(tokens):
        return model(tokens).sum((1, 2))

    with pytest.raises(NotImplementedError, match="no rule for"):
        lrp_epsilon(logit, x)
    torch.testing.assert_close(modified_gradient(logit, x), gradient(logit, x), **LOOSE)


def test_control_flow_and_constants_do_not_disturb(rows):
    def model(x):
        h = x if x.sum() > 1e9 else torch.relu(x) + torch.zeros_like(x)
        assert h.shape == x.shape
        return (h * torch.arange(1.0, 6, dtype=torch.float64)).sum(1)

    torch.testing.assert_close(lrp_epsilon(model, rows, epsilon=0.0), gradient(model, rows) * rows, **LOOSE)


def test_guided_rule_sees_functional_activations(rows):
    def model(x):
        return (-torch.relu(x)).sum(1)

    assert modified_gradient(model, rows, rule=guided).abs().max() == 0


def test_single_precision_stays_single(relu_net, rows):
    found = lrp_epsilon(relu_net.float(), rows.float(), 0)
    assert found.dtype == torch.float32


def test_change_through_a_view_is_an_error_only_if_the_whole_is_read_again(rows):
    def fine(x):
        return (2 * x).view(-1, 5).relu_().sum(1)

    def lost(x):
        h = 2 * x
        h[:, :2].relu_()
        return h.sum(1)

    def written(x):
        h = 2 * x
        h[:, :2] = 0
        return h.sum(1)

    torch.testing.assert_close(lrp_epsilon(fine, rows, epsilon=0.0), gradient(fine, rows) * rows, **LOOSE)
    with pytest.raises(NotImplementedError, match=r"`sum` in module `model` reads a value that was changed in place through a view"):
        lrp_epsilon(lost, rows)
    with pytest.raises(NotImplementedError, match="no rule for `setitem`"):
        lrp_epsilon(written, rows)
    torch.testing.assert_close(modified_gradient(written, rows), gradient(written, rows), **LOOSE)
