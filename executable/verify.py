"""`atlas verify`: run the checks that claims name, and record what they find under `kb/evidence/`."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from executable.checks import CHECKS
from executable.digest import digest
from executable.gallery import write_gallery
from taxonomy import evidence as store
from taxonomy.evidence import Evidence
from taxonomy.links import links_of
from taxonomy.loading import read_folder
from taxonomy.problems import AtlasError, Severity, did_you_mean
from taxonomy.records import Evaluation, Model, Verdict
from taxonomy.store import packaged_kb

Outcome = Literal["recorded", "unchanged", "error"]


@dataclass(frozen=True)
class CheckedClaim:
    """A claim that names a check."""

    id: str
    check: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What became of one claim in a run."""

    claim: str
    check: str
    outcome: Outcome
    status: str
    before: str | None = None
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether a recorded status no longer holds."""
        return self.before is not None and self.outcome == "recorded" and self.status != self.before


@dataclass
class Report:
    """All results of a run."""

    results: list[Result] = field(default_factory=list)
    gallery: Outcome = "unchanged"
    strict: bool = False

    @property
    def ok(self) -> bool:
        """No check broke, every negative control was noticed, and, if strict, every recorded status still holds."""
        return not any(result.problems or (self.strict and result.changed) for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        results = [
            {"claim": r.claim, "check": r.check, "outcome": r.outcome, "status": r.status, "before": r.before, "problems": list(r.problems)}
            for r in self.results
        ]
        return {"ok": self.ok, "gallery": self.gallery, "results": results}

    def __str__(self) -> str:
        statuses = [result.status for result in self.results if result.outcome != "error"]
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses)))
        ran = sum(result.outcome == "recorded" for result in self.results)
        lines = [f"{len(self.results)} claims: {counts or 'none'} ({ran} run, {len(self.results) - ran} unchanged or failed to run)"]
        lines += [f"status changed: {r.claim}: {r.before} -> {r.status}" for r in self.results if r.changed]
        lines += [f"problem: {r.claim}: {problem}" for r in self.results for problem in r.problems]
        return "\n".join(lines)


def verify(
    kb: str | Path | None = None,
    claims: Collection[str] | None = None,
    method: str | None = None,
    *,
    jobs: int = 1,
    force: bool = False,
    strict: bool = False,
) -> Report:
    """Run the checks of the claims of a record folder.

    A claim whose recorded evidence was made by the same code from the same claim is left alone. Progress and a summary go to standard error.

    Parameters
    ----------
    kb
        Record folder; the Atlas's own by default. Evidence is written below its `evidence/`.
    claims
        Only these claims (`<subject>/<relation>/<object>`).
    method
        Only claims of this method.
    jobs
        Processes to run checks in.
    force
        Run also what has not changed.
    strict
        Count a status that differs from the recorded one as a failure, and leave the recorded file as it is.

    Raises
    ------
    taxonomy.AtlasError
        If records cannot be read.
    KeyError
        If a claim or method asked for has no check.
    """
    folder = Path(kb) if kb is not None else packaged_kb()
    chosen = _choose(checked_claims(folder), claims, method)
    report = Report(strict=strict)
    evidence = folder / "evidence"
    waiting = []
    for claim in chosen:
        recorded = _recorded(evidence / store.evidence_path(claim.id))
        if claim.check not in CHECKS:
            problem = f"there is no check `{claim.check}`" + (f"; {hint}" if (hint := did_you_mean(claim.check, CHECKS)) else "")
            report.results.append(Result(claim.id, claim.check, "error", "error", problems=(problem,)))
        elif recorded and not force and recorded.digest == claim_digest(claim):
            report.results.append(Result(claim.id, claim.check, "unchanged", recorded.status, recorded.status))
        else:
            waiting.append((claim, recorded.status if recorded else None))
    for (claim, before), (found, seconds) in zip(waiting, _run_all([claim for claim, _ in waiting], jobs), strict=True):
        result = _file(claim, before, found, evidence, strict=strict, seconds=seconds)
        report.results.append(result)
        _say(f"{result.status:<22} {result.claim}  ({result.seconds:.1f} s)")
    if not claims and not method and write_gallery(evidence, force=force):
        report.gallery = "recorded"
    report.results.sort(key=lambda result: result.claim)
    _say(str(report))
    return report


def checked_claims(kb: Path) -> list[CheckedClaim]:
    """Every claim of the records that names a check, sorted.

    Raises
    ------
    taxonomy.AtlasError
        If a record cannot be read; a claim must not go missing unnoticed.
    """
    folder = read_folder(kb)
    errors = [problem for problem in folder.problems if problem.severity is Severity.ERROR]
    if errors:
        raise AtlasError(errors)
    found: dict[str, CheckedClaim] = {}
    for record in folder.records.values():
        if record.check:
            _add(found, f"{record.id}/statement", record.check, record.as_json())
        for relation, _, target, claim in links_of(record):
            if claim is not None and claim.check:
                _add(found, f"{record.id}/{relation.name}/{target}", claim.check, _plain(claim))
        if isinstance(record, Evaluation):
            for verdict in record.verdicts:
                for name in _judged(record, verdict):
                    _add(found, name, str(verdict.check), _plain(verdict))
    return [found[name] for name in sorted(found)]


def _add(found: dict[str, CheckedClaim], name: str, check: str, data: Mapping[str, Any]) -> None:
    """Several records may assert one claim; all name the same check, and an edit of any of them makes it run again."""
    known = found.get(name)
    if known is not None and known.check != check:
        raise ValueError(f"`{name}` is given to two checks, `{known.check}` and `{check}`")
    found[name] = CheckedClaim(name, check, data if known is None else {**known.data, f"also {len(known.data)}": data})


def _judged(record: Evaluation, verdict: Verdict) -> list[str]:
    """The claims of a verdict that names a check: one for each method and principle.

    Where the source speaks of all or of the other members, the check says which these are.
    """
    if not verdict.check:
        return []
    rests = [f"{verdict.verdict}/{test.to}" for test in record.tests]
    if verdict.quantifier == "named":
        return [f"{method}/{rest}" for rest in rests for method in verdict.methods]
    decided = CHECKS[verdict.check].claims if verdict.check in CHECKS else ()
    return [claim for claim in decided if claim.partition("/")[2] in rests]


def _plain(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _choose(tested: list[CheckedClaim], claims: Collection[str] | None, method: str | None) -> list[CheckedClaim]:
    for name in claims or ():
        if name not in {claim.id for claim in tested}:
            hint = did_you_mean(name, [claim.id for claim in tested])
            raise KeyError(f"no claim `{name}` that names a check" + (f"; {hint}" if hint else ""))
    if method is not None and method not in {claim.id.split("/")[0] for claim in tested}:
        hint = did_you_mean(method, sorted({claim.id.split("/")[0] for claim in tested}))
        raise KeyError(f"no claim of `{method}` names a check" + (f"; {hint}" if hint else ""))
    return [claim for claim in tested if (not claims or claim.id in claims) and (method is None or claim.id.split("/")[0] == method)]


def claim_digest(claim: CheckedClaim) -> str:
    """Hash of the code a claim's check rests on and of the claim."""
    return digest((CHECKS[claim.check].run.__module__,), claim.id, claim.check, claim.data)


def _run_all(claims: list[CheckedClaim], jobs: int) -> Iterator[tuple[Evidence | Exception, float]]:
    tasks = [(claim.check, claim.id) for claim in claims]
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(_run, tasks)
        return
    with ProcessPoolExecutor(min(jobs, len(tasks)), multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_run, tasks)


def _run(task: tuple[str, str]) -> tuple[Evidence | Exception, float]:
    check, claim = task
    began = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one order of summation, so that a second run finds the same digits
    try:
        return CHECKS[check](claim), time.perf_counter() - began
    except Exception as error:  # a check that breaks must not keep the others from running
        return error, time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)


def _file(claim: CheckedClaim, before: str | None, found: Evidence | Exception, folder: Path, *, strict: bool, seconds: float) -> Result:
    if isinstance(found, Exception):
        problem = f"the check broke: {type(found).__name__}: {found}"
        return Result(claim.id, claim.check, "error", "error", before, (problem,), seconds)
    problems = tuple(f"negative control not noticed: {control.description}" for control in found.controls if not control.detected)
    if not found.controls:
        problems = ("the check has no negative control",)
    result = Result(claim.id, claim.check, "recorded", found.status, before, problems, seconds)
    if not problems and not (strict and result.changed):
        store.write(found.model_copy(update={"digest": claim_digest(claim)}), folder)
    return result


def _recorded(path: Path) -> Evidence | None:
    try:
        return store.read(path)
    except (OSError, ValueError):
        return None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
