"""The page that puts two to four methods side by side: profiles that Python made, placed beside each other by the page's script."""

from __future__ import annotations

import json
from typing import Any

from atlas_pages.context import Site, html_address
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
    return f"window.atlasCompare = {json.dumps({'labels': keys, 'methods': methods}, ensure_ascii=False, separators=(',', ':'))};\n"


def _cell(site: Site, cell: Cell) -> list[str]:
    """Text, kind of claim, what a run found, address; what is empty at the end is left out."""
    address = ""
    if cell.claim is not None:
        fact = Fact(*cell.claim.split("/"))
        anchor = site.statements[fact].anchor if fact in site.statements else ""
        address = html_address(site.records[fact.subject], anchor).replace("@/", "../")
    found = [cell.text, cell.status, cell.support, address]
    while not found[-1]:
        found.pop()
    return found
