"""Exports as files: the whole as JSON held against its schema, the command, and bytes that depend on nothing but the records."""

import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from taxonomy import cli, export
from taxonomy.export import changes, command, files, schemas
from taxonomy.problems import UsageError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def content(kb_atlas):
    return export.Content(kb_atlas)


@pytest.fixture(scope="module")
def whole(content):
    return json.loads(export.FORMATS["json"].write(content)["atlas.json"])


@pytest.fixture(scope="module")
def schema():
    return schemas.schema()


class TestWhole:
    def test_is_valid_by_its_schema(self, whole, schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(whole)] == []

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda whole: whole["records"]["integrated-gradients"].update(colour="red"),
            lambda whole: whole["records"]["integrated-gradients"].pop("summary"),
            lambda whole: whole["records"]["integrated-gradients"].update(kind="theorem"),
            lambda whole: whole["facts"][0].update(basis="guessed"),
            lambda whole: whole["facts"][0].pop("relation"),
            lambda whole: next(iter(whole["evidence"].values())).update(status="maybe"),
            lambda whole: whole.update(more=1),
        ],
    )
    def test_the_schema_refuses_what_is_wrong(self, whole, schema, spoil):
        small = json.loads(json.dumps({**whole, "records": {"integrated-gradients": whole["records"]["integrated-gradients"]}}))
        validator = jsonschema.Draft202012Validator(schema)
        assert validator.is_valid(small)
        spoil(small)
        assert not validator.is_valid(small)

    def test_holds_what_the_atlas_holds(self, whole, kb_atlas):
        assert whole["records"] == {id_: record.as_json() for id_, record in kb_atlas.records.items()}
        assert whole["evidence"].keys() == kb_atlas.evidence.keys()
        assert whole["bibliography"].keys() == kb_atlas.bibliography.keys()
        asserted = {fact["id"]: len(fact["assertions"]) for fact in whole["facts"] if fact["basis"] == "asserted"}
        assert sum(asserted.values()) == len(kb_atlas.edges)
        derived = {fact["id"] for fact in whole["facts"] if fact["basis"] == "derived" and fact["proof"]["rule"] != "symmetry"}
        assert derived == {"/".join(fact) for fact in kb_atlas.derived if fact not in kb_atlas._knowledge.edges}

    def test_every_reference_leads_somewhere(self, whole):
        facts, records, works = {fact["id"] for fact in whole["facts"]}, whole["records"], whole["bibliography"]
        for fact in whole["facts"]:
            assert fact["subject"] in records
            assert fact["object"] in records
            assert set(fact.get("proof", {}).get("premises", ())) <= facts
            assert fact.get("proof", {}).get("ground", fact["subject"]) in records
            for said in fact.get("assertions", ()):
                assert said["by"] in records
                assert {source["work"] for source in said.get("sources", ())} <= records.keys()
                assert {*said.get("proof", ()), *said.get("disputed-by", ())} <= works.keys()
        assert {claim["id"] for claim in whole["claims"]} >= whole["evidence"].keys()

    def test_a_theorem_is_told_by_its_standing(self, whole):
        theorems = {id_ for id_, record in whole["records"].items() if record["kind"] == "theorem"}
        said = [a for fact in whole["facts"] for a in fact.get("assertions", ()) if a["by"] in theorems and fact["relation"] == "equivalent-to"]
        assert said
        assert {assertion["status"] for assertion in said} <= {"asserted", "proved", "conditional", "disputed"}

    def test_one_file_per_record(self, content, kb_atlas):
        made = export.FORMATS["records"].write(content)
        assert len(made) == len(kb_atlas.records)
        found = json.loads(made["methods/integrated-gradients.json"])
        assert found["record"]["name"] == "Integrated Gradients"
        assert "integrated-gradients/reformulates-as/path-integral" in found["evidence"]
        assert all("integrated-gradients" in (fact["subject"], fact["object"]) for fact in found["facts"])


@pytest.mark.parametrize("name", export.FORMATS)
def test_every_format_takes_a_small_folder(atlas, name):
    made = export.make(name, atlas)
    assert made
    assert all(isinstance(text, bytes) and text for text in made.values())
    assert export.FORMATS[name].several or len(made) == 1


def test_a_format_nobody_knows():
    with pytest.raises(KeyError, match="did you mean `graphml`"):
        export.format_named("graphlm")


class TestFiles:
    def test_an_existing_file_is_kept_unless_forced(self, tmp_path):
        path = tmp_path / "a" / "file"
        files.write_file(path, b"old")
        with pytest.raises(FileExistsError, match="--force"):
            files.write_file(path, b"new")
        assert path.read_bytes() == b"old"
        files.write_file(path, b"new", force=True)
        assert path.read_bytes() == b"new"
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_with_something_in_it_is_kept_unless_forced(self, tmp_path):
        folder = tmp_path / "folder"
        folder.mkdir()
        files.write_folder(folder, {"in/a": b"1"})
        (folder / "mine").write_text("kept")
        with pytest.raises(FileExistsError, match="not empty"):
            files.write_folder(folder, {"in/a": b"2"})
        assert (folder / "in" / "a").read_bytes() == b"1"
        files.write_folder(folder, {"in/a": b"2", "b": b"3"}, force=True)
        assert {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()} == {
            "in/a": "2", "b": "3", "mine": "kept",
        }  # fmt: skip
        assert list(tmp_path.iterdir()) == [folder]

    def test_a_folder_stays_the_one_it_is(self, tmp_path, monkeypatch):
        """A shell may stand in it; its owner chose its permissions, and made the empty folder in it."""
        folder = tmp_path / "folder"
        (folder / "mine").mkdir(parents=True)
        (folder / "in").mkdir()
        (folder / "in" / "a").write_bytes(b"1")
        folder.chmod(0o700)
        (folder / "in" / "a").chmod(0o600)
        monkeypatch.chdir(folder)
        files.write_folder(Path("."), {"in/a": b"2"}, force=True)
        assert sorted(path.name for path in Path(".").iterdir()) == ["in", "mine"]
        assert Path("in", "a").read_bytes() == b"2"
        assert [path.stat().st_mode & 0o777 for path in (folder, folder / "in" / "a")] == [0o700, 0o600]

    def test_an_empty_folder_stays_the_one_it_is(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        files.write_folder(Path("."), {"a": b"1"})
        files.write_folder(Path("."), {"a": b"2"}, force=True)
        assert Path("a").read_bytes() == b"2"

    def test_what_another_process_put_there_meanwhile_is_kept_unless_forced(self, tmp_path, monkeypatch):
        @contextlib.contextmanager
        def another_comes_first(folder):
            (tmp_path / "folder").mkdir(exist_ok=True)
            (tmp_path / "folder" / "a").write_bytes(b"another's")
            yield

        monkeypatch.setattr(files, "locked", another_comes_first)
        with pytest.raises(FileExistsError):
            files.write_folder(tmp_path / "folder", {"a": b"1"})
        assert (tmp_path / "folder" / "a").read_bytes() == b"another's"

    def test_a_pipe_needs_no_force(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
            files.write_file(tmp_path / "pipe", b"1")
            assert reader.communicate()[0] == b"1"

    def test_a_folder_that_fails_leaves_nothing(self, tmp_path):
        with pytest.raises(TypeError):
            files.write_folder(tmp_path / "folder", {"a": b"1", "b": None})
        assert list(tmp_path.iterdir()) == []

    def test_neither_takes_the_place_of_the_other(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(FileExistsError, match="is a file"):
            files.write_folder(tmp_path / "file", {}, force=True)
        with pytest.raises(FileExistsError, match="is a folder"):
            files.write_file(tmp_path, b"", force=True)

    def test_an_archive_is_the_same_bytes_in_any_order(self):
        assert files.archive({"a": b"1", "b": b"2"}) == files.archive({"b": b"2", "a": b"1"})


@pytest.fixture
def run(valid, capfdbinary):
    def run(*arguments):
        code = cli.main([*map(str, arguments), "--kb", str(valid)])
        out, errors = capfdbinary.readouterr()
        return code, out.decode(), errors.decode()

    return run


class TestCommand:
    def test_lists_the_formats(self, run):
        code, out, _ = run("export")
        assert code == 0
        assert all(name in out for name in export.FORMATS)
        assert [item["name"] for item in json.loads(run("export", "--json")[1])] == list(export.FORMATS)

    def test_prints_one_file(self, run, atlas):
        code, out, _ = run("export", "bibtex")
        assert (code, out.encode()) == (0, export.make("bibtex", atlas)["atlas.bib"])

    def test_writes_a_file(self, run, tmp_path, atlas):
        code, out, errors = run("export", "json", "--output", tmp_path / "new" / "atlas.json")
        assert (code, out) == (0, "")
        assert "wrote" in errors
        assert changes.snapshot(tmp_path / "new" / "atlas.json") == json.loads(json.dumps(export.whole_of(atlas)))

    def test_writes_an_archive(self, run, tmp_path):
        assert run("export", "csv", "--output", tmp_path / "tables.zip")[0] == 0
        assert "datapackage.json" in zipfile.ZipFile(tmp_path / "tables.zip").namelist()

    def test_writes_everything(self, run, tmp_path):
        assert run("export", "--all", tmp_path / "all", "--json") == (0, json.dumps({"written": str(tmp_path / "all")}) + "\n", "")
        names = {path.name for path in (tmp_path / "all").iterdir()}
        assert names >= {"atlas.json", "atlas.schema.json", "atlas.ttl", "atlas.jsonld", "atlas.graphml", "atlas.gexf", "atlas.cyjs", "atlas.sqlite"}
        assert names >= {"atlas.bib", "atlas.ris", "atlas.csl.json", "csv", "records", "markdown", "latex"}
        code, _, errors = run("export", "--all", tmp_path / "all")
        assert code == 1
        assert "not empty" in errors
        assert run("export", "--all", tmp_path / "all", "--force")[0] == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (("export", "turtel"), 2, "did you mean `turtle`"),
            (("export", "zzz"), 2, "formats: json"),
            (("export", "csv"), 2, "--output FOLDER"),
            (("export", "json", "--all", "x"), 2, "--all takes neither"),
            (("export", "--output", "x"), 2, "which format"),
            (("export", "json", "--output", "/proc/nowhere/x"), 1, "cannot write /proc/nowhere/x"),
            (("export", "csv", "--output", "/dev/null"), 1, "is a file"),
        ],
    )
    def test_errors_are_said_in_one_line(self, run, arguments, code, said):
        found, out, errors = run(*arguments)
        assert (found, out) == (code, "")
        assert said in errors
        assert errors.count("\n") == 1

    def test_a_terminal_gets_no_binary(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
        with pytest.raises(UsageError, match="not text"):
            command.run_export(None, "sqlite", None, everything=None, force=False, as_json=False)


def test_the_python_of_the_page_runs(content, tmp_path, monkeypatch, kb_atlas):
    for name in ("json", "graphml"):
        files.write_folder(tmp_path, export.FORMATS[name].write(content), force=True)
    monkeypatch.chdir(tmp_path)
    found = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "site" / "pages" / "data.md").read_text(encoding="utf-8"), re.DOTALL):
        exec(code, found)
    assert found["graph"].number_of_nodes() == len(kb_atlas.records)
    assert {claim for claim, run in kb_atlas.evidence.items() if run.status == "fails" and claim.count("/") == 2} <= set(found["refuted"])


def test_no_export_needs_torch(valid):
    code = (
        "import sys, taxonomy; from taxonomy import export; from pathlib import Path\n"
        f"atlas = taxonomy.load({str(valid)!r})\n"
        "for name in export.FORMATS: export.make(name, atlas)\n"
        "print('torch' in sys.modules, 'executable' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr
