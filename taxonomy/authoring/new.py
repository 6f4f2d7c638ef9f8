"""New records: a method with its function and test, or a record of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taxonomy import bibliography
from taxonomy.authoring import code, listings, names
from taxonomy.authoring.citation import CitationError, Reference, recognise, with_entry
from taxonomy.authoring.plan import (
    AuthoringError,
    Plan,
    free_id,
    held_against,
    plain_file,
    plain_text,
    record_at,
    refuse_duplicates,
    sound_folder,
    source_of,
)
from taxonomy.authoring.writing import Change
from taxonomy.authoring.yaml_text import record_text
from taxonomy.bibliography import Entry
from taxonomy.characters import unseen
from taxonomy.loading import Folder
from taxonomy.reading import parse
from taxonomy.records import KINDS


@dataclass(frozen=True, slots=True)
class Common:
    """What every new record is given: its name, and where it comes from."""

    kb: Path
    name: str
    summary: str
    id: str | None = None
    aliases: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    reference: str | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a method is given besides: its family, what it needs, and how its code is to be called."""

    family: str
    abbreviation: str | None = None
    explains: str = "input features"
    access: str | None = None
    model: str | None = None
    baseline: str | None = None
    function: str | None = None
    module: str | None = None
    with_code: bool = True


def new_method(common: Common, options: MethodOptions) -> Plan:
    """The plan for a method: its record, its entry in references.bib, its function, and a test with what its family promises.

    Raises
    ------
    AuthoringError
        If something given cannot be used, or the method seems to be there already.
    """
    folder = sound_folder(common.kb)
    name, id_, aliases = _identity(folder, common)
    abbreviation = plain_text("abbreviation", options.abbreviation) if options.abbreviation else None
    family = record_at(folder, options.family, ("formulation-family",))
    reference = _reference(common)
    if reference is None and not common.sources:
        raise AuthoringError("a method has the work that introduced it: --reference with a key, a DOI or a BibTeX entry")
    wanted = [id_, name, *([abbreviation] if abbreviation else []), *aliases]
    plan = Plan(id_)
    plan.notes += refuse_duplicates(folder, "method", wanted, reference.key if reference else None, distinct=common.distinct)
    values: dict[str, Any] = {"id": id_, "name": name, "summary": _prose(common.summary), "explains": [options.explains]}
    values |= {"abbreviation": abbreviation} if abbreviation else {}
    values |= {"aliases": aliases} if aliases else {}
    values |= {"reference": reference.key} if reference else {}
    values |= _needs(options)
    if common.sources:
        values["sources"] = [source_of(text) for text in common.sources]
        values["belongs-to"] = [{"to": family, "sources": values["sources"]}]
    root = common.kb.resolve().parent
    written = _code(root, plan, options, values, family, _cited(common.kb, reference)) if options.with_code else None
    if written:
        values["implementation"] = written.link
    _finish(plan, folder, common.kb, "method", values, reference)
    if written:
        plan.changes += written.changes
    plan.steps += _method_steps(plan, family, written, mentioned=bool(common.sources), placed=bool(common.sources))
    return plan


def new_record(common: Common, kind: str, values: Mapping[str, Any]) -> Plan:
    """The plan for a record of any kind but a method; `values` are its fields besides id, name, aliases, summary and sources.

    Raises
    ------
    AuthoringError
        If something given cannot be used, or the record seems to be there already.
    """
    folder = sound_folder(common.kb)
    reference = _reference(common)
    if kind == "source":
        common = _keyed(folder, common, reference)
    name, id_, aliases = _identity(folder, common)
    plan = Plan(id_)
    plan.notes += refuse_duplicates(folder, kind, [id_, name, *aliases], None, distinct=common.distinct)
    found: dict[str, Any] = {"id": id_, "name": name, "summary": _prose(common.summary)}
    found |= {"aliases": aliases} if aliases else {}
    found |= {"sources": [source_of(text) for text in common.sources]} if common.sources else {}
    found |= {"references": [reference.key]} if reference else {}
    _finish(plan, folder, common.kb, kind, found | dict(values), reference)
    plan.steps.append(f"{plan.changes[0].path}: write out the fields that are still comments, and delete those that do not apply")
    plan.steps.append("atlas check")
    if kind == "library":
        plan.steps.append("executable/conformance: put the library's functions beside ours, so that `atlas conformance` compares them")
    elif kind == "source":
        plan.steps.append(f"places in it, `{{work: {id_}, at: Abstract}}` or those named under `sections` and `exhibits`, can now stand under claims")
    elif kind in {"principle", "axiom"}:
        plan.steps.append("executable/principles or executable/checks/axioms.py: a test of the property, linked as `implementation`")
    return plan


def _keyed(folder: Folder, common: Common, reference: Reference | None) -> Common:
    """A source bears its key in references.bib as id."""
    if reference is None:
        raise AuthoringError("a source is an entry of references.bib: --reference with a key, a DOI or a BibTeX entry")
    if common.id not in (None, reference.key):
        raise AuthoringError(f"the id of a source is its key, `{reference.key}`; leave --id out")
    if reference.key in folder.records:
        raise AuthoringError(f"the work `{reference.key}` has a record already, {folder.documents[reference.key].file}: add to that one")
    return replace(common, id=reference.key)


def _identity(folder: Folder, common: Common) -> tuple[str, str, list[str]]:
    name = plain_text("name", common.name)
    id_ = free_id(folder, common.id if common.id is not None else names.slug(name))
    return name, id_, [plain_text("alias", alias) for alias in common.aliases]


def _prose(text: str) -> str:
    if found := unseen(text):
        raise AuthoringError(f"summary: it holds {found[1]}, which nobody would see; remove it")
    if not text.strip():
        raise AuthoringError("summary: it is empty; the first sentence says what the record is about")
    return text.strip()


def _bibliography(kb: Path) -> dict[str, Entry]:
    return bibliography.parse(plain_file(kb, "references.bib"), f"{kb.name}/references.bib")


def _reference(common: Common) -> Reference | None:
    if common.reference is None:
        return None
    try:
        return recognise(common.reference, _bibliography(common.kb))
    except CitationError as error:
        raise AuthoringError(str(error)) from error


def _cited(kb: Path, reference: Reference | None) -> str:
    if reference is None:
        return "The work that introduced it"
    known = bibliography.parse(reference.added) if reference.added else _bibliography(kb)
    entry = known[reference.key]
    last = [author.split()[-1] for author in entry.authors]
    people = " and ".join(last) if len(last) < 3 else f"{last[0]} et al."
    return f"{people}, {entry.title}, {entry.year}"


def _needs(options: MethodOptions) -> dict[str, Any]:
    given = {"access": options.access, "model": options.model, "baseline": options.baseline}
    if not any(given.values()):
        return {}
    if missing := [name for name, value in given.items() if not value]:
        raise AuthoringError(f"what a method needs is told as a whole: give --{' and --'.join(missing)} too")
    return {"needs": given}


def _code(root: Path, plan: Plan, options: MethodOptions, values: Mapping[str, Any], family: str, citation: str) -> code.Code | None:
    if not code.is_checkout(root):
        plan.notes.append(f"{root} holds no code beside the records, so neither function nor test is written")
        return None
    function = options.function or names.function_name(plan.id)
    module = options.module or code.default_module(function)
    for name in (function, module):
        if fault := names.faulty_function(name):
            raise AuthoringError(fault)
    try:
        return code.code_for(
            root,
            id_=plan.id,
            name=str(values["name"]),
            family=family,
            function=function,
            module=module,
            citation=citation,
            access=options.access,
            explains=options.explains,
        )
    except ValueError as error:
        raise AuthoringError(str(error)) from error


def _finish(plan: Plan, folder: Folder, kb: Path, kind: str, values: Mapping[str, Any], reference: Reference | None) -> None:
    try:
        text = record_text(kind, values)
    except ValueError as error:
        raise AuthoringError(str(error)) from error
    for problem in held_against(folder, kind, plan.id, text, reference.key if reference else None):
        if problem.rule == "incomplete-method":  # what is still a comment; the first step says so
            continue
        plan.notes.append(problem.message + (f"; {problem.suggestion}" if problem.suggestion else ""))
    plan.changes.append(Change(f"{kb.resolve().name}/{KINDS[kind].folder}/{plan.id}.yaml", text))
    if reference and reference.note:
        plan.notes.append(reference.note)
    if reference and reference.added:
        before = plain_file(kb, "references.bib")
        plan.changes.append(Change(f"{kb.resolve().name}/references.bib", with_entry(before, reference.key, reference.added), before))


def _method_steps(plan: Plan, family: str, written: code.Code | None, *, mentioned: bool, placed: bool) -> Sequence[str]:
    record = plan.changes[0].path
    steps = [f"{record}: write the fields that are still comments; `atlas check` says which a full record has"]
    if not mentioned:
        steps.append(f"the same: without `sources` it claims nothing; to encode what its own paper states: atlas new source --reference {_key(plan)}")
    if not placed:
        steps.append(f"the same: `belongs-to: {family}` as soon as an encoded source says so; without a source no claim is made")
    if written is None:
        return [*steps, "the same: say in `unchecked:` why there is no function", "atlas check"]
    module, function = written.link.split(":")
    test = written.test.split("::")[0]
    words = plan.id if plan.id == function else f"{plan.id} or {function}"
    return [
        *steps,
        f"{module.replace('.', '/')}.py: write `{function}`; its example says what it gives on a simple model",
        f"{test}: keep what the method promises, replace what it does not (and record that as `violates` with its source), write test_own_formula",
        f"{record}: at least two `oracles`, one of them {written.test}; `cost.evaluations` as `n + 1` or `min(2**n, 2050)`",
        f"{listings.GALLERY} and {listings.CATALOGUE}: settings other than the defaults, in the entries of `{plan.id}`",
        *written.left,
        f"pytest {test} tests/executable/test_methods.py -k '{words}'",
        "if it has claims with a `check:` - atlas verify, which records their evidence; if another library has it - executable/conformance/",
        "atlas check, then make test",
    ]  # fmt: skip


def _key(plan: Plan) -> str:
    values = parse(plan.changes[0].after, "")[0].values
    return str(values.get("reference", "KEY"))
