"""What the head of a page says to machines: schema.org as JSON-LD, tags for reference managers, words for the search, how to cite the page.

It goes into the front matter, from where `site/theme/main.html` puts it into the page. Version and date are those of CITATION.cff: the clock has no
part in it, so equal records give equal pages.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atlas_pages import api
from atlas_pages.context import Site, page_of
from atlas_pages.keywords import PAGE_BOOST, keywords, page_keywords, weighed
from atlas_pages.markup import first_paragraph, plain
from taxonomy.bibliography import Entry
from taxonomy.export.vocabulary import IDS, named
from taxonomy.records import KINDS, Document, Record

CITATION = Path(__file__).resolve().parents[2] / "CITATION.cff"
CONTEXT = "https://schema.org"
DATASET = IDS + "atlas"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
MOST_REFERENCES = 40
KEYWORDS = ("feature attribution", "explainable AI", "interpretability", "Shapley value", "integrated gradients", "knowledge graph")
WORKS = {"blog": "BlogPosting", "software": "SoftwareSourceCode", "summary page": "Article"}
"""Types of encoded works that are no scholarly articles."""
TYPES = {
    **dict.fromkeys(("theorem", "evaluation", "insight", "discrepancy"), "Claim"),
    **dict.fromkeys(("example", "study"), "CreativeWork"),
    "library": "SoftwareApplication",
}
"""Types of records that are no defined terms."""
PAGES = {
    "index.md": "Dataset",
    "glossary.md": "DefinedTermSet",
    "reference/": "APIReference",
    "reading.md": "Article",
    "data.md": "DataCatalog",
    "python.md": "TechArticle",
    "tutorials/": "TechArticle",
}


@dataclass(frozen=True)
class Release:
    """The version of the Atlas that the pages show."""

    title: str
    author: str
    version: str
    date: str
    abstract: str


@functools.cache
def release() -> Release:
    """Title, author, version and date of CITATION.cff."""
    found = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    author = " and ".join(person["name"] for person in found["authors"])
    return Release(found["title"], author, str(found["version"]), str(found["date-released"]), " ".join(found["abstract"].split()))


def front_of(text: str) -> dict[str, Any]:
    """The front matter of a page; empty if it has none."""
    if not text.startswith("---\n"):
        return {}
    return dict(_parsed(text[4 : text.index("\n---", 4)]))


@functools.lru_cache(maxsize=4096)
def _parsed(front: str) -> dict[str, Any]:
    # A page's front matter is asked for more than once, and is the same again at the next build of a running server.
    return yaml.load(front, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


# The tags that a page brings along, within its front matter.
_TAGS = re.compile(r"\A(---\n(?:(?!---\n).*\n)*?)tags:\n(?:  - .*\n)+")

_BOOST = re.compile(r"\A(---\n(?:(?!---\n).*\n)*?search:\n  boost: )([\d.]+)")


def stamped(site: Site, path: str, text: str) -> str:
    """A page with what its head says added to its front matter; a page without one stays as it is."""
    front = front_of(text)
    if "title" not in front:
        return text
    record = record_at(site, path)
    title, description = str(front["title"]), str(front.get("description", ""))
    fields: dict[str, Any] = {
        "jsonld": embedded(linked(site, record, posixpath.basename(path)) if record else linked_page(path, title, description)),
        "citation": tags_of_work(site.atlas.bibliography[record.id])
        if record and record.id in site.atlas.bibliography
        else tags(site, title, record),
        "json": json_name(path),
    }
    if not record:
        fields["bibtex"] = bibtex(site, path.removesuffix(".md").removesuffix("/index") or "index", title)
    if record:
        fields["tags"] = keywords(site, record)
        text = _TAGS.sub(r"\1", text, count=1)
        text = _BOOST.sub(lambda found: f"{found[1]}{weighed(site, record, float(found[2]))}", text, count=1)
    elif not path.startswith("reference/") or path == "reference/index.md":
        fields["tags"] = page_keywords(path, title)
        fields["search"] = {"boost": PAGE_BOOST}
    lines = [f"{name}: {_for_yaml(value)}" for name, value in fields.items() if value]
    return "---\n" + "\n".join(lines) + "\n" + text[4:]


def _for_yaml(value: Any) -> str:
    # JSON is YAML but for three characters, which end a line there.
    return json.dumps(value, ensure_ascii=False).replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def record_at(site: Site, path: str) -> Record | None:
    """The record whose page this is."""
    record = site.records.get(posixpath.basename(path).removesuffix(".md"))
    return record if record is not None and page_of(record) == path else None


def json_name(path: str) -> str:
    """The JSON file beside a page; empty if it has none."""
    folder, name = posixpath.split(path)
    beside = path in {"index.md", "glossary.md", "changes.md", "reference/index.md"} or (
        folder in _FOLDERS and path not in {"sources/coverage.md", "tables/index.md"}
    )
    return name.removesuffix(".md") + ".json" if beside else ""


_FOLDERS = frozenset({"tables", *(kind.folder for kind in KINDS.values())})


# -- schema.org ----------------------------------------------------------------------------------------------------------------------------


def embedded(value: Any) -> str:
    r"""JSON that can stand inside a script element, whatever text it holds: `<`, `>` and `&` are written as escapes.

    >>> embedded({"name": "</script>"})
    '{"name": "\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def dataset() -> dict[str, Any]:
    """The Atlas as a whole."""
    found = release()
    return {
        "@type": "Dataset", "@id": DATASET, "name": found.title, "description": found.abstract, "version": found.version,
        "datePublished": found.date, "license": LICENCE, "creator": {"@type": "Organization", "name": found.author}, "keywords": list(KEYWORDS),
        "isAccessibleForFree": True, "inLanguage": "en",
        "distribution": [{"@type": "DataDownload", "encodingFormat": "application/json", "contentUrl": "index.json"}],
    }  # fmt: skip


def linked(site: Site, record: Record, page: str) -> dict[str, Any]:
    """A record, and the function that computes it; addresses are relative to the page."""
    node: dict[str, Any] = {"@id": named(record.id).text, "name": record.title, "description": plain(first_paragraph(record.summary))}
    if record.aliases:
        node["alternateName"] = list(record.aliases)
    node["url"] = page.removesuffix(".md") + ".html"
    about: dict[str, Any] = {"@type": "WebPage", "isPartOf": {"@type": "Dataset", "@id": DATASET, "name": release().title}}
    node["subjectOf"] = about
    if isinstance(record, Document):
        return {"@context": CONTEXT, "@type": WORKS.get(record.form, "ScholarlyArticle"), **node, **_of_work(site, record)}
    kind = TYPES.get(record.kind, "DefinedTerm")
    if kind == "DefinedTerm":
        node |= {"termCode": record.id, "inDefinedTermSet": DATASET}
    if works := [_work(site, key) for key in site.keys_of(record)[:MOST_REFERENCES]]:
        # A defined term is no creative work and cites nothing; the page about it does.
        (about if kind == "DefinedTerm" else node)["citation"] = works
    code = _code(site, record)
    return {"@context": CONTEXT, "@graph": [{"@type": kind, **node}, code]} if code else {"@context": CONTEXT, "@type": kind, **node}


def _of_work(site: Site, record: Document) -> dict[str, Any]:
    entry = site.atlas.bibliography.get(record.id)
    if entry is None:
        return {}
    found: dict[str, Any] = {"headline": entry.title, "author": [{"@type": "Person", "name": name} for name in entry.authors]}
    if entry.year:
        found["datePublished"] = entry.year
    if entry.venue:
        found["isPartOf"] = {"@type": "CreativeWork", "name": entry.venue}
    if entry.url:
        found["sameAs"] = entry.url
    return {name: value for name, value in found.items() if value}


def _work(site: Site, key: str) -> dict[str, Any]:
    entry = site.atlas.bibliography.get(key)
    node = {"@type": "ScholarlyArticle", "@id": named("work", key).text}
    if entry is not None:
        node |= {"name": entry.title} | ({"sameAs": entry.url} if entry.url else {})
    return node


def _code(site: Site, record: Record) -> dict[str, Any]:
    link = getattr(record, "implementation", None)
    if not link:
        return {}
    module, _, function = link.partition(":")
    node = {
        "@type": "SoftwareSourceCode", "@id": named(record.id).text + "#implementation", "name": f"{module}.{function}",
        "programmingLanguage": "Python", "runtimePlatform": "PyTorch", "about": {"@id": named(record.id).text},
        "license": "https://www.apache.org/licenses/LICENSE-2.0",
    }  # fmt: skip
    entry = api.entry_of(link)
    if site.repository:
        node["codeRepository"] = site.repository
        if entry is not None:
            node["url"] = f"{site.repository}/blob/main/{entry.item.file}"
    return node


def linked_page(path: str, title: str, description: str) -> dict[str, Any]:
    """A page that is about no single record; the home page is about the whole."""
    if path == "index.md":
        return {"@context": CONTEXT, **dataset(), "url": "index.html"}
    kind = next((kind for start, kind in PAGES.items() if path.startswith(start)), "CollectionPage")
    node = {"@context": CONTEXT, "@type": kind, "name": title, "url": posixpath.basename(path).removesuffix(".md") + ".html"}
    return node | ({"description": description} if description else {}) | {"isPartOf": {"@type": "Dataset", "@id": DATASET, "name": release().title}}


# -- reference managers --------------------------------------------------------------------------------------------------------------------


def tags(site: Site, title: str, record: Record | None = None) -> list[list[str]]:
    """Tags of a page of the Atlas, with the works a record draws on as its references."""
    found = [["citation_title", f"{title} ({release().title})" if title != release().title else title], ["citation_author", release().author]]
    found.append(["citation_publication_date", release().date.replace("-", "/")])
    for key in site.keys_of(record)[:MOST_REFERENCES] if record else ():
        if entry := site.atlas.bibliography.get(key):
            found.append(["citation_reference", "; ".join(f"{name}={_no_semicolon(value)}" for name, value in tags_of_work(entry))])
    return found


def _no_semicolon(text: str) -> str:
    return text.replace(";", ",")


def tags_of_work(entry: Entry) -> list[list[str]]:
    """Tags of a work, by which a reference manager takes the work itself from the page of a source."""
    found = [["citation_title", entry.title], *(["citation_author", author] for author in entry.authors)]
    if entry.year:
        found.append(["citation_publication_date", entry.year])
    fields = entry.fields
    if "journal" in fields:
        found.append(["citation_journal_title", entry.venue])
    elif "booktitle" in fields:
        found.append(["citation_conference_title", entry.venue])
    for name, tag in (("volume", "citation_volume"), ("number", "citation_issue"), ("doi", "citation_doi"), ("eprint", "citation_arxiv_id")):
        if name in fields:
            found.append([tag, fields[name]])
    if "pages" in fields:
        first, _, last = fields["pages"].partition("--")
        found += [["citation_firstpage", first], *([["citation_lastpage", last]] if last else [])]
    return found


def bibtex(site: Site, path: str, title: str, address: str = "") -> str:
    """BibTeX of a page: what it is called, in which version of the Atlas, and from when.

    >>> bibtex(Site(None), "tables/table-2", "Table II").splitlines()[1].strip()
    'title        = {Table II},'
    """
    found = release()
    where = address or site.repository
    lines = [
        f"@misc{{attribution-atlas:{path.replace('/', '-')},",
        f"  title        = {{{escaped(title)}}},",
        f"  author       = {{{{{found.author}}}}},",
        f"  year         = {{{found.date[:4]}}},",
        f"  howpublished = {{{found.title}, version {found.version}, {path}}},",
        f"  note         = {{Released {found.date}}},",
        *([f"  url          = {{{where}}},"] if where else []),
        "}",
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    r"""Plain text for a BibTeX field.

    >>> escaped("50 % of {x}_1")
    '50 \\% of (x)\\_1'
    """
    text = text.replace("\\", "").replace("{", "(").replace("}", ")")
    for sign in "&%$#_":
        text = text.replace(sign, "\\" + sign)
    return text
