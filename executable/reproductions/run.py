"""`atlas reproduce`: rerun the studies whose code has changed, and record what comes out under `kb/reproductions/`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import executable.reproductions as folder
from executable.digest import digest
from executable.reproductions.base import REPRODUCTIONS, Reproduce
from executable.testbeds.digits import one_thread
from taxonomy import reproduction as store
from taxonomy.problems import did_you_mean
from taxonomy.reproduction import Reproduction
from taxonomy.store import packaged_kb

SEED = 0
Outcome = Literal["recorded", "unchanged", "error"]


@dataclass(frozen=True)
class Result:
    """What became of one study in a run."""

    study: str
    outcome: Outcome
    problems: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    """Measurements that do not keep their bounds: a finding, recorded like any other."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"study": self.study, "outcome": self.outcome, "problems": list(self.problems), "outside": list(self.outside)}


@dataclass
class Report:
    """All results of a run."""

    results: list[Result] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """No study broke and every control came out as it must."""
        return not any(result.problems for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"ok": self.ok, "studies": [result.as_json() for result in self.results]}

    def __str__(self) -> str:
        counts = {outcome: sum(result.outcome == outcome for result in self.results) for outcome in ("recorded", "unchanged", "error")}
        lines = [f"{len(self.results)} studies: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)]
        lines += [f"problem: {result.study}: {problem}" for result in self.results for problem in result.problems]
        return "\n".join(lines)


def scripts() -> dict[str, Reproduce]:
    """Every study that can be rerun, with its function, sorted."""
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    return dict(sorted(REPRODUCTIONS.items()))


def reproduction_digest(study: str, function: Reproduce) -> str:
    """Hash of the code that a study's rerun rests on."""
    return digest((function.__module__,), study)


def run_study(study: str, function: Reproduce) -> Reproduction:
    """Rerun one study, with one thread and a fixed seed to start from.

    Raises
    ------
    ValueError
        If the function returns the reproduction of another study.
    """
    with one_thread(SEED):
        found = function()
    if found.study != study:
        raise ValueError(f"the script of `{study}` returned the reproduction of `{found.study}`")
    return found


def reproduce(kb: str | Path | None = None, studies: Collection[str] | None = None, *, force: bool = False) -> Report:
    """Rerun studies of the sources and record what comes out.

    A study whose recorded file was made by the same code is left alone. Each file is written as soon as its study has run, so that an
    interrupted run keeps what was finished. A study with a control that was not noticed is not recorded. Progress goes to standard error.

    Parameters
    ----------
    kb
        Record folder; the Atlas's own by default. Files are written below its `reproductions/`.
    studies
        Only these (ids of records).
    force
        Run also what has not changed.

    Raises
    ------
    KeyError
        If a study asked for has no script.
    """
    place = Path(kb) if kb is not None else packaged_kb()
    known = scripts()
    for name in studies or ():
        if name not in known:
            hint = did_you_mean(name, known)
            raise KeyError(f"no script reruns `{name}`" + (f"; {hint}" if hint else f"; those are {', '.join(known) or 'none'}"))
    report = Report()
    chosen = {study: function for study, function in known.items() if not studies or study in studies}
    # Before anything runs: a file that is edited meanwhile is not the code that was loaded.
    digests = {study: reproduction_digest(study, function) for study, function in chosen.items()}
    for study, function in chosen.items():
        result = _one(study, function, place, digests[study], force=force)
        report.results.append(result)
        _say(f"{result.outcome:<10} {study}  ({result.seconds:.1f} s)")
        for text in result.outside:
            _say(f"{'':<10} {text}")
    _say(str(report))
    return report


def _one(study: str, function: Reproduce, place: Path, digest_: str, *, force: bool) -> Result:
    if not force and _recorded_digest(place, study) == digest_:
        return Result(study, "unchanged")
    _say(f"{'running':<10} {study}")
    began = time.perf_counter()
    try:
        found = run_study(study, function).model_copy(update={"digest": digest_})
    except Exception as error:  # a study that breaks must not keep the others from running
        return Result(study, "error", (f"{type(error).__name__}: {error}",), seconds=time.perf_counter() - began)
    problems = tuple(f"control not noticed: {control.description}" for control in found.controls if not control.detected)
    outside = tuple(
        f"{number.name}: {number.value:.4g}, which is not {number.relation} {number.bound:.4g}"
        for number in found.measurements if number.bound is not None and not number.within
    )  # fmt: skip
    if not problems:
        store.write(found, place)
    return Result(study, "error" if problems else "recorded", problems, outside, time.perf_counter() - began)


def _recorded_digest(place: Path, study: str) -> str | None:
    try:
        return store.read(place / store.FOLDER / f"{study}.json").digest
    except (OSError, ValueError):
        return None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
