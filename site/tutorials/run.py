"""Run the tutorials, which are notebooks, and record what they put out; or check that they still put out what is recorded.

python site/tutorials/run.py [NAME ...] [--check]

Run it without `--check` after changing a notebook, or when records or functions that a notebook shows have changed, and look at the difference before
committing it. Nothing in a notebook may depend on the clock, on chance without a seed, or on a network; what it prints is rounded to what is stable.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxonomy.disk import put

HERE = Path(__file__).resolve().parent
TIMEOUT = 900
"""Seconds for one cell, on a machine that is busy with other things."""
NO_NETWORK = "http://127.0.0.1:9"
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*[a-z_])")
Notebook = dict[str, Any]


def read(path: Path) -> Notebook:
    """A notebook as plain values."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def text(notebook: Notebook) -> str:
    """A notebook as it is stored: a line of source to a line, no escapes, one final newline."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def executed(notebook: Notebook) -> Notebook:
    """The notebook with the outputs of a fresh run, and without traces of when and where it ran.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    quiet = {"OMP_NUM_THREADS": "1", "HTTP_PROXY": NO_NETWORK, "HTTPS_PROXY": NO_NETWORK}
    with tempfile.TemporaryDirectory() as folder:
        node = nbformat.reads(json.dumps(notebook), as_version=4)
        client = NotebookClient(node, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, **quiet})
    return _tidied(json.loads(json.dumps(node)), notebook["metadata"])


def _tidied(notebook: Notebook, metadata: dict[str, Any]) -> Notebook:
    notebook["metadata"] = metadata
    number = 0
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        cell["source"] = _lines(cell["source"])
        if cell["cell_type"] == "code":
            number += 1
            cell["execution_count"] = number
            cell["outputs"] = [_output(output, number) for output in _joined(cell["outputs"])]
    return notebook


def _lines(value: Any) -> list[str]:
    return ("".join(value) if isinstance(value, list) else str(value)).splitlines(keepends=True)


def _joined(outputs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Outputs, neighbouring pieces of one stream as one."""
    last: dict[str, Any] | None = None
    for output in outputs:
        if last is not None and output["output_type"] == "stream" == last["output_type"] and output["name"] == last["name"]:
            last["text"] += output["text"]
            continue
        if last is not None:
            yield last
        last = dict(output)
    if last is not None:
        yield last


def _output(output: dict[str, Any], number: int) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return output | {"text": _lines(output["text"])}
    kept = {"output_type": output["output_type"], "metadata": {}, "data": {kind: _lines(value) for kind, value in output["data"].items()}}
    return kept | ({"execution_count": number} if output["output_type"] == "execute_result" else {})


# -- comparing -----------------------------------------------------------------------------------------------------------------------------


def differences(recorded: Notebook, fresh: Notebook) -> list[str]:
    """What differs between the outputs of two runs, as lines for people; numbers may differ by two units of their last digit, or by one per cent."""
    found: list[str] = []
    cells = zip(recorded["cells"], fresh["cells"], strict=True)
    for before, after in ((b, a) for b, a in cells if b["cell_type"] == "code"):
        old, new = shown(before), shown(after)
        if not same(old, new):
            found += [f"cell `{before['id']}`:", *difflib.unified_diff(old.splitlines(), new.splitlines(), "recorded", "now", lineterm="", n=1)]
    return found


def shown(cell: dict[str, Any]) -> str:
    """All that a cell puts out, as one text."""
    parts = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            parts.append(f"[{output['name']}]\n" + "".join(output["text"]))
        else:
            parts += [f"[{kind}]\n" + "".join(value) for kind, value in sorted(output["data"].items())]
    return "\n".join(parts)


def same(old: str, new: str) -> bool:
    """Whether two texts say the same, up to the last digits of their numbers."""
    if _skeleton(old) != _skeleton(new):
        return False
    return all(_close(one, other) for one, other in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True))


def _skeleton(value: str) -> str:
    return " ".join(_NUMBER.sub("0", value).split())


def _close(one: str, other: str) -> bool:
    if one == other:
        return True
    if "." not in one or "." not in other:
        return False  # a whole number counts something
    a, b, digits = float(one), float(other), len(one.split("e")[0].partition(".")[2])
    return abs(a - b) <= max(2.001 * 10.0**-digits, 0.01 * abs(a))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the tutorials and record what they put out.")
    parser.add_argument("names", nargs="*", help="names without `.ipynb` (default: all)")
    parser.add_argument("--check", action="store_true", help="change nothing: say what differs from what is recorded")
    options = parser.parse_args(arguments)
    paths = [HERE / f"{name}.ipynb" for name in options.names] or sorted(HERE.glob("*.ipynb"))
    code = 0
    for path in paths:
        if not path.exists():
            print(f"no tutorial {path.stem}; there are: {', '.join(sorted(p.stem for p in HERE.glob('*.ipynb')))}", file=sys.stderr)
            return 2
        recorded = read(path)
        fresh = executed(recorded)
        if not options.check:
            put(path, text(fresh))
            print(f"ran {path.stem}")
        elif found := differences(recorded, fresh):
            print(
                "\n".join([f"{path.stem} puts out something else than is recorded; `python site/tutorials/run.py {path.stem}` records it:", *found])
            )
            code = 1
        else:
            print(f"{path.stem}: as recorded")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
