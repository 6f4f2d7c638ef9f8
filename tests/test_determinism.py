"""The pages and every export are the same bytes whatever the hash seed, locale, time zone, folder, umask, order of files and number of threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Run before the work: every listing of a folder comes back in another order, and the clock stands on another day.
SHUFFLE = """
import os, random, runpy, sys, time
chance = random.Random({seed})
listdir, scandir, now = os.listdir, os.scandir, time.time
def shuffled(found):
    found = list(found)
    chance.shuffle(found)
    return found
class Entries:
    def __init__(self, found): self.rest = iter(found)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def close(self): pass
    def __iter__(self): return self
    def __next__(self): return next(self.rest)
os.listdir = lambda *args: shuffled(listdir(*args))
os.scandir = lambda *args: Entries(shuffled(scandir(*args)))
time.time = lambda: now() + {days} * 86400
os.umask({umask})
sys.argv = sys.argv[1:]
if sys.argv[0] == "-m":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
HERE = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C",
    "LANG": "C",
    "LANGUAGE": "",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",
}
ELSEWHERE = {
    "PYTHONHASHSEED": "4242", "LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8", "LANGUAGE": "tr", "TZ": "Pacific/Kiritimati", "OMP_NUM_THREADS": "2",
    "HOME": "/nonexistent", "COLUMNS": "40", "NO_COLOR": "1", "SOURCE_DATE_EPOCH": "1",
}  # fmt: skip


def locales():
    """Locales of this machine in which letters have another order or another upper case, if it has any."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split() if shutil.which("locale") else []
    return [name for name in listed if name.lower().startswith(("tr_tr", "de_de", "et_ee"))]


def started(place, number, call):
    """A process in surroundings of its own: the first as plain as can be, the second as strange as can be."""
    own = dict((HERE, ELSEWHERE)[number])
    if number and (found := locales()):
        own["LC_ALL"] = found[0]
    folder = place / ("a", "a folder with a space and an ü")[number]
    folder.mkdir(parents=True)
    code = SHUFFLE.format(seed=number, days=number * 400, umask=(0o022, 0o007)[number])
    kept = {name: value for name, value in os.environ.items() if name not in {*HERE, *ELSEWHERE, "LC_CTYPE"}}
    environment = kept | {"HOME": str(place)} | own | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *(text.replace("OUT", str(folder / "out")) for text in call)]
    return folder, subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def made_twice(place, call):
    """What a command writes into OUT in two surroundings, file by file."""
    runs = [started(place, number, call) for number in range(2)]
    made = []
    outputs = [process.communicate()[0].decode(errors="replace") for _, process in runs]
    for (folder, process), said in zip(runs, outputs, strict=True):
        assert process.returncode == 0, said
        out = folder / "out"
        made.append({path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()})
    return made


@pytest.mark.parametrize(
    ("call", "least"),
    [
        (("-m", "taxonomy.cli", "export", "--all", "OUT"), 600),
        ((str(ROOT / "site" / "build.py"), "--docs", "OUT", "--docs-only"), 1000),
    ],
    ids=["exports", "pages"],
)
def test_same_bytes_everywhere(tmp_path, call, least):
    first, second = made_twice(tmp_path, call)
    assert len(first) > least
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content], "a file names the folder it was made in"


def test_the_surroundings_are_different(tmp_path):
    """The test above shows something only if what it varies reaches the work."""
    code = (
        "import os, sys, time, locale, pathlib; names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']\n"
        "folder = pathlib.Path(sys.argv[1]); folder.mkdir(); [(folder / name).touch() for name in names]\n"
        "listed = os.listdir(folder) + [entry.name for entry in os.scandir(folder)] + [path.name for path in folder.glob('*')]\n"
        "(folder / 'said').write_text('\\n'.join([str(hash('x')), sys.getfilesystemencoding(), locale.getpreferredencoding(False),\n"
        "    str(time.tzname), str(os.stat(folder / 'a').st_mode), ascii(os.getcwd()), str(int(time.time() // 1e7)), ' '.join(listed)]))"
    )
    script = tmp_path / "say.py"
    script.write_text(code, encoding="utf-8")
    first, second = (found["said"].decode().split("\n") for found in made_twice(tmp_path / "work", (str(script), "OUT")))
    assert [one == other for one, other in zip(first, second, strict=True)] == [False] * len(first)
