"""The command: bytes, folders, errors."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from atlas_pages import output

import build as site_build
from taxonomy.disk import replaced


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_equal_input_gives_equal_bytes(built, kb: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    docs, public = tmp_path / "docs", tmp_path / "public"
    assert site_build.main(["--kb", str(kb), "--docs", str(docs), "--out", str(public), "--strict"]) == 0
    assert digests(docs) == digests(built.docs)
    assert digests(public) == digests(built.public)


def test_stale_pages_go_away(atlas_site, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    docs = tmp_path / "docs"
    (docs / "methods").mkdir(parents=True)
    (docs / "methods" / "gone.md").write_text("old")
    output.write(atlas_site, docs)
    assert not (docs / "methods" / "gone.md").exists()
    assert (docs / "index.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_a_failed_build_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "old.md").write_text("old")

    def fail() -> None:
        with replaced(folder) as fresh:
            (fresh / "new.md").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in folder.iterdir()] == ["old.md"]
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_bad_records_are_reported_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kb = tmp_path / "kb"
    (kb / "methods").mkdir(parents=True)
    (kb / "references.bib").write_text("")
    (kb / "methods" / "bad.yaml").write_text("id: bad\nname: Bad\nsummary: $\\frac{1}$ is no formula.\n")
    assert site_build.main(["--kb", str(kb), "--docs", str(tmp_path / "build" / "docs"), "--docs-only"]) == 1
    assert "bad.yaml:3" in capsys.readouterr().err
    assert not (tmp_path / "build" / "docs").exists()


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    assert site_build.main(["--kb", str(tmp_path / "nowhere"), "--docs", str(tmp_path / "docs"), "--docs-only"]) == 1


def test_a_bad_formula_in_a_page_names_file_and_line(built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    docs = tmp_path / "docs"
    shutil.copytree(built.docs, docs)
    page = docs / "reading.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nA bad one: $\\frac{a}$\n", encoding="utf-8")
    line = len(page.read_text(encoding="utf-8").splitlines())
    with pytest.raises(ValueError, match=rf"reading\.md:{line}: formula does not parse"):
        site_build.render(docs, tmp_path / "public", strict=True)
    assert not (tmp_path / "public").exists()


def test_json_is_the_record(built) -> None:  # type: ignore[no-untyped-def]
    for record in built.site.records.values():
        assert json.loads((built.public / record.folder / f"{record.id}.json").read_text(encoding="utf-8")) == record.as_json()


def test_no_page_names_a_local_path(built) -> None:  # type: ignore[no-untyped-def]
    root = str(site_build.ROOT)
    for path in built.public.rglob("*.html"):
        assert root not in path.read_text(encoding="utf-8"), path
