"""The built HTML: every record has its page, every link and anchor leads somewhere, nothing comes from elsewhere, every cell of a table links."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from atlas_pages.claims import badges
from atlas_pages.context import TABLES, Site, table_page

from taxonomy.deduction import Fact

LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("object", "data"), ("embed", "src")}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Ids, links and loaded resources of a page, and the cells of the tables in its content."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.resources: list[str] = []
        self.rows: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
            if self._cell is not None:
                self._cell.append(found["href"])
        if tag == "link" and found.get("rel") in {"stylesheet", "icon", "preload", "preconnect", "prefetch", "modulepreload"}:
            self.resources.append(found["href"])
        self.resources += [value for name, value in found.items() if (tag, name) in LOADED]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._cell = []
            self.rows[-1].append(self._cell)

    def handle_data(self, data: str) -> None:
        if self._cell is not None and data.strip():
            self._cell.append("text:" + data.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = None


@pytest.fixture(scope="module")
def parsed(built) -> dict[str, Page]:  # type: ignore[no-untyped-def]
    return {
        path.relative_to(built.public).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(built.public.rglob("*.html"))
        if path.name != "404.html"
    }


def test_every_record_has_a_page_and_json(built) -> None:  # type: ignore[no-untyped-def]
    for record in built.site.records.values():
        assert (built.public / record.folder / f"{record.id}.html").is_file()
        assert (built.public / record.folder / f"{record.id}.json").is_file()


def test_internal_links_and_anchors(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    broken = []
    ids = {path: set(page.ids) for path, page in parsed.items()}
    for path, page in parsed.items():
        for href in dict.fromkeys(page.links + page.resources):
            parts = urlsplit(href)
            if parts.scheme or href.startswith("//"):
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path))) if parts.path else path
            if not (built.public / target).is_file():
                broken.append(f"{path}: {href} leads nowhere")
            elif parts.fragment.startswith("?"):
                continue  # the state of an interactive page, no anchor
            elif parts.fragment and target in ids and unquote(parts.fragment) not in ids[target] | {"__codelineno-0-1"}:
                broken.append(f"{path}: {href}: no such anchor")
    assert not broken, "\n".join(broken[:40])


def test_ids_are_unique(parsed: dict[str, Page]) -> None:
    for path, page in parsed.items():
        repeated = {id_ for id_ in page.ids if page.ids.count(id_) > 1} if len(set(page.ids)) < len(page.ids) else set()
        assert not repeated, (path, repeated)


def test_no_orphans(parsed: dict[str, Page]) -> None:
    reached: dict[str, set[str]] = defaultdict(set)
    for path, page in parsed.items():
        for href in page.links:
            parts = urlsplit(href)
            if not parts.scheme and parts.path:
                reached[posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path)))].add(path)
    seen, todo = {"index.html"}, ["index.html"]
    forward: dict[str, set[str]] = defaultdict(set)
    for target, origins in reached.items():
        for origin in origins:
            forward[origin].add(target)
    while todo:
        for target in forward[todo.pop()]:
            if target in parsed and target not in seen:
                seen.add(target)
                todo.append(target)
    assert not parsed.keys() - seen


def test_nothing_is_loaded_from_another_host(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    for path, page in parsed.items():
        for address in page.resources:
            assert not re.match(r"(?!data:image/)\w+:|//", address), (path, address)
    for sheet in built.public.rglob("*.css"):
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+)", sheet.read_text(encoding="utf-8")):
            assert not re.match(r"https?:|//", address), (sheet.name, address)
        assert "@import" not in sheet.read_text(encoding="utf-8")


def test_no_markup_is_left_over(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    for path in parsed:
        text = built.html(path)
        body = re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", text[text.index("<article") : text.index("</article>")], flags=re.DOTALL)
        body = re.sub(r"<math.*?</math>", "", body, flags=re.DOTALL)
        shown = re.sub(r"<[^>]*>", " ", body)
        for wrong in ("](", "{ .", "@/", "wzxhzdk", "$$", "markdown="):
            assert wrong not in shown, (path, wrong, shown[max(0, shown.index(wrong) - 60) : shown.index(wrong) + 60])
        # A table that ends in its middle leaves its last rows as text.
        assert not re.search(r"(^|>)\s*\|", body), path
        assert "None" not in re.findall(r">\s*(None)\s*<", body), path


@pytest.mark.parametrize("name", list(TABLES))
def test_every_cell_of_a_table_links(parsed: dict[str, Page], name: str) -> None:
    page = parsed[table_page(name).replace(".md", ".html")]
    rows = [row for row in page.rows if row]
    assert len(rows) > 4
    for row in rows[1:]:
        for cell in row:
            texts = [item for item in cell if item.startswith("text:")]
            blank = "".join(t[5:] for t in texts) in {"", "–", "faithfulness", "robustness"}
            last = name == "I" and cell is row[-1]
            assert blank or last or any(not item.startswith("text:") for item in cell), (name, texts)


def test_figure_4_has_a_link_per_tick(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    ticks = sum(len(cells) for row in built.site.atlas.table("figure-4") for cells in row["ticks"].values())
    html = built.html("tables/figure-4.html")
    assert html.count('class="tick ') == ticks > 30


def test_every_claim_has_its_anchor(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    for statement in built.site.statements.values():
        if statement.fact.relation == "concerns":
            continue
        record = built.site.records[statement.fact.subject]
        assert statement.anchor in parsed[f"{record.folder}/{record.id}.html"].ids, statement.id


def test_evidence_is_shown(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    for claim, evidence in built.site.atlas.evidence.items():
        subject, _, rest = claim.partition("/")
        record = built.site.records[subject]
        anchor = "evidence-statement" if rest == "statement" else "evidence-" + rest.replace("/", "-", 1)
        page = f"{record.folder}/{record.id}.html"
        assert anchor in parsed[page].ids, claim
        if evidence.counterexample:
            assert "Counterexample" in built.html(page)


def test_findings_count_every_claim_and_lead_to_the_counterexamples(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    standings = built.site.standings
    counted = {row[0][-1][5:]: row[1][-1][5:] for row in parsed["findings/index.html"].rows if len(row) == 2 and row[0] and row[1]}
    names = {"fails": "run: fails", "holds": "run: holds", "cited": "cited only", "definitional": "by definition", "open": "no check yet"}
    for standing, name in names.items():
        assert counted[name] == str(sum(claim.standing == standing for claim in standings)), standing
    assert counted["all"] == str(len(standings))
    links = set(parsed["findings/index.html"].links)
    for claim in standings:
        if claim.standing in {"fails", "holds under condition"}:
            subject, _, rest = claim.id.partition("/")
            assert f"../{built.site.records[subject].folder}/{subject}.html#evidence-{rest.replace('/', '-', 1)}" in links, claim.id


def test_claims_without_a_run_are_listed_by_reason(built) -> None:  # type: ignore[no-untyped-def]
    html = built.html("findings/unchecked.html")
    parts = {anchor: html.find(f'id="{anchor}"') for anchor in ("no-check", "not-run", "cited", "definitional", "records")}
    for claim in built.site.standings:
        if claim.evidence is None and claim.id.count("/") == 2:
            subject, relation, object_ = claim.id.split("/")
            place = html.find(f"/{subject}.html#{relation}-{object_}")
            part = {"open": "no-check", "not run": "not-run"}.get(claim.standing, claim.standing)
            later = [position for position in parts.values() if position > parts[part]]
            assert parts[part] < place < min(later, default=len(html)), claim.id


def test_a_statement_stands_on_its_page_as_in_the_list(built) -> None:  # type: ignore[no-untyped-def]
    words = {"not run": "check not run", "open": "no check yet"}
    for claim in built.site.standings:
        if claim.id.count("/") == 2:
            statement = built.site.statements[Fact(*claim.id.split("/"))]
            assert statement.run == words.get(claim.standing, claim.standing), claim.id


def test_what_only_a_run_says_is_marked_as_measured(atlas_site) -> None:  # type: ignore[no-untyped-def]
    fact = Fact("deeplift-revealcancel", "violates", "output-sensitivity")
    assert fact not in {known for known, _, _ in atlas_site.atlas.facts()}
    real = atlas_site.atlas
    found = next(iter(real.evidence.values())).model_copy(update={"claim": "/".join(fact), "status": "fails"})
    atlas = SimpleNamespace(records=real.records, evidence={**real.evidence, found.claim: found}, facts=real.facts)
    statement = Site(atlas).statements[fact]
    assert (statement.literature, statement.run, statement.edges, statement.proof) == ("measured", "fails", (), None)
    assert "measured" in badges(statement)


def test_stubs_are_marked_and_listed(built) -> None:  # type: ignore[no-untyped-def]
    todo = built.html("findings/stubs.html")
    for record in built.site.records.values():
        html = built.html(f"{record.folder}/{record.id}.html")
        assert ('class="badge stub"' in html.split("<h2", 1)[0]) == (record.status == "stub")
        if record.status == "stub":
            assert f"{record.folder}/{record.id}.html" in todo


def test_every_discrepancy_is_in_the_index(built) -> None:  # type: ignore[no-untyped-def]
    html = built.html("discrepancies/index.html")
    for record in built.site.of_kind("discrepancy"):
        assert f'href="{record.id}.html"' in html


def test_every_work_is_in_the_bibliography(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    assert set(built.site.atlas.bibliography) <= set(parsed["bibliography.html"].ids)


def test_formulas_are_mathml_and_no_script_draws_them(built, parsed: dict[str, Page]) -> None:  # type: ignore[no-untyped-def]
    assert "<math" in built.html("methods/integrated-gradients.html")
    assert not any("mathjax" in address.lower() or "katex" in address.lower() for page in parsed.values() for address in page.resources)


def test_pages_without_the_menu_at_the_left_have_it_above(built) -> None:  # type: ignore[no-untyped-def]
    text = built.html("tables/table-6.html")
    menu = text[text.index('<nav class="siblings"') : text.index("</nav>", text.index('<nav class="siblings"'))]
    assert re.findall(r'href="([^"]*)"', menu) == [
        "index.html", "figure-4.html", *(f"table-{number}.html" for number in range(2, 8)), "notation.html",
    ]  # fmt: skip
    assert re.findall(r'href="([^"]*)" aria-current="page"', menu) == ["table-6.html"]
    assert all('<nav class="siblings"' not in built.html(path) for path in ("index.html", "matrix/index.html", "methods/lime.html", "reading.html"))


def test_record_pages_stay_out_of_the_menu(built) -> None:  # type: ignore[no-untyped-def]
    text = Path(built.public / "methods" / "lime.html").read_text(encoding="utf-8")
    menu = text[text.index('<nav class="md-nav md-nav--primary') : text.index("<article")] if '<nav class="md-nav md-nav--primary' in text else ""
    assert "integrated-gradients.html" not in menu
