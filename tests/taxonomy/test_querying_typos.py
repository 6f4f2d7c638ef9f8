"""Nothing answers a typo with `None` or an empty list: every public way to ask is asked with misspelt names, and says what was meant."""

import contextlib

import hypothesis
import hypothesis.strategies as st
import pytest

from taxonomy import export
from taxonomy.coverage import STANDINGS
from taxonomy.deduction import Fact
from taxonomy.guide.questions import ANSWERS
from taxonomy.querying.frames import TABLES as FRAMES
from taxonomy.querying.naming import words_of
from taxonomy.records import KINDS
from taxonomy.relations import INVERSES, RELATIONS

METHOD, PRINCIPLE, KIND, RELATION = "shapley-sampling", "keeps-both", "method", "reformulates-as"
ASKED = {
    # What is asked, as a function of the atlas and a name; and a right name.
    "record": (lambda a, name: a.record(name), METHOD),
    "of_kind": (lambda a, name: a.of_kind(name), KIND),
    "find": (lambda a, name: a.find(name), METHOD),
    "find of a kind": (lambda a, name: a.find(name, "method"), METHOD),
    "find, the kind": (lambda a, name: a.find(METHOD, name), KIND),
    "method": (lambda a, name: a.method(name), METHOD),
    "edges_from": (lambda a, name: a.edges_from(name), METHOD),
    "edges_to": (lambda a, name: a.edges_to(name), METHOD),
    "facts_about": (lambda a, name: a.facts_about(name), METHOD),
    "neighbors": (lambda a, name: a.neighbors(name), METHOD),
    "neighbors, the relation": (lambda a, name: a.neighbors(METHOD, name), RELATION),
    "neighbors, the direction": (lambda a, name: a.neighbors(METHOD, direction=name), "both"),
    "relation": (lambda a, name: a.relation(name), RELATION),
    "parts_of": (lambda a, name: a.parts_of(name), PRINCIPLE),
    "assertions, the subject": (lambda a, name: a.assertions(Fact(name, "belongs-to", "masking")), METHOD),
    "assertions, the relation": (lambda a, name: a.assertions(Fact("shapley", name, "masking")), "belongs-to"),
    "why, the subject": (lambda a, name: a.why(name, "reformulates-as", "path"), "mean-gradient"),
    "why, the relation": (lambda a, name: a.why("mean-gradient", name, "path"), RELATION),
    "why, the object": (lambda a, name: a.why("mean-gradient", "reformulates-as", name), "coalition"),
    "why_not, the subject": (lambda a, name: a.why_not(name, "reformulates-as", "path"), "mean-gradient"),
    "why_not, the relation": (lambda a, name: a.why_not("mean-gradient", name, "path"), RELATION),
    "why_not, the object": (lambda a, name: a.why_not("mean-gradient", "reformulates-as", name), "coalition"),
    "compare": (lambda a, name: a.compare("shapley", name), METHOD),
    "measured, the method": (lambda a, name: a.measured(name, "keeps-sum"), METHOD),
    "measured, the principle": (lambda a, name: a.measured("shapley", name), PRINCIPLE),
    "table": (lambda a, name: a.table(name), "figure-4"),
    "methods": (lambda a, name: a.methods(satisfies=name), PRINCIPLE),
    "select": (lambda a, name: a.select(name), KIND),
    "where": (lambda a, name: a.select().where(satisfies=name).ids, PRINCIPLE),
    "where, the filter": (lambda a, name: a.select().where(**{name: "keeps-both"}).ids, "satisfies"),
    "without": (lambda a, name: a.select().without(family=name).ids, "masking"),
    "a field's value": (lambda a, name: a.select().where(access=name).ids, "gradients"),
    "needs": (lambda a, name: a.select().where(needs=name).ids, "gradients"),
    "by": (lambda a, name: a.select().by(name), "sources"),
    "in a selection": (lambda a, name: name in a.select(), METHOD),
    "of_standing": (lambda a, name: a.select().answer().of_standing(name), "contested"),
    "query, the name": (lambda a, name: a.query(f'satisfies "{name}"').ids, PRINCIPLE),
    "subgraph": (lambda a, name: a.subgraph(name), METHOD),
    "subgraph, the relation": (lambda a, name: a.subgraph("shapley", relations=[name]), RELATION),
    "path": (lambda a, name: a.path("mean-gradient", name), "coalition"),
    "path, the relation": (lambda a, name: a.path("mean-gradient", "path", relations=[name]), RELATION),
    "to_pandas": (lambda a, name: a.to_pandas(name), "records"),
    "choose, the question": (lambda a, name: a.choose(**{name: "gradients"}), "access"),
    "choose, the answer": (lambda a, name: a.choose(access=name), "gradients"),
    "an export": (lambda a, name: export.make(name, a), "cytoscape"),
}
SPELLINGS = {
    "kind": set(KINDS), "relation": {*RELATIONS, *INVERSES}, "format": set(export.FORMATS), "standing": set(STANDINGS),
    "question": {*ANSWERS, *(answer for answers in ANSWERS.values() for answer in answers)},
    "frame": set(FRAMES),
}  # fmt: skip


def typos(word):
    """The word with a letter gone, doubled, changed or exchanged with the next."""
    places = st.integers(0, len(word) - 1)
    gone = places.map(lambda n: word[:n] + word[n + 1 :])
    doubled = places.map(lambda n: word[: n + 1] + word[n:])
    changed = st.tuples(places, st.sampled_from("aeioxqz")).map(lambda found: word[: found[0]] + found[1] + word[found[0] + 1 :])
    exchanged = st.integers(0, max(0, len(word) - 2)).map(lambda n: word[:n] + word[n : n + 2][::-1] + word[n + 2 :])
    return st.one_of(gone, doubled, changed, exchanged)


def known(atlas):
    spellings = {spelling.casefold() for record in atlas.records.values() for spelling in (record.id, record.name, *record.aliases)}
    spellings |= {getattr(record, "abbreviation", None) or "" for record in atlas.records.values()}
    return spellings.union(*SPELLINGS.values(), *(words_of(kind) for kind in KINDS), {"gradients", "outputs", "both", "in", "out"})


@pytest.mark.parametrize("what", ASKED)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=8, deadline=None, derandomize=True)
def test_a_typo_is_an_error_that_names_what_was_meant(atlas, what, data):
    ask, right = ASKED[what]
    name = data.draw(typos(right))
    hypothesis.assume(name and name.casefold() not in known(atlas) and name.replace("_", "-") not in known(atlas))
    with pytest.raises((KeyError, ValueError)) as caught:
        ask(atlas, name)
    message = str(caught.value.args[0])
    assert name in message or name.replace("_", "-") in message
    assert right in message or right.replace("_", "-") in message, "what was meant is not named"


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("name", ["", " ", "zzzz", "nüll", "None"])
def test_what_is_like_nothing_is_an_error_all_the_same(atlas, what, name):
    with pytest.raises((KeyError, ValueError)):
        ASKED[what][0](atlas, name)


@pytest.mark.parametrize("what", ASKED)
def test_the_right_name_is_no_error_of_a_name(atlas, what):
    """Else the tests above would pass for a function that refuses everything."""
    ask, right = ASKED[what]
    accepted = (KeyError,) if what in {"table", "measured, the method", "measured, the principle"} or what.startswith("why,") else ()
    with contextlib.suppress(*accepted):
        assert ask(atlas, right) is not None


def test_every_public_way_to_ask_is_asked(atlas):
    """A new method of the atlas that takes a name has to be added above."""
    import inspect

    asked = {what.split(",")[0].split(" ")[0] for what in ASKED}
    for name, function in inspect.getmembers(type(atlas), inspect.isfunction):
        takes = set(inspect.signature(function).parameters) & {"name", "id_", "kind", "relation", "subject", "principle", "fact", "names", "method"}
        if not name.startswith("_") and takes:
            assert name in asked, name
