"""What the head of each page says to machines, and the files for programs."""

from __future__ import annotations

import importlib
import json
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from atlas_pages import metadata

from taxonomy.records import KINDS

# By name: a folder `build` at the top of the checkout would make its place among the imports depend on whether there is one.
site_build = importlib.import_module("build")
HOSTILE = '</script>\x85<script>alert(1)</script><img src=x onerror="alert(2)"> & \' \u2028 {{ 7 * 7 }} --> \\'


class Head(HTMLParser):
    """The JSON-LD, the citation tags, the links and the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: list[str] = []
        self.tags: list[tuple[str, str]] = []
        self.described: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag == "script" and found.get("type") == "application/ld+json":
            self._inside = True
            self.data.append("")
        if tag == "meta" and (found.get("name") or "").startswith("citation_"):
            self.tags.append((found["name"] or "", found["content"] or ""))
        if tag == "link" and found.get("rel") == "describedby":
            self.described.append(found["href"] or "")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False


@pytest.fixture(scope="module")
def heads(built) -> dict[str, Head]:  # type: ignore[no-untyped-def]
    return {
        path.relative_to(built.public).as_posix(): Head(path.read_text(encoding="utf-8"))
        for path in built.public.rglob("*.html")
        if path.name != "404.html"
    }


def nodes(head: Head) -> list[dict[str, Any]]:
    (text,) = head.data
    found = json.loads(text)
    assert found["@context"] == "https://schema.org"
    return found.get("@graph", [found])


def test_every_page_has_linked_data(heads: dict[str, Head]) -> None:
    assert len(heads) > 600
    for path, head in heads.items():
        for node in nodes(head):
            assert re.fullmatch(r"[A-Z][A-Za-z]+", node["@type"]), path
            assert node["name"], path
            assert "url" not in node or ":" in node["url"] or node["url"] == posixpath.basename(path), path


def test_linked_data_fit_the_kind(heads: dict[str, Head], atlas_site: Any) -> None:
    def types(path: str) -> list[str]:
        return [node["@type"] for node in nodes(heads[path])]

    assert types("index.html") == ["Dataset"]
    assert types("sources/deng2025attribution.html") == ["ScholarlyArticle"]
    assert types("sources/blog2026attribution.html") == ["BlogPosting"]
    assert types("methods/integrated-gradients.html") == ["DefinedTerm", "SoftwareSourceCode"]
    assert types("insights/baseline-problem.html") == ["Claim"]
    assert types("reference/executable.metrics.html") == ["APIReference"]
    assert types("tables/table-2.html") == ["CollectionPage"]
    for record in atlas_site.records.values():
        found = nodes(heads[f"{record.folder}/{record.id}.html"])
        assert found[0]["name"] == record.title
        assert ("SoftwareSourceCode" in [node["@type"] for node in found[1:]]) == bool(getattr(record, "implementation", None))


def test_the_whole_names_version_licence_and_files(heads: dict[str, Head], built: Any) -> None:
    (whole,) = nodes(heads["index.html"])
    assert whole["version"] == metadata.release().version
    assert whole["datePublished"] == metadata.release().date
    assert whole["license"].startswith("https://creativecommons.org/")
    for item in whole["distribution"]:
        assert (built.public / item["contentUrl"]).is_file()


def test_hostile_text_stays_text(tmp_path: Path, atlas_site: Any) -> None:
    text = f"---\ntitle: {json.dumps(HOSTILE)}\ndescription: {json.dumps(HOSTILE)}\n---\n\nText.\n"
    heads = []
    for name, page in (("plain", text), ("stamped", metadata.stamped(atlas_site, "hostile.md", text))):
        docs, public = tmp_path / name / "docs", tmp_path / name / "public"
        docs.mkdir(parents=True)
        (docs / "index.md").write_text(page, encoding="utf-8")
        site_build.render(docs, public, strict=False)
        heads.append(Head((public / "index.html").read_text(encoding="utf-8")))
    plain, hostile = heads
    (node,) = nodes(hostile)
    assert node["name"] == node["description"] == HOSTILE
    assert ("citation_title", f"{HOSTILE} (Attribution Atlas)") in hostile.tags
    # The theme itself trusts a title; what is added to a page may not open one element more than the data's own.
    scripts, pictures = ([sum(tag == name for tag, _ in head.elements) for head in (plain, hostile)] for name in ("script", "img"))
    assert scripts[1] == scripts[0] + 1
    assert pictures[1] == pictures[0]


def test_no_inline_script_of_ours_runs() -> None:
    template = (site_build.ROOT / "site" / "theme" / "main.html").read_text(encoding="utf-8")
    # A script with an address is a file of the site; one with text would be written into every page.
    assert [tag for tag in re.findall(r"<script[^>]*>", template) if " src=" not in tag] == ['<script type="application/ld+json">']


@pytest.mark.parametrize("text", ["</script>", "<!--", "a & b", "\u2028\u2029", "]]>"])
def test_embedded_json_closes_nothing(text: str) -> None:
    written = metadata.embedded({"name": text})
    assert json.loads(written) == {"name": text}
    assert not set("<>&\u2028\u2029") & set(written)


def test_the_json_beside_a_page_exists_and_parses(built, heads: dict[str, Head]) -> None:  # type: ignore[no-untyped-def]
    described = 0
    for path, head in heads.items():
        for name in head.described:
            described += 1
            json.loads((built.public / posixpath.dirname(path) / name).read_text(encoding="utf-8"))
    assert described >= len(built.site.records) + len(KINDS) + 8
    assert heads["methods/index.html"].described == ["index.json"]
    assert heads["implementations/conformance.html"].described == []


def test_a_source_gives_its_own_citation(heads: dict[str, Head], atlas_site: Any) -> None:
    tags = heads["sources/deng2025attribution.html"].tags
    entry = atlas_site.atlas.bibliography["deng2025attribution"]
    assert ("citation_title", entry.title) in tags
    assert [value for name, value in tags if name == "citation_author"] == list(entry.authors)


def test_a_method_gives_its_references(heads: dict[str, Head], atlas_site: Any) -> None:
    references = [value for name, value in heads["methods/lime.html"].tags if name == "citation_reference"]
    keys = atlas_site.keys_of(atlas_site.records["lime"])
    assert len(references) == min(len(keys), metadata.MOST_REFERENCES)
    assert references[0].startswith("citation_title=\u201cWhy should I trust you?\u201d")
    assert "citation_author=M. T. Ribeiro" in references[0]


def test_every_page_says_how_to_cite_it(built) -> None:  # type: ignore[no-untyped-def]
    for path in built.public.rglob("*.html"):
        if path.name != "404.html":
            text = re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8"))
            assert text.count("@misc{attribution-atlas:") == 1, path
            assert f"version {metadata.release().version}" in text, path


def test_version_and_date_are_those_of_the_citation_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atlas_site: Any) -> None:
    other = tmp_path / "CITATION.cff"
    other.write_text("title: T\nauthors: [{name: A}, {name: B}]\nversion: 9.8\ndate-released: 1999-12-31\nabstract: W.\n", encoding="utf-8")
    monkeypatch.setattr(metadata, "CITATION", other)
    metadata.release.cache_clear()
    try:
        text = metadata.bibtex(atlas_site, "methods/lime", "LIME & {friends}")
        for part in ("{1999}", "version 9.8", "Released 1999-12-31", "{{A and B}}", r"{LIME \& (friends)}"):
            assert part in text
    finally:
        metadata.release.cache_clear()


def test_the_index_for_programs_lists_every_record(built) -> None:  # type: ignore[no-untyped-def]
    whole = json.loads((built.public / "index.json").read_text(encoding="utf-8"))
    assert [item["id"] for item in whole["records"]] == list(built.site.records)
    for item in [*whole["records"], *whole["pages"]]:
        assert (built.public / item["page"]).is_file(), item
        assert item["json"] is None or (built.public / item["json"]).is_file(), item
    for kind, record_type in KINDS.items():
        own = json.loads((built.public / record_type.folder / "index.json").read_text(encoding="utf-8"))
        assert [item["id"] for item in own["records"]] == [record.id for record in built.site.of_kind(kind)]
        assert all((built.public / record_type.folder / item["page"]).is_file() for item in own["records"])
    for name, page in (("II", "table-2"), ("figure-4", "figure-4")):
        assert json.loads((built.public / "tables" / f"{page}.json").read_text(encoding="utf-8"))["rows"] == json.loads(
            json.dumps(built.site.atlas.table(name))
        )


def test_the_index_for_language_models_leads_to_files(built) -> None:  # type: ignore[no-untyped-def]
    text = (built.public / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# Attribution Atlas\n\n> ")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert all((built.public / link).is_file() for link in links)
    for record in built.site.records.values():
        assert f"{record.folder}/{record.id}.html" in links
        assert f"{record.folder}/{record.id}.json" in links


def test_works_can_be_taken_one_by_one(built) -> None:  # type: ignore[no-untyped-def]
    page = built.html("bibliography.html")
    for key, entry in built.site.atlas.bibliography.items():
        bib, ris, csl = ((built.public / "bibliography" / f"{key}.{ending}").read_text(encoding="utf-8") for ending in ("bib", "ris", "json"))
        assert bib.strip() == entry.bibtex.strip()
        assert ris.startswith("TY  - ")
        assert ris.count("TY  - ") == ris.count("ER  -") == 1
        assert f"ID  - {key}" in ris
        (item,) = json.loads(csl)
        assert item["id"] == key
        assert item["title"]
        assert all(f'href="bibliography/{key}.{ending}"' in page for ending in ("bib", "ris", "json"))
