"""What a release knew, as plain data under `site/releases/`: all that the page of changes compares, and nothing else.

A snapshot holds no types of this program, so it can still be read when the records have other fields: what is long stands there as a digest, what
is short as it is. `python site/release.py` writes one for each release.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from taxonomy.export.whole import whole_of
from taxonomy.relations import RELATIONS

FORMAT = "attribution-atlas-release"
FORMAT_VERSION = 1
FOLDER = Path(__file__).resolve().parents[1] / "releases"
Values = dict[str, Any]

_LONGEST = 80
"""Values up to this length are kept as they are, so that a change can be shown."""
_INDEX = "concerns"
_ALWAYS = frozenset({"kind", "name", "aliases"})
_DIGEST = "sha256:"
_ABOUT_ASSERTIONS = ("by", "status", "condition", "as", "proof", "disputed-by")
_VERSION = re.compile(r"\d+(\.\d+)*")


def snapshot(atlas: Any, version: str, state: str = "") -> Values:
    """What an atlas knows, reduced to what can be compared later.

    Parameters
    ----------
    atlas : taxonomy.Atlas
        The records with their evidence.
    version : str
        Name of the release: numbers with dots between them.
    state : str, optional
        Which state of the records it is, for the reader of the page.

    Raises
    ------
    ValueError
        If the version is not made of numbers.
    """
    _numbers(version)
    whole = json.loads(json.dumps(whole_of(atlas)))
    return {"format": FORMAT, "format-version": FORMAT_VERSION, "version": version, "state": state} | reduced(whole)


def reduced(whole: Values) -> Values:
    """Of the content of an atlas (as `taxonomy.export.whole.whole_of` makes it) what a snapshot keeps."""
    return {
        "records": {id_: _record(values) for id_, values in whole["records"].items()},
        "facts": {fact["id"]: _fact(fact) for fact in whole["facts"] if fact["relation"] != _INDEX and not _mirrored(fact)},
        "claims": {claim["id"]: claim["standing"] for claim in whole["claims"]},
        "evidence": {claim: _run(run) for claim, run in whole["evidence"].items()},
    }


def _record(values: Values) -> Values:
    kept = {name: value for name, value in values.items() if name != "id" and (name not in RELATIONS or name == _INDEX)}
    return {name: value if name in _ALWAYS else _short(value) for name, value in kept.items()}


def _short(value: Any) -> Any:
    """A value that is short, or the digest of one that is long."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= _LONGEST and not isinstance(value, dict):
        return value
    return _DIGEST + hashlib.sha256(text.encode()).hexdigest()[:12]


def _mirrored(fact: Values) -> bool:
    return fact["basis"] == "derived" and fact["proof"]["rule"] == "symmetry"


def _fact(fact: Values) -> Values:
    if said := fact.get("assertions"):
        return {"said": [_assertion(assertion) for assertion in said]}
    return {name: fact["proof"][name] for name in ("rule", "conditions") if fact["proof"].get(name)}


def _assertion(said: Values) -> Values:
    kept = {name: said[name] for name in _ABOUT_ASSERTIONS if said.get(name)}
    places = [f"{source['work']}, {source['at']}" for source in said.get("sources", ())]
    return kept | ({"sources": places} if places else {})


def _run(run: Values) -> Values:
    kept = {name: run[name] for name in ("status", "condition") if run.get(name)}
    return kept | {"digest": run.get("digest", "")[:12]}


def expanded(found: Values) -> Values:
    """A snapshot in the form that `taxonomy.export.changes.difference` compares."""
    return {
        "records": {id_: {"id": id_} | {name: _whole(value) for name, value in record.items()} for id_, record in found["records"].items()},
        "facts": [_whole_fact(id_, fact) for id_, fact in found["facts"].items()],
        "evidence": found["evidence"],
    }


def _whole(value: Any) -> Any:
    # A digest becomes an object, so that nobody takes it for a word of the record.
    return {"sha256": value.removeprefix(_DIGEST)} if isinstance(value, str) and value.startswith(_DIGEST) else value


def _whole_fact(id_: str, fact: Values) -> Values:
    kept: Values = {"id": id_, "relation": id_.split("/")[1], "basis": "asserted" if "said" in fact else "derived"}
    if "said" not in fact:
        return kept | {"proof": fact}
    return kept | {"assertions": [said | {"sources": [_place(place) for place in said.get("sources", ())]} for said in fact["said"]]}


def _place(text: str) -> Values:
    work, _, at = text.partition(", ")
    return {"work": work, "at": at}


def text(found: Values) -> str:
    """A snapshot as it is stored: an entry to a line, so that two of them can be compared by eye."""
    parts = []
    for name, value in found.items():
        shown = _plain(value)
        if isinstance(value, dict) and value:
            shown = "{\n" + ",\n".join(f"{_plain(key)}: {_plain(entry)}" for key, entry in value.items()) + "\n}"
        parts.append(f"{_plain(name)}: {shown}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read(path: Path) -> Values:
    """A stored snapshot; a part that is not in it is empty.

    Raises
    ------
    ValueError
        If the file is no snapshot, or one of a later format; the message begins with the path.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path}: not a snapshot; `python site/release.py` writes them")
    if found.get("format-version") != FORMAT_VERSION:
        raise ValueError(f"{path}: format version {found.get('format-version')}; this program reads version {FORMAT_VERSION}")
    return {"state": "", "records": {}, "facts": {}, "claims": {}, "evidence": {}} | found


def latest(folder: Path = FOLDER) -> Path | None:
    """The snapshot of the last release; None before the first."""
    return max(folder.glob("*.json"), key=lambda path: _numbers(path.stem), default=None)


def _numbers(version: str) -> tuple[int, ...]:
    if not _VERSION.fullmatch(version):
        raise ValueError(f"`{version}` is no version: write numbers with dots between them, such as 0.2.0")
    return tuple(int(part) for part in version.split("."))
