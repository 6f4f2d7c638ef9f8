"""Invariants that hold for every model and input, searched for violations by hypothesis."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from executable import gradient, integrated_gradients, occlusion_1, shapley_value
from executable.testbeds.games import GameModel, random_game
from executable.testbeds.polynomials import Polynomial, as_rows, random_point, random_polynomial

SEEDS = st.integers(0, 10**6)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
FEW = settings(max_examples=25, deadline=None)


def drawn(seed, variables=3):
    chance = random.Random(seed)
    return random_polynomial(chance, variables), as_rows(random_point(chance, variables)), as_rows(random_point(chance, variables))


@FEW
@given(SEEDS, st.integers(1, 4))
def test_completeness(seed, variables):
    f, x, b = drawn(seed, variables)
    model = f.module()
    total = model(x) - model(b)
    torch.testing.assert_close(integrated_gradients(model, x, baselines=b, n_steps=4).sum(1), total, **CLOSE)
    torch.testing.assert_close(shapley_value(model, x, baselines=b).sum(1), total, **CLOSE)


@FEW
@given(SEEDS, st.floats(-3, 3), st.floats(-3, 3))
def test_linearity(seed, p, q):
    f, x, b = drawn(seed)
    g, _, _ = drawn(seed + 1)
    first, second = f.module(), g.module()

    def both(rows):
        return p * first(rows) + q * second(rows)

    for method in (integrated_gradients, occlusion_1, shapley_value):
        mixed = p * method(first, x, baselines=b) + q * method(second, x, baselines=b)
        torch.testing.assert_close(method(both, x, baselines=b), mixed, **CLOSE)
    torch.testing.assert_close(gradient(both, x), p * gradient(first, x) + q * gradient(second, x), **CLOSE)


@FEW
@given(SEEDS)
def test_a_feature_the_model_ignores_receives_nothing(seed):
    f, _, _ = drawn(seed, 2)
    wider = Polynomial({(*degrees, 0): c for degrees, c in f.terms.items()}).module()
    _, x, b = drawn(seed, 3)
    for values in (gradient(wider, x), *(m(wider, x, baselines=b) for m in (integrated_gradients, occlusion_1, shapley_value))):
        assert values[0, 2].abs() < 1e-12


@FEW
@given(SEEDS)
def test_symmetric_features_receive_the_same(seed):
    f, x, b = drawn(seed, 2)
    model = f.module()

    def symmetric(rows):
        return model(rows) + model(rows.flip(1))

    x, b = x[:, :1].expand(1, 2), b[:, :1].expand(1, 2)
    for values in (gradient(symmetric, x), *(m(symmetric, x, baselines=b) for m in (integrated_gradients, occlusion_1, shapley_value))):
        torch.testing.assert_close(values[:, 0], values[:, 1], **CLOSE)


@FEW
@given(SEEDS)
def test_nothing_is_attributed_where_input_and_baseline_agree(seed):
    f, x, _ = drawn(seed)
    for method in (integrated_gradients, occlusion_1, shapley_value):
        assert method(f.module(), x, baselines=x).abs().max() < 1e-12


@FEW
@given(SEEDS, st.integers(1, 5))
def test_shapley_of_the_dual_game_is_the_same(seed, players):
    table = random_game(players, torch.Generator().manual_seed(seed))
    ones = torch.ones(1, players, dtype=torch.float64)
    dual = table[-1] - table.flip(0)
    torch.testing.assert_close(shapley_value(GameModel(dual), ones), shapley_value(GameModel(table), ones), **CLOSE)
