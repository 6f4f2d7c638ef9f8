"""The atlas as a networkx graph."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import networkx as nx

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


def build(atlas: Atlas) -> nx.MultiDiGraph[str]:
    """Nodes are record ids; parallel edges are different assertions of one fact, or different relations."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for record in atlas.records.values():
        graph.add_node(record.id, record=record, kind=record.kind, name=record.name)
    for fact, edges, proof in atlas.facts():
        evidence = atlas.evidence.get("/".join(fact))
        for edge in edges:
            graph.add_edge(
                fact.subject, fact.object, relation=fact.relation, holder=edge.holder, sources=edge.sources, condition=edge.condition,
                evidence=evidence, derived=False, proof=None,
            )  # fmt: skip
        if proof is not None:
            graph.add_edge(
                fact.subject, fact.object, relation=fact.relation, holder=proof.ground, sources=(), condition=proof.condition, evidence=evidence,
                derived=True, proof=proof,
            )  # fmt: skip
    return graph


def path(atlas: Atlas, first: str, second: str) -> list[tuple[str, str, str]]:
    """A shortest path between two records as steps (record, relation, record); a relation walked backwards has its inverse name.

    Raises
    ------
    KeyError
        If a record is unknown, or if no path joins them.
    """
    from taxonomy.relations import RELATIONS

    start, end = atlas.find(first).id, atlas.find(second).id
    try:
        nodes = nx.shortest_path(atlas.graph.to_undirected(as_view=True), start, end)
    except nx.NetworkXNoPath:
        raise KeyError(f"no path joins `{start}` and `{end}`") from None
    steps = []
    for left, right in itertools.pairwise(nodes):
        if atlas.graph.has_edge(left, right):
            relation = min(data["relation"] for data in atlas.graph.get_edge_data(left, right).values())
        else:
            relation = RELATIONS[min(data["relation"] for data in atlas.graph.get_edge_data(right, left).values())].inverse
        steps.append((left, relation, right))
    return steps
