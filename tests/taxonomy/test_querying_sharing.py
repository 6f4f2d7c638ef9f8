"""Errors, atlases and answers go from one process to another, and threads share an atlas: pickling, joblib, and many questions at once."""

import importlib
import inspect
import pickle
import pkgutil
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest

import executable
import taxonomy
from taxonomy.problems import AtlasError, Problem, Severity
from taxonomy.querying import QueryError

PROBLEMS = (
    Problem("rule", "message", "kb/b.yaml", 3, 4, "field", "suggestion"),
    Problem("rule", "message", "kb/a.yaml", severity=Severity.WARNING),
)
ARGUMENTS = {AtlasError: (PROBLEMS,), QueryError: ("message", "some text", 5)}


def every_error():
    """All exceptions that the two packages define."""
    found = set()
    for package in (taxonomy, executable):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            found |= {item for _, item in inspect.getmembers(module, inspect.isclass) if issubclass(item, Exception) and item.__module__ == info.name}
    return sorted(found, key=lambda item: item.__qualname__)


def raised(error):
    """For a worker: raise it there."""
    raise error


def same(one, other):
    return type(one) is type(other) and str(one) == str(other) and vars(one) == vars(other)


def test_every_error_can_be_pickled():
    errors = every_error()
    assert {AtlasError, QueryError} <= set(errors)
    assert len(errors) > 5
    for kind in errors:
        error = kind(*ARGUMENTS.get(kind, ("message",)))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert same(pickle.loads(pickle.dumps(error, protocol)), error), kind


def test_an_error_of_the_records_keeps_its_problems(kb):
    (kb / "methods" / "removal.yaml").write_text("id: [", encoding="utf-8")
    with pytest.raises(AtlasError) as caught:
        taxonomy.load(kb, cache=False)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems
    assert again.problems


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_errors_come_back_from_workers_of_joblib(backend):
    for error in (AtlasError(PROBLEMS), QueryError("message", "some text", 5)):
        with pytest.raises(type(error)) as caught:
            joblib.Parallel(n_jobs=2, backend=backend)([joblib.delayed(raised)(error)] * 2)
        assert str(caught.value) == str(error)
        assert vars(caught.value).keys() >= vars(error).keys()


def contents(atlas):
    return (
        atlas.records, atlas.evidence, atlas.edges, atlas.derived, atlas.conformance, atlas.reproductions, atlas.audits,
        list(atlas.bibliography), [str(found) for found in atlas.contradictions], atlas.open_questions,
    )  # fmt: skip


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_atlas_can_be_pickled(atlas, protocol):
    assert contents(pickle.loads(pickle.dumps(atlas, protocol))) == contents(atlas)


def test_an_atlas_from_the_cache_can_be_pickled_before_and_after_it_is_used(kb, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    expected = contents(taxonomy.load(kb))
    deferred = taxonomy.load(kb)
    assert contents(pickle.loads(pickle.dumps(deferred))) == expected
    assert contents(pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(deferred))))) == expected


def test_an_atlas_asked_by_workers_of_joblib_answers_the_same(atlas):
    names = [method.id for method in atlas.of_kind("method")]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(atlas.neighbors)(name) for name in names)
    assert found == [atlas.neighbors(name) for name in names]


def told(found):
    """All of it as text; a graph says only where it lies in memory."""
    return repr((sorted(found.nodes), sorted(found.edges))) if hasattr(found, "nodes") else repr(found)


def test_threads_that_share_the_whole_atlas(kb_atlas):
    """Every cached property of a fresh atlas is first asked for by several threads at the same moment."""
    shared = pickle.loads(pickle.dumps(kb_atlas))
    names = ["bibliography", "contradictions", "edges", "graph", "open_questions", "refuted", "derived"]
    expected = {name: told(getattr(kb_atlas, name)) for name in names}
    barrier = threading.Barrier(len(names) * 2)

    def ask(name):
        barrier.wait()
        return name, told(getattr(shared, name))

    with ThreadPoolExecutor(len(names) * 2) as pool:
        for name, found in pool.map(ask, names * 2):
            assert found == expected[name], name


def test_records_and_answers_never_change(atlas):
    for thing, name in ((atlas.record("gradient"), "name"), (atlas.select("method"), "kind"), (atlas.query("family local").answer(), "judged")):
        with pytest.raises((AttributeError, TypeError, ValueError)):
            setattr(thing, name, "other")
