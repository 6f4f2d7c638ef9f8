"""Text files as commands read them before they judge or change them: what cannot be read is told with file and line, and never a traceback."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from taxonomy.guarded import MOST_BIBLIOGRAPHY, RefusedFileError, read_bytes
from taxonomy.problems import Problem

Answer = TypeVar("Answer")


class UnreadableError(ValueError):
    """A file that cannot be read as what it should be: `reason` says why, without its path, and `line` where, or 0."""

    def __init__(self, reason: str, line: int = 0) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"line {line}: {reason}" if line else reason)


def text_of(path: Path, most: int = MOST_BIBLIOGRAPHY) -> str:
    """The text of a plain file in UTF-8, with its line ends as they are.

    Raises
    ------
    UnreadableError
        If it is not there, no regular file, larger than `most` bytes, or in another encoding.
    """
    try:
        raw = read_bytes(path, most)
    except RefusedFileError as error:
        raise UnreadableError(str(error)) from None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8: byte {raw[error.start]:#04x}", raw.count(b"\n", 0, error.start) + 1) from None


def tree_of(text: str) -> ast.Module:
    """Python, parsed and not run.

    Raises
    ------
    UnreadableError
        If it is not valid, as while somebody writes at it.
    """
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise UnreadableError(f"not valid Python: {error.msg}", error.lineno or 1) from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; brackets nested without end
        raise UnreadableError(f"not valid Python: {error or 'nested too deep'}", 1) from None


class Checkout:
    """The code beside the records, read and not run. A file that cannot be read is a fault once, and nothing more is said about what it holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[str, Problem] = {}

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """Keep an `UnreadableError` of this file as its fault."""
        try:
            yield
        except UnreadableError as error:
            advice = "until it can be read, what it should hold is not checked"
            self.faults[file] = Problem("code", error.reason, file, error.line or 1, suggestion=advice)

    def asked(self, file: str, question: Callable[[str], Answer]) -> Answer | None:
        """What `question` finds in the text of a file; None if the file is not there or cannot be read."""
        answer = None
        if os.path.lexists(self.root / file):
            with self.reading(file):
                answer = question(text_of(self.root / file))
        return answer

    def text(self, file: str) -> str:
        """The text of a file; empty if it is not there or cannot be read."""
        return self.asked(file, str) or ""
