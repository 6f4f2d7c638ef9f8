"""`atlas diff`: what changed in knowledge, for each kind of change made to a copy of a small record folder."""

import json
import re

import pytest

import taxonomy
from taxonomy import cli, evidence
from taxonomy.export import changes, whole_of
from taxonomy.export.changes import difference, snapshot

RUN = "evidence/mean-gradient/reformulates-as/path.json"
"""A run on whose outcome something rests."""


@pytest.fixture
def changed(valid, kb):
    """The difference from the valid folder to its changed copy, as plain values without what stayed empty."""

    def changed():
        return {name: found for name, found in difference(snapshot(valid), snapshot(kb)).as_json().items() if found}

    return changed


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_nothing_changed(changed, valid):
    assert changed() == {}
    assert not difference(snapshot(valid), snapshot(valid))


def test_prose_that_is_wrapped_anew_is_no_change_of_a_claim(changed, kb):
    text = (kb / "methods" / "mean-gradient.yaml").read_text(encoding="utf-8")
    assert "\n" in text
    edit(kb / "methods" / "mean-gradient.yaml", "\nname:", "\n\n# a remark\nname:")
    assert changed() == {}


def test_a_method_is_added_and_removed(changed, kb, valid):
    before = (kb / "methods" / "straight-path.yaml").read_text(encoding="utf-8")
    new = re.sub(r"(?m)^name: .*$", "name: Crooked path", before.replace("id: straight-path", "id: crooked-path"))
    new = re.sub(r"(?m)^(aliases|implementation|formula|abbreviation):.*\n", "", new)
    (kb / "methods" / "crooked-path.yaml").write_text(new, encoding="utf-8")
    found = changed()
    assert [entry["id"] for entry in found["records-added"]] == ["crooked-path"]
    assert found["records-added"][0]["kind"] == "method"
    assert all(entry["claim"].startswith("crooked-path/") for entry in found["claims-added"])
    back = difference(snapshot(kb), snapshot(valid)).as_json()
    assert [entry["id"] for entry in back["records-removed"]] == ["crooked-path"]
    assert [entry["claim"] for entry in back["claims-removed"]] == [entry["claim"] for entry in found.get("claims-added", [])]


def test_a_method_with_a_new_id_is_renamed_and_nothing_else(changed, kb):
    (kb / "methods" / "mean-gradient.yaml").rename(kb / "methods" / "average-gradient.yaml")
    for path in kb.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"(?<![\w-])mean-gradient(?![\w-])", "average-gradient", text), encoding="utf-8")
    for path in sorted((kb / "evidence" / "mean-gradient").rglob("*.json")):
        target = kb / "evidence" / "average-gradient" / path.relative_to(kb / "evidence" / "mean-gradient")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8").replace('"mean-gradient/', '"average-gradient/'), encoding="utf-8")
        path.unlink()
    found = changed()
    assert set(found) == {"records-renamed"}
    assert [(entry["old-id"], entry["id"]) for entry in found["records-renamed"]] == [("mean-gradient", "average-gradient")]


def test_a_method_with_a_new_name(changed, kb):
    edit(kb / "methods" / "mean-gradient.yaml", "name: ", "name: New ")
    (entry,) = changed()["records-renamed"]
    assert entry["old-id"] == entry["id"] == "mean-gradient"
    assert entry["name"] == f"New {entry['old-name']}"


def whole_with(valid, change):
    whole = json.loads(json.dumps(whole_of(taxonomy.load(valid, cache=False))))
    change(whole)
    return whole


def asserted(whole):
    return next(fact for fact in whole["facts"] if fact["relation"] == "reformulates-as" and fact.get("assertions"))


class TestClaims:
    @pytest.mark.parametrize(
        ("field", "value"),
        [("status", "disputed"), ("condition", "only sometimes"), ("proof", ["brown2002removal"]), ("sources", []), ("disputed-by", ["x"])],
    )
    def test_each_thing_said_of_a_claim_counts(self, valid, field, value):
        old, new = whole_with(valid, lambda whole: None), whole_with(valid, lambda whole: asserted(whole)["assertions"][0].update({field: value}))
        found = difference(old, new)
        (entry,) = found.claims_changed
        assert entry["claim"] == asserted(old)["id"]
        assert list(entry["changes"]) == [field]
        assert entry["changes"][field]["new"] == value

    def test_an_index_is_no_claim(self, valid):
        def change(whole):
            whole["facts"] = [fact for fact in whole["facts"] if fact["relation"] != "concerns"]

        assert not difference(whole_with(valid, lambda whole: None), whole_with(valid, change))

    def test_an_assertion_more_of_the_same_claim(self, valid):
        def change(whole):
            said = asserted(whole)["assertions"]
            said.append({"by": "miller2024paper", "status": "proved", "sources": []})

        found = difference(whole_with(valid, lambda whole: None), whole_with(valid, change))
        assert [(entry["by"], entry["status"]) for entry in found.claims_added] == [("miller2024paper", "proved")]
        assert not found.claims_changed


def test_a_run_that_refutes_a_claim_takes_its_consequences_along(changed, kb, valid):
    path = kb / RUN
    found = evidence.read(path)
    assert found.status == "holds"
    path.write_text(found.model_copy(update={"status": "fails"}).to_json(), encoding="utf-8")
    entries = changed()
    (entry,) = entries["evidence-changed"]
    assert (entry["claim"], entry["old"]["status"], entry["new"]["status"]) == (found.claim, "holds", "fails")
    before, after = (set(taxonomy.load(folder, cache=False).derived) for folder in (valid, kb))
    lost = {"/".join(fact) for fact in before - after}
    assert "straight-path/reformulates-as/path" in lost
    assert {entry["fact"] for entry in entries["derived-lost"]} == lost
    path.unlink()
    assert [entry["claim"] for entry in changed()["evidence-removed"]] == [found.claim]


def test_consequences_gained_and_lost(valid, kb):
    """Without a theorem, what follows from it is lost; the other way round it is gained."""
    (kb / "theorems" / "sampling-equals-noise.yaml").unlink()
    before, after = (taxonomy.load(folder, cache=False) for folder in (valid, kb))
    lost = {"/".join(fact) for fact in set(before.derived) - set(after.derived) if fact not in after}
    assert lost
    found = difference(snapshot(valid), snapshot(kb))
    assert {entry["fact"] for entry in found.derived_lost} == lost
    assert {entry["fact"] for entry in difference(snapshot(kb), snapshot(valid)).derived_gained} == lost


def test_a_field_of_a_record(changed, kb):
    edit(kb / "theorems" / "shapley-unique.yaml", "standing: proved\nproof: [clark2003games]\n", "conditions: [There are two players.]\n")
    (entry,) = [entry for entry in changed()["records-changed"] if entry["id"] == "shapley-unique"]
    assert entry["fields"] == {"conditions": {}, "proof": {}, "standing": {"old": "proved", "new": None}}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [("a", "z"), ("a/satisfies/b", "z/satisfies/b"), ("b/satisfies/a", "b/satisfies/z"), ("a/statement", "z/statement"), ("a/check", "a/check"),
     ("a b", "a b"), ("a/b or a/b/c", "a/b or a/b/c")],
)  # fmt: skip
def test_where_an_old_id_is_replaced(text, becomes):
    assert changes._name(text, {"a": "z"}) == becomes


class TestSnapshot:
    def test_a_folder_and_its_export_are_the_same(self, valid, tmp_path):
        assert cli.main(["export", "json", "--output", str(tmp_path / "old.json"), "--kb", str(valid)]) == 0
        assert not difference(snapshot(tmp_path / "old.json"), snapshot(valid))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "is not JSON"),
            ("[]", "was not written by"),
            ('{"format": "attribution-atlas", "format-version": 0}', "format version 0"),
            ('{"format": "attribution-atlas", "format-version": 1, "facts": [], "records": []}', "without its records, evidence: export it again"),
        ],
    )
    def test_other_files_are_refused(self, tmp_path, text, said):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            changes.snapshot(tmp_path / "x.json")


class TestCommand:
    def run(self, capsys, *arguments):
        code = cli.main(["diff", *map(str, arguments)])
        return code, *capsys.readouterr()

    def test_says_that_nothing_changed(self, capsys, valid):
        assert self.run(capsys, valid, valid) == (0, "Nothing changed in what is known.\n", "")

    def test_prints_every_list_and_exits_with_0(self, capsys, valid, kb):
        edit(kb / "methods" / "mean-gradient.yaml", "name: ", "name: New ")
        path = kb / RUN
        path.write_text(evidence.read(path).model_copy(update={"status": "fails"}).to_json(), encoding="utf-8")
        code, out, errors = self.run(capsys, valid, kb)
        assert (code, errors) == (0, "")
        assert "Methods renamed (1)" in out
        assert "is now mean-gradient (New " in out
        assert "Evidence changed (1)" in out
        assert "status: holds -> fails" in out
        code, out, _ = self.run(capsys, valid, kb, "--json")
        assert code == 0
        assert [entry["id"] for entry in json.loads(out)["records-renamed"]] == ["mean-gradient"]

    def test_a_folder_that_is_not_there(self, capsys, valid, tmp_path):
        code, out, errors = self.run(capsys, tmp_path / "nowhere", valid)
        assert (code, out) == (1, "")
        assert "nothing at" in errors
        (tmp_path / "x.json").write_text("{")
        assert "is not JSON" in self.run(capsys, tmp_path / "x.json", valid)[2]

    def test_a_folder_with_errors_is_reported_as_such(self, capsys, valid, kb):
        edit(kb / "methods" / "mean-gradient.yaml", "name: ", "nam: ")
        code, _, errors = self.run(capsys, valid, kb)
        assert code == 1
        assert "mean-gradient.yaml" in errors
