"""The tutorials: their notebooks run and put out what is recorded; their pages show every cell."""

from __future__ import annotations

import copy
import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from atlas_pages import tutorials

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "site" / "tutorials"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
NOTEBOOKS = pytest.mark.parametrize("name", NAMES)


def _runner() -> Any:
    spec = importlib.util.spec_from_file_location("tutorials_run", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = _runner()


def notebook(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def words(text: str) -> str:
    """Text without markup and white space."""
    return re.sub(r"\s+", "", html.unescape(re.sub(r"<[^>]+>", "", text)))


def test_the_four_tutorials_are_there() -> None:
    assert set(NAMES) == set(tutorials.ORDER)
    assert [item.name for item in tutorials.tutorials()] == list(tutorials.ORDER)


@NOTEBOOKS
def test_a_fresh_run_puts_out_what_is_recorded(name: str) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "run.py"), name, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == f"{name}: as recorded"


@NOTEBOOKS
def test_a_notebook_is_stored_in_one_form(name: str) -> None:
    found = notebook(name)
    assert (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8") == run.text(found)
    ids = [cell["id"] for cell in found["cells"]]
    assert len(set(ids)) == len(ids) >= 10
    assert all(re.fullmatch(r"[a-z][a-z-]*", id_) for id_ in ids), "ids are words, so that differences can be read"
    assert set(found["metadata"]) == {"atlas", "kernelspec", "language_info"}
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.get("name") == "stderr" or output["output_type"] == "error" for cell in code for output in cell["outputs"])
    # No address in memory, no path of a machine, no time.
    everything = "".join(run.shown(cell) for cell in code)
    assert not re.search(r"0x[0-9a-f]{6,}|/home/|/work/|/tmp/", everything)


def test_a_difference_is_noticed() -> None:
    old = notebook("query-the-graph")
    assert not run.differences(old, copy.deepcopy(old))
    new = copy.deepcopy(old)
    cell = next(cell for cell in new["cells"] if cell["id"] == "why")
    cell["outputs"][0]["text"][-1] = "  run: fails\n"
    assert run.differences(old, new)[0] == "cell `why`:"


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        ("sum 8.51", "sum 8.52", True),
        ("sum 8.51", "sum 8.91", False),
        ("-0.00 and 0.5", "0.00 and 0.5", True),
        ("97 % of 360", "98 % of 360", False),
        ("sum 8.51", "total 8.51", False),
        ("1.5 2.5", "1.5", False),
        ("holds", "fails", False),
    ],
)
def test_numbers_may_differ_in_their_last_digit(old: str, new: str, alike: bool) -> None:
    assert run.same(old, new) is alike


@NOTEBOOKS
def test_the_page_shows_every_cell(built: Any, name: str) -> None:
    page = built.html(f"tutorials/{name}.html")
    article = page.split('<article class="md-content__inner')[1].split("</article>")[0]
    shown = words(article)
    found = notebook(name)
    for cell in found["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert words(html.escape(source)) in shown, cell["id"]
            for output in cell["outputs"]:
                if output["output_type"] == "stream":
                    assert words(html.escape("".join(output["text"]))) in shown, cell["id"]
                elif "image/svg+xml" in output["data"]:
                    assert article.count("<rect") >= "".join(output["data"]["image/svg+xml"]).count("<rect") > 10
        else:
            heading = next((line.lstrip("# ") for line in source.splitlines() if line.startswith("#")), "")
            start = re.split(r"[$*`\[]", source.splitlines()[0])[0].lstrip("# ")
            assert words(html.escape(heading)) in shown
            assert words(html.escape(start)) in shown, cell["id"]
    assert article.count("<svg") >= sum("image/svg+xml" in o.get("data", {}) for c in found["cells"] for o in c.get("outputs", ()))
    assert article.count('class="language-python highlight"') == sum(cell["cell_type"] == "code" for cell in found["cells"])
    assert (built.public / f"tutorials/{name}.ipynb").read_bytes() == (FOLDER / f"{name}.ipynb").read_bytes()
    assert f'href="{name}.ipynb"' in article
    assert f'href="{name}.html"' in built.html("tutorials/index.html")


@NOTEBOOKS
def test_links_lead_somewhere(built: Any, name: str) -> None:
    text = "".join("".join(cell["source"]) for cell in notebook(name)["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) >= 3
    for address in links:
        file, _, anchor = address.partition("#")
        target = (built.public / "tutorials" / file).resolve()
        assert target.exists(), address
        assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8"), address


def test_only_what_is_known_is_taken_over() -> None:
    table = '<table onclick="steal()"><tr><th scope="row">a &lt; b</th><td>$1$<br></td></tr></table>'
    assert tutorials.clean(table, tutorials._HTML) == '<table><tr><th scope="row">a &lt; b</th><td>&#36;1&#36;<br></td></tr></table>'
    for bad in ("<script>x</script>", '<img src="https://elsewhere.org/x.png">', "<iframe></iframe>", "<style>*{}</style>"):
        with pytest.raises(ValueError, match="which the pages do not show"):
            tutorials.clean(bad, tutorials._HTML)
    drawing = '<svg viewBox="0 0 1 1"><rect fill="url(https://elsewhere.org)" x="1"/><text>a&amp;b</text></svg>'
    assert tutorials.clean(drawing, tutorials._SVG) == '<svg viewBox="0 0 1 1"><rect x="1"></rect><text>a&amp;b</text></svg>'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n: n["cells"][0].update(source=["no title"]), "begins with a title"),
        (lambda n: n["metadata"].pop("atlas"), "has a description"),
        (lambda n: n["cells"][1].update(cell_type="raw"), "is of kind `raw`"),
    ],
)
def test_a_notebook_that_cannot_be_shown_is_named(tmp_path: Path, change: Any, said: str) -> None:
    found = notebook("query-the-graph")
    change(found)
    file = tmp_path / "broken.ipynb"
    file.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        tutorials.read(file)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_scroll(opened: Any, scheme: str) -> None:
    for name in ("index", *NAMES):
        page = opened(f"tutorials/{name}.html", width=360, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_outputs_can_be_reached_by_keyboard(opened: Any) -> None:
    page = opened("tutorials/explain-a-cnn.html", width=360)
    wide = page.evaluate("[...document.querySelectorAll('.nb-out, .nb-text')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.tabIndex)")
    assert wide
    assert set(wide) == {0}
