"""Problems found in a record folder: what is wrong, where, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad a problem is. Only errors keep an atlas from loading."""

    NOTE = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One located problem. `line` and `column` count from 1."""

    rule: str
    message: str
    file: str
    line: int = 1
    column: int = 1
    field: str = ""
    suggestion: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        field = f" [{self.field}]" if self.field else ""
        suggestion = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity.name.lower()}: {self.message}{suggestion}{field} ({self.rule})"

    def as_annotation(self) -> str:
        """The problem as a GitHub workflow command, which marks the line in a pull request."""
        level = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}[self.severity]
        text = f"{self.message}; {self.suggestion}" if self.suggestion else self.message
        return f"::{level} file={_escape(self.file)},line={self.line},col={self.column},title={_escape(self.rule)}::{_escape(text, in_text=True)}"

    def as_json(self) -> dict[str, str | int]:
        """Plain values for `--json`."""
        return {
            "severity": self.severity.name.lower(), "rule": self.rule, "file": self.file, "line": self.line, "column": self.column,
            "field": self.field, "message": self.message, "suggestion": self.suggestion,
        }  # fmt: skip


class UsageError(Exception):
    """A call of the command line is itself wrong."""


class AtlasError(Exception):
    """A record folder cannot be loaded; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line, p.column, p.message))
        errors = sum(problem.severity is Severity.ERROR for problem in self.problems)
        lines = [f"{errors} error{'s' if errors != 1 else ''} in the records", *map(str, self.problems)]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[AtlasError], tuple[list[Problem]]]:
        # Otherwise the message would be taken for the problems where a worker process hands the error back.
        return type(self), (self.problems,)


def did_you_mean(word: str, known: Iterable[str], *, most: int = 3) -> str:
    """`did you mean ...?` with the closest known words, or the empty string."""
    import difflib  # late: only a mistake needs it

    close = difflib.get_close_matches(word, list(known), n=most, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{match}`' for match in close)}?" if close else ""


def _escape(text: str, *, in_text: bool = False) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped if in_text else escaped.replace(":", "%3A").replace(",", "%2C")
