"""Which check decides which rationale is the ground of which method (Table IV)."""

from executable.checks.base import Check

GROUNDS: tuple[Check, ...] = ()
