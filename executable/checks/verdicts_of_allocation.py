"""Which check decides which verdict on the allocation of effects (Table VI, and Table VI of the Taylor paper)."""

from executable.checks.base import Check

ALLOCATION: tuple[Check, ...] = ()
