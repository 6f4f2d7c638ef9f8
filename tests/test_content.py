"""What the records have to hold: every method that a source names, a place for every claim, every exhibit, equation and theorem."""

import re

import pytest

import taxonomy
from taxonomy import Severity
from taxonomy.bibliography import check
from taxonomy.locators import parse
from taxonomy.records import Claim, Document, Method, Model
from taxonomy.store import packaged_kb

SURVEY, TAYLOR = "deng2025attribution", "deng2024unifying"
UNNUMBERED = {7, 37}  # equations whose numbers the extracted text has lost; one may cite their sections instead

METHODS = """
    gradient smoothgrad deconv guided-backprop grad-times-input integrated-gradients path-integrated-gradients expected-gradients cam grad-cam
    score-cam lrp-0 lrp-epsilon lrp-alpha-beta lrp-alpha1-beta0 deep-taylor-decomposition deeplift-rescale deeplift-revealcancel deep-shap
    patternnet pattern-attribution excitation-backprop rect-gradient attribution-equilibrium mutual-information-preserving-backprop occlusion-1
    occlusion-patch prediction-difference shapley-value shapley-sampling kernel-shap gradient-shap sage loss-shap banzhaf-value rise
    average-causal-effect individual-causal-effect cxplain l2x causal-shapley rational-shapley weighted-shap vit-shapley
    propagated-shapley-values probability-of-sufficiency meaningful-perturbation extremal-perturbation real-time-image-saliency
    information-bottleneck guided-feature-inversion fine-grained-visual-explanations differentiated-explanation substructure-masking lime
    optilime s-lime baylime c-lime glime self-attention-attribution bert-attention-analysis vit-attention-analysis diffusion-attention-analysis
    daam ig2 local-path-integration randomised-path-ig harsanyi-dividend taylor-interaction-effect shapley-interaction-index
    shapley-taylor-index faith-shap integrated-hessians integrated-directional-gradients sparse-concept-interactions necessity-and-sufficiency
    indicator-function-attribution aumann-shapley-value bert-shapley
"""
FAMILIES = {
    "formulation-family": """
        attention gradient-times-input influential-subset layerwise-backprop local-surrogate modified-gradient perturbation
    """,
    "reformulation-family": """
        feature-additive feature-removal game-theoretic modified-gradient-times-input nonnegative-backprop path-integral
        taylor-interaction
    """,
    "paradigm": "effect-allocation input-intervention-impact local-sensitivity surrogate-modeling",
    "rationale": """
        causal-attribution deep-taylor first-order-taylor gradient-sensitivity information-theory interaction-effect-allocation
        surrogate-approximation
    """,
    "metric": "bounding-box-overlap fitting-error infidelity",
    "source": "arxivlens2025summary blog2026attribution deng2024unifying deng2025attribution taimeskhanov2025feature",
    "library": "captum lime-package shap shapiq zennit",
}


@pytest.fixture(scope="module")
def atlas():
    return taxonomy.load(cache=False)


def models(model):
    """A record and everything inside it."""
    yield model
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Model):
                yield from models(item)


def texts(value):
    """All strings in plain JSON values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.fixture(scope="module")
def places(atlas):
    """Per work, every place that some record cites."""
    found = {}
    for record in atlas.records.values():
        for model in models(record):
            if {"work", "at"} <= set(type(model).model_fields):
                found.setdefault(model.work, []).append(parse(model.at))
    return found


def test_records_have_no_problem_and_every_one_without_code_says_why():
    assert [str(problem) for problem in taxonomy.check() if problem.severity is not Severity.NOTE or problem.rule != "no-code"] == []


class TestMethods:
    def test_every_method_that_the_documents_name_is_there(self, atlas):
        assert set(METHODS.split()) - {record.id for record in atlas.methods()} == set()

    @pytest.mark.parametrize("method", [path.stem for path in sorted((packaged_kb() / "methods").glob("*.yaml"))])
    def test_every_method_is_written_or_a_stub_with_a_reference(self, atlas, method):
        record = atlas.records[method]
        assert record.kind == "method"
        if record.status == "stub":
            assert record.reference in atlas.bibliography
        else:
            fields = ("formula", "symbols", "idea", "misleads", "needs", "cost", "explains")
            assert [name for name in fields if not getattr(record, name)] == []

    def test_methods_of_tables_and_figure_are_written_out(self, atlas):
        cells = [cell for name in ("II", "III", "IV", "VII", "figure-4") for row in atlas.table(name) for cell in row["methods"]]
        named = {cell["id"] for cell in cells}
        named |= {id_ for row in atlas.table("VI") for verdict in row["verdicts"].values() for id_ in verdict["methods"]}
        assert len(named) > 35
        assert sorted(id_ for id_ in named if atlas.method(id_).status == "stub") == []


@pytest.mark.parametrize("kind", FAMILIES)
def test_complete_kinds(atlas, kind):
    found = [record.id for record in atlas.of_kind(kind)]
    # A new method may bring its own paper, of which the abstract is encoded.
    assert [id_ for id_ in found if kind != "source" or id_ in FAMILIES[kind].split() or atlas.records[id_].form != "abstract"] == FAMILIES[
        kind
    ].split()


class TestProvenance:
    def test_every_claim_has_a_place(self, atlas):
        claims = [(record.id, model) for record in atlas.records.values() for model in models(record) if isinstance(model, Claim)]
        assert len(claims) > 300
        assert [(id_, claim.to) for id_, claim in claims if not claim.sources] == []
        assert [edge.id for edge in atlas.edges if not edge.sources and edge.relation not in ("concerns", "provides")] == []

    def test_every_record_has_a_source_but_methods_that_no_document_mentions(self, atlas):
        bare = [r for r in atlas.records.values() if not r.sources and r.kind not in ("source", "library", "discrepancy")]
        assert {record.kind for record in bare} <= {"method"}
        assert sorted(record.id for record in bare if record.id in METHODS.split()) == []

    def test_methods_that_no_document_mentions_rest_on_their_reference_and_claim_nothing(self, atlas):
        found = [record for record in atlas.methods() if not record.sources]
        assert len(found) >= 5
        for record in found:
            assert record.reference in atlas.bibliography
            assert [model for model in models(record) if isinstance(model, Claim)] == []

    def test_printed_reference_numbers_lead_to_entries(self, atlas):
        for record in atlas.records.values():
            for model in models(record):
                for number in getattr(model, "ref", ()):
                    assert atlas.records[model.work].bibliography[number - 1] in atlas.bibliography

    def test_proved_claims_name_the_proof(self, atlas):
        unnamed = [
            (record.id, getattr(model, "to", getattr(model, "verdict", "")))
            for record in atlas.records.values()
            for model in models(record)
            if getattr(model, "status", "") == "proved" and not model.proof
        ]
        assert unnamed == []

    def test_conditional_claims_state_the_condition(self, atlas):
        silent = [r.id for r in atlas.records.values() for m in models(r) if getattr(m, "status", "") == "conditional" and not m.condition]
        assert silent == []


class TestSurvey:
    def test_148_references_in_order(self, atlas):
        keys = atlas.records[SURVEY].bibliography
        assert len(keys) == 148
        assert len(set(keys)) == 148
        assert set(keys) <= set(atlas.bibliography)
        fixed = {9: "sundararajan2017axiomatic", 14: "lundberg2017unified", 38: "deng2024unifying", 60: "sixt2020when", 99: "covert2021explaining"}
        assert {number: keys[number - 1] for number in fixed} == fixed

    @pytest.mark.parametrize("work", [SURVEY, TAYLOR])
    def test_every_numbered_statement_is_cited(self, atlas, places, work):
        document = atlas.records[work]
        assert isinstance(document, Document)
        for kind in ("equation", "theorem", "proposition"):
            cited = {number for place in places[work] if place.kind == kind for number in range(place.first, place.last + 1)}
            numbers = set(range(1, getattr(document, f"{kind}s") + 1))
            assert numbers - cited == (UNNUMBERED if (work, kind) == (TAYLOR, "equation") else set()) - cited, kind

    @pytest.mark.parametrize("work", [SURVEY, TAYLOR])
    def test_every_row_of_every_table_and_figure_is_cited(self, atlas, places, work):
        cited = {(place.label, place.row) for place in places[work]}
        if work == TAYLOR and ("Table III", "") in cited:  # its toy example is one record, which cites the table as a whole
            cited |= {("Table III", row) for exhibit in atlas.records[work].exhibits for row in exhibit.rows}
        rows = {(exhibit.label, row) for exhibit in atlas.records[work].exhibits for row in exhibit.rows}
        assert rows - cited == set()

    def test_every_leaf_section_is_cited(self, atlas, places):
        cited = {place.label for place in places[SURVEY]}
        labels = {section.label for section in atlas.records[SURVEY].sections}
        parents = {label.split("-")[0] for label in labels if "-" in label}
        assert labels - parents - cited == set()

    def test_notation(self, atlas):
        assert len(atlas.table("I")) == 20
        assert [row["row"] for row in atlas.table("I") if row["id"] is None] == []

    def test_all_sides_of_the_survey_are_there(self, atlas):
        types = {record.type for record in atlas.of_kind("insight")}
        assert {"insight", "guidance", "open problem", "limitation", "trap", "framework claim"} <= types


class TestTaylorPaper:
    @pytest.mark.parametrize("number", range(1, 16))
    def test_theorem(self, atlas, number):
        record = atlas.records[f"taylor-theorem-{number}"]
        assert (record.kind, record.type) == ("theorem", "theorem")
        assert f"Theorem {number}" in {source.at for source in record.sources if source.work == TAYLOR}
        assert record.formula
        assert record.concerns

    def test_proposition(self, atlas):
        record = atlas.records["taylor-proposition-1"]
        assert record.type == "proposition"
        assert record.formula

    def test_principles_correspond_to_those_of_the_survey(self, atlas):
        pairs = {
            "low-approximation-error": "effect-completeness",
            "no-unrelated-allocation": "allocation-correctness",
            "complete-allocation": "allocation-completeness",
        }
        for name, renamed in pairs.items():
            assert renamed in {neighbor.id for neighbor in atlas.neighbors(name, "corresponds-to")}


class TestStatements:
    @pytest.mark.parametrize(("type_", "least"), [("equivalence", 3), ("uniqueness", 4)])
    def test_equivalences_and_uniqueness_results(self, atlas, type_, least):
        found = [record for record in atlas.of_kind("theorem") if record.type == type_]
        assert len(found) >= least
        assert all(record.sources and record.summary for record in found)

    def test_equivalences_say_when_they_hold(self, atlas):
        silent = [r.id for r in atlas.of_kind("theorem") if r.type == "equivalence" and not (r.unconditional or r.conditions or r.unstated)]
        assert silent == []

    @pytest.mark.parametrize("tradition", ["game theory", "SHAP", "path methods"])
    def test_axioms_of_each_tradition(self, atlas, tradition):
        assert len([record for record in atlas.of_kind("axiom") if record.tradition == tradition]) >= 3

    def test_names_of_one_axiom_are_linked(self, atlas):
        assert {"completeness", "local-accuracy"} <= {neighbor.id for neighbor in atlas.neighbors("efficiency", "corresponds-to")}


class TestDiscrepancies:
    def test_more_than_a_hundred(self, atlas):
        assert len(atlas.of_kind("discrepancy")) >= 100

    def test_each_names_two_different_places_with_what_they_say(self, atlas):
        for record in atlas.of_kind("discrepancy"):
            assert len({(place.work, place.at) for place in record.between}) >= 2, record.id
            assert all(place.says.strip() for place in record.between), record.id
            assert record.meaning.strip(), record.id
            assert record.resolution.strip(), record.id

    def test_both_papers_and_the_blog_are_compared(self, atlas):
        works = {place.work for record in atlas.of_kind("discrepancy") for place in record.between}
        assert {SURVEY, TAYLOR, "blog2026attribution"} <= works


class TestText:
    PLACEHOLDER = re.compile(
        r"\b(TODO|TBD|FIXME|XXX|lorem ipsum|placeholder|to be written|coming soon|insert here|n/a)\b|\?\?\?|\.\.\.$", re.IGNORECASE
    )

    def test_no_placeholder(self, atlas):
        found = [(r.id, m.group(0)) for r in atlas.records.values() for text in texts(r.as_json()) if (m := self.PLACEHOLDER.search(text))]
        assert found == []

    def test_no_path_of_a_machine(self, atlas):
        found = [
            (r.id, text) for r in atlas.records.values() for text in texts(r.as_json()) if re.search(r"(^|[\s`(])/(work|tmp|home|root|usr)/", text)
        ]
        assert found == []

    def test_summaries_are_short_enough_for_a_card(self, atlas):
        long = [r.id for r in atlas.records.values() if len(r.summary.strip().split("\n\n")[0]) > 500]
        assert long == []

    def test_names_are_plain_text(self, atlas):
        assert [r.id for r in atlas.records.values() if re.search(r"[$`<>\\\n]|\*\*", r.name)] == []

    def test_ids_of_a_kind_never_differ_by_letter_case_or_hyphens_only(self, atlas):
        bare = [re.sub("[^a-z0-9]", "", id_) for id_ in atlas.records]
        assert sorted(id_ for id_ in bare if bare.count(id_) > 1) == []


def test_every_method_may_be_looked_up_by_each_of_its_names(atlas):
    for method in atlas.methods():
        assert isinstance(method, Method)
        for name in (method.id, method.name, method.abbreviation, *method.aliases):
            if name:
                assert atlas.method(name) is method, name


def test_keys_of_the_bibliography_are_unique_and_used(atlas):
    kb = packaged_kb()
    keys, problems = check(kb / "references.bib", "kb/references.bib")
    assert problems == []
    used = {key for record in atlas.records.values() for text in texts(record.as_json()) for key in [text] if key in keys}
    assert sorted(set(keys) - used - set(atlas.records)) == []
