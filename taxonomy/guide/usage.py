"""How to use a method once it is chosen: its parameters, where it misleads, code to run, and the same elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy.guide.examples import EXAMPLES, script
from taxonomy.records import Insight, Library

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user of a method needs to know."""

    method: str
    advice: tuple[str, ...]
    """Parameters with their usual values, and what the survey advises (Sec. V-A)."""
    limits: tuple[str, ...]
    code: str
    """A complete script that prints an attribution; the tests run it."""
    peers: tuple[str, ...]
    """Names of the same method in other libraries, with what a comparison found."""


def usage(atlas: Atlas, name: str) -> Usage:
    """How to use a method; raises KeyError if nothing is known by that name.

    Examples
    --------
    >>> import taxonomy
    >>> usage(taxonomy.load(), "integrated-gradients").code.splitlines()[3]
    'from executable import integrated_gradients'
    """
    method = atlas.method(name)
    advice = [f"{p.name}: {_sentence(p.meaning)}" + (f" Usual: {_sentence(p.usual)}" if p.usual else "") for p in method.parameters]
    for record in atlas.of_kind("insight"):
        assert isinstance(record, Insight)
        for item in record.advice:
            if item.rather_than == method.id:
                favoured = ", ".join(atlas.records[id_].title for id_ in item.favours)
                places = "; ".join(atlas.cite(source) for source in record.sources)
                advice.append(f"Consider {favoured}: {' '.join(item.because.split())} ({places}).")
    compared = {(i.method, i.name): i.verdict for library in atlas.conformance.values() for i in library.methods}
    peers = []
    for library in atlas.of_kind("library"):
        assert isinstance(library, Library)
        for provided in library.provides:
            if provided.method == method.id:
                verdict = compared.get((method.id, provided.name))
                peers.append(f"{provided.name}" + (f" ({verdict} with ours)" if verdict else ""))
    return Usage(
        method.id, tuple(advice), (method.misleads,) if method.misleads else (), _code(method.implementation, atlas, method.id), tuple(peers)
    )


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else f"{line}."


def _code(link: str | None, atlas: Atlas, id_: str) -> str:
    if link is None:
        return f"no reference function: {atlas.records[id_].unchecked or 'see the record'}"
    module, _, function = link.partition(":")
    return script(id_, function) if id_ in EXAMPLES else f"from {module} import {function}"
