"""The served site follows every edit, and what it ends with is what a whole build writes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import preview
import pytest
import serve

ROOT = Path(__file__).resolve().parents[2]
LIME, SMOOTHGRAD, GRADIENT = (f"methods/{name}.yaml" for name in ("lime", "smoothgrad", "gradient"))
RUN = "evidence/lime/violates/sensitivity.json"
PATIENCE = 240
CLAIM = "  - to: completeness\n"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever proxy the environment names for others."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((serve.HOST, 0))
        return int(probe.getsockname()[1])


def ask(url: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with OPENER.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(url: str, wanted: Callable[[int, str], bool]) -> str:
    """The text of a page as soon as it is as wanted."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            status, text = ask(url)
        except (urllib.error.URLError, ConnectionError):  # not listening yet
            status, text = 0, ""
        if wanted(status, text):
            return text
        assert time.monotonic() < end, text[:2000]
        time.sleep(0.05)


class Bound(serve.Server):  # type: ignore[misc]
    """Has its port from the beginning, so that no other program takes it in between, and looks at the records alone.

    A change of the checkout while the tests run would start all of pytest anew.
    """

    def __init__(self, kb: Path, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(serve, "MADE_FROM", ())
            super().__init__(kb, folder, 0)
        super().server_bind()
        self.url = f"http://{serve.HOST}:{self.server_port}/"

    def server_bind(self) -> None:
        """Was done."""


@dataclass
class Served:
    """A running server, and the records it serves."""

    kb: Path
    folder: Path
    server: Any

    def page(self, path: str) -> str:
        status, text = ask(self.server.url + path)
        assert status == 200
        return text

    def until(self, path: str, wanted: Callable[[int, str], bool]) -> str:
        return until(self.server.url + path, wanted)


def edit(kb: Path, name: str, old: str, new: str) -> None:
    file = kb / name
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def without_a_claim(kb: Path) -> None:
    """LIME's record without its last violation."""
    file = kb / LIME
    kept, found, _ = file.read_text(encoding="utf-8").rpartition(CLAIM)
    assert found
    file.write_text(kept, encoding="utf-8")


def with_another_run(kb: Path) -> None:
    """A run of LIME's check that ended with another sentence."""
    file = kb / RUN
    run = json.loads(file.read_text(encoding="utf-8"))
    run["finding"] = "Zebras were counted."
    file.write_text(json.dumps(run), encoding="utf-8")


@pytest.fixture(scope="module")
def served(built: Any, kb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that began with records which differ from those of `built` in four ways."""
    folder = tmp_path_factory.mktemp("served")
    own = Path(shutil.copytree(kb, folder / "kb"))
    edit(own, SMOOTHGRAD, "summary: >\n", "summary: >\n  Okapi.\n")
    edit(own, GRADIENT, "aliases: [", "aliases: [Quagga, ")
    without_a_claim(own)
    with_another_run(own)
    server = Bound(own, folder)
    server.bring_up_to_date()
    assert not server.trouble
    thread = threading.Thread(target=server.serve)
    thread.start()
    until(server.url, lambda status, _: status == 200)
    yield Served(own, folder, server)
    server.shutdown(wait=True)
    thread.join()


def restore(served: Served, kb: Path, name: str) -> None:
    shutil.copyfile(kb / name, served.kb / name)


def test_every_kind_of_edit_reaches_the_pages_it_concerns(served: Served, kb: Path, built: Any) -> None:
    assert "Okapi." in served.page("methods/smoothgrad.html")
    assert "Okapi." in served.page("methods/index.html")
    restore(served, kb, SMOOTHGRAD)
    served.until("methods/smoothgrad.html", lambda _, text: "Okapi" not in text)
    assert "Okapi" not in served.page("methods/index.html") + served.page("llms.txt") + served.page("search/search_index.json")
    assert "Okapi" not in served.page("data/atlas.json")  # comes late, and is waited for

    assert "Quagga" in served.page("search/search_index.json")
    restore(served, kb, GRADIENT)
    served.until("methods/gradient.html", lambda _, text: "Quagga" not in text)
    assert "Quagga" not in served.page("search/search_index.json") + served.page("methods/gradient.json")

    assert '"completeness"' not in served.page("methods/lime.json")
    before = served.page("axioms/completeness.html")
    restore(served, kb, LIME)
    served.until("methods/lime.json", lambda _, text: '"completeness"' in text)
    assert served.page("axioms/completeness.html") != before

    assert "Zebras were counted." in served.page("methods/lime.html")
    restore(served, kb, RUN)
    served.until("methods/lime.html", lambda _, text: "Zebras" not in text)

    served.server.preview.finish()
    for own, whole in ((served.folder / "docs", built.docs), (served.folder / "public", built.public)):
        assert contents(own) == contents(whole)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_error_is_shown_on_every_page_until_it_is_mended(served: Served, kb: Path) -> None:
    with (served.kb / LIME).open("a", encoding="utf-8") as file:
        file.write("  broken: [\n")
    text = served.until("guide/index.html", lambda status, _: status == 500)
    assert "kb/methods/lime.yaml:" in text
    assert "YAML does not parse" in text
    assert "livereload(" in text  # so that the page comes back by itself
    assert ask(served.server.url)[0] == 500
    assert ask(f"{served.server.url}assets/atlas.svg")[0] == 200
    restore(served, kb, LIME)
    assert "livereload(" in served.until("guide/index.html", lambda status, _: status == 200)


def test_a_page_that_cannot_be_made_is_shown_and_mended(served: Served, kb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(preview.output, "encoded", lambda site: 1 / 0)
        edit(served.kb, LIME, "summary: >\n", "summary: >\n  Noted.\n")
        assert "ZeroDivisionError" in served.until("index.html", lambda status, _: status == 500)
    rebuilt: list[Path] = []
    # That nothing is taken from a build that failed is seen by its being whole; what a whole one gives, the other tests show.
    monkeypatch.setattr(preview, "Rendered", lambda docs, out: rebuilt.append(out))
    restore(served, kb, LIME)
    served.until("index.html", lambda status, _: status == 200)
    assert rebuilt == [served.folder / "public"]


def test_a_record_more_or_less_is_a_whole_build(built: Any, kb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt: list[Path] = []

    class Nothing:
        def __init__(self, docs: Path, out: Path) -> None:
            rebuilt.append(docs)

        def refresh(self, paths: list[str]) -> int:
            return 0

    monkeypatch.setattr(preview, "Rendered", Nothing)
    own = Path(shutil.copytree(kb, tmp_path / "kb"))
    kept = preview.Preview(own, tmp_path / "docs", tmp_path / "public")
    assert kept.update().whole
    first = sorted((kb / "insights").glob("*.yaml"))[0].read_text(encoding="utf-8")
    other = re.sub(r"^(id|name): .*$", lambda field: f"{field[1]}: {'quagga' if field[1] == 'id' else 'Quagga'}", first, flags=re.MULTILINE)
    (own / "insights" / "quagga.yaml").write_text(other, encoding="utf-8")
    assert kept.update().whole
    assert (tmp_path / "docs" / "insights" / "quagga.md").exists()
    (own / "insights" / "quagga.yaml").unlink()
    assert kept.update().whole
    assert not (tmp_path / "docs" / "insights" / "quagga.md").exists()
    assert len(rebuilt) == 3
    assert kept.update() == preview.Update()


def test_code_starts_the_program_anew_unless_it_does_not_parse(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(serve.os, "execv", lambda program, arguments: started.append(arguments))
    server = Bound(served.kb, tmp_path)
    try:
        broken = tmp_path / "module.py"
        broken.write_text("x = (", encoding="utf-8")
        server.code = {str(broken)}
        server.rebuild()
        assert "module.py" in server.trouble
        assert not started
        broken.write_text("x = ()", encoding="utf-8")
        server.rebuild()
        assert len(started) == 1
        assert server._starts_anew(str(ROOT / "site" / "build.py"))
        assert server._starts_anew(str(ROOT / "mkdocs.yml"))
        assert not server._starts_anew(str(ROOT / "site" / "assets" / "css" / "atlas.css"))
        assert not server._starts_anew(str(served.kb / LIME))
    finally:
        server.server_close()


def test_what_editors_leave_lying_about_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text("a: b\n", encoding="utf-8")
    for name in (".kept.yaml.swp", "kept.yaml~", "__pycache__/kept.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert list(serve.stamps([tmp_path, tmp_path / "absent"])) == [str(tmp_path / "kept.yaml")]


def program_of(kb: Path, folder: Path, port: int) -> list[str]:
    return [sys.executable, str(ROOT / "site" / "serve.py"), "--kb", str(kb), "--port", str(port), "--folder", str(folder)]


def begun(kb: Path, folder: Path) -> tuple[subprocess.Popen[str], int, str]:
    """The program at a free port, the port, and the error that its pages show; once more if another program took the port first."""
    err = ""
    for _ in range(2):
        port = free_port()
        running = subprocess.Popen(program_of(kb, folder, port), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ended = running.poll
        try:
            url = f"http://{serve.HOST}:{port}/methods/lime.html"
            text = until(url, lambda status, _, ended=ended: status == 500 or ended() is not None)  # type: ignore[misc]
        except BaseException:
            running.kill()
            running.communicate()
            raise
        if ended() is None:
            return running, port, text
        err = running.communicate()[1]
    pytest.fail(err)


def test_program_begins_with_broken_records_and_ends_with_the_keys(kb: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(kb, tmp_path / "kb"))
    (own / LIME).write_text("id: lime\nid: lime\n", encoding="utf-8")
    running, port, text = begun(own, tmp_path / "folder")
    with running:
        try:
            assert "kb/methods/lime.yaml:2:1" in text
            taken = subprocess.run(program_of(own, tmp_path / "folder", port), capture_output=True, text=True, check=False)
            assert taken.returncode == 1
            assert f"port {port} is taken" in taken.stderr
        finally:
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert "kb/methods/lime.yaml:2:1" in err
    assert "Traceback" not in err
    assert out.endswith("Ended.\n")
