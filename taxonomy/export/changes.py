"""What changed in knowledge between two states of the records: not which lines, but which records, claims, runs and consequences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from taxonomy.export.whole import FORMAT, FORMAT_VERSION, Values, whole_of
from taxonomy.relations import RELATIONS

_INDEX = "concerns"
"""A relation that claims nothing: it says which pages to list a record on."""
_ABOUT_ASSERTIONS = ("status", "condition", "as", "proof", "disputed-by", "sources")
_SHORT = 80
_NEEDED: dict[str, type] = {"records": dict, "facts": list, "evidence": dict}
Entries = tuple[Values, ...]


@dataclass(frozen=True)
class Difference:
    """What changed, each as a list of plain values. Where a record was renamed, its old name is nowhere else counted as a change."""

    records_added: Entries
    records_removed: Entries
    records_renamed: Entries
    claims_added: Entries
    claims_removed: Entries
    claims_changed: Entries
    evidence_added: Entries
    evidence_removed: Entries
    evidence_changed: Entries
    derived_gained: Entries
    derived_lost: Entries
    derived_changed: Entries
    records_changed: Entries

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return any(getattr(self, item.name) for item in fields(self))

    def as_json(self) -> Values:
        """Plain values for `--json`, names with hyphens."""
        return {item.name.replace("_", "-"): list(getattr(self, item.name)) for item in fields(self)}


def snapshot(path: Path) -> Values:
    """The content of a record folder, or of a file that `atlas export json` wrote.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    ValueError
        If a file is not such an export.
    taxonomy.AtlasError
        If the records of a folder have errors.
    """
    if path.is_dir():
        from taxonomy.store import load

        return json.loads(json.dumps(whole_of(load(path))))  # type: ignore[no-any-return]
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}: name a record folder, or a file written by `atlas export json`")
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by `atlas export json`")
    if whole.get("format-version") != FORMAT_VERSION:
        raise ValueError(f"{path} has format version {whole.get('format-version')}; this Atlas reads version {FORMAT_VERSION}: export it again")
    if missing := [name for name, kind in _NEEDED.items() if not isinstance(whole.get(name), kind)]:
        raise ValueError(f"{path} is only a part of an export, without its {', '.join(missing)}: export it again")
    return whole


def difference(old: Values, new: Values) -> Difference:
    """What changed from one content to another (both as `whole_of` makes them)."""
    renamed = _renamed(old["records"], new["records"])
    was = _with_new_names(old, renamed)
    return Difference(
        **_records(old["records"], new["records"], renamed, was["records"]), **_claims(was, new), **_evidence(was, new), **_derived(was, new)
    )


def _renamed(old: Values, new: Values) -> dict[str, str]:
    """New ids of records that are there under another id: one that names the old one among its aliases, or has its name, code or formula."""
    found: dict[str, str] = {}
    for id_ in (id_ for id_ in old if id_ not in new):
        for candidate in (candidate for candidate in new if candidate not in old and candidate not in found.values()):
            if _same(old[id_], new[candidate]):
                found[id_] = candidate
                break
    return found


def _same(old: Values, new: Values) -> bool:
    if old["kind"] != new["kind"]:
        return False
    names = {name.casefold() for name in (new["name"], *new.get("aliases", ()))}
    if old["name"].casefold() in names or old["id"] in names:
        return True
    return any(old.get(name) and old.get(name) == new.get(name) for name in ("implementation", "formula"))


def _with_new_names(value: Any, renamed: dict[str, str]) -> Any:
    """A content in which each old id, and each claim's id that holds one, is replaced."""
    if not renamed:
        return value
    if isinstance(value, dict):
        return {_name(key, renamed): _with_new_names(inner, renamed) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_new_names(inner, renamed) for inner in value]
    return _name(value, renamed) if isinstance(value, str) else value


def _name(text: str, renamed: dict[str, str]) -> str:
    # An id is a word of its own, or a part of a claim's id; in prose, and in the id of a check, it is neither.
    if text in renamed:
        return renamed[text]
    parts = text.split("/")
    if " " not in text and (len(parts) == 3 or parts[1:] == ["statement"]):
        return "/".join(renamed.get(part, part) for part in parts)
    return text


def _records(old: Values, new: Values, renamed: dict[str, str], was: Values) -> dict[str, Entries]:
    def described(records: Values, id_: str) -> Values:
        return {"id": id_, "kind": records[id_]["kind"], "name": records[id_]["name"]}

    arrived = set(renamed.values())
    pairs = ((id_, old[id_]["name"], id_) for id_ in old if id_ in new and old[id_]["name"] != new[id_]["name"])
    moved = [(id_, old[id_]["name"], target) for id_, target in renamed.items()]
    return {
        "records_added": tuple(described(new, id_) for id_ in new if id_ not in old and id_ not in arrived),
        "records_removed": tuple(described(old, id_) for id_ in old if id_ not in new and id_ not in renamed),
        "records_renamed": tuple(
            {"id": target, "kind": new[target]["kind"], "name": new[target]["name"], "old-id": id_, "old-name": name}
            for id_, name, target in (*moved, *pairs)
        ),
        "records_changed": tuple(described(new, id_) | {"fields": changed} for id_ in new if id_ in was and (changed := _fields(was[id_], new[id_]))),
    }


_REPORTED_ELSEWHERE = frozenset({"id", "name"} | RELATIONS.keys() - {_INDEX})
"""Fields of a record whose changes are told as renamings and as claims."""


def _fields(old: Values, new: Values) -> Values:
    """The fields that changed: with both values if they are short words, with none if they are prose or lists."""
    changed: Values = {}
    for name in sorted({*old, *new} - _REPORTED_ELSEWHERE):
        before, after = old.get(name), new.get(name)
        if before != after:
            short = all(value is None or (not isinstance(value, list | dict) and len(str(value)) <= _SHORT) for value in (before, after))
            changed[name] = {"old": before, "new": after} if short else {}
    return changed


def _assertions(whole: Values) -> dict[tuple[str, str, int], Values]:
    found: dict[tuple[str, str, int], Values] = {}
    for fact in whole["facts"]:
        if fact["relation"] != _INDEX:
            for said in fact.get("assertions", ()):
                number = 0
                while (fact["id"], said["by"], number) in found:
                    number += 1
                found[fact["id"], said["by"], number] = {name: _comparable(name, said.get(name)) for name in _ABOUT_ASSERTIONS}
    return found


def _comparable(name: str, value: Any) -> Any:
    if name == "sources":
        return sorted(f"{source['work']}, {source['at']}" for source in value or ())
    return " ".join(value.split()) if isinstance(value, str) else value


def _claims(old: Values, new: Values) -> dict[str, Entries]:
    before, after = _assertions(old), _assertions(new)
    changed = []
    for key in after:
        if key in before and before[key] != after[key]:
            fields_ = {name: {"old": before[key][name], "new": after[key][name]} for name in after[key] if before[key][name] != after[key][name]}
            changed.append({"claim": key[0], "by": key[1], "changes": fields_})
    return {
        "claims_added": tuple(_said(key, after[key]) for key in after if key not in before),
        "claims_removed": tuple(_said(key, before[key]) for key in before if key not in after),
        "claims_changed": tuple(changed),
    }


def _said(key: tuple[str, str, int], assertion: Values) -> Values:
    return {"claim": key[0], "by": key[1], "status": assertion["status"], "sources": assertion["sources"]}


def _evidence(old: Values, new: Values) -> dict[str, Entries]:
    before, after = old["evidence"], new["evidence"]

    def outcome(found: Values) -> Values:
        return {"status": found["status"], "condition": _comparable("condition", found.get("condition"))}

    changed = (
        {"claim": claim, "old": outcome(before[claim]), "new": outcome(after[claim])}
        for claim in after
        if claim in before and outcome(before[claim]) != outcome(after[claim])
    )
    return {
        "evidence_added": tuple({"claim": claim} | outcome(after[claim]) for claim in after if claim not in before),
        "evidence_removed": tuple({"claim": claim} | outcome(before[claim]) for claim in before if claim not in after),
        "evidence_changed": tuple(changed),
    }


def _derived(old: Values, new: Values) -> dict[str, Entries]:
    before, after = ({fact["id"]: fact for fact in whole["facts"]} for whole in (old, new))

    def consequences(facts: dict[str, Values]) -> Iterator[str]:
        return (id_ for id_, fact in facts.items() if fact["basis"] == "derived" and fact["proof"]["rule"] != "symmetry")

    def proved(fact: Values) -> Values:
        return {"fact": fact["id"], "rule": fact["proof"]["rule"], "conditions": fact["proof"].get("conditions", [])}

    both = [id_ for id_ in consequences(after) if id_ in before and before[id_]["basis"] == "derived"]
    return {
        "derived_gained": tuple(proved(after[id_]) for id_ in consequences(after) if id_ not in before),
        "derived_lost": tuple(proved(before[id_]) for id_ in consequences(before) if id_ not in after),
        "derived_changed": tuple(
            {"fact": id_, "old": proved(before[id_]), "new": proved(after[id_])} for id_ in both if proved(before[id_]) != proved(after[id_])
        ),
    }
