"""Laws of selections, on conditions made at random: set algebra, filters that only narrow, and text that is read back as it was written."""

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from taxonomy.querying import parse
from taxonomy.querying.conditions import Anything, Every, Field, Flag, Mentions, Needs, Not, Related, Some, alternatives
from taxonomy.querying.fields import NEEDS, choices
from taxonomy.querying.judging import BASES, Judge
from taxonomy.querying.naming import relations_of
from taxonomy.querying.truth import STANDINGS, Truth

LAWS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def simple(atlas, kind="method"):
    """Conditions without parts, of every sort, about records that exist."""
    ends = {name: [record.id for end in kinds for record in atlas.of_kind(end)] for name, kinds in relations_of(kind).items()}
    related = st.sampled_from([Related(name, id_) for name, ids in ends.items() for id_ in ids])
    # Most of what is asked is whether principles are satisfied: these come up often enough to combine.
    judged = st.sampled_from([Related(name, id_) for name in ("satisfies", "violates") for id_ in ends[name]])
    field = st.sampled_from([Field(name, value) for name, options in choices(kind).items() for value in options.values])
    need = st.sampled_from([Needs(word) for word in NEEDS])
    text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).map(Mentions)
    return st.one_of(judged, related, field, need, text, st.sampled_from([Flag("implemented"), Anything()]))


def compound(atlas):
    """Conditions with parts."""

    def grow(parts):
        several = st.lists(parts, min_size=2, max_size=3).map(tuple)
        return st.one_of(parts.map(Not), several.map(Every), several.map(Some))

    return st.recursive(simple(atlas), grow, max_leaves=6)


@pytest.fixture(params=["small", "whole"], scope="module")
def some(request, atlas, kb_atlas):
    return {"small": atlas, "whole": kb_atlas}[request.param]


def members(selection):
    return {item.record.id for item in selection.answer().members}


def excluded(selection):
    return {item.record.id for item in selection._judged if item.standing == "no"}


def opened(selection):
    return {item.record.id for item in selection._judged if item.standing in ("contested", "unknown")}


@LAWS
@given(data=st.data())
def test_set_algebra_of_what_is_known(some, data):
    first, second = (some.select("method").where(data.draw(compound(some))) for _ in range(2))
    assert set((first & second).ids) == set(first.ids) & set(second.ids)
    assert set((first | second).ids) == set(first.ids) | set(second.ids)
    assert set((first - second).ids) == set(first.ids) & excluded(second)
    assert excluded(first & second) == excluded(first) | excluded(second)
    assert excluded(first | second) == excluded(first) & excluded(second)


@LAWS
@given(data=st.data())
def test_complement_within_known_cells(some, data):
    chosen = some.select("method").where(data.draw(compound(some)))
    everything = {record.id for record in some.of_kind("method")}
    assert set((~chosen).ids) == excluded(chosen)
    assert excluded(~chosen) == set(chosen.ids)
    assert opened(~chosen) == opened(chosen)
    assert set(chosen.ids) | set((~chosen).ids) == everything - opened(chosen)
    assert not set((chosen & ~chosen).ids)
    assert (~~chosen).ids == chosen.ids
    assert (~(chosen | ~chosen)).ids == ()


@LAWS
@given(data=st.data())
def test_laws_hold_standing_by_standing(some, data):
    a, b, c = (data.draw(compound(some)) for _ in range(3))
    judge = Judge(some)
    for record in some.of_kind("method"):
        one, two, three = (condition.judge(judge, record) for condition in (a, b, c))
        assert (~(one & two)).standing == (~one | ~two).standing, "De Morgan"
        assert (one & two).standing == (two & one).standing
        assert ((one & two) & three).standing == (one & (two & three)).standing
        assert known(one & (two | three)) == known((one & two) | (one & three)), "distributive"
        assert known(one & (one | two)) == known(one), "absorption"
        assert Not(Every((a, b))).judge(judge, record).standing == Some((Not(a), Not(b))).judge(judge, record).standing


def known(truth):
    """The standing with both ways of being open taken as one."""
    return "open" if truth.standing in ("contested", "unknown") else truth.standing


def test_the_tables_of_the_connectives_are_those_of_kleene():
    order = {"no": 0, "open": 1, "yes": 2}
    for first in STANDINGS:
        for second in STANDINGS:
            one, two = Truth(first), Truth(second)
            assert order[known(one & two)] == min(order[known(one)], order[known(two)])
            assert order[known(one | two)] == max(order[known(one)], order[known(two)])


@LAWS
@given(data=st.data())
def test_filters_only_narrow(some, data):
    chosen = some.select("method")
    for _ in range(3):
        condition = data.draw(compound(some))
        narrowed = chosen.where(condition) if data.draw(st.booleans()) else chosen.without(condition)
        assert set(narrowed.ids) <= set(chosen.ids)
        assert excluded(narrowed) >= excluded(chosen)
        assert {record.id for record in narrowed.by("sources").supported} <= {record.id for record in chosen.by("sources").supported}
        chosen = narrowed


@LAWS
@given(data=st.data())
def test_violates_is_the_complement_of_satisfies(some, data):
    requirement = data.draw(st.sampled_from([record.id for kind in ("principle", "axiom") for record in some.of_kind(kind)]))
    basis = data.draw(st.sampled_from(BASES))
    satisfying, violating = (some.select("method").where(Related(name, requirement)).by(basis) for name in ("satisfies", "violates"))
    assert set(violating.ids) == excluded(satisfying)
    assert set(satisfying.ids) == excluded(violating)
    both = satisfying & violating
    assert both.ids == ()
    assert both.answer().impossible


@LAWS
@given(data=st.data())
def test_a_decided_cell_has_a_reason_and_an_open_one_says_what_is_open(some, data):
    for item in some.select("method").where(data.draw(simple(some))).answer().judged:
        if item.reasons:
            silent = {reason.ground in ("silent", "context") for reason in item.reasons}
            assert silent == {item.standing == "unknown"}
        else:
            assert item.standing == "yes", "only `anything` needs no reason"


@LAWS
@given(data=st.data())
def test_impossible_is_never_said_of_what_some_method_has(some, data):
    answer = some.select("method").where(data.draw(compound(some))).answer()
    if answer.impossible:
        assert not answer.unknown
        assert answer.obstacles


@LAWS
@given(data=st.data())
def test_text_is_read_back_as_it_was_written(some, data):
    condition = data.draw(compound(some))
    query = parse(some, f"method {condition}")
    assert query.condition == condition
    assert str(parse(some, str(query))) == str(query)
    assert parse(some, str(condition), "method").condition == condition


@LAWS
@given(data=st.data())
def test_alternatives_mean_the_same(some, data):
    condition = data.draw(compound(some))
    ways = alternatives(condition)
    if ways is None:
        return
    parts = [
        Every(tuple(literals)) if len(literals) > 1 else literals[0] for way in ways if (literals := [c if holds else Not(c) for c, holds in way])
    ]
    rewritten = Some(tuple(parts)) if len(parts) > 1 else parts[0]
    judge = Judge(some)
    for record in some.of_kind("method"):
        assert known(condition.judge(judge, record)) == known(rewritten.judge(judge, record))
