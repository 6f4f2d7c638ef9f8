"""What a long run shows on standard error: a bar on a terminal, a line for each result elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column


@contextlib.contextmanager
def display(total: int, what: str) -> Iterator[Callable[[str, bool], None]]:
    """Show how far a run has come; call what is yielded once for each result.

    Parameters
    ----------
    total
        Number of results to come.
    what
        What is counted, in the plural (`claims`).

    Yields
    ------
    Callable
        `advance(line, keep)`: one more result. On a terminal the bar moves on and only a line to `keep` stays; elsewhere every line is printed.

    Examples
    --------
    >>> with display(1, "claims") as advance:
    ...     advance("holds  a/b/c", False)
    """
    if not sys.stderr.isatty() or not total:
        yield lambda line, keep: print(line, file=sys.stderr, flush=True)
        return
    # The line of the last result gives way where the terminal is narrow.
    last = TextColumn("{task.fields[line]}", style="dim", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    columns = (TextColumn(what), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), last)
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(what, total=total, line="")

        def advance(line: str, keep: bool) -> None:
            if keep:
                bar.console.print(line, markup=False, highlight=False)
            bar.update(task, advance=1, line=line)

        yield advance
