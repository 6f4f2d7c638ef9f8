"""The command `atlas check`: all that is checked of records, repairs, remarks, and a check again whenever a file changes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from taxonomy import output
from taxonomy.problems import Problem, Severity

PAUSE = 0.5
"""Seconds between two looks at the files."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `atlas check` its flags."""
    parser.add_argument("--format", choices=("text", "github"), default="text", help="github: annotations for pull requests")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--fix", action="store_true", help="first repair what is mechanical, and say what was done")
    parser.add_argument("--advice", action="store_true", help="also remarks that block nothing: what follows anyway, rests on one source, ...")
    parser.add_argument("--watch", action="store_true", help="check again whenever a file changes, until Ctrl-C")


def every_problem(kb: Path, *, advised: bool = False) -> list[Problem]:
    """What `taxonomy.check` finds, the rules for finished records, and, if wished, the remarks; sorted by place.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    from taxonomy.authoring.advice import advice
    from taxonomy.authoring.editorial import editorial
    from taxonomy.loading import read_folder
    from taxonomy.store import problems_of, without_collection

    with without_collection():
        folder = read_folder(kb)
        found = problems_of(folder)
        if not any(problem.severity is Severity.ERROR for problem in found):
            found += editorial(folder)
            if advised:
                found += advice(folder)
    return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column, problem.message))


def run(arguments: argparse.Namespace) -> int:
    """Repair if asked to, check, and go on checking if asked to; returns the exit code."""
    from taxonomy.store import packaged_kb

    kb = arguments.kb or packaged_kb()
    if arguments.fix and not _repair(kb):
        return 1
    code = _once(arguments, kb)
    if arguments.watch:
        watch(kb, lambda: _once(arguments, kb))
        return 0
    return code


def _repair(kb: Path) -> bool:
    from taxonomy.authoring.fixes import fix
    from taxonomy.authoring.writing import WritingError

    try:
        found = fix(kb)
    except WritingError as error:
        print(f"atlas: {error}", file=sys.stderr)
        return False
    for one in found:
        for text in one.done:
            print(f"{one.change.path}: {text}", file=sys.stderr)
        for text in one.left:
            print(f"{one.change.path}: not repaired: {text}", file=sys.stderr)
    if not found:
        print("atlas check: nothing to repair", file=sys.stderr)
    return True


def _once(arguments: argparse.Namespace, kb: Path) -> int:
    problems = every_problem(kb, advised=arguments.advice)
    if arguments.json:
        print(json.dumps([problem.as_json() for problem in problems], indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            output.problem(problem, github=arguments.format == "github")
        counts = {severity: sum(problem.severity is severity for problem in problems) for severity in reversed(Severity)}
        summary = ", ".join(f"{count} {severity.name.lower()}{'' if count == 1 else 's'}" for severity, count in counts.items())
        print(f"atlas check: {summary} in {arguments.kb or kb.name}", file=sys.stderr)
    worst = max((problem.severity for problem in problems), default=Severity.NOTE)
    return int(worst >= (Severity.WARNING if arguments.strict else Severity.ERROR))


def watch(kb: Path, check: Callable[[], object], sleep: Callable[[float], None] = time.sleep) -> None:
    """Call `check` whenever a file of the folder comes, goes or changes, until Ctrl-C; a folder that is gone for a moment is waited for."""
    seen = stamps(kb)
    print("atlas check: watching; Ctrl-C ends", file=sys.stderr, flush=True)
    try:
        while True:
            sleep(PAUSE)
            now = stamps(kb)
            if now != seen and now:
                seen = now
                check()
                sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)


def stamps(kb: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every file of a record folder but hidden ones, by name."""
    found = {}
    for root, folders, files in os.walk(kb):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                try:
                    state = os.stat(os.path.join(root, name))
                except FileNotFoundError:  # gone between the two looks
                    continue
                found[os.path.join(root, name)] = (state.st_mtime_ns, state.st_size)
    return found
