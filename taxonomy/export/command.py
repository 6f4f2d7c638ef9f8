"""The commands `atlas export` and `atlas diff`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxonomy import output
from taxonomy.export.files import Files, archive, write_file, write_folder
from taxonomy.export.formats import FORMATS, Format, format_named
from taxonomy.export.whole import Content
from taxonomy.problems import UsageError
from taxonomy.store import load

if TYPE_CHECKING:
    from taxonomy.export.changes import Difference
    from taxonomy.export.whole import Values


def run_export(kb: Path | None, name: str | None, target: Path | None, *, everything: Path | None, force: bool, as_json: bool) -> int:
    """Write one format or all of them, or list them; returns the exit code.

    Raises
    ------
    UsageError
        If the format is unknown or the options contradict each other.
    OSError
        If something cannot be written; the message says what and why.
    """
    if everything is not None and (name is not None or target is not None):
        raise UsageError("--all takes neither a format nor --output: `atlas export --all DIR`")
    if name is None and everything is None:
        if target is not None:
            raise UsageError("which format? `atlas export json --output atlas.json`; `atlas export` lists the formats")
        return _list(as_json=as_json)
    chosen = None
    if name is not None:
        try:
            chosen = format_named(name)
        except KeyError as error:
            raise UsageError(error.args[0]) from error
        if target is None:
            _check_pipe(chosen)
    content = Content(load(kb))
    if chosen is None:
        assert everything is not None
        return _written(everything, lambda: write_folder(everything, all_files(content), force=force), as_json=as_json)
    files = chosen.write(content)
    if target is None:
        return _print(files)
    return _written(target, lambda: _put(chosen, files, target, force=force), as_json=as_json)


def all_files(content: Content) -> Files:
    """The files of all formats: single ones by their names, those of a folder below the format's name."""
    files: Files = {}
    for format_ in FORMATS.values():
        made = format_.write(content)
        files |= {f"{format_.name}/{name}": text for name, text in made.items()} if format_.several else made
    return files


def _check_pipe(chosen: Format) -> None:
    if chosen.several:
        raise UsageError(f"`{chosen.name}` is several files: add `--output FOLDER`, or `--output FILE.zip`")
    if chosen.binary and sys.stdout.isatty():
        raise UsageError(f"`{chosen.name}` is not text: add `--output FILE`")


def _print(files: Files) -> int:
    (text,) = files.values()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(text.decode())
    else:
        sys.stdout.flush()
        stream.write(text)
        stream.flush()
    return 0


def _put(chosen: Format, files: Files, target: Path, *, force: bool) -> None:
    if not chosen.several:
        (text,) = files.values()
        write_file(target, text, force=force)
    elif target.suffix == ".zip":
        write_file(target, archive(files), force=force)
    else:
        write_folder(target, files, force=force)


def _written(target: Path, write: Callable[[], None], *, as_json: bool) -> int:
    try:
        write()
    except FileExistsError as error:
        if error.errno is None:  # our own: it says it all
            raise
        raise OSError(f"cannot write {target}: {error.strerror}") from error
    except OSError as error:
        raise OSError(f"cannot write {target}: {error.strerror or error}") from error
    if as_json:
        print(json.dumps({"written": str(target)}, ensure_ascii=False))
    else:
        print(f"wrote {target}", file=sys.stderr)
    return 0


def _list(*, as_json: bool) -> int:
    if as_json:
        rows = [{"name": item.name, "standard": item.standard, "holds": item.holds, "several": item.several} for item in FORMATS.values()]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        output.table(("format", "standard", "holds"), [(item.name, item.standard, item.holds) for item in FORMATS.values()])
    return 0


def run_diff(old: Path, new: Path, *, as_json: bool) -> int:
    """Print what changed in knowledge between two record folders or exports; returns the exit code.

    Raises
    ------
    OSError
        If one of them cannot be read, or is neither of the two.
    """
    from taxonomy.export.changes import difference, snapshot

    try:
        found = difference(snapshot(old), snapshot(new))
    except ValueError as error:
        raise OSError(str(error)) from error
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        output.plain("\n".join(lines(found)) or "Nothing changed in what is known.")
    return 0


def lines(found: Difference) -> list[str]:
    """The text of `atlas diff`: a heading with a number for each list that holds something, an entry to a line."""
    printed: list[str] = []
    for name, listed in found.as_json().items():
        titles: dict[str, list[Values]] = {}
        for entry in listed:
            part, _, what = name.partition("-")
            title = f"{_plural(entry['kind'])} {what}" if part == "records" else f"{part} {what}"
            titles.setdefault(title, []).append(entry)
        for title, entries in titles.items():
            printed += ([""] if printed else []) + [f"{title[0].upper()}{title[1:]} ({len(entries)})"]
            printed += [f"  {_line(name, entry)}" for entry in entries]
    return printed


def _plural(kind: str) -> str:
    words = kind.replace("-", " ")
    ends = {"y": (words[:-1], "ies"), "is": (words[:-2], "es")}
    stem, end = next((value for ending, value in ends.items() if words.endswith(ending)), (words, "s"))
    return {"axiom": "axioms"}.get(kind, stem + end)


def _line(name: str, entry: Values) -> str:
    if name.startswith("records"):
        return _record_line(name, entry)
    if name == "claims-changed":
        return f"{entry['claim']}, as {entry['by']} has it: {_changes(entry['changes'])}"
    if name.startswith("claims"):
        return f"{entry['claim']}, {entry['status'] or 'asserted'} by {entry['by']}" + (
            f" ({'; '.join(entry['sources'])})" if entry["sources"] else ""
        )
    if name.endswith("changed"):
        subject = entry.get("claim") or entry["fact"]
        changes = {key: {"old": entry["old"][key], "new": entry["new"][key]} for key in entry["new"] if entry["old"][key] != entry["new"][key]}
        return f"{subject}: {_changes(changes)}"
    condition = entry.get("condition") or " And: ".join(entry.get("conditions", ()))
    return f"{entry.get('claim') or entry['fact']}: {entry.get('status') or entry['rule']}" + (f", if {condition}" if condition else "")


def _record_line(name: str, entry: Values) -> str:
    if name == "records-renamed":
        return f"{entry['old-id']} ({entry['old-name']}) is now {entry['id']} ({entry['name']})"
    text = f"{entry['id']} ({entry['name']})"
    return f"{text}: {_changes(entry['fields'])}" if "fields" in entry else text


def _changes(changes: Values) -> str:
    return "; ".join(f"{name}: {_shown(change['old'])} -> {_shown(change['new'])}" if change else name for name, change in changes.items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + "; ".join(map(str, value)) + "]"
    return "none" if value is None else f'"{value}"' if isinstance(value, str) and " " in value else str(value)
