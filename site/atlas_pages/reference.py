"""The API reference: a page per package, made from the docstrings, each function with the records that it implements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from atlas_pages import api, docstrings, source_code
from atlas_pages.api import FOLDER, GROUPS, PAGES, Entry, Page
from atlas_pages.claims import to
from atlas_pages.context import Site
from atlas_pages.markup import attribute, box, code, paragraphs, plural, section
from atlas_pages.parts import KIND_NAMES, index_front
from atlas_pages.source_code import Item
from taxonomy.records import Record


def _records(site: Site) -> dict[tuple[str, str], list[Record]]:
    """The records that each function implements."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in site.records.values():
        entry = api.entry_of(link_) if (link_ := getattr(record, "implementation", None)) else None
        if entry is not None:
            found[entry.item.place].append(record)
    return found


def pages(site: Site) -> Iterator[tuple[str, str]]:
    """The index and every page as (path, text)."""
    records = _records(site)
    yield f"{FOLDER}/index.md", index()
    for page in PAGES:
        yield page.path, _page(site, page, records)


def index() -> str:
    """The packages with the names in them."""
    parts = []
    for group in GROUPS:
        lines = []
        for page in (page for page in PAGES if page.group == group):
            names = [entry for entry in api.entries() if entry.page is page and not entry.elsewhere]
            listed = ", ".join(f"[{code(entry.item.name)}]({entry.address})" for entry in names)
            about = docstrings.inline(_first_sentence(source_code.module_doc(page.name)))
            lines.append(f"**[{code(page.name)}](@/{page.path})** – {about}" + (f"\n\n{listed}" if listed else ""))
        parts.append(section(group, box("api-index", paragraphs(*lines))))
    count = len(api.by_place())
    lead = (
        f"{plural(count, 'public name')} from the docstrings of the two packages: `taxonomy` loads the records and reasons about them, `executable` "
        "computes. Every function that implements a record leads to it, and every record leads to its function."
    )
    return paragraphs(index_front("API reference", "The functions and classes of the packages `taxonomy` and `executable`."), lead, *parts) + "\n"


def _page(site: Site, page: Page, records: dict[tuple[str, str], list[Record]]) -> str:
    found = [entry for entry in api.entries() if entry.page is page]
    front = index_front(page.name, _first_sentence(source_code.module_doc(page.name)), hide=["navigation"])
    crumbs = "[Atlas](@/index.md) / [API reference](@/reference/index.md)\n{ .crumbs }"
    lead = docstrings.rendered(source_code.module_doc(page.name), _linker(page, page.name))
    parts = []
    for title, entries_ in _parts(page, found):
        about = ""
        if len(page.modules) > 1:
            module = entries_[0].module
            about = docstrings.rendered(source_code.module_doc(module), _linker(page, module))
        parts.append(paragraphs(f"## {title}", about, *(_entry(site, entry, records) for entry in entries_ if not entry.elsewhere)))
    repeated = [entry for entry in found if entry.elsewhere]
    lines = [f"[{code(entry.item.name)}]({api.by_place()[entry.item.place].address})" for entry in repeated]
    also = section("Names also found here", f"Each is described in the package that defines it: {', '.join(lines)}." if lines else "")
    # The front matter has to come first; the way back stands above the heading.
    head, heading = front.rsplit("\n\n", 1)
    return paragraphs(head, crumbs, heading, lead, *parts, also) + "\n"


def _parts(page: Page, found: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """One part per module, or on the page of one module one per kind."""
    own = [entry for entry in found if not entry.elsewhere]
    if len(page.modules) > 1:
        parts = [(code(module), [entry for entry in own if entry.module == module]) for module in page.modules]
    else:
        kinds = {"Functions": ("function",), "Classes": ("class",), "Constants, types and modules": ("constant", "module")}
        parts = [(title, [entry for entry in own if entry.item.kind in kinds_]) for title, kinds_ in kinds.items()]
    yield from ((title, entries_) for title, entries_ in parts if entries_)


def _entry(site: Site, entry: Entry, records: dict[tuple[str, str], list[Record]]) -> str:
    item, linker = entry.item, _linker(entry.page, entry.module)
    own = records.get(item.place, [])
    facts = []
    if own:
        facts.append("Implements " + ", ".join(f"{to(record)} ({KIND_NAMES[record.kind][0]})" for record in own))
    if site.repository:
        facts.append(f"[{code(item.file)}]({site.repository}/blob/main/{item.file})")
    members = [_member(entry, member, linker) for member in item.methods]
    return paragraphs(
        f"### {code(item.name)} {{ #{entry.anchor} .api-name }}",
        f"```python\n{_imported(entry)}{item.signature}\n```",
        " · ".join(facts) + "\n{ .api-facts }" if facts else "",
        docstrings.rendered(item.doc, linker),
        _fields(item, linker),
        *members,
    )


def _imported(entry: Entry) -> str:
    return "" if entry.item.kind in {"constant", "module"} else f"from {entry.module} import {entry.item.name}\n\n"


def _fields(item: Item, linker: docstrings.Linker) -> str:
    if not item.fields:
        return ""
    rows = []
    for field in item.fields:
        value = f" = <code>{attribute(field.value)}</code>" if field.value else ""
        kind = f' <span class="type"><code>{attribute(field.annotation)}</code>{value}</span>' if field.annotation else ""
        rows.append(f"<dt><code>{attribute(field.name)}</code>{kind}</dt><dd>{docstrings.inline(field.doc, linker)}</dd>")
    return f'<p class="doc-title">Fields</p>\n\n<dl class="doc-list" data-search-exclude>{"".join(rows)}</dl>'


def _member(entry: Entry, member: Item, linker: docstrings.Linker) -> str:
    text = paragraphs(f"```python\n{member.signature}\n```", docstrings.rendered(member.doc, linker))
    return box(f"api-member {member.kind}", text, anchor=f"{entry.anchor}.{member.name}")


def _first_sentence(doc: str) -> str:
    text = " ".join(doc.partition("\n\n")[0].split())
    first, stop, _ = text.partition(". ")
    return first + stop.strip()


def _linker(page: Page, module: str) -> docstrings.Linker:
    """Links a code span that names a public function: by its full path, or by its name where that is public in the same module or its package."""

    def linked(text: str) -> str:
        name = text.removesuffix("()")
        found = api.by_path().get(name) or next(
            (hit for prefix in dict.fromkeys((module, page.name, "executable")) if (hit := api.by_path().get(f"{prefix}.{name}"))), None
        )
        shown = docstrings.plain_code(text)
        return f'<a href="{found.address.replace(".md#", ".html#", 1)}">{shown}</a>' if found else shown

    return linked
