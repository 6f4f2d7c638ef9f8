"""Contenders on the same work, run in turn: medians, spread and ratios. What a benchmark of methods is made of.

A contest has our call, the calls of the peers that have the method (each with the setting that suits it best), and, where the definition needs a
known number of forward and backward passes, a floor: those passes alone. All run in turn, so that a slow phase of the machine hits them alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from taxonomy.disk import put

RESULTS = Path(__file__).resolve().parent / "results.json"
THREADS = 2
Call = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """One piece of work.

    `method` is the id of its record, `goal` says in words what is aimed at, `most_of_floor` and `most_of_peer` are the ratios that must not be passed
    (the latter against the fastest peer); `most_of_peers` names bounds for single peers. Long calls that something else has warmed up already set
    `warm` to False.
    """

    work: str
    method: str
    ours: Call
    peers: Mapping[str, Call] = field(default_factory=dict)
    floor: Call | None = None
    goal: str = ""
    most_of_floor: float | None = None
    most_of_peer: float | None = None
    most_of_peers: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 5
    warm: bool = True


@dataclass(frozen=True)
class Figure:
    """A measured number that is no time, such as an error or the memory that a call needs: smaller is better.

    `unit` is what it is measured in; work, method, goal and bound are those of a contest.
    """

    work: str
    method: str
    unit: str
    ours: float
    peers: Mapping[str, float]
    goal: str = ""
    most_of_peer: float | None = None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of the peers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def seconds(call: Call) -> float:
    """Time of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def run(contest: Contest) -> dict[str, Any]:
    """Measure a contest; plain values."""
    calls: dict[str, Call] = {"ours": contest.ours, **contest.peers} | ({"floor": contest.floor} if contest.floor else {})
    for call in calls.values() if contest.warm else ():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(contest.rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = medians["ours"]
    floor = ours / medians["floor"] if contest.floor else None
    peers = [{"name": name, "ratio": round(ours / medians[name], 3), "ms": round(1e3 * medians[name], 2)} for name in contest.peers]
    fastest = max((peer["ratio"] for peer in peers), default=None)
    return {
        "work": contest.work,
        "method": contest.method,
        "ours": round(1e3 * ours, 2),
        "spread": round((max(times["ours"]) - min(times["ours"])) / ours, 2),
        "floor": round(floor, 3) if floor is not None else None,
        "peers": peers,
        "goal": contest.goal,
        "met": _met(
            (floor, contest.most_of_floor),
            (fastest, contest.most_of_peer),
            *((ours / medians[name], bound) for name, bound in contest.most_of_peers.items()),
        ),
    }


def _met(*bounded: tuple[float | None, float | None]) -> str:
    met = [ratio <= bound for ratio, bound in bounded if bound is not None and ratio is not None]
    return "–" if not met else "yes" if all(met) else "no"


def agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Raise unless two results are equal to within `tolerance` of the largest entry: contenders have to do the same work."""
    error = float((ours.detach() - theirs.detach()).abs().max() / ours.detach().abs().max())
    if not error <= tolerance:
        raise AssertionError(f"the contenders disagree by {error:.2g} of the largest attribution")


def fastest_of(calls: Mapping[str, Call], rounds: int = 2) -> tuple[str, Call]:
    """The setting that suits a contender best, by its fastest run."""
    best = {name: float("inf") for name in calls}
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call))
    torch.set_num_threads(threads)
    name = min(best, key=best.__getitem__)
    return name, calls[name]


def hold(title: str, contests: Sequence[Contest]) -> None:
    """Run contests, print them as a table, and keep the results for the site."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    rows = []
    print(f"{'work':<58}{'ours (ms)':>11}{'spread':>8}{'/floor':>8}  / peers", flush=True)
    try:
        with quiet():
            for contest in contests:
                row = run(contest)
                rows.append(row)
                floor = f"{row['floor']:.2f}" if row["floor"] is not None else ""
                peers = ", ".join(f"{peer['name']} {peer['ratio']:.2f}" for peer in row["peers"])
                print(f"{row['work']:<58}{row['ours']:>11.1f}{row['spread']:>8.0%}{floor:>8}  {peers}   [{row['goal']}: {row['met']}]", flush=True)
    finally:
        torch.set_num_threads(threads)
    keep(title, rows)


def record(title: str, figures: Sequence[Figure]) -> None:
    """Print figures as a table and keep them beside the times; each row has its `unit`, which rows of times lack."""
    rows = []
    for figure in figures:
        peers = [
            {"name": name, "ratio": round(figure.ours / value, 3) if value else None, "value": float(f"{value:.4g}")}
            for name, value in figure.peers.items()
        ]
        # Against the best of the peers: where that is zero, only zero will do.
        best = min(figure.peers.values(), default=None)
        ratio = None if best is None else figure.ours / best if best else float(figure.ours > 0) * float("inf")
        rows.append(
            {
                "work": figure.work,
                "method": figure.method,
                "unit": figure.unit,
                "ours": float(f"{figure.ours:.4g}"),
                "floor": None,
                "peers": peers,
                "goal": figure.goal,
                "met": _met((ratio, figure.most_of_peer)),
            }
        )
        against = ", ".join(f"{name} {value:.4g}" for name, value in figure.peers.items())
        print(f"{figure.work:<58}{figure.ours:>11.4g} {figure.unit}  {against}   [{figure.goal}: {rows[-1]['met']}]", flush=True)
    keep(title, rows)


def keep(title: str, rows: list[dict[str, Any]]) -> None:
    """Write one table of the results file; the others stay."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"tables": {}}
    found |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "threads": THREADS, "torch": torch.__version__.split("+")[0]}
    found["tables"][title] = rows
    put(RESULTS, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
