"""HiResCAM: what it promises of locations that the output does not use, and its own formula."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from executable import cam, grad_cam, hires_cam
from executable.testbeds.digits import trained_digits

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def drawn(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Head(nn.Module):
    """A layer of maps and, behind it, any function of them."""

    def __init__(self, function):
        super().__init__()
        self.maps, self.function = nn.Identity(), function

    def forward(self, x):
        return self.function(self.maps(x))


def squares(a):
    """Products of neighbouring maps at two places; no other place is read."""
    return a[:, 0, 0, 0] * a[:, 1, 0, 0] + a[:, 0, 1, 1] ** 2


def test_places_that_the_output_does_not_use_receive_nothing():
    a = drawn(3, 2, 2, 2, seed=1)
    found = hires_cam(Head(squares), a, layer="maps")[:, 0]
    unused = torch.tensor([[False, True], [True, False]])
    assert found[:, unused].abs().max() == 0
    assert found[:, ~unused].abs().min() > 1e-3
    averaged = grad_cam(Head(squares), a, layer="maps", relu_attributions=False)[:, 0]
    assert averaged[:, unused].abs().min() > 1e-3


def test_own_formula():
    """Euler's theorem for each place by hand: a product of two maps counts once for either, a square twice."""
    a = drawn(3, 2, 2, 2, seed=2)
    found = hires_cam(Head(squares), a, layer="maps")[:, 0]
    expected = torch.zeros(3, 2, 2, dtype=torch.float64)
    expected[:, 0, 0] = 2 * a[:, 0, 0, 0] * a[:, 1, 0, 0]
    expected[:, 1, 1] = 2 * a[:, 0, 1, 1] ** 2
    torch.testing.assert_close(found, expected, **CLOSE)


def test_central_differences_of_scaled_places():
    """The derivative along one place's activations as they grow together, read off the output alone."""
    model = Head(lambda a: torch.tanh(a).prod(dim=1).flatten(1).logsumexp(dim=1) + a.mean(dim=1).square().sum(dim=(1, 2)))
    a, step = drawn(2, 3, 3, 2, seed=3), 1e-5
    found = hires_cam(model, a, layer="maps")[:, 0]
    for u in range(3):
        for v in range(2):
            scale = torch.zeros(3, 2, dtype=torch.float64)
            scale[u, v] = step
            change = (model(a * (1 + scale)) - model(a * (1 - scale))) / (2 * step)
            torch.testing.assert_close(found[:, u, v], change, rtol=1e-7, atol=1e-8)


def test_flattened_linear_head_by_its_weights():
    """One linear layer behind the maps: weights times activations, which add up to the output but for its bias."""
    torch.manual_seed(0)
    stem, head = nn.Conv2d(2, 3, 3, padding=1).double(), nn.Linear(3 * 4 * 4, 5).double()
    model = nn.Sequential(stem, nn.Flatten(), head)
    x, targets = drawn(4, 2, 4, 4, seed=4), torch.tensor([0, 4, 2, 2])
    parts = (head.weight[targets].reshape(4, 3, 4, 4) * stem(x)).detach()
    found = hires_cam(model, x, targets, layer="0", attr_dim_summation=False)
    torch.testing.assert_close(found, parts, **CLOSE)
    summed = hires_cam(model, x, targets, layer=stem, internal_batch_size=3)
    torch.testing.assert_close(summed, parts.sum(dim=1, keepdim=True), **CLOSE)
    logits = model(x).gather(1, targets[:, None])[:, 0].detach()
    torch.testing.assert_close(summed.sum(dim=(1, 2, 3)) + head.bias[targets].detach(), logits, **CLOSE)
    torch.testing.assert_close(hires_cam(model, x, targets, layer="0", relu_attributions=True), summed.clamp(min=0), **CLOSE)


def test_behind_average_pooling_all_three_maps_are_one():
    """The gradient is the same everywhere: Grad-CAM, and CAM divided by the number of locations."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double()
    x = drawn(3, 2, 6, 6, seed=5)
    found = hires_cam(model, x, 1, layer="1")
    torch.testing.assert_close(found, grad_cam(model, x, 1, layer="1", relu_attributions=False), **CLOSE)
    torch.testing.assert_close(found * 16, cam(model, x, 1, layer="1"), **CLOSE)


def test_trained_digits_by_loops():
    trained = trained_digits()
    model, x, y = trained.model, trained.data.test_images[:3], trained.data.test_labels[:3]
    found = hires_cam(model, x, y, layer="4", interpolate="nearest")
    for row in range(3):
        maps = model[:5](x[row : row + 1]).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[5:](maps)[0, y[row]], maps)
        expected = sum(gradient[0, k] * maps[0, k].detach() for k in range(maps.shape[1]))
        torch.testing.assert_close(found[row, 0], functional.interpolate(expected[None, None], (8, 8))[0, 0], rtol=1e-4, atol=1e-5)


def test_wrong_layers_are_refused():
    with pytest.raises(ValueError, match="has no module `nowhere`"):
        hires_cam(Head(squares), drawn(1, 2, 2, 2, seed=6), layer="nowhere")
    with pytest.raises(ValueError, match="unknown interpolate"):
        hires_cam(Head(squares), drawn(1, 2, 2, 2, seed=6), layer="maps", interpolate="cubist")
