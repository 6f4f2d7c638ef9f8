"""`atlas verify`: run the checks that claims name, and record what they find under `kb/evidence/`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from executable.check_runs import Backend, CheckedClaim, Finished, claim_digest, run_all
from executable.checks import CHECKS
from executable.display import display
from executable.gallery import write_gallery
from executable.timings import longest_first, remember
from taxonomy import evidence as store
from taxonomy.disk import sweep
from taxonomy.evidence import Evidence
from taxonomy.links import links_of
from taxonomy.loading import read_folder
from taxonomy.problems import AtlasError, Severity, did_you_mean
from taxonomy.records import Evaluation, Model, Record, Verdict
from taxonomy.store import packaged_kb

__all__ = ["CheckedClaim", "Report", "Result", "checked_claims", "claim_digest", "verify"]

Outcome = Literal["recorded", "unchanged", "error"]


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
    principle: str | None = None,
    *,
    jobs: int = 1,
    backend: Backend = "processes",
    scheduler: str | None = None,
    force: bool = False,
    strict: bool = False,
) -> Report:
    """Run the checks of the claims of a record folder.

    A claim whose recorded evidence was made by the same code from the same claim is left alone. What a check finds is written when it is found,
    whole or not at all, so a run that is interrupted or killed loses only the checks under way, and the next run does the rest. Progress and a
    summary go to standard error.

    Parameters
    ----------
    kb
        Record folder; the Atlas's own by default. Evidence is written below its `evidence/`.
    claims
        Only these claims (`<subject>/<relation>/<object>`, `<record>/statement`).
    method
        Only claims about this method: id, name, abbreviation or alias.
    principle
        Only claims about this principle or axiom: id, name or alias. Together with `method`: the claims about both.
    jobs
        Processes to run checks in.
    backend
        `processes` of this machine, or `dask` for a cluster, whose workers need this package.
    scheduler
        Address of the Dask scheduler; without one, a cluster of `jobs` workers is started on this machine.
    force
        Run also what has not changed.
    strict
        Count a status that differs from the recorded one as a failure, and leave the recorded file as it is.

    Raises
    ------
    taxonomy.AtlasError
        If records cannot be read.
    KeyError
        If a claim, method or principle asked for has no check.
    ImportError
        If a cluster is asked for and the package `distributed` is missing.
    OSError
        If the scheduler does not answer.
    """
    folder = Path(kb) if kb is not None else packaged_kb()
    records = _records(folder)
    chosen = _choose(_checked(records), records, claims, {"method": method, "principle": principle})
    report = Report(strict=strict)
    evidence = folder / "evidence"
    for place in (evidence, *(path for path in evidence.rglob("*") if path.is_dir())):
        sweep(place)  # what a killed run left
    waiting: list[CheckedClaim] = []
    before: dict[str, str] = {}
    for claim in chosen:
        recorded = _recorded(evidence / store.evidence_path(claim.id))
        if recorded:
            before[claim.id] = recorded.status
        if claim.check not in CHECKS:
            problem = f"there is no check `{claim.check}`" + (f"; {hint}" if (hint := did_you_mean(claim.check, CHECKS)) else "")
            report.results.append(Result(claim.id, claim.check, "error", "error", problems=(problem,)))
        elif recorded and not force and recorded.digest == claim_digest(claim):
            report.results.append(Result(claim.id, claim.check, "unchanged", recorded.status, recorded.status))
        else:
            waiting.append(claim)
    report.results += _run_and_file(waiting, before, evidence, strict=strict, jobs=jobs, backend=backend, scheduler=scheduler)
    if not (claims or method or principle) and write_gallery(evidence, force=force):
        report.gallery = "recorded"
    report.results.sort(key=lambda result: result.claim)
    print(report, file=sys.stderr)
    return report


def _run_and_file(waiting: list[CheckedClaim], before: Mapping[str, str], folder: Path, *, strict: bool, **how: Any) -> list[Result]:
    """Run what is waiting and file each result at once. If the workers are lost, what has not come back is reported as not run."""
    results: dict[str, Result] = {}
    several = how["jobs"] > 1 or how["backend"] != "processes"
    runs = run_all(longest_first(waiting) if several else waiting, **how)
    try:
        with display(len(waiting), "claims") as advance, contextlib.closing(runs):
            for finished in runs:
                result = _file(finished, before.get(finished.claim.id), folder, strict=strict)
                results[result.claim] = result
                advance(f"{result.status:<22} {result.claim}  ({result.seconds:.1f} s)", bool(result.problems) or result.changed)
    except (ImportError, OSError):
        raise
    except Exception as error:  # a worker that was killed; what the others found is filed already
        lost = f"not run: {type(error).__name__}: {error}"
        for claim in waiting:
            results.setdefault(claim.id, Result(claim.id, claim.check, "error", "error", before.get(claim.id), (lost,)))
    finally:
        if several:
            remember({result.claim: result.seconds for result in results.values() if result.outcome == "recorded"})
    return list(results.values())


def checked_claims(kb: Path) -> list[CheckedClaim]:
    """Every claim of the records that names a check, sorted.

    Raises
    ------
    taxonomy.AtlasError
        If a record cannot be read; a claim must not go missing unnoticed.
    """
    return _checked(_records(kb))


def _records(kb: Path) -> dict[str, Record]:
    folder = read_folder(kb)
    errors = [problem for problem in folder.problems if problem.severity is Severity.ERROR]
    if errors:
        raise AtlasError(errors)
    return folder.records


def _checked(records: Mapping[str, Record]) -> list[CheckedClaim]:
    found: dict[str, CheckedClaim] = {}
    for record in records.values():
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


_KINDS = {"method": ("method",), "principle": ("principle", "axiom")}


def _choose(
    tested: Sequence[CheckedClaim], records: Mapping[str, Record], claims: Collection[str] | None, about: Mapping[str, str | None]
) -> list[CheckedClaim]:
    """The claims asked for by id, and about every record asked for."""
    ids = {claim.id for claim in tested}
    for name in claims or ():
        if name not in ids:
            hint = did_you_mean(name, ids)
            raise KeyError(f"no claim `{name}` that names a check" + (f"; {hint}" if hint else ""))
    wanted = {_named(tested, records, what, name) for what, name in about.items() if name is not None}
    return [claim for claim in tested if (not claims or claim.id in claims) and wanted <= set(claim.ends)]


def _named(tested: Sequence[CheckedClaim], records: Mapping[str, Record], what: str, name: str) -> str:
    """Id of the record of a kind that is known by a name, if a claim about it names a check."""
    kinds = [record for record in records.values() if record.kind in _KINDS[what]]
    spellings = {s.casefold(): r.id for r in kinds for s in (*r.aliases, getattr(r, "abbreviation", None) or "", r.name, r.id)}
    found = spellings.get(name.casefold(), "") if name else ""
    about = {end for claim in tested for end in claim.ends}
    if found not in about:
        hint = did_you_mean(name, sorted(about & {record.id for record in kinds}))
        raise KeyError(f"no claim about a {' or '.join(_KINDS[what])} `{name}` names a check" + (f"; {hint}" if hint else ""))
    return found


def _file(finished: Finished, before: str | None, folder: Path, *, strict: bool) -> Result:
    claim, found, seconds = finished.claim, finished.found, finished.seconds
    if isinstance(found, str):
        return Result(claim.id, claim.check, "error", "error", before, (found,), seconds)
    problems = tuple(f"negative control not noticed: {control.description}" for control in found.controls if not control.detected)
    if not found.controls:
        problems = ("the check has no negative control",)
    result = Result(claim.id, claim.check, "recorded", found.status, before, problems, seconds)
    if not problems and not (strict and result.changed):
        store.write(found, folder)
    return result


def _recorded(path: Path) -> Evidence | None:
    try:
        return store.read(path)
    except (OSError, ValueError):
        return None
