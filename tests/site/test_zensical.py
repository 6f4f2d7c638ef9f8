"""The check with Zensical makes its report, on a site of a few pages and of broken ones; what it finds on the whole site blocks nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import zensical_check


def written(folder: Path, pages: dict[str, str]) -> Path:
    for path, text in pages.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.skipif(not zensical_check.available(), reason="needs Zensical")
def test_report_is_made_of_a_real_run(tmp_path: Path) -> None:
    pages = {
        "index.md": "# Home\n\n[Other](methods/other.md), $x^2$\n",
        "methods/other.md": "# Other\n\n[Home](../index.md), [gone](gone.md)\n",
        "a.json": "{}\n",
    }
    report = zensical_check.check(written(tmp_path / "docs", pages))
    assert report.pages == 2
    assert report.missing_pages == []
    assert report.missing_files == []
    assert any(link.startswith("methods/other.html -> gone") for link in report.dead_links)
    # The menu of the whole site leads nowhere here; what the pages themselves link to is there.
    assert not {"index.html -> methods/other.html", "methods/other.html -> ../index.html"} & set(report.dead_links)
    assert "Zensical built 2 of 2 pages" in zensical_check.told(report)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    docs = written(tmp_path / "docs", {"index.md": "", "gone.md": "", "a.json": ""})
    index = (
        '<a id="here"></a><a href="#here"></a><a href="#there"></a><a href="gone.html"></a><a href="#?state"></a><a href="https://example.org/"></a>'
    )
    site = written(tmp_path / "site", {"index.html": index})
    done = subprocess.CompletedProcess([], 1, "Build started\nsomething went wrong\n", "")
    report = zensical_check.compared(docs, site, done, 1.0)
    assert (report.code, report.pages) == (1, 2)
    assert report.missing_pages == ["gone.md"]
    assert report.missing_files == ["a.json"]
    assert report.dead_links == ["index.html -> #there", "index.html -> gone.html"]
    assert report.messages == ["something went wrong"]
    assert "dead links: 2" in zensical_check.told(report)


def test_configuration_is_that_of_the_site_but_for_its_folders() -> None:
    text = zensical_check.configuration()
    assert 'docs_dir: "docs"\nsite_dir: "site"\n' in text
    assert len(text.splitlines()) == len((zensical_check.ROOT / "mkdocs.yml").read_text(encoding="utf-8").splitlines())


def test_absence_is_told_and_not_a_failure_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert zensical_check.main(["--docs", str(tmp_path / "absent")]) == 2
    monkeypatch.setattr(zensical_check, "available", lambda: False)
    assert zensical_check.main(["--docs", str(tmp_path)]) == 2
    assert "not installed" in capsys.readouterr().err
