"""The issue forms and the pull-request template, generated from the record types so that they ask for what a record has.

The lists of families are those of `taxonomy.authoring.code`; every other list of answers is read off the schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml

from taxonomy.authoring.code import FAMILIES
from taxonomy.authoring.files import UnreadableError, text_of
from taxonomy.authoring.writing import Change, WritingError, write
from taxonomy.records import KINDS, Claim, Model
from taxonomy.relations import RELATIONS

_NOTE = "# Written by `atlas schema` from the record types; change those or taxonomy/authoring/forms.py, not this file.\n"
FOLDER = ".github"
_PARTS = ["the command atlas", "a reference function", "a check", "the site", "other"]


def forms() -> dict[str, str]:
    """The files by their path below the root of the repository."""
    return {
        f"{FOLDER}/ISSUE_TEMPLATE/new-method.yml": _dumped(_method_form()),
        f"{FOLDER}/ISSUE_TEMPLATE/claim-or-discrepancy.yml": _dumped(_claim_form()),
        f"{FOLDER}/ISSUE_TEMPLATE/bug.yml": _dumped(_bug_form()),
        f"{FOLDER}/PULL_REQUEST_TEMPLATE.md": _pull_request(),
    }


def write_forms(root: Path) -> list[str]:
    """Write the forms below `root`; returns the paths whose text changed.

    Raises
    ------
    taxonomy.authoring.writing.WritingError
        If one cannot be written; then none is.
    """
    changes = []
    for path, text in forms().items():
        place = root / path
        try:
            before = text_of(place) if place.exists() else None
        except UnreadableError as error:
            raise WritingError(f"{path}: {error}") from error
        if before != text:
            changes.append(Change(path, text, before))
    write(root, changes)
    return [change.path for change in changes]


def write_forms_beside(kb: Path) -> list[str]:
    """Write the forms if the record folder lies in a repository that has such forms; returns the paths whose text changed."""
    root = kb.resolve().parent
    return write_forms(root) if (root / FOLDER).is_dir() else []


def options(model: type[Model], *path: str) -> list[str]:
    """The values that the field at `path` may take, as the schema lists them.

    Raises
    ------
    KeyError
        If there is no such field, or it may take any value.
    """
    info = {field.alias or name: field for name, field in model.model_fields.items()}[path[0]]
    if len(path) > 1:
        inner = next(one for one in _parts(info.annotation) if isinstance(one, type) and issubclass(one, Model))
        return options(inner, *path[1:])
    values = [one for one in _parts(info.annotation) if isinstance(one, str)]
    if not values:
        raise KeyError(f"`{path[0]}` has no list of values")
    return values


def _parts(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [annotation, *(part for one in inner for part in _parts(one))]


def claimable() -> list[str]:
    """Relations that a record claims with sources, in the order of the table."""
    held = {
        info.alias or name
        for record_type in KINDS.values() for name, info in record_type.model_fields.items() if Claim in _parts(info.annotation)
    }  # fmt: skip
    return [name for name in RELATIONS if name in held]


def described(model: type[Model], name: str) -> str:
    """What the schema says of a field."""
    info = {field.alias or key: field for key, field in model.model_fields.items()}[name]
    return info.description or ""


def _required(model: type[Model], name: str) -> bool:
    return {field.alias or key: field for key, field in model.model_fields.items()}[name].is_required()


def _asked(kind: str, id_: str, label: str, description: str, *, required: bool, **more: Any) -> dict[str, Any]:
    attributes = {"label": label} | ({"description": description} if description else {}) | more
    return {"type": kind, "id": id_, "attributes": attributes, "validations": {"required": required}}


def _input(model: type[Model], name: str, label: str, *, kind: str = "input", required: bool | None = None, **more: Any) -> dict[str, Any]:
    needed = _required(model, name) if required is None else required
    return _asked(kind, name, label, described(model, name), required=needed, **more)


def _method_form() -> dict[str, Any]:
    method = KINDS["method"]
    return {
        "name": "New method",
        "description": "A method that the Atlas lacks.",
        "title": "Method: ",
        "labels": ["method"],
        "body": [
            _input(method, "name", "Name"),
            _input(method, "abbreviation", "Abbreviation"),
            _input(method, "aliases", "Other names"),
            _input(method, "reference", "Reference", kind="textarea", required=True, placeholder="A BibTeX entry, with its DOI", render="bibtex"),
            _asked("dropdown", "family", "Formulation family", RELATIONS["belongs-to"].meaning, required=True, options=[*FAMILIES, "none of these"]),
            _input(method, "explains", "Explains", kind="dropdown", required=True, options=options(method, "explains"), multiple=True),
            _input(method, "summary", "Summary", kind="textarea"),
            _input(method, "formula", "Formula", kind="textarea", render="latex"),
            _asked("dropdown", "access", "Least access", "", required=True, options=options(method, "needs", "access")),
            _asked("dropdown", "model", "Models", "Class of models it is defined on.", required=True, options=options(method, "needs", "model")),
            _asked("dropdown", "baseline", "Baseline", "What the user supplies.", required=True, options=options(method, "needs", "baseline")),
            _input(method, "idea", "Idea", kind="textarea"),
            _input(method, "misleads", "Where it misleads", kind="textarea"),
            _asked("textarea", "oracle", "A number to test against", "A closed form, a worked example, or published numbers.", required=False),
        ],
    }


def _claim_form() -> dict[str, Any]:
    discrepancy = KINDS["discrepancy"]
    return {
        "name": "Claim or discrepancy",
        "description": "A statement of a source that is missing or wrong here, or two places that disagree.",
        "title": "Claim: ",
        "labels": ["claim"],
        "body": [
            _asked("dropdown", "what", "What is it?", "", required=True,
                   options=["a claim that is missing", "a claim that is wrong here", "two places that disagree"]),
            _asked("input", "subject", "Record", "Id or name of the record that the statement is about.", required=True),
            _asked("dropdown", "relation", "Relation", "", required=False, options=["none of these", *claimable()]),
            _asked("input", "object", "Other record", "Id or name of the record at the other end.", required=False),
            _asked("textarea", "sources", "Sources", f"Work and place, one a line. {described(KINDS['method'], 'sources')}", required=True,
                   placeholder="deng2025attribution | Table III, row Path Integral"),
            _asked("dropdown", "status", "Standing in the literature", "", required=False, options=options(Claim, "status")),
            _input(Claim, "condition", "Condition", kind="textarea"),
            _input(discrepancy, "between", "If places disagree: what each says", kind="textarea", required=False),
            _input(discrepancy, "type", "Type of discrepancy", kind="dropdown", required=False, options=options(discrepancy, "type")),
            _input(discrepancy, "severity", "Severity", kind="dropdown", required=False, options=options(discrepancy, "severity")),
            _input(discrepancy, "meaning", "What it means for the reader", kind="textarea", required=False),
        ],
    }  # fmt: skip


def _bug_form() -> dict[str, Any]:
    return {
        "name": "Bug",
        "description": "A command, a function or a page does not do what it says.",
        "labels": ["bug"],
        "body": [
            _asked("dropdown", "where", "Where", "", required=True, options=_PARTS),
            _asked("textarea", "steps", "What to run", "The shortest commands or code that show it.", required=True, render="shell"),
            _asked("textarea", "seen", "What happens, and what should", "With the whole message.", required=True),
            _asked("input", "versions", "Versions", "Commit, Python, torch, operating system.", required=True),
        ],
    }  # fmt: skip


def _pull_request() -> str:
    kinds = ", ".join(KINDS)
    return f"""<!-- Written by `atlas schema` from the record types; change taxonomy/authoring/forms.py, not this file. -->

**What it adds or changes** (records of kind {kinds}; code; site):

**Sources** (work and place of every new claim):

Before review:

- [ ] `make check` has no error and no warning; `atlas check --advice` was read.
- [ ] Every new claim names a source and a place, and is `{"`, `".join(options(Claim, "status"))}` as its sources have it.
- [ ] Every new claim names a `check`, or says in `unchecked` or `definitional` why there is none.
- [ ] A source that says otherwise is recorded as a discrepancy ({", ".join(options(KINDS["discrepancy"], "severity"))}), not smoothed over.
- [ ] A new method has a function, a test with what it promises, two oracles, and a picture or the reason why not.
- [ ] `atlas verify --strict` passes; where evidence changed, the change is explained above.
- [ ] `make test` passes.
"""


def _dumped(form: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(form, sort_keys=False, allow_unicode=True, width=150)
    return _NOTE + text
