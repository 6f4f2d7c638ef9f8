"""Exports: the content of an atlas in the formats other programs read, and what changed between two of them.

>>> import taxonomy
>>> from taxonomy import export
>>> files = export.make("bibtex", taxonomy.load())
>>> list(files)
['atlas.bib']
"""

from taxonomy.export.formats import FORMATS, Format, format_named, make
from taxonomy.export.whole import Content, whole_of

__all__ = ["FORMATS", "Content", "Format", "format_named", "make", "whole_of"]
