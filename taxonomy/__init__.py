"""The Attribution Atlas as a typed graph: records, relations, deduction and the survey's tables.

>>> import taxonomy
>>> atlas = taxonomy.load()
>>> atlas.find("IG").id
'integrated-gradients'

Nothing here imports torch; the reference implementations live in the package `executable`.
"""

from taxonomy.problems import AtlasError, Problem, Severity
from taxonomy.store import check, load

__all__ = ["SCHEMA_VERSION", "AtlasError", "Problem", "Severity", "check", "load"]
__version__ = "0.1.0"
SCHEMA_VERSION = 1
"""Version of the record files' form. It goes up when a file that was valid may no longer be, or means something else; never for a new field."""
