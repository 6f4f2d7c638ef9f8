"""What changed in knowledge since the last release, worked out from the records and the release's snapshot.

What was known at a release lies under `site/releases/` (see `snapshot.py`; `python site/release.py` writes it, and says how a release is made). The
comparison is that of `atlas diff`; this page adds how claims stand and puts links everywhere.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_pages import snapshot
from atlas_pages.claims import RUN, run_badge, short, to
from atlas_pages.context import Site, address, statement_address
from atlas_pages.markup import badge, box, bullets, code, escape, fold, link, one_line, paragraphs, plain, plural, section, table
from atlas_pages.parts import KIND_NAMES, index_front
from taxonomy.coverage import STANDINGS
from taxonomy.deduction import Fact
from taxonomy.export.changes import Difference, difference

PAGE, DATA = "changes.md", "changes.json"
TITLE = "Changes since the last release"
_DESCRIPTION = "What the records know now and did not know at the last release: records, claims, runs and what follows from them."
_ABSENT = "–"
"""Standing of what was no claim then, or is none now."""
_FIRST = ("fails", "holds under condition", "holds", "empirical")
_WORDS = {"not run": "check not run", "open": "no check yet"}
Values = dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """What changed since a release."""

    version: str
    state: str
    found: Difference
    moved: tuple[Values, ...]
    """Claims that stand otherwise than they did: `claim`, `old`, `new`."""
    again: tuple[str, ...]
    """Claims whose run was made again, by other code or with other parameters, with the same outcome."""

    def __bool__(self) -> bool:
        return bool(self.found) or bool(self.moved) or bool(self.again)

    def as_json(self) -> Values:
        """Plain values, as `atlas diff --json` has them, and what this page adds."""
        added = {"standing-changed": list(self.moved), "runs-repeated": list(self.again)}
        return {"since": self.version, "state": self.state} | added | self.found.as_json()


def changes(site: Site, file: Path | None = None) -> Changes | None:
    """What changed since the release of a snapshot, by default the last one; None if there was no release."""
    file = file or snapshot.latest()
    return _changes(site.atlas, file) if file is not None else None


@functools.lru_cache(maxsize=2)
def _changes(atlas: Any, file: Path) -> Changes:
    old, new = snapshot.read(file), snapshot.snapshot(atlas, "0")
    found = difference(snapshot.expanded(old), snapshot.expanded(new))
    names = {entry["old-id"]: entry["id"] for entry in found.records_renamed}
    stood, ran = ({_renamed(id_, names): value for id_, value in old[part].items()} for part in ("claims", "evidence"))
    now, runs = new["claims"], new["evidence"]
    moved = tuple(
        {"claim": id_, "old": stood.get(id_), "new": now.get(id_)} for id_ in sorted({*stood, *now}) if stood.get(id_) != now.get(id_)
    )  # fmt: skip
    told = {entry["claim"] for entry in found.evidence_changed}
    again = tuple(sorted(id_ for id_ in runs if id_ in ran and id_ not in told and ran[id_].get("digest") != runs[id_].get("digest")))
    return Changes(str(old["version"]), str(old["state"]), found, moved, again)


def _renamed(claim: str, names: Values) -> str:
    return "/".join(names.get(part, part) for part in claim.split("/"))


def files(site: Site) -> Iterator[tuple[str, str]]:
    """What the page shows, as data."""
    found = changes(site)
    yield DATA, json.dumps(found.as_json() if found else {"since": None}, indent=1, ensure_ascii=False) + "\n"


# -- the page ------------------------------------------------------------------------------------------------------------------------------


def page(site: Site) -> str:
    """The page of what changed since the last release."""
    return written(site, changes(site))


def written(site: Site, found: Changes | None) -> str:
    """The page of given changes."""
    front = index_front(TITLE, _DESCRIPTION, hide=("navigation",))
    if found is None:
        return paragraphs(front, "There was no release yet, so there is nothing to compare the records with.") + "\n"
    since = f"release {escape(found.version)}" + (f" ({escape(found.state)})" if found.state else "")
    if not found:
        return paragraphs(front, f"Nothing has changed in what is known since {since}.", _DATA_LINE) + "\n"
    sections = [(_SECTIONS[name], name, body) for name, body in _bodies(site, found) if body]
    return paragraphs(
        front,
        f"What the records know now and did not know at {since}. Compared is knowledge, not lines: which records there are, what they claim and on "
        f"what sources, what runs found, and what follows.",
        table(("Changed", "How much"), _counts(found)),
        _DATA_LINE,
        *(section(title, body, anchor=anchor) for title, anchor, body in sections),
    ) + "\n"  # fmt: skip


_DATA_LINE = "The same [as JSON](@/changes.json). `atlas diff` compares any two states of the records."
_SECTIONS = {
    "standing": "How claims stand", "records": "Records", "claims": "What is claimed", "runs": "Runs", "consequences": "What follows",
    "edited": "Records edited",
}  # fmt: skip


def _bodies(site: Site, found: Changes) -> Iterator[tuple[str, str]]:
    yield "standing", _standing(site, found)
    yield "records", _records(site, found.found)
    yield "claims", _claims(site, found.found)
    yield "runs", _runs(site, found)
    yield "consequences", _consequences(site, found.found)
    yield "edited", _edited(site, found.found)


def _counts(found: Changes) -> list[tuple[str, str]]:
    """One line for each section that says something."""
    d = found.found
    parts = {
        "standing": [(len(found.moved), "with another standing")],
        "records": [(len(d.records_added), "new"), (len(d.records_removed), "removed"), (len(d.records_renamed), "renamed")],
        "claims": [(len(d.claims_added), "new"), (len(d.claims_removed), "withdrawn"), (len(d.claims_changed), "put otherwise")],
        "runs": [
            (len(d.evidence_added), "of claims that had none"), (len(d.evidence_changed), "with another outcome"),
            (len(d.evidence_removed), "withdrawn"), (len(found.again), "repeated with the same outcome"),
        ],
        "consequences": [(len(d.derived_gained), "new"), (len(d.derived_lost), "lost"), (len(d.derived_changed), "with another proof")],
        "edited": [(len(d.records_changed), "with other fields")],
    }  # fmt: skip
    rows = []
    for name, counted in parts.items():
        told = [f"{count:,} {what}" for count, what in counted if count]
        if told:
            rows.append((link(_SECTIONS[name], f"#{name}"), ", ".join(told)))
    return rows


def _standing(site: Site, found: Changes) -> str:
    """Claims that stand otherwise, those with the same two standings together, what fails first."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in found.moved:
        groups[entry["new"] or _ABSENT, entry["old"] or _ABSENT].append(entry["claim"])
    parts = []
    for new, old in sorted(groups, key=lambda pair: (_rank(pair[0]), _rank(pair[1]))):
        claims = groups[new, old]
        count = plural(len(claims), "claim")
        listed = bullets(_claim(site, claim) + _finding(site, claim) for claim in claims)
        parts.append(paragraphs(f"{_mark(old)} → {_mark(new)} {count}", fold(f"Show {count}", listed, opened=len(claims) < 6)))
    lead = (
        "A claim stands as the run of its check found it; without a run it is open, definitional or cited. What was or is no claim by itself is "
        f"marked {_ABSENT}: verdicts on whole families are counted for each method once they have been run."
    )
    return paragraphs(lead, *(box("moved", part) for part in parts)) if parts else ""


def _rank(standing: str) -> tuple[int, int, str]:
    order = (*_FIRST, *(name for name in STANDINGS if name not in _FIRST))
    return (0, order.index(standing), "") if standing in order else (1, 0, standing)


def _mark(standing: str) -> str:
    if standing == _ABSENT:
        return f'<span class="small" title="No claim by itself">{_ABSENT}</span>'
    words = _WORDS.get(standing, standing)
    return run_badge(words) if words in RUN else badge(standing, "run no-check-yet")


def _finding(site: Site, claim: str) -> str:
    run = site.atlas.evidence.get(claim)
    said = (run.finding or run.condition) if run else None
    return f" – {one_line(said)}" if said else ""


def _records(site: Site, found: Difference) -> str:
    return paragraphs(
        _part("New", (f"{_record(site, entry)} ({_kind(entry['kind'])})" for entry in found.records_added)),
        _part("Removed", (f"{escape(entry['name'])} ({_kind(entry['kind'])}, {code(entry['id'])})" for entry in found.records_removed)),
        _part(
            "Renamed",
            (f"{escape(entry['old-name'])} ({code(entry['old-id'])}) is now {_record(site, entry)} ({code(entry['id'])})"
             for entry in found.records_renamed),
        ),
    )  # fmt: skip


def _claims(site: Site, found: Difference) -> str:
    return paragraphs(
        _part("New", (f"{_claim(site, entry['claim'])}{_says(site, entry)}" for entry in found.claims_added)),
        _part("Withdrawn", (f"{_claim(site, entry['claim'])}{_says(site, entry)}" for entry in found.claims_removed)),
        _part("Put otherwise", (f"{_claim(site, e['claim'])}{_says(site, e)}: {_altered(e['changes'])}" for e in found.claims_changed)),
    )  # fmt: skip


def _runs(site: Site, found: Changes) -> str:
    first = len(found.found.evidence_added)
    again = ", ".join(_claim(site, claim) for claim in found.again)
    lead = f"{plural(first, 'claim')} had no run and {'has' if first == 1 else 'have'} one now; they stand in the list above." if first else ""
    repeated = fold(f"{plural(len(found.again), 'run')} repeated, by other code or with other parameters: same outcome", again) if again else ""
    return paragraphs(
        lead,
        _part("With another outcome", (f"{_claim(site, e['claim'])}: {_outcomes(e['old'], e['new'])}" for e in found.found.evidence_changed)),
        _part("Withdrawn", (f"{_claim(site, e['claim'])}, which was: {escape(str(e['status']))}" for e in found.found.evidence_removed)),
        repeated,
    )


def _outcomes(old: Values, new: Values) -> str:
    return _altered({name: {"old": old[name], "new": new[name]} for name in new if old[name] != new[name]})


def _consequences(site: Site, found: Difference) -> str:
    """What follows now and did not, and the other way round; a lost consequence is often stated or run by now."""
    return paragraphs(
        _part("New", (f"{_claim(site, e['fact'])}, by the rule {escape(e['rule'])}{_conditions(e)}" for e in found.derived_gained)),
        _part("No longer derived", (f"{_claim(site, e['fact'])}, by the rule {escape(e['rule'])}{_conditions(e)}" for e in found.derived_lost)),
        _part("With another proof", (f"{_claim(site, e['fact'])}: {_proofs(e['old'], e['new'])}" for e in found.derived_changed)),
    )


def _conditions(entry: Values) -> str:
    return f", if {'; '.join(one_line(text) for text in entry['conditions'])}" if entry["conditions"] else ""


def _proofs(old: Values, new: Values) -> str:
    told = [] if old["rule"] == new["rule"] else [f"by the rule {escape(new['rule'])}, formerly {escape(old['rule'])}"]
    gone = [text for text in old["conditions"] if text not in new["conditions"]]
    come = [text for text in new["conditions"] if text not in old["conditions"]]
    told += [f"now only if: {one_line(text)}" for text in come] + [f"no longer only if: {escape(plain(text))}" for text in gone]
    return "; ".join(told)


def _edited(site: Site, found: Difference) -> str:
    """Records whose fields changed, those with the same changes together."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in found.records_changed:
        groups[entry["kind"], _altered(entry["fields"])].append(_record(site, entry))
    return bullets(
        f"{KIND_NAMES[kind][1] if kind in KIND_NAMES else escape(kind)}, {altered}: {', '.join(names)}"
        for (kind, altered), names in sorted(groups.items(), key=lambda item: (list(KIND_NAMES).index(item[0][0]), item[0][1]))
    )


# -- pieces --------------------------------------------------------------------------------------------------------------------------------


def _part(title: str, lines: Iterable[str]) -> str:
    listed = list(lines)
    if not listed:
        return ""
    body = bullets(listed)
    return paragraphs(f"**{title}**", body if len(listed) <= 25 else fold(f"Show {len(listed):,}", body))


def _kind(kind: str) -> str:
    return KIND_NAMES[kind][0] if kind in KIND_NAMES else escape(kind)


def _record(site: Site, entry: Values) -> str:
    record = site.records.get(entry["id"])
    return to(record) if record is not None else escape(entry["name"])


def _claim(site: Site, claim: str) -> str:
    """A claim as a sentence; a link, if it is still there."""
    subject, *rest = claim.split("/")
    record = site.records.get(subject)
    if len(rest) == 2:
        relation, object_ = rest
        words = f"{_name(site, subject)} {relation.replace('-', ' ')} {_name(site, object_)}"
        statement = site.statements.get(Fact(subject, relation, object_))
        return link(words, statement_address(site, statement)) if statement is not None else escape(words)
    if record is None:
        return escape(claim)
    verdict = rest != ["statement"]
    words = f"{record.name}, {rest[0].replace('-', ' ')}" if verdict else record.name
    if verdict and claim not in {found.id for found in site.standings}:
        return to(record, text=words)
    return link(words, address(record, rest[0] if verdict else "evidence" if claim in site.atlas.evidence else ""))


def _name(site: Site, id_: str) -> str:
    return short(site.records[id_]) if id_ in site.records else id_


def _says(site: Site, entry: Values) -> str:
    """Who says it, and where."""
    by = entry["by"]
    sources = "; ".join(_source(site, source) for source in entry.get("sources", ()))
    holder = "" if entry["claim"].startswith(f"{by}/") else f", as {_record(site, {'id': by, 'name': by})} has it"
    return holder + (f" ({sources})" if sources else "")


def _source(site: Site, text: str) -> str:
    """A source as the difference gives it, `work, place`, with the name of the work."""
    work, _, place = text.partition(", ")
    known = site.records.get(work)
    return escape(f"{short(known)}, {place}" if known and place else text)


def _altered(fields: Values) -> str:
    """What changed of something: the two values of what is short, the name alone of what is long."""
    told = []
    for name, change in fields.items():
        words = escape(name.replace("_", " ").replace("-", " "))
        told.append(f"{words}: {_value(change['old'])} → {_value(change['new'])}" if change else words)
    return "; ".join(told)


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return escape("; ".join(map(str, value)))
    return f"“{escape(plain(str(value)))}”"
