"""What is written is whole, whatever happens: a process that is killed, several commands at once (`test_full_disk.py`: a full disk)."""

import ast
import contextlib
import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import taxonomy
from taxonomy import disk, evidence
from taxonomy.evidence import Evidence

ROOT = Path(__file__).parent.parent
VALID = ROOT / "tests" / "taxonomy" / "fixtures" / "valid"
RUN = Evidence(claim="a/satisfies/b", check="a/b", status="holds", statement="x", domain="y", trials=1, seed=0)
NEEDED = ("references.bib", "methods/occlusion-1.yaml", "methods/shapley-value.yaml")


def contents(folder):
    """Every file below a folder, hidden ones too, and every empty folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


@pytest.fixture
def kb(tmp_path, monkeypatch):
    """A copy of the small records, in a folder of its own, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(VALID, tmp_path / "work" / "kb"))


# A killed process

CHILD = """
import sys
from pathlib import Path
from taxonomy import disk
folder = Path(sys.argv[1])
number, done = 0, 0
while True:
    number, done = 1 - number, done + 1
    if done == 2:
        print("ready", flush=True)
    content = str(number).encode() * 300_000
"""
LOOPS = {
    "file": "disk.put(folder / 'file', content)",
    "folder": "with disk.replaced(folder / 'site') as fresh:\n    for name in range(40): (fresh / str(name)).write_bytes(content[:5000])",
    "export": "from taxonomy.export import files; files.write_folder(folder / 'site', {str(name): content[:5000] for name in range(40)}, force=True)",
    "record": "from taxonomy.authoring.writing import Change, write\npath = folder / 'old.yaml'\n"
    "write(folder, [Change('old.yaml', content.decode(), path.read_text() if path.exists() else None)])",
}


def whole(folder, *, alike=True):
    """That each file is all of one sort, and, if they are to be alike, that the files of a folder are all of the same."""
    for path in folder.iterdir():
        if path.name.endswith(".tmp"):
            continue
        files = [path] if path.is_file() else [file for file in path.iterdir() if not file.name.endswith(".tmp")]
        found = {bytes(set(file.read_bytes())) for file in files}
        assert found in ({b"0"}, {b"1"}, *([] if alike else [{b"0", b"1"}])), (path, found)
        assert [file.stat().st_size for file in files] in ([300_000], [5000] * 40)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_killed_process_leaves_whole_files(tmp_path, loop):
    chance = random.Random(loop)
    code = CHILD + textwrap.indent(LOOPS[loop], "    ")
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as child:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.002, 0.08))
            child.send_signal(signal.SIGKILL)
        whole(tmp_path, alike=loop != "export")  # which keeps the folder that it writes into, and puts file after file in place
    assert list(tmp_path.iterdir())


def test_what_killed_processes_left_is_swept_once_it_is_old(tmp_path, monkeypatch):
    left = [disk._unfinished(tmp_path / name) for name in ("file", "other", "site")]
    left[0].write_text("half")
    left[1].write_text("half")
    left[2].mkdir()
    (left[2] / "index.html").write_text("half")
    disk.put(tmp_path / "file", b"1")
    assert all(path.exists() for path in left), "it may belong to a process that is at work"
    monkeypatch.setattr(disk.time, "time", lambda now=time.time: now() + disk.LEFT_BEHIND + 60)
    disk.put(tmp_path / "file", b"2")
    assert [path.exists() for path in left] == [False, True, True], "those of other files are for others"
    disk.sweep(tmp_path)
    assert contents(tmp_path) == {"file": b"2"}


def test_what_other_programs_call_unfinished_is_theirs(tmp_path, monkeypatch):
    (tmp_path / ".file.notes.tmp").mkdir()
    (tmp_path / ".file.notes.tmp" / "mine").write_text("kept")
    for name in (".file.0123456789AB.tmp", ".file.0123456789abc.tmp", "file.0123456789ab.tmp", ".0123456789ab.tmp"):
        (tmp_path / name).write_text("kept")
    before = contents(tmp_path)
    monkeypatch.setattr(disk.time, "time", lambda now=time.time: now() + disk.LEFT_BEHIND + 60)
    disk.put(tmp_path / "file", b"1")
    disk.sweep(tmp_path)
    assert contents(tmp_path) == {**before, "file": b"1"}


def test_a_killed_load_leaves_a_cache_that_works(kb, tmp_path):
    chance = random.Random(0)
    expected = repr(taxonomy.load(kb, cache=False))
    call = [sys.executable, "-c", "import sys, taxonomy; print(taxonomy.load(sys.argv[1]))", str(kb)]
    whole_run = time.perf_counter()
    assert subprocess.run(call, capture_output=True, text=True, cwd=ROOT, check=True).stdout == expected + "\n"
    whole_run = time.perf_counter() - whole_run
    for _ in range(4):
        shutil.rmtree(tmp_path / "cache")
        with subprocess.Popen(call, stdout=subprocess.DEVNULL, cwd=ROOT) as child:
            time.sleep(whole_run * chance.uniform(0.6, 1))
            child.kill()
        assert repr(taxonomy.load(kb)) == expected


# Several at once


def together(*calls, cwd=ROOT, environment=None):
    """Run commands side by side; their exit codes and what each said."""
    running = [
        subprocess.Popen(list(map(str, call)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=environment)
        for call in calls
    ]
    said = [child.communicate()[0] for child in running]
    return [child.returncode for child in running], said


def atlas(*arguments):
    return (sys.executable, "-m", "taxonomy.cli", *arguments)


@contextlib.contextmanager
def writing(loop, folder, stop, number=2):
    """So many processes that write without a pause until the file `stop` is there, or two minutes are over; none outlives this."""
    until = "import time\nend = time.monotonic() + 120\nwhile not Path(sys.argv[2]).exists() and time.monotonic() < end"
    code = CHILD.replace("while True", until) + textwrap.indent(LOOPS[loop], "    ")
    call = [sys.executable, "-c", code, str(folder), str(stop)]
    children = [subprocess.Popen(call, stdout=subprocess.DEVNULL, cwd=ROOT) for _ in range(number)]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


def exchanges_folders(folder):
    """Whether two folders can change places in one step there."""
    places = [folder / "one", folder / "other"]
    for place in places:
        place.mkdir()
    return disk._exchanged(*places)


@pytest.mark.parametrize("loop", ["file", "folder", "export"])
def test_readers_see_whole_files_while_two_write(tmp_path, loop):
    shared = tmp_path / "shared"
    shared.mkdir()
    with writing(loop, shared, tmp_path / "stop") as children:
        seen, missing = looks(shared / ("file" if loop == "file" else "site"), loop, children, tmp_path / "stop")
        assert [child.returncode for child in children] == [0, 0]
    assert seen == {b"0", b"1"}
    assert missing == 0 or not (loop == "file" or exchanges_folders(tmp_path))
    whole(shared)
    assert len(list(shared.iterdir())) == 1


def looks(place, loop, children, stop):
    """What a reader saw in a file or folder, and how often it was missing, while others wrote there; they are stopped once enough was seen."""
    seen, missing, number = set(), 0, 0
    while any(child.poll() is None for child in children):
        number += 1
        if number >= 200 and len(seen) == 2:
            stop.touch()
        try:
            handle = os.open(place, os.O_RDONLY)
        except FileNotFoundError:
            missing += bool(seen)  # it is there from the first time on
            continue
        with contextlib.suppress(FileNotFoundError):  # the folder that was opened has been replaced and is being removed
            names = [None] if loop == "file" else os.listdir(handle)
            assert loop == "file" or len([name for name in names if not name.endswith(".tmp")]) in ((0, 40) if loop == "export" else range(41))
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            seen.add(place.read_bytes()[:1] if loop == "file" else (place / "39").read_bytes()[:1])
    return seen, missing


def test_two_processes_that_cannot_exchange_folders(tmp_path):
    """Without the one step there is a moment without a folder, but never half of one, and neither fails."""
    code = CHILD.replace("while True", "disk._exchanged = lambda *_: False\nfor _ in range(40)") + textwrap.indent(LOOPS["folder"], "    ")
    codes, said = together(*[(sys.executable, "-c", code, tmp_path)] * 3)
    assert codes == [0, 0, 0], said
    whole(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_two_exports_into_one_folder(kb, tmp_path):
    call = atlas("export", "--all", tmp_path / "out", "--force", "--kb", kb)
    codes, said = together(call, call)
    assert codes == [0, 0], said
    both = contents(tmp_path / "out")
    assert together(atlas("export", "--all", tmp_path / "alone", "--kb", kb))[0] == [0]
    assert both == contents(tmp_path / "alone")
    with contextlib.closing(sqlite3.connect(tmp_path / "out" / "atlas.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_repairs(kb):
    for path in sorted(kb.glob("methods/*.yaml")):
        path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "   \n\n\n", encoding="utf-8")
    alone = Path(shutil.copytree(kb, kb.parent.parent / "alone" / "kb"))
    assert together(atlas("check", "--fix", "--kb", alone))[0] == [0]
    codes, said = together(*[atlas("check", "--fix", "--kb", kb)] * 3)
    assert 0 in codes
    assert all(code == 0 or "has changed since it was read" in text for code, text in zip(codes, said, strict=True)), said
    assert contents(kb) == contents(alone)


def new_method(kb, name, year):
    bibtex = f"@inproceedings{{x, author={{Kapishnikov, Andrei}}, title={{{name} methods}}, booktitle={{CVPR}}, year={{{year}}}}}"
    return atlas("new", "method", name, "--family", "local", "--summary", "Follows a path.", "--reference", bibtex, "--kb", kb)


def test_the_same_new_method_twice_at_once(kb):
    codes, said = together(*[new_method(kb, "Guided path", 2021)] * 3)
    assert sorted(codes) == [0, 1, 1], said
    assert not [text for text in said if "Traceback" in text]
    assert taxonomy.check(kb) == [problem for problem in taxonomy.check(kb) if problem.severity < taxonomy.Severity.ERROR]
    assert (kb / "references.bib").read_text(encoding="utf-8").count("Guided path methods") == 1


def test_different_new_methods_at_once_lose_nothing(kb):
    names = ["Guided path", "Blurred road", "Winding track"]
    codes, said = together(*(new_method(kb, name, 2020 + number) for number, name in enumerate(names)))
    text = (kb / "references.bib").read_text(encoding="utf-8")
    for name, code, words in zip(names, codes, said, strict=True):
        assert code == 0 or "has changed since it was read" in words, words
        assert (kb / "methods" / f"{name.lower().replace(' ', '-')}.yaml").exists() == (code == 0)
        assert (f"{name} methods" in text) == (code == 0)
    assert 0 in codes


def test_two_verifications(tmp_path):
    kb = tmp_path / "kb"
    for name in NEEDED:
        (kb / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "kb" / name, kb / name)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    claim = "occlusion-1/reformulates-as/feature-removal"
    call = atlas("verify", claim, "--force", "--kb", kb)
    codes, said = together(call, call, environment=environment)
    assert codes == [0, 0], said
    path = kb / "evidence" / evidence.evidence_path(claim)
    assert contents(kb / "evidence") == {path.relative_to(kb / "evidence").as_posix(): path.read_bytes()}
    assert evidence.read(path).status == "holds"
    seconds = tmp_path / "cache" / "attribution-atlas" / "seconds.json"
    assert not seconds.exists() or json.loads(seconds.read_text(encoding="utf-8"))


# One way


WRITERS = {"write_text", "write_bytes", "mkstemp", "mkdtemp", "NamedTemporaryFile", "rmtree", "copytree", "copy2", "copyfile", "savefig"}
ALLOWED = {
    "taxonomy/disk.py": "the one way",
    "taxonomy/export/files.py": "files in a folder that is not in its place yet",
    "site/atlas_pages/output.py": "files in a folder that is not in its place yet",
    "site/build.py": "files in a folder that is not in its place yet",
    "site/transcript.py": "in a temporary copy of the repository",
    "site/zensical_check.py": "in a temporary folder",
}


def writes_of(tree):
    """Calls that write a file by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
            modes = [argument.value for argument in [*node.args, *(word.value for word in node.keywords)] if isinstance(argument, ast.Constant)]
            opens = name in {"open", "fdopen"} and any(isinstance(mode, str) and len(mode) <= 3 and set(mode) & set("wxa+") for mode in modes)
            moves = owner in {"os", "shutil"} and name in {"replace", "rename", "move", "link"}
            dumps = (owner, name) in {("json", "dump"), ("pickle", "dump"), ("joblib", "dump"), ("np", "save")}
            if name in WRITERS or opens or moves or dumps:
                yield f"{name} in line {node.lineno}"


def test_two_builds_of_the_site(tmp_path):
    call = (sys.executable, ROOT / "site" / "build.py", "--docs", tmp_path / "docs", "--docs-only")
    codes, said = together(call, call)
    assert codes == [0, 0], said
    both = contents(tmp_path / "docs")
    assert "index.md" in both
    assert together(call)[0] == [0]
    assert contents(tmp_path / "docs") == both
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_there_is_no_other_way_to_write():
    """Benchmarks work in temporary folders; what they leave are the results, which `contest.keep` writes."""
    found = {}
    assert list(writes_of(ast.parse((ROOT / "benchmarks" / "contest.py").read_text(encoding="utf-8")))) == []
    for path in (path for part in ("taxonomy", "executable", "site", "docs") for path in sorted((ROOT / part).rglob("*.py"))):
        file = path.relative_to(ROOT).as_posix()
        if written := list(writes_of(ast.parse(path.read_text(encoding="utf-8")))):
            found[file] = written
    assert {file: written for file, written in found.items() if file not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "an exception that is none any more"


@pytest.mark.parametrize(
    "code", ["p.write_text('')", "open('x', 'w')", "open(p, mode='ab')", "os.replace(a, b)", "json.dump(x, f)", "shutil.rmtree(p)"]
)
def test_another_way_would_be_noticed(code):
    assert list(writes_of(ast.parse(code)))


# Details of the one way


class TestPut:
    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "file").write_text("1")
        (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
        disk.put(tmp_path / "link", "2")
        assert (tmp_path / "link").is_symlink()
        assert contents(tmp_path / "real") == {"file": b"2"}

    def test_a_device_stays_a_device(self):
        disk.put(Path("/dev/null"), b"1")
        assert not Path("/dev/null").is_file()

    def test_a_pipe_that_is_reached_by_name_stays_a_pipe(self, tmp_path):
        code = "from pathlib import Path; from taxonomy import disk; disk.put(Path('/dev/stdout'), 'α')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
        assert (done.stdout.decode(), done.stderr) == ("α", b"")

    def test_what_must_be_new_is_never_put_into_a_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileExistsError):
            disk.put(tmp_path / "pipe", b"1", new=True)

    @pytest.mark.parametrize("step", ["open", "replace"])
    def test_errors_name_the_file_and_not_the_hidden_one_beside_it(self, tmp_path, monkeypatch, step):
        def refuse(path, *_):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(*(("builtins.open", refuse) if step == "open" else (os, "replace", refuse)))
        with pytest.raises(PermissionError) as caught:
            disk.put(tmp_path / "file", b"1")
        assert str(caught.value) == f"[Errno {errno.EACCES}] Permission denied: '{tmp_path / 'file'}'"

    def test_a_folder_is_not_overwritten(self, tmp_path):
        (tmp_path / "a").mkdir()
        with pytest.raises(OSError, match="directory"):
            disk.put(tmp_path / "a", b"1")
        assert contents(tmp_path) == {"a": None}

    def test_permissions_are_kept_or_those_of_the_user(self, tmp_path):
        old = os.umask(0o027)
        try:
            disk.put(tmp_path / "new", b"1")
            assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
            (tmp_path / "new").chmod(0o755)
            disk.put(tmp_path / "new", b"2")
            assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755
        finally:
            os.umask(old)

    def test_a_new_file_is_never_put_over_another(self, tmp_path, monkeypatch):
        original = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: original(handle) or (tmp_path / "a").write_text("another's"))
        with pytest.raises(FileExistsError):
            disk.put(tmp_path / "a", b"mine", new=True)
        assert contents(tmp_path) == {"a": b"another's"}
        (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
        with pytest.raises(FileExistsError):
            disk.put(tmp_path / "dangling", b"mine", new=True)

    def test_without_links(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        disk.put(tmp_path / "a", b"1", new=True)
        with pytest.raises(FileExistsError):
            disk.put(tmp_path / "a", b"2", new=True)
        with pytest.raises(FileExistsError):
            disk.put_all({tmp_path / "c": b"3", tmp_path / "a": b"2"}, new=[tmp_path / "a"])
        disk.put_all({tmp_path / "a": b"2", tmp_path / "b": b"3"})
        assert contents(tmp_path) == {"a": b"2", "b": b"3"}

    @pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "😀" * 63])
    def test_the_longest_names(self, tmp_path, name):
        disk.put(tmp_path / name, b"1")
        disk.put_all({tmp_path / name: b"2", tmp_path / "b": b"2"})
        assert set(contents(tmp_path).values()) == {b"2"}


class TestReplaced:
    def test_an_error_in_between_leaves_the_old_folder(self, tmp_path):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "a").write_text("1")
        with pytest.raises(ZeroDivisionError), disk.replaced(tmp_path / "site") as fresh:
            (fresh / "a").write_text(str(1 / 0))
        assert contents(tmp_path) == {"site/a": b"1"}

    def test_a_file_in_its_place(self, tmp_path):
        (tmp_path / "site").write_text("x")
        with pytest.raises(NotADirectoryError), disk.replaced(tmp_path / "site"):
            pass
        assert contents(tmp_path) == {"site": b"x"}

    def test_a_linked_folder_stays_linked(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with disk.replaced(tmp_path / "link") as fresh:
            (fresh / "a").write_text("1")
        assert (tmp_path / "link").is_symlink()
        assert contents(tmp_path / "real") == {"a": b"1"}


def test_a_lock_is_waited_for(tmp_path):
    code = """
import sys
from pathlib import Path
from taxonomy import disk
print("asking", flush=True)
with disk.locked(Path(sys.argv[1])):
    print("in", flush=True)
"""
    with disk.locked(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout.readline() == b"asking\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
    assert child.communicate()[0] == b"in\n"
