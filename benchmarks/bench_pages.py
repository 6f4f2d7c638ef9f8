"""What a visitor waits for: weight of the pages as a server sends them, first paint of the heaviest in Chromium, and the first search.

The floor of a first paint is an empty page in the same browser, measured in the same rounds. `python benchmarks/bench_pages.py FOLDER` takes a
site that is built already.
"""

from __future__ import annotations

import gzip
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, HEAVIEST = 5, 6
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def packed(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def weights(public: Path) -> list[tuple[str, int]]:
    """Pages with their compressed size, heaviest first; prints the summary."""
    sizes = sorted(((str(path.relative_to(public)), packed(path)) for path in public.rglob("*.html")), key=lambda item: -item[1])
    html = (public / "methods" / "lime.html").read_text(encoding="utf-8")
    frame = [address for address in re.findall(r'(?:href|src)="\.\./([^"?]+\.(?:css|js))"', html) if not address.startswith("search/")]
    print(
        f"{len(sizes)} pages, compressed: median {statistics.median(size for _, size in sizes) / 1000:.1f} kB, heaviest {sizes[0][1] / 1000:.1f} kB"
    )
    print(f"style sheets and scripts that come with the first page: {sum(packed(public / address) for address in frame) / 1000:.1f} kB")
    print(f"search index: {packed(public / 'search' / 'search_index.js') / 1000:.0f} kB")
    return sizes


def painted(browser: object, address: str) -> tuple[float, int]:
    """Milliseconds to the first paint of a page nobody has opened before, and its number of elements."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(f"{PAINT} !== null")
    found = page.evaluate(PAINT), page.evaluate("document.getElementsByTagName('*').length")
    context.close()
    return found


def searched(browser: object, address: str) -> float:
    """Seconds from the first key to the first result, with the index still to be read."""
    context = browser.new_context()  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(address)
    start = time.perf_counter()
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("lime")
    page.locator(".md-search-result__item").first.wait_for(state="visible", timeout=60_000)
    seconds = time.perf_counter() - start
    context.close()
    return seconds


def measure(public: Path) -> None:
    from playwright.sync_api import sync_playwright

    heavy = [name for name, _ in weights(public)[:HEAVIEST]]
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    empty = public.parent / "empty.html"
    empty.write_text("<!doctype html><title>empty</title><p>empty", encoding="utf-8")
    named = {
        "an empty page": empty,
        **{name: public / name for name in dict.fromkeys([*heavy, "matrix/index.html", "explorer/index.html", "index.html"])},
    }
    paints: dict[str, list[tuple[float, int]]] = {name: [] for name in named}
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"])
        for _ in range(ROUNDS):
            for name, path in named.items():
                paints[name].append(painted(browser, path.as_uri()))
        searches = [searched(browser, (public / "index.html").as_uri()) for _ in range(ROUNDS)]
        browser.close()
    empty.unlink()
    print(f"\nfirst paint, {ROUNDS} interleaved rounds\n\n{'':44}{'median ms':>10}{'min':>8}{'max':>8}{'elements':>10}")
    for name, found in paints.items():
        times = [milliseconds for milliseconds, _ in found]
        print(f"{name:44}{statistics.median(times):10.0f}{min(times):8.0f}{max(times):8.0f}{found[0][1]:10}")
    print(f"\nfirst search, the index read from the disk: median {statistics.median(searches):.1f} s")


def main(folder: str | None = None) -> None:
    if folder:
        measure(Path(folder).resolve())
        return
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, str(ROOT / "site" / "build.py"), "--docs", f"{name}/docs", "--out", f"{name}/public"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        measure(Path(name) / "public")


if __name__ == "__main__":
    main(*sys.argv[1:2])
