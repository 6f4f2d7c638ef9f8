"""The command `atlas`; `atlas --help` lists what it does.

Exit codes: 0 done; 1 the records have errors, or the thing asked for does not exist; 2 the call itself is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxonomy import output
from taxonomy.authoring import checking
from taxonomy.authoring import command as authoring
from taxonomy.disk import put
from taxonomy.problems import AtlasError, UsageError
from taxonomy.store import load, packaged_kb

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.records import Record

Arguments = argparse.Namespace
GUIDE = ("access", "model", "activations", "explains", "scope", "baseline", "training", "features", "budget", "purpose", "stakes")
"""Questions of the guide that take one answer; written out so that no other command has to load them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a letter that the terminal lacks is written as an escape
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()  # a closed pipe is noticed here, not while the interpreter ends
        return code
    except UsageError as error:
        print(f"atlas: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"atlas: {error.args[0]}", file=sys.stderr)
    except AtlasError as error:
        print(f"atlas: {error}\nrun `atlas check` for this list alone", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ImportError) as error:
        print(f"atlas: {error}", file=sys.stderr)
    return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="atlas", description="Query and check the Attribution Atlas.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--kb", metavar="DIR", type=Path, help="another record folder (default: the Atlas's own)")
    common.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Arguments], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    sub = command("list", _list, "List records of a kind, or methods that pass filters.")
    sub.add_argument("kind", nargs="?", default="method", help="kind of record (default: method)")
    for name in ("family", "reformulation", "rationale", "access", "explains", "status"):
        sub.add_argument(f"--{name}", help=f"methods only: filter by {name}")
    for name in ("satisfies", "violates"):
        sub.add_argument(f"--{name}", action="append", default=[], metavar="PRINCIPLE", help=f"methods only: {name} the principle (repeatable)")
    sub = command("show", _show, "Show a record with its relations.")
    sub.add_argument("name", help="id, name, abbreviation or alias")
    sub = command("find", _find, "Find records whose id, names or summary contain a text.")
    sub.add_argument("text")
    sub = command("query", _query, "Select records by a condition: what is in, what is contested, what is not known, each with the reasons.")
    sub.add_argument("expression", help="such as 'method satisfies completeness and not needs internals'; see the page The graph in Python")
    sub.add_argument("--by", choices=("sources", "runs", "audits"), default="runs", help="what counts (default: sources and what runs refuted)")
    sub.add_argument("--all", action="store_true", help="also list what is not known, and what is known not to be")
    sub.add_argument("--csv", action="store_true", help="print CSV")
    sub = command("why", _why, "Explain why a relation holds: sources, runs and the chain of deduction.")
    for name in ("subject", "relation", "object"):
        sub.add_argument(name)
    sub = command("table", _table, "Print a table of the survey, generated from the records.")
    sub.add_argument("name", help="I to VII, or figure-4")
    checking.add_arguments(command("check", checking.run, "Check a record folder and list every problem."))
    sub = command("graph", _graph, "Count the graph, or print a path between two records.")
    sub.add_argument("path", nargs="*", metavar="RECORD", help="two records: print a shortest path between them")
    sub = command("methods", _methods, "List the methods with the function that computes each.")
    sub.add_argument("--status", action="store_true", help="also what proves each function right, and how other libraries compare")
    sub = command("claims", _claims, "List the claims with how each stands: what a run found, or why there is none.")
    sub.add_argument("--status", metavar="STANDING", help="only claims with this standing, e.g. fails, `holds under condition`, cited, open")
    sub.add_argument("--method", help="only claims about this method")
    sub = command("verify", _verify, "Run the checks of the claims and record the evidence (needs torch).")
    sub.add_argument("claims", nargs="*", help="claim ids (default: all)")
    sub.add_argument("--method", help="only claims about this method")
    sub.add_argument("--principle", help="only claims about this principle or axiom")
    sub.add_argument("--force", action="store_true", help="run again what has not changed")
    sub.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes to run checks in (default: one per core)")
    sub.add_argument("--backend", choices=("processes", "dask"), default="processes", help="processes of this machine (default), or a Dask cluster")
    sub.add_argument("--scheduler", metavar="ADDRESS", help="with `--backend dask`: the scheduler (default: start a cluster here)")
    sub.add_argument("--strict", action="store_true", help="fail if a recorded status no longer holds")
    sub = command("choose", _choose, "Choose a method: by flags, or by questions if none is given.")
    for name in GUIDE:
        sub.add_argument(f"--{name}", metavar="ANSWER")
    sub.add_argument("--requires", action="append", default=[], metavar="PROPERTY", help="a principle or axiom that must hold (repeatable)")
    sub.add_argument("--all", action="store_true", help="also list what is ruled out, with every reason")
    sub = command("compare", _compare, "Put two or more methods side by side.")
    sub.add_argument("names", nargs="+", metavar="METHOD", help="ids, names, abbreviations or aliases")
    sub.add_argument("--differences", action="store_true", help="only the rows in which they differ")
    sub = command("conformance", _conformance, "Compare other libraries with the reference methods and record the result (needs both).")
    sub.add_argument("--library", action="append", default=[], help="only this library (repeatable)")
    sub.add_argument("--method", action="append", default=[], help="only this method (repeatable); records nothing")
    sub.add_argument("--recorded", action="store_true", help="run nothing: print what is recorded")
    sub = command("reproduce", _reproduce, "Rerun studies of the sources on our own data and record what comes out (needs torch).")
    sub.add_argument("studies", nargs="*", metavar="STUDY", help="ids of studies (default: all that have a script)")
    sub.add_argument("--force", action="store_true", help="run again what has not changed")
    sub.add_argument("--recorded", action="store_true", help="run nothing: print what is recorded")
    sub = command("audit", _audit, "Say what an attribution function is, by its numbers alone (needs torch).")
    sub.add_argument("function", nargs="?", metavar="MODULE:FUNCTION", help="fn(model, inputs, target=None, *, baselines=None)")
    sub.add_argument("--all", action="store_true", help="audit every reference function and record the reports")
    sub.add_argument("--quick", action="store_true", help="leave out the principles and the known methods that depend on chance")
    styles = ("table", "markdown", "json", "claims")
    sub.add_argument("--format", choices=styles, help="how it is written; claims: as a draft for a record (default: table)")
    sub.add_argument("--output", type=Path, metavar="FILE", help="write the report there")
    sub.add_argument("--jobs", type=int, metavar="N", help="with --all: processes (default: one per core)")
    sub.add_argument("--force", action="store_true", help="with --all: audit also what has not changed")
    sub = command("export", _export, "Write the content in a format that other programs read; without a format, list the formats.")
    sub.add_argument("name", nargs="?", metavar="FORMAT")
    sub.add_argument("--output", type=Path, metavar="PATH", help="file or folder to write (default: print)")
    sub.add_argument("--all", type=Path, metavar="DIR", dest="everything", help="write every format into this folder")
    sub.add_argument("--force", action="store_true", help="replace files that exist")
    sub = command("diff", _diff, "Say what changed in knowledge between two states of the records.")
    for name in ("old", "new"):
        sub.add_argument(name, type=Path, help="a record folder, or a file written by `atlas export json`")
    authoring.add_arguments(command("new", authoring.run, "Write a new record, with code and test for a method."))
    sub = command("schema", _schema, "Write the JSON Schemas of the record kinds, and the issue forms of the repository.")
    return parser


def _list(arguments: Arguments) -> int:
    atlas = load(arguments.kb)
    filters = {
        name: value for name in ("family", "reformulation", "rationale", "access", "explains", "status") if (value := getattr(arguments, name))
    }
    filters |= {name: value for name in ("satisfies", "violates") if (value := getattr(arguments, name))}
    if filters and arguments.kind != "method":
        raise UsageError("filters apply to methods: `atlas list method --family ...`")
    records: Sequence[Record] = atlas.methods(**filters) if arguments.kind == "method" else atlas.of_kind(arguments.kind)
    if arguments.json:
        return _print_json([record.as_json() for record in records])
    output.table(("id", "name", "status"), [(record.id, record.title, record.status) for record in records])
    return 0


def _show(arguments: Arguments) -> int:
    atlas = load(arguments.kb)
    record = atlas.find(arguments.name)
    if arguments.json:
        return _print_json(_record_json(atlas, record))
    output.heading(record.title, record.kind)
    output.paragraph(record.summary)
    for name, value in record.as_json().items():
        if name in _SCALARS:
            output.field(name, value)
    output.table(("relation", "record", "literature", "run", "sources"), _relation_rows(atlas, record))
    return 0


_SCALARS = ("formula", "equation", "symbol", "implementation", "check", "reference", "type", "severity", "meaning", "resolution", "idea", "misleads")


def _relation_rows(atlas: Atlas, record: Record) -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    for edge in atlas.edges_from(record.id):
        found = atlas.evidence.get(edge.id)
        status = str(getattr(edge.statement, "status", "") or "")
        rows.append((edge.relation, edge.object, status, found.status if found else "", "; ".join(source.at for source in edge.sources)))
    for edge in atlas.edges_to(record.id):
        relation = atlas.relation(edge.relation)
        rows.append((relation.inverse, edge.subject, "", "", "; ".join(source.at for source in edge.sources)))
    for fact, proof in atlas.facts_about(record.id):
        if fact.subject == record.id:
            rows.append((fact.relation, fact.object, "derived", "", proof.rule))
    return rows


def _record_json(atlas: Atlas, record: Record) -> dict[str, Any]:
    relations = [
        {"relation": n.relation, "direction": n.direction, "id": n.id, "derived": n.derived} for n in atlas.neighbors(record.id, direction="both")
    ]
    return record.as_json() | {"relations": relations}


def _find(arguments: Arguments) -> int:
    from taxonomy.querying.command import run_find

    return run_find(arguments.kb, arguments.text, as_json=arguments.json)


def _query(arguments: Arguments) -> int:
    from taxonomy.querying.command import run_query

    given = {"basis": arguments.by, "everything": arguments.all, "as_json": arguments.json, "as_csv": arguments.csv}
    return run_query(arguments.kb, arguments.expression, **given)


def _why(arguments: Arguments) -> int:
    explanation = load(arguments.kb).why(arguments.subject, arguments.relation, arguments.object)
    if arguments.json:
        return _print_json(_explanation_json(explanation))
    output.plain(str(explanation))
    return 0


def _explanation_json(explanation: Any) -> dict[str, Any]:
    return {
        "fact": list(explanation.fact),
        "asserted": [
            {"by": edge.holder, "condition": edge.condition, "sources": [source.model_dump(mode="json", by_alias=True) for source in edge.sources]}
            for edge in explanation.edges
        ],
        "run": explanation.evidence.status if explanation.evidence else None,
        "rule": explanation.proof.rule if explanation.proof else None,
        "conditions": list(explanation.proof.conditions) if explanation.proof else [],
        "premises": [_explanation_json(premise) for premise in explanation.premises],
    }


def _table(arguments: Arguments) -> int:
    rows = load(arguments.kb).table(arguments.name)
    if arguments.json:
        return _print_json(rows)
    if rows:
        output.table(tuple(rows[0]), [tuple(_cell(value) for value in row.values()) for row in rows])
    return 0


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        if "printed" in value:
            return str(value["printed"])
        if "text" in value:
            return " ".join(str(value["text"]).split())
        return "; ".join(f"{key}: {_cell(inner) or 'yes'}" for key, inner in value.items() if inner not in ([], False, "named"))
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


def _graph(arguments: Arguments) -> int:
    atlas = load(arguments.kb)
    if arguments.path:
        if len(arguments.path) != 2:
            raise UsageError("a path joins two records: `atlas graph IG SHAP`")
        from taxonomy.graph import path

        steps = path(atlas, *arguments.path)
        if arguments.json:
            return _print_json([{"from": left, "relation": relation, "to": right} for left, relation, right in steps])
        output.table(("from", "relation", "to"), steps)
        return 0
    counts = output.counts(atlas)
    if arguments.json:
        return _print_json(counts)
    for title, group in counts.items():
        output.table((title, "count"), [(name, str(number)) for name, number in group.items()])
    return 0


def _claims(arguments: Arguments) -> int:
    from taxonomy.coverage import STANDINGS, claim_standings, totals

    status = arguments.status.replace("-", " ") if arguments.status else None
    if status is not None and status not in STANDINGS:
        raise UsageError(f"no standing `{arguments.status}`; standings: {', '.join(STANDINGS)}")
    atlas = load(arguments.kb)
    method = atlas.method(arguments.method).id if arguments.method else None
    about = [claim for claim in claim_standings(atlas) if method is None or method in claim.about]
    chosen = [claim for claim in about if status is None or claim.standing == status]
    if arguments.json:
        return _print_json({"claims": [claim.as_json() for claim in chosen], "totals": totals(about)})
    columns, rows = ["claim", "standing", "check"], [[claim.id, claim.standing, claim.check or ""] for claim in chosen]
    if status in ("fails", "holds under condition"):
        columns += ["holds if", "counterexample"]
        for row, claim in zip(rows, chosen, strict=True):
            found = claim.evidence
            row += [_cell(found and found.condition), _cell(found and found.counterexample and found.counterexample.description)]
    elif status in ("definitional", "cited"):
        columns.append("reason")
        for row, claim in zip(rows, chosen, strict=True):
            row.append(claim.reason or "")
    output.table(columns, rows)
    output.table(("standing", "claims"), [(standing, str(count)) for standing, count in totals(about).items()])
    return 0


def _verify(arguments: Arguments) -> int:
    from executable.verify import verify

    if arguments.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    if arguments.scheduler and arguments.backend != "dask":
        raise UsageError("--scheduler goes with `--backend dask`")
    names = ("method", "principle", "jobs", "backend", "scheduler", "force", "strict")
    try:
        report = verify(arguments.kb, claims=arguments.claims or None, **{name: getattr(arguments, name) for name in names})
    except KeyboardInterrupt:
        print("atlas: interrupted; what had finished is recorded, and the same call runs the rest", file=sys.stderr)
        return 130
    except OSError as error:
        if not arguments.scheduler:
            raise
        print(f"atlas: the scheduler at {arguments.scheduler} does not answer: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        _print_json(report.as_json())
    return int(not report.ok)


def _methods(arguments: Arguments) -> int:
    from taxonomy.coverage import method_status

    found = method_status(load(arguments.kb))
    if arguments.json:
        return _print_json([item.as_json() for item in found])
    columns, rows = ["id", "function"], [[item.id, item.function or f"none ({item.status})"] for item in found]
    if arguments.status:
        columns += ["oracles", "libraries"]
        for row, item in zip(rows, found, strict=True):
            row += ["; ".join(item.oracles), "; ".join(f"{name}: {verdict}" for name, verdict in item.peers.items())]
    output.table(columns, rows)
    return 0


def _choose(arguments: Arguments) -> int:
    from taxonomy.guide import terminal

    atlas = load(arguments.kb)
    answers = {name: value for name in (*GUIDE, "requires") if (value := getattr(arguments, name))}
    if not answers and not arguments.json and sys.stdin.isatty():
        answers = terminal.ask(atlas)
    choice = atlas.choose(**answers)
    if arguments.json:
        return _print_json(choice.as_json())
    terminal.show(atlas, choice, everything=arguments.all)
    return 0


def _compare(arguments: Arguments) -> int:
    atlas = load(arguments.kb)
    try:
        found = atlas.compare(*arguments.names)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        return _print_json(found.as_json())
    rows = found.differences if arguments.differences else found.rows
    heads = [getattr(atlas.record(method), "abbreviation", None) or atlas.record(method).name for method in found.methods]
    cells = [[cell.text + (f" ({cell.support})" if cell.support else "") for cell in row.cells] for row in rows]
    lines = [(row.group, row.label, "≠" if row.differs else "", *texts) for row, texts in zip(rows, cells, strict=True)]
    output.table(("group", "aspect", "", *heads), lines)
    return 0


def _conformance(arguments: Arguments) -> int:
    if arguments.recorded:
        from taxonomy.conformance import among

        chosen, ok = among(load(arguments.kb), arguments.library, arguments.method), True
        as_json: Any = {name: found.model_dump(mode="json", by_alias=True) for name, found in chosen.items()}
    else:
        from executable.conformance.run import conformance

        report = conformance(arguments.kb, libraries=arguments.library or None, methods=arguments.method or None)
        chosen, ok, as_json = report.found, report.ok, report.as_json()
    if arguments.json:
        _print_json(as_json)
    else:
        rows = [(item.method, f"{found.library} {found.version}", item.name, item.verdict) for found in chosen.values() for item in found.methods]
        output.table(("method", "library", "name", "verdict"), sorted(rows))
    return int(not ok)


def _reproduce(arguments: Arguments) -> int:
    if not arguments.recorded:
        from executable.reproductions.run import reproduce

        report = reproduce(arguments.kb, studies=arguments.studies or None, force=arguments.force)
        return _print_json(report.as_json()) if arguments.json and report.ok else int(not report.ok)
    from taxonomy.recorded import need

    atlas = load(arguments.kb)
    recorded = atlas.reproductions
    studies = [atlas.find(name).id for name in arguments.studies]
    need(studies, recorded, "reproduction of")
    chosen = [recorded[name] for name in studies or recorded]
    if arguments.json:
        return _print_json([found.model_dump(mode="json", by_alias=True, exclude_none=True) for found in chosen])
    for found in chosen:
        output.reproduction(found)
    return 0


def _audit(arguments: Arguments) -> int:
    if arguments.all == bool(arguments.function):
        raise UsageError("name one function, `atlas audit package.module:function`, or give --all")
    _refuse_idle_options(arguments)
    from executable.auditing import AuditError, audit
    from executable.auditing.everything import audit_all, say
    from executable.auditing.subject import resolve

    if arguments.all:
        recorded = audit_all(arguments.kb, jobs=arguments.jobs or os.cpu_count() or 1, force=arguments.force, show_progress=sys.stderr.isatty())
        say(recorded)
        return int(not recorded.ok)
    try:
        found = audit(resolve(arguments.function), name=arguments.function, quick=arguments.quick, show_progress=sys.stderr.isatty())
    except AuditError as error:
        print(f"atlas: {error}", file=sys.stderr)
        return 1
    style = "json" if arguments.json else arguments.format or "table"
    if style == "table" and arguments.output is None:
        output.audit(found)
        return 0
    from taxonomy.authoring.proposing import proposed_claims

    if style == "json":
        text = found.to_json()
    elif style == "claims":
        text = proposed_claims(found)
    else:
        text = found.to_markdown()
    if arguments.output is None:
        output.plain(text.rstrip())
    else:
        put(arguments.output, text)
    return 0


def _refuse_idle_options(arguments: Arguments) -> None:
    """Options of `atlas audit` that would change nothing are a misunderstanding."""
    of_one = [f"--{name}" for name in ("quick", "format", "output", "json") if getattr(arguments, name)]
    of_all = [f"--{name}" for name in ("jobs", "force") if getattr(arguments, name)]
    if arguments.all and of_one:
        raise UsageError(f"--all records every report and prints none: it takes no {', '.join(of_one)}")
    if not arguments.all and of_all:
        raise UsageError(f"{', '.join(of_all)}: only with --all")
    if arguments.json and arguments.format not in (None, "json"):
        raise UsageError(f"--json or --format {arguments.format}: give one of them")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UsageError("--jobs must be at least 1")


def _export(arguments: Arguments) -> int:
    from taxonomy.export.command import run_export

    given = {"everything": arguments.everything, "force": arguments.force, "as_json": arguments.json}
    return run_export(arguments.kb, arguments.name, arguments.output, **given)


def _diff(arguments: Arguments) -> int:
    from taxonomy.export.command import run_diff

    return run_diff(arguments.old, arguments.new, as_json=arguments.json)


def _schema(arguments: Arguments) -> int:
    from taxonomy.authoring.forms import write_forms_beside
    from taxonomy.schema import write_schemas

    kb = arguments.kb or packaged_kb()
    changed = [*(path.name for path in write_schemas(kb)), *write_forms_beside(kb)]
    if arguments.json:
        return _print_json(changed)
    output.plain("\n".join(f"wrote {name}" for name in changed) or "the schemas are up to date")
    return 0


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
