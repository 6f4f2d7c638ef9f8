"""Asking for many records at once: filters that compose, set algebra with four-way answers, and the query language.

>>> import taxonomy
>>> atlas = taxonomy.load()
>>> answer = atlas.query("method satisfies completeness and not satisfies efficiency").answer()
>>> sorted(answer.counts)
['contested', 'no', 'unknown', 'yes']

The modules are imported when something in them is first asked for: an atlas that is only looked up in needs none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxonomy.querying.answer import Answer, Judged
    from taxonomy.querying.asking import Asking
    from taxonomy.querying.expressions import Query, QueryError, parse
    from taxonomy.querying.impossibility import Impossibility
    from taxonomy.querying.selection import Selection
    from taxonomy.querying.truth import Reason, Standing, Truth

_HOMES = {
    "Answer": "answer", "Asking": "asking", "Judged": "answer", "Query": "expressions", "QueryError": "expressions", "parse": "expressions",
    "Impossibility": "impossibility", "Selection": "selection", "Reason": "truth", "Standing": "truth", "Truth": "truth",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


__all__ = ["Answer", "Asking", "Impossibility", "Judged", "Query", "QueryError", "Reason", "Selection", "Standing", "Truth", "parse"]
