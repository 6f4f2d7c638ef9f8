"""The studies on images at a small size: what the scenes hold, what the measures say of known maps, and what was recorded."""

import json
from pathlib import Path

import pytest
import torch

from executable.reproductions import overlap, saliency_maps
from executable.reproductions.scenes import DIGIT, NETWORKS, SHAPE, SIDE, compose, trained_on_scenes, untrained
from executable.testbeds.digits import load_digits_split
from taxonomy import reproduction as store
from taxonomy.store import load, packaged_kb

FAST = ("gradient", "grad-times-input", "integrated-gradients", "deeplift-rescale", "lrp-epsilon", "occlusion-patch")
OVERLAP = overlap.Size(images=6, untrained=3, epochs=1, scenes=600, methods=FAST)
PICTURES = saliency_maps.Size(images=5, epochs=1, scenes=600)
RECORDED = ("bounding-box-study", "nine-saliency-maps", "taylor-attribution-maps", "parameter-sensitivity", "data-perturbation-trap")


@pytest.fixture(scope="module")
def scenes():
    data = load_digits_split()
    return compose(data.test_images, data.test_labels, 40, seed=3)


def test_a_scene_has_its_digit_in_the_box_and_its_distractor_elsewhere(scenes):
    assert scenes.images.shape == scenes.boxes.shape == scenes.shapes.shape == (40, 1, SIDE, SIDE)
    assert scenes.images.min() >= 0
    assert scenes.images.max() <= 1
    assert not (scenes.boxes & scenes.shapes).any()
    assert (scenes.shapes.flatten(1).sum(dim=1) == SHAPE**2).all()
    for box, image in zip(scenes.boxes[:, 0], scenes.images[:, 0], strict=True):
        rows, columns = box.any(dim=1).nonzero().flatten(), box.any(dim=0).nonzero().flatten()
        assert len(rows) <= DIGIT
        assert len(columns) <= DIGIT
        assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "a box is a rectangle"
        assert image[box].max() > 0.8, "the digit has ink in its box"


def test_scenes_are_the_same_every_time_and_differ_with_the_seed():
    data = load_digits_split()
    first, again, other = (compose(data.test_images, data.test_labels, 5, seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_the_box_covers_less_than_a_third(scenes):
    assert scenes.boxes.flatten(1).double().mean(dim=1).max() < 1 / 3


def test_a_network_learns_from_scenes():
    found = trained_on_scenes("averaging", 1, 600)
    losses = [torch.nn.functional.cross_entropy(model(found.train.images), found.train.labels) for model in (found.model, untrained("averaging", 1))]
    assert losses[0] < losses[1] - 0.002
    assert torch.equal(untrained("pooling", 1)[0].weight, untrained("pooling", 1)[0].weight)
    assert not torch.equal(untrained("pooling", 1)[0].weight, untrained("pooling", 2)[0].weight)


def test_the_most_salient_pixels_are_as_many_as_the_box_has():
    boxes = torch.tensor([[True, True, False, False]])
    region = torch.tensor([[False, True, True, False]])
    assert overlap.most_salient(torch.tensor([[0.0, 3.0, -5.0, 1.0]]), boxes, region).tolist() == [1.0]
    assert overlap.most_salient(torch.tensor([[9.0, 3.0, 1.0, 8.0]]), boxes, region).tolist() == [0.0]


def test_smoothing_takes_means_inside_the_picture():
    values = torch.zeros(1, 1, 3, 3)
    values[0, 0, 0, 0] = -9.0
    assert overlap.smooth(values)[0, 0].tolist() == [[2.25, 1.5, 0.0], [1.5, 1.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.fixture(scope="module")
def small_overlap():
    return overlap.study(OVERLAP)


def test_the_overlap_study_runs_small(small_overlap):
    assert all(control.detected for control in small_overlap.controls if "best method" not in control.description)
    by_method, by_principle = small_overlap.tables
    assert {row[0] for row in by_method.rows} == {*FAST, *overlap.BASELINES.values()}
    assert len(by_principle.columns) == 3


def test_the_gap_is_the_difference_of_the_means():
    found = [overlap.overlaps(name, OVERLAP) for name in NETWORKS]
    gap = overlap.principle_gap(found)
    compliant = [overlap.overall(found, id) for id in FAST if id in overlap.COMPLIANT]
    others = [overlap.overall(found, id) for id in FAST if id in overlap.OTHERS]
    assert gap.difference == pytest.approx(sum(compliant) / len(compliant) - sum(others) / len(others), abs=1e-6)
    assert 0 < gap.p_value <= 1


def test_fourteen_methods_are_those_of_the_paper_and_sorted_by_its_verdicts():
    records = load().records
    satisfied = []
    for name in ("taylor-low-approximation-error", "taylor-no-unrelated-allocation", "taylor-complete-allocation"):
        (verdict,) = [one for one in records[name].verdicts if one.verdict == "satisfies"]
        satisfied.append(set(verdict.methods))
    stands_in = {"shapley-sampling": "shapley-value"}
    assert {stands_in.get(id, id) for id in overlap.COMPLIANT} == set.intersection(*satisfied)
    every = {stands_in.get(id, id) for id in (*overlap.COMPLIANT, *overlap.OTHERS)}
    assert every == {stands_in.get(id, id) for id in saliency_maps.FOURTEEN}
    assert set.union(*satisfied) == every


def test_pictures_are_small_and_scaled():
    found = saliency_maps.nine(PICTURES)
    (grid,) = found.grids
    assert grid.columns == ("picture", *saliency_maps.NINE)
    for row in grid.cells:
        for cell in row:
            assert len(cell) == len(cell[0]) == SIDE
            assert max(abs(value) for line in cell for value in line) <= 1
    assert all(control.detected for control in found.controls)


def test_shared_marks():
    left = torch.arange(100.0).reshape(1, 1, 10, 10)
    assert saliency_maps.shared_marks(left, -left).tolist() == [1.0]
    assert saliency_maps.shared_marks(left, left.flip(2)).tolist() == [0.0]


def test_lrp_epsilon_meets_gradient_times_input_only_as_epsilon_vanishes():
    found = saliency_maps.fourteen(PICTURES)
    assert all(control.detected for control in found.controls)
    (chart,) = found.charts
    for series in chart.series:
        assert series.x == saliency_maps.EPSILONS
        assert series.y[0] < series.y[-1] / 100
    assert [number.within for number in found.measurements if "ε = 0 " in number.name] == [True] * 3


@pytest.mark.parametrize("study", RECORDED)
def test_what_is_recorded_keeps_its_bounds(study):
    path = Path(packaged_kb()) / store.FOLDER / f"{study}.json"
    found = store.read(path)
    assert [number.name for number in found.measurements if not number.within] == []
    assert [control.description for control in found.controls if not control.detected] == []
    assert found.tables
    assert found.not_comparable
    assert "NaN" not in json.dumps(found.model_dump(mode="json"))
