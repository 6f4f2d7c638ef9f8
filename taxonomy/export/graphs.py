"""The graph for programs that draw and analyse graphs: GraphML, GEXF and the JSON of Cytoscape, all written by networkx.

A node is a record; an edge is a fact. Its id is the fact's with colons for slashes: GraphML allows no slash in an id.
"""

from __future__ import annotations

import io
import re
from typing import Any

import networkx as nx

from taxonomy.evidence import to_json
from taxonomy.export.files import Files
from taxonomy.export.whole import VERSIONS, Content, Values

# networkx dates what it writes and names its own version; neither is knowledge, and both would make equal content differ.
_DATE = re.compile(rb' lastmodifieddate="[^"]*"')
_NAME = re.compile(rb' name=""')  # no attribute of a graph in the schema of GEXF
_CREATOR = re.compile(rb"<creator>[^<]*</creator>")


def graph_of(whole: Values) -> nx.MultiDiGraph[str]:
    """The graph with plain values for attributes; an attribute that is not set is left out."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(**{name: whole[name] for name in VERSIONS})
    for record in whole["records"].values():
        abbreviation = record.get("abbreviation")
        values = {"label": abbreviation or record["name"], "name": record["name"], "kind": record["kind"], "status": record.get("status", "full")}
        graph.add_node(record["id"], **values)
    for fact in whole["facts"]:
        graph.add_edge(fact["subject"], fact["object"], key=fact["id"].replace("/", ":"), **_edge(fact))
    return graph


def _edge(fact: Values) -> Values:
    said = fact.get("assertions", [])
    proof = fact.get("proof", {})
    conditions = [*(assertion["condition"] for assertion in said if "condition" in assertion), *proof.get("conditions", ())]
    places = [f"{source['work']}: {source['at']}" for assertion in said for source in assertion.get("sources", ())]
    statuses = sorted({assertion["status"] for assertion in said if "status" in assertion})
    values = {
        "claim": fact["id"], "relation": fact["relation"], "basis": fact["basis"], "literature": ", ".join(statuses), "run": fact.get("run", ""),
        "rule": proof.get("rule", ""), "condition": " And: ".join(" ".join(text.split()) for text in dict.fromkeys(conditions)),
        "sources": "; ".join(dict.fromkeys(places)),
    }  # fmt: skip
    return {name: value for name, value in values.items() if value}


def graphml(content: Content) -> Files:
    """GraphML 1.0."""
    stream = io.BytesIO()
    # The writer made of the standard library: the one made of lxml, used where that is installed, indents otherwise.
    nx.write_graphml_xml(graph_of(content.whole), stream, named_key_ids=False, edge_id_from_attribute=None)
    return {"atlas.graphml": stream.getvalue() + b"\n"}


def gexf(content: Content) -> Files:
    """GEXF 1.2draft, as Gephi reads it."""
    stream = io.BytesIO()
    nx.write_gexf(graph_of(content.whole), stream)
    text = _NAME.sub(b"", _DATE.sub(b"", stream.getvalue()), count=1)
    # GEXF has no attributes of a graph, but a place for remarks.
    meta = f"<creator>Attribution Atlas</creator><description>{content.stamp}</description>".encode()
    return {"atlas.gexf": _CREATOR.sub(meta, text) + b"\n"}


def cytoscape(content: Content) -> Files:
    """The JSON that Cytoscape and Cytoscape.js read."""
    values: dict[str, Any] = nx.cytoscape_data(graph_of(content.whole))
    values["data"] = dict(values["data"])
    for edge in values["elements"]["edges"]:
        edge["data"] = {"id": edge["data"]["key"]} | edge["data"]
    return {"atlas.cyjs": to_json(values).encode()}
