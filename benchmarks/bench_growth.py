"""How the time and the size of the site grow with the records: the Atlas's own, and with 1,000 and 5,000 synthetic ones more.

The synthetic records are copies of real methods, theorems, examples, insights and discrepancies under new names, in turn, with all their claims: they
are as long as real ones, and the records that many claims concern get the more to list. `python benchmarks/bench_growth.py --docs` leaves out MkDocs.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MORE = (0, 1_000, 5_000)
COPIED = ("methods", "theorems", "examples", "insights", "discrepancies")
RUN = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


@dataclass(frozen=True)
class Measured:
    """A build: processor time in seconds, greatest memory in MiB, number and size in MiB of the files written."""

    seconds: float
    memory: float
    files: int
    size: float


def synthetic() -> Iterator[tuple[str, str]]:
    """Path and text of one synthetic record after the other, without end."""
    folders = [sorted((ROOT / "kb" / folder).glob("*.yaml")) for folder in COPIED]
    real = [path for group in _in_turn(folders) for path in group]
    for number in count(1):
        for path in real:
            yield f"{path.parent.name}/{path.stem}-copy-{number}.yaml", renamed(path.read_text(encoding="utf-8"), number)


def _in_turn(folders: list[list[Path]]) -> Iterator[list[Path]]:
    """One of each folder, as long as there are any."""
    for place in range(max(map(len, folders))):
        yield [files[place] for files in folders if place < len(files)]


def renamed(text: str, number: int) -> str:
    """A record under another id and name, without the names and links that only one record may have."""
    text = re.sub(r"^id: (.*)$", rf"id: \1-copy-{number}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r'^name: (?:"(.*)"|(.*))$', lambda m: f'name: "{m[1] or m[2]} (copy {number})"', text, count=1, flags=re.MULTILINE)
    return re.sub(r"^(?:abbreviation|aliases): .*\n", "", text, flags=re.MULTILINE)


def generate(kb: Path, more: int) -> int:
    """The Atlas's records with `more` synthetic ones; returns the number of all."""
    shutil.copytree(ROOT / "kb", kb, ignore=shutil.ignore_patterns("schema"))
    for path, text in islice(synthetic(), more):
        (kb / path).write_text(text, encoding="utf-8")
    return sum(1 for folder in kb.iterdir() if folder.name != "evidence" for _ in folder.rglob("*.yaml"))


def measure(command: list[str], written: Path) -> Measured:
    """Run a command and look at the folder it wrote."""
    before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", RUN, *command], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before[1].ru_utime - before[1].ru_stime
    sizes = [path.stat().st_size for path in written.rglob("*") if path.is_file()]
    return Measured(seconds, int(done.stdout) / 1024, len(sizes), sum(sizes) / 2**20)


def main(*, docs_only: bool = False) -> None:
    print(f"{'':12}{'records':>9}{'CPU s':>8}{'ms each':>9}{'MiB used':>10}{'files':>8}{'MiB':>8}{'kB each':>9}", flush=True)
    for more in MORE:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            records = generate(folder / "kb", more)
            build = [str(ROOT / "site" / "build.py"), "--kb", str(folder / "kb"), "--docs", str(folder / "docs"), "--out", str(folder / "public")]
            parts = {"Markdown": ([*build, "--docs-only"], folder / "docs")} | ({} if docs_only else {"whole build": (build, folder / "public")})
            for what, (command, written) in parts.items():
                found = measure(command, written)
                print(
                    f"{what:12}{records:9,}{found.seconds:8.1f}{1000 * found.seconds / records:9.2f}{found.memory:10,.0f}{found.files:8,}"
                    f"{found.size:8.1f}{1024 * found.size / records:9.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(docs_only="--docs" in sys.argv)
