"""DeepLIFT with the Rescale rule: closed forms, completeness on everything that has a rule, stability, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from executable.methods.layerwise_backprop import deeplift_rescale
from executable.methods.modified_gradient import gradient
from executable.testbeds import architectures
from executable.testbeds.digits import trained_digits

D = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed))


def missing(model, x, b, target, found):
    """Largest difference between the sum of attributions and f(x) - f(b)."""
    with torch.no_grad():
        change = (model(x) - model(b.expand_as(x)))[:, target]
    return float((found.flatten(1).sum(1) - change).abs().max())


class Net(nn.Module):
    """One operation between two convolutions."""

    def __init__(self, middle, channels=4):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.middle, self.second = nn.Conv2d(2, 4, 3), middle, nn.Conv2d(channels, 3, 2)
        self.double().eval()

    def forward(self, x):
        return torch.tanh(self.second(self.middle(self.first(x)))).mean((2, 3))


class Reused(nn.Module):
    """A shared in-place ReLU, functional and in-place calls, residual sums, concatenation, products of two paths, softmax."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.stem, self.mix, self.act, self.head = (
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Linear(8, 3),
        )
        self.norm = nn.BatchNorm2d(4)
        self.double().eval()
        self.norm.running_mean.normal_()

    def forward(self, x):
        h = self.act(self.norm(self.stem(x)))
        h = h + self.act(self.mix(h))
        again = F.gelu(self.mix(h))
        again += h
        F.relu_(again)
        h = torch.cat([again.mean((2, 3)), F.adaptive_max_pool2d(again, 1).flatten(1)], dim=1)
        out = self.head(h)
        return F.softmax(out * torch.sigmoid(out) / (1 + out.square()), dim=-1)


class Attention(nn.Module):
    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(3)
        self.kind, self.norm, self.project, self.out = kind, nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 2)
        self.double().eval()

    def forward(self, x):
        q, k, v = self.project(self.norm(x)).chunk(3, -1)
        if self.kind == "function":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif self.kind == "einsum":
            y = torch.einsum("bij,bjd->bid", F.softmax(torch.einsum("bid,bjd->bij", q, k), -1), v)
        else:  # batch not on the first axis
            y = ((q.transpose(0, 1).permute(1, 0, 2) @ k.mT) * 0.3).softmax(-1) @ F.normalize(v, dim=-1)
        return self.out(F.gelu(x + y).mean(1))


def shrunk():
    return [
        nn.MaxPool2d(2), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d(3), nn.Softmax(1), nn.Softmax2d(),
        nn.LogSoftmax(1), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.LayerNorm([4, 5, 5]), nn.PReLU(4, 0.3), nn.ReLU(), nn.GELU(),
        nn.GELU(approximate="tanh"), nn.SiLU(inplace=True), nn.Tanh(), nn.Sigmoid(), nn.Mish(), nn.SELU(), nn.ELU(), nn.Softplus(), nn.Hardswish(),
        nn.LeakyReLU(inplace=True), nn.Hardtanh(), nn.ReLU6(), nn.Upsample(scale_factor=2), nn.BatchNorm2d(4), nn.Dropout(0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("middle", shrunk(), ids=str)
def test_complete_and_the_gradient_where_input_and_baseline_agree(middle):
    model, x, b = Net(middle), drawn(3, 2, 7, 7), drawn(3, 2, 7, 7, seed=1)
    for baseline in (b, b[:1], torch.zeros_like(b)):
        assert missing(model, x, baseline, 1, deeplift_rescale(model, x, 1, baselines=baseline)) < 1e-13
    single = model.float()
    assert missing(single, x.float(), b.float(), 1, deeplift_rescale(single, x.float(), 1, baselines=b.float())) < 3e-6
    model.double()
    near = x + 1e-7 * b
    multipliers = deeplift_rescale(model, near, 1, baselines=x) / (near - x)
    torch.testing.assert_close(multipliers, gradient(model, x, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [Reused()], ids=["reused"])
def test_complete_on_shared_in_place_and_functional_activations(model):
    x, b = drawn(4, 2, 5, 5), drawn(4, 2, 5, 5, seed=1)
    for baseline in (b, b[:1]):
        for target in range(3):
            assert missing(model, x, baseline, target, deeplift_rescale(model, x, target, baselines=baseline)) < 1e-14


@pytest.mark.parametrize("kind", ["function", "einsum", "plain"])
def test_complete_on_attention(kind):
    model, x, b = Attention(kind), drawn(3, 4, 8), drawn(3, 4, 8, seed=1)
    for baseline in (b, b[:1]):
        assert missing(model, x, baseline, 1, deeplift_rescale(model, x, 1, baselines=baseline)) < 1e-14


def test_complete_on_a_transformer_layer_and_the_batch_on_the_second_axis():
    torch.manual_seed(0)
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, activation="gelu"), nn.Flatten(), nn.Linear(32, 2)).double().eval()

    def swapped(x):
        return model[2](model[0](x.transpose(0, 1)).transpose(0, 1).flatten(1))

    x, b = drawn(3, 4, 8), drawn(3, 4, 8, seed=1)
    for baseline in (b, b[:1]):
        assert missing(swapped, x, baseline, 1, deeplift_rescale(swapped, x, 1, baselines=baseline)) < 1e-13
    torch.testing.assert_close(deeplift_rescale(swapped, x, 1, baselines=b)[1:2], deeplift_rescale(swapped, x[1:2], 1, baselines=b[1:2]))


FUNCTIONS = {
    "rms_norm": lambda z: F.rms_norm(z, (6,), weight=torch.arange(1.0, 7, dtype=D)),
    "layer_norm without weights": lambda z: F.layer_norm(z, (6,)),
    "instance_norm": lambda z: F.instance_norm(z.reshape(-1, 2, 3)).flatten(1),
    "instance_norm with kept statistics": lambda z: F.instance_norm(
        z.reshape(-1, 2, 3), torch.ones(2, dtype=D), torch.full((2,), 2.0, dtype=D), use_input_stats=False
    ).flatten(1),
    "norm": lambda z: z * z.norm(dim=1, keepdim=True),
    "norm over two axes": lambda z: z * torch.linalg.vector_norm(z.reshape(-1, 2, 3), dim=(1, 2))[:, None],
    "normalize": lambda z: F.normalize(z, dim=1),
    "glu": lambda z: F.glu(z, dim=-1).repeat(1, 2),
    "logsumexp": lambda z: z - z.logsumexp(1, keepdim=True) + z.logsumexp(1)[:, None],
    "amin": lambda z: z * z.amin(1, keepdim=True),
    "max with indices": lambda z: z + z.max(dim=1, keepdim=True).values,
    "max_pool1d": lambda z: F.max_pool1d(z[:, None], 3, 1, 1).flatten(1),
    "quotients": lambda z: z / (1 + z.square()) + 1 / (2 + torch.cos(z)) - z.exp() / 3,
    "power": lambda z: (z.abs() + 0.1) ** 1.7,
    "sums": lambda z: z.cumsum(1) + 3 - z.mean(1, keepdim=True).expand_as(z),
    "gram": lambda z: (z[:, :, None] @ z[:, None]).sum(2),
    "repeated operand": lambda z: torch.einsum("bi,bi->b", z, z)[:, None] * z,
    "write in place": lambda z: z.clone().index_fill(1, torch.tensor([2]), 0.5),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_complete_on_functions(name):
    weights = drawn(6, 5, seed=3) / 2

    def model(v):
        return torch.tanh(FUNCTIONS[name](v @ weights.T) / 3)

    x, b = drawn(4, 5), drawn(4, 5, seed=1)
    for baseline in (b, b[:1]):
        for target in (0, 2):
            found = deeplift_rescale(model, x, target, baselines=baseline)
            assert missing(model, x, baseline, target, found) < 1e-13
    near = x + 1e-7 * b
    torch.testing.assert_close(deeplift_rescale(model, near, 1, baselines=x) / (near - x), gradient(model, x, 1), rtol=1e-4, atol=1e-5)


def test_complete_on_common_architectures():
    images, others = drawn(2, 3, 32, 32), drawn(2, 3, 32, 32, seed=1)
    text, blank = drawn(2, 8, 16), drawn(2, 8, 16, seed=1)
    models = [
        (architectures.resnet18(width=4, classes=3), images, others),
        (architectures.vit(size=32, patch=8, width=12, depth=2, heads=3, classes=3), images, others),
        (architectures.bert_like(length=8, width=16, depth=2, heads=2), text, blank),
    ]
    for model, x, b in models:
        model.double().eval()
        for baseline in (b, b[:1]):
            assert missing(model, x, baseline, 1, deeplift_rescale(model, x, 1, baselines=baseline)) < 1e-9


def test_one_baseline_for_all_inputs_is_run_once_and_changes_nothing(relu_net, rows):
    seen = []

    def model(x):
        seen.append(len(x))
        return relu_net(x)

    shared = deeplift_rescale(model, rows, 1, baselines=0.3)
    assert seen == [6, 1]
    different = torch.full_like(rows, 0.3)
    different[0] = 0.1
    torch.testing.assert_close(deeplift_rescale(model, rows, 1, baselines=different)[1:], shared[1:])


# Closed forms


def test_same_function_written_as_two_networks():
    x = torch.tensor([[3.0, 1.0]], dtype=D)
    one = deeplift_rescale(lambda x: torch.relu(x[:, 0] - 1 - torch.relu(x[:, 1])), x)
    two = deeplift_rescale(lambda x: torch.relu(torch.relu(x[:, 0] - 1) - torch.relu(x[:, 1])), x)
    torch.testing.assert_close(one, torch.tensor([[1.5, -0.5]], dtype=D))
    torch.testing.assert_close(two, torch.tensor([[2.0, -1.0]], dtype=D))


def test_formula_layer_by_layer():
    """Taylor paper, Eq. 38 in multiplier form, written with matrices."""
    torch.manual_seed(0)
    w1, w2, w3 = drawn(6, 4), drawn(5, 6, seed=1), drawn(1, 5, seed=2)
    x, b = drawn(1, 4, seed=3), drawn(1, 4, seed=4)

    def forward(v):
        z1 = v @ w1.T + 0.2
        z2 = torch.sigmoid(z1) @ w2.T - 0.1
        return z1, z2, torch.relu(z2) @ w3.T

    (z1, z2, _), (c1, c2, _) = forward(x), forward(b)
    m2 = w3 * (torch.relu(z2) - torch.relu(c2)) / (z2 - c2)
    m1 = (m2 @ w2) * (torch.sigmoid(z1) - torch.sigmoid(c1)) / (z1 - c1)
    torch.testing.assert_close(deeplift_rescale(lambda v: forward(v)[2], x, baselines=b), (m1 @ w1) * (x - b))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_linear_model_dummy_and_no_difference(seed):
    w, x, b = drawn(4, seed=seed), drawn(2, 4, seed=seed + 1), drawn(2, 4, seed=seed + 2)
    torch.testing.assert_close(deeplift_rescale(lambda v: v @ w + 3, x, baselines=b), w * (x - b))
    w[1] = 0

    def model(v):
        return torch.tanh(v @ w).square() + torch.relu(v[:, 0] * v[:, 3])

    found = deeplift_rescale(model, x, baselines=b)
    assert (found[:, 1] == 0).all()
    b[:, 2] = x[:, 2]
    assert (deeplift_rescale(model, x, baselines=b)[:, 2] == 0).all()
    assert (deeplift_rescale(model, x, baselines=x) == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_bias_free_relu_network_against_zero_is_gradient_times_input(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False)).double()
    x = drawn(3, 5, seed=seed)
    torch.testing.assert_close(deeplift_rescale(model, x, 1), gradient(model, x, 1) * x)


def test_products_quotients_and_maxima_of_two_values_are_shapley_values_of_two_players():
    x, b = torch.tensor([[3.0, 2.0]], dtype=D), torch.tensor([[1.0, 5.0]], dtype=D)
    for f in (lambda u, v: u * v, lambda u, v: u / v, torch.maximum, torch.minimum, torch.pow):

        def model(z, f=f):
            return f(z[:, 0], z[:, 1])

        (u, v), (u0, v0) = x[0], b[0]
        first = (f(u, v0) - f(u0, v0) + f(u, v) - f(u0, v)) / 2
        second = (f(u0, v) - f(u0, v0) + f(u, v) - f(u, v0)) / 2
        torch.testing.assert_close(deeplift_rescale(model, x, baselines=b), torch.stack([first, second])[None])


def test_maximum_gives_its_change_to_the_place_of_the_larger_maximum():
    x, b = torch.tensor([[1.0, 4.0, 2.0]], dtype=D), torch.tensor([[3.0, 0.0, 2.5]], dtype=D)
    torch.testing.assert_close(deeplift_rescale(lambda z: z.amax(1), x, baselines=b), torch.tensor([[0.0, 1.0, 0.0]], dtype=D))
    torch.testing.assert_close(deeplift_rescale(lambda z: z.amax(1), b, baselines=x), torch.tensor([[0.0, -1.0, 0.0]], dtype=D))
    torch.testing.assert_close(deeplift_rescale(lambda z: z.amin(1), x, baselines=b), torch.tensor([[0.0, 1.0, 0.0]], dtype=D))


def test_softmax_formula_and_its_invariance_to_a_constant():
    x, b = drawn(1, 5)[0], drawn(1, 5, seed=1)[0]
    p, q = x.softmax(0), b.softmax(0)
    mean = (p - q) / (p.log() - q.log())
    torch.testing.assert_close((mean * (x - b)).sum() / mean.sum(), x.logsumexp(0) - b.logsumexp(0))
    expected = torch.diag(mean) - torch.outer(mean, mean) / mean.sum()
    for target in range(5):
        found = deeplift_rescale(lambda z: z.softmax(1), x[None], target, baselines=b)
        torch.testing.assert_close(found[0], expected[target] * (x - b))
        model = nn.Sequential(nn.Linear(5, 5), nn.Softmax(1)).double()
        one = deeplift_rescale(model, x[None], target, baselines=b)
        with torch.no_grad():
            model[0].bias += 7
        torch.testing.assert_close(deeplift_rescale(model, x[None], target, baselines=b), one)
    found = deeplift_rescale(lambda z: z.log_softmax(1), x[None], 2, baselines=b)
    torch.testing.assert_close(found[0], (torch.eye(5, dtype=D)[2] - mean / mean.sum()) * (x - b))
    torch.testing.assert_close(deeplift_rescale(lambda z: z.logsumexp(1), x[None], baselines=b)[0], mean / mean.sum() * (x - b))


def test_softmax_of_far_apart_and_of_masked_values():
    x, b = torch.tensor([[900.0, -900.0, 0.0]], dtype=D), torch.tensor([[-900.0, 900.0, 0.0]], dtype=D)
    found = deeplift_rescale(lambda z: z.softmax(1), x, 0, baselines=b)
    torch.testing.assert_close(found.sum(), torch.tensor(1.0, dtype=D))
    mask = torch.tensor([False, False, True])
    found = deeplift_rescale(lambda z: z.masked_fill(mask, -math.inf).softmax(1), x / 900, 0, baselines=b / 900)
    assert torch.isfinite(found).all()
    assert found[0, 2] == 0


# Numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, F.gelu, F.silu, F.softplus, F.elu, F.leaky_relu, torch.exp, torch.relu])
def test_slopes_stay_accurate_as_the_difference_vanishes(function, dtype):
    """A multiplier must not be a quotient of two rounding errors."""
    for centre in (-2.0, 0.3, 1.7):
        for exponent in range(1, 17):
            step = 10.0**-exponent
            b = torch.tensor([[centre]], dtype=dtype)
            x = b + step
            if bool(x == b):
                continue
            multiplier = deeplift_rescale(function, x, baselines=b) / (x - b)
            middle = ((x.to(D) + b.to(D)) / 2).requires_grad_()
            (derivative,) = torch.autograd.grad(function(middle).sum(), middle)
            # The derivative half-way differs from the slope by step**2 times a third derivative over 24.
            assert abs(multiplier - derivative) <= 0.3 * step**2 + 100 * torch.finfo(dtype).eps ** (2 / 3)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu"])
def test_no_difference_at_a_neuron_passes_the_derivative_on(name):
    function = getattr(torch, name, None) or getattr(F, name)

    def model(x):
        return function(2 * x[:, 0] - 2 * x[:, 1] + 0.7)

    x = torch.ones(1, 2, dtype=D)
    z = torch.tensor(0.7, dtype=D, requires_grad=True)
    (derivative,) = torch.autograd.grad(function(z), z)
    torch.testing.assert_close(deeplift_rescale(model, x), derivative * torch.tensor([[2.0, -2.0]], dtype=D))


def test_trained_digits():
    digits = trained_digits()
    x, labels = digits.data.test_images[:8], digits.data.test_labels[:8]
    b = digits.data.train_images.mean(dim=0, keepdim=True)
    found = deeplift_rescale(digits.model, x, labels, baselines=b)
    with torch.no_grad():
        change = (digits.model(x) - digits.model(b)).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(found.flatten(1).sum(1), change, rtol=1e-4, atol=1e-4)
    assert found.abs().max() > 0.1


# What is refused


def test_operation_without_a_rule_is_named_with_its_module():
    class Sorts(nn.Module):
        def forward(self, x):
            return x.sort(dim=1).values

    model = nn.Sequential(nn.Linear(5, 4), Sorts(), nn.Linear(4, 2)).double()
    with pytest.raises(NotImplementedError, match=r"no rule for `sort` in module `1`"):
        deeplift_rescale(model, drawn(2, 5), 0)


def test_mask_computed_from_the_input_is_refused():
    class Gate(nn.Module):
        def forward(self, x):
            return x * (x > 0.5)

    # Open on the input and shut on the baseline: only then does the product change by more than one of its factors.
    model = nn.Sequential(nn.Identity(), Gate(), nn.Linear(3, 2)).double()
    with pytest.raises(NotImplementedError, match=r"`mul` in module `1` changes by more than what it reads explains"):
        deeplift_rescale(model, torch.ones(2, 3, dtype=D), 0, baselines=torch.full((2, 3), 0.25, dtype=D))


def test_other_operations_on_the_baseline_are_refused():
    def model(x):
        return torch.tanh(x).sum(1) if x.sum() > 0 else x.sum(1)

    with pytest.raises(NotImplementedError, match=r"`tanh`.* on the input but `sum`.* on the baseline"):
        deeplift_rescale(model, torch.ones(1, 3, dtype=D), baselines=-1.0)


def test_severed_values_and_unknown_baselines_are_refused():
    with pytest.raises(NotImplementedError, match="cuts the value off"):
        deeplift_rescale(lambda x: (x * x.detach()).sum(1), drawn(2, 3))
    with pytest.raises(ValueError, match="baselines of shape"):
        deeplift_rescale(lambda x: x.sum(1), drawn(2, 3), baselines=torch.zeros(4))
    with pytest.raises(ValueError, match="training mode"):
        deeplift_rescale(nn.Sequential(nn.Linear(3, 1), nn.Dropout()).double(), drawn(2, 3))
