"""The search leads to a method by whatever one knows of it, and nothing the site sends is heavy."""

from __future__ import annotations

import gzip
import json
import re
import statistics
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from atlas_pages.context import page_of
from atlas_pages.keywords import PAGE_BOOST, keywords, letters, names_of, page_keywords, spellings, weighed

# What somebody types, and the method that has to be among the first five results.
TYPED = [
    ("integrated gradients", "integrated-gradients"),
    ("IG", "integrated-gradients"),
    ("InteGrads", "integrated-gradients"),
    ("integrated gradients Sundararajan 2017", "integrated-gradients"),
    ("Sundararajan", "integrated-gradients"),
    ("LRP-ε", "lrp-epsilon"),
    ("lrp epsilon", "lrp-epsilon"),
    ("ε-LRP", "lrp-epsilon"),
    ("LRP-αβ", "lrp-alpha-beta"),
    ("lrp alpha beta", "lrp-alpha-beta"),
    ("Gradient×Input", "grad-times-input"),
    ("gradient*input", "grad-times-input"),
    ("gradient input", "grad-times-input"),
    ("lime", "lime"),
    ("shapley", "shapley-value"),
    ("gradient", "gradient"),
    ("grad cam", "grad-cam"),
    ("gradcam", "grad-cam"),
    ("Selvaraju", "grad-cam"),
    ("DTD", "deep-taylor-decomposition"),
    ("Montavon", "deep-taylor-decomposition"),
    ("Müller", "deep-taylor-decomposition"),
    ("Muller", "deep-taylor-decomposition"),
    ("Lundberg 2017", "kernel-shap"),
    ("Zeiler Fergus", "occlusion-1"),
    ("banzhaf", "banzhaf-value"),
    ("permutation sampling", "shapley-sampling"),
]
FIVE = "[...document.querySelectorAll('.md-search-result__item')].slice(0, 5)"
RESULTS = f"{FIVE}.map(item => item.querySelector('a').getAttribute('href').split('?')[0])"

# What somebody types, and the page that has to be the first result.
FIRST = [
    *((words, "tables/table-4") for words in ("table iv", "table 4", "Tab. IV", "Table IV: rationales")),
    *((words, "tables/table-6") for words in ("table vi", "Table 6")),
    *((words, "tables/figure-4") for words in ("figure 4", "fig. 4", "fig 4")),
    ("guide", "guide/index"),
    ("which method", "guide/index"),
    ("which method should I use?", "guide/index"),
    ("principles", "principles/index"),
    ("axioms", "axioms/index"),
    ("compare", "compare/index"),
    ("theorems", "theorems/index"),
    ("insights", "insights/index"),
    ("changes", "changes"),
    ("unchecked", "findings/unchecked"),
    ("explorer", "explorer/index"),
    ("gallery", "pictures/index"),
    ("ig", "methods/integrated-gradients"),
    ("integrated gradient", "methods/integrated-gradients"),
    ("integratedgradients", "methods/integrated-gradients"),
    ("INTEGRATED-GRADIENTS", "methods/integrated-gradients"),
    ("shapley", "methods/shapley-value"),
    ("shapley values", "methods/shapley-value"),
    ("shap", "libraries/shap"),
    ("cam", "methods/cam"),
    ("grad cam", "methods/grad-cam"),
    ("gradcam", "methods/grad-cam"),
    ("smooth grad", "methods/smoothgrad"),
    ("deep lift", "methods/deeplift-rescale"),
    ("tree shap", "methods/tree-shap"),
    ("lrp", "methods/lrp-0"),
    ("saliency maps", "methods/gradient"),
    ("gradientxinput", "methods/grad-times-input"),
    ("gradient x input", "methods/grad-times-input"),
    ("gradient*input", "methods/grad-times-input"),
    ("lrp epsilon", "methods/lrp-epsilon"),
    ("z+-rule", "methods/deep-taylor-decomposition"),
    ("LayerGradCam", "methods/grad-cam"),
    ("captum.attr.LayerGradCam", "methods/grad-cam"),
    ("KernelExplainer", "methods/kernel-shap"),
    ("Strumbelj", "methods/shapley-sampling"),
    ("local surrogate", "formulation-families/local-surrogate"),
]
# One worker answers them all, through the frame's script and the one that puts names first, as when somebody types.
ASK = """async queries => {
  const { docs, config } = await __index;
  const worker = new Worker(new URL(JSON.parse(document.querySelector("#__config").textContent).search, location));
  const answered = () => new Promise(done => worker.addEventListener("message", ({ data }) => done(data.data), { once: true }));
  const ready = answered();
  worker.postMessage({ type: 0, data: { config, docs, options: { suggest: false } } });
  await ready;
  const found = [];
  for (const query of queries) {
    const answer = answered();
    worker.postMessage({ type: 2, data: query });
    found.push((await answer).items.slice(0, 20).map(item => item[0].location.split("#")[0]));
  }
  worker.terminate();
  return found;
}"""


def ask(page: Any, queries: list[str]) -> dict[str, list[str]]:
    """The first twenty pages found for each query."""
    return dict(zip(queries, page.evaluate(ASK, queries), strict=True))


@pytest.fixture(scope="module")
def index(built: Any) -> list[dict[str, Any]]:
    return list(json.loads((built.public / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"])


def tokens(texts: list[str]) -> set[str]:
    """The words of texts as the index cuts them."""
    return {token for text in texts for token in re.split(r"[\s\-]+", text.lower()) if token}


def plain_words(text: str) -> list[str]:
    """Words that a keyboard without accents and Greek letters gives, in their order."""
    spelled = "".join(f" {unicodedata.name(c).split()[-1].lower()} " if "GREEK" in unicodedata.name(c, "") else c for c in text.replace("×", " "))
    plain = unicodedata.normalize("NFKD", spelled.replace("lamda", "lambda")).encode("ascii", "ignore").decode()
    return [word.lower() for word in re.findall(r"[A-Za-z0-9]+", plain)]


def ascii_words(text: str) -> set[str]:
    """The same words, without order."""
    return set(plain_words(text))


def test_a_method_is_found_by_whatever_one_knows_of_it(opened: Any) -> None:
    page = opened("index.html")
    box = page.locator(".md-search__input")
    box.click()
    for words, method in TYPED:
        # One key starts the search, for which letters that no keyboard has would not do; a search after every letter would only take time.
        box.fill(words)
        box.press("End")
        try:
            page.wait_for_function(f"{RESULTS}.some(address => address.endsWith('methods/{method}.html'))", timeout=20_000)
        except Exception as error:
            raise AssertionError(f"{words}: {page.evaluate(RESULTS)}") from error
    for words, first in (("ig", "methods/integrated-gradients"), ("Table IV", "tables/table-4"), ("gradientxinput", "methods/grad-times-input")):
        box.fill(words)
        box.press("End")
        page.wait_for_function(f"{RESULTS}[0]?.endsWith('{first}.html')", timeout=20_000)
    # The words of the index are no part of what is read.
    assert page.locator(".md-search-result .md-tags").count() > 0
    assert page.evaluate("[...document.querySelectorAll('.md-search-result .md-tags')].every(tags => getComputedStyle(tags).display === 'none')")


def test_what_a_query_names_comes_first(opened: Any) -> None:
    found = ask(opened("index.html"), [words for words, _ in FIRST])
    wrong = {words: found[words][:3] for words, page in FIRST if found[words][:1] != [f"{page}.html"]}
    assert not wrong


def plainly(name: str) -> str:
    """A name as small letters and digits, with no plural."""
    return "".join(re.sub(r"(?<=[a-z]{2}[a-rt-z])s$", "", word) for word in plain_words(name))


def test_every_name_of_a_record_leads_to_a_record_of_that_name(opened: Any, built: Any) -> None:
    kinds = ("method", "axiom", "principle", "formulation-family", "reformulation-family", "rationale")
    bearers: dict[str, set[str]] = {}
    for record in built.site.records.values():
        for name in names_of(record):
            bearers.setdefault(plainly(name), set()).add(page_of(record).replace(".md", ".html"))
    queries = {
        typed: bearers[plainly(name)]
        for kind in kinds for record in built.site.of_kind(kind) for name in names_of(record)
        for typed in (name, re.sub(r"[\s\-–]+", " ", name.lower()), re.sub(r"[\s\-–]+", "", name.upper()))
    }  # fmt: skip
    assert len(queries) > 500
    found = ask(opened("index.html"), list(queries))
    assert not {typed: (found[typed][:2], pages) for typed, pages in queries.items() if not pages & set(found[typed][:1])}
    # A record of that very name comes before one of which it is another name.
    own: dict[str, set[str]] = {}
    for record in built.site.records.values():
        own.setdefault(plainly(record.name), set()).add(page_of(record).replace(".md", ".html"))
    names = [record.name for kind in kinds for record in built.site.of_kind(kind)]
    assert not {name: found[name][0] for name in names if found[name][0] not in own[plainly(name)]}


def test_letters_lead_to_their_notation_then_to_methods_that_use_them(opened: Any, built: Any) -> None:
    page = opened("index.html")
    typed = {"omega": ["omega", "ω", "Ω", "\\Omega"], "phi": ["phi", "φ", "ϕ", "\\phi", "\\varphi"]}
    found = ask(page, [query for queries in typed.values() for query in queries])
    for letter, queries in typed.items():
        symbols = {page_of(record) for record in built.site.of_kind("symbol") if letter in letters([record.symbol])}
        using = {page_of(record) for record in built.site.of_kind("method") if letter in letters(symbol.symbol for symbol in record.symbols)}
        assert len(symbols) >= 2
        assert len(using) >= 2
        for query in queries:
            pages = [address.replace(".html", ".md") for address in found[query]]
            assert set(pages[: len(symbols)]) == symbols, query
            assert pages[len(symbols)] in using, query


def test_a_name_without_accents_finds_texts_that_write_them(opened: Any) -> None:
    found = ask(opened("index.html"), ["Strumbelj", "Štrumbelj", "Mobius transform"])
    assert "bibliography.html" in found["Strumbelj"]
    assert set(found["Strumbelj"]) >= set(found["Štrumbelj"])
    assert found["Mobius transform"][0] == "methods/harsanyi-dividend.html"


def test_a_misspelt_word_is_looked_up_loosely_and_nonsense_is_not_found(opened: Any) -> None:
    found = ask(opened("index.html"), ["completness", "qqzzqq", "lime -shap", "+lime"])
    assert "axioms/completeness.html" in found["completness"][:3]
    assert found["qqzzqq"] == []
    assert "libraries/shap.html" not in found["lime -shap"]
    assert "methods/lime.html" in found["+lime"]


def test_pages_of_the_menu_are_called_by_what_stands_in_it(built: Any, index: list[dict[str, Any]]) -> None:
    entries = {entry["location"]: entry for entry in reversed(index)}
    pages = [path.relative_to(built.docs).as_posix() for path in built.docs.glob("*/index.md")]
    assert len(pages) > 20
    for path in pages:
        entry = entries[path.replace(".md", ".html")]
        assert entry["tags"] == page_keywords(path, entry["title"].replace("’", "'"))
        assert entry["boost"] == PAGE_BOOST
    assert page_keywords("tables/figure-4.md", "Fig. 4: methods and reformulations")[1:] == ["Figure 4", "Fig. 4"]
    assert page_keywords("tables/notation.md", "Notation")[1:3] == ["Table I", "Table 1"]


def test_every_name_author_and_year_of_every_method_is_in_the_index(built: Any, index: list[dict[str, Any]]) -> None:
    entries = {entry["location"]: entry for entry in reversed(index)}
    for method in built.site.of_kind("method"):
        entry = entries[f"methods/{method.id}.html"]
        known = tokens(entry["tags"])
        for name in (method.name, *([method.abbreviation] if method.abbreviation else []), *method.aliases):
            assert name.casefold() in {tag.casefold() for tag in entry["tags"]}, (method.id, name)
            assert tokens([name]) <= known, (method.id, name)
            joined = "".join(known)
            assert all(word in known or word in joined for word in ascii_words(name)), (method.id, name)
        work = built.site.atlas.bibliography.get(method.reference or "")
        if work is not None:
            assert {work.authors[0].split()[-1].lower()} <= tokens(entry["tags"]) or "-" in work.authors[0], (method.id, work.authors[0])
            assert ascii_words(work.authors[0].split()[-1]) <= known, (method.id, work.authors[0])
            assert not work.year or work.year in known


def test_spellings_are_no_repetitions(built: Any) -> None:
    for record in built.site.records.values():
        found = [word.casefold() for word in keywords(built.site, record)]
        assert len(found) == len(set(found)), record.id
    assert list(spellings("Shapley value")) == ["Shapley value"]
    site = built.site
    assert weighed(site, site.records["lime"], 4) > weighed(site, site.records["s-lime"], 4) > 4


# -- weight --------------------------------------------------------------------------------------------------------------------------------


def packed(path: Path) -> int:
    """Bytes of a file as a server sends it."""
    return len(gzip.compress(path.read_bytes(), 9))


def test_pages_are_light(built: Any) -> None:
    pages = {str(path.relative_to(built.public)): path for path in built.public.rglob("*.html")}
    # The whole look and all scripts of the frame come with every page; pictures and fonts do not count.
    head = built.html("methods/lime.html")
    frame = set(re.findall(r'(?:href|src)="\.\./([^"?]+\.(?:css|js))"', head))
    assert len(frame) > 5
    carried = sum(packed(built.public / address) for address in frame if not address.startswith("search/"))
    sizes = {name: packed(path) for name, path in pages.items()}
    assert statistics.median(sizes.values()) < 20_000
    assert max(sizes.values()) < 100_000, max(sizes, key=lambda name: sizes[name])
    assert carried < 85_000


def test_the_search_index_is_light(built: Any) -> None:
    for name in ("search_index.json", "search_index.js"):
        assert packed(built.public / "search" / name) < 1_000_000
