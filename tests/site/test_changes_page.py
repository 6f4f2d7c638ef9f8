"""What changed since the last release: the page, its data, and the snapshots it is worked out from."""

from __future__ import annotations

import copy
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import release
from atlas_pages import changes, snapshot


def words(text: str) -> str:
    """Text without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.fixture(scope="module")
def present(atlas_site: Any) -> dict[str, Any]:
    """A snapshot of the records as they are."""
    return snapshot.snapshot(atlas_site.atlas, "7.0", "the present")


def since(site: Any, folder: Path, old: dict[str, Any]) -> tuple[str, Any]:
    """The page and the changes since a snapshot."""
    # Changes are remembered by the name of the snapshot's file.
    file = folder / f"{len(list(folder.glob('*.json')))}.{abs(hash(json.dumps(old)))}.json"
    file.write_text(snapshot.text(old), encoding="utf-8")
    found = changes.changes(site, file)
    assert found is not None
    return changes.written(site, found), found


def test_since_the_present_nothing_has_changed(atlas_site: Any, present: dict[str, Any], tmp_path: Path) -> None:
    text, found = since(atlas_site, tmp_path, present)
    assert not found
    assert "Nothing has changed in what is known since release 7.0 (the present)." in text
    assert "##" not in text


def test_before_the_first_release(atlas_site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshot, "FOLDER", tmp_path)
    assert snapshot.latest(tmp_path) is None
    assert "There was no release yet" in changes.written(atlas_site, None)


def test_a_changed_record_shows(atlas_site: Any, present: dict[str, Any], tmp_path: Path) -> None:
    old = copy.deepcopy(present)
    # Of today's records one was not there, one had another name, one another field; a record of then is gone.
    del old["records"]["lime"]
    old["records"]["ig-of-old"] = old["records"].pop("integrated-gradients") | {"name": "Integrated Gradients"}
    old["records"]["gradient"]["explains"] = ["pixels"]
    old["records"]["lost-method"] = {"kind": "method", "name": "Lost Method"}
    text, found = since(atlas_site, tmp_path, old)
    d = found.found
    assert [entry["id"] for entry in d.records_added] == ["lime"]
    assert [entry["id"] for entry in d.records_removed] == ["lost-method"]
    assert [(entry["old-id"], entry["id"]) for entry in d.records_renamed] == [("ig-of-old", "integrated-gradients")]
    assert [(entry["id"], list(entry["fields"])) for entry in d.records_changed] == [("gradient", ["explains"])]
    assert "(@/methods/lime.md) (method)" in text
    assert "Lost Method (method, `lost-method`)" in text
    assert "(`ig-of-old`) is now" in text
    assert "- Methods, explains: [Gradient](@/methods/gradient.md)" in text


def test_changed_claims_and_runs_show(atlas_site: Any, present: dict[str, Any], tmp_path: Path) -> None:
    old = copy.deepcopy(present)
    runs = old["evidence"]
    failed = next(claim for claim, run in runs.items() if run["status"] == "fails")
    held = [claim for claim, run in runs.items() if run["status"] == "holds"]
    # One claim had no run, one was thought to hold, one was run by other code, and one is claimed no more.
    del runs[held[0]]
    old["claims"][held[0]] = "open"
    runs[failed] |= {"status": "holds"}
    old["claims"][failed] = "holds"
    runs[held[1]]["digest"] = "0" * 12
    gone = "gradient/satisfies/wholly-forgotten"
    old["facts"][gone] = {"said": [{"by": "gradient", "status": "asserted", "sources": ["oldbook, Sec. 3"]}]}
    old["claims"][gone] = "cited"
    text, found = since(atlas_site, tmp_path, old)
    moved = {entry["claim"]: (entry["old"], entry["new"]) for entry in found.moved}
    assert moved == {held[0]: ("open", "holds"), failed: ("holds", "fails"), gone: ("cited", None)}
    assert found.again == (held[1],)
    assert [entry["claim"] for entry in found.found.evidence_added] == [held[0]]
    assert [entry["claim"] for entry in found.found.evidence_changed] == [failed]
    assert [entry["claim"] for entry in found.found.claims_removed] == [gone]
    assert "wholly-forgotten (oldbook, Sec. 3)" in text
    # What fails now comes first.
    assert words(text.split("## How claims stand")[1]).index("run: holds → run: fails 1 claim") < words(text).index(
        "no check yet → run: holds 1 claim"
    )


def test_renaming_is_no_change_of_claims(atlas_site: Any, present: dict[str, Any], tmp_path: Path) -> None:
    text_of = snapshot.text(present)
    old = json.loads(re.sub(r"(?<![\w-])integrated-gradients(?![\w-])", "ig-of-old", text_of))
    old["records"]["ig-of-old"] |= {name: value for name, value in present["records"]["integrated-gradients"].items() if name == "implementation"}
    _, found = since(atlas_site, tmp_path, old)
    assert not found.moved
    assert not found.again
    assert not found.found.claims_added
    assert not found.found.evidence_added


def test_records_of_another_form_do_no_harm(atlas_site: Any, present: dict[str, Any], tmp_path: Path) -> None:
    old = copy.deepcopy(present)
    for record in old["records"].values():
        record.pop("summary", None)
        record["mood"] = "calm"
    old["records"]["essay"] = {"kind": "essay", "name": "An essay"}
    old["facts"]["essay/praises/lime"] = {"said": [{"by": "essay", "status": "sung"}]}
    old["claims"]["essay/praises/lime"] = "hummed"
    del old["evidence"]
    text, found = since(atlas_site, tmp_path, old)
    assert "An essay (essay, `essay`)" in text
    assert "hummed" in text
    assert "mood: “calm” → none" in text
    assert len(found.found.evidence_added) == len(present["evidence"])


def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path) -> None:
    for content, said in (
        ("[]", "not a snapshot"),
        ("{", "not JSON"),
        ('{"format": "attribution-atlas-release", "format-version": 99}', "version 99"),
    ):
        file = tmp_path / "1.json"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            snapshot.read(file)


def test_the_last_release_is_the_one_with_the_highest_number(tmp_path: Path) -> None:
    for name in ("0.9.0", "0.10.0", "0.2"):
        (tmp_path / f"{name}.json").touch()
    found = snapshot.latest(tmp_path)
    assert found is not None
    assert found.stem == "0.10.0"
    with pytest.raises(ValueError, match="no version"):
        snapshot.snapshot(None, "next")


def test_the_command_writes_a_snapshot_once(kb: Path, present: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["7.0", "--kb", str(kb), "--folder", str(tmp_path), "--state", "the present"]
    assert release.main(arguments) == 0
    assert snapshot.read(tmp_path / "7.0.json") == present
    written = (tmp_path / "7.0.json").read_bytes()
    assert release.main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert release.main([*arguments, "--force"]) == 0
    assert (tmp_path / "7.0.json").read_bytes() == written
    assert release.main(["later", "--kb", str(kb), "--folder", str(tmp_path)]) == 1


def links(text: str) -> list[tuple[str, str]]:
    """Addresses of other pages of the site: file and anchor."""
    found = (re.fullmatch(r"@/([^#]*)(?:#(.*))?", address) for address in re.findall(r"\]\((@/[^)\s]*)", text))
    return [(match.group(1), match.group(2) or "") for match in found if match]


def test_every_link_leads_somewhere(built: Any, present: dict[str, Any], tmp_path: Path) -> None:
    # Where nothing was known before, everything is on the page.
    nothing = {name: {} if isinstance(value, dict) else value for name, value in present.items()}
    text, found = since(built.site, tmp_path, nothing)
    assert len(found.moved) == len(present["claims"])
    pages: dict[str, set[str]] = {}
    for file, anchor in set(links(text)):
        target = built.public / file.replace(".md", ".html")
        assert target.exists(), file
        if anchor:
            ids = pages.setdefault(file, set(re.findall(r'\bid="([^"]+)"', target.read_text(encoding="utf-8"))))
            assert anchor in ids, (file, anchor)
    assert len(set(links(text))) > 1000


def test_the_page_says_what_the_data_say(built: Any) -> None:
    data = json.loads((built.public / "changes.json").read_text(encoding="utf-8"))
    page = built.html("changes.html")
    found = changes.changes(built.site)
    assert found is not None
    assert data == json.loads(json.dumps(found.as_json()))
    assert data["since"] == snapshot.latest().stem  # type: ignore[union-attr]
    body = words(page.split('<article class="md-content__inner')[1].split("</article>")[0])
    assert f"release {data['since']}" in body
    for entry in data["records-added"]:
        assert entry["name"] in body
    for (old, new), text in {("open", "fails"): "no check yet → run: fails", ("open", "holds"): "no check yet → run: holds"}.items():
        count = sum((entry["old"], entry["new"]) == (old, new) for entry in data["standing-changed"])
        assert not count or f"{text} {count} claim" in body


def test_narrow_and_dark(opened: Any) -> None:
    for scheme in ("light", "dark"):
        page = opened("changes.html", width=360, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
