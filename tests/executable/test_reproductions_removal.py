"""Insertion and deletion, and cascading randomisation, at a small size and on models whose answer is known."""

import numpy
import pytest
import torch
from scipy.optimize import nnls
from torch import nn

from executable.reproductions import deletion, sanity_checks
from executable.reproductions.pixel_methods import PIXEL_METHODS, cosine

FAST = ("gradient", "grad-times-input", "lrp-alpha1-beta0", "guided-backprop", "occlusion-1", "integrated-gradients")
CASCADE = sanity_checks.Size(images=3, draws=2, methods=FAST, networks=("dense",))
CURVES = deletion.Size(images=5, random_orders=3, methods=FAST)


class Additive(nn.Module):
    """Two classes; the first one's logit is a weighted sum of the pixels, the other's is zero."""

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, x):
        value = (x.flatten(1) * self.weights).sum(dim=1)
        return torch.stack([value, torch.zeros_like(value)], dim=1)


@pytest.fixture
def additive():
    generator = torch.Generator().manual_seed(1)
    model = Additive(torch.randn(9, generator=generator, dtype=torch.float64))
    images = torch.rand(4, 1, 3, 3, generator=generator, dtype=torch.float64)
    return model, images, torch.zeros(4, dtype=torch.long), torch.full((1, 1, 3, 3), 0.25, dtype=torch.float64)


def test_pixels_are_ordered_from_the_largest_and_ties_at_random():
    order = deletion.pixel_order(torch.tensor([[[[0.1, -3.0], [2.0, 0.5]]]]), seed=0)
    assert order.tolist() == [[2, 3, 0, 1]]
    ties = torch.zeros(200, 1, 2, 2)
    firsts = deletion.pixel_order(ties, seed=0)[:, 0]
    assert firsts.bincount(minlength=4).min() > 25, "no pixel is favoured"
    assert torch.equal(deletion.pixel_order(ties, seed=0), deletion.pixel_order(ties, seed=0))


def test_curves_run_from_the_picture_to_the_baseline(additive):
    model, images, targets, baseline = additive
    order = deletion.pixel_order(images, seed=0)
    found = deletion.game_curve(model, images, targets, order, baseline, "deletion")
    assert found.shape == (4, 10)
    torch.testing.assert_close(found[:, 0], model(images).softmax(dim=1)[:, 0])
    torch.testing.assert_close(found[:, -1], model(baseline.expand_as(images)).softmax(dim=1)[:, 0])


def test_deletion_backwards_is_insertion(additive):
    model, images, targets, baseline = additive
    order = deletion.pixel_order(images, seed=0)
    down = deletion.game_curve(model, images, targets, order, baseline, "deletion")
    up = deletion.game_curve(model, images, targets, order.flip(1), baseline, "insertion")
    torch.testing.assert_close(down, up.flip(1))


def test_one_step_removes_the_first_pixel(additive):
    model, images, targets, baseline = additive
    order = torch.arange(9).expand(4, 9).roll(3, 1)
    changed = images.flatten(1).clone()
    changed[:, 6] = 0.25
    expected = model(changed).softmax(dim=1)[:, 0]
    torch.testing.assert_close(deletion.game_curve(model, images, targets, order, baseline, "deletion")[:, 1], expected)


def test_an_unknown_game_is_refused(additive):
    model, images, targets, baseline = additive
    with pytest.raises(ValueError, match="game"):
        deletion.game_curve(model, images, targets, deletion.pixel_order(images, seed=0), baseline, "swap")


@pytest.mark.parametrize("game", deletion.GAMES)
def test_the_greedy_order_of_a_sum_is_that_of_its_terms(additive, game):
    model, images, targets, baseline = additive
    terms = (images - baseline).flatten(1) * model.weights
    assert torch.equal(deletion.greedy_order(model, images, targets, baseline, game), terms.argsort(dim=1, descending=True))


def test_area():
    assert deletion.area(torch.tensor([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]])).tolist() == [0.5, 1.0]


def test_the_removal_study_runs_small():
    found = deletion.study(CURVES)
    assert all(control.detected for control in found.controls if "copy" in control.description or "whole" in control.description)
    assert len(found.charts) == 4
    areas = found.tables[0]
    assert {row[0] for row in areas.rows} >= {*FAST, deletion.RANDOM, deletion.GREEDY}
    for chart in found.charts:
        for series in chart.series:
            assert series.x[0] == 0
            assert series.x[-1] == 1
            assert all(0 <= value <= 1 for value in series.y)


def test_agreement_of_games_is_that_of_the_areas():
    found = deletion.all_curves(CURVES)
    agreement = deletion.agreements(found)
    assert len(agreement) == 6
    assert all(-1 <= value <= 1 for value in agreement.values())
    quality = deletion.quality(found, "deletion", "empty")
    best = found.methods[int(quality.argmax())]
    assert min(float(found.areas("deletion", "empty", id).mean()) for id in found.methods) == float(found.areas("deletion", "empty", best).mean())


def test_randomising_leaves_the_early_layers_as_they_are():
    deep = sanity_checks.trained_deep("dense")
    drawn = sanity_checks.randomised(deep, 2, seed=1)
    same = [torch.equal(deep.model[place].weight, drawn[place].weight) for place in deep.layers]
    assert same == [True] * 4 + [False] * 2
    again, other = sanity_checks.randomised(deep, 2, seed=1), sanity_checks.randomised(deep, 2, seed=2)
    assert torch.equal(again[deep.layers[-1]].weight, drawn[deep.layers[-1]].weight)
    assert not torch.equal(other[deep.layers[-1]].weight, drawn[deep.layers[-1]].weight)
    with pytest.raises(ValueError, match="6 layers"):
        sanity_checks.randomised(deep, 7, seed=1)


def test_the_map_lies_in_the_cone_of_the_layers_that_are_left():
    deep = sanity_checks.trained_deep("dense")
    images = sanity_checks.cascade("dense", CASCADE).images
    targets = deep.model(images).argmax(dim=1)
    kept = deep.model[: deep.layers[3]]
    values = PIXEL_METHODS["lrp-alpha1-beta0"](deep.explain(sanity_checks.randomised(deep, 3, seed=5), images, targets))
    for image, one in zip(images, values, strict=True):
        columns = sanity_checks._columns(kept, image.unsqueeze(0))
        assert columns.min() >= 0
        goal = one.flatten() * (1 if one.sum() > 0 else -1)
        _, rest = nnls(columns.numpy(), numpy.asarray(goal))
        assert rest <= 1e-9 * float(goal.norm())


def test_the_cone_bounds_the_cosine():
    for cone in sanity_checks.cones("dense", CASCADE):
        assert cone.slack >= -1e-9
        assert cone.narrowest <= cone.cosine + 1e-9
        assert 0 <= cone.second <= 1


def test_a_cosine_below_the_smallest_between_columns_needs_a_map_outside_the_cone():
    columns = torch.rand(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    columns = columns / columns.norm(dim=0)
    least = (columns.T @ columns).min()
    weights = torch.rand(2, 500, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    inside = weights @ columns.T
    assert cosine(inside[0], inside[1]).min() >= least - 1e-12
    outside = inside[0] - 3 * inside[1]
    assert cosine(outside, inside[1]).min() < least


def test_the_cascade_study_runs_small():
    found = sanity_checks.study(CASCADE)
    assert all(control.detected for control in found.controls if "random numbers" not in control.description)
    (chart,) = found.charts
    edges = next(series for series in chart.series if series.name == sanity_checks.EDGES)
    assert set(edges.y) == {1.0}
    assert edges.method is None
    assert {series.method for series in chart.series} - {None} == set(FAST) & set(sanity_checks.CHARTED)
    for series in chart.series:
        assert series.y[0] == 1.0
