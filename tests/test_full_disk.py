"""A disk that is full at any moment: nothing that was there changes, and nothing half written stays."""

import builtins
import contextlib
import errno
import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import taxonomy
from executable.testbeds import train_diffusion
from taxonomy import disk, evidence, schema, store
from taxonomy.authoring.writing import Change, WritingError, write
from taxonomy.evidence import Evidence
from taxonomy.export import files

ROOT = Path(__file__).parent.parent
VALID = ROOT / "tests" / "taxonomy" / "fixtures" / "valid"
RUN = Evidence(claim="a/satisfies/b", check="a/b", status="holds", statement="x", domain="y", trials=1, seed=0)


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


class FullDisk:
    """From the step with a given number on, every call that needs room fails, the first with half of its bytes written; what frees room works."""

    def __init__(self, patch, below):
        self.below, self.step, self.fails_at = os.fspath(below), 0, sys.maxsize
        self._open, self._fsync = builtins.open, os.fsync
        patch.setattr(builtins, "open", self.open)
        patch.setattr(io, "open", self.open)
        patch.setattr(os, "fsync", self.after(os.fsync))
        for name in ("link", "mkdir"):
            patch.setattr(os, name, self.after(getattr(os, name)))
        for name in ("replace", "rename"):
            patch.setattr(os, name, self.after(getattr(os, name), only_once=True))

    def full(self, *, only_once=False):
        self.step += 1
        return self.step == self.fails_at if only_once else self.step >= self.fails_at

    def after(self, call, *, only_once=False):
        def called(*args, **kwargs):
            if self.full(only_once=only_once):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return called

    def open(self, file, mode="r", *args, **kwargs):
        if not set(mode) & set("wxa+"):
            return self._open(file, mode, *args, **kwargs)
        if self.full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        stream = self._open(file, mode, *args, **kwargs)
        original = stream.write

        def written(content):
            if self.full():
                original(content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(content)

        with contextlib.suppress(AttributeError):  # a buffered stream takes no attribute: it is wrapped
            stream.write = written
            return stream
        return Wrapped(stream, written)


class Wrapped:
    """A stream whose writing is another's."""

    def __init__(self, stream, write):
        self._stream, self.write = stream, write

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()


def _put_one(folder):
    disk.put(folder / "old.txt", b"2" * 9)


def _put_several(folder):
    disk.put_all({folder / "new" / "deep" / "a": b"2" * 9, folder / "old.txt": b"2" * 9, folder / "b": "2" * 9}, new=[folder / "b"])


def _folder_replaced(folder):
    with disk.replaced(folder / "whole") as fresh:
        (fresh / "sub").mkdir()
        for name in ("a", "sub/b"):
            (fresh / name).write_bytes(b"2" * 9)


def _folder_made(folder):
    files.write_folder(folder / "other", {"a": b"2" * 9, "sub/b": b"2" * 9})


def _folder_forced(folder):
    files.write_folder(folder / "whole", {"a": b"2" * 9, "sub/b": b"2" * 9}, force=True)


def _folder_with_more(folder):
    files.write_folder(folder / "mixed", {"a": b"2" * 9, "sub/b": b"2" * 9}, force=True)


def _records(folder):
    write(folder, [Change("kb/methods/a.yaml", "2" * 9), Change("old.txt", "2" * 9, "1" * 9), Change("new/code.py", "2" * 9)])


def _evidence(folder):
    evidence.write(RUN, folder / "evidence")


def _schemas(folder):
    schema.write_schemas(folder)


CASES = [_put_one, _put_several, _folder_replaced, _folder_made, _folder_forced, _folder_with_more, _records, _evidence, _schemas]


def filled(folder):
    for name in ("old.txt", "whole/a", "whole/sub/b", "mixed/a", "mixed/mine", "evidence/x/y.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1" * 9)
    evidence.write(RUN.model_copy(update={"status": "fails"}), folder / "evidence")
    return contents(folder)


def refused(case, folder):
    """Whether the disk was found to be full, and nothing else went wrong."""
    try:
        case(folder)
    except (OSError, WritingError) as error:
        if "No space left" not in str(error):
            raise
        return True
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.strip("_"))
@pytest.mark.parametrize("exchange", [True, False], ids=["one step", "two steps"])
def test_a_disk_that_is_full_at_any_step_changes_nothing(tmp_path, monkeypatch, case, exchange):
    if not exchange:
        monkeypatch.setattr(disk, "_exchanged", lambda one, other: False)
    monkeypatch.setattr(schema, "KINDS", dict(list(schema.KINDS.items())[:2]))
    folder = tmp_path / "0"
    folder.mkdir()
    before = filled(folder)
    failures = 0
    while True:
        with monkeypatch.context() as patch:
            full = FullDisk(patch, folder)
            full.fails_at = failures + 1
            if not refused(case, folder):
                break
        assert contents(folder) == before, f"step {failures + 1}"
        failures += 1
    assert failures >= 3
    after = contents(folder)
    assert after != before
    assert not [name for name in after if name.endswith(".tmp")]
    assert all(after[name] == b"2" * 9 for name in after if name not in before and name.endswith(("a", "b", ".py")))


def test_a_full_disk_is_noticed_before_anything_changes(tmp_path, monkeypatch):
    """All files are staged first, so that no step which needs room comes after the first that shows."""
    order = []
    for name in ("replace", "fsync"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, original=original: order.append(name) or original(*args))
    disk.put_all({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert order == ["fsync", "fsync", "replace", "replace"]


def test_an_interrupt_between_two_files_takes_the_first_back(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    original = os.replace

    def interrupted(source, target):
        if Path(target).name == "b":
            raise KeyboardInterrupt
        original(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        disk.put_all({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert contents(tmp_path) == {"a": b"old"}


def test_the_cache_of_a_full_disk_is_none(kb, tmp_path, monkeypatch):
    expected = repr(taxonomy.load(kb, cache=False))
    for step in range(1, 20):
        with monkeypatch.context() as patch:
            FullDisk(patch, tmp_path).fails_at = step
            assert repr(taxonomy.load(kb)) == expected
        left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] if (tmp_path / "cache").exists() else []
        assert left in ([], [f"{store._digest(kb)}.atlas"])
        if left:
            break
    assert step > 3


def test_the_cache_is_not_kept_if_a_record_changed_while_it_was_read(kb, tmp_path, monkeypatch):
    """Else the old key would lead to the new content, and a record that is changed back would be read wrong."""
    record = kb / "methods" / "removal.yaml"
    before = record.read_bytes()
    original = store._load

    def load(folder):
        record.write_bytes(before.replace(b"name: Removal", b"name: Erasure"))
        return original(folder)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_load", load)
        taxonomy.load(kb)
    record.write_bytes(before)
    assert taxonomy.load(kb).record("removal").name == "Removal"


def test_weights_are_written_by_the_one_way(tmp_path, monkeypatch):
    assert "put(WEIGHTS" in Path(train_diffusion.__file__).read_text(encoding="utf-8")


TINY = """
set -e
mount -t tmpfs -o size=64m tmpfs {place}
cp -r {kb} {place}/kb
mkdir {place}/out && echo 1 > {place}/out/mine
cat /dev/zero > {place}/ballast 2> /dev/null || true
truncate -s -{room}K {place}/ballast
code=0; {command} > {place}.log 2>&1 || code=$?
echo "code $code" >> {place}.log
rm {place}/ballast
cp -r {place} {place}.after
"""


def in_a_full_disk(tmp_path, room, *arguments):
    """Run `atlas` where a file system of its own has room for so many kilobytes; (code, what it said, what is left there)."""
    if shutil.which("unshare") is None:
        pytest.skip("no private file system here: needs unshare")
    place = tmp_path / "a tiny disk"
    place.mkdir()
    command = shlex.join([sys.executable, "-m", "taxonomy.cli", *(argument.replace("TINY", str(place)) for argument in arguments)])
    script = TINY.format(room=room, place=shlex.quote(str(place)), kb=shlex.quote(str(VALID)), command=command)
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, env=environment)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no private file system here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said, _, code = Path(f"{place}.log").read_text().rpartition("code ")
    return int(code), said, contents(Path(f"{place}.after"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "--all", "TINY/exports", "--kb", "TINY/kb"),
        ("export", "csv", "--output", "TINY/out", "--force", "--kb", "TINY/kb"),
        ("export", "json", "--output", "TINY/out/mine", "--force", "--kb", "TINY/kb"),
        ("schema", "--kb", "TINY/kb"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_commands_on_a_disk_that_is_really_full(tmp_path, arguments):
    code, said, left = in_a_full_disk(tmp_path, 16, *arguments)
    assert code == 1
    assert "No space left on device" in said
    assert "Traceback" not in said
    kept = {name: text for name, text in left.items() if not name.startswith("cache")}
    assert kept == {"out/mine": b"1\n", **{f"kb/{name}": text for name, text in contents(VALID).items()}}
    assert not [name for name in left if name.endswith(".tmp")]


def test_the_same_commands_work_where_there_is_room(tmp_path):
    code, said, left = in_a_full_disk(tmp_path, 50_000, "export", "--all", "TINY/exports", "--kb", "TINY/kb")
    assert code == 0, said
    assert "exports/atlas.json" in left
