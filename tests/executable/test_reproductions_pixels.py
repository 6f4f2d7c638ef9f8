"""The methods as the studies on images call them, maps that no network enters, and measures of how alike maps are."""

import pytest
import torch
from skimage.metrics import structural_similarity as reference_ssim

from executable.reproductions.base import rank_correlation
from executable.reproductions.pixel_methods import (
    PIXEL_METHODS,
    Explained,
    applicable,
    cosine,
    edges,
    in_the_middle,
    ranks,
    spearman,
    structural_similarity,
    without_picture,
)
from executable.reproductions.scenes import NETWORKS, SIDE, compose, untrained
from executable.testbeds.digits import load_digits_split
from taxonomy.store import load


@pytest.fixture(scope="module")
def scenes():
    data = load_digits_split()
    return compose(data.test_images, data.test_labels, 40, seed=3)


@pytest.mark.parametrize("name", PIXEL_METHODS)
def test_every_method_gives_one_number_for_each_pixel(name, scenes):
    model = untrained("averaging", 5)
    data = load_digits_split()
    train = compose(data.train_images, data.train_labels, 320, seed=8).images
    asked = Explained(model, scenes.images[:2], scenes.labels[:2], train, 4, NETWORKS["averaging"][1], "0")
    found = applicable(asked)[name](asked)
    assert found.shape == (2, 1, SIDE, SIDE)
    assert found.isfinite().all()
    assert not found.requires_grad


def test_methods_of_feature_maps_are_left_out_for_networks_without(scenes):
    asked = Explained(torch.nn.Flatten(), scenes.images, scenes.labels, scenes.images, 4)
    left_out = set(PIXEL_METHODS) - set(applicable(asked))
    assert left_out == {"grad-cam", "score-cam", "information-bottleneck", "attribution-equilibrium"}
    with pytest.raises(ValueError, match="feature maps"):
        PIXEL_METHODS["grad-cam"](asked)


def test_every_method_is_a_record():
    records = load().records
    assert all(records[name].kind == "method" for name in PIXEL_METHODS)


def test_cells_number_squares():
    asked = Explained(torch.nn.Flatten(), torch.zeros(1, 1, 4, 4), torch.tensor([0]), torch.zeros(1, 1, 4, 4), 2)
    assert asked.cells.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_the_edge_detector_finds_a_step_and_nothing_else():
    image = torch.zeros(1, 1, 6, 6)
    image[..., 3:] = 1
    found = edges(image)[0, 0]
    assert (found[:, 2:4] == 4).all()
    assert (found[:, [0, 1, 4, 5]] == 0).all()


def test_the_bell_is_highest_in_the_middle():
    bell = in_the_middle(torch.zeros(2, 1, 6, 6))
    assert bell.shape == (2, 1, 6, 6)
    assert bell[0, 0, 2:4, 2:4].min() == bell.max()
    assert torch.equal(bell, bell.flip(2))


def test_ranks_share_ties():
    assert ranks(torch.tensor([[3.0, 1.0, 3.0, 2.0]])).tolist() == [[3.5, 1.0, 3.5, 2.0]]


def test_rank_correlation_is_that_of_the_base(scenes):
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randint(9, (6, 30), generator=generator).double() for _ in range(2))
    expected = torch.tensor([rank_correlation(a, b) for a, b in zip(left, right, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(spearman(left, right), expected)
    assert spearman(left, torch.ones(6, 30)).tolist() == [0.0] * 6


def test_partial_rank_correlation_is_that_of_the_residuals():
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(3, 40, generator=generator, dtype=torch.float64)
    left, right = (picture + torch.rand(3, 40, generator=generator, dtype=torch.float64) for _ in range(2))
    residuals = []
    for values in (left, right):
        a, p = (part - part.mean(dim=1, keepdim=True) for part in (ranks(values), ranks(picture)))
        residuals.append(a - (a * p).sum(dim=1, keepdim=True) / (p * p).sum(dim=1, keepdim=True) * p)
    torch.testing.assert_close(without_picture(left, right, picture), cosine(*residuals))
    assert without_picture(picture, right, picture).abs().max() < 1e-12, "a map in the order of the picture has nothing left"


def test_structural_similarity_is_that_of_scikit_image():
    generator = torch.Generator().manual_seed(4)
    left, right = (torch.rand(2, 1, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    unit = [(values / values.flatten(1).amax(dim=1).reshape(-1, 1, 1, 1)).numpy() for values in (left, right)]
    expected = [reference_ssim(a[0], b[0], win_size=5, data_range=1.0) for a, b in zip(*unit, strict=True)]
    found = structural_similarity(left, right)
    assert found.tolist() == pytest.approx(expected)
    assert structural_similarity(left, -2 * left).tolist() == pytest.approx([1.0, 1.0]), "neither sign nor scale matters"
