"""A small valid record folder to spoil, and the folder of the fuzzers on the path."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALID = ROOT / "tests" / "taxonomy" / "fixtures" / "valid"
HERE = ROOT / "tests" / "hostile"
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "site"), str(HERE)) if path not in sys.path]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Tests neither read nor write the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def kb(tmp_path):
    """A copy of the valid record folder, to be spoiled by a test."""
    return Path(shutil.copytree(VALID, tmp_path / "kb"))
