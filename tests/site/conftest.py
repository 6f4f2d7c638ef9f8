"""The generator is a script, not a package: its folder goes on the path here, and the site is built once for all tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "site"))

import build as site_build  # noqa: E402

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


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


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """Headless Chromium, shared by all tests of the site."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any, built: Any) -> Iterator[Any]:
    """Opens a page of the site; afterwards nothing may have been logged as an error or asked of a network."""
    contexts, troubles = [], []

    def open_(path: str, *, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:", "about:")) else troubles.append(request.url))
        # What a page still loads while it is closed or left is no failure of the page.
        page.on("requestfailed", lambda request: None if "ERR_ABORTED" in str(request.failure) else troubles.append(f"failed: {request.url}"))
        page.goto((built.public / path).as_uri())
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def to_fragment() -> Callable[[Any, str], None]:
    """Changes the fragment of a page's address and comes back when the page has taken it up: `hashchange` is dispatched later."""

    def change(page: Any, fragment: str) -> None:
        page.evaluate(
            """fragment => new Promise(done => {
              const before = location.href;
              addEventListener("hashchange", () => done(), { once: true });  // added last, so called after the page's own
              location.hash = fragment;
              if (location.href === before) done();
            })""",
            fragment,
        )

    return change
