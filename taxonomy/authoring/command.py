"""The command `atlas new`: its flags, and what is done with them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxonomy.authoring.plan import Plan

KINDS = {
    "method": "method", "family": "formulation-family", "reformulation": "reformulation-family", "principle": "principle", "axiom": "axiom",
    "library": "library", "discrepancy": "discrepancy", "source": "source",
}  # fmt: skip
"""What may follow `atlas new`, and the kind of record it makes; `claim` adds to a record that is there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `atlas new` its subcommands."""
    # Without defaults: those would undo what stands before the kind, as in `atlas new --kb DIR method`.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--kb", metavar="DIR", type=Path, default=argparse.SUPPRESS, help="another record folder")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    kinds = parser.add_subparsers(dest="new", required=True, metavar="KIND")
    for word in KINDS:
        sub = kinds.add_parser(word, help=f"a record of kind {KINDS[word]}", parents=[common])
        sub.add_argument("name", nargs="?", help="its name, as a heading has it")
        sub.add_argument("--id", help="its id (default: made from the name)")
        sub.add_argument("--summary", help="Markdown; the first sentence stands alone on cards")
        sub.add_argument("--alias", action="append", default=[], metavar="NAME", help="another name (repeatable)")
        sub.add_argument("--source", action="append", default=[], metavar="'WORK | PLACE'", help="where a source names it (repeatable)")
        sub.add_argument("--reference", metavar="REF", help="key, DOI, BibTeX entry, a file ending in .bib, or - for standard input")
        sub.add_argument("--distinct", action="store_true", help="it is another one than those it resembles")
        sub.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")
        if word == "method":
            _method_arguments(sub)
        else:
            sub.add_argument(
                "--set", action="append", default=[], metavar="FIELD=VALUE", help="a field: one text, or a list with commas (repeatable)"
            )
            if word == "discrepancy":
                sub.add_argument("--between", action="append", default=[], metavar="'WORK | PLACE | TEXT'", help="one side of it (twice or more)")
    sub = kinds.add_parser("claim", help="a claim of a record that is there", parents=[common])
    for name in ("subject", "relation", "object"):
        sub.add_argument(name)
    sub.add_argument("--source", action="append", default=[], metavar="'WORK | PLACE'", help="where it is asserted (repeatable)")
    for name in ("as", "status", "condition", "note", "check", "definitional", "unchecked"):
        sub.add_argument(f"--{name}", metavar="TEXT", dest=f"claim_{name}")
    sub.add_argument("--proof", action="append", default=[], metavar="KEY", help="a work that proves it (repeatable)")
    sub.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")


def _method_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--abbreviation")
    sub.add_argument("--family", help="formulation family")
    sub.add_argument("--explains", default="input features", help="what receives an attribution (default: input features)")
    sub.add_argument("--access", help="least access that suffices: outputs, gradients, internals, training")
    sub.add_argument("--model", help="models it is defined on: any, differentiable, relu-network, ...")
    sub.add_argument("--baseline", help="what the user supplies: none, zero, one, distribution, optional")
    sub.add_argument("--function", help="name of its function (default: made from the id)")
    sub.add_argument("--module", help="module the function is written to (default: the function's name and `_method`)")
    sub.add_argument("--no-code", action="store_true", help="write neither function nor test")


def run(arguments: argparse.Namespace) -> int:
    """Make the plan, and print or write it; returns the exit code."""
    from taxonomy.authoring.plan import AuthoringError
    from taxonomy.authoring.writing import WritingError, write
    from taxonomy.store import packaged_kb

    kb = (arguments.kb or packaged_kb()).resolve()
    try:
        plan = _plan(arguments, kb)
        if not arguments.dry_run:
            write(kb.parent, plan.changes)
    except (AuthoringError, WritingError) as error:
        print(f"atlas: {error}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\natlas: broken off; nothing was written", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(_as_json(plan, written=not arguments.dry_run), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_told(plan, dry=arguments.dry_run)))
    return 0


def _plan(arguments: argparse.Namespace, kb: Path) -> Plan:
    from taxonomy.authoring import asking
    from taxonomy.authoring.claims import OPTIONS, new_claim
    from taxonomy.authoring.new import MethodOptions, new_method, new_record

    if arguments.new == "claim":
        options = {name: getattr(arguments, f"claim_{name}") for name in OPTIONS}
        return new_claim(kb, arguments.subject, arguments.relation, arguments.object, arguments.source, options, arguments.proof)
    in_terminal = sys.stdin.isatty() and not arguments.json
    if arguments.new == "method":
        if in_terminal:
            asking.complete_method(arguments, guess=lambda text: next(iter(_families(kb, text)), None))
        _require(arguments, "name", "summary")
        _require_family(arguments, kb)
        names = ("family", "abbreviation", "explains", "access", "model", "baseline", "function", "module")
        options_ = MethodOptions(**{name: getattr(arguments, name) for name in names}, with_code=not arguments.no_code)
        return new_method(_common(arguments, kb), options_)
    kind = KINDS[arguments.new]
    if in_terminal:
        asking.complete_record(arguments, [pair for pair in _required(kind) if pair[0] != "between"])
        while kind == "discrepancy" and len(arguments.between) < 2:
            arguments.between.append(asking.answer("One side: work | place | what it says", input))
    _require(arguments, "name", "summary")
    return new_record(_common(arguments, kb), kind, _values(arguments, kind))


def _common(arguments: argparse.Namespace, kb: Path) -> Any:
    from taxonomy.authoring.new import Common

    return Common(
        kb, arguments.name, arguments.summary, arguments.id, tuple(arguments.alias), tuple(arguments.source), _reference(arguments.reference),
        arguments.distinct,
    )  # fmt: skip


def _reference(text: str | None) -> str | None:
    from taxonomy.authoring.plan import AuthoringError

    if text == "-":
        return sys.stdin.read()
    if text is not None and text.endswith(".bib") and "\n" not in text:
        try:
            return Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AuthoringError(f"{text} cannot be read: {error}") from error
    return text


def _require(arguments: argparse.Namespace, *names: str) -> None:
    from taxonomy.authoring.plan import AuthoringError

    if missing := [name if name == "name" else f"--{name}" for name in names if not getattr(arguments, name)]:
        raise AuthoringError(f"outside a terminal nothing can be asked: give {', '.join(missing)}")


def _families(kb: Path, text: str) -> list[str]:
    from taxonomy.authoring.family_guess import guessed_families
    from taxonomy.authoring.plan import sound_folder

    return guessed_families(text, sound_folder(kb).records)


def _require_family(arguments: argparse.Namespace, kb: Path) -> None:
    from taxonomy.authoring.code import FAMILIES
    from taxonomy.authoring.plan import AuthoringError

    if not arguments.family:
        likely = _families(kb, f"{arguments.name} {arguments.summary}")[:2]
        proposal = f"; by its words {' or '.join(f'`{name}`' for name in likely)}" if likely else ""
        raise AuthoringError(f"give --family: one of {', '.join(FAMILIES)}{proposal}")


def _required(kind: str) -> list[tuple[str, str]]:
    """Fields that a record of the kind must have besides name, id and summary, and the form of each."""
    from taxonomy import records
    from taxonomy.authoring.order import in_order
    from taxonomy.authoring.yaml_text import shape_of

    fields = {info.alias or name: info for name, info in records.KINDS[kind].model_fields.items() if info.is_required()}
    return [(name, shape_of(fields[name].annotation, fields[name].metadata)) for name in in_order(kind, fields) if name not in _IDENTITY]


_IDENTITY = ("id", "name", "summary")


def _values(arguments: argparse.Namespace, kind: str) -> dict[str, Any]:
    from taxonomy import records
    from taxonomy.authoring.order import field_order
    from taxonomy.authoring.plan import AuthoringError, place_of
    from taxonomy.authoring.yaml_text import shape_of
    from taxonomy.problems import did_you_mean

    fields = {info.alias or name: info for name, info in records.KINDS[kind].model_fields.items()}
    values: dict[str, Any] = {}
    for text in arguments.set:
        name, sign, value = text.partition("=")
        if not sign or name not in fields or name in _IDENTITY:
            hint = did_you_mean(name, fields) or f"fields: {', '.join(name for name in field_order(kind) if name not in _IDENTITY)}"
            raise AuthoringError(f"--set takes field=value; `{name}` is none of a {kind}; {hint}")
        shape = shape_of(fields[name].annotation, fields[name].metadata)
        if "{" in shape:
            raise AuthoringError(f"`{name}` has parts: {shape}; write it into the record")
        values[name] = [part.strip() for part in value.split(",") if part.strip()] if shape.startswith("[") else value.strip()
    if getattr(arguments, "between", None):
        values["between"] = [place_of(text) for text in arguments.between]
    missing = [(name, shape) for name, shape in _required(kind) if name not in values]
    if missing:
        told = ", ".join("--between 'work | place | text' twice" if name == "between" else f"--set '{name}={shape}'" for name, shape in missing)
        raise AuthoringError(f"records of the kind {kind} need more: give {told}")
    return values


def _told(plan: Plan, *, dry: bool) -> Iterable[str]:
    for change in plan.changes:
        if dry:
            yield change.preview().rstrip("\n")
        else:
            yield f"{'wrote' if change.is_new else 'changed'} {change.path}"
    for note in plan.notes:
        yield f"note: {note}"
    if plan.steps:
        yield "nothing was written; after writing:" if dry else "next:"
        yield from (f"  {number}. {step}" for number, step in enumerate(plan.steps, start=1))
    elif dry:
        yield "nothing was written"


def _as_json(plan: Plan, *, written: bool) -> dict[str, Any]:
    files = [{"path": change.path, "new": change.is_new, "text": change.after} for change in plan.changes]
    return {"id": plan.id, "written": written, "files": files, "notes": plan.notes, "next": plan.steps}
