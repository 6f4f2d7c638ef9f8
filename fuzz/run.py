"""Run the fuzzers: `python -m fuzz.run all --seconds 60`, or one target with `--runs`.

The byte targets are driven by atheris (libFuzzer with coverage of the Python code; Linux only), each in a process of its own, since a crash of native
code ends it. Inputs that find something new are kept under `build/fuzz/<target>/`; an input that breaks a promise is written to
`build/fuzz/crashes/` and makes the exit code 1: reduce it, keep it under `tests/hostile/corpus/`, mend the hole. The other targets change real
records at random; their inputs are seeds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "fuzz"
BYTES = ("record", "page", "bibtex", "latex", "prose", "plain", "cost", "query", "locator", "recorded")
SEEDED = ("check_real", "check_small", "check_exports")
LONGEST = {"cost": 240, "query": 400, "locator": 400, "latex": 600, "prose": 800, "plain": 400}
SECONDS_PER_INPUT = 10


def seeds_of(target: str) -> list[bytes]:
    """Real inputs to begin with, and the payloads."""
    from fuzz.records import PAYLOADS, real, small

    strings = [value for _, values in real()[::7] for value in _strings(values)]
    found = [payload.encode(errors="replace") for payload in PAYLOADS]
    if target in {"record", "page"}:
        from fuzz.targets import KINDS, VALID

        paths = [path for kind in KINDS for path in (VALID / kind.folder).glob("*.yaml")]
        found += [bytes([[kind.folder for kind in KINDS].index(path.parent.name)]) + path.read_bytes() for path in paths]
        assert small()
    elif target == "bibtex":
        found += [b"@" + entry.encode() for entry in (ROOT / "kb" / "references.bib").read_text(encoding="utf-8").split("\n@")[:40]]
    elif target == "recorded":
        samples = {0: "evidence/*/*/*.json", 1: "audits/b*.json", 2: "reproductions/*.json", 3: "conformance/*.json"}
        found += [bytes([kind]) + path.read_bytes()[:3000] for kind, where in samples.items() for path in sorted((ROOT / "kb").glob(where))[:8]]
    elif target == "query":
        found += [b"methods satisfies completeness and not needs internals", b'method (implemented or mentions "x") but access gradients']
    elif target == "cost":
        found += [b"2**n", b"n + 1", b"min(2**n, 2050)"]
    else:
        found += [string.encode() for string in strings]
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [string for item in inner for string in _strings(item)]


def run_bytes(target: str, *, seconds: int, runs: int, seed: int) -> int:
    """Fuzz one target until the time or the number of runs is used up; does not return if something breaks."""
    import atheris

    with atheris.instrument_imports(include=["taxonomy", "fuzz", "atlas_pages"], enable_loader_override=False):
        from fuzz.targets import TARGETS
    corpus, crashes = WORK / target, WORK / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds_of(target)):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [
        f"-max_len={LONGEST.get(target, 4096)}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-artifact_prefix={crashes}/{target}-",
        "-print_final_stats=1",
    ]
    options += [f"-max_total_time={seconds}"] if seconds else []
    options += [f"-runs={runs}"] if runs else []
    options += [f"-seed={seed}"] if seed else []
    atheris.Setup([sys.argv[0], str(corpus), *options, "-rss_limit_mb=3000"], TARGETS[target])
    atheris.Fuzz()
    return 0


def run_seeded(target: str, *, seconds: int, runs: int, seed: int) -> int:
    """Change real records until the time or the number of runs is used up; returns the exit code."""
    import faulthandler

    from fuzz import records

    check, start, done, accepted, broken = getattr(records, target), time.monotonic(), 0, 0, 0
    while (not runs or done < runs) and (not seconds or time.monotonic() - start < seconds):
        faulthandler.dump_traceback_later(SECONDS_PER_INPUT * 6, exit=True)
        try:
            accepted += check(seed + done)
        except Exception:
            broken += 1
            print(f"{target}({seed + done}):\n{traceback.format_exc()}", flush=True)
        done += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{target}: {done:,} executions, {accepted:,} accepted, {broken} broken, {time.monotonic() - start:.0f} s", flush=True)
    return int(broken > 0)


def run_all(seconds: int) -> int:
    """Every target for so many seconds, one after another, in processes of their own; returns the exit code."""
    worst = 0
    for target in (*BYTES, *SEEDED):
        command = [sys.executable, "-m", "fuzz.run", target, "--seconds", str(seconds)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        print(f"{target}: {'nothing found' if code == 0 else f'exit code {code}'}", flush=True)
        worst = worst or code
    return worst


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="Fuzz everything that reads what strangers write.")
    parser.add_argument("target", choices=("all", *BYTES, *SEEDED))
    parser.add_argument("--seconds", type=int, default=0, help="stop after so many seconds")
    parser.add_argument("--runs", type=int, default=0, help="stop after so many executions")
    parser.add_argument("--seed", type=int, default=0, help="begin with this seed")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "site")]
    if options.target == "all":
        return run_all(options.seconds or 60)
    run = run_bytes if options.target in BYTES else run_seeded
    return run(options.target, seconds=options.seconds, runs=options.runs, seed=options.seed)


if __name__ == "__main__":
    raise SystemExit(main())
