"""Figures of the evidence: a reduced rerun gives the recorded points, the bounds are kept, and the numbers can come out otherwise."""

import itertools
import math

import pytest
import torch

import taxonomy
from executable.checks.sensitivity import GRADIENT, class_cosine, networks
from executable.methods import grad_times_input, integrated_gradients, shapley_value
from executable.reproductions import pictures_depth, pictures_monomial, pictures_quadrature, pictures_sampling
from executable.reproductions.base import script_of
from executable.reproductions.models import trained
from executable.testbeds.digits import one_thread

STUDIES = {
    pictures_depth.STUDY: pictures_depth.class_directions,
    pictures_monomial.STUDY: pictures_monomial.shares_of_a_monomial,
    pictures_sampling.STUDY: pictures_sampling.sample_efficiency,
    pictures_quadrature.STUDY: pictures_quadrature.implementation,
}


@pytest.fixture(scope="module")
def recorded():
    return taxonomy.load().reproductions


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread(0):
        yield


def chart(found, id):
    return next(c for c in found.charts if c.id == id)


def series(found, id, name):
    return next(s for s in chart(found, id).series if s.name == name)


def close(value, rel=1e-3):
    """A recorded number has four digits."""
    return pytest.approx(value, rel=rel, abs=1e-9)


@pytest.mark.parametrize("study", STUDIES)
def test_what_is_recorded_keeps_its_bounds(study, recorded):
    found = recorded[study]
    assert found.script == script_of(STUDIES[study])
    assert all(m.within for m in found.measurements)
    assert sum(m.bound is not None for m in found.measurements) >= 5
    assert len(found.controls) >= 2
    assert all(c.detected for c in found.controls)
    for one in found.charts:
        for s in one.series:
            assert list(s.x) == sorted(s.x)
            assert all(low <= y <= high for low, y, high in zip(s.low, s.y, s.high, strict=False))
            assert one.y_scale == "linear" or min(s.y) > 0


# -- maps of two classes against depth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 6])
def test_cosines_of_one_depth_again(depth, recorded):
    found = recorded[pictures_depth.STUDY]
    place = pictures_depth.DEPTHS.index(depth)
    for id, methods in (("class-cosine", pictures_depth.COVERED), ("class-cosine-signed", pictures_depth.SIGNED)):
        for name, run in methods.values():
            again = pictures_depth.by_network(run, depth)[0]
            shown = series(found, id, name)
            assert shown.y[place] == close(float(again.mean())), name
            assert bool(shown.low) == (name not in ("Gradient", "RevealCancel"))
            if shown.low:
                assert shown.low[place] == close(float(again.min())), name
                assert shown.high[place] == close(float(again.max())), name
            assert again.mean() == pytest.approx(class_cosine(run, networks(depth)))
    for name, run in pictures_depth.COVERED.values():
        shown = dict(zip(series(found, "distance-from-one-direction", name).x, series(found, "distance-from-one-direction", name).y, strict=True))
        assert shown[depth] == close(pictures_depth.gap(run, depth)), name


def test_the_distance_keeps_its_digits():
    gap = pictures_depth.gap(GRADIENT, 4)
    assert gap == pytest.approx(1 - class_cosine(GRADIENT, networks(4)))
    assert pictures_depth.gap(pictures_depth.COVERED["excitation-backprop"][1], 12) < 1e-10


def test_sizes_count_opposite_maps_as_one_direction(recorded):
    found = recorded[pictures_depth.STUDY]
    last = [series(found, "class-cosine-signed", name).y[-1] for name in ("RevealCancel", "RevealCancel, size of the cosine")]
    assert abs(last[0]) < 0.5 < 0.9 < last[1]
    mean, size = pictures_depth.by_network(pictures_depth.revealcancel, 8)
    assert (size >= mean.abs() - 1e-12).all()


def test_levels_of_independent_vectors(recorded):
    found = recorded[pictures_depth.STUDY]
    assert series(found, "class-cosine", "independent vectors, positive entries").y[0] == close(pictures_depth.independent(positive=True))
    assert pictures_depth.independent(positive=True) == pytest.approx(2 / math.pi, abs=0.02)
    assert abs(pictures_depth.independent(positive=False)) < 0.02


# -- weights of a monomial -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", pictures_monomial.METHODS)
def test_weights_of_a_monomial_again(method, recorded):
    found = recorded[pictures_monomial.STUDY]
    again = pictures_monomial.weights(method)
    assert pictures_monomial.spread(again) < 1e-8
    row = next(row for row in found.tables[0].rows if row[0] == method)
    assert list(row[1:4]) == [close(float(w), 2e-3) for w in again.mean(dim=0)]
    assert row[4] == close(float(again.mean(dim=0).sum()), 2e-3)
    if method in pictures_monomial.DRAWN:
        assert list(series(found, "weights", pictures_monomial.METHODS[method][0]).y) == [close(float(w)) for w in again.mean(dim=0)]


def test_drawn_weights_differ_and_stand_for_all():
    rows = {m: pictures_monomial.METHODS[m][2] for m in pictures_monomial.METHODS}
    drawn = {rows[m] for m in pictures_monomial.DRAWN}
    assert len(drawn) == len(pictures_monomial.DRAWN)
    assert drawn == set(rows.values())


def test_weights_are_none_where_a_second_effect_is_mixed_in():
    two = pictures_monomial.weights("integrated-gradients", lambda x: pictures_monomial.monomial(x) + x[:, 2])
    assert pictures_monomial.spread(two) > 0.01


def test_the_bent_path_weighs_degree_by_speed():
    # Along (t, t^q, t) the second variable's share is q / (4 + q).
    again = pictures_monomial.weights("path-integrated-gradients").mean(dim=0)
    speeds = torch.tensor([2.0, pictures_monomial.BEND, 2.0], dtype=torch.float64)
    torch.testing.assert_close(again, speeds / speeds.sum())
    x = pictures_monomial.points()
    assert not torch.allclose(integrated_gradients(pictures_monomial.monomial, x), grad_times_input(pictures_monomial.monomial, x))


# -- sampling ------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    network = trained("mlp", "relu", pictures_sampling.SIDE)
    x, target = network.explained(pictures_sampling.IMAGES)
    return network, x, target, shapley_value(network.model, x, target)


def test_errors_of_few_evaluations_again(scene, recorded, monkeypatch):
    network, x, target, exact = scene
    monkeypatch.setattr(pictures_sampling, "EVALUATIONS", pictures_sampling.EVALUATIONS[:2])
    found = recorded[pictures_sampling.STUDY]
    for name, _, run in pictures_sampling.ESTIMATES.values():
        again = pictures_sampling.errors(run, exact, network, x, target)
        shown = series(found, "convergence", name)
        # Training ends a little elsewhere on another machine.
        assert list(shown.y[:2]) == [close(float(v), 0.05) for v in pictures_sampling.root_mean_square(again)], name


def test_evaluations_are_counted(scene):
    network, x, target, _ = scene
    calls = []

    def model(z):
        calls.append(len(z))
        return network.model(z)

    for count in (64, 1024):  # a coalition that several orders visit is evaluated once
        calls.clear()
        orders = pictures_sampling.walks(count)
        pictures_sampling.shapley_sampling(model, x[:1], target[:1], n_samples=orders)
        assert 0.8 * count < sum(calls) <= count


def test_slopes():
    counts = (10, 20, 40)
    assert pictures_sampling.slope(counts, torch.tensor([1.0, 0.5, 0.25])) == pytest.approx(-1)
    assert pictures_sampling.slope(counts, torch.ones(3)) == pytest.approx(0)


def test_recorded_exponents_are_those_of_the_curves(recorded):
    found = recorded[pictures_sampling.STUDY]
    for row in found.tables[0].rows:
        shown = series(found, "convergence", row[0])
        assert row[-1] == pytest.approx(pictures_sampling.slope(tuple(shown.x), torch.tensor(shown.y)), abs=0.01)
    guide = series(found, "convergence", "slope −1/2")
    assert guide.y[0] / guide.y[1] == pytest.approx(math.sqrt(guide.x[1] / guide.x[0]), rel=1e-3)


# -- quadrature and runs -------------------------------------------------------------------------------------------------------------------------


def test_errors_of_few_steps_again(recorded, monkeypatch):
    monkeypatch.setattr(pictures_quadrature, "STEPS", (2, 4, 8, 16))
    again = pictures_quadrature.integrals("softplus")
    found = recorded[pictures_quadrature.STUDY]
    for method, name in pictures_quadrature.RULES.items():
        shown = series(found, "quadrature-smooth", name)
        kept = [value for value in again[method] if value > pictures_quadrature.ROUNDING]
        assert [close(v, 0.05) for v in kept][: len(shown.y)] == list(shown.y[: len(kept)]), name
    assert pictures_quadrature.order(again["riemann_left"], first=2) == pytest.approx(1, abs=0.2)
    assert pictures_quadrature.order(again["riemann_midpoint"], first=2) == pytest.approx(2, abs=0.2)


def test_spread_of_few_draws_again(recorded, monkeypatch):
    monkeypatch.setattr(pictures_quadrature, "DRAWS", pictures_quadrature.DRAWS[:2])
    network = trained("mlp", "softplus", pictures_quadrature.SIDE)
    x, target = network.explained(pictures_quadrature.IMAGES)
    found = recorded[pictures_quadrature.STUDY]
    for name, run in pictures_quadrature.RANDOM.values():
        again = pictures_quadrature.spreads(run, network, x, target)
        assert list(series(found, "spread", name).y[:2]) == [close(float(v), 0.05) for v in again], name
    still = pictures_quadrature.spreads(lambda *_: torch.ones_like(x), network, x, target)
    assert still.abs().max() == 0


def test_kinks_cost_every_rule_its_order(recorded):
    found = recorded[pictures_quadrature.STUDY]
    smooth, kinked = (dict(zip(found.tables[0].columns, row, strict=False)) for row in (found.tables[0].rows[2], found.tables[0].rows[4]))
    assert smooth["Softplus"] == pytest.approx(2, abs=0.1)
    assert kinked["Softplus"] is None
    assert all(row[2] < 1.6 for row in found.tables[0].rows)
    errors = {s.name: s.y for s in chart(found, "quadrature-kinked").series}
    assert all(max(a[4], b[4]) / min(a[4], b[4]) < 10 for a, b in itertools.combinations(errors.values(), 2))
