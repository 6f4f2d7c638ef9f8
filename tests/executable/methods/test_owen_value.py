"""Owen value: what the axioms promise, and its own formula."""

import copy
import itertools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from executable import owen_value, shapley_value
from executable.testbeds.digits import trained_digits
from executable.testbeds.polynomials import Polynomial, as_rows, random_point, random_polynomial

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=25, deadline=None)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
PAIRS = [[0, 2], [1], [3, 4]]


def drawn(seed, variables=5):
    """A polynomial, an input and a baseline."""
    chance = random.Random(seed)
    return random_polynomial(chance, variables), as_rows(random_point(chance, variables)), as_rows(random_point(chance, variables))


def over_orders(model, x, b, unions):
    """The definition by words: every order of the unions, and in it every order within each; what a player changes when it comes in."""
    total, count = torch.zeros_like(x), 0
    for outer in itertools.permutations(unions):
        for inner in itertools.product(*(itertools.permutations(union) for union in outer)):
            now = b.clone()
            for player in itertools.chain(*inner):
                before = model(now)
                now[:, player] = x[:, player]
                total[:, player] += model(now) - before
            count += 1
    return total / count


@FEW
@given(SEEDS)
def test_own_formula(seed):
    f, x, b = drawn(seed)
    model = f.module()
    torch.testing.assert_close(owen_value(model, x, unions=PAIRS, baselines=b), over_orders(model, x, b, PAIRS), **CLOSE)


def test_additive_model():
    """Without interactions every weighting of the coalitions gives each feature its own change of the output."""
    x, b = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(owen_value(lambda rows: (rows**3).sum(1), x, unions=PAIRS, baselines=b), x**3 - b**3, **CLOSE)


@FEW
@given(SEEDS)
def test_a_feature_the_model_ignores_receives_nothing(seed):
    f, _, _ = drawn(seed, 4)
    wider = Polynomial({(*degrees, 0): c for degrees, c in f.terms.items()}).module()
    _, x, b = drawn(seed)
    assert owen_value(wider, x, unions=PAIRS, baselines=b)[0, 4].abs() < 1e-9


@FEW
@given(SEEDS)
def test_unions_share_as_if_they_were_players_and_all_is_given_out(seed):
    f, x, b = drawn(seed)
    model, number = f.module(), torch.tensor([0, 1, 0, 2, 2])
    found = owen_value(model, x, unions=PAIRS, baselines=b)
    between = shapley_value(model, x, feature_mask=number, baselines=b)[:, [0, 1, 3]]
    torch.testing.assert_close(torch.stack([found[:, union].sum(1) for union in PAIRS], dim=1), between, **CLOSE)
    torch.testing.assert_close(found.sum(1), model(x) - model(b), **CLOSE)


@FEW
@given(SEEDS)
def test_without_structure_it_is_the_shapley_value(seed):
    f, x, b = drawn(seed, 4)
    model = f.module()
    expected = shapley_value(model, x, baselines=b)
    for unions in ([[3], [1], [0], [2]], [[2, 0, 3, 1]]):
        torch.testing.assert_close(owen_value(model, x, unions=unions, baselines=b), expected, **CLOSE)


def test_majority_of_three_where_two_stand_together():
    """Two of three votes decide. Two voters who stand together need nobody, so the third is left with nothing; alone each has a third."""
    ones = torch.ones(1, 3, dtype=torch.float64)
    found = owen_value(lambda x: (x.sum(1) >= 2).double(), ones, unions=[[0, 1], [2]])
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64), **CLOSE)


def test_one_loud_member_against_one_alone():
    """OR of all players: the unions share alike, and so do the members of each, so players who are alike get different shares."""
    ones = torch.ones(1, 6, dtype=torch.float64)
    found = owen_value(lambda x: x.amax(1), ones, unions=[[0], [1, 2], [3, 4, 5]])
    torch.testing.assert_close(found, torch.tensor([[1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9]], dtype=torch.float64), **CLOSE)


def test_sixty_four_players_in_unions_of_eight():
    """More than the Shapley value can enumerate: a sum of products of two neighbours, halved within unions and across them."""
    x = torch.rand(1, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    unions = [list(range(k, k + 8)) for k in range(0, 64, 8)]
    found = owen_value(lambda rows: (rows[:, :-1] * rows[:, 1:]).sum(1), x, unions=unions)
    products = x[:, :-1] * x[:, 1:] / 2
    expected = torch.nn.functional.pad(products, (0, 1)) + torch.nn.functional.pad(products, (1, 0))
    torch.testing.assert_close(found, expected, **CLOSE)


def test_trained_digits_in_quarters_by_orders():
    trained = trained_digits()
    model, x, y = copy.deepcopy(trained.model).double(), trained.data.test_images[:2].double(), trained.data.test_labels[:2]
    mask = torch.arange(4).reshape(2, 2).repeat_interleave(4, dim=0).repeat_interleave(4, dim=1)
    found = owen_value(model, x, y, unions=[[0, 1], [2, 3]], feature_mask=mask)

    def game(present):
        kept = present[:, mask].unsqueeze(1) * x
        return model(kept).gather(1, y[:, None])[:, 0].detach()

    ones = torch.ones(2, 4, dtype=torch.float64)
    by_orders = over_orders(game, ones, torch.zeros_like(ones), [[0, 1], [2, 3]])
    torch.testing.assert_close(found[:, 0], by_orders[:, mask], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("unions", "error", "message"),
    [
        ([[0, 1]], ValueError, "each of the 3 players"),
        ([[0, 1], [1, 2]], ValueError, "each of the 3 players"),
        ([[0, 1, 2], []], ValueError, "none empty"),
        ([0, 1, 2], TypeError, "sequence of sequences"),
        ("012", TypeError, "sequence of sequences"),
        ([[0, 1], [2.0]], TypeError, "player numbers"),
    ],
)
def test_unions_that_are_none(unions, error, message):
    with pytest.raises(error, match=message):
        owen_value(lambda x: x.sum(1), torch.ones(1, 3), unions=unions)


def test_too_many_coalitions_are_named_as_they_arise():
    """A union of six beside nineteen others: its members and the others are the players."""
    unions = [list(range(k, k + 6)) for k in range(0, 120, 6)]
    with pytest.raises(ValueError, match=r"a union of 6 beside 19 others makes 2\*\*25 coalitions, more than .* \(2\*\*24\)"):
        owen_value(lambda x: x.sum(1), torch.ones(1, 120), unions=unions)
