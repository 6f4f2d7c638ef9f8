"""GraphML, GEXF and Cytoscape JSON: held against the rules of their schemas, and read again."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

import igraph
import networkx as nx
import pytest

from taxonomy import export
from taxonomy.export import graphs

TOKEN = re.compile(r"[\w.:-]+")  # NMTOKEN, as far as ASCII goes
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"
GEXF = "{http://www.gexf.net/1.2draft}"


@pytest.fixture(scope="module")
def content(kb_atlas):
    return export.Content(kb_atlas)


@pytest.fixture(scope="module")
def meant(content):
    return graphs.graph_of(content.whole)


@pytest.fixture(scope="module")
def made(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    for write in (graphs.graphml, graphs.gexf, graphs.cytoscape):
        for name, text in write(content).items():
            (folder / name).write_bytes(text)
    return folder


def test_a_node_is_a_record_and_an_edge_is_a_fact(meant, content):
    assert set(meant) == set(content.whole["records"])
    assert sorted(values["claim"] for *_, values in meant.edges(data=True)) == sorted(fact["id"] for fact in content.whole["facts"])
    ((_, _, values),) = (edge for edge in meant.edges(data=True) if edge[2]["claim"] == "integrated-gradients/reformulates-as/path-integral")
    assert values["basis"] == "asserted"
    assert values["run"] == "holds"
    assert "Table III" in values["sources"]


def graphml_faults(root):
    """What breaks the rules of the GraphML 1.0 schema, as far as its features are used here."""
    yield from (f"root {root.tag}" for _ in range(root.tag != f"{GRAPHML}graphml"))
    kinds = [child.tag.removeprefix(GRAPHML) for child in root]
    if kinds != ["key"] * (len(kinds) - 1) + ["graph"]:
        yield f"children {Counter(kinds)}"
    keys = {key.get("id"): key for key in root.iter(f"{GRAPHML}key")}
    for key in keys.values():
        if key.get("for") not in {"graph", "node", "edge"} or key.get("attr.type") not in {"boolean", "int", "long", "float", "double", "string"}:
            yield f"key {key.attrib}"
        if not TOKEN.fullmatch(key.get("attr.name", "")) or not TOKEN.fullmatch(key.get("id", "")):
            yield f"key {key.attrib}"
    graph = root.find(f"{GRAPHML}graph")
    if graph.get("edgedefault") != "directed":
        yield "edgedefault"
    nodes, edges = ([item for item in graph if item.tag == GRAPHML + name] for name in ("node", "edge"))
    ids = [node.get("id") for node in nodes]
    for kind, items in (("node", nodes), ("edge", edges)):
        names = [item.get("id", "") for item in items]
        yield from (f"{kind} id {name}" for name, count in Counter(names).items() if count > 1 or not TOKEN.fullmatch(name))
        for item in items:
            used = [data.get("key") for data in item]
            if len(used) != len(set(used)) or any(data.tag != f"{GRAPHML}data" or keys[data.get("key")].get("for") != kind for data in item):
                yield f"{kind} {item.get('id')}"
    yield from (f"edge {edge.get('id')}" for edge in edges if not {edge.get("source"), edge.get("target")} <= set(ids))
    yield from (child.tag for child in graph if child.tag not in {f"{GRAPHML}node", f"{GRAPHML}edge", f"{GRAPHML}data"})
    yield from (data.get("key") for data in graph.findall(f"{GRAPHML}data") if keys[data.get("key")].get("for") != "graph")


class TestGraphml:
    def test_keeps_the_rules_of_the_schema(self, made):
        assert list(graphml_faults(ET.parse(made / "atlas.graphml").getroot())) == []

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda root, graph: graph.append(ET.Element(f"{GRAPHML}vertex")),
            lambda root, graph: graph[0].set("id", "two words"),
            lambda root, graph: graph[1].set("id", graph[0].get("id")),
            lambda root, graph: graph.findall(f"{GRAPHML}edge")[-1].set("target", "nowhere"),
            lambda root, graph: graph[0].append(graph[0][0]),
            lambda root, graph: root[0].set("attr.type", "text"),
        ],
    )
    def test_the_rules_notice_a_fault(self, made, spoil):
        root = ET.parse(made / "atlas.graphml").getroot()
        spoil(root, root.find(f"{GRAPHML}graph"))
        assert list(graphml_faults(root))

    def test_igraph_reads_the_same(self, made, meant):
        found = igraph.Graph.Read_GraphML(str(made / "atlas.graphml"))
        assert (found.vcount(), found.ecount()) == (meant.number_of_nodes(), meant.number_of_edges())
        assert {vertex["id"]: (vertex["label"], vertex["kind"]) for vertex in found.vs} == {
            node: (values["label"], values["kind"]) for node, values in meant.nodes(data=True)
        }
        pairs = {edge["claim"]: (found.vs[edge.source]["id"], found.vs[edge.target]["id"], edge["relation"]) for edge in found.es}
        assert pairs == {values["claim"]: (source, target, values["relation"]) for source, target, values in meant.edges(data=True)}

    def test_networkx_reads_the_same(self, made, meant):
        found = nx.read_graphml(made / "atlas.graphml", force_multigraph=True)
        assert dict(found.nodes(data=True)) == dict(meant.nodes(data=True))
        assert {key: values for *_, key, values in found.edges(keys=True, data=True)} == {
            key: values | {"id": key} if "id" in next(iter(found.edges(data=True)))[2] else values
            for *_, key, values in meant.edges(keys=True, data=True)
        }


def gexf_faults(root):
    """What breaks the rules of the GEXF 1.2draft schema, as far as its features are used here."""
    allowed = {
        "gexf": ({"version", "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"}, ["meta", "graph"]),
        "meta": ({"lastmodifieddate"}, ["creator", "description"]), "creator": (set(), []), "description": (set(), []),
        "graph": ({"defaultedgetype", "mode", "idtype", "timeformat", "start", "end"}, ["attributes", "nodes", "edges"]),
        "attributes": ({"class", "mode"}, ["attribute"]), "attribute": ({"id", "title", "type"}, []),
        "nodes": ({"count"}, ["node"]), "node": ({"id", "label"}, ["attvalues"]),
        "edges": ({"count"}, ["edge"]), "edge": ({"id", "source", "target", "type", "label", "weight"}, ["attvalues"]),
        "attvalues": (set(), ["attvalue"]), "attvalue": ({"for", "value"}, []),
    }  # fmt: skip
    for item in root.iter():
        name = item.tag.removeprefix(GEXF)
        if name not in allowed:
            yield f"element {name}"
            continue
        attributes, children = allowed[name]
        yield from (f"{name}@{other}" for other in set(item.keys()) - attributes)
        yield from (f"{name}/{child.tag}" for child in item if child.tag.removeprefix(GEXF) not in children)
    if root.get("version") != "1.2":
        yield "version"
    declared = {
        group.get("class"): {item.get("id") for item in group if item.get("type") == "string" and item.get("title")}
        for group in root.iter(f"{GEXF}attributes")
    }
    ids = [node.get("id") for node in root.iter(f"{GEXF}node")]
    for kind in ("node", "edge"):
        names = [item.get("id") for item in root.iter(GEXF + kind)]
        yield from (f"{kind} id {name}" for name, count in Counter(names).items() if count > 1 or not name)
        for item in root.iter(GEXF + kind):
            if not {value.get("for") for value in item.iter(f"{GEXF}attvalue")} <= declared[kind]:
                yield f"{kind} {item.get('id')}"
    yield from (f"edge {edge.get('id')}" for edge in root.iter(f"{GEXF}edge") if not {edge.get("source"), edge.get("target")} <= set(ids))


class TestGexf:
    def test_keeps_the_rules_of_the_schema(self, made):
        assert list(gexf_faults(ET.parse(made / "atlas.gexf").getroot())) == []

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda graph: graph.set("name", ""),
            lambda graph: graph.append(ET.Element(f"{GEXF}node")),
            lambda graph: graph.find(f"{GEXF}edges")[0].set("source", "nowhere"),
            lambda graph: graph.find(f"{GEXF}nodes")[0].set("id", graph.find(f"{GEXF}nodes")[1].get("id")),
            lambda graph: next(graph.find(f"{GEXF}nodes").iter(f"{GEXF}attvalue")).set("for", "99"),
        ],
    )
    def test_the_rules_notice_a_fault(self, made, spoil):
        root = ET.parse(made / "atlas.gexf").getroot()
        spoil(root.find(f"{GEXF}graph"))
        assert list(gexf_faults(root))

    def test_is_read_again(self, made, meant):
        found = nx.read_gexf(made / "atlas.gexf")
        assert {node: values["kind"] for node, values in found.nodes(data=True)} == {node: v["kind"] for node, v in meant.nodes(data=True)}
        assert sorted((values["claim"], values["relation"], values["basis"]) for *_, values in found.edges(data=True)) == sorted(
            (values["claim"], values["relation"], values["basis"]) for *_, values in meant.edges(data=True)
        )

    def test_names_no_day(self, made):
        text = (made / "atlas.gexf").read_text(encoding="utf-8")
        assert "lastmodified" not in text
        assert "NetworkX" not in text


class TestCytoscape:
    def test_has_the_elements_that_cytoscape_wants(self, made, meant):
        elements = json.loads((made / "atlas.cyjs").read_text(encoding="utf-8"))["elements"]
        nodes = {node["data"]["id"] for node in elements["nodes"]}
        assert nodes == set(meant)
        ids = [edge["data"]["id"] for edge in elements["edges"]]
        assert len(ids) == len(set(ids)) == meant.number_of_edges()
        assert not nodes & set(ids)
        assert all({edge["data"]["source"], edge["data"]["target"]} <= nodes for edge in elements["edges"])

    def test_is_read_again(self, made, meant):
        found = nx.cytoscape_graph(json.loads((made / "atlas.cyjs").read_text(encoding="utf-8")))
        assert sorted(found.edges(keys=True)) == sorted(meant.edges(keys=True))
        assert {node: found.nodes[node]["kind"] for node in found} == {node: meant.nodes[node]["kind"] for node in meant}
