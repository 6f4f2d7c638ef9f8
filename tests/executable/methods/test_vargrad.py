"""VarGrad: what it promises, and its own formula."""

import math

import pytest
import torch
from torch import nn

from executable import gradient, smoothgrad, vargrad

CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def drawn(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise_of(count, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)])


def test_own_formula():
    """The variance over the same draws, all kept at once."""
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2)).double().eval()
    x = drawn(3, 4, seed=1)
    each = torch.stack([gradient(model, x + 0.5 * draw, 1) for draw in noise_of(30, 4)])
    found = vargrad(model, x, 1, n_samples=30, stdevs=0.5)
    torch.testing.assert_close(found, each.var(dim=0, correction=0), **CLOSE)
    torch.testing.assert_close(vargrad(model, x, 1, n_samples=30, stdevs=0.5, internal_batch_size=7), found, **CLOSE)


def test_quadratic_by_its_hessian():
    """The gradient is linear in the noise, so its variance is a quadratic form of the draws, in the mean σ² times the squared rows of the Hessian."""
    half = drawn(5, 5, seed=2)
    hessian = half + half.T
    x = drawn(2, 5, seed=3)
    found = vargrad(lambda rows: torch.einsum("bi,ij,bj->b", rows, half, rows), x, n_samples=4000, stdevs=0.25)
    spread = torch.cov(noise_of(4000, 5).T, correction=0)
    torch.testing.assert_close(found, (0.25**2 * torch.einsum("ij,jk,ik->i", hessian, spread, hessian)).expand(2, 5), **CLOSE)
    limit = 0.25**2 * hessian.square().sum(dim=1)
    assert ((found / limit - 1).abs() < 5 * math.sqrt(2 / 4000)).all()


def test_cubic_by_the_moments_of_the_noise():
    """f = x³: the gradient 3 (x + ε)² has variance 9 (4 x² σ² + 2 σ⁴)."""
    x = torch.tensor([[0.0], [1.5], [-2.0]], dtype=torch.float64)
    sigma, count = 0.5, 20000
    found = vargrad(lambda rows: rows[:, 0] ** 3, x, n_samples=count, stdevs=sigma)
    expected = 9 * (4 * x**2 * sigma**2 + 2 * sigma**4)
    # The fourth central moment of (x + ε)² is below 60 times its squared variance, that of a squared normal variable.
    assert ((found / expected - 1).abs() < 5 * math.sqrt(59 / count)).all()


def test_adding_a_linear_function_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 7), nn.Softplus(), nn.Linear(7, 1)).double().eval()
    x, weight = drawn(3, 4, seed=4), 50 * drawn(4, seed=5)
    alone = vargrad(model, x, 0, stdevs=0.2)
    torch.testing.assert_close(vargrad(lambda rows: model(rows)[:, 0] + rows @ weight, x, stdevs=0.2), alone, rtol=1e-7, atol=1e-12)
    assert alone.min() > 0
    assert (smoothgrad(lambda rows: model(rows)[:, 0] + rows @ weight, x, stdevs=0.2) - smoothgrad(model, x, 0, stdevs=0.2)).abs().max() > 1


def test_mean_square_less_square_of_the_mean():
    """The textbook formula, by SmoothGrad of a function whose gradient is the square."""
    x = drawn(3, 2, seed=6)
    found = vargrad(lambda rows: (rows**2).sum(1), x, n_samples=40, stdevs=0.3)
    mean = smoothgrad(lambda rows: (rows**2).sum(1), x, n_samples=40, stdevs=0.3)
    square = smoothgrad(lambda rows: (4 * rows**3 / 3).sum(1), x, n_samples=40, stdevs=0.3)
    torch.testing.assert_close(found, square - mean**2, rtol=1e-9, atol=1e-10)


def test_large_gradient_that_varies_little():
    """Where mean of squares less square of the mean would leave noise of 1e4 alone."""
    x = drawn(2, 3, seed=7)
    found = vargrad(lambda rows: 1e10 * rows.sum(1) + (rows**2).sum(1), x, n_samples=25, stdevs=0.3, internal_batch_size=6)
    alone = vargrad(lambda rows: (rows**2).sum(1), x, n_samples=25, stdevs=0.3)
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-6)


def test_a_feature_the_model_ignores_receives_nothing():
    weight = drawn(2, seed=8)
    found = vargrad(lambda rows: torch.tanh(rows[:, :2] @ weight), drawn(6, 3, seed=5))
    assert found[:, 2].abs().max() == 0
    assert found[:, :2].min() > 0


def test_one_draw_and_no_noise_give_nothing():
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 1)).double().eval()
    assert vargrad(model, drawn(3, 4, seed=9), 0, n_samples=1, stdevs=0.3).abs().max() == 0
    assert vargrad(model, drawn(3, 4, seed=9), 0, n_samples=5, stdevs=0.0).abs().max() < 1e-30


def test_what_cannot_be_used():
    with pytest.raises(ValueError, match="both set the width"):
        vargrad(lambda rows: rows.sum(1), torch.ones(1, 2), stdevs=0.1, noise_level=0.1)
    with pytest.raises(ValueError, match="n_samples"):
        vargrad(lambda rows: rows.sum(1), torch.ones(1, 2), n_samples=0)


@pytest.mark.parametrize("method", [smoothgrad, vargrad])
def test_sums_of_half_precision_do_not_overflow(method):
    """Gradients of 60 ε, whose squares add up to more than float16 holds, though their variance of about 3600 is far below."""
    found = method(lambda rows: (30 * rows * rows).sum(1), torch.full((1, 2), 10.0, dtype=torch.float16), n_samples=200, stdevs=1.0)
    exact = method(lambda rows: (30 * rows * rows).sum(1), torch.full((1, 2), 10.0, dtype=torch.float32), n_samples=200, stdevs=1.0)
    assert found.dtype == torch.float16
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found.float(), exact, rtol=0.5, atol=0.0)
