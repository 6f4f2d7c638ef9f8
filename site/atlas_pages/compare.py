"""The page that puts two to four methods side by side: profiles that Python made, placed beside each other by the page's script."""

from __future__ import annotations

import json
from typing import Any

from atlas_pages.claims import AUDIT as OF_CLAIMS
from atlas_pages.claims import RUN, css_of
from atlas_pages.context import TESTABLE, Site, html_address
from atlas_pages.markup import box, paragraphs, plain
from atlas_pages.parts import index_front
from taxonomy.comparison import Cell, labels, profile
from taxonomy.deduction import Fact
from taxonomy.records import Method

DATA = "compare/data.js"
DESCRIPTION = "Two to four methods side by side: needs, cost, families, rationales, properties, libraries."
LEAD = (
    "Choose two to four methods. Rows in which they differ are marked; a cell that is a claim leads to it and says what a run found. The choice is "
    "kept in the address of the page."
)


AUDIT = {
    "measured": ("empirical", "measured by us"), "measured in part": ("empirical", "measured by us in part"),
    "violated by audit": OF_CLAIMS["audit disagrees"][1::-1], "violated by audit in part": OF_CLAIMS["audit agrees in one reading"][1::-1],
}  # fmt: skip
"""What our audit found, as class and words of a badge; every other badge is that of the claim's run."""
BADGES = {**AUDIT, **{run: (css_of(run), words) for run, (words, _) in RUN.items()}}


def compare(site: Site) -> str:
    """The page."""
    without = (
        'The comparison is put together by a script. In a terminal: `atlas compare IG SHAP`; in Python: `taxonomy.load().compare("IG", "SHAP")`.'
    )
    return paragraphs(
        index_front("Compare methods", DESCRIPTION, hide=("navigation", "toc")),
        LEAD,
        box("compare", without, anchor="compare"),
        '<script src="data.js" defer></script>\n<script src="../assets/js/compare.js" defer></script>',
    ) + "\n"  # fmt: skip


def data(site: Site) -> str:
    """The script's data: the labels in order, and the profile of each method by the number of the label."""
    keys = labels(site.atlas)
    number = {key: place for place, key in enumerate(keys)}
    methods: list[dict[str, Any]] = []
    for method in site.of_kind("method"):
        assert isinstance(method, Method)
        sheet = {number[key]: _cell(site, cell) for key, cell in profile(site.atlas, method).items()}
        if sheet:
            methods.append({
                "id": method.id, "name": method.title, "short": method.abbreviation or method.name, "url": html_address(method).replace("@/", "../"),
                "summary": plain(method.summary.split("\n\n")[0]), "cells": sheet,
            })  # fmt: skip
    found = {"labels": keys, "runs": list(BADGES.values()), "methods": methods}
    return f"window.atlasCompare = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"


def _cell(site: Site, cell: Cell) -> list[str | int]:
    """Text, kind of claim, what a run found as the guide counts it, address, number of the badge; what is empty at the end is left out."""
    address, run = "", cell.support if cell.support in AUDIT else ""
    if cell.claim is not None:
        fact = Fact(*cell.claim.split("/"))
        statement = site.statements.get(fact)
        address = html_address(site.records[fact.subject], statement.anchor if statement else "").replace("@/", "../")
        if statement is not None and not run and (statement.evidence is not None or fact.relation in TESTABLE):
            run = statement.run
    found: list[str | int] = [cell.text, cell.status, cell.support, address, list(BADGES).index(run) if run else ""]
    while found[-1] == "":
        found.pop()
    return found
