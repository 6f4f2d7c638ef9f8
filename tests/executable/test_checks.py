"""Every check: it decides the claims the records name, finds what is known, notices its controls, and its counterexample runs."""

import importlib
from fractions import Fraction

import pytest
import torch
from expected_statuses import EXPECTED

from executable import checks
from executable.checks import CHECKS
from executable.checks.base import Case, Check, at_least, at_most, error, judge, settle, stable, worst
from executable.checks.path_integral import least_residual, moment, staircases
from executable.checks.taylor_interaction import dividends, softplus_effects
from executable.verify import checked_claims
from taxonomy.store import packaged_kb

DECIDED = [(claim, check) for check in CHECKS.values() for claim in check.claims]
# The tests of one claim go to one worker (tests/conftest.py), which runs its check once.
CLAIMS = [pytest.param(claim, check, id=claim) for claim, check in DECIDED]


@pytest.fixture(scope="module")
def found():
    """Evidence of each claim, computed once."""
    cache = {}

    def of(claim, check):
        if claim not in cache:
            cache[claim] = check(claim)
        return cache[claim]

    return of


def test_checks_decide_exactly_the_claims_that_name_them():
    named = {claim.id: claim.check for claim in checked_claims(packaged_kb())}
    assert named == {claim: check.id for claim, check in DECIDED}
    assert set(EXPECTED) == set(named)


@pytest.mark.parametrize(("claim", "check"), CLAIMS)
def test_check_finds_what_is_known(claim, check, found):
    evidence = found(claim, check)
    assert evidence.claim == claim
    assert evidence.check == check.id
    assert evidence.status == EXPECTED[claim]
    assert all(measurement.within for measurement in evidence.measurements), [m for m in evidence.measurements if not m.within]
    assert evidence.trials > 0
    assert (evidence.condition is not None) == (evidence.status in ("holds under condition", "fails"))
    if evidence.status != "holds":
        assert evidence.counterexample is not None


@pytest.mark.parametrize(("claim", "check"), CLAIMS)
def test_every_negative_control_is_noticed(claim, check, found):
    controls = found(claim, check).controls
    assert controls
    assert all(control.detected for control in controls), controls


@pytest.mark.parametrize(("claim", "check"), CLAIMS)
def test_counterexample_runs_by_itself(claim, check, found):
    evidence = found(claim, check)
    if evidence.counterexample is not None:
        assert "assert " in evidence.counterexample.code
        exec(compile(evidence.counterexample.code, claim, "exec"), {"__name__": "snippet"})


def test_a_broken_method_makes_its_checks_fail(monkeypatch):
    """The check must not be a tautology: halve a method, and every check that concerns it says so."""
    from executable.checks import five_methods

    names = {
        "integrated_gradients": "integrated-gradients",
        "lrp_epsilon": "lrp-epsilon",
        "occlusion_1": "occlusion-1",
        "shapley_value": "shapley-value",
    }
    names["gradient"] = "gradient"
    modules = [checks.feature_additive, checks.feature_removal, checks.formulation, checks.game_theoretic, checks.modified_gradient_times_input]
    modules += [checks.path_integral, checks.taylor_interaction]
    for function, method in names.items():
        whole = five_methods.METHODS[method]

        def halved(*args, whole=whole, **keywords):
            return whole(*args, **keywords) / 2

        with monkeypatch.context() as patch:
            patch.setitem(five_methods.METHODS, method, halved)
            for module in modules:
                if hasattr(module, function):
                    patch.setattr(module, function, halved)
            for claim, check in DECIDED:
                if claim.startswith(tuple(f"{method}/{relation}/" for relation in ("belongs-to", "reformulates-as"))):
                    assert check(claim).status == "fails", claim


def test_check_refuses_other_claims():
    with pytest.raises(KeyError, match="does not decide"):
        CHECKS["path-integral/straight-path"]("shapley-value/reformulates-as/path-integral")


def test_check_is_repeatable_and_leaves_the_random_state(found):
    check = CHECKS["feature-removal/removal-summary"]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert check(check.claims[0]) == check(check.claims[0])
    assert torch.get_rng_state().equal(before)


def test_judge_needs_the_condition_to_separate():
    passes, fails = Case("a", True, 0.0), Case("b", False, 1.0)
    assert judge([passes], 0.1) == "holds"
    assert judge([passes, fails], 0.1) == "holds under condition"
    assert judge([Case("a", False, 0.0), fails], 0.1) == "fails"
    assert judge([fails], 0.1) == "fails"
    assert judge([Case("a", True, float("nan")), passes], 0.1) == "fails"


def test_bounds():
    assert settle([at_most("a", 1.0, 2.0), at_least("b", 3.0, 2.0)]) == "holds"
    assert settle([at_most("a", 3.0, 2.0)], "holds under condition") == "fails"
    assert worst([1.0, float("nan")]) == float("inf")
    assert stable(1.23456789e-13) == 1e-13
    assert error(torch.zeros(1, 2), torch.tensor([[0.0, 4.0]])) == 1


def test_moments_of_staircases():
    assert len(list(staircases(3))) == 20
    corner = (True, True, False, False)
    assert moment(corner, 1, 1) == 0
    assert moment(corner[::-1], 1, 2) == 1
    assert least_residual(2) == 0.25


def test_dividends_sum_to_the_game():
    game = torch.randn(2, 8, dtype=torch.float64)
    effects = dividends(game)
    for s in range(8):
        total = sum(effects[:, t] for t in range(8) if t & s == t)
        torch.testing.assert_close(total, game[:, s])


def test_softplus_series_has_the_known_coefficients():
    effects = softplus_effects(4)
    assert sum(effects.values()) == Fraction(8, 3)  # 4/2 + 4^2/8 - 4^4/192


def test_checks_are_filed_by_their_id():
    for name, check in CHECKS.items():
        assert isinstance(check, Check)
        assert name == check.id
        assert importlib.import_module(check.run.__module__)
