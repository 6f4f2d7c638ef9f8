"""The rationales of Table IV as functions, each against a closed form, and what they refuse."""

import math
from fractions import Fraction

import pytest
import torch

from executable import average_causal_effect, banzhaf_value, individual_causal_effect, occlusion_1, shapley_value
from executable.coalitions import shapley_weights
from executable.frameworks.feature_additive import feature_additive, shapley_kernel
from executable.rationales.causal_attribution import causal_effects, hybrids, undisturbed
from executable.rationales.deep_taylor import expand_layer, layerwise_expansion, neuron_terms, root_for
from executable.rationales.first_order_taylor import first_order_terms
from executable.rationales.gradient_sensitivity import finite_sensitivity
from executable.rationales.information_theory import JointTable, conditional_information, subset_information, subsets, weighted_information
from executable.rationales.interaction_effect_allocation import allocate_interactions, equal, halves, whole
from executable.rationales.surrogate_approximation import best_surrogate
from executable.removal import Marginal

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def cubic(x):
    return x[:, 0] ** 3 + x[:, 0] * x[:, 1]


# Gradient sensitivity


@pytest.mark.parametrize("h", [0.5, -0.25, 1e-3])
def test_finite_sensitivity_of_a_cubic(h):
    x = rows([2.0, 3.0], [-1.0, 0.5])
    expected = torch.stack([3 * x[:, 0] ** 2 + 3 * x[:, 0] * h + h**2 + x[:, 1], x[:, 0]], dim=1)
    torch.testing.assert_close(finite_sensitivity(cubic, x, step=h), expected, rtol=1e-9, atol=1e-9)


def test_finite_sensitivity_follows_target_arguments_and_shape():
    x = torch.arange(8, dtype=torch.float64).reshape(2, 2, 2)

    def two(x, factor):
        value = factor * x.flatten(1).sum(dim=1)
        return torch.stack([value, -value], dim=1)

    found = finite_sensitivity(two, x, torch.tensor([0, 1]), step=0.5, additional_forward_args=rows(3.0, 5.0), internal_batch_size=3)
    assert found.tolist() == [[[3, 3], [3, 3]], [[-5, -5], [-5, -5]]]


def test_the_two_sides_of_a_kink():
    zero = rows([0.0])
    assert finite_sensitivity(lambda x: x[:, 0].abs(), zero, step=1e-3).item() == 1
    assert finite_sensitivity(lambda x: x[:, 0].abs(), zero, step=-1e-3).item() == -1


@pytest.mark.parametrize("step", [0.0, math.inf, math.nan])
def test_a_step_has_a_length(step):
    with pytest.raises(ValueError, match="step must be"):
        finite_sensitivity(cubic, rows([1.0, 1.0]), step=step)


# Taylor decomposition


def test_terms_and_remainder_of_a_cubic_at_either_end():
    x, b = rows([2.0, 3.0]), rows([1.0, -1.0])
    at_x, at_b = first_order_terms(cubic, x, baselines=b), first_order_terms(cubic, x, baselines=b, at="baseline")
    assert at_x.terms.tolist() == [[15, 8]]  # (12 + 3) * 1 and 2 * 4
    assert at_b.terms.tolist() == [[2, 4]]  # (3 - 1) * 1 and 1 * 4
    for found in (at_x, at_b):
        assert found.change.item() == 14  # 8 + 6 - (1 - 1)
        assert found.remainder.item() == 14 - found.terms.sum()


def test_a_linear_function_leaves_nothing():
    found = first_order_terms(lambda x: 2 * x[:, 0] - x[:, 1] + 7, rows([1.0, 5.0]), baselines=3.0)
    assert found.terms.tolist() == [[-4, -2]]
    assert found.remainder.item() == 0


def test_the_point_is_the_input_or_the_baseline():
    with pytest.raises(ValueError, match="at must be one of input, baseline"):
        first_order_terms(cubic, rows([1.0, 1.0]), at="middle")


# Deep Taylor


def test_expansion_of_a_layer_around_roots():
    """Neurons max(0, x1 + 2 x2) around (0, 0), and max(0, x1 - x2) around (1, 1), a root, at x = (3, 1)."""
    weights = rows([1.0, 2.0], [1.0, -1.0])
    found = expand_layer(lambda x: torch.relu(x @ weights.T), rows([3.0, 1.0]), rows([0.0, 0.0], [1.0, 1.0]))
    assert found.value.tolist() == [[5, 2]]
    assert found.terms.tolist() == [[[3, 2], [2, 0]]]
    assert found.at_root.tolist() == [[0, 0]]
    assert found.remainder.tolist() == [[0, 0]]
    assert found.pass_on(rows([10.0, 1.0])).tolist() == [[7, 4]]


def test_a_point_that_is_no_root_keeps_its_share_and_curvature_its_remainder():
    found = expand_layer(lambda x: x**2, rows([3.0]), rows([1.0]), inside=0)
    assert (found.at_root.item(), found.terms.item(), found.remainder.item()) == (1, 4, 4)


def test_the_slope_is_taken_on_the_side_of_the_input():
    relu, x, root = torch.relu, rows([2.0]), rows([0.0])
    assert expand_layer(relu, x, root).terms.item() == 2
    assert expand_layer(relu, -x, root).terms.item() == 0
    assert expand_layer(relu, x, root, inside=0).terms.item() == 0


def test_neurons_that_are_off_pass_nothing_on():
    found = expand_layer(lambda x: torch.relu(x @ rows([1.0, -1.0], [1.0, 1.0]).T), rows([1.0, 2.0]), torch.zeros(2))
    assert found.pass_on(rows([5.0, 3.0])).tolist() == [[1, 2]]


def test_recursion_through_two_layers():
    """x -> h = max(0, (x1 + x2, x1 - x2)) -> h1 + 3 h2: gradient times input for the root 0, and its relevance on the way."""
    layers = [lambda x: torch.relu(x @ rows([1.0, 1.0], [1.0, -1.0]).T), lambda h: h @ rows([1.0, 3.0]).T]
    found = layerwise_expansion(layers, rows([2.0, 1.0], [1.0, 2.0]), 0, points=lambda number, values: torch.zeros(2))
    assert found.attributions.tolist() == [[8, -2], [1, 2]]
    assert [r.tolist() for r in found.relevance] == [[[3, 3], [3, 0]], [[6], [3]]]


def test_points_see_what_enters_the_layer():
    seen = []

    def points(number, values):
        seen.append((number, values.tolist()))
        return values / 2

    layers = [lambda x: 2 * x, lambda h: h.sum(dim=1, keepdim=True)]
    found = layerwise_expansion(layers, rows([1.0, 3.0]), 0, points=lambda number, values: points(number, values).unsqueeze(1))
    assert seen == [(0, [[1, 3]]), (1, [[2, 6]])]
    assert found.attributions.tolist() == [[0.5, 1.5]]  # half of the output at every layer: 8 / 4 by contributions


def test_layers_take_rows():
    with pytest.raises(ValueError, match="takes and returns rows"):
        expand_layer(lambda x: x[:, 0], rows([1.0, 2.0]), torch.zeros(2))
    with pytest.raises(ValueError, match="cannot be broadcast"):
        expand_layer(lambda x: x, rows([1.0, 2.0]), torch.zeros(3))


def test_any_wish_with_the_right_sum_has_a_root():
    weights, x, wished = [Fraction(2), Fraction(-3)], [Fraction(5), Fraction(1)], [Fraction(100), Fraction(-93)]
    root = root_for(weights, x, wished)
    assert sum(w * b for w, b in zip(weights, root, strict=True)) == 0
    assert neuron_terms(weights, x, root) == wished


# Interaction effects


def test_effects_and_shares_of_a_polynomial():
    """x1 + 4 x1 x2 + 6 x1 x2 x3 at (1, 1, 1)."""
    x = torch.ones(1, 3, dtype=torch.float64)

    def f(x):
        return x[:, 0] + 4 * x[:, 0] * x[:, 1] + 6 * x[:, 0] * x[:, 1] * x[:, 2]

    found = {share: allocate_interactions(f, x, share=share) for share in (whole, equal, halves)}
    assert found[whole].effects.tolist() == [[0, 1, 0, 4, 0, 0, 0, 6]]
    assert found[whole].independent.tolist() == [[1, 0, 0]]
    assert found[whole].interaction.tolist() == [[10, 10, 6]]
    assert found[equal].attributions.tolist() == [[5, 4, 2]]
    assert found[halves].attributions.tolist() == [[4.5, 3.5, 1.5]]


def test_shares_give_the_methods_with_groups_and_distributions():
    generator = torch.Generator().manual_seed(0)
    x, data = torch.randn(2, 4, generator=generator, dtype=torch.float64), torch.randn(3, 4, generator=generator, dtype=torch.float64)
    groups = torch.tensor([0, 1, 1, 2])
    for share, method in ((whole, occlusion_1), (equal, shapley_value), (halves, banzhaf_value)):
        options = {"baselines": Marginal(data), "feature_mask": groups}
        found = allocate_interactions(lambda v: v.prod(dim=1) + v[:, 0].sin(), x, share=share, **options).attributions
        torch.testing.assert_close(found, method(lambda v: v.prod(dim=1) + v[:, 0].sin(), x, **options), **CLOSE)


# Causal effects


def test_a_cause_moves_what_follows_from_it():
    """x2 copies x1: setting x1 changes f = x1 + 10 x2 by 11, setting x2 by 10; leaving x2 as it is only by 1."""

    def law(i, value):
        return (rows([value, value]), rows(1.0)) if i == 0 else (rows([0.0, value], [1.0, value]), rows(0.5, 0.5))

    def f(x):
        return x[:, 0] + 10 * x[:, 1]

    one = rows([1.0, 1.0])
    assert causal_effects(f, one, law=law).tolist() == [[11, 10]]
    assert causal_effects(f, one, law=undisturbed(rows([0.0, 0.0], [1.0, 1.0]))).tolist() == [[1, 10]]


def test_populations_give_the_methods():
    generator = torch.Generator().manual_seed(1)
    data, x, b = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (5, 1, 1))

    def f(v):
        return v.prod(dim=1) + v[:, 1].cos()

    torch.testing.assert_close(causal_effects(f, x, law=undisturbed(data), baselines=b), average_causal_effect(f, x, data=data, baselines=b), **CLOSE)
    torch.testing.assert_close(causal_effects(f, x, law=undisturbed(x), baselines=b), individual_causal_effect(f, x, baselines=b), **CLOSE)
    sizes = torch.tensor([s.bit_count() for s in range(8)])
    even = 1 / (4 * torch.tensor([math.comb(3, int(s)) for s in sizes], dtype=torch.float64))
    population = undisturbed(*hybrids(x[0], b[0], even))
    torch.testing.assert_close(causal_effects(f, x, law=population, baselines=b), shapley_value(f, x, baselines=b), **CLOSE)


def test_chances_of_contexts_are_the_weights_of_the_shapley_value():
    """Seen from one variable, sizes drawn evenly among 0 to n give each set of the others the Shapley weight."""
    n = 4
    even = [1 / ((n + 1) * math.comb(n, s.bit_count())) for s in range(2**n)]
    seen = [even[s] + even[s | 1 << (n - 1)] for s in range(2 ** (n - 1))]
    expected = shapley_weights(n)
    assert seen == pytest.approx([float(expected[s.bit_count()]) for s in range(2 ** (n - 1))])


def test_probabilities_add_up_to_one():
    with pytest.raises(ValueError, match=r"add up to 0\.5"):
        causal_effects(cubic, rows([1.0, 1.0]), law=undisturbed(rows([0.0, 0.0]), rows(0.5)))
    with pytest.raises(ValueError, match="variables in rows"):
        causal_effects(lambda x: x.flatten(1).sum(dim=1), torch.zeros(1, 2, 2), law=undisturbed(torch.zeros(1, 2, 2)))


# Information


def exclusive_or():
    return JointTable({((a, b), a ^ b): 1 for a in (0, 1) for b in (0, 1)})


def test_exclusive_or_tells_nothing_alone_and_one_bit_together():
    found = subset_information(exclusive_or(), (1, 0), 1)
    assert found.probability.tolist() == [0.5, 0.5, 0.5, 1]
    assert found.pointwise.tolist() == [0, 0, 0, math.log(2)]
    assert conditional_information(exclusive_or(), 0, ()) == 0
    assert conditional_information(exclusive_or(), 0, (1,)) == pytest.approx(math.log(2))
    assert weighted_information(exclusive_or()).tolist() == [pytest.approx([math.log(2) / 2] * 2)]


def test_an_impossible_label_has_information_minus_infinity():
    assert subset_information(exclusive_or(), (1, 0), 0).pointwise.tolist() == [0, 0, 0, -math.inf]


def test_chain_rule_on_an_uneven_table():
    table = JointTable({((0, 0), 0): 5, ((0, 1), 1): 2, ((1, 0), 1): 3, ((1, 1), 0): 1, ((1, 1), 1): 4, ((0, 0), 1): 1})
    chances = {case: count / 16 for case, count in table.counts.items()}
    together = sum(c * float(subset_information(table, x, y).pointwise[3]) for (x, y), c in chances.items())
    assert conditional_information(table, 0, ()) + conditional_information(table, 1, (0,)) == pytest.approx(together)
    assert weighted_information(table).sum().item() == pytest.approx(together)
    assert table.given(1, {0: 0}) == Fraction(3, 8)
    inputs, labels = table.rows()
    assert inputs.shape == (16, 2)
    assert labels.sum() == 10


def test_only_what_occurs_has_information():
    for x, y in (((2, 0), 1), ((0,), 1), ((0, 0), 7)):
        with pytest.raises(ValueError, match="does not occur"):
            subset_information(exclusive_or(), x, y)
    assert subsets(2) == [(), (0,), (1,), (0, 1)]


# Surrogates


def test_nearest_line_to_a_parabola():
    """Least squares of x**2 on -1, 0, 1 with weights 1, w, 1: the constant is 2 / (2 + w)."""
    points = rows([-1.0], [0.0], [1.0])
    columns = torch.cat([torch.ones_like(points), points], dim=1)
    for w in (1.0, 2.0, 6.0):
        found = best_surrogate(lambda x: x[:, 0] ** 2, points, columns=columns, weights=rows(1.0, w, 1.0))
        torch.testing.assert_close(found.coefficients, rows(2 / (2 + w), 0.0), **CLOSE)
        assert found.loss == pytest.approx(2 * w / (2 + w))
    exact = best_surrogate(lambda x: x[:, 0] ** 2, points, columns=columns, weights=rows(1.0, 1.0, math.inf))
    torch.testing.assert_close(exact.values[2], rows(1.0)[0], **CLOSE)
    torch.testing.assert_close(exact.coefficients, rows(0.8, 0.2), **CLOSE)  # minimises (a - b - 1)**2 + a**2 with a + b = 1
    assert exact.distance == pytest.approx(0.8)


def test_infinite_weights_agree_with_the_familys_fit():
    x = torch.randn(1, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z = torch.tensor([[float(s >> i & 1) for i in range(4)] for s in range(16)], dtype=torch.float64)
    columns = torch.cat([torch.ones(16, 1, dtype=torch.float64), z], dim=1)

    def f(v):
        return v.prod(dim=1) + v[:, 0].exp()

    found = best_surrogate(f, z * x, columns=columns, weights=shapley_kernel(4))
    torch.testing.assert_close(found.coefficients[1:], feature_additive(f, x, kernel=shapley_kernel).coefficients[0], **CLOSE)


def test_a_model_of_the_class_is_found_and_surplus_columns_stay_small():
    points = rows([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    found = best_surrogate(lambda x: 3 * x[:, 0] - x[:, 1], points, columns=torch.cat([points, points], dim=1))
    torch.testing.assert_close(found.coefficients, rows(1.5, -0.5, 1.5, -0.5), **CLOSE)
    assert found.distance < 1e-12


def test_what_a_surrogate_refuses():
    points = rows([0.0], [1.0], [2.0])
    f = lambda x: x[:, 0] ** 2  # noqa: E731
    with pytest.raises(ValueError, match="no surrogate of the class equals"):
        best_surrogate(f, points, columns=points, weights=rows(math.inf, math.inf, math.inf))
    with pytest.raises(ValueError, match="3 points need columns"):
        best_surrogate(f, points, columns=points[:2])
    with pytest.raises(ValueError, match="none of them negative"):
        best_surrogate(f, points, columns=points, weights=rows(1.0, -1.0, 1.0))
