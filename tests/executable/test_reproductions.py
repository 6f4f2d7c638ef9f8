"""Studies rerun: the machinery, and that what is recorded is what the code gives."""

import itertools
import json
import math

import pytest
import torch

import taxonomy
from executable.interactions.taylor import taylor_interaction_effects
from executable.metrics import infidelity
from executable.reproductions import base, fitting_error_study, fitting_errors, infidelity_methods, infidelity_study, models, run, second_order
from executable.reproductions.base import rank_correlation, reproduces
from executable.reproductions.fitting_errors import errors, groups, scene
from executable.reproductions.models import trained
from executable.testbeds.digits import one_thread
from taxonomy import cli
from taxonomy.reproduction import Reproduction, ResultTable, read
from taxonomy.store import packaged_kb

STUDIES = sorted(run.scripts())


@pytest.fixture(scope="module")
def recorded():
    return taxonomy.load().reproductions


# -- the machinery ---------------------------------------------------------------------------------------------------------------------------


def invented(study="fitting-error-study", detected=True):
    return Reproduction(
        study=study, script="a:b", question="Why?", setup="None.", finding="Nothing.", seed=1,
        controls=(base.breaks("a control", 1.0 if detected else 0.0, 0.5),), measurements=(base.at_most("a number", 2.0, 1.0),),
        tables=(ResultTable(id="t", title="T", caption="C.", columns=("a", "b"), rows=(("x", None), ("y", 0.5))),),
    )  # fmt: skip


@pytest.fixture
def registry(monkeypatch):
    known = {}
    monkeypatch.setattr(run, "scripts", lambda: known)
    return known


def test_a_study_is_recorded_once_and_again_when_forced(registry, tmp_path, capsys):
    calls = []
    registry["fitting-error-study"] = lambda: calls.append(1) or invented()
    assert run.reproduce(tmp_path).results[0].outcome == "recorded"
    assert run.reproduce(tmp_path).results[0].outcome == "unchanged"
    assert run.reproduce(tmp_path, force=True).results[0].outcome == "recorded"
    assert len(calls) == 2
    found = read(tmp_path / "reproductions" / "fitting-error-study.json")
    assert found.digest
    assert found.tables[0].rows == (("x", None), ("y", 0.5))
    printed = capsys.readouterr()
    assert not printed.out
    assert "a number: 2, which is not <= 1" in printed.err


def test_a_study_that_breaks_leaves_the_others_alone(registry, tmp_path):
    def breaks():
        raise ArithmeticError("by zero")

    registry.update({"fitting-error-study": breaks, "infidelity-study": lambda: invented("infidelity-study")})
    report = run.reproduce(tmp_path)
    assert not report.ok
    assert report.results[0].problems == ("ArithmeticError: by zero",)
    assert [path.name for path in (tmp_path / "reproductions").iterdir()] == ["infidelity-study.json"]


def test_an_interrupted_run_keeps_what_was_finished(registry, tmp_path):
    def stops():
        raise KeyboardInterrupt

    registry.update({"fitting-error-study": invented, "infidelity-study": stops})
    with pytest.raises(KeyboardInterrupt):
        run.reproduce(tmp_path)
    assert [path.name for path in (tmp_path / "reproductions").iterdir()] == ["fitting-error-study.json"]


def test_a_control_that_is_not_noticed_is_not_recorded(registry, tmp_path):
    registry["fitting-error-study"] = lambda: invented(detected=False)
    report = run.reproduce(tmp_path)
    assert report.results[0].problems == ("control not noticed: a control",)
    assert not (tmp_path / "reproductions").exists()


def test_a_script_returns_its_own_study(registry, tmp_path):
    registry["fitting-error-study"] = lambda: invented("infidelity-study")
    assert "returned the reproduction of `infidelity-study`" in run.reproduce(tmp_path).results[0].problems[0]


def test_an_unknown_study_is_refused_with_a_hint(tmp_path):
    with pytest.raises(KeyError, match="did you mean `fitting-error-study`"):
        run.reproduce(tmp_path, ["fitting-eror-study"])


def test_one_study_has_one_script():
    def another():
        return invented()

    with pytest.raises(ValueError, match="one study has one script"):
        reproduces("fitting-error-study")(another)
    assert base.REPRODUCTIONS["fitting-error-study"] is fitting_error_study.fitting_error_study


def test_the_command_prints_what_is_recorded(capsys):
    assert cli.main(["reproduce", "--recorded", "fitting-error-study"]) == 0
    printed = capsys.readouterr().out
    assert "Occ-2×2\t0\t" in printed
    assert "finding\t" in printed
    assert cli.main(["reproduce", "--recorded", "--json", "infidelity-study"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["study"] == "infidelity-study"
    assert cli.main(["reproduce", "--recorded", "ethical-study"]) == 1
    assert cli.main(["reproduce", "--recorded", "lime"]) == 1
    assert "no reproduction of `lime`" in capsys.readouterr().err


# -- what is recorded ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", STUDIES)
def test_the_recorded_file_is_that_of_the_code(recorded, study):
    found = recorded[study]
    assert found.digest == run.reproduction_digest(study, run.scripts()[study]), f"run `atlas reproduce {study}`"
    assert found.script == base.script_of(run.scripts()[study])


@pytest.mark.parametrize("study", STUDIES)
def test_controls_are_noticed(recorded, study):
    assert recorded[study].controls
    assert all(control.detected for control in recorded[study].controls)


@pytest.mark.parametrize("study", ["fitting-error-study", "infidelity-study"])
def test_numbers_keep_their_bounds(recorded, study):
    bounded = [number for number in recorded[study].measurements if number.bound is not None]
    assert len(bounded) >= 3
    assert [number.name for number in bounded if not number.within] == []


def test_no_file_is_without_a_script():
    assert {path.stem for path in (packaged_kb() / "reproductions").glob("*.json")} == set(STUDIES)


SMALL_NETWORKS = [("polynomial", "identity", 4), ("mlp", "sigmoid", 4), ("mlp", "softplus", 8), ("cnn", "relu", 8)]


# -- networks --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "activation", "side"), [("polynomial", "identity", 4), ("mlp", "sigmoid", 4), ("mlp", "softplus", 8), ("cnn", "relu", 8)]
)
def test_networks_read_digits(kind, activation, side):
    network = trained(kind, activation, side)
    assert network.accuracy > 0.9
    x, target = network.explained(5)
    assert x.shape == (5, 1, side, side)
    assert x.dtype == torch.float64
    assert network.model(x).argmax(dim=1).equal(target)


def test_training_is_repeatable():
    again = trained.__wrapped__("mlp", "softplus", 4)
    assert all(left.equal(right) for left, right in zip(trained("mlp", "softplus", 4).model.parameters(), again.model.parameters(), strict=True))
    with pytest.raises(ValueError, match="8 or 4 pixels"):
        models.digits_of(16)


# -- fitting errors --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return scene(trained("mlp", "softplus", 4), 0.1, images=3)


def test_effects_are_those_of_the_expansion(small):
    found = second_order.effects(small.model, small.x, small.b, small.target)
    independent = taylor_interaction_effects(small.model, small.x, small.target, baselines=small.b, order=2)
    rebuilt = torch.zeros_like(independent.values)
    for place, degrees in enumerate(independent.degrees.tolist()):
        inside = [i for i, power in enumerate(degrees) for _ in range(power)]
        if len(inside) == 1:
            rebuilt[:, place] = found.first[:, inside[0]]
        else:
            rebuilt[:, place] = found.second[:, inside[0], inside[1]] / (2 if inside[0] == inside[1] else 1)
    assert torch.allclose(rebuilt, independent.values, atol=1e-12)


def test_patches_share_as_theorem_4_says(small):
    found = second_order.effects(small.model, small.x, small.b, small.target)
    number = groups().tolist()
    assert number == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]
    for i in (0, 6, 15):
        patch = {j for j in range(16) if number[j] == number[i]}
        touching = sum(found.second[:, j, k] for j, k in itertools.combinations(range(16), 2) if patch & {j, k})
        expected = sum(found.first[:, j] + found.second[:, j, j] / 2 for j in patch) + touching
        assert torch.allclose(second_order.patches(found, groups())[:, i], expected, atol=1e-12)


@pytest.mark.parametrize("method", fitting_errors.METHODS)
def test_a_polynomial_of_second_order_leaves_no_error(method):
    at = scene(trained("polynomial", "identity", 4), 0.5, images=2)
    assert float(errors(method, at).max()) < 1e-10
    if method != "grad-times-input":
        assert float(errors(method, scene(trained("mlp", "softplus", 4), 0.5, images=2)).min()) > 1e-3


def test_recorded_curves_are_those_of_a_rerun(recorded):
    chart = next(chart for chart in recorded["fitting-error-study"].charts if chart.id == "error-softplus")
    with one_thread(run.SEED):
        for method in ("integrated-gradients", "occlusion-patch"):
            again = [float(errors(method, scene(trained("mlp", "softplus", 4), sigma)).median()) for sigma in fitting_errors.SIGMAS[2:4]]
            assert next(s for s in chart.series if s.method == method).y[2:4] == pytest.approx(again, rel=1e-3)


def test_exponents_and_levels():
    x = fitting_errors.SIGMAS
    assert fitting_error_study.slope(x, [3 * value**1.5 for value in x]) == pytest.approx(1.5)
    squares = [torch.tensor([100 * value**2]) for value in x]
    assert fitting_error_study.level(squares, 2.0) == pytest.approx(math.sqrt(0.02), rel=1e-5)
    with pytest.raises(ValueError, match="no level of noise"):
        fitting_error_study.level(squares, 1e6)


def test_printed_numbers_are_those_of_the_record():
    values = taxonomy.load().record("fitting-error-study").values
    assert [(row[0], *row[1:]) for row in values.rows] == [
        (fitting_errors.METHODS[method][0], *printed) for method, printed in fitting_error_study.PAPER.items()
    ]


# -- infidelity ------------------------------------------------------------------------------------------------------------------------------


def test_principles_are_those_of_table_vi():
    atlas = taxonomy.load()
    columns = ("taylor-low-approximation-error", "taylor-no-unrelated-allocation", "taylor-complete-allocation")
    for place, column in enumerate(columns):
        satisfied = {m for verdict in atlas.record(column).verdicts if verdict.verdict == "satisfies" for m in verdict.methods}
        assert satisfied == {name for name, method in infidelity_methods.METHODS.items() if method.principles[place]}


def case(kind="mlp"):
    network = trained(kind, "softplus")
    return infidelity_methods.Case(network, *network.explained(2), kind == "cnn")


def test_rank_correlation_shares_ranks():
    # Ranks 1.5, 1.5, 3 and 3, 1, 2: covariance -0.75 over the root of 1.5 times 2.
    assert rank_correlation(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([9.0, 1.0, 4.0])) == pytest.approx(0.0)
    assert rank_correlation(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([9.0, 4.0, 1.0])) == pytest.approx(-(0.75**0.5))


def test_each_form_has_its_units():
    line = infidelity_study.linear()
    assert line == {"slopes (1, −2)": (0.0, 6.5), "contributions (2, −6)": (62.0, 0.0)}
    assert infidelity_study.linear(10.0)["contributions (2, −6)"][1] == pytest.approx(0.0)


def test_the_best_factor_is_the_best():
    found = case()
    maps = infidelity_methods.METHODS["occlusion-patch"].attributions(found)
    none, plus, minus = (infidelity_study.of(found, factor * maps) for factor in (0.0, 1.0, -1.0))
    best = infidelity_study.best_scaled(none, plus, minus)[0]
    tried = torch.stack([infidelity_study.of(found, factor * maps).mean(dim=0) for factor in torch.linspace(-0.5, 1.5, 201).tolist()])
    assert (best <= tried.min(dim=0).values + 1e-12).all()
    assert torch.allclose(best, tried.min(dim=0).values, rtol=1e-2)


def test_least_squares_is_least():
    found = case()
    least = infidelity_study.least(found)
    start = infidelity_study.of(found, least).mean(dim=0)
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        step = 1e-3 * torch.randn(least.shape, generator=generator, dtype=torch.float64)
        assert (infidelity_study.of(found, least + step).mean(dim=0) > start).all()


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_recorded_infidelities_are_those_of_a_rerun(recorded, kind):
    table = next(table for table in recorded["infidelity-study"].tables if table.id == "methods")
    column = table.columns.index(f"{kind.upper()} softplus")
    network = trained(kind, "softplus")
    found = infidelity_methods.Case(network, *network.explained(infidelity_methods.IMAGES), kind == "cnn")
    none = infidelity_study.of(found, torch.zeros_like(found.x)).mean()
    for name in ("integrated-gradients", "lrp-alpha-beta", "occlusion-1"):
        method = infidelity_methods.METHODS[name]
        again = float(infidelity_study.of(found, method.attributions(found)).mean() / none)
        assert next(row for row in table.rows if row[0] == method.name)[column] == pytest.approx(again, rel=1e-2)


def test_squares_remove_what_they_cover():
    found = case("cnn")
    masks = infidelity_study.squares(found, 3)
    assert masks.shape == (36, 1, 1, 8, 8)
    assert (masks.flatten(1).sum(dim=1) == 9).all()
    model, x, target = found.call
    zeros = torch.zeros_like(x)
    by_hand = torch.stack([(model(x) - model(torch.where(mask, zeros, x))).gather(1, target.unsqueeze(1)).squeeze(1) for mask in masks])
    assert torch.allclose(infidelity(model, x, zeros, masks * x, target), by_hand.square().mean(dim=0))


def test_grad_cam_needs_maps():
    assert "grad-cam" in infidelity_methods.applicable(case("cnn"))
    assert set(infidelity_methods.METHODS) - set(infidelity_methods.applicable(case())) == {"grad-cam"}
