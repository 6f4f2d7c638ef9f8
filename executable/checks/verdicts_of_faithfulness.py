"""Which check decides which verdict on axioms, relevance, sensitivity and robustness (Tables VI and VII)."""

from executable.checks.base import Check

FAITHFULNESS: tuple[Check, ...] = ()
