"""`atlas audit --all`: audit every reference function that can be, and record reports and the confusion table under `kb/audits/`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from joblib import Parallel, delayed

from executable.auditing.catalogue import REFERENCES
from executable.auditing.requirements import principles
from executable.auditing.run import audit
from executable.digest import digest
from executable.progress import progress
from taxonomy import audit as store
from taxonomy.audit import AuditReport, Confusion, ConfusionRow
from taxonomy.problems import did_you_mean
from taxonomy.records import Method
from taxonomy.store import load, packaged_kb


@dataclass
class Recorded:
    """What became of each method."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every audit came to an end."""
        return not self.failed


def code_digest(method: str) -> str:
    """Hash of the code an audit rests on: the audit with all methods it compares with, and the tests of the principles."""
    modules = ["executable.auditing.run", *sorted({inspect.getmodule(test).__name__ for test in principles().values()})]  # type: ignore[union-attr]
    return digest(modules, method)


def audited(method: str, *, link: str, code: str) -> AuditReport:
    """The report on a reference function, as it is stored: with the record's link and the hash of the code."""
    known = REFERENCES[method]
    found = audit(known.call, name=f"{link} ({known.settings})", slow=known.slow)
    return _trimmed(found).model_copy(update={"method": method, "digest": code})


def _trimmed(found: AuditReport) -> AuditReport:
    """What is stored: one counterexample for each requirement, and texts cut short; the function itself gives the rest again."""
    shown: set[str] = set()
    verdicts = []
    for verdict in found.verdicts:
        keep = bool(verdict.counterexample) and verdict.principle not in shown
        shown |= {verdict.principle} if keep else set()
        update = {"counterexample": verdict.counterexample if keep else "", "why": _cut(verdict.why, 200), "domain": _cut(verdict.domain, 90)}
        verdicts.append(verdict.model_copy(update=update))
    refused = {domain: _cut(reason, 120) for domain, reason in found.refused.items()}
    return found.model_copy(update={"verdicts": tuple(verdicts), "refused": refused})


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rsplit(" ", 1)[0] + " …"


def _task(method: str, link: str, code: str, kb: Path) -> tuple[str, str]:
    try:
        store.write(audited(method, link=link, code=code), kb)
    except Exception as error:  # one method that breaks must not keep the others from being recorded
        return method, f"{type(error).__name__}: {error}"
    return method, ""


def audit_all(
    kb: str | Path | None = None, methods: Collection[str] | None = None, *, jobs: int = 1, force: bool = False, show_progress: bool = False
) -> Recorded:
    """Audit the reference functions and record the reports; each is written as it is done, so that a run cut short goes on where it stopped.

    Parameters
    ----------
    kb
        Record folder; the Atlas's own by default.
    methods
        Only these (ids of records).
    jobs
        Processes.
    force
        Audit also what no code has changed for.
    show_progress
        Show a bar on standard error.

    Raises
    ------
    KeyError
        If a method asked for cannot be audited.
    """
    place = Path(kb) if kb is not None else packaged_kb()
    for name in methods or ():
        if name not in REFERENCES:
            raise KeyError(f"no method `{name}` can be audited; {did_you_mean(name, REFERENCES) or 'see executable.auditing.catalogue'}")
    chosen = [name for name in REFERENCES if not methods or name in methods]
    atlas, report, waiting = load(place), Recorded(), []
    for name in chosen:
        code = code_digest(name)
        if not force and (known := stored(name, place)) is not None and known.digest == code:
            report.unchanged.append(name)
        else:
            waiting.append((name, str(atlas.method(name).implementation), code))
    running = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_task)(*task, place) for task in waiting)
    for name, error in progress(running, "auditing", total=len(waiting), show=show_progress):
        if error:
            report.failed[name] = error
        else:
            report.written.append(name)
    if not methods and report.ok:
        store.write_confusion(confusion(store.load(place).values()), place)
    return report


def stored(method: str, kb: Path) -> AuditReport | None:
    """The recorded report, or None if there is none that can be read."""
    try:
        return store.read(store.path_of(method, kb))
    except (OSError, ValueError):
        return None


def confusion(reports: Iterable[AuditReport]) -> Confusion:
    """What the numbers of each method were taken for, and which methods are taken for one another."""
    rows = []
    for report in reports:
        whole = {item.method for item in report.coincidences if item.relation == "equal" and item.everywhere}
        also = tuple(sorted(whole - set(report.identified)))
        rows.append(ConfusionRow(method=str(report.method), best=report.identified, also=also))
    best = {row.method: set(row.best) for row in rows}
    classes = {
        tuple(sorted(other for other in names if method in best.get(other, ()) and other in names))
        for method, names in best.items()
        if method in names
    }
    return Confusion(rows=tuple(sorted(rows, key=lambda row: row.method)), classes=tuple(sorted(names for names in classes if len(names) > 1)))


def not_audited() -> list[str]:
    """Methods with a function that the audit does not run: what they return belongs to sets, or they need a network of their own."""
    return [record.id for record in load().of_kind("method") if isinstance(record, Method) and record.implementation and record.id not in REFERENCES]


def say(report: Recorded) -> None:
    """A summary on standard error."""
    print(f"{len(report.written)} audited, {len(report.unchanged)} unchanged, {len(report.failed)} failed", file=sys.stderr)
    for name, error in report.failed.items():
        print(f"{name}: {error}", file=sys.stderr)
