"""The methods against closed forms and brute force."""

import itertools
import math
import random

import pytest
import torch
from torch import nn

from executable import gradient, integrated_gradients, lrp_epsilon, occlusion_1, shapley_value
from executable.coalitions import banzhaf_weights, coalition_values, weighted_contributions
from executable.methods.gradient_times_input import AtInput, mean_gradient_times_difference
from executable.methods.layerwise_backprop import EpsilonRule, relevance_matrices
from executable.methods.modified_gradient import deconvolution, guided, modified_gradient
from executable.methods.perturbation import weighted_marginal_contributions
from executable.quadrature import RULES, quadrature
from executable.testbeds.games import GameModel, and_game, or_game, random_game, value_by_orders
from executable.testbeds.polynomials import as_rows, integrate_gradient, random_point, random_polynomial

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


def as_polynomial(draw):
    chance = random.Random(draw)
    n = 1 + draw % 4
    return random_polynomial(chance, n), random_point(chance, n), random_point(chance, n)


@pytest.mark.parametrize("draw", range(12))
def test_gradient_and_integrated_gradients_of_polynomials(draw):
    f, x, b = as_polynomial(draw)
    expected = as_rows([f.derivative(i)(x) for i in range(f.variables)])
    torch.testing.assert_close(gradient(f.module(), as_rows(x)), expected, rtol=1e-10, atol=1e-10)
    found = integrated_gradients(f.module(), as_rows(x), baselines=as_rows(b), n_steps=3)
    torch.testing.assert_close(found, as_rows(integrate_gradient(f, x, b)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5, 6])
def test_shapley_value_of_random_games_by_all_orders(players):
    table = random_game(players, torch.Generator().manual_seed(players))
    found = shapley_value(GameModel(table), torch.ones(1, players, dtype=torch.float64))
    torch.testing.assert_close(found, as_rows(value_by_orders(table.tolist())), **TIGHT)


def test_values_of_or_and_and():
    three = torch.ones(1, 3, dtype=torch.float64)
    third = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    torch.testing.assert_close(shapley_value(GameModel(or_game(3)), three), third)
    torch.testing.assert_close(shapley_value(GameModel(and_game(3)), three), third)
    assert occlusion_1(GameModel(or_game(3)), three).abs().max() == 0
    assert occlusion_1(GameModel(and_game(3)), three).tolist() == [[1, 1, 1]]
    quarter = weighted_marginal_contributions(GameModel(or_game(3)), three, weights=banzhaf_weights)
    assert quarter.tolist() == [[0.25] * 3]


def test_study_room_example_of_the_taylor_paper():
    def f(x):
        return 3 * x[:, 0] + 2 * x[:, 1] * x[:, 2] * x[:, 0]

    ones = torch.ones(1, 3, dtype=torch.float64)
    torch.testing.assert_close(shapley_value(f, ones)[0, 0].item(), 3 + 2 / 3)
    assert occlusion_1(f, ones)[0, 0].item() == 5


def test_weights_per_player_and_coalition():
    table = random_game(3, torch.Generator().manual_seed(0)).unsqueeze(0)
    weights = torch.rand(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [sum(weights[i, s] * (table[0, s | 1 << i] - table[0, s]) for s in range(8) if not s >> i & 1).item() for i in range(3)]
    torch.testing.assert_close(weighted_contributions(table, weights)[0].tolist(), expected)
    with pytest.raises(ValueError, match=r"\(3,\), one weight per coalition size"):
        weighted_contributions(table, torch.ones(4))


def test_occlusion_by_hand(relu_net, rows):
    baseline = torch.linspace(-1, 1, 5, dtype=torch.float64)
    found = occlusion_1(relu_net, rows, 1, baselines=baseline)
    for row, column in itertools.product(range(6), range(5)):
        removed = rows[row].clone()
        removed[column] = baseline[column]
        assert math.isclose(found[row, column], (relu_net(rows[row]) - relu_net(removed)).detach()[1], abs_tol=1e-12)


def test_lrp_of_one_neuron_by_hand():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -1.0]]))
        model[0].bias.fill_(0.5)
    found = lrp_epsilon(model, torch.tensor([[3.0, 1.0]]), epsilon=0.5)
    z = 2 * 3 - 1 + 0.5
    torch.testing.assert_close(found, torch.tensor([[6 / (z + 0.5) * z, -1 / (z + 0.5) * z]]))


def test_sign_of_zero_is_plus_one_and_dead_neurons_hand_on_nothing():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    x = torch.tensor([[1.0, -1.0]])
    assert lrp_epsilon(layer, x, 0, epsilon=0.5).tolist() == [[0.0, 0.0]]
    assert lrp_epsilon(layer, x, 0, epsilon=0.0).tolist() == [[0.0, 0.0]]
    shifted = nn.Sequential(layer, nn.Sigmoid())
    torch.testing.assert_close(lrp_epsilon(shifted, x, 0, epsilon=0.5), torch.tensor([[1.0, -1.0]]))
    with pytest.raises(ValueError, match="divides by zero; use epsilon > 0"):
        lrp_epsilon(shifted, x, 0, epsilon=0.0)


def test_relevance_matrices_multiply_to_lrp(relu_net, rows):
    matrices, y = relevance_matrices(relu_net, rows[:1], rule=EpsilonRule(0.1))
    assert [tuple(m.shape) for m in matrices] == [(5, 9), (9, 9), (9, 7), (7, 7), (7, 3)]
    a = y * torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.multi_dot(matrices) @ a, lrp_epsilon(relu_net, rows[:1], 1, epsilon=0.1)[0], **TIGHT)


def test_matrices_need_a_chain_and_one_input(residual, images, relu_net, rows):
    with pytest.raises(ValueError, match="not a chain of layers"):
        relevance_matrices(residual, images[:1], rule=EpsilonRule(0.1))
    with pytest.raises(ValueError, match="belong to one input"):
        relevance_matrices(relu_net, rows, rule=EpsilonRule(0.1))


def test_guided_and_deconvolution_of_one_hidden_layer(rows):
    first, second = torch.randn(8, 5, dtype=torch.float64), torch.randn(1, 8, dtype=torch.float64)

    def f(x):
        return (torch.relu(x @ first.T) @ second.T)[:, 0]

    active = (rows @ first.T > 0).double()
    torch.testing.assert_close(modified_gradient(f, rows, rule=guided), (active * second.clamp(min=0)) @ first)
    torch.testing.assert_close(modified_gradient(f, rows, rule=deconvolution), second.clamp(min=0).expand(6, 8) @ first)


def test_gradient_times_input_is_the_family_at_the_input(relu_net, rows):
    found = mean_gradient_times_difference(relu_net, rows, 0, baselines=0.5, scope=AtInput())
    torch.testing.assert_close(found, gradient(relu_net, rows, 0) * (rows - 0.5))


@pytest.mark.parametrize("rule", RULES)
def test_quadratures_integrate_constants_and_converge(rule):
    for steps in (1, 2, 7, 50):
        nodes, weights = quadrature(rule, steps)
        assert nodes.shape == weights.shape == (steps,)
        assert math.isclose(weights.sum(), 1, abs_tol=1e-12)
        assert nodes.min() >= 0
        assert nodes.max() <= 1
    nodes, weights = quadrature(rule, 2000)
    assert abs((weights * nodes.exp()).sum() - (math.e - 1)) < 1e-3


@pytest.mark.parametrize(
    ("rule", "error"), [("gauss_legendre", 1e-14), ("riemann_midpoint", 1e-14), ("riemann_trapezoid", 1e-14), ("riemann_left", 0.1)]
)
def test_quadratures_of_a_line(rule, error):
    nodes, weights = quadrature(rule, 5)
    assert abs((weights * nodes).sum() - 0.5) <= error + 1e-15


def test_gauss_legendre_matches_numpy():
    import numpy

    for steps in (1, 2, 5, 20, 100):
        nodes, weights = quadrature("gauss_legendre", steps)
        expected, mass = numpy.polynomial.legendre.leggauss(steps)
        torch.testing.assert_close(nodes, torch.from_numpy((expected + 1) / 2), rtol=0, atol=1e-14)
        torch.testing.assert_close(weights, torch.from_numpy(mass / 2), rtol=0, atol=1e-13)


def test_coalitions_are_numbered_by_their_bits():
    table = coalition_values(lambda x: x @ torch.tensor([1.0, 10.0, 100.0]), torch.ones(1, 3))
    assert table.tolist() == [[0, 1, 10, 11, 100, 101, 110, 111]]
