"""Hostile files in a record folder: links, pipes, devices, sizes, names; and that loading runs nothing and reads nothing outside."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import taxonomy
from taxonomy import AtlasError
from taxonomy.guarded import RefusedFileError, read_bytes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
ROOT = Path(__file__).parent.parent.parent
SECRET = "id: [a-secret-that-no-message-may-show"
FOLDERS = ["methods", "sources", "evidence", "audits", "conformance", "reproductions", "references.bib"]


def refused(kb, *, cache=False):
    with pytest.raises(AtlasError) as caught:
        taxonomy.load(kb, cache=cache)
    problems = taxonomy.check(kb)
    assert "a-secret" not in str(caught.value) + "".join(map(str, problems))
    return problems


@pytest.mark.parametrize("name", ["methods/evil.yaml", "evidence/x/y/z.json", "audits/x.json", "conformance/captum.json", "reproductions/x.json"])
@pytest.mark.parametrize("cache", [False, True])
def test_a_link_out_of_the_folder_is_not_followed(kb, tmp_path, name, cache):
    (tmp_path / "secret").write_text(SECRET)
    (kb / name).parent.mkdir(parents=True, exist_ok=True)
    (kb / name).symlink_to(tmp_path / "secret")
    assert f"kb/{name}:1:1: error: a record folder holds no symbolic links" in "\n".join(map(str, refused(kb, cache=cache)))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_part_of_the_folder_that_is_a_link_is_not_followed(kb, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "evil.yaml").write_text(SECRET)
    (elsewhere / "evil.json").write_text(SECRET)
    part = kb / name
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
    part.symlink_to(elsewhere if name != "references.bib" else elsewhere / "evil.yaml")
    problems = refused(kb)
    assert "symbolic link" in "\n".join(str(problem) for problem in problems if problem.file == f"kb/{name}")


def test_links_to_nowhere_and_to_themselves(kb):
    (kb / "methods" / "nowhere.yaml").symlink_to("nothing")
    (kb / "circle").symlink_to(kb)
    files = [problem.file for problem in refused(kb) if problem.rule == "link"]
    assert files == ["kb/circle", "kb/methods/nowhere.yaml"]


@pytest.mark.parametrize("name", ["methods/.#removal.yaml", ".#references.bib", "audits/.#x.json", ".git/x", "evidence/.x/y"])
def test_hidden_links_are_locks_of_an_editor(kb, name):
    (kb / name).parent.mkdir(parents=True, exist_ok=True)
    (kb / name).symlink_to("user@host.1234:5678")
    assert taxonomy.check(kb) == []
    assert taxonomy.load(kb, cache=False).records


@pytest.mark.parametrize("cache", [False, True])
def test_the_links_of_an_installation_are_followed_and_no_others(tmp_path, cache):
    for part in ("taxonomy", "kb"):
        for path in sorted((ROOT / part).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                place = tmp_path / path.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(path)
    code = f"""
import taxonomy
assert taxonomy.__file__.startswith({str(tmp_path)!r})
print(len(taxonomy.load(cache={cache}).records))
try:
    taxonomy.load({str(tmp_path / "kb")!r}, cache={cache})
except taxonomy.AtlasError as error:
    print(error.problems[0].message)
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert done.stdout.splitlines() == [str(len(taxonomy.load().records)), "a record folder holds no symbolic links"]
    assert (tmp_path / "cache" / "attribution-atlas").exists() == cache


@pytest.mark.parametrize("name", ["evidence", "audits", "conformance", "reproductions", "theorems"])
def test_a_file_in_place_of_a_folder_is_told(kb, name):
    shutil.rmtree(kb / name, ignore_errors=True)
    (kb / name).write_text("x")
    assert f"kb/{name}:1:1: error: `{name}` is a file where a folder belongs; move it away (folder)" in list(map(str, refused(kb)))


@pytest.mark.parametrize("name", ["methods/pipe.yaml", "evidence/x/y/pipe.json", "audits/pipe.json", "evidence/gallery.json"])
@pytest.mark.parametrize("cache", [False, True])
def test_a_pipe_is_not_waited_for(kb, name, cache):
    (kb / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(kb / name)
    problems = taxonomy.check(kb)
    assert "is no regular file" in "\n".join(str(problem) for problem in problems if problem.file == f"kb/{name}")
    if name != "evidence/gallery.json":  # which only the site reads
        refused(kb, cache=cache)


@pytest.mark.parametrize("name", ["methods/huge.yaml", "references.bib", "evidence/x/y/huge.json", "audits/huge.json", "evidence/gallery.json"])
def test_a_file_of_a_terabyte_is_refused_by_its_size(kb, name):
    (kb / name).parent.mkdir(parents=True, exist_ok=True)
    with (kb / name).open("wb") as file:
        file.truncate(1 << 40)
    problems = [problem for problem in taxonomy.check(kb) if problem.file == f"kb/{name}"]
    assert "1099511627776 bytes" in problems[0].message


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/proc/self/mem", "."])
def test_devices_and_folders_are_no_files(device):
    with pytest.raises(RefusedFileError):
        read_bytes(Path(device), 1000)


def test_a_folder_with_the_name_of_a_record(kb):
    (kb / "methods" / "folder.yaml").mkdir()
    (kb / "audits").mkdir(exist_ok=True)
    (kb / "audits" / "folder.json").mkdir()
    assert {problem.file for problem in refused(kb)} == {"kb/audits/folder.json"}


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[31m.yaml", "gr\u0430d.yaml", "a\u202eb.yaml", "-rf.yaml", "con.yaml", "::error::x.yaml", "x.yml",
                                  "'; rm -rf x.yaml", "$(id).yaml", "%0A.yaml"])  # fmt: skip
def test_strange_file_names_are_shown_without_harm(kb, name):
    (kb / "methods" / name).write_text("id: x\n")
    problems = refused(kb)
    assert problems
    for problem in problems:
        assert str(problem).isprintable()
        assert str(problem).isascii() or "\u0430" not in str(problem)
        assert problem.as_annotation().count("\n") == 0


def test_a_file_name_that_is_no_text(kb):
    path = os.fsencode(kb / "methods") + b"/\xff\xfe.yaml"
    with open(path, "wb") as file:
        file.write(b"id: x\n")
    for problem in refused(kb, cache=True):
        assert str(problem).isascii()


def test_records_in_folders_of_no_kind_are_told(kb):
    (kb / "methods" / "deeper").mkdir()
    (kb / "methods" / "deeper" / "x.yaml").write_text("id: x\n")
    assert [problem.rule for problem in refused(kb)] == ["folder"]


WATCH = """
import sys
sys.path.insert(0, {root!r})
import taxonomy, taxonomy.audit, taxonomy.bibliography, taxonomy.conformance, taxonomy.reproduction, taxonomy.evidence, taxonomy.gallery
import taxonomy.validation, taxonomy.atlas, math_core, pybtex.database, difflib, pydantic
from pathlib import Path
from taxonomy.records import KINDS
kb, heard = Path({kb!r}), []
taxonomy.check(Path({warm!r}))  # everything that is imported late is imported now
def hear(event, arguments):
    if event == "open" and not isinstance(arguments[0], int):
        path = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode("utf-8", "surrogateescape")
        if not path.startswith({kb!r}) and not path.startswith((sys.prefix, sys.base_prefix, {root!r} + "/taxonomy")):
            heard.append((event, path))
    elif event.split(".")[0] in {{"subprocess", "socket", "ctypes", "shutil", "tempfile", "urllib", "ftplib", "http"}}:
        heard.append((event, repr(arguments)[:80]))
    elif event in {{"exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.putenv", "os.remove", "os.rename", "os.mkdir", "os.link",
                   "os.symlink", "os.chmod", "marshal.loads", "pickle.find_class", "code.__new__", "builtins.input"}}:
        heard.append((event, repr(arguments)[:80]))
sys.addaudithook(hear)
for problem in taxonomy.check(kb):
    print(problem.rule)
try:
    taxonomy.load(kb, cache=False).bibliography
except taxonomy.AtlasError:
    pass
print("HEARD", heard)
"""


def test_loading_runs_nothing_and_reads_nothing_outside(kb, tmp_path):
    warm = Path(shutil.copytree(kb, tmp_path / "warm"))
    for folder in (kb, warm):
        (folder / "audits").mkdir(exist_ok=True)
    (warm / "methods" / "bad.yaml").write_text("idd: [\n")
    (warm / "methods" / "worse.yaml").write_text("id: worse\nname: x\nsummary: x\nformulaa: x\nvariant-of: [{to: gradien, sources: []}]\n")
    hostile = {
        "object": "id: !!python/object/apply:os.system [touch pwned]\n", "include": "id: !include /etc/passwd\n",
        "code": "id: code\nname: __import__('os').system('id')\nsummary: '{{ 7*7 }}'\nimplementation: executable.os:system\n",
        "formula": "id: formula\nname: f\nsummary: s\nformula: '\\input{/etc/passwd}'\n",
        "cost": "id: cost\nname: c\nsummary: s\ncost: {evaluations: 'n(n)'}\n",
        "path": "id: path\nname: p\nsummary: s\nsources: [{work: ../../../etc/passwd, at: /etc/shadow}]\n",
    }  # fmt: skip
    for name, text in hostile.items():
        (kb / "methods" / f"{name}.yaml").write_text(text)
    (kb / "methods" / "link.yaml").symlink_to("/etc/passwd")
    (kb / "audits" / "evil.json").write_text('{"function": "../../x", "method": "../../../etc/passwd"}')
    with (kb / "references.bib").open("a") as file:
        file.write("\n@string{a = {x}}\n@misc{include, title = {\\input{/etc/passwd}}, url = {file:///etc/passwd}}\n")
    script = WATCH.format(root=str(Path(__file__).resolve().parents[2]), kb=str(kb), warm=str(warm))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "HEARD []"
    assert {"link", "yaml", "bibliography", "value"} <= set(done.stdout.split())
