"""What the checks registered in `executable.checks.verdicts_of_allocation` are known to find, typed by hand."""

ALLOCATION: dict[str, str] = {}
