"""`verify`: cached, byte for byte the same however it is run, safe when interrupted, and strict about what was recorded."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from executable import check_runs, timings
from executable import digest as digests
from executable import verify as module
from executable.checks import CHECKS
from executable.verify import checked_claims, claim_digest, verify
from taxonomy import evidence as store
from taxonomy.problems import AtlasError
from taxonomy.store import packaged_kb

CLAIM = "shapley-value/reformulates-as/feature-removal"
OTHER = "occlusion-1/reformulates-as/feature-removal"
PATIENCE = 300
"""Seconds, of which a machine that does nothing else takes a few."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Tests neither read nor write the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def kb(tmp_path):
    folder = tmp_path / "kb"
    (folder / "methods").mkdir(parents=True)
    shutil.copy(packaged_kb() / "references.bib", folder)
    for method in ("gradient", "integrated-gradients", "lrp-epsilon", "occlusion-1", "shapley-value"):
        shutil.copy(packaged_kb() / "methods" / f"{method}.yaml", folder / "methods")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_first_run_records_and_second_leaves_alone(kb, monkeypatch, capsys):
    first = verify(kb, [CLAIM, OTHER])
    assert first.ok
    assert [result.outcome for result in first.results] == ["recorded", "recorded"]
    before = contents(kb / "evidence")
    assert list(before) == ["occlusion-1/reformulates-as/feature-removal.json", "shapley-value/reformulates-as/feature-removal.json"]
    assert "2 claims: 2 holds (2 run, 0 unchanged" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(check_runs, "run_one", None)
        second = verify(kb, [CLAIM, OTHER])
    assert [result.outcome for result in second.results] == ["unchanged", "unchanged"]
    assert contents(kb / "evidence") == before
    forced = verify(kb, [CLAIM, OTHER], force=True)
    assert [result.outcome for result in forced.results] == ["recorded", "recorded"]
    assert contents(kb / "evidence") == before


def test_two_processes_find_the_same(kb):
    verify(kb, [CLAIM, OTHER])
    before = contents(kb / "evidence")
    assert verify(kb, [CLAIM, OTHER], force=True, jobs=2).ok
    assert contents(kb / "evidence") == before


def test_a_cluster_finds_the_same(kb):
    distributed = pytest.importorskip("distributed")
    verify(kb, [CLAIM, OTHER])
    before = contents(kb / "evidence")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster:
        found = verify(kb, [CLAIM, OTHER], force=True, backend="dask", scheduler=cluster.scheduler_address)
    assert [result.outcome for result in found.results] == ["recorded", "recorded"]
    assert found.ok
    assert contents(kb / "evidence") == before


def test_a_cluster_is_started_if_no_scheduler_is_named(kb):
    pytest.importorskip("distributed")
    assert [result.outcome for result in verify(kb, [CLAIM], backend="dask").results] == ["recorded"]


def test_a_cluster_needs_distributed(kb, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"attribution-atlas\[cluster\]"):
        verify(kb, [CLAIM], backend="dask")


def test_a_worker_with_other_code_is_not_believed(kb):
    claim = next(claim for claim in checked_claims(kb) if claim.id == CLAIM)
    assert check_runs.run_one(claim, claim_digest(claim)).found.digest == claim_digest(claim)
    assert check_runs.run_one(claim, "of another version").found == "the worker that ran it holds other code than the process that asked"


def test_a_lost_worker_is_reported_and_what_the_others_found_is_kept(kb, monkeypatch):
    def dies(claim, expected):  # sent to the workers as it stands here
        from executable.check_runs import run_one

        if claim.id == OTHER:
            time.sleep(1)
            os._exit(1)
        return run_one(claim, expected)

    monkeypatch.setattr(check_runs, "run_one", dies)
    report = verify(kb, [CLAIM, OTHER], jobs=2)
    assert not report.ok
    lost = next(result for result in report.results if result.claim == OTHER)
    assert lost.outcome == "error"
    assert lost.problems[0].startswith("not run: TerminatedWorkerError: ")
    assert not (kb / "evidence" / store.evidence_path(OTHER)).exists()


def test_the_longest_is_begun_first():
    claims = [module.CheckedClaim(f"m/satisfies/{name}", "a/b", {}) for name in ("quick", "slow", "new")]
    timings.remember({"m/satisfies/quick": 0.1, "m/satisfies/slow": 9.0})
    assert [claim.ends[1] for claim in timings.longest_first(claims)] == ["new", "slow", "quick"]
    timings.remember({"m/satisfies/quick": 10.0})
    assert [claim.ends[1] for claim in timings.longest_first(claims)] == ["new", "quick", "slow"]


@pytest.mark.parametrize("content", ["", "[1]", '{"m/satisfies/quick": "fast"}', "\xff"])
def test_damaged_timings_change_nothing(content):
    timings.remember({"m/satisfies/quick": 0.1})
    timings._path().write_text(content, encoding="latin-1")
    claims = [module.CheckedClaim(f"m/satisfies/{name}", "a/b", {}) for name in ("b", "a")]
    assert [claim.ends[1] for claim in timings.longest_first(claims)] == ["a", "b"]


KILLED = """
import signal, sys, time
from executable import check_runs, timings
from taxonomy.cli import main

def slow(claim, expected):  # sent to the workers as it stands here
    from executable import check_runs

    if claim.id == {hangs!r}:
        time.sleep(3600)
    return getattr(check_runs, "real", check_runs.run_one)(claim, expected)

check_runs.real, check_runs.run_one = check_runs.run_one, slow
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in what a script runs in the background
sys.exit(main(["verify", {quick!r}, {hangs!r}, "--kb", {kb!r}, "--jobs", "{jobs}"]))
"""


@pytest.mark.parametrize(("jobs", "sent"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (2, signal.SIGINT)])
def test_what_had_finished_outlives_the_run(kb, tmp_path, jobs, sent):
    quick, hangs = sorted([CLAIM, OTHER])
    script = KILLED.format(quick=quick, hangs=hangs, kb=str(kb), jobs=jobs)
    errors = tmp_path / "errors"
    with errors.open("w") as stream, subprocess.Popen([sys.executable, "-c", script], stderr=stream, start_new_session=True) as process:
        try:
            end = time.monotonic() + PATIENCE
            while quick not in errors.read_text() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            assert process.poll() is None, errors.read_text()
            assert quick in errors.read_text()
            process.send_signal(sent)
            process.wait(timeout=PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the workers
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert errors.read_text().strip().endswith("atlas: interrupted; what had finished is recorded, and the same call runs the rest")
    else:
        assert process.returncode == -sent
    assert set(store.load_evidence(kb / "evidence")) == {quick}
    before = contents(kb / "evidence")
    resumed = verify(kb, [CLAIM, OTHER])
    assert {result.claim: result.outcome for result in resumed.results} == {quick: "unchanged", hangs: "recorded"}
    assert before.items() <= contents(kb / "evidence").items()


def test_leftovers_of_a_killed_run_are_swept_up(kb):
    verify(kb, [CLAIM])
    place = (kb / "evidence" / store.evidence_path(CLAIM)).parent
    old, fresh = place / ".a.json.0123456789ab.tmp", place / ".b.json.0123456789ab.tmp"
    for path in (old, fresh):
        path.write_text("half", encoding="utf-8")
    os.utime(old, (0, 0))
    verify(kb, [CLAIM])
    assert (old.exists(), fresh.exists()) == (False, True), "a file just written may belong to a run under way"


def test_a_bar_on_a_terminal_and_lines_elsewhere(kb):
    call = [sys.executable, "-m", "taxonomy.cli", "verify", CLAIM, "--force", "--jobs", "1", "--kb", str(kb)]
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")} | {"TERM": "xterm-256color"}
    leader, follower = pty.openpty()
    process = subprocess.Popen(call, stderr=follower, env=environment)
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):  # the other side was closed
        while chunk := os.read(leader, 65536):
            seen += chunk
    os.close(leader)
    assert process.wait() == 0
    assert b"\x1b[" in seen
    assert b"1/1" in seen
    assert b"1 claims: 1 holds (1 run" in seen
    said = subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stderr
    assert "\x1b" not in said
    lines = [line.split()[:2] for line in said.splitlines() if CLAIM in line or "claims" in line]  # PyTorch may warn of the processor
    assert lines == [["holds", CLAIM], ["1", "claims:"]]


def test_changed_claim_is_run_again(kb):
    verify(kb, [CLAIM])
    path = kb / "methods" / "shapley-value.yaml"
    text = path.read_text(encoding="utf-8")
    changed = text.replace("check: feature-removal/removal-summary", "note: changed\n    check: feature-removal/removal-summary")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert [result.outcome for result in verify(kb, [CLAIM]).results] == ["recorded"]


def test_digest_depends_on_the_code_the_claim_and_nothing_else(kb, monkeypatch):
    claim = next(claim for claim in checked_claims(kb) if claim.id == CLAIM)
    before = claim_digest(claim)
    assert claim_digest(claim) == before
    reached = digests.sources("executable.checks.feature_removal")
    assert {"executable.methods.perturbation.shapley", "executable.coalitions", "executable.checks.base", "taxonomy.evidence"} <= set(reached)
    assert "executable.checks.path_integral" not in reached
    assert "executable.verify" not in reached
    assert "executable.methods.perturbation" not in reached, "a package that hands a name on is not what a check rests on"
    assert "executable.methods.attention.aggregation" not in reached
    real = digests._read

    def edited(name):
        found = real(name)
        return (found[0] + b"# edited", found[1]) if name == "executable.coalitions" else found

    monkeypatch.setattr(digests, "_read", edited)
    assert claim_digest(claim) != before


def test_editing_one_method_changes_only_what_rests_on_it(monkeypatch):
    """The digests that change are those of the checks that import it, and a good part of the checks is left alone."""
    edited = ""
    real = digests._read

    def read(name):
        found = real(name)
        return (found[0] + b"# edited", found[1]) if name == edited else found

    monkeypatch.setattr(digests, "_read", read)
    modules = sorted({check.run.__module__ for check in CHECKS.values()})
    before = {name: digests.digest((name,)) for name in modules}
    reached = defaultdict(set)
    for name in modules:
        for source in digests.sources(name):
            reached[source].add(name)
    files = ("perturbation.shapley", "gradient_times_input.exact", "layerwise_backprop.relevance", "influential_subset.masks")
    for edited in (f"executable.methods.{file}" for file in files):
        assert {name for name in modules if digests.digest((name,)) != before[name]} == reached[edited], edited
    assert "executable.checks.uniqueness" not in reached["executable.methods.layerwise_backprop.relevance"]
    assert not {"executable.checks.information", "executable.checks.sensitivity"} & reached["executable.methods.perturbation.shapley"]
    touched = [source for source in digests.sources("executable.checks.base") if source.startswith("executable.methods")]
    assert touched == [], "what every check imports must rest on no method"


def test_interrupted_write_leaves_the_old_file(kb, monkeypatch):
    verify(kb, [CLAIM])
    before = contents(kb / "evidence")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(kb, [CLAIM], force=True)
    assert contents(kb / "evidence") == before


def test_damaged_evidence_is_made_again(kb):
    verify(kb, [CLAIM])
    path = kb / "evidence" / store.evidence_path(CLAIM)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:100], encoding="utf-8")
    with pytest.raises(ValueError, match="not a valid evidence file"):
        store.load_evidence(kb / "evidence")
    assert verify(kb, [CLAIM]).results[0].outcome == "recorded"
    assert path.read_text(encoding="utf-8") == whole


def test_changed_status_fails_a_strict_run_and_keeps_the_record(kb, capsys):
    verify(kb, [CLAIM])
    path = kb / "evidence" / store.evidence_path(CLAIM)
    recorded = json.loads(path.read_text(encoding="utf-8")) | {"status": "fails", "digest": "old"}
    path.write_text(store.to_json(recorded), encoding="utf-8")
    strict = verify(kb, [CLAIM], strict=True)
    assert not strict.ok
    assert json.loads(path.read_text(encoding="utf-8"))["status"] == "fails"
    assert f"status changed: {CLAIM}: fails -> holds" in capsys.readouterr().err
    assert verify(kb, [CLAIM]).ok
    assert json.loads(path.read_text(encoding="utf-8"))["status"] == "holds"


def test_broken_check_and_unnoticed_control_are_problems(kb, monkeypatch):
    real = module.CHECKS["feature-removal/removal-summary"]
    evidence = real(CLAIM)

    def breaks(_):
        raise RuntimeError("deliberate")

    def blind(_):
        control = evidence.controls[0].model_copy(update={"detected": False})
        return evidence.model_copy(update={"controls": (control,)})

    for run, message in ((breaks, "the check broke: RuntimeError: deliberate"), (blind, "negative control not noticed")):
        monkeypatch.setitem(module.CHECKS, real.id, type(real)(real.id, real.claims, run))
        report = verify(kb, [CLAIM])
        assert not report.ok
        assert message in report.results[0].problems[0]
        assert not (kb / "evidence").exists()


def test_unknown_names(kb):
    with pytest.raises(KeyError, match="did you mean `shapley-value/reformulates-as/feature-removal`"):
        verify(kb, ["shapley-value/reformulates-as/feature-removl"])
    with pytest.raises(KeyError, match="did you mean `lrp-epsilon`"):
        verify(kb, method="lrp-epsilo")
    with pytest.raises(KeyError, match="no claim about a principle or axiom `gradient`"):
        verify(kb, principle="gradient")
    path = kb / "methods" / "shapley-value.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("feature-removal/removal-summary", "feature-removal/removal-sumary"), encoding="utf-8")
    report = verify(kb, [CLAIM])
    assert not report.ok
    assert "did you mean `feature-removal/removal-summary`" in report.results[0].problems[0]


def test_unreadable_record_stops_the_run(kb):
    (kb / "methods" / "shapley-value.yaml").write_text("id: [", encoding="utf-8")
    with pytest.raises(AtlasError):
        verify(kb)


class TestChoice:
    """Which claims a call runs."""

    @pytest.fixture
    def ran(self, kb, monkeypatch):
        records = packaged_kb()
        for axiom in ("dummy", "linearity", "completeness"):
            (kb / "axioms").mkdir(exist_ok=True)
            shutil.copy(records / "axioms" / f"{axiom}.yaml", kb / "axioms")
        monkeypatch.setattr(module, "run_all", lambda claims, **_: iter([check_runs.Finished(claim, "not now", 0.0) for claim in claims]))
        monkeypatch.setattr(module, "write_gallery", lambda *_, **__: False)
        return lambda **choice: {result.claim for result in verify(kb, **choice).results}

    def test_all(self, kb, ran):
        assert ran() == {claim.id for claim in checked_claims(kb)}

    @pytest.mark.parametrize("name", ["integrated-gradients", "IG", "integrated gradients"])
    def test_of_a_method_by_any_name(self, ran, name):
        found = ran(method=name)
        assert "integrated-gradients/reformulates-as/path-integral" in found
        assert all("integrated-gradients" in claim.split("/") for claim in found)
        assert found < ran()

    def test_of_an_axiom(self, ran):
        found = ran(principle="Dummy")
        assert {"integrated-gradients/satisfies/dummy", "shapley-value/satisfies/dummy"} <= found
        assert all("dummy" in claim.split("/") for claim in found)

    def test_of_both(self, ran):
        assert ran(method="IG", principle="dummy") == {"integrated-gradients/satisfies/dummy"}


def test_report_as_json(kb):
    report = verify(kb, method="gradient")
    plain = json.loads(json.dumps(report.as_json()))
    assert plain["ok"]
    assert plain["gallery"] == "unchanged"
    statuses = {result["claim"]: result["status"] for result in plain["results"]}
    assert statuses["gradient/belongs-to/modified-gradient"] == "holds"
    assert all("gradient" in claim.split("/") for claim in statuses)


def test_recorded_evidence_is_valid():
    folder = packaged_kb() / "evidence"
    if folder.is_dir():
        found = store.load_evidence(folder)
        assert set(found) <= {claim.id for claim in checked_claims(packaged_kb())}
