"""The cache of loaded atlases: never stale, never in the way."""

import hashlib
import os
import pickle
import subprocess
import sys
import threading

import pytest

import taxonomy
from taxonomy import store


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder, inside an empty one of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "cache" / "attribution-atlas"


@pytest.fixture
def parsed(monkeypatch):
    """Counts how often a record folder is parsed."""
    calls = []
    original = store._load
    monkeypatch.setattr(store, "_load", lambda kb: calls.append(kb) or original(kb))
    return calls


def contents(atlas):
    return atlas.records, atlas.edges, atlas.derived, atlas.evidence, list(atlas.bibliography), [str(found) for found in atlas.contradictions]


def only(folder):
    (file,) = folder.iterdir()
    return file


def test_warm_equals_cold(kb, cache, parsed):
    cold, warm = taxonomy.load(kb), taxonomy.load(kb)
    assert len(parsed) == 1
    assert contents(cold) == contents(warm) == contents(taxonomy.load(kb, cache=False))
    assert only(cache).suffix == ".atlas"


def test_without_cache_nothing_is_read_or_written(kb, cache, parsed):
    for _ in range(2):
        taxonomy.load(kb, cache=False)
    assert len(parsed) == 2
    assert not cache.exists()


CHANGES = {
    "record": lambda kb: (kb / "methods" / "removal.yaml").write_text(
        (kb / "methods" / "removal.yaml").read_text().replace("name: Removal", "name: Erasure")
    ),
    "new record": lambda kb: (kb / "axioms" / "new.yaml").write_text("id: new\nname: New\ntradition: SHAP\nsummary: New.\n"),
    "bibliography": lambda kb: (kb / "references.bib").write_text((kb / "references.bib").read_text() + "@misc{new2020new, title = {New}}\n"),
    "evidence": lambda kb: (kb / "evidence" / "mean-gradient" / "reformulates-as" / "coalition.json").unlink(),
    "renamed folder": lambda kb: kb.rename(kb.with_name("other")),
}


@pytest.mark.parametrize("name", ["methods/sub", "sub", "schema", "evidence/x"])
def test_a_linked_folder_is_told_as_without_a_cache(kb, cache, name):
    taxonomy.load(kb)
    (kb / name).symlink_to("/etc")
    with pytest.raises(taxonomy.AtlasError, match="symbolic link"):
        taxonomy.load(kb)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_a_new_result(kb, cache, change):
    before = taxonomy.load(kb)
    CHANGES[change](kb)
    kb = kb if kb.exists() else kb.with_name("other")
    after = taxonomy.load(kb)
    assert contents(after) == contents(taxonomy.load(kb, cache=False))
    assert (contents(after) == contents(before)) == (change == "renamed folder")
    assert len(list(cache.iterdir())) == 2


def test_same_size_and_time_do_not_fool_it(kb, cache):
    path = kb / "methods" / "removal.yaml"
    taxonomy.load(kb)
    before = path.stat()
    path.write_text(path.read_text().replace("name: Removal", "name: Erasure"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert taxonomy.load(kb).record("removal").name == "Erasure"


def test_a_changed_package_makes_a_new_key(kb, cache, tmp_path, monkeypatch):
    key = store._digest(kb)
    package = tmp_path / "package"
    package.mkdir()
    (package / "atlas.py").write_text("# another version\n")
    monkeypatch.setattr(store, "_PACKAGE", package)
    assert store._digest(kb) != key


def test_an_error_is_never_cached(kb, cache):
    path = kb / "methods" / "removal.yaml"
    text = path.read_text()
    path.write_text("id: [")
    for _ in range(2):
        with pytest.raises(taxonomy.AtlasError):
            taxonomy.load(kb)
    assert not cache.exists()
    path.write_text(text)
    assert taxonomy.load(kb).record("removal")


def bomb():
    raise AssertionError("a pickle was loaded that nobody vouches for")


class Bomb:
    def __reduce__(self):
        return bomb, ()


DAMAGE = {
    "empty": lambda content: b"",
    "short": lambda content: content[:10],
    "truncated": lambda content: content[:-1],
    "one bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "checksum": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "no pickle": lambda content: hashlib.blake2b(b"junk", digest_size=32).digest() + b"junk",
    "foreign pickle": lambda content: content[:32] + pickle.dumps(Bomb()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_ignored_and_replaced(kb, cache, parsed, damage):
    first = taxonomy.load(kb)
    file = only(cache)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert contents(taxonomy.load(kb)) == contents(first)
    assert len(parsed) == 2
    taxonomy.load(kb)
    assert len(parsed) == 2


def test_no_pickle_is_loaded_when_the_checksum_is_wrong(kb, cache, monkeypatch):
    taxonomy.load(kb)
    file = only(cache)
    file.write_bytes(DAMAGE["foreign pickle"](file.read_bytes()))
    monkeypatch.setattr(store.pickle, "loads", lambda payload: bomb())
    assert taxonomy.load(kb).records


def test_a_file_in_place_of_the_cache_folder(kb, cache):
    cache.parent.mkdir()
    cache.write_text("in the way")
    assert taxonomy.load(kb).records
    assert cache.read_text() == "in the way"


def test_a_folder_that_cannot_be_written(kb, cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    cache.mkdir(parents=True)
    monkeypatch.setattr(store.disk, "open", refuse, raising=False)
    assert taxonomy.load(kb).records
    assert list(cache.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(kb, cache, monkeypatch):
    def refuse(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(store.disk.os, "replace", refuse)
    assert taxonomy.load(kb).records
    assert not cache.exists()


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_an_empty_or_relative_cache_home(kb, tmp_path, monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    taxonomy.load(kb)
    assert not (tmp_path / "relative").exists()
    assert not (tmp_path / "attribution-atlas").exists()
    assert (tmp_path / "home" / ".cache" / "attribution-atlas").exists() == (value == "")


def test_no_home_at_all(kb, monkeypatch):
    def homeless():
        raise RuntimeError("could not determine home directory")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(store.Path, "home", homeless)
    assert taxonomy.load(kb).records


def test_old_files_are_forgotten(kb, cache):
    path = kb / "axioms" / "symmetry.yaml"
    for number in range(10):
        path.write_text(path.read_text() + f"# {number}\n")
        taxonomy.load(kb)
    assert len(list(cache.iterdir())) == 8


def test_threads_may_load_at_once(kb, cache):
    loaded = []
    threads = [threading.Thread(target=lambda: loaded.append(taxonomy.load(kb))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert all(contents(atlas) == contents(loaded[0]) for atlas in loaded)
    assert only(cache)


def test_another_process_reads_what_this_one_wrote(kb, cache):
    expected = repr(taxonomy.load(kb))
    stamp = only(cache).stat().st_mtime_ns
    code = "import sys, taxonomy; print(taxonomy.load(sys.argv[1])); print(*{'yaml', 'math_core'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(kb)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [expected, ""]
    assert only(cache).stat().st_mtime_ns == stamp
