"""Parts of the graph: what lies around some records, along some relations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import networkx as nx

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


def subgraph(
    atlas: Atlas, names: Iterable[str], *, relations: Iterable[str] | None = None, depth: int = 1, derived: bool = True
) -> nx.MultiDiGraph[str]:
    """The graph of the records named and of all that are at most `depth` relations away; see `Atlas.subgraph`."""
    if depth < 0:
        raise ValueError(f"depth counts relations from 0, not {depth}")
    kept = None if relations is None else {atlas.relation(name).name for name in ([relations] if isinstance(relations, str) else relations)}
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
