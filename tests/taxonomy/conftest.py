"""Record folders to test with: the Atlas's own, a small valid one, and copies of it with something changed."""

import shutil
from pathlib import Path

import pytest

import taxonomy

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Tests neither read nor write the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def kb_atlas():
    """The Atlas's own records."""
    return taxonomy.load(cache=False)


@pytest.fixture(scope="session")
def valid():
    """Path of the small valid record folder; not to be written to."""
    return FIXTURES / "valid"


@pytest.fixture(scope="session")
def atlas(valid):
    """The small valid record folder, loaded."""
    return taxonomy.load(valid, cache=False)


@pytest.fixture
def kb(tmp_path, valid):
    """A copy of the valid record folder, named `kb`, to be changed by a test."""
    return Path(shutil.copytree(valid, tmp_path / "kb"))


@pytest.fixture
def invalid(kb):
    """Lay an invalid case over a copy of the valid records, and return the folder."""

    def lay(case):
        shutil.copytree(FIXTURES / "invalid" / case, kb, dirs_exist_ok=True, ignore=shutil.ignore_patterns("expected.txt"))
        return kb

    return lay
