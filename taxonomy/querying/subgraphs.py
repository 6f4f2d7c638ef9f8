"""Parts of the graph: what lies around some records, along some relations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import networkx as nx

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


Triple = tuple[str, str, str]


def _kept(atlas: Atlas, relations: Iterable[str] | None) -> set[str] | None:
    """Relations by their own names; None for all."""
    return None if relations is None else {atlas.relation(name).name for name in ([relations] if isinstance(relations, str) else relations)}


def path_along(atlas: Atlas, first: str, second: str, relations: Iterable[str]) -> list[Triple]:
    """A shortest path along some relations only; see `Atlas.path`."""
    kept = _kept(atlas, relations)
    start, end = atlas.find(first).id, atlas.find(second).id
    steps: dict[tuple[str, str], str] = {}
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from((start, end))
    for fact, _, _ in atlas.facts():
        if kept is None or fact.relation in kept:
            graph.add_edge(fact.subject, fact.object)
            steps.setdefault((fact.subject, fact.object), fact.relation)
            steps.setdefault((fact.object, fact.subject), atlas.relation(fact.relation).inverse)
    try:
        nodes: list[str] = nx.shortest_path(graph, start, end)
    except nx.NetworkXNoPath:
        raise KeyError(f"no path along {', '.join(sorted(kept or ()))} joins `{start}` and `{end}`") from None
    return [(left, steps[left, right], right) for left, right in itertools.pairwise(nodes)]


def subgraph(
    atlas: Atlas, names: Iterable[str], *, relations: Iterable[str] | None = None, depth: int = 1, derived: bool = True
) -> nx.MultiDiGraph[str]:
    """The graph of the records named and of all that are at most `depth` relations away; see `Atlas.subgraph`."""
    if depth < 0:
        raise ValueError(f"depth counts relations from 0, not {depth}")
    kept = _kept(atlas, relations)
    reached = {atlas.find(name).id for name in names}
    edges = [
        (first, second, key)
        for first, second, key, data in atlas.graph.edges(keys=True, data=True)
        if (kept is None or data["relation"] in kept) and (derived or not data["derived"])
    ]
    for _ in range(depth):
        grown = reached | {b for a, b, _ in edges if a in reached} | {a for a, b, _ in edges if b in reached}
        if grown == reached:
            break
        reached = grown
    made: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    made.add_nodes_from((id_, data) for id_, data in atlas.graph.nodes(data=True) if id_ in reached)
    for a, b, key in edges:
        if a in reached and b in reached:
            made.add_edge(a, b, key, **atlas.graph.edges[a, b, key])
    return made
