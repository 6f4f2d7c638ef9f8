"""What an attribution function is, by its numbers alone: requirements, families, known methods, robustness and cost."""

from executable.auditing.run import audit
from executable.auditing.subject import AuditError
from taxonomy.audit import AuditReport

__all__ = ["AuditError", "AuditReport", "audit"]
