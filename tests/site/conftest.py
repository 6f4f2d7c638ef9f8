"""The generator is a script, not a package: its folder goes on the path here, and the site is built once for all tests."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "site"))

import build as site_build  # noqa: E402


@dataclass(frozen=True)
class Built:
    """A finished build: what the generator was given, what it wrote, what MkDocs made of it."""

    site: Any
    docs: Path
    public: Path

    def html(self, path: str) -> str:
        return (self.public / path).read_text(encoding="utf-8")

    def markdown(self, path: str) -> str:
        return (self.docs / path).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's records, which nobody changes while the tests run."""
    return Path(shutil.copytree(ROOT / "kb", tmp_path_factory.mktemp("records") / "kb"))


@pytest.fixture(scope="session")
def atlas_site(kb: Path) -> Any:
    """The records as the pages see them."""
    return site_build.make_site(kb)


@pytest.fixture(scope="session")
def built(kb: Path, atlas_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The whole site, built strictly: a broken link or anchor in the Markdown fails here."""
    folder = tmp_path_factory.mktemp("site")
    docs, public = folder / "docs", folder / "public"
    assert site_build.main(["--kb", str(kb), "--docs", str(docs), "--out", str(public), "--strict"]) == 0
    return Built(atlas_site, docs, public)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all tests of the site, so that it is built once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("site"))
