"""`executable.audit(fn)`: what an attribution function is, by its numbers alone.

The package itself can be called, as a short way to `executable.audit.audit`.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from executable.audit.run import audit
from executable.audit.subject import AuditError
from taxonomy.audit import AuditReport

__all__ = ["AuditError", "AuditReport", "audit"]


class _Callable(types.ModuleType):
    def __call__(self, *arguments: Any, **keywords: Any) -> AuditReport:
        return audit(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
