"""Other libraries against the reference methods: every comparison comes out as its cases say, and as it is recorded."""

import importlib
import subprocess
import sys

import pytest
import torch

import taxonomy
from executable.conformance import base, run
from executable.conformance.base import Case, Comparison, peer
from taxonomy.records import Library, Method

COMPARISONS = run.comparisons()


@pytest.fixture(scope="module")
def atlas():
    return taxonomy.load()


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: f"{c.library}:{c.method}:{c.name.rpartition('.')[2]}")
def test_comparison_comes_out_as_recorded(comparison, atlas):
    library = atlas.record(comparison.library)
    pytest.importorskip(library.package) if library.package != "zennit" else peer("zennit")
    found, problems = run.compare(comparison)
    assert not problems
    recorded = [item for item in atlas.conformance[comparison.library].methods if (item.method, item.name) == (comparison.method, comparison.name)]
    assert recorded, "not recorded: run `atlas conformance`"
    assert [(case.setting, case.options, case.agrees) for case in found.cases] == [
        (case.setting, case.options, case.agrees) for case in recorded[0].cases
    ]
    assert found.verdict == recorded[0].verdict


def test_every_comparison_names_records(atlas):
    for comparison in COMPARISONS:
        assert isinstance(atlas.record(comparison.method), Method)
        library = atlas.record(comparison.library)
        assert isinstance(library, Library)
        assert (comparison.method, comparison.name) in {(item.method, item.name) for item in library.provides}, comparison


def test_every_method_that_a_library_provides_and_we_implement_is_compared(atlas):
    compared = {(comparison.method, comparison.library, comparison.name) for comparison in COMPARISONS}
    for library in atlas.of_kind("library"):
        for item in library.provides:
            if atlas.method(item.method).implementation:
                assert (item.method, library.id, item.name) in compared, f"{item.name} has {item.method}, but nothing compares them"


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_what_a_library_provides_can_be_imported(atlas):
    for library in atlas.of_kind("library"):
        for item in library.provides:
            module, _, name = item.name.rpartition(".")
            try:
                found = peer(module)
            except ModuleNotFoundError:
                module, _, outer = module.rpartition(".")
                found, name = getattr(peer(module), outer), name
            assert hasattr(found, name), item.name


def test_the_package_imports_no_other_attribution_library():
    code = """
import pkgutil, importlib, sys
import executable
for module in pkgutil.walk_packages(executable.__path__, "executable."):
    importlib.import_module(module.name)
peers = {"captum", "zennit", "shap", "shapiq", "lime", "transformers", "torchvision"} & {name.split(".")[0] for name in sys.modules}
sys.exit(", ".join(sorted(peers)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def case(ours, theirs, **more):
    return Case("a setting", torch.tensor(ours), torch.tensor(theirs), **more)


def test_error_is_relative_to_the_largest_attribution():
    assert case([2.0, -4.0], [2.0, -3.0]).error == 0.25
    assert case([0.0], [0.5]).error == 0.5
    assert case([1.0], [float("nan")]).error == float("inf")
    assert case([1.0, 2.0], [1.0, 2.0 + 1e-6]).agrees
    assert not case([1.0, 2.0], [1.0, 2.1]).agrees
    assert case([1.0, 2.0], [1.0, 2.1], tolerance=0.1).agrees
    with pytest.raises(ValueError, match="a setting: shapes"):
        _ = case([1.0], [1.0, 2.0]).error


def test_a_case_must_come_out_as_it_says():
    def cases():
        yield case([1.0], [1.0])
        yield case([1.0], [2.0], because="it is another method")
        yield case([1.0], [2.0], options="unexplained")
        yield case([1.0], [1.0], because="said to differ")

    found, problems = run.compare(Comparison("gradient", "captum", "captum.attr.Saliency", cases))
    assert [c.agrees for c in found.cases] == [True, False]
    assert len(problems) == 2
    assert "(unexplained): error 1.0e+00 above the tolerance" in problems[0]
    assert "said to differ because said to differ but agrees" in problems[1]


def test_a_comparison_is_registered_once(monkeypatch):
    monkeypatch.setattr(base, "COMPARISONS", {})
    register = base.comparison("gradient", library="captum", name="captum.attr.Saliency")
    register(lambda: iter(()))
    with pytest.raises(ValueError, match="compared twice"):
        register(lambda: iter(()))


def test_unknown_names_are_answered_with_close_ones():
    with pytest.raises(KeyError, match="captun"):
        run.conformance(libraries=["captun"], record=False)


def test_a_library_that_is_not_installed_is_left_out(monkeypatch, capsys):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(run.importlib.metadata, "version", missing)
    report = run.conformance(record=False)
    assert report.ok
    assert not report.found
    assert "captum: not installed (pip install captum), left out" in capsys.readouterr().err
