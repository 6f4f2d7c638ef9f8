"""Rules that hold between records: references resolve, locators exist, acyclic relations have no cycle."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from taxonomy import locators
from taxonomy.guide.cost import value_of
from taxonomy.guide.questions import ANSWERS
from taxonomy.links import links_of
from taxonomy.loading import Folder, dotted
from taxonomy.problems import Problem, Severity, did_you_mean
from taxonomy.records import Discrepancy, Document, Evaluation, Insight, Library, Method, Model, Record, Study, Theorem, kebab
from taxonomy.relations import RELATIONS

Path = tuple[str | int, ...]
_KEY_FIELDS = frozenset({"references", "proof", "disputed_by", "bibliography"})


def validate(folder: Folder) -> list[Problem]:
    """All problems between the records of a folder."""
    problems: list[Problem] = []
    for record in folder.records.values():
        report = _reporter(folder, record, problems)
        _check_targets(folder, record, report)
        for path, model in _models(record):
            _check_model(folder, path, model, report)
        _check_completeness(record, report)
    _check_names(folder, problems)
    _check_cycles(folder, problems)
    return problems


Report = Callable[..., None]


def _reporter(folder: Folder, record: Record, problems: list[Problem]) -> Report:
    document = folder.documents[record.id]

    def report(rule: str, message: str, path: Path, suggestion: str = "", severity: Severity = Severity.ERROR) -> None:
        line, column = document.position(path)
        problems.append(Problem(rule, message, document.file, line, column, dotted(path), suggestion, severity))

    return report


def _check_targets(folder: Folder, record: Record, report: Report) -> None:
    seen: set[tuple[str, str]] = set()
    for relation, path, target, _ in links_of(record):
        _check_target(folder, target, relation.to_kinds, path, report)
        if (relation.name, target) in seen:
            report("duplicate-claim", f"`{relation.name}` to `{target}` is written twice", path, "merge the two: one claim, all its sources")
        seen.add((relation.name, target))
        if target == record.id:
            report("self-reference", f"`{relation.name}` points to the record itself", path)
    for path, target in _other_targets(record):
        _check_target(folder, target, frozenset({"method"}), path, report)
    if isinstance(record, Study) and record.metric is not None:
        _check_target(folder, record.metric, frozenset({"metric"}), ("metric",), report)
    if isinstance(record, Insight):
        _check_advice(folder, record, report)
    elif isinstance(record, Method) and record.cost is not None and record.cost.evaluations:
        try:
            value_of(record.cost.evaluations, 2)
        except ValueError as error:
            report("value", str(error), ("cost", "evaluations"), "write it like `2**n`, `n + 1` or `min(2**n, 2050)`")


def _other_targets(record: Record) -> Iterator[tuple[Path, str]]:
    """References to methods that are not written as relations."""
    if isinstance(record, Theorem):
        yield from ((("between", index), target) for index, target in enumerate(record.between))
    elif isinstance(record, Library):
        yield from ((("provides", index, "method"), item.method) for index, item in enumerate(record.provides))
    elif isinstance(record, Evaluation):
        for number, verdict in enumerate(record.verdicts):
            yield from ((("verdicts", number, "methods", index), target) for index, target in enumerate(verdict.methods))


def _check_target(folder: Folder, target: str, kinds: frozenset[str], path: Path, report: Report) -> None:
    wanted = "record" if "*" in kinds else " or ".join(sorted(kinds))
    found = folder.records.get(target)
    if found is None:
        if target in folder.unread:
            return
        candidates = [other.id for other in folder.records.values() if "*" in kinds or other.kind in kinds]
        report("dangling-reference", f"unknown {wanted} `{target}`", path, did_you_mean(target, candidates))
    elif "*" not in kinds and found.kind not in kinds:
        report("wrong-kind", f"`{target}` is of kind {found.kind}, not {wanted}", path)


def _check_advice(folder: Folder, record: Insight, report: Report) -> None:
    for number, advice in enumerate(record.advice):
        path: Path = ("advice", number)
        for index, target in enumerate(advice.favours):
            _check_target(folder, target, frozenset({"method", "formulation-family", "reformulation-family"}), (*path, "favours", index), report)
        if advice.rather_than:
            _check_target(folder, advice.rather_than, frozenset({"method"}), (*path, "rather-than"), report)
        for question, option in advice.when.items():
            if question not in ANSWERS:
                report("value", f"the guide does not ask for `{question}`", (*path, "when"), did_you_mean(question, ANSWERS))
            elif option not in ANSWERS[question]:
                hint = did_you_mean(option, ANSWERS[question]) or f"answers: {', '.join(ANSWERS[question])}"
                report("value", f"`{question}` has no answer `{option}`", (*path, "when", question), hint)


def _models(model: Model, path: Path = ()) -> Iterator[tuple[Path, Model]]:
    yield path, model
    for name in model.model_fields_set:
        value = getattr(model, name)
        if isinstance(value, Model):
            yield from _models(value, (*path, kebab(name)))
        elif isinstance(value, tuple) and value and isinstance(value[0], Model):
            for index, item in enumerate(value):
                yield from _models(item, (*path, kebab(name), index))


def _check_model(folder: Folder, path: Path, model: Any, report: Report) -> None:
    fields = model.model_fields_set
    for name in fields & _KEY_FIELDS:
        _check_keys(folder, getattr(model, name), (*path, kebab(name)), report)
    if "reference" in fields and model.reference is not None:
        _check_keys(folder, (model.reference,), (*path, "reference"), report, listed=False)
    if "work" in fields:
        _check_place(folder, model, path, report)
    if "condition" in fields and getattr(model, "status", "conditional") not in {"conditional", "proved", "disputed"}:
        report("status", "a claim with a `condition` has status `conditional` or `proved`", (*path, "condition"), "add `status: conditional`")
    standing = "standing" if isinstance(model, Theorem) else "status"
    if "disputed_by" in fields and getattr(model, standing, "disputed") != "disputed":
        report("status", f"`disputed-by` needs `{standing}: disputed`", (*path, "disputed-by"))
    standings = [name for name in ("check", "definitional", "unchecked") if name in fields and getattr(model, name)]
    if len(standings) > 1:
        both = " and ".join(f"`{name}`" for name in standings)
        report("status", f"{both} exclude each other", (*path, standings[-1]), "keep the one that applies")


def _check_keys(folder: Folder, keys: Sequence[str], path: Path, report: Report, *, listed: bool = True) -> None:
    for index, key in enumerate(keys):
        if key not in folder.keys:
            report("unknown-reference", f"no entry `{key}` in references.bib", (*path, index) if listed else path, did_you_mean(key, folder.keys))


def _check_place(folder: Folder, place: Any, path: Path, report: Report) -> None:
    work = folder.records.get(place.work)
    if work is None and place.work in folder.unread:
        return
    if not isinstance(work, Document):
        candidates = [record.id for record in folder.records.values() if record.kind == "source"]
        report("dangling-reference", f"unknown source `{place.work}`", (*path, "work"), did_you_mean(place.work, candidates))
        return
    for fault in locators.faults(place.at, work):
        report("locator", fault, (*path, "at"))
    for index, number in enumerate(getattr(place, "ref", ())):
        if not 1 <= number <= len(work.bibliography):
            report("locator", f"{work.short} has no reference [{number}]", (*path, "ref", index))


def _check_completeness(record: Record, report: Report) -> None:
    if record.status == "stub":
        return
    # A method that none of the encoded documents mentions rests on the work that introduced it.
    if not record.sources and record.kind not in {"source", "library", "discrepancy"} and not getattr(record, "reference", None):
        what = "add `sources:`, or `reference:` for a method that no encoded document mentions" if record.kind == "method" else "add `sources:`"
        report("missing-source", f"{record.kind} `{record.id}` names no source", ("id",), what, Severity.WARNING)
    if isinstance(record, Method):
        for name in ("formula", "idea", "misleads", "needs", "cost", "explains"):
            if not getattr(record, name):
                message = f"a full method record has `{name}`"
                report("incomplete-method", message, ("id",), "add it, or mark the record `status: stub`", Severity.WARNING)
    if isinstance(record, Discrepancy) and record.severity == "serious" and not record.concerns:
        report("unlinked", "a serious discrepancy names the records it concerns", ("id",), severity=Severity.WARNING)


_LINKED = frozenset({"method", "formulation-family", "reformulation-family", "rationale", "principle", "axiom", "theorem", "example", "metric"})


def unlinked(folder: Folder) -> list[Problem]:
    """Records and verdicts that lead to no code and no check: a note with the reason they give, or a warning if they give none."""
    problems: list[Problem] = []
    for record in folder.records.values():
        if record.status == "stub":
            continue
        report = _reporter(folder, record, problems)
        if record.kind in _LINKED and not getattr(record, "implementation", None):
            _report_unlinked(record, f"{record.kind} `{record.id}`", "neither code nor a check", ("id",), report)
        if isinstance(record, Evaluation):
            for number, verdict in enumerate(record.verdicts):
                if not verdict.none:
                    _report_unlinked(verdict, f"verdict {number + 1} of `{record.id}`", "no check", ("verdicts", number), report)
    return problems


def _report_unlinked(model: Any, name: str, lacks: str, path: Path, report: Report) -> None:
    if model.check:
        return
    reason = model.unchecked or model.definitional
    if reason:
        report("no-code", f"{name} has {lacks}: {' '.join(reason.split())}", path, severity=Severity.NOTE)
    else:
        what = "link it with `implementation:` or `check:`" if hasattr(model, "implementation") else "name its `check:`"
        report("no-code", f"{name} has {lacks}, and no reason", path, f"{what}, or say why in `unchecked:` or `definitional:`", Severity.WARNING)


def _check_names(folder: Folder, problems: list[Problem]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for record in folder.records.values():
        report = _reporter(folder, record, problems)
        for path, name in _names(record):
            owner = taken.setdefault((record.kind, name.casefold()), record.id)
            if owner != record.id:
                report("duplicate-name", f"`{name}` already names the {record.kind} `{owner}`", path, "a name leads to one record of a kind")


def _names(record: Record) -> Iterator[tuple[Path, str]]:
    yield ("name",), record.name
    if isinstance(record, Method) and record.abbreviation:
        yield ("abbreviation",), record.abbreviation
    yield from ((("aliases", index), alias) for index, alias in enumerate(record.aliases))


def _check_cycles(folder: Folder, problems: list[Problem]) -> None:
    for relation in RELATIONS.values():
        if not relation.acyclic:
            continue
        graph: dict[str, list[str]] = {}
        for record in folder.records.values():
            targets = [target for other, _, target, _ in links_of(record) if other is relation and target != record.id]
            if targets:
                graph[record.id] = targets
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1][:0:-1]
            start = cycle.index(min(cycle))
            cycle = [*cycle[start:], *cycle[: start + 1]]
            record = folder.records[cycle[0]]
            chain = " -> ".join(cycle)
            path = next((p for r, p, target, _ in links_of(record) if r is relation and target == cycle[1]), ("id",))
            _reporter(folder, record, problems)("cycle", f"`{relation.name}` runs in a circle: {chain}", path, "remove one of these claims")
