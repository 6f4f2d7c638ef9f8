"""The package as a whole: links from the records, the import without torch, the testbeds, and no path of any machine."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import executable
from executable.testbeds.digits import one_thread, trained_digits
from executable.testbeds.mlps import ACTIVATIONS, lively_draws
from taxonomy.loading import read_folder
from taxonomy.store import packaged_kb

ROOT = Path(executable.__file__).parent
LINKS = {
    "gradient": "executable.methods.modified_gradient:gradient",
    "integrated-gradients": "executable.methods.gradient_times_input:integrated_gradients",
    "lrp-epsilon": "executable.methods.layerwise_backprop:lrp_epsilon",
    "occlusion-1": "executable.methods.perturbation:occlusion_1",
    "shapley-value": "executable.methods.perturbation:shapley_value",
    "modified-gradient": "executable.methods.modified_gradient:modified_gradient",
    "gradient-times-input": "executable.methods.gradient_times_input:mean_gradient_times_difference",
    "layerwise-backprop": "executable.methods.layerwise_backprop:backpropagate_relevance",
    "perturbation": "executable.methods.perturbation:weighted_marginal_contributions",
    "feature-additive": "executable.frameworks.feature_additive:feature_additive",
    "modified-gradient-times-input": "executable.frameworks.modified_gradient_times_input:modified_gradient_times_input",
    "game-theoretic": "executable.frameworks.game_theoretic:weighted_coalition_game",
    "path-integral": "executable.frameworks.path_integral:path_integral",
    "feature-removal": "executable.frameworks.feature_removal:removal_attribution",
    "taylor-interaction": "executable.frameworks.taylor_interaction:allocate_effects",
}


def test_records_link_to_code_that_exists():
    records = read_folder(packaged_kb()).records
    written = {name: link for name, record in records.items() if (link := getattr(record, "implementation", None))}
    assert written == LINKS


@pytest.mark.parametrize("link", LINKS.values())
def test_link_imports_and_is_documented(link):
    module, name = link.split(":")
    function = getattr(importlib.import_module(module), name)
    assert function.__module__ == module
    for section in ("Parameters", "Returns", "References" if "methods" not in module else "Example", "Example"):
        assert f"\n    {section}\n    ---" in function.__doc__ or link.endswith(("weighted_coalition_game",)), section
    assert re.search(r"(survey|Taylor paper),? Eq", function.__doc__)


def test_missing_torch_is_a_clear_error(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT.parent)!r}]\nimport executable"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    assert "ImportError: the package `executable` computes with PyTorch" in run.stderr
    assert "pip install 'attribution-atlas[torch]'" in run.stderr


def test_digits_network_is_good_and_the_same_every_time():
    first = trained_digits()
    assert first.accuracy > 0.95
    assert not first.model.training
    second = trained_digits.__wrapped__()
    assert all(a.equal(b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_training_leaves_threads_and_random_state():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with one_thread(3):
        assert torch.get_num_threads() == 1
        torch.rand(5)
    assert torch.get_num_threads() == threads
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_are_alive_and_away_from_kinks(activation):
    for model, x, target in lively_draws(2, activation, bias=True, seed=0):
        first = model[0](x)
        assert first.abs().min() >= 1e-3
        assert target.shape == (x.shape[0],)
    again = next(lively_draws(1, activation, bias=False, seed=0))
    assert again[0][0].bias is None
    assert again[1].equal(next(lively_draws(1, activation, bias=False, seed=0))[1])


def test_no_path_of_a_machine_is_named():
    for path in ROOT.rglob("*.py"):
        assert not re.search(r"/(work|tmp|home|root)/", path.read_text(encoding="utf-8")), path
