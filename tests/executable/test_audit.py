"""The audit: functions made for the purpose, with the answer known for every section, and the errors."""

import functools
import shutil

import pytest
import torch

import executable.auditing
from executable import gradient, integrated_gradients, lrp_alpha_beta, occlusion_1, shapley_value
from executable.auditing import AuditError, audit
from executable.auditing.answers import Answer, examined
from executable.auditing.battery import DOMAINS, battery, draws
from executable.auditing.catalogue import REFERENCES
from executable.auditing.coincidences import coincidences, compared, identified
from executable.auditing.everything import audit_all, confusion, not_audited
from executable.auditing.forms import forms
from executable.auditing.requirements import AXIOMS, axiom_verdicts, explainer, holds
from executable.auditing.subject import Held, Subject, resolve
from executable.auditing.weights import coalition_weights, taylor_allocation
from taxonomy import audit as store
from taxonomy.evidence import to_json
from taxonomy.store import packaged_kb

PLAIN = [method for method, known in REFERENCES.items() if "seed" not in known.subject.takes and not known.slow]


def half_ig(model, inputs, target=None, *, baselines=None):
    return integrated_gradients(model, inputs, target, baselines=baselines) / 2


def leaky_ig(model, inputs, target=None, *, baselines=None):
    """Integrated gradients with a share of 0.1 for every feature, used or not."""
    return integrated_gradients(model, inputs, target, baselines=baselines) + 0.1


def signed_square(model, inputs, target=None):
    slope = gradient(model, inputs, target)
    return slope * slope.abs()


def own_ig(model, inputs, target=None, *, baselines=None):
    """Integrated gradients written anew, with the trapezoidal rule."""
    b = torch.zeros_like(inputs) if baselines is None else baselines
    total = torch.zeros_like(inputs)
    for t in torch.linspace(0, 1, 101, dtype=inputs.dtype):
        point = (b + t * (inputs - b)).detach().requires_grad_()
        out = model(point)
        (slope,) = torch.autograd.grad((out if target is None else out[:, target]).sum(), point)
        total += slope * (0.5 if t in (0, 1) else 1.0)
    return total / 100 * (inputs - b)


def first_takes_all(model, inputs, target=None):
    with torch.no_grad():
        change = model(inputs) - model(torch.zeros_like(inputs))
        found = torch.zeros_like(inputs, dtype=torch.float64)
        found.reshape(len(inputs), -1)[:, 0] = change if target is None else change[:, target]
    return found


def by_law(function):
    subject = Subject(function)
    return taylor_allocation(subject), coalition_weights(subject)


def fits(function):
    subject = Subject(function)
    return {form.form: form.fits for form in forms(subject, 0.0, *by_law(function))}


def verdicts(function):
    return {(v.principle, v.reading): v for v in axiom_verdicts(Subject(function), 0.0, quick=True)}


def found_for(function, methods=PLAIN):
    return coincidences(examined(Subject(function)), methods)


@pytest.mark.parametrize(
    ("function", "law"),
    [
        (integrated_gradients, "κ_i / |κ|"), (shapley_value, "1 / |S|"), (occlusion_1, "1 for i in S"),
        (REFERENCES["banzhaf-value"].call, "2^(1 - |S|)"),
        (REFERENCES["grad-times-input"].call, "κ_i (gradient"), (gradient, "κ_i (gradient"), (own_ig, "κ_i / |κ|"),
        (REFERENCES["asymmetric-shapley"].call, "1 for the first i in S"), (lambda m, x, t=None: 0 * x, "0"),
    ],
)  # fmt: skip
def test_the_allocation_law_is_read_off(function, law):
    found, _ = by_law(function)
    assert found.fits
    assert found.table.law.startswith(law)
    assert found.multiplied == (function is gradient)


def test_an_unknown_law_is_printed_as_a_table():
    found, _ = by_law(half_ig)
    assert found.fits
    assert found.table.law is None
    assert found.table.rows[3] == ("(1, 1, 0)", "0.25", "0.25", "0.00")


@pytest.mark.parametrize("function", [leaky_ig, signed_square])
def test_no_shares_where_the_same_monomial_is_shared_differently(function):
    found, _ = by_law(function)
    assert not found.fits
    assert not found.table.rows
    assert "none" in found.table.title


@pytest.mark.parametrize(
    ("function", "law", "weights"),
    [
        (shapley_value, "Shapley value", (1 / 3, 1 / 6, 1 / 3)), (occlusion_1, "leave one out", (0, 0, 1)),
        (REFERENCES["banzhaf-value"].call, "Banzhaf value", (0.25, 0.25, 0.25)),
        (lambda m, x, t=None: shapley_value(m, x, t) / 2 + occlusion_1(m, x, t) / 2, None, (1 / 6, 1 / 12, 2 / 3)),
    ],
)  # fmt: skip
def test_the_weights_of_coalitions_are_solved_for(function, law, weights):
    _, found = by_law(function)
    assert found.table.law == law
    torch.testing.assert_close(found.by_size, tuple(map(float, weights)))
    assert found.residual < 1e-9


def test_weights_by_order_are_shown_coalition_by_coalition():
    _, found = by_law(REFERENCES["asymmetric-shapley"].call)
    assert found.by_size is None
    assert len(found.table.rows) == 3
    assert len(found.table.columns) == 9


def test_a_function_that_is_not_linear_in_the_game_has_no_weights():
    _, found = by_law(signed_square)
    assert found.residual > 0.05
    assert not found.table.rows


@pytest.mark.parametrize(
    ("function", "yes", "no"),
    [
        (integrated_gradients, ("additive", "linear in the function", "path integral", "allocation of Taylor effects",
         "modified gradient times x - b"),
         ("depends on the values f(x_S) alone", "depends on the gradient at x alone", "nonnegative propagation", "weighted marginal contributions")),
        (shapley_value, ("depends on the values f(x_S) alone", "weighted marginal contributions", "path integral",
         "coefficients of an additive surrogate"),
         ("modified gradient times x - b", "depends on the gradient at x alone")),
        (gradient, ("depends on the gradient at x alone", "gradient with modified derivatives"), ("linear in x - b", "additive", "path integral")),
        (REFERENCES["grad-times-input"].call, ("linear in x - b", "modified gradient times x - b"), ("gradient with modified derivatives",
         "additive")),
        (REFERENCES["guided-backprop"].call, ("nonnegative propagation", "gradient with modified derivatives"), ("modified gradient times x - b",)),
        (REFERENCES["lrp-alpha1-beta0"].call, ("nonnegative propagation",), ("modified gradient times x - b",)),
        (REFERENCES["deeplift-rescale"].call, ("modified gradient times x - b", "additive"), ("nonnegative propagation",)),
        (signed_square, ("depends on the gradient at x alone",), ("linear in the function", "additive", "allocation of Taylor effects")),
        (leaky_ig, (), ("additive", "path integral", "linear in x - b", "allocation of Taylor effects")),
    ],
)  # fmt: skip
def test_forms(function, yes, no):
    found = fits(function)
    assert [form for form in yes if not found[form]] == []
    assert [form for form in no if found[form]] == []


def test_forms_that_need_products_are_not_tested_where_they_are_refused():
    assert fits(REFERENCES["lrp-alpha1-beta0"].call)["additive"] is None


BROKEN = {
    integrated_gradients: {"dummy by the values", "symmetry by the values"},
    shapley_value: {"two-efficiency"},
    half_ig: {"efficiency", "completeness", "dummy by the values", "symmetry by the values"},
    leaky_ig: {"linearity", "additivity", "efficiency", "completeness", "dummy by the values", "dummy by the function", "symmetry by the values",
               "two-efficiency"},
    signed_square: {"linearity", "additivity", "efficiency", "completeness", "dummy by the values", "symmetry by the values", "sensitivity",
                    "two-efficiency"},
    first_takes_all: {"dummy by the values", "dummy by the function", "symmetry by the values", "symmetry by the function", "sensitivity"},
}  # fmt: skip


@pytest.mark.parametrize("function", BROKEN, ids=lambda function: function.__name__)
def test_axioms(function):
    found = verdicts(function)
    assert len(found) == len(AXIOMS) + 1
    broken = {f"{name} {reading}" if name in {"dummy", "symmetry"} else name for (name, reading), v in found.items() if v.outcome == "violates"}
    assert {name.removesuffix(" f(x_S)") for name in broken} == BROKEN[function]
    assert all(v.trials > 0 for v in found.values())


@pytest.mark.parametrize("function", [half_ig, leaky_ig, signed_square, first_takes_all, occlusion_1, lrp_alpha_beta], ids=lambda f: f.__name__)
def test_counterexamples_run_and_show_the_violation(function):
    explain = explainer(Subject(function))
    shown = [v for v in verdicts(function).values() if v.counterexample]
    assert {"efficiency", "completeness"} <= {v.principle for v in shown} or function is first_takes_all
    for verdict in shown:
        exec(compile(verdict.counterexample, "counterexample", "exec"), {"explain": explain})
    if function is leaky_ig:
        assert not any(holds(v.counterexample, explainer(Subject(shapley_value))) for v in shown)


def test_an_axiom_is_not_applicable_where_nothing_is_answered():
    found = verdicts(REFERENCES["cam"].call)
    assert {v.outcome for v in found.values()} == {"not applicable"}


def test_a_function_written_anew_is_recognised():
    found = found_for(own_ig)
    assert {"integrated-gradients", "path-integrated-gradients"} <= set(identified(found))
    best = next(item for item in found if item.method == "integrated-gradients")
    assert best.everywhere
    assert best.error < 0.03


def test_equal_where_theory_says_so_and_nowhere_else():
    found = {item.method: item for item in found_for(integrated_gradients) if item.relation == "equal"}
    assert {"linear functions", "multilinear functions"} == set(found["shapley-value"].domains)
    assert {"polynomials", "smooth networks", "ReLU networks"} <= set(found["shapley-value"].differs)
    times = {item.method: item for item in found_for(REFERENCES["lrp-0"].call)}["grad-times-input"]
    assert {"ReLU networks", "ReLU networks without biases", "convolutional networks"} <= set(times.domains)
    assert times.differs == ("smooth networks",)


@pytest.mark.parametrize("function", [half_ig, leaky_ig, signed_square, first_takes_all])
def test_functions_that_are_no_known_method_are_taken_for_none(function):
    assert identified(found_for(function)) == ()


@pytest.mark.parametrize(
    ("function", "method", "relation"),
    [
        (lambda m, x, target=None: gradient(m, x, target).abs(), "gradient", "absolute value"),
        (half_ig, "integrated-gradients", "proportional"),
        (lambda m, x, target=None: x * REFERENCES["guided-backprop"].call(m, x, target), "guided-backprop", "times x - b"),
    ],
)
def test_relations_other_than_equality(function, method, relation):
    found = next(item for item in found_for(function) if item.method == method)
    assert found.relation == relation
    assert found.everywhere


def test_a_difference_within_the_sampling_error_is_none_and_beyond_it_is_one():
    setting = battery()[0]
    a, b = Answer(torch.ones(2, 4), 0.01, 9), Answer(torch.ones(2, 4) + 0.02, 0.01, 9)
    assert compared(a, b, setting).same
    assert not compared(a, Answer(b.mean + 0.2, 0.01, 9), setting).same
    assert not compared(Answer(a.mean), Answer(b.mean), setting).same


def test_chance_is_seen_and_averaged():
    found = examined(Subject(REFERENCES["shapley-sampling"].call))
    assert found.chance > 0.01
    made = coincidences(found, ["shapley-value", "banzhaf-value", "occlusion-1"])
    assert made[0].method == "shapley-value"
    assert made[0].everywhere
    assert not any(item.everywhere for item in made[1:])
    assert examined(Subject(gradient)).chance == 0


FAST = [method for method in PLAIN if method != "deep-shap"]


@pytest.mark.parametrize("method", FAST)
def test_every_method_without_chance_is_told_from_all_others_but_its_equals(method):
    assert method in identified(coincidences(examined(REFERENCES[method].subject), FAST))


def test_equals():
    rows = [examined(REFERENCES[m].subject) for m in ("integrated-gradients", "occlusion-1", "shapley-value", "lrp-0")]
    names = [set(identified(coincidences(row, PLAIN))) for row in rows]
    assert {"integrated-gradients", "aumann-shapley-value", "path-integrated-gradients"} <= names[0]
    assert names[1] == {"occlusion-1", "substructure-masking", "individual-causal-effect", "prediction-difference"}
    assert names[2:] == [{"shapley-value"}, {"lrp-0"}]


def test_the_report():
    report = audit(half_ig, quick=True)
    assert report == executable.audit(half_ig, quick=True)
    assert report.function == "half_ig"
    assert report.identified == ()
    assert report.verdict("efficiency") == "violates"
    assert report.verdict("linearity") == "satisfies"
    assert report.verdict("no-such-thing") is None
    assert set(report.testbeds) <= set(DOMAINS)
    assert {cost.domain: (cost.evaluations, cost.gradients) for cost in report.cost}["ReLU networks"] == (50, 50)
    assert "Equals integrated-gradients up to a factor" in " ".join(report.summary)
    page = report.to_markdown()
    assert "## Counterexamples" in page
    assert "| efficiency |" in page
    assert "not differentiable" not in page
    assert store.AuditReport.model_validate_json(report.to_json()) == report


def test_the_whole_audit_has_the_principles():
    report = audit(occlusion_1)
    assert report.verdict("allocation-fidelity") == "violates"
    assert report.verdict("model-perturbation-robustness") is not None
    assert {verdict.principle for verdict in report.verdicts} >= {"parameter-sensitivity", "input-perturbation-robustness", "linearity"}


def test_plain_functions_keep_their_layers():
    layer = torch.nn.Linear(2, 1)
    inner = lambda z: layer(z)[:, 0]  # noqa: E731
    assert [*Held(lambda z, f=inner: 2 * f(z)).parts] == [layer]


# -- errors ---------------------------------------------------------------------------------------------------------------------------------

_STATE = iter(range(10**9))

WRONG = [
    (3, "is a int, not callable"),
    (lambda model: model, "takes no model and inputs"),
    (lambda model, inputs, layer: inputs, "needs `layer` as well; fix it"),
    (lambda model, inputs: inputs.sum(), r"wrong shape: \(\) instead of the shape \(2, 4\).*on linear functions"),
    (lambda model, inputs: inputs.tolist(), "wrong result: a list instead of one torch.Tensor"),
    (lambda model, inputs: inputs * float("nan"), r"not finite: nan at index \(0, 0\).*guard the divisions"),
    (lambda model, inputs: 1 / 0, "(?s)no usable answer on any testbed.*ZeroDivisionError: division by zero"),
    (lambda model, inputs: inputs + next(_STATE), "other numbers when called again on linear functions.*take a parameter `seed`"),
]


@pytest.mark.parametrize(("function", "message"), WRONG, ids=[message[:25] for _, message in WRONG])
def test_what_cannot_be_audited_is_told(function, message):
    with pytest.raises(AuditError, match=message):
        audit(function, quick=True)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("executable", "write package.module:function"),
        ("no_such_module:f", "cannot be imported: ModuleNotFoundError"),
        ("math:pi", "is a float, not callable"),
        ("math:no_such", "`math` has no `no_such`; it has acos"),
    ],
)
def test_links_that_lead_nowhere(link, message):
    with pytest.raises(AuditError, match=message):
        resolve(link)
    assert resolve("executable:gradient") is gradient


def test_global_generators_are_left_as_they_were():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Subject(lambda model, inputs: torch.randn(inputs.shape))(lambda z: z.sum(dim=1), draws(0, 2, 3))
    assert torch.get_rng_state().equal(before)


@pytest.fixture
def folder(tmp_path):
    kb = tmp_path / "kb"
    shutil.copytree(packaged_kb(), kb, ignore=shutil.ignore_patterns("audits", "evidence", "conformance", "reproductions"))
    return kb


# -- records ----------------------------------------------------------------------------------------------------------------------------------


def test_recorded_once_and_taken_up_again(folder):
    first = audit_all(folder, ["raw-attention", "attention-flow"])
    assert (sorted(first.written), first.unchanged, first.failed) == (["attention-flow", "raw-attention"], [], {})
    again = audit_all(folder, ["raw-attention"])
    assert (again.written, again.unchanged) == ([], ["raw-attention"])
    stored = store.load(folder)
    assert stored["raw-attention"].identified == ("bert-attention-analysis", "raw-attention")
    found = confusion(stored.values())
    assert found.rows[0].best == ("attention-flow",)
    with pytest.raises(KeyError, match="did you mean `raw-attention`"):
        audit_all(folder, ["raw-atention"])


def test_a_method_that_fails_is_reported_and_keeps_nothing_else_from_being_recorded(folder, monkeypatch):
    broken = REFERENCES["attention-flow"].__class__("attention-flow", functools.partial(gradient, additional_forward_args=1))
    monkeypatch.setitem(REFERENCES, "attention-flow", broken)
    found = audit_all(folder, ["raw-attention", "attention-flow"])
    assert found.written == ["raw-attention"]
    assert "no usable answer" in found.failed["attention-flow"]
    assert not found.ok


def test_classes_need_both_sides():
    def report(method, *names):
        return store.AuditReport(function=method, method=method, chance="none", testbeds=(), identified=names)

    found = confusion([report("gradient", "gradient"), report("lrp-0", "lrp-0", "lime"), report("lime", "lime", "lrp-0"), report("rise")])
    assert found.classes == (("lime", "lrp-0"),)
    assert to_json({}) == "{}\n"


def test_only_sets_and_trained_explainers_are_left_out():
    assert {"harsanyi-dividend", "faith-shap", "l2x", "vit-shapley"} <= set(not_audited())
    assert not set(not_audited()) & set(REFERENCES)
