"""Run the terminal sessions on a page of `site/pages` again, in a copy of the repository, and put what was printed into the page.

A fenced block with a title is written to the file of that name; of a block `console`, every line that begins with `$ ` is run. What follows it up to
the next such line is what was printed, standard output and errors together.

    python site/transcript.py            # all of contributing.md
    python site/transcript.py --quick    # all but `atlas audit`, which takes longest
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from taxonomy.disk import put

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "site" / "pages" / "contributing.md"
COPIED = ("kb", "executable", "taxonomy", "tests/executable")
SLOW = ("atlas audit",)
BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<file>[\w./-]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
LONGEST = 3600
"""Seconds that a command may take."""


def recorded(page: str, folder: Path, *, quick: bool = False) -> str:
    """The page with what its commands print in `folder`, a copy of the repository that is changed by them.

    With `quick`, slow commands are left as they are.

    Raises
    ------
    ValueError
        If a line is no command of this project, or a file would be written outside the folder.
    """

    def again(block: re.Match[str]) -> str:
        if block["file"]:
            place = (folder / block["file"]).resolve()
            if not place.is_relative_to(folder.resolve()):
                raise ValueError(f"{block['file']} leads out of the copy")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block["text"], encoding="utf-8")
        elif block["language"] == "console":
            return f"```console\n{_session(block['text'], folder, quick=quick)}```"
        return block[0]

    return BLOCK.sub(again, page)


def copy_of_the_repository(folder: Path) -> Path:
    """What `atlas` needs of the repository, in a new folder."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
    return folder


def _session(text: str, folder: Path, *, quick: bool) -> str:
    told = []
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE):
        command = re.match(r"\$ ((?:.*\\\n)*.*)\n", part)
        if command is None or (quick and command[1].startswith(SLOW)):
            told.append(part)
        else:
            told.append(f"$ {command[1]}\n{_printed(command[1], folder)}")
    return "".join(told)


def _printed(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    if program != "atlas":
        raise ValueError(f"only `atlas` is run, not `{program}`")
    code = "import sys; from taxonomy.cli import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "120", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=LONGEST,
    )  # fmt: skip
    printed = run.stdout.replace(str(folder.resolve()), ".")
    return re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE).rstrip("\n") + "\n"


def main() -> int:
    """Record the page anew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="leave slow commands as they are recorded")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        put(PAGE, recorded(page, copy_of_the_repository(Path(folder)), quick=arguments.quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
