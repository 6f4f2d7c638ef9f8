"""Where a method with a function has to be named in the code, and whether it is: each missing place with the file and the line it belongs to.

The code is read as text and not run. What these rules say, the tests would say too, after minutes and with other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from taxonomy.authoring import listings
from taxonomy.authoring.exports import exported
from taxonomy.authoring.files import Checkout
from taxonomy.loading import Folder, dotted
from taxonomy.problems import Problem, Severity
from taxonomy.records import Method

_EXPORTS = "executable/__init__.py"
_CASES = "tests/executable/method_cases"
_FEWEST = 2
"""Oracles of a method."""


def unwired(folder: Folder, checkout: Checkout) -> Iterator[Problem]:
    """Warnings for the methods of a folder whose code lies in a checkout; what cannot be read is left to the faults of the checkout."""
    methods = [record for record in folder.records.values() if isinstance(record, Method) and record.implementation and record.status != "stub"]
    known = checkout.asked(_EXPORTS, exported)
    cases = {str(place.relative_to(checkout.root)) for place in (checkout.root / _CASES).glob("*.py")}
    words = {word for path in cases for word in re.findall(r"\w+", checkout.text(path))}
    complete = words and not cases & set(checkout.faults)
    for method in methods:
        function = str(method.implementation).split(":")[1]
        if known is not None and function not in known:
            where = _line(checkout.text(_EXPORTS), "__all__ = ")
            yield _at(_EXPORTS, where, f"`{function}` of method `{method.id}` cannot be imported from here", "import it and list it in `__all__`")
        if complete and function not in words:
            message = f"no case calls `{function}` of method `{method.id}`, so the contract of all methods is not asked of it"
            yield _at(f"{_CASES}/{function}_case.py", 1, message, f'write `CASES = [MethodCase("{method.id}", {function})]`')
        yield from _record_faults(folder, method)
        yield from _unfinished(checkout, method, function)
    yield from _unlisted(checkout, methods)


def _unlisted(checkout: Checkout, methods: Sequence[Method]) -> Iterator[Problem]:
    pictured, audited = checkout.asked(listings.GALLERY, listings.pictured), checkout.asked(listings.CATALOGUE, listings.audited)
    for method in methods:
        if pictured is not None and method.id not in pictured:
            gallery = checkout.text(listings.GALLERY)
            where = listings.list_of(gallery, _family(method)) or _line(gallery, "ABSENT = ")
            advice = f'add `Shown("{method.id}", ...)` here, or the reason why it has none to ABSENT'
            yield _at(listings.GALLERY, where, f"method `{method.id}` has no picture", advice)
        if audited is not None and method.id not in audited and method.id not in listings.UNAUDITED:
            where = _line(checkout.text(listings.CATALOGUE), "REFERENCES: ")
            advice = f'add `Reference("{method.id}", ...)` here, or the reason why not to UNAUDITED in taxonomy/authoring/listings.py'
            yield _at(listings.CATALOGUE, where, f"the audit compares nothing with method `{method.id}`", advice)


def _family(method: Method) -> str:
    """The family that its record claims, or in whose package its function lies."""
    parts = str(method.implementation).split(":")[0].split(".")
    return method.belongs_to[0].to if method.belongs_to else parts[2].replace("_", "-") if len(parts) > 2 else ""


def _record_faults(folder: Folder, method: Method) -> Iterator[Problem]:
    document = folder.documents[method.id]

    def at(field: str, message: str, suggestion: str) -> Problem:
        path: tuple[str | int, ...] = (field,)
        line, column = document.position(path)
        return Problem("unwired", message, document.file, line, column, dotted(path), suggestion, Severity.WARNING)

    if len(method.oracles) < _FEWEST:
        field = "oracles" if method.oracles else "implementation"
        yield at(field, f"method `{method.id}` has {len(method.oracles) or 'no'} oracle{'' if len(method.oracles) == 1 else 's'}",
                 f"name at least {_FEWEST} tests of its numbers under `oracles:`, of which one needs no other method")  # fmt: skip
    if method.cost is not None and not method.cost.evaluations:
        yield at(
            "cost", f"method `{method.id}` does not say how many evaluations it takes", "add `evaluations:`, such as `n + 1` or `min(2**n, 2050)`"
        )


def _unfinished(checkout: Checkout, method: Method, function: str) -> Iterator[Problem]:
    """What `atlas new` left to be written."""
    module = f"{str(method.implementation).split(':')[0].replace('.', '/')}.py"
    for path, sign, what in (
        (module, f'raise NotImplementedError("{function} is not written yet")', f"`{function}` is not written yet"),
        (
            f"tests/executable/methods/test_{function}.py",
            f'pytest.fail("compare {function} with',
            f"the test of the formula of `{method.id}` is not written yet",
        ),
    ):
        if sign in (text := checkout.text(path)):
            yield _at(path, _line(text, sign), what, "write it")


def _at(file: str, line: int, message: str, suggestion: str) -> Problem:
    return Problem("unwired", message, file, line, 1, "", suggestion, Severity.WARNING)


def _line(text: str, sign: str) -> int:
    return text[: max(text.find(sign), 0)].count("\n") + 1
