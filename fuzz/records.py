"""Structure-aware mutation: real records with fields deleted, doubled, renamed, retyped, swapped, cut short, or filled with payloads."""

from __future__ import annotations

import copy
import functools
import random
from typing import Any

import yaml

from fuzz.inert import Fault
from fuzz.targets import KINDS, ROOT, VALID, check_located, read_record
from taxonomy.records import Record

PAYLOADS = [
    "<script>window.__pwned=1</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<iframe src=javascript:alert(1)>",
    "</div><b>",
    "[x](javascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<a href=x>",
    "[x]: javascript:alert(1)",
    "*x*{ onclick=alert(1) }",
    "x\n{: onclick=alert(1) }",
    "# heading",
    "x\n===",
    "---",
    "```\nx",
    "~~~\nx\n~~~",
    "!!! danger\n    x",
    "{{ config }}",
    "{% include 'x' %}",
    "--8<-- '/etc/passwd'",
    "[TOC]",
    "x | y | z",
    "`",
    "$",
    "$x",
    "`$`$`",
    "\\",
    "a\\|b",
    "$\\def\\x{\\x}\\x$",
    "\\href{javascript:alert(1)}{x}",
    "{" * 60,
    "\\sqrt" * 300,
    "$" + "{" * 40 + "}" * 40 + "$",
    "../../../etc/passwd",
    "/etc/passwd",
    "C:\\con",
    "gr\u0430dient",
    "a\u200bb",
    "\u202ex",
    "\x00",
    "\x1b[31m",
    "\ufeff",
    "😀",
    "e\u0301",
    "null",
    "~",
    "no",
    "1e3",
    "0x1F",
    "2020-01-01",
    ".nan",
    "-.inf",
    "9" * 400,
    "",
    " ",
    "\n",
    "x" * 5000,
    "&amp;",
    "</script>",
    "]]>",
    "%",
    "#",
    "constructor",
    "__proto__",
    "index",
    "Eq. 1",
    "Sec. I",
    "Table I, row x",
    "&x",
    "*x",
    "!!python/object:os.system",
    "<<",
    "@/x.md",
    "javascript:alert(1)",
    "data:text/html,x",
    "min(n,",
    "2**n**n**n",
    "0**(0-1)",
    "Eqs. 1-99999",
    "`x` <b>",
    "``` {.python onclick=x}",
    "=cmd|'/c calc'!A1",
    "*" * 50,
    "[" * 40,
    "a\r\nb",
    "\u2028",
]


@functools.cache
def real() -> list[tuple[type[Record], dict[str, Any]]]:
    """Every real record as plain values, with its type."""
    found = []
    for kind in KINDS:
        for path in sorted((ROOT / "kb" / kind.folder).glob("*.yaml")):
            found.append((kind, yaml.load(path.read_text(encoding="utf-8"), yaml.CBaseLoader)))
    return found


@functools.cache
def small() -> list[tuple[type[Record], dict[str, Any]]]:
    """The records of the small valid folder, which load as a whole in no time."""
    return [
        (kind, yaml.load(path.read_text(encoding="utf-8"), yaml.CBaseLoader))
        for kind in KINDS
        for path in sorted((VALID / kind.folder).glob("*.yaml"))
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def mutate(values: dict[str, Any], chance: random.Random, times: int) -> dict[str, Any]:
    """A changed copy."""
    made = copy.deepcopy(values)
    for _ in range(times):
        paths = places(made)
        if not paths:
            break
        path = chance.choice(paths)
        chance.choice(_MUTATORS)(made, _at(made, path[:-1]), path[-1], chance)
    return made


def _delete(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    del holder[key]


def _double(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}s"] = copy.deepcopy(holder[key])


def _rename(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    if isinstance(holder, dict):
        known = [path[-1] for path in places(whole) if isinstance(path[-1], str)]
        holder[chance.choice([*known, *PAYLOADS])] = holder.pop(key)


def _retype(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    value = holder[key]
    holder[key] = chance.choice([[value], {"x": value}, str(value), [], {}, "", [[value]], "0", "true", None, 1.5, "1" * 30])


def _swap(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    other = chance.choice(places(whole))
    try:
        value = copy.deepcopy(_at(whole, other))
    except (KeyError, IndexError, TypeError):
        return
    holder[key] = value


def _inject(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    payload = chance.choice(PAYLOADS)
    value = holder[key]
    if isinstance(value, str) and chance.random() < 0.7:
        at = chance.randrange(len(value) + 1)
        payload = value[:at] + chance.choice(["", " ", "\n", "\n\n"]) + payload + chance.choice(["", " ", "\n"]) + value[at:]
    holder[key] = payload


def _cut(whole: Any, holder: Any, key: Any, chance: random.Random) -> None:
    if isinstance(holder[key], (str, list)) and holder[key]:
        holder[key] = holder[key][: chance.randrange(len(holder[key]))]


_MUTATORS = (_delete, _double, _rename, _retype, _swap, _inject, _inject, _inject, _inject, _cut)


def text_of(values: Any, chance: random.Random) -> str:
    """Values as YAML, in one of several layouts, at times with a piece of the text cut out, doubled or exchanged."""
    text = yaml.dump(
        values,
        Dumper=yaml.CSafeDumper,
        allow_unicode=chance.random() < 0.8,
        sort_keys=False,
        width=chance.choice([60, 10_000]),
        default_flow_style=chance.choice([False, None]),
    )
    if chance.random() < 0.1 and text:
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.randrange(40))
        text = text[:start] + chance.choice(["", text[start:end] * 2, chance.choice(PAYLOADS)]) + text[end:]
    return text


def check_real(seed: int) -> bool:
    """A changed real record is refused with located problems or read; returns whether it was read."""
    chance = random.Random(seed)
    kind, values = chance.choice(real())
    try:
        text = text_of(mutate(values, chance, chance.randint(1, 4)), chance)
    except (yaml.YAMLError, UnicodeEncodeError):
        return False
    found = read_record(text, kind)
    if found is not None:
        found.as_json()
    return found is not None


def check_small(seed: int) -> bool:
    """A changed record among the small valid ones is refused with located problems, or its page can be written and shown; returns which."""
    chance = random.Random(seed)
    kind, values = chance.choice(small())
    try:
        text = text_of(mutate(values, chance, chance.randint(1, 3)), chance)
    except (yaml.YAMLError, UnicodeEncodeError):
        return False
    found = read_record(text, kind)
    return found is not None and check_page(found, text)


def check_page(record: Record, text: str = "") -> bool:
    """Put a record among the small valid ones; if the folder is still valid, write, render and watch its page. Returns whether it was valid."""
    from taxonomy.atlas import Atlas
    from taxonomy.loading import read_folder
    from taxonomy.problems import Severity
    from taxonomy.reading import parse
    from taxonomy.validation import validate

    folder = read_folder(VALID)
    document, _ = parse(text or "id: x", f"valid/{record.folder}/{record.id}.yaml")
    folder.records[record.id], folder.documents[record.id] = record, document
    problems = validate(folder)
    check_located(problems, text + "\n" * 400)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return False
    atlas = Atlas(folder.records, {}, (VALID / "references.bib").read_text(encoding="utf-8"), {}, {}, {})
    _check_pages(atlas, record)
    return True


def _check_pages(atlas: Any, record: Record) -> None:
    from atlas_pages import metadata
    from atlas_pages.context import Site, page_of
    from atlas_pages.markup import relative
    from atlas_pages.record_page import record_json, record_page

    from fuzz.inert import FRAME, MATH, PROSE, rendered, watch_page

    site = Site(atlas)
    path = page_of(record)
    text = metadata.stamped(site, path, relative(record_page(site, record), path))
    record_json(record)
    front = metadata.front_of(text)
    if "</" in front["jsonld"] or not isinstance(front["title"], str):
        raise Fault("front matter")
    watch_page(rendered(text[text.index("\n---", 4) + 5 :]), PROSE | MATH | FRAME)


def check_exports(seed: int) -> bool:
    """Every export of the small folder with one record changed; returns whether the change was accepted."""
    from taxonomy.atlas import Atlas
    from taxonomy.export.formats import FORMATS
    from taxonomy.export.whole import Content
    from taxonomy.loading import read_folder
    from taxonomy.problems import Severity
    from taxonomy.validation import validate

    chance = random.Random(seed)
    kind, values = chance.choice(small())
    try:
        text = text_of(mutate(values, chance, 1), chance)
    except (yaml.YAMLError, UnicodeEncodeError):
        return False
    found = read_record(text, kind)
    if found is None:
        return False
    from taxonomy.reading import parse

    folder = read_folder(VALID)
    folder.records[found.id], folder.documents[found.id] = found, parse(text, "x.yaml")[0]
    if any(problem.severity is Severity.ERROR for problem in validate(folder)):
        return False
    content = Content(Atlas(folder.records, {}, (VALID / "references.bib").read_text(encoding="utf-8"), {}, {}, {}))
    for format_ in FORMATS.values():
        if format_.name not in {"markdown", "latex"}:  # they print tables of the survey, which the small folder has not
            format_.write(content)
    return True
