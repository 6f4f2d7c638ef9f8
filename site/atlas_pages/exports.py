"""The exports that lie beside the page of data."""

from __future__ import annotations

from collections.abc import Iterator

from atlas_pages.context import Site
from taxonomy import export
from taxonomy.export.files import archive

SINGLE = ("json", "schema", "turtle", "graphml", "sqlite", "bibtex", "ris", "csl-json")
ARCHIVES = ("csv", "markdown", "latex")


def files(site: Site) -> Iterator[tuple[str, bytes]]:
    """Every exported file as (path, content); a format of several files is one archive."""
    content = export.Content(site.atlas)
    for name in SINGLE:
        for file, text in export.FORMATS[name].write(content).items():
            yield f"data/{file}", text
    for name in ARCHIVES:
        yield f"data/atlas-{name}.zip", archive(export.FORMATS[name].write(content))
