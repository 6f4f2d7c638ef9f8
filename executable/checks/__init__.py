"""The executable form of claims: each check decides one or more of them and returns what it found."""

from executable.checks.base import Check
from executable.checks.families import FAMILIES
from executable.checks.grounds import GROUNDS
from executable.checks.theory import THEORY
from executable.checks.verdicts_of_allocation import ALLOCATION
from executable.checks.verdicts_of_faithfulness import FAITHFULNESS

CHECKS: dict[str, Check] = {check.id: check for check in (*FAMILIES, *GROUNDS, *THEORY, *ALLOCATION, *FAITHFULNESS)}

__all__ = ["CHECKS", "Check"]
