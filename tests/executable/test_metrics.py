"""The metrics against sums done by hand, an independent library, and what they must and must not notice."""

import itertools

import pytest
import torch

from executable import gradient, integrated_gradients, occlusion_1, shapley_value
from executable.coalitions import coalition_values
from executable.first_principles import mask_infidelity
from executable.metrics import bounding_box_overlap, fitting_error, infidelity, square_masks

W = torch.tensor([1.0, -2.0], dtype=torch.float64)
X = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
SUBSETS = torch.tensor(list(itertools.product([False, True], repeat=2)))[:, None]


def linear(x):
    return x @ W


def test_fitting_error_by_hand():
    found = torch.tensor([[3.0, 3.0], [0.0, 0.0], [6.0, 8.0]])
    true = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]])
    assert fitting_error(found, true, reduction="none").tolist() == [pytest.approx(20), 0, pytest.approx(100)]
    assert fitting_error(found, true) == pytest.approx(40)
    assert fitting_error(2 * found[:, None], 2 * true[:, None]) == pytest.approx(40)
    assert fitting_error(torch.ones(1, 2), torch.zeros(1, 2)).item() == float("inf")


def test_fitting_error_is_relative_to_the_methods_attribution():
    assert fitting_error(torch.tensor([[1.0]]), torch.tensor([[2.0]])) == 50
    assert fitting_error(torch.tensor([[2.0]]), torch.tensor([[1.0]])) == 100


def test_infidelity_of_a_linear_model_by_hand():
    """w = (1, -2), x = (2, 3), a = w * x = (2, -6): the literal form gives the squares of p.a - p.w over the four removals, 0, 12^2, 2^2, 10^2."""
    contributions = integrated_gradients(linear, X)
    torch.testing.assert_close(contributions, W * X)
    assert infidelity(linear, X, contributions, SUBSETS * X).item() == pytest.approx((0 + 144 + 4 + 100) / 4) == 62
    assert infidelity(linear, X, contributions, SUBSETS * X, masks=SUBSETS).item() == pytest.approx(0, abs=1e-20)
    assert infidelity(linear, X, gradient(linear, X), SUBSETS * X).item() == 0
    assert infidelity(linear, X, gradient(linear, X), SUBSETS * X, masks=SUBSETS).item() == pytest.approx((0 + 16 + 1 + 9) / 4)


def test_infidelity_notices_a_wrong_attribution_and_the_interaction():
    product = lambda x: x[:, 0] * x[:, 1]  # noqa: E731
    masks = torch.eye(2, dtype=torch.bool)[:, None]
    attributions = occlusion_1(product, X)
    assert infidelity(product, X, attributions, masks * X, masks=masks).item() == 0
    assert infidelity(product, X, attributions, SUBSETS * X, masks=SUBSETS).item() == 36 / 4  # both removed: 12 - 6
    assert infidelity(product, X, attributions.flip(1) + 1, masks * X, masks=masks).item() == 1


def test_infidelity_treats_inputs_of_a_batch_apart_and_follows_their_targets():
    model = torch.nn.Linear(3, 4, dtype=torch.float64)
    x, p = torch.randn(5, 3, dtype=torch.float64), torch.randn(7, 5, 3, dtype=torch.float64)
    target, a = torch.tensor([0, 1, 2, 3, 0]), torch.randn(5, 3, dtype=torch.float64)
    found = infidelity(model, x, a, p, target)
    expected = [((p[:, i] @ a[i] - p[:, i] @ model.weight[target[i]]) ** 2).mean() for i in range(5)]
    torch.testing.assert_close(found, torch.stack(expected).detach())
    torch.testing.assert_close(infidelity(model, x, a, p, target, internal_batch_size=2), found)
    torch.testing.assert_close(infidelity(lambda x, k: model(x) * k, x, a * 3, p, target, additional_forward_args=torch.full((5, 1), 3)), found * 9)


def test_removed_and_kept_features_give_the_same_infidelity_of_complete_attributions():
    """What a_i are said of the features taken out is said of those left, if the sum of all is f(x) - f(b)."""
    generator = torch.Generator().manual_seed(5)
    weights, x = torch.randn(3, 3, generator=generator, dtype=torch.float64), torch.randn(4, 3, generator=generator, dtype=torch.float64)
    model = lambda x: ((x @ weights) * x).sum(dim=1) + x.prod(dim=1)  # noqa: E731
    masks = torch.tensor(list(itertools.product([False, True], repeat=3)))[:, None]
    complete, incomplete = shapley_value(model, x), occlusion_1(model, x)
    games = coalition_values(model, x)
    for attributions, same in ((complete, True), (incomplete, False)):
        removed = infidelity(model, x, attributions, masks * x, masks=masks).mean()
        assert bool(torch.isclose(removed, mask_infidelity(3)(attributions, games))) == same


@pytest.mark.filterwarnings("ignore")
def test_infidelity_captum(residual, images):
    metrics = pytest.importorskip("captum.metrics")
    target = torch.tensor([0, 1, 2, 1, 0])
    a = gradient(residual, images, target)
    p = 0.3 * torch.randn(6, *images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    draws = iter(p)

    def perturb(x):
        drawn = torch.stack([next(draws) for _ in range(6)], dim=1).reshape(x.shape)  # Captum repeats each input six times in a row
        return drawn, x - drawn

    theirs = metrics.infidelity(residual, perturb, images, a, target=target, n_perturb_samples=6)
    torch.testing.assert_close(infidelity(residual, images, a, p, target), theirs, rtol=1e-10, atol=1e-12)


def test_overlap_by_hand():
    a = torch.tensor([[[9.0, -8.0, 0.0], [1.0, 7.0, 2.0], [0.0, 3.0, 0.5]]])
    box = torch.zeros(1, 3, 3, dtype=torch.bool)
    box[0, :2, :2] = True  # 9, -8, 1, 7; the four largest are 9, -8, 7, 3
    assert bounding_box_overlap(a, box).item() == 0.75
    assert bounding_box_overlap(-a, box).item() == 0.75
    assert bounding_box_overlap(box.double(), box).item() == 1
    assert bounding_box_overlap((~box).double(), box).item() == 0
    assert bounding_box_overlap(torch.stack([a[0], box[0].float()]), box).tolist() == [0.75, 1]


def test_equal_attributions_count_as_the_mean_over_all_orders():
    a, box = torch.tensor([3.0, 1.0, 1.0, 1.0, 0.0]), torch.tensor([False, True, True, False, True])
    orders = [sorted(range(5), key=lambda i, p=p: (-a[i], p[i])) for p in itertools.permutations(range(5))]
    mean = sum(sum(bool(box[i]) for i in order[:3]) / 3 for order in orders) / len(orders)
    assert bounding_box_overlap(a[None], box[None]).item() == pytest.approx(mean) == 4 / 9
    assert bounding_box_overlap(torch.zeros(1, 5), box[None]).item() == pytest.approx(3 / 5)


def test_square_masks():
    masks = square_masks(4, 5, 3)
    assert masks.shape == (6, 1, 4, 5)
    assert (masks.flatten(1).sum(dim=1) == 9).all()
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 6
    assert square_masks(2, 2, 1).flatten(1).equal(torch.eye(4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fitting_error(torch.ones(1, 2), torch.ones(1, 3)), "must have the shape"),
        (lambda: fitting_error(torch.ones(2), torch.ones(2)), "batch"),
        (lambda: fitting_error(torch.tensor([[float("nan")]]), torch.ones(1, 1)), "index"),
        (lambda: fitting_error(torch.ones(1, 2), torch.ones(1, 2), reduction="sum"), "reduction"),
        (lambda: infidelity(linear, X, torch.ones(1, 3), SUBSETS * X), "must have the shape"),
        (lambda: infidelity(linear, X, X, X), "perturbations must have shape"),
        (lambda: infidelity(linear, X, X, torch.ones(2, 3, 2)), "cannot be broadcast"),
        (lambda: infidelity(linear, X, X, SUBSETS * X, masks=SUBSETS * X), "only true and false"),
        (lambda: infidelity(linear, X, X, SUBSETS / torch.zeros(1), masks=SUBSETS), "not finite"),
        (lambda: bounding_box_overlap(torch.ones(1, 4), torch.ones(1, 3)), "do not fit"),
        (lambda: bounding_box_overlap(torch.ones(3, 4), torch.ones(2, 4)), "2 boxes for 3"),
        (lambda: bounding_box_overlap(torch.ones(1, 4), torch.full((1, 4), 2)), "only true and false"),
        (lambda: bounding_box_overlap(torch.ones(1, 4), torch.zeros(1, 4)), "no pixel"),
        (lambda: square_masks(2, 3, 3), "does not fit"),
        (lambda: square_masks(2, 3, 0), "at least 1"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
