"""The formats, each with what it is for and what writes it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from taxonomy.export.files import Files
from taxonomy.export.whole import Content
from taxonomy.problems import did_you_mean

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


@dataclass(frozen=True)
class Format:
    """A format: its name on the command line, its standard, what is in it, and `module:function` that writes it."""

    name: str
    standard: str
    holds: str
    writer: str
    several: bool = False
    """Whether it is a folder of files."""
    binary: bool = False

    def write(self, content: Content) -> Files:
        """The files by their names, as bytes."""
        module, _, function = self.writer.partition(":")
        # Imported when asked for: the graphs need networkx, and no other format does.
        return cast("Files", getattr(importlib.import_module(f"taxonomy.export.{module}"), function)(content))


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("json", "JSON", "everything, in one file", "json_files:whole"),
        Format("schema", "JSON Schema 2020-12", "the schema of that file", "json_files:schema_file"),
        Format("records", "JSON", "one file per record, with its facts and its evidence", "json_files:records", several=True),
        Format("jsonld", "JSON-LD 1.1", "records, claims, proofs, evidence and works as linked data", "rdf:json_ld"),
        Format("turtle", "RDF 1.1 Turtle", "the same triples as the JSON-LD", "rdf:turtle"),
        Format("graphml", "GraphML 1.0", "records and relations, for yEd, igraph and others", "graphs:graphml"),
        Format("gexf", "GEXF 1.2draft", "records and relations, for Gephi", "graphs:gexf"),
        Format("cytoscape", "Cytoscape JSON", "records and relations, for Cytoscape and Cytoscape.js", "graphs:cytoscape"),
        Format("csv", "Frictionless Data Package 2.0", "tables with a description of every column", "data_package:write", several=True),
        Format("sqlite", "SQLite 3", "the same tables with foreign keys", "database:write", binary=True),
        Format("bibtex", "BibTeX", "the bibliography", "citations:bibtex"),
        Format("ris", "RIS", "the bibliography, for reference managers", "citations:ris"),
        Format("csl-json", "CSL-JSON", "the bibliography, for citation processors", "citations:csl_json"),
        Format("markdown", "GitHub Flavored Markdown", "Tables II to VII and Fig. 4", "table_markup:markdown", several=True),
        Format("latex", "LaTeX", "Tables II to VII and Fig. 4, to be read into a paper", "table_markup:latex", several=True),
    )
}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    KeyError
        If there is none; the message names close matches.
    """
    if name not in FORMATS:
        raise KeyError(f"no format `{name}`; {did_you_mean(name, FORMATS) or 'formats: ' + ', '.join(FORMATS)}")
    return FORMATS[name]


def make(name: str, atlas: Atlas) -> Files:
    """The files of one format.

    Parameters
    ----------
    name
        A format of `FORMATS`.
    atlas
        What to export.

    Returns
    -------
    dict
        Content by file name. Equal atlases give equal bytes.

    Raises
    ------
    KeyError
        If the format is unknown.
    """
    return format_named(name).write(Content(atlas))
