"""Build the generated Markdown with Zensical, as it is, and report what differs from the site that MkDocs builds; nothing depends on the outcome.

python site/zensical_check.py [--docs build/docs] [--json]

Zensical reads mkdocs.yml. It is run on a copy of the Markdown in a folder of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """What came of it; every list is sorted."""

    code: int
    seconds: float
    pages: int
    missing_pages: list[str]
    """Pages of Markdown that did not become a page."""
    missing_files: list[str]
    """Other files that were not copied."""
    dead_links: list[str]
    """`page -> address` of links within the site that lead to no file, or to no such anchor."""
    messages: list[str]
    """What Zensical printed besides its progress."""


class _Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down where an element leads, and by what name it is found."""
        found = dict(attrs)
        if tag == "a" and found.get("href"):
            self.links.add(str(found["href"]))
        self.anchors |= {str(found[name]) for name in ("id", "name") if found.get(name)}


def available() -> bool:
    """Whether Zensical is installed."""
    return importlib.util.find_spec("zensical") is not None


def check(docs: Path) -> Report:
    """Build the Markdown in `docs` with Zensical in a temporary folder and compare what it wrote with what it was given."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(docs, folder / "docs")
        (folder / "mkdocs.yml").write_text(configuration(), encoding="utf-8")
        start = time.perf_counter()
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--config-file", "mkdocs.yml"]
        environment = os.environ | {"PYTHONPATH": str(HERE), "NO_COLOR": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return compared(folder / "docs", folder / "site", done, time.perf_counter() - start)


def configuration() -> str:
    """mkdocs.yml with the folders of this check."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name, value in (("docs_dir", "docs"), ("site_dir", "site"), ("  custom_dir", str(HERE / "theme"))):
        text = re.sub(rf"^{name}:.*$", f"{name}: {json.dumps(value)}", text, flags=re.MULTILINE)
    return text


def compared(docs: Path, site: Path, done: subprocess.CompletedProcess[str], seconds: float) -> Report:
    """The report on a finished run."""
    given, written = (set(_files(folder)) for folder in (docs, site))
    pages = {path for path in given if path.endswith(".md")}
    html = {path: path.removesuffix(".md") + ".html" for path in pages}
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return Report(
        done.returncode,
        seconds,
        len(pages),
        sorted(path for path in pages if html[path] not in written),
        sorted(path for path in given - pages if path not in written),
        sorted(dead_links(site, sorted(path for path in html.values() if path in written))),
        [line for line in lines if line not in {"Build started", "No issues found"}],
    )


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def dead_links(site: Path, pages: list[str]) -> Iterator[str]:
    """Links from these pages, within the site, to a file or an anchor that is not there."""
    found: dict[str, _Links] = {}
    for page in pages:
        found[page] = _Links()
        found[page].feed((site / page).read_text(encoding="utf-8"))
    for page, links in found.items():
        for link in sorted(links.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(page), unquote(parts.path))) if parts.path else page
            if target == "." or (site / target).is_dir():
                target = os.path.normpath(os.path.join(target, "index.html"))
            anchor = unquote(parts.fragment)
            # A fragment that begins with a question mark is the state of a page with a script.
            gone = anchor and not anchor.startswith("?") and target in found and anchor not in found[target].anchors
            if gone or not (site / target).is_file():
                yield f"{page} -> {link}"


def told(report: Report) -> str:
    """The report as text."""
    count = report.pages - len(report.missing_pages)
    lines = [f"Zensical built {count:,} of {report.pages:,} pages in {report.seconds:.0f} s and ended with code {report.code}."]
    parts = {
        "pages missing": report.missing_pages,
        "files missing": report.missing_files,
        "dead links": report.dead_links,
        "messages": report.messages,
    }
    for name, items in parts.items():
        lines.append(f"{name}: {len(items):,}")
        lines += [f"  {item}" for item in items[:MOST_SHOWN]] + ([f"  and {len(items) - MOST_SHOWN:,} more"] if len(items) > MOST_SHOWN else [])
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 whatever Zensical made of it, 2 if there was nothing to try."""
    parser = argparse.ArgumentParser(description="Try Zensical on the generated Markdown.")
    parser.add_argument("--docs", type=Path, default=ROOT / "build" / "docs", help="folder of the generated Markdown (default: build/docs/)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    if not available():
        print("Zensical is not installed: pip install zensical", file=sys.stderr)
        return 2
    if not options.docs.is_dir():
        print(f"no Markdown at {options.docs}: make site", file=sys.stderr)
        return 2
    report = check(options.docs)
    print(json.dumps(asdict(report), indent=1) if options.json else told(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
