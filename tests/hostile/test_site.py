"""The site of a hostile record folder, opened in Chromium: nothing of it runs, nothing leads elsewhere, every data file is still data."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import hostile_kb
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "site")) if path not in sys.path]

import build as site_build  # noqa: E402

STATE = "x%22%3E%3Cimg%20src=x%20onerror=window.__pwned=1%3E"
STATES = [STATE, "constructor", "__proto__", "tostring,hasownproperty", "%", "%E0%A4%A", "javascript:window.__pwned=1", "a" * 5000, "<svg/onload=x>"]
KEYS = {"guide/index.html": ("access", "requires", "model", "features"), "matrix/index.html": ("rows", "sort", "view", "filter", "pin", "show"),
        "explorer/index.html": ("node", "from", "to", "kinds", "search"), "compare/index.html": ("methods",),
        "pictures/index.html": ("model", "input", "methods", "class")}  # fmt: skip
OTHERS = ["index.html", "bibliography.html", "glossary.html", "findings/index.html", "findings/unchecked.html", "sources/deng2025attribution.html",
          "methods/lime.html", "methods/index.html", "axioms/completeness.html", "insights/index.html", "libraries/index.html"]  # fmt: skip


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the hostile folder, built strictly."""
    folder = tmp_path_factory.mktemp("hostile")
    kb = hostile_kb.write(folder / "kb", ROOT / "kb")
    assert site_build.main(["--kb", str(kb), "--docs", str(folder / "docs"), "--out", str(folder / "public"), "--strict"]) == 0
    return folder / "public"


@pytest.fixture(scope="module")
def visit(public: Path, chromium: str) -> Any:
    """Opens a page and says what is wrong with it."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        troubles: list[str] = []
        page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:", "about:")) else troubles.append(request.url))

        def open_(path: str, then: Any = None) -> list[str]:
            troubles.clear()
            page.goto("about:blank")
            page.goto((public / path.partition("#")[0]).as_uri() + "".join(path.partition("#")[1:]))
            page.wait_for_load_state("load")
            if then is not None:
                then(page)
            page.wait_for_timeout(60)
            return troubles + [f"{path}: {found}" for found in page.evaluate(LOOK)]

        yield open_
        browser.close()


LOOK = """() => {
  const found = [];
  if (window.__pwned !== undefined) found.push('it ran');
  for (const node of document.querySelectorAll('*')) {
    for (const {name, value} of node.attributes) {
      if (name.startsWith('on')) found.push(`${node.tagName} has ${name}`);
      if (['href', 'src', 'action', 'formaction', 'xlink:href', 'data'].includes(name)
          && /^[\\s\\x00-\\x20]*(javascript|vbscript|data:text)/i.test(value))
        found.push(`${node.tagName} ${name}=${value}`);
      if (name === 'srcdoc') found.push('srcdoc');
    }
  }
  for (const node of document.querySelectorAll('iframe, object, embed, base, meta[http-equiv]'))
    if (!(node.tagName === 'IFRAME' && node.hidden && !node.src)) found.push(node.tagName);
  for (const node of document.querySelectorAll('img')) if (/^(.*\\/)?x$/.test(node.getAttribute('src') || '')) found.push('img x');
  for (const node of document.querySelectorAll('script[type="application/ld+json"]'))
    try { JSON.parse(node.textContent); } catch (error) { found.push('JSON-LD: ' + error); }
  for (const node of document.querySelectorAll('script:not([src]):not([type="application/ld+json"]):not([type="application/json"])'))
    if (node.textContent.includes('__pwned')) found.push('script');
  if (!document.querySelector('footer.md-footer') || document.querySelector('article footer.md-footer')) found.push('something was not closed');
  return found;
}"""


@pytest.mark.parametrize("path", [*hostile_kb.pages(), *OTHERS, *KEYS])
def test_pages_are_inert(visit: Any, path: str) -> None:
    assert visit(path) == []


@pytest.mark.parametrize("path", KEYS)
def test_pages_driven_by_their_address_are_inert(visit: Any, path: str) -> None:
    for state in STATES:
        fragment = "&".join(f"{key}={state}" for key in KEYS[path])
        assert visit(f"{path}#?{fragment}") == []
    assert visit(f"{path}#?{STATE}") == []


def test_search_results_are_inert(visit: Any) -> None:
    def search(words: str) -> Any:
        def typed(page: Any) -> None:
            page.locator(".md-search__input").click()
            page.locator(".md-search__input").press_sequentially(words)
            page.wait_for_timeout(3000)

        return typed

    for words in ("onerror", "<img src=x onerror=window.__pwned=1>", "alias"):
        assert visit("index.html", search(words)) == []


def test_data_stays_data(public: Path) -> None:
    for path in public.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        if "__pwned" in text and (match := re.fullmatch(r"[^=]*?=\s*([\[{].*[\]}]);?\s*", text, re.DOTALL)):
            json.loads(match.group(1))
    for path in hostile_kb.pages():
        page = (public / path).read_text(encoding="utf-8")
        (data,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
        assert "<" not in data
        assert "__pwned" in json.dumps(json.loads(data))
        assert page.partition("</head>")[0].count("<title>") == 1
        assert page.rstrip().endswith("</html>")
