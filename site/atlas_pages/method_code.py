"""The code of a method: the reference function itself, what it calls, and a script that runs as it stands."""

from __future__ import annotations

from atlas_pages import api, source_code
from atlas_pages.context import Site
from atlas_pages.implementations import proofs
from atlas_pages.markup import box, bullets, code, escape, fold, link, one_line, paragraphs, plural, section
from atlas_pages.parts import named_fold
from atlas_pages.source_code import Call
from taxonomy.guide.usage import usage
from taxonomy.records import Method

SHORT = 16
"""A function with a body of no more lines than this is shown at once; a longer one is folded."""


def code_of(site: Site, record: Method) -> str:
    """Reference function, example and proofs; for a method without a function the reason."""
    if record.implementation is None:
        return f"There is no reference function. {one_line(record.unchecked)}" if record.unchecked else ""
    return paragraphs(
        section("Reference function", _function(site, record.implementation), level=3, anchor="implementation"),
        section("Example", _example(site, record), level=3, anchor="example"),
        _proofs(site, record),
    )


def _function(site: Site, target: str) -> str:
    module, _, name = target.partition(":")
    found, entry = source_code.body_of(module, name), api.entry_of(target)
    links = [link("Signature, parameters and examples", entry.address)] if entry else []
    if site.repository and found:
        links.append(f"[{code(found.file)}]({site.repository}/blob/main/{found.file}#L{found.line})")
    if found is None:
        return " · ".join(links)
    listing = f"```python\n{found.text}\n```"
    if found.lines > SHORT:
        listing = fold(f"{name}: {plural(found.lines, 'line')} without the docstring", listing)
    return paragraphs(listing, _calls(site, found.calls), " · ".join(links))


def _calls(site: Site, calls: tuple[Call, ...]) -> str:
    """The project's functions that it calls, each with a link to its entry or, if it has none, to its source."""
    said = []
    for call in calls:
        entry = api.by_place().get((call.file, call.name))
        if entry is not None:
            said.append(f"[{code(call.name)}]({entry.address})")
        elif site.repository:
            said.append(f"[{code(call.name)}]({site.repository}/blob/main/{call.file}#L{call.line})")
        else:
            said.append(code(call.name))
    return f"It calls {', '.join(said)}.\n{{ .small }}" if said else ""


def _example(site: Site, record: Method) -> str:
    use = usage(site.atlas, record.id)
    peers = bullets(f"{code(name.partition(' (')[0])}{_found(name)}" for name in use.peers)
    same = paragraphs('<p class="list-title">The same elsewhere</p>', peers, "[How they compare](#libraries)") if peers else ""
    return paragraphs(
        "A complete script on a small model; put your own in its place.", f"```python\n{use.code}\n```", box("data", same) if same else ""
    )


def _found(name: str) -> str:
    _, bracket, found = name.partition(" (")
    return f" – {escape(found.removesuffix(')'))}" if bracket else ""


def _proofs(site: Site, record: Method) -> str:
    lines = proofs(site, record)
    return named_fold(f"What proves it right: {plural(len(lines), 'test')}", box("data", bullets(lines)) if lines else "", anchor="oracles")
