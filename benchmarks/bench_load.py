"""How long `import taxonomy; taxonomy.load()` takes, cold and warm, beside a plain YAML parser, and for 10,000 synthetic records.

Every run is a fresh process that times itself from its first statement, so what is measured includes all imports but not the start of Python.
A warm load verifies the cache and unpickles it when first asked; what the first query then costs is the row "warm, with a query".
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS, RUNS_LARGE, SYNTHETIC = 9, 3, 10_000

LOAD = """
import time; start = time.perf_counter()
import sys, taxonomy
atlas = taxonomy.load(sys.argv[1], cache=sys.argv[2] != "cold")
if sys.argv[2] == "query":
    atlas.find("IG")
seconds = time.perf_counter() - start
print(seconds, len(atlas.records))
"""
PEER = """
import time; start = time.perf_counter()
import pathlib, sys, yaml
files = [yaml.load(path.read_bytes(), yaml.CSafeLoader) for path in pathlib.Path(sys.argv[1]).rglob("*.yaml")]
print(time.perf_counter() - start, len(files))
"""

METHOD = """\
# yaml-language-server: $schema=../schema/method.json
id: synthetic-{number}
name: Synthetic method {number}
abbreviation: SYN{number}
summary: >
  Averages the gradient $\\partial f / \\partial x_i$ over {number} points between the input $x$ and a baseline $b$ and multiplies it by their
  difference, so that the attributions add up to the change of the output.
explains: [input features]
formula: a_i = (x_i - b_i) \\frac{{1}}{{{number}}} \\sum_{{k=1}}^{{{number}}} \\frac{{\\partial f}}{{\\partial x_i}}(b + k (x - b))
symbols:
  - {{symbol: a_i, meaning: Attribution of input variable $i$.}}
  - {{symbol: b_i, meaning: Its value in the baseline.}}
idea: Summing the changes along the whole way gives every variable its part of $f(x) - f(b)$.
misleads: The baseline decides.
needs: {{access: gradients, model: differentiable, baseline: one}}
cost: {{backward: "{number}"}}
sources:
  - {{work: deng2025attribution, at: "Sec. II-A(2)"}}
belongs-to:
  - to: gradient-times-input
    sources:
      - {{work: deng2025attribution, at: "Table II, row Gradient × Input", ref: [9]}}
      - {{work: deng2025attribution, at: "Sec. II-A(2)"}}
reformulates-as:
  - to: path-integral
    sources: [{{work: deng2025attribution, at: "Table III, row Path Integral", ref: [9]}}]
  - to: taylor-interaction
    status: proved
    proof: [deng2024unifying]
    sources: [{{work: deng2024unifying, at: Theorem 7}}]
"""


def generate(kb: Path) -> None:
    """A copy of the Atlas's records, filled up with synthetic methods to `SYNTHETIC` records."""
    shutil.copytree(ROOT / "kb", kb, ignore=shutil.ignore_patterns("evidence", "schema"))
    for number in range(1, SYNTHETIC - sum(1 for _ in kb.rglob("*.yaml")) + 1):
        (kb / "methods" / f"synthetic-{number}.yaml").write_text(METHOD.format(number=number), encoding="utf-8")


def measure(code: str, kb: Path, mode: str, cache: Path, runs: int) -> tuple[list[float], int]:
    """Times in seconds of `runs` fresh processes, and the number of records or files that each of them read."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    times, count = [], 0
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", code, str(kb), mode], capture_output=True, text=True, check=True, env=environment, cwd=cache)
        seconds, number = done.stdout.split()
        times.append(float(seconds))
        count = int(number)
    return times, count


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        cache, large = Path(temporary, "cache"), Path(temporary, "large")
        cache.mkdir()
        generate(large)
        rows = []
        for name, kb, runs in (("the Atlas", ROOT / "kb", RUNS), (f"{SYNTHETIC:,} records", large, RUNS_LARGE)):
            peer, files = measure(PEER, kb, "", cache, runs)
            cold, records = measure(LOAD, kb, "cold", cache, runs)
            measure(LOAD, kb, "warm", cache, 1)  # fills the cache
            warm, _ = measure(LOAD, kb, "warm", cache, runs)
            query, _ = measure(LOAD, kb, "query", cache, runs)
            base = statistics.median(peer)
            for what, times, count in (
                ("yaml.CSafeLoader alone", peer, files),
                ("taxonomy.load, cold", cold, records),
                ("taxonomy.load, warm", warm, records),
                ("warm, with a query", query, records),
            ):
                rows.append((name, what, count, statistics.median(times), min(times), max(times), statistics.median(times) / base))
    print(f"{'records':<16}{'what':<24}{'count':>7}{'median':>10}{'least':>10}{'most':>10}{'ratio':>8}")
    for name, what, count, median, least, most, ratio in rows:
        print(f"{name:<16}{what:<24}{count:>7}{median:>9.3f}s{least:>9.3f}s{most:>9.3f}s{ratio:>8.2f}")


if __name__ == "__main__":
    main()
