"""Time to build the site, against MkDocs with its plain theme on the same Markdown.

The peer is the floor: the same pages with the same Markdown extensions, but with neither our generator nor the Material theme.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def plain_configuration(folder: Path, docs: Path) -> Path:
    """mkdocs.yml with the plain theme and without plugins."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    kept = [
        block for block in re.split(r"\n(?=\S)", text) if not re.match(r"(theme|plugins|extra|extra_css|extra_javascript|docs_dir|site_dir):", block)
    ]
    config = folder / "mkdocs.yml"
    config.write_text("\n".join([*kept, f"docs_dir: {docs}", f"site_dir: {folder / 'plain'}", "theme: mkdocs", "plugins: []", ""]), encoding="utf-8")
    return config


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        docs = folder / "docs"
        build = [sys.executable, str(ROOT / "site" / "build.py"), "--docs", str(docs), "--out", str(folder / "public")]
        seconds(build)  # warm: byte code, cache of the records, file system
        config = plain_configuration(folder, docs)
        plain = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT / 'site')!r}]; from mkdocs.__main__ import cli; cli()"]
        plain += ["build", "--quiet", "--config-file", str(config)]
        figures: dict[str, list[float]] = {"generator alone": [], "whole build": [], "peer: plain MkDocs": []}
        for _ in range(ROUNDS):
            figures["generator alone"].append(seconds([*build, "--docs-only"]))
            figures["whole build"].append(seconds(build))
            figures["peer: plain MkDocs"].append(seconds(plain))
        floor = statistics.median(figures["peer: plain MkDocs"])
        pages = sum(1 for _ in docs.rglob("*.md"))
        print(f"{pages} pages, {ROUNDS} interleaved rounds\n\n{'':22}{'median s':>10}{'min':>8}{'max':>8}{'ratio to peer':>16}")
        for label, times in figures.items():
            median = statistics.median(times)
            print(f"{label:22}{median:10.1f}{min(times):8.1f}{max(times):8.1f}{median / floor:16.2f}")


if __name__ == "__main__":
    main()
