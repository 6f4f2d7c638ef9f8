"""The Attribution Atlas as a typed graph: records, relations, deduction and the survey's tables.

>>> import taxonomy
>>> atlas = taxonomy.load()
>>> atlas.find("IG").id
'integrated-gradients'

Nothing here imports torch; the reference implementations live in the package `executable`.
"""

from taxonomy.problems import AtlasError, Problem, Severity
from taxonomy.store import check, load

__all__ = ["AtlasError", "Problem", "Severity", "check", "load"]
__version__ = "0.1.0"
