"""Each rule of deduction on hand-made knowledge, and what must hold of any knowledge."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxonomy.deduction import RULES, Contradiction, Edge, Fact, Knowledge, contradictions, deduce, is_unconditional, members, open_questions
from taxonomy.records import Claim, Evaluation, Theorem
from taxonomy.relations import RELATIONS

SOURCE = [{"work": "somewhere", "at": "Abstract"}]


def fact(text):
    return Fact(*text.split())


def edge(text):
    """An edge from `subject relation object`, with `if` behind it a conditional one and `disputed` a disputed one."""
    parts = text.split()
    extra = {"if": {"status": "conditional", "condition": "Sometimes."}, "disputed": {"status": "disputed"}}[parts[3]] if parts[3:] else {}
    claim = Claim.model_validate({"to": parts[2], "sources": SOURCE} | extra)
    return Edge(Fact(*parts[:3]), parts[0], claim, claim.sources, claim.condition)


def evaluation(family, principle, *verdicts):
    claims = {name: [{"to": target, "sources": SOURCE}] for name, target in (("evaluates", family), ("tests", principle))}
    fields = {"id": "study", "name": "Study", "summary": "A study.", "verdicts": [{"sources": SOURCE} | verdict for verdict in verdicts]}
    return Evaluation.model_validate(fields | claims)


def knowledge(*texts, records=(), refuted=(), found=None, ran=(), deduced=True):
    conditions = {fact(text): condition for text, condition in (found or {}).items()}
    known = Knowledge({record.id: record for record in records}, frozenset(map(fact, refuted)), conditions, frozenset(map(fact, (*refuted, *ran))))
    for record in records:
        if isinstance(record, Evaluation):
            for relation, claim in (("evaluates", record.evaluates[0]), ("tests", record.tests[0])):
                known.assert_edge(Edge(Fact(record.id, relation, claim.to), record.id, claim, claim.sources))
            for verdict in record.verdicts:
                for method in verdict.methods:
                    test = Fact(method, verdict.verdict, record.tests[0].to)
                    known.assert_edge(Edge(test, record.id, verdict, verdict.sources, verdict.condition))
    for text in texts:
        known.assert_edge(edge(text))
    if deduced:
        deduce(known)
    return known


def derived(known):
    return {str(found) for found, proof in known.proofs.items() if proof.rule != "symmetry"}


def kinds(**ids):
    return [SimpleNamespace(id=id_, kind=kind.replace("_", "-"), status="full") for kind, names in ids.items() for id_ in names.split()]


COMPOSITE = ("both comprises p", "both comprises q")
RULE_CASES = {
    "part of a satisfied composite": ((*COMPOSITE, "m satisfies both"), {"m satisfies p", "m satisfies q"}),
    "violated part": (("both comprises q", "m violates q"), {"m violates both"}),
    "all parts satisfied": ((*COMPOSITE, "m satisfies p", "m satisfies q"), {"m satisfies both"}),
    "only part not satisfied": ((*COMPOSITE, "m violates both", "m satisfies p"), {"m violates q"}),
    "another name": (("p corresponds-to q", "m satisfies p", "n violates q"), {"m satisfies q", "n violates p"}),
    "implied requirement": (("p implies q", "m satisfies p"), {"m satisfies q"}),
    "implied requirement violated": (("p implies q", "m violates q"), {"m violates p"}),
    "uniqueness result": (("t characterises m", "t assumes p", "t assumes q"), {"m satisfies p", "m satisfies q"}),
    "special case": (
        ("m special-case-of n", "n satisfies p", "n belongs-to f", "n reformulates-as g"), {"m satisfies p", "m belongs-to f", "m reformulates-as g"},
    ),
    "same attributions": (
        ("m equivalent-to n", "m satisfies p", "n violates q", "n reformulates-as g"), {"n satisfies p", "m violates q", "m reformulates-as g"},
    ),
    "rationale of the family": (("r grounds-members-of f", "m belongs-to f", "n belongs-to f"), {"m grounded-in r", "n grounded-in r"}),
    "transitivity": (
        ("a special-case-of b", "b special-case-of c", "c special-case-of d"), {"a special-case-of c", "b special-case-of d", "a special-case-of d"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULE_CASES)
class TestRules:
    def test_derives_what_follows_and_nothing_else(self, rule):
        texts, expected = RULE_CASES[rule]
        known = knowledge(*texts)
        assert derived(known) == expected
        assert {known.proofs[fact(text)].rule for text in expected} == {rule}

    @pytest.mark.parametrize("weakness", ["if", "disputed"])
    def test_a_conditional_or_disputed_premise_yields_nothing(self, rule, weakness):
        texts, expected = RULE_CASES[rule]
        for number in range(len(texts)):
            weakened = [f"{text} {weakness}" if place == number else text for place, text in enumerate(texts)]
            premise = fact(texts[number])
            left = knowledge(*weakened)
            assert derived(left) < expected, premise
            firm = [proof for proof in left.proofs.values() if proof.rule != "symmetry" and proof.condition is None]
            assert all(premise not in proof.premises for proof in firm)

    def test_a_refuted_premise_yields_nothing(self, rule):
        texts, expected = RULE_CASES[rule]
        for text in texts:
            assert derived(knowledge(*texts, refuted=[text])) < expected, text


def test_every_rule_is_tested_above_or_below():
    tested = {
        "quantified_verdicts",
        "conditional_equivalences",
        "composites",
        "correspondences",
        "implications",
        "uniqueness",
        "special_cases",
        "equivalences",
        "rationales",
        "transitivity",
    }
    assert {rule.__name__ for rule in RULES} == tested


class TestWhatDoesNotFollow:
    @pytest.mark.parametrize(
        "texts",
        [
            (*COMPOSITE, "m violates both"),
            (*COMPOSITE, "m satisfies p"),
            ("p implies q", "m satisfies q"),
            ("p implies q", "m violates p"),
            ("m special-case-of n", "n violates p"),
            ("m special-case-of n", "m satisfies p"),
            ("m variant-of n", "n satisfies p"),
            ("m approximates n", "n satisfies p"),
            ("m equivalent-to n", "m belongs-to f"),
            ("r underlies f", "m belongs-to f"),
            ("m reformulates-as g", "m satisfies p"),
            ("a variant-of b", "b variant-of c"),
        ],
    )
    def test_nothing(self, texts):
        assert derived(knowledge(*texts)) == set()

    def test_a_composite_with_an_uncertain_part_is_never_complete(self):
        assert derived(knowledge("both comprises p", "both comprises q disputed", "m satisfies p", "n violates both")) == set()

    def test_a_part_satisfied_under_a_condition_does_not_leave_one_part(self):
        assert derived(knowledge(*COMPOSITE, "m violates both", "m satisfies p if")) == set()

    def test_one_unconditional_assertion_suffices(self):
        assert derived(knowledge("p implies q", "m satisfies p if", "m satisfies p")) == {"m satisfies q"}

    def test_an_equivalence_refuted_in_one_direction_is_refuted(self):
        assert derived(knowledge("m equivalent-to n", "m satisfies p", "n satisfies q", refuted=["n equivalent-to m"])) == set()

    def test_refuted_conclusion_is_no_premise(self):
        known = knowledge("p implies q", "q implies r", "m satisfies p", refuted=["m satisfies q", "p implies r"])
        assert derived(known) == {"m satisfies q", "p implies r"}


VIOLATED_BY_ALL = {"verdict": "violates", "quantifier": "all"}
VIOLATED_BY_OTHERS = {"verdict": "violates", "quantifier": "others"}
SATISFIED_BY_A = {"verdict": "satisfies", "methods": ["a"]}
NONE = {"verdict": "satisfies", "none": True}
DEPENDS = {"verdict": "context-dependent", "quantifier": "all", "depends-on": ["weather"]}


class TestConditionalEquivalence:
    TEXTS = ("m equivalent-to n if", "m satisfies p", "n satisfies q", "m violates r", "m reformulates-as g", "p implies s")

    def test_carries_what_is_satisfied_both_ways_under_the_condition(self):
        known = knowledge(*self.TEXTS)
        assert derived(known) == {"m satisfies q", "n satisfies p", "m satisfies s", "n satisfies s"}
        assert known.proofs[fact("n satisfies p")].condition == known.proofs[fact("m satisfies q")].condition == "Sometimes."

    def test_does_not_go_from_one_condition_to_the_next(self):
        """Both conditions are on the settings of n, and may exclude each other."""
        assert derived(knowledge("m equivalent-to n if", "n equivalent-to k if", "m satisfies p")) == {"n satisfies p"}

    def test_what_follows_under_a_condition_hands_it_on(self):
        known = knowledge(*self.TEXTS, "q implies t")
        assert known.conditions(fact("m satisfies q")) == ("Sometimes.",)
        assert known.proofs[fact("m satisfies t")].conditions == ("Sometimes.",)
        assert known.proofs[fact("n satisfies t")].conditions == ()

    def test_a_disputed_one_carries_nothing(self):
        fields = {"id": "t", "name": "T", "summary": "T.", "type": "equivalence", "between": ["m", "n"], "standing": "disputed", "conditions": ["C."]}
        theorem = Theorem.model_validate(fields)
        known = knowledge("m satisfies p", deduced=False)
        known.assert_edge(Edge(fact("m equivalent-to n"), "t", theorem, (), "C."))
        deduce(known)
        assert derived(known) == set()

    def test_a_proof_without_condition_takes_its_place(self):
        known = knowledge(*self.TEXTS, "u implies v", "v implies q", "m satisfies u")
        assert (known.proofs[fact("m satisfies q")].rule, known.proofs[fact("m satisfies q")].condition) == ("implied requirement", None)

    @pytest.mark.parametrize("refuted", ["m equivalent-to n", "n equivalent-to m"])
    def test_refuted(self, refuted):
        assert derived(knowledge(*self.TEXTS, refuted=[refuted])) == {"m satisfies s"}

    def test_contradiction_with_it_is_marked(self):
        (found,) = contradictions(knowledge("m equivalent-to n if", "m satisfies p", "n violates p"))
        assert (found.first, found.conditional) == (fact("n satisfies p"), True)


class TestConditionsThatRunsFound:
    """A fact that the sources state without a condition, and a run only under one."""

    @pytest.mark.parametrize("rule", [rule for rule in RULE_CASES if rule != "transitivity"])
    def test_what_follows_follows_under_it_or_not_at_all(self, rule):
        texts, expected = RULE_CASES[rule]
        for text in texts:
            known = knowledge(*texts, found={text: "By day."})
            for name in derived(known):
                proof = known.proofs[fact(name)]
                subject, relation, object_ = text.split()
                rests = {fact(text), Fact(object_, relation, subject)} & set(proof.premises)
                assert proof.conditions == (("By day.",) if rests else ()), (text, name)
            for name in expected - derived(known):
                assert " violates " in name, name
                assert " violates " not in text, (text, name)

    def test_a_violation_does_not_travel_along_a_link_that_holds_only_sometimes(self):
        texts = ("m equivalent-to n", "m violates p", "m satisfies q")
        assert derived(knowledge(*texts, found={"m equivalent-to n": "By day."})) == {"n satisfies q"}
        assert derived(knowledge(*texts, found={"n equivalent-to m": "By day."})) == {"n satisfies q"}
        assert knowledge(*texts, found={"m violates p": "By day."}).proofs[fact("n violates p")].conditions == ("By day.",)

    def test_conditions_add_up_along_a_chain(self):
        texts = ("p corresponds-to q", "q implies r", "m satisfies p")
        known = knowledge(*texts, found={"m satisfies p": "By day.", "q implies r": "In summer.", "m satisfies q": "Outside."})
        assert known.proofs[fact("m satisfies q")].conditions == ("By day.",)
        assert known.conditions(fact("m satisfies q")) == ("By day.", "Outside.")
        assert known.proofs[fact("m satisfies r")].condition == "By day. And: Outside. And: In summer."

    def test_a_part_that_is_only_sometimes_satisfied_may_be_the_violated_one(self):
        texts = (*COMPOSITE, "m violates both", "m satisfies p", "m satisfies q")
        assert derived(knowledge(*texts)) == {"m satisfies both"}
        known = knowledge(*texts, found={"m satisfies q": "By day."})
        assert derived(known) == {"m satisfies both", "m violates q"}
        assert (known.proofs[fact("m satisfies both")].condition, known.proofs[fact("m violates q")].condition) == ("By day.", None)

    def test_membership_found_conditional_passes_on_what_is_satisfied(self):
        texts = ("a belongs-to f", "b belongs-to f")
        satisfied = evaluation("f", "p", {"verdict": "satisfies", "quantifier": "all"})
        known = knowledge(*texts, records=[satisfied], found={"a belongs-to f": "By day."})
        assert {str(f): proof.conditions for f, proof in known.proofs.items()} == {"a satisfies p": ("By day.",), "b satisfies p": ()}
        assert derived(knowledge(*texts, records=[evaluation("f", "p", VIOLATED_BY_ALL)], found={"a belongs-to f": "By day."})) == {"b violates p"}

    def test_a_firm_way_into_a_group_is_preferred(self):
        records = kinds(method="a", formulation_family="f g")
        known = knowledge(
            "all includes f", "all includes g", "a belongs-to f", "a belongs-to g", records=records, found={"a belongs-to f": "By day."}
        )
        assert members(known, "all") == [("a", fact("a belongs-to g"))]

    def test_contradiction_is_marked_as_conditional(self):
        (found,) = contradictions(knowledge("m satisfies p", "m violates p", found={"m satisfies p": "By day."}))
        assert (found.conditional, found.refuted) == (True, ())


class TestTheoremsThatRunsRefute:
    EQUAL = Theorem.model_validate({"id": "t", "name": "T", "summary": "T.", "type": "equivalence", "between": ["m", "n"], "unconditional": True})

    def known(self, **run):
        known = knowledge("m satisfies p", "m violates q", deduced=False)
        known.assert_edge(Edge(fact("m equivalent-to n"), "t", self.EQUAL, **run))
        deduce(known)
        return known

    def test_nothing_rests_on_them(self):
        assert derived(self.known()) == {"n satisfies p", "n violates q"}
        assert derived(self.known(refuted=True)) == set()

    def test_conditions_found_of_them_are_handed_on(self):
        known = self.known(found="By day.")
        assert derived(known) == {"n satisfies p"}
        assert known.proofs[fact("n satisfies p")].condition == "By day."

    def test_another_source_of_the_same_fact_still_counts(self):
        known = knowledge("m satisfies p", "m equivalent-to n", deduced=False)
        known.assert_edge(Edge(fact("m equivalent-to n"), "t", self.EQUAL, refuted=True))
        deduce(known)
        assert derived(known) == {"n satisfies p"}

    def test_refuted_conditional_equivalence(self):
        known = knowledge("m satisfies p", deduced=False)
        known.assert_edge(Edge(fact("m equivalent-to n"), "t", self.EQUAL, (), "Sometimes.", refuted=True))
        deduce(known)
        assert derived(known) == set()


class TestQuantifiedVerdicts:
    FAMILY = ("a belongs-to f", "b belongs-to f", "c belongs-to g")

    @pytest.mark.parametrize(
        ("verdicts", "expected"),
        [
            ([VIOLATED_BY_ALL, NONE], {"a violates p", "b violates p"}),
            ([SATISFIED_BY_A, VIOLATED_BY_OTHERS], {"b violates p"}),
            ([DEPENDS], {"a context-dependent p", "b context-dependent p"}),
            ([SATISFIED_BY_A, NONE], set()),
            ([VIOLATED_BY_ALL | {"status": "conditional", "condition": "At night."}], set()),
            ([VIOLATED_BY_ALL | {"status": "disputed"}], set()),
            ([VIOLATED_BY_ALL | {"status": "proved"}], {"a violates p", "b violates p"}),
        ],
    )
    def test_members(self, verdicts, expected):
        assert derived(knowledge(*self.FAMILY, records=[evaluation("f", "p", *verdicts)])) == expected

    @pytest.mark.parametrize("weak", [{"refuted": ["a belongs-to f"]}, {"refuted": ["study tests p"]}, {"refuted": ["study evaluates f"]}])
    def test_refuted_premise(self, weak):
        found = derived(knowledge(*self.FAMILY, records=[evaluation("f", "p", VIOLATED_BY_ALL)], **weak))
        assert "a violates p" not in found

    def test_once_refuted_of_one_member_it_says_nothing_of_members_without_a_run(self):
        texts = ("a belongs-to f", "b belongs-to f", "d belongs-to f", "p implies q", "o implies p")
        study = evaluation("f", "p", VIOLATED_BY_ALL)
        found = derived(knowledge(*texts, records=[study], refuted=["a violates p"], ran=["b violates p"]))
        assert found == {"a violates p", "b violates p", "b violates o", "o implies q"}
        assert "d violates p" in derived(knowledge(*texts, records=[study], ran=["b violates p"]))

    def test_conditional_member_is_left_out(self):
        assert derived(knowledge("a belongs-to f if", "b reformulates-as f", records=[evaluation("f", "p", VIOLATED_BY_ALL)])) == {"b violates p"}

    def test_groups_hold_methods_and_families(self):
        records = [*kinds(method="a b c", formulation_family="f"), evaluation("all", "p", VIOLATED_BY_ALL)]
        known = knowledge("all includes f", "all includes c", "a belongs-to f", "b belongs-to f if", records=records)
        assert derived(known) == {"a violates p", "c violates p"}
        assert members(known, "all") == [("a", fact("a belongs-to f")), ("c", fact("all includes c"))]

    def test_proof_names_the_evaluation(self):
        known = knowledge(*self.FAMILY, records=[evaluation("f", "p", VIOLATED_BY_ALL)])
        proof = known.proofs[fact("a violates p")]
        assert (proof.rule, proof.ground) == ("verdict on all members", "study")
        assert proof.premises == tuple(map(fact, ("a belongs-to f", "study evaluates f", "study tests p")))


class TestProofs:
    def test_shortest_proof_is_kept(self):
        chain = ("p implies q", "q implies r", "m satisfies p")
        assert knowledge(*chain).proofs[fact("m satisfies r")].premises[0].subject == "m"
        direct = knowledge(*chain, "s corresponds-to r", "m satisfies s")
        assert direct.proofs[fact("m satisfies r")].rule == "another name"

    def test_asserted_facts_get_no_proof(self):
        assert fact("m satisfies q") not in knowledge("p implies q", "m satisfies p", "m satisfies q").proofs

    def test_nothing_is_derived_of_itself(self):
        assert derived(knowledge("p implies q", "q implies p")) == set()

    def test_symmetric_assertion_holds_both_ways_once(self):
        known = knowledge("p corresponds-to q", "q corresponds-to p")
        assert set(known.edges) == {fact("p corresponds-to q"), fact("q corresponds-to p")}


class TestContradictions:
    def test_found(self):
        found = contradictions(knowledge("p implies q", "m satisfies p", "m violates q"))
        assert [str(item) for item in found] == ["m satisfies p / m violates p", "m satisfies q / m violates q"]
        assert found[0] == Contradiction(fact("m satisfies p"), fact("m violates p"), conditional=False)

    def test_decided_by_a_run(self):
        (found,) = contradictions(knowledge("m satisfies p", "m violates p", refuted=["m violates p"]))
        assert (found.conditional, found.refuted) == (False, (fact("m violates p"),))
        assert str(found) == "m satisfies p / m violates p (a run refutes the second)"

    def test_conditional_one_is_marked(self):
        (found,) = contradictions(knowledge("m satisfies p if", "m violates p"))
        assert found.conditional
        assert str(found).endswith("(one of them only under a condition)")

    def test_none(self):
        assert contradictions(knowledge("m satisfies p", "n violates p", "m violates q")) == []

    def test_of_the_fixture(self, atlas):
        assert [found.first.object for found in atlas.contradictions] == ["efficiency", "keeps-both", "keeps-sum"]


def test_open_questions():
    known = knowledge("m satisfies p", "n violates q if", records=kinds(method="m n", axiom="p"))
    assert open_questions(known, ["p", "q"]) == [("m", "q"), ("n", "p")]


@pytest.mark.parametrize(("unconditional", "firm"), [(True, True), (False, False)])
def test_an_equivalence_is_conditional_unless_it_says_otherwise(unconditional, firm):
    fields = {"id": "t", "name": "T", "summary": "T.", "type": "equivalence", "between": ["m", "n"], "unconditional": unconditional}
    theorem = Theorem.model_validate(fields)
    assert is_unconditional(Edge(fact("m equivalent-to n"), "t", theorem)) is firm


METHODS, FAMILIES, PRINCIPLES = [["m1", "m2", "m3", "m4"], ["f1", "f2"], ["p1", "p2", "p3"]]
SHAPES = [
    (METHODS, ["belongs-to", "reformulates-as"], FAMILIES), (METHODS, ["satisfies", "violates"], PRINCIPLES),
    (METHODS, ["special-case-of", "variant-of", "equivalent-to"], METHODS), (PRINCIPLES, ["implies", "corresponds-to", "comprises"], PRINCIPLES),
    (["t1", "t2"], ["characterises"], METHODS), (["t1", "t2"], ["assumes"], PRINCIPLES), (["r1"], ["grounds-members-of"], FAMILIES),
]  # fmt: skip
TEXTS = (
    st.one_of(
        *(
            st.tuples(st.sampled_from(subjects), st.sampled_from(relations), st.sampled_from(objects), st.sampled_from(["", "", " if"]))
            for subjects, relations, objects in SHAPES
        )
    )
    .filter(lambda parts: parts[0] != parts[2])
    .map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}{parts[3]}")
)
STUDIES = st.sampled_from(
    [(), (evaluation("f1", "p1", VIOLATED_BY_ALL),), (evaluation("f1", "p2", {"verdict": "satisfies", "methods": ["m1"]}, VIOLATED_BY_OTHERS),)]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(TEXTS, max_size=25),
    STUDIES,
    st.randoms(use_true_random=False),
    st.sets(st.integers(0, 24), max_size=3),
    st.sets(st.integers(0, 24), max_size=4),
)
def test_random_knowledge(texts, studies, random, refuted_places, found_places):
    refuted, found_of = ([" ".join(texts[place].split()[:3]) for place in places if place < len(texts)] for places in (refuted_places, found_places))
    conditions = {text: f"Condition of {text}." for text in found_of}
    known = knowledge(*texts, records=studies, refuted=refuted, found=conditions)

    for found, proof in known.proofs.items():
        assert found not in known.edges or proof.rule == "symmetry"
        assert all(premise in known for premise in proof.premises)
        if proof.rule not in {"symmetry", "same attributions under a condition"}:
            assert all(known.usable(premise) for premise in proof.premises)
        if proof.rule != "symmetry" and not proof.conditions:
            assert all(known.firm(premise) for premise in proof.premises)
        if proof.conditions and found.relation == "violates":
            assert all(known.firm(premise) for premise in proof.premises if premise.relation != "violates")
        assert proof.conditions or proof.rule != "same attributions under a condition"
        assert found.subject != found.object
        assert found.relation in RELATIONS

    for found in known.proofs:  # no proof runs in a circle
        open_, reached = [found], set()
        while open_:
            proof = known.proofs.get(open_.pop())
            for premise in proof.premises if proof else ():
                assert premise != found
                if premise not in reached:
                    reached.add(premise)
                    open_.append(premise)

    again = list(known.proofs)
    deduce(known)
    assert list(known.proofs) == again

    shuffled = list(texts)
    random.shuffle(shuffled)
    other = knowledge(*shuffled, records=studies, refuted=refuted, found=conditions)
    assert set(other.proofs) | set(other.edges) == set(known.proofs) | set(known.edges)
    unconditional = [{n for n, proof in either.proofs.items() if not proof.conditions and n not in either.edges} for either in (known, other)]
    assert unconditional[0] == unconditional[1]
    assert contradictions(other) == contradictions(known)
