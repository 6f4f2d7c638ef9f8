"""`atlas new`: what it writes, what it refuses, and that it writes all or nothing. Everything happens in copies."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest

import taxonomy
from taxonomy import cli, disk
from taxonomy.authoring import asking
from taxonomy.authoring.family_guess import guessed_families
from taxonomy.authoring.writing import Change, WritingError, write
from taxonomy.problems import Severity
from taxonomy.store import packaged_kb

BIBTEX = "@inproceedings{x, author={Kapishnikov, Andrei and Avci, Besim}, title={Guided path methods}, booktitle={CVPR}, year={2021}}"
METHOD = ["--family", "local", "--summary", "Follows a path.", "--reference", BIBTEX]


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def atlas_new(kb, capsys):
    """Run `atlas new` on a copy of the small records; returns (exit code, output, errors)."""

    def run(*arguments, folder=kb):
        code = cli.main(["new", *arguments, "--kb", str(folder)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


class TestSource:
    """A work whose statements are encoded: its id is its key in references.bib."""

    COMMON = ("source", "Guided path methods", "--summary", "Its abstract.", "--set", "short=the paper", "--set", "form=abstract")

    def test_written_and_cited_at_once(self, atlas_new, kb):
        assert atlas_new(*self.COMMON, "--reference", BIBTEX)[0] == 0
        record = taxonomy.load(kb, cache=False).records["kapishnikov2021guided"]
        assert (record.kind, record.form, record.references) == ("source", "abstract", ("kapishnikov2021guided",))
        method = ["method", "Guided Path", *METHOD[:-1], "kapishnikov2021guided", "--source", "kapishnikov2021guided | Abstract"]
        assert atlas_new(*method)[0] == 0
        assert not [problem for problem in taxonomy.check(kb) if problem.severity is Severity.ERROR]

    def test_its_id_is_its_key(self, atlas_new):
        code, _, err = atlas_new(*self.COMMON)
        assert (code, "a source is an entry of references.bib" in err) == (1, True)
        code, _, err = atlas_new(*self.COMMON, "--reference", BIBTEX, "--id", "other")
        assert (code, "the id of a source is its key" in err) == (1, True)

    def test_one_that_is_there(self, atlas_new):
        assert atlas_new(*self.COMMON, "--reference", BIBTEX)[0] == 0
        code, _, err = atlas_new(*self.COMMON, "--reference", "kapishnikov2021guided")
        message = "the work `kapishnikov2021guided` has a record already, kb/sources/kapishnikov2021guided.yaml: add to that one"
        assert (code, err) == (1, f"atlas: {message}\n")


class TestMethod:
    def test_written_and_loads(self, atlas_new, kb):
        code, out, err = atlas_new("method", "Guided Path", "--abbreviation", "GP", "--alias", "Guided", *METHOD)
        assert (code, err) == (0, "")
        assert out.startswith("wrote kb/methods/guided-path.yaml\nchanged kb/references.bib\nnote: ")
        assert "holds no code beside the records" in out
        record = taxonomy.load(kb, cache=False).method("GP")
        assert (record.id, record.reference, record.aliases) == ("guided-path", "kapishnikov2021guided", ("Guided",))
        assert not [problem for problem in taxonomy.check(kb) if problem.severity is Severity.ERROR]

    def test_with_a_source_it_belongs_to_its_family(self, atlas_new, kb):
        assert atlas_new("method", "Guided Path", *METHOD, "--source", "deng2025attribution | Sec. II-A(2) | GuidP")[0] == 0
        record = taxonomy.load(kb, cache=False).method("guided-path")
        assert [(claim.to, claim.sources[0].printed) for claim in record.belongs_to] == [("local", "GuidP")]

    def test_dry_run_writes_nothing(self, atlas_new, kb):
        before = snapshot(kb)
        code, out, _ = atlas_new("method", "Guided Path", *METHOD, "--dry-run")
        assert code == 0
        assert snapshot(kb) == before
        assert "--- /dev/null\n+++ b/kb/methods/guided-path.yaml" in out
        assert "+@inproceedings{kapishnikov2021guided," in out
        assert "nothing was written" in out

    def test_json(self, atlas_new, kb):
        code, out, _ = atlas_new("method", "Guided Path", *METHOD, "--dry-run", "--json")
        found = json.loads(out)
        assert (code, found["id"], found["written"]) == (0, "guided-path", False)
        assert [file["path"] for file in found["files"]] == ["kb/methods/guided-path.yaml", "kb/references.bib"]
        assert found["next"]

    def test_folder_named_before_the_kind(self, kb, capsys):
        assert cli.main(["new", "--kb", str(kb), "method", "Guided Path", *METHOD]) == 0
        assert (kb / "methods" / "guided-path.yaml").exists()

    def test_reference_from_a_file_and_from_standard_input(self, atlas_new, kb, tmp_path, monkeypatch):
        (tmp_path / "one.bib").write_text(BIBTEX, encoding="utf-8")
        assert "kapishnikov2021guided" in atlas_new("method", "A path", *METHOD[:-1], str(tmp_path / "one.bib"), "--dry-run")[1]
        monkeypatch.setattr(sys, "stdin", io.StringIO(BIBTEX))
        assert "kapishnikov2021guided" in atlas_new("method", "A path", *METHOD[:-1], "-", "--dry-run")[1]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["Mean gradient", *METHOD], "id `mean-gradient` is taken by kb/methods/mean-gradient.yaml"),
            (["mean-Gradient", *METHOD, "--id", "other"], "it is called `mean-gradient`"),
            (["Mean gradiant", *METHOD], "resembles its name `mean-gradient`"),
            (["Something", *METHOD, "--abbreviation", "MG"], "it is called `MG`"),
            (["Something", *METHOD, "--id", "local"], "id `local` is taken by kb/formulation-families/local.yaml"),
            (["Something", *METHOD, "--id", "meangradient"], "differs from `mean-gradient` by its hyphens only"),
            (["Something", *METHOD, "--id", "../../x"], "is no id"),
            (["Something", *METHOD, "--id", "gr\u0430d"], "CYRILLIC SMALL LETTER A"),
            (["Gr\u0430dient", *METHOD], "CYRILLIC SMALL LETTER A); names are written in Latin or Greek letters"),
            (["Some\u202ething", *METHOD], "RIGHT-TO-LEFT OVERRIDE"),
            (["漢", *METHOD], "names are written in Latin or Greek letters"),
            (["...", *METHOD], "is no id"),
            (["Index", *METHOD], "id `index` is reserved for another file or page"),
            (["Something", *METHOD[:-1], BIBTEX.replace("Guided path", "<b>Guided</b> path")], "markup `<b` is not allowed in references.bib"),
            (["Something", "--family", "local", "--summary", "a\u200bb", "--reference", BIBTEX], "ZERO WIDTH SPACE"),
            (["Some `thing`", *METHOD], "names are plain text"),
            (["Something", *METHOD[:1], "locel", *METHOD[2:]], "did you mean `local`"),
            (["Something", *METHOD[:-1], "10.1/none"], "no entry `10.1/none`"),
            (["Something", *METHOD[:-1], "10.9999/none"], "nothing is looked up"),
            (["Something", *METHOD[:-1], "missing.bib"], "cannot be read"),
            (["Something", *METHOD[:4]], "has the work that introduced it"),
            (["Something", *METHOD, "--access", "gradients"], "give --model and --baseline too"),
            (["Something", *METHOD, "--access", "x", "--model", "any", "--baseline", "none"], "`x` is not allowed for"),
            (["Something", *METHOD, "--explains", "nothing"], "is not allowed for"),
            (["Something", *METHOD, "--source", "Sec. 1"], "a source is written `work | place`"),
            (["Something", *METHOD, "--source", "deng2025attribution | Table XC"], "Table XC"),
            (["Something", "--family", "local", "--summary", "a $x", "--reference", BIBTEX], "unbalanced"),
            (["Something", "--family", "local", "--summary", "<script>x</script>", "--reference", BIBTEX], "raw HTML"),
            (["Something", "--family", "local", "--reference", BIBTEX], "outside a terminal nothing can be asked: give --summary"),
        ],
    )
    def test_refused_and_nothing_written(self, atlas_new, kb, arguments, message):
        before = snapshot(kb)
        code, out, err = atlas_new("method", *arguments)
        assert (code, out) == (1, "")
        assert message in err
        assert snapshot(kb) == before

    def test_a_likeness_may_be_overruled_and_a_name_may_not(self, atlas_new):
        assert atlas_new("method", "Mean gradiant", *METHOD, "--distinct", "--dry-run")[0] == 0
        assert atlas_new("method", "Mean gradient", *METHOD, "--distinct", "--dry-run")[0] == 1

    def test_records_with_errors_are_told_first(self, atlas_new, invalid):
        code, _, err = atlas_new("method", "Guided Path", *METHOD, folder=invalid("wrong-kind"))
        assert code == 1
        assert "`atlas check` lists them" in err


CALLS = {
    "family": ["Global", "--set", "formula=a_i = 0", "--set", "equation=Eq. 1", "--set", "key-difference=None."],
    "reformulation": ["Rewritten", "--set", "formula=a_i = 0", "--set", "equation=Eq. 1", "--set", "key-difference=None."],
    "principle": ["Calm", "--set", "category=robustness", "--alias", "Quiet"],
    "axiom": ["Void", "--set", "tradition=game theory"],
    "library": ["Tools", "--set", "package=tools", "--set", "version=1", "--set", "licence=MIT", "--set", "homepage=https://example.org"],
    "discrepancy": [
        "Two signs", "--between", "deng2025attribution | Sec. II-A(2) | plus", "--between", "miller2024paper | Eq. 2 | minus",
        "--set", "type=notation", "--set", "severity=minor", "--set", "meaning=The sign.", "--set", "resolution=Plus: kept.",
        "--set", "concerns=mean-gradient, shapley",
    ],
}  # fmt: skip


class TestOtherKinds:
    @pytest.mark.parametrize("kind", CALLS)
    def test_written_and_loads(self, atlas_new, kb, kind):
        name, *rest = CALLS[kind]
        code, out, err = atlas_new(kind, name, "--summary", "In one sentence.", *rest)
        assert (code, err) == (0, "")
        assert "next:" in out
        record = taxonomy.load(kb, cache=False).find(name)
        assert record.summary.strip() == "In one sentence."

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["axiom", "Void", "--summary", "S."], "give --set 'tradition=game theory | SHAP | path methods'"),
            (["axiom", "Void", "--summary", "S.", "--set", "tradition=gme theory"], "did you mean `game theory`"),
            (["axiom", "Void", "--summary", "S.", "--set", "traditoin=SHAP"], "did you mean `tradition`"),
            (["axiom", "Void", "--summary", "S.", "--set", "id=x"], "`id` is none of a axiom"),
            (["axiom", "Void", "--summary", "S.", "--set", "implies=x"], "`implies` has parts"),
            (["axiom", "Symmetry", "--summary", "S.", "--set", "tradition=SHAP", "--id", "other"], "it is called `symmetry`"),
            (["discrepancy", "Two", "--summary", "S.", "--between", "a | b"], "a side of a discrepancy is written"),
        ],
    )
    def test_refused(self, atlas_new, kb, arguments, message):
        before = snapshot(kb)
        code, _, err = atlas_new(*arguments)
        assert code == 1
        assert message in err
        assert snapshot(kb) == before


SOURCE = ["--source", "deng2025attribution | Sec. II-A(2)"]


class TestClaim:
    def test_added_and_nothing_else_touched(self, atlas_new, kb):
        path = kb / "methods" / "mean-gradient.yaml"
        before = path.read_text(encoding="utf-8")
        code, out, _ = atlas_new("claim", "MG", "satisfies", "symmetry", *SOURCE, "--note", "Of equal variables.", "--unchecked", "No run.")
        assert code == 0
        assert "changed kb/methods/mean-gradient.yaml" in out
        after = path.read_text(encoding="utf-8")
        assert [line for line in before.splitlines() if line not in after.splitlines()] == []
        edge = next(edge for edge in taxonomy.load(kb, cache=False).edges_from("mean-gradient") if edge.relation == "satisfies")
        assert (edge.object, edge.statement.note.strip()) == ("symmetry", "Of equal variables.")

    def test_in_every_record_of_the_base_a_second_one_fits(self):
        """A list written below itself takes one more at its end, whatever comments and styles surround it."""
        from taxonomy.authoring.claims import with_claim
        from taxonomy.authoring.plan import AuthoringError

        tried = on_one_line = 0
        for path in sorted((packaged_kb() / "methods").glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            for field in ("satisfies", "reformulates-as", "variant-of", "approximates"):
                try:
                    after = with_claim(text, "method", field, {"to": "new-target", "sources": [{"work": "w", "at": "Eq. 1"}]})
                except AuthoringError:
                    on_one_line += 1
                    continue
                tried += 1
                assert len(after.splitlines()) - len(text.splitlines()) in (3, 4)
        assert tried > 20 * on_one_line > 0 or on_one_line == 0
        assert tried > 300

    def test_takes_the_place_of_the_comment_that_announces_it(self, atlas_new, kb):
        assert atlas_new("method", "Guided Path", *METHOD)[0] == 0
        assert atlas_new("claim", "guided-path", "satisfies", "symmetry", *SOURCE)[0] == 0
        text = (kb / "methods" / "guided-path.yaml").read_text(encoding="utf-8")
        assert "# satisfies" not in text
        assert "\nsatisfies:\n  - " in text

    def test_says_if_it_follows_anyway(self, atlas_new):
        code, out, _ = atlas_new("claim", "mean-gradient", "violates", "keeps-both", *SOURCE, "--dry-run")
        assert code == 0
        assert "it follows already, by verdict on others members from" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["MG", "satisfies", "symmetry"], "a claim has at least one source"),
            (["MG", "satisfied", "symmetry", *SOURCE], "did you mean `satisfies`"),
            (["MG", "satisfies", "symetry", *SOURCE], "did you mean `symmetry`"),
            (["MG", "satisfies", "shapley", *SOURCE], "is of kind method"),
            (["MG", "reformulates-as", "path", *SOURCE], "that claim stands at kb/methods/mean-gradient.yaml:"),
            (["MG", "satisfies", "symmetry", *SOURCE, "--status", "sure"], "`sure` is not allowed"),
            (["MG", "satisfies", "symmetry", *SOURCE, "--proof", "nobody2000"], "no entry `nobody2000`"),
            (["MG", "variant-of", "mean-gradient", *SOURCE], "points to the record itself"),
            (["MG", "satisfies", "symmetry", "--source", "deng2025attribution | Eq. 999"], "999"),
        ],
    )
    def test_refused(self, atlas_new, kb, arguments, message):
        before = snapshot(kb)
        code, _, err = atlas_new("claim", *arguments)
        assert code == 1
        assert message in err
        assert snapshot(kb) == before


class TestWriting:
    def test_all_or_nothing(self, tmp_path, monkeypatch):
        (tmp_path / "old.txt").write_text("old", encoding="utf-8")
        changes = [Change("new/a.txt", "a"), Change("old.txt", "changed", "old"), Change("b.txt", "b")]
        original = disk._Staged.take_place

        def take_place(staged):
            if staged.place.name == "b.txt":
                raise OSError("disk full")
            original(staged)

        monkeypatch.setattr(disk._Staged, "take_place", take_place)
        with pytest.raises(WritingError, match="nothing was written: disk full"):
            write(tmp_path, changes)
        assert snapshot(tmp_path) == {"old.txt": b"old"}
        assert not (tmp_path / "new").exists()
        monkeypatch.setattr(disk._Staged, "take_place", original)
        write(tmp_path, changes)
        assert snapshot(tmp_path) == {"b.txt": b"b", "new/a.txt": b"a", "old.txt": b"changed"}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (Change("old.txt", "x"), "old.txt exists; it is not overwritten"),
            (Change("OLD.txt", "x"), "upper and lower case only"),
            (Change("old.txt", "x", "older"), "has changed since it was read; nothing was written, run the command again"),
            (Change("gone.txt", "x", "y"), "cannot be read"),
            (Change("../out.txt", "x"), "leads out of"),
            (Change("link/out.txt", "x"), "leads out of"),
        ],
    )
    def test_refused(self, tmp_path, change, message):
        root = tmp_path / "root"
        root.mkdir()
        (root / "old.txt").write_text("old", encoding="utf-8")
        (root / "link").symlink_to(tmp_path)
        with pytest.raises(WritingError, match=message):
            write(root, [Change("first.txt", "x"), change])
        assert not (root / "first.txt").exists()
        assert not (tmp_path / "out.txt").exists()


class TestFamily:
    def test_most_methods_find_their_family_among_the_first_two(self, kb_atlas):
        """Each method whose family is known, left out and guessed by its name and summary; by chance two of seven would be right."""
        known = [record for record in kb_atlas.methods() if record.belongs_to and record.status == "full"]
        guesses = {record.id: guessed_families(f"{record.name} {record.summary}", kb_atlas.records, without=record.id) for record in known}
        right = sum(record.belongs_to[0].to in guesses[record.id][:2] for record in known)
        assert len(known) > 30
        assert right > 0.75 * len(known)

    def test_words_that_tell_nothing(self, kb_atlas):
        assert guessed_families("xyzzy", kb_atlas.records) == []

    def test_proposed_where_none_is_given(self, capsys):
        code = cli.main(["new", "method", "Path thing", "--summary", "Integrates the gradient along a path from the baseline.", "--dry-run"])
        assert code == 1
        err = capsys.readouterr().err
        assert "give --family: one of modified-gradient, " in err
        assert "by its words `gradient-times-input`" in err


class TestAsking:
    def test_an_empty_answer_takes_the_proposed_family(self):
        answers = iter(["", "1", "", "1", ""])
        asked = []
        arguments = cli.build_parser().parse_args(["new", "method", "X", "--id", "x", "--summary", "S.", "--abbreviation", "Y"])
        asking.complete_method(arguments, lambda question: asked.append(question) or next(answers), lambda text: "perturbation")
        assert (arguments.family, arguments.access, arguments.model, arguments.baseline) == ("perturbation", "outputs", "any", "none")
        assert arguments.reference is None
        assert asked[0].startswith("Family [perturbation]:")

    def test_questions_fill_what_flags_left_open(self):
        answers = iter(
            ["", "Guided Path", "", "It follows a path.", "GP", "nowhere", "2", "2", "", "3", "@misc{x,", "author={A}, title={T}, year={2000}}"]
        )
        arguments = cli.build_parser().parse_args(["new", "method"])
        asking.complete_method(arguments, lambda question: next(answers))
        assert (arguments.name, arguments.id, arguments.abbreviation, arguments.family) == (
            "Guided Path",
            "guided-path",
            "GP",
            "gradient-times-input",
        )
        assert (arguments.access, arguments.model, arguments.baseline) == ("gradients", "any", "one")
        assert arguments.reference == "@misc{x,\nauthor={A}, title={T}, year={2000}}"
        assert next(answers, None) is None

    def test_in_a_terminal(self, kb):
        master, slave = pty.openpty()
        call = [sys.executable, "-m", "taxonomy.cli", "new", "axiom", "--kb", str(kb)]
        process = subprocess.Popen(call, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        os.write(master, b"Void axiom\n\nNothing gives nothing.\nSHAP\n")
        seen = b""
        while b"next:" not in seen:
            try:
                seen += os.read(master, 65536)
            except OSError:
                break
        assert process.wait(60) == 0, seen.decode()
        os.close(master)
        assert b"Id [void-axiom]" in seen
        assert taxonomy.load(kb, cache=False).find("void-axiom").tradition == "SHAP"
