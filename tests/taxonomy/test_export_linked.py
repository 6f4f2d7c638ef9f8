"""Turtle and JSON-LD, read again by rdflib."""

import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import hypothesis
import hypothesis.strategies as st
import pytest
import rdflib
from rdflib.compare import isomorphic
from rdflib.namespace import RDF, RDFS, SKOS

from taxonomy import export
from taxonomy.export import linked, rdf, vocabulary
from taxonomy.records import KINDS
from taxonomy.relations import RELATIONS

PAGE = Path(__file__).parent.parent.parent / "site" / "pages" / "data.md"
ATLAS = rdflib.Namespace(vocabulary.TERMS)
ID = rdflib.Namespace(vocabulary.IDS)

# rdflib warns of a class of its own that its reader of JSON-LD still uses.
pytestmark = pytest.mark.filterwarnings("ignore:.*ConjunctiveGraph is deprecated.*:DeprecationWarning")


def read(made, format_):
    (text,) = made.values()
    return rdflib.Graph().parse(data=text, format=format_)


@pytest.fixture(scope="module")
def content(kb_atlas):
    return export.Content(kb_atlas)


@pytest.fixture(scope="module")
def graph(content):
    return read(rdf.turtle(content), "turtle")


def test_both_formats_say_the_same(content, graph):
    again = read(rdf.json_ld(content), "json-ld")
    assert len(graph) == len(again) == len(linked.triples(content.whole))
    assert isomorphic(graph, again)


def test_what_is_read_is_what_was_meant(content, graph):
    def of(value):
        if isinstance(value, vocabulary.Iri):
            return rdflib.URIRef(value.text)
        return rdflib.Literal(value.text, datatype=value.datatype, lang=value.language)

    assert {tuple(map(of, triple)) for triple in linked.triples(content.whole)} == set(graph)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(text=st.text(st.characters(exclude_categories=["Cs"])), name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@hypothesis.example(text='quote " backslash \\ line\nfeed\ttab \r end \\n', name="a b/c<d>")
def test_any_text_and_any_name_survive(text, name):
    said = {vocabulary.Literal(text), vocabulary.Literal(text, language="en"), vocabulary.named("place", name)}
    content = SimpleNamespace(whole=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rdf, "triples", lambda whole: [(vocabulary.named(name), vocabulary.term("skos:note"), value) for value in said])
        graphs = [read(rdf.turtle(content), "turtle"), read(rdf.json_ld(content), "json-ld")]
    for graph in graphs:
        assert set(graph.subjects()) == {ID[quote(name, safe="-_.~")]}
        assert {(str(value), getattr(value, "language", None)) for value in graph.objects() if isinstance(value, rdflib.Literal)} == {
            (text, None), (text, "en"),
        }  # fmt: skip
        assert ID[f"place/{quote(name, safe='-_.~')}"] in set(graph.objects())


class TestContent:
    def test_a_method_is_a_concept_with_names(self, graph):
        it = ID["integrated-gradients"]
        assert {ATLAS["Method"], SKOS.Concept} <= set(graph.objects(it, RDF.type))
        assert graph.value(it, SKOS.prefLabel) == rdflib.Literal("Integrated Gradients", lang="en")
        assert (it, SKOS.broader, ID["gradient-times-input"]) in graph

    def test_every_fact_is_a_claim_and_only_sound_ones_are_stated_plainly(self, content, graph):
        plain = 0
        for fact in content.whole["facts"]:
            claim = rdflib.URIRef(linked.claim_iri(fact["id"]).text)
            assert (claim, RDF.predicate, ATLAS[fact["relation"]]) in graph
            stated = (ID[fact["subject"]], ATLAS[fact["relation"]], ID[fact["object"]]) in graph
            assert stated == linked.stands(fact)
            plain += stated
            if fact.get("run") == "fails":
                assert not stated, fact["id"]
        assert 0 < plain < len(content.whole["facts"])

    @pytest.mark.parametrize(
        ("fact", "stands"),
        [
            ({"assertions": [{"by": "x"}]}, True),
            ({"assertions": [{"by": "x", "status": "disputed"}]}, False),
            ({"assertions": [{"by": "x", "condition": "if"}, {"by": "y", "status": "proved"}]}, True),
            ({"assertions": [{"by": "x"}], "run": "fails"}, False),
            ({"proof": {"rule": "r"}}, True),
            ({"proof": {"rule": "r", "conditions": ["if"]}}, False),
        ],
    )
    def test_when_a_fact_is_stated_plainly(self, fact, stands):
        assert linked.stands(fact) is stands

    def test_no_triple_hangs_in_the_air(self, graph):
        """Whatever of ours is pointed at is described, and every term of ours is defined."""
        ours = {node for triple in graph for node in triple if isinstance(node, rdflib.URIRef) and str(node).startswith(vocabulary.HOME)}
        described = set(graph.subjects())
        assert not ours - described
        for name in ours:
            if str(name).startswith(vocabulary.TERMS):
                assert graph.value(name, RDFS.comment), name

    def test_a_derivation_can_be_followed(self, graph):
        rows = graph.query(
            """
            PREFIX atlas: <https://attribution-atlas.github.io/vocabulary#>
            SELECT ?rule (COUNT(?premise) AS ?premises) WHERE {
              ?proof a atlas:Derivation ; atlas:derives ?claim ; atlas:rule ?rule ; atlas:premise ?premise .
            } GROUP BY ?proof ?rule
            """
        )
        assert {str(row.rule) for row in rows} >= {"special case", "same attributions"}

    def test_assertions_cite_the_works_that_make_them(self, graph):
        cites = rdflib.URIRef(vocabulary.PREFIXES["cito"] + "citesAsAuthority")
        for assertion in graph.subjects(RDF.type, ATLAS["Assertion"]):
            for place in graph.objects(assertion, ATLAS["statedAt"]):
                work = str(graph.value(place, ATLAS["inWork"])).removeprefix(str(ID))
                assert (assertion, cites, ID[f"work/{work}"]) in graph


def test_names_of_a_concept_differ(graph):
    """SKOS asks that a preferred name is no other name of the same concept, and that there is one in each language."""
    for concept in graph.subjects(RDF.type, SKOS.Concept):
        preferred = list(graph.objects(concept, SKOS.prefLabel))
        assert len(preferred) == 1
        assert preferred[0] not in set(graph.objects(concept, SKOS.altLabel))


def test_a_property_of_ours_is_no_relation():
    assert not vocabulary.PROPERTIES.keys() & RELATIONS.keys()
    assert not vocabulary.CLASSES.keys() & {vocabulary.class_of(kind).text.rpartition("#")[2] for kind in KINDS}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_explains_every_term():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    terms = vocabulary.CLASSES | vocabulary.PROPERTIES
    assert rows.keys() == terms.keys()
    assert all(meaning in rows[name] and (broader is None or f"`{broader}`" in rows[name]) for name, (meaning, broader) in terms.items())


def test_the_examples_of_the_page_are_true(graph):
    (example,) = blocks("turtle")
    prefixes = "".join(f"@prefix {prefix}: <{address}> .\n" for prefix, address in vocabulary.PREFIXES.items())
    said = set(rdflib.Graph().parse(data=prefixes + example, format="turtle"))
    assert said
    assert said <= set(graph)
    (query,) = blocks("sparql")
    assert len(graph.query(query)) == sum(1 for _ in graph.subjects(ATLAS["outcome"], rdflib.Literal("fails")))
