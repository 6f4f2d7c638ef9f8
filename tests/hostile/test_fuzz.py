"""The inputs that once broke something, replayed, and a short run of each fuzzer; `python -m fuzz.run all` is the long one."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.inert import Fault, check_prose_in_place, rendered, watch
from fuzz.records import PAYLOADS, check_exports, check_real, check_small
from fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
SHORT = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from([*PAYLOADS, "a", " ", "\n", "\n\n", "- ", "*", "_", "$", "`", "[", "](", ")", "{", "}", "<", ">", "&", "|", "\\", "x^2"]),
        max_size=8,
    ).map("".join),
)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_once_broke_something(path):
    TARGETS[path.name.partition("-")[0]](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_payloads_against_every_target(name):
    for number, payload in enumerate(PAYLOADS):
        TARGETS[name](bytes([number % 18]) + payload.encode("utf-8", "replace"))
        TARGETS[name](payload.encode("utf-8", "replace"))


@pytest.mark.parametrize("name", ["prose", "plain", "latex", "cost", "query", "locator", "bibtex"])
def test_random_text_against(name):
    @settings(SHORT, max_examples=150)
    @given(TEXT)
    def run(text):
        TARGETS[name](text.encode("utf-8", "replace"))

    run()


@settings(SHORT, max_examples=300)
@given(st.integers(0, 2**40))
def test_changed_real_records_are_read_or_refused_with_a_place(seed):
    check_real(seed)


def test_changed_records_whose_pages_can_be_made_are_inert():
    accepted = sum(check_small(seed) for seed in range(400))
    assert accepted >= 10


def test_exports_of_changed_records():
    accepted = sum(check_exports(seed) for seed in range(120))
    assert accepted >= 5


@pytest.mark.parametrize(
    "page",
    [
        "<p>MARK",
        "<div>MARK</div><script></script>",
        "<p onclick=x>MARK</p>",
        "<p><a href='javascript:x'>y</a></p><p>MARK</p>",
        "<p>x</p>",
        "</div><p>MARK</p>",
        "<p>x<!-- y --></p><p>MARK</p>",
        "<p id=x>MARK</p>",
        "<b>x</b><p>MARK</p>",
    ],
)
def test_the_watch_notices(page):
    with pytest.raises(Fault):
        watch(page)


@pytest.mark.parametrize("prose", ["<script>alert(1)</script>", "*x*{ onclick=alert(1) }", "# x", "x</div>", "`&#`", "[x](javascript:x)", "x\n---"])
def test_the_watch_notices_what_the_checks_refuse(prose):
    with pytest.raises(Fault):
        check_prose_in_place(prose)
    assert rendered("*x*") == "<p><em>x</em></p>"


def test_mutations_are_the_same_everywhere():
    from fuzz.records import mutate, small

    kind, values = small()[3]
    assert mutate(values, random.Random(5), 4) == mutate(values, random.Random(5), 4)
    assert kind.kind
