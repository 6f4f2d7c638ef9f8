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
from atlas_pages.keywords import keywords, letters, spellings, weighed

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


@pytest.fixture(scope="module")
def index(built: Any) -> list[dict[str, Any]]:
    return list(json.loads((built.public / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"])


def tokens(texts: list[str]) -> set[str]:
    """The words of texts as the index cuts them."""
    return {token for text in texts for token in re.split(r"[\s\-]+", text.lower()) if token}


def ascii_words(text: str) -> set[str]:
    """Words that a keyboard without accents and Greek letters gives."""
    spelled = "".join(f" {unicodedata.name(c).split()[-1].lower()} " if "GREEK" in unicodedata.name(c, "") else c for c in text.replace("×", " "))
    plain = unicodedata.normalize("NFKD", spelled.replace("lamda", "lambda")).encode("ascii", "ignore").decode()
    return {word.lower() for word in re.findall(r"[A-Za-z0-9]+", plain)}


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


def test_phi_typed_as_in_latex_leads_to_methods_that_use_it(opened: Any, built: Any) -> None:
    using = [method.id for method in built.site.of_kind("method") if "phi" in letters(symbol.symbol for symbol in method.symbols)]
    assert len(using) >= 5
    page = opened("index.html")
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").fill("\\ph")
    page.locator(".md-search__input").press_sequentially("i")
    page.wait_for_function(
        f"using => {RESULTS}.length === 5 && {RESULTS}.every(address => using.some(method => address.endsWith(`methods/${{method}}.html`)))",
        arg=using,
    )


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
