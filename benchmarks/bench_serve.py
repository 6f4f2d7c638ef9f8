"""How long the served site takes from the edit of one record to the finished pages, and a whole build for comparison.

Measured is `preview.Preview.update`, which `make serve` runs as soon as a file is saved (about a tenth of a second later); the exports follow in the
background. Every edit is undone by the next one of its kind, so that each round meets the same records.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT / "site"), str(ROOT)) if path not in sys.path]

ROUNDS = 6
LINE = "summary: >\n"
EDITS = {
    "a method's summary": "methods/lime.yaml",
    "an axiom's summary": "axioms/completeness.yaml",
    "a source's summary": "sources/deng2025attribution.yaml",
}


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Seconds on the clock, and the result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main() -> None:
    from preview import Preview, Update

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kb = Path(shutil.copytree(ROOT / "kb", folder / "kb"))
        preview = Preview(kb, folder / "docs", folder / "public")
        seconds, _ = timed(preview.update)
        print(f"whole build: {seconds:.1f} s\n\n{'edit':24}{'median s':>10}{'min':>8}{'max':>8}{'files':>8}{'pages':>8}{'exports s':>11}")
        for label, path in EDITS.items():
            file = kb / path
            text = file.read_text(encoding="utf-8")
            if LINE not in text:
                raise ValueError(f"{path} has no {LINE!r}")
            times, late = [], []
            for number in range(ROUNDS):
                file.write_text(text.replace(LINE, f"{LINE}  Edited.\n", 1) if number % 2 == 0 else text, encoding="utf-8")
                took, found = timed(preview.update)
                assert isinstance(found, Update)
                assert not found.whole
                times.append(took)
                late.append(timed(preview.finish)[0])
            middle = statistics.median(times)
            pages = f"{len(found.files):8}{found.pages:8}{statistics.median(late):11.2f}"
            print(f"{label:24}{middle:10.2f}{min(times):8.2f}{max(times):8.2f}{pages}", flush=True)


if __name__ == "__main__":
    main()
