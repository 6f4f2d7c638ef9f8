"""What the checks registered in `executable.checks.verdicts_of_faithfulness` are known to find, typed by hand."""

FAITHFULNESS: dict[str, str] = {}
