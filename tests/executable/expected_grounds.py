"""What the checks registered in `executable.checks.grounds` are known to find, typed by hand."""

GROUNDS: dict[str, str] = {}
