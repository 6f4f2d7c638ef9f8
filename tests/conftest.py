"""Every test draws the same numbers whatever ran before it; which tests one worker of pytest-xdist runs all by itself; the browser."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

TOGETHER = ("tests/site/", "tests/hostile/test_site.py", "tests/test_package.py")
"""Each with a site or a package that is built for it."""
CHECKS = "tests/executable/test_checks.py"


class TorchRandom:
    """The global generator of PyTorch as hypothesis wants it, so that an example is drawn again as it was."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


DRAWS = TorchRandom()
hypothesis.register_random(DRAWS)
# Which examples are tried is fixed too: a suite that fails once in a hundred runs accuses the wrong change. `make fuzz` looks for new ones.
# How long one takes is a matter of the machine and of what else it does.
hypothesis.settings.register_profile(
    "same-examples", derandomize=True, deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same-examples")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="what the global generators start from in every test (default: 0)")


def seed_all(seed: int) -> None:
    """Starts the global generators of Python, NumPy and PyTorch afresh."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    seed_all(item.config.getoption("--seed"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    # Once more: whether a shared fixture was made just now, and drew, depends on which test came first.
    seed_all(item.config.getoption("--seed"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Chromium that opens files of the temporary folder, as one that is installed as a snap does not; where CI is set there has to be one."""
    folder = tmp_path_factory.mktemp("chromium")
    page = folder / "page.html"
    page.write_text("<p>can be read", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    said = ["none is installed"]
    for name in filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        try:
            done = subprocess.run([name, *options], capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{name}: {error}")
            continue
        if "can be read" in done.stdout:
            return name
        said.append(f"{name}: {done.stderr[-500:]}")
    why = f"needs a Chromium that opens files of {folder}; {said[-1]}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def group_of(nodeid: str) -> str:
    """The name that tests have in common which belong to one worker; other tests are groups of their own.

    xdist's marks for this are read from a field that pytest 9.2 no longer looks at, so the name is taken from the address of the test.
    """
    for place in TOGETHER:
        if nodeid.startswith(place):
            return place
    # The tests of one claim share the run of its check.
    return nodeid.partition("[")[2] if nodeid.startswith(CHECKS) and "[" in nodeid else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands tests out by group, under any `--dist` but `no`."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)
