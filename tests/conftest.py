"""Which tests one worker of pytest-xdist runs all by itself, so that what they share is made once."""

from __future__ import annotations

from typing import Any

import pytest

TOGETHER = ("tests/site/", "tests/hostile/test_site.py", "tests/test_package.py")
"""Each with a site or a package that is built for it."""
CHECKS = "tests/executable/test_checks.py"


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
