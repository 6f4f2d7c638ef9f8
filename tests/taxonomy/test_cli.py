"""The command `atlas`: what each command prints, in a pipe, on a terminal and as JSON, and its exit code."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from taxonomy import cli

ESCAPE = "\x1b"


@pytest.fixture
def atlas_command(valid, capsys):
    """Run the command in this process; returns (exit code, output, errors)."""

    def run(*arguments, kb=valid):
        try:
            code = cli.main([*arguments, *(["--kb", str(kb)] if kb else [])])
        except SystemExit as stop:  # argparse
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


CALLS = {
    "list": ["list"],
    "list of a kind": ["list", "axiom"],
    "list with filters": ["list", "--family", "local", "--violates", "stable", "--access", "gradients", "--status", "full"],
    "show": ["show", "MG"],
    "find": ["find", "gradient"],
    "why": ["why", "MG", "violates", "keeps-both"],
    "table": ["table", "VI"],
    "figure": ["table", "figure-4"],
    "claims": ["claims"],
    "claims of a standing": ["claims", "--status", "fails"],
    "check": ["check"],
    "graph": ["graph"],
    "path": ["graph", "maps", "local"],
}


@pytest.mark.parametrize("call", CALLS)
class TestEveryCommand:
    def test_plain_text(self, atlas_command, call):
        code, out, _ = atlas_command(*CALLS[call])
        assert code == 0
        assert ESCAPE not in out
        assert bool(out) == (call != "check")

    def test_json(self, atlas_command, call):
        code, out, _ = atlas_command(*CALLS[call], "--json")
        assert code == 0
        parsed = json.loads(out)
        assert parsed or call == "check"

    def test_record_folder_that_does_not_exist(self, atlas_command, call, tmp_path):
        code, out, err = atlas_command(*CALLS[call], kb=tmp_path / "nowhere")
        assert (code, out) == (1, "")
        assert err.startswith("atlas: no record folder at")

    def test_record_folder_with_errors(self, atlas_command, call, invalid):
        code, out, err = atlas_command(*CALLS[call], kb=invalid("wrong-kind"))
        assert code == 1
        assert "is of kind axiom, not method" in (out if call == "check" else err)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["list", "axiom"], ["id\tname\tstatus", "efficiency\tEfficiency\tfull", "equal-names\tEqual names\tfull", "symmetry\tSymmetry\tfull"]),
        (["list", "--family", "local", "--status", "stub"], ["id\tname\tstatus", "straight-path\tStraight path\tstub"]),
        (["list", "--satisfies", "keeps-both", "--satisfies", "symmetry"], ["id\tname\tstatus", "shapley\tShapley value (Shap)\tfull"]),
        (["list", "--explains", "patches", "--reformulation", "path"], ["id\tname\tstatus", "shapley\tShapley value (Shap)\tfull"]),
        (["list", "--rationale", "sensitivity-rationale", "--access", "outputs"], ["id\tname\tstatus", "shapley\tShapley value (Shap)\tfull"]),
        (["find", "leave one"], ["id\tkind\tname", "removal\tmethod\tRemoval (Rem)"]),
        (["graph", "maps", "local"], ["from\trelation\tto", "maps\tprovides\tgradient", "gradient\tbelongs-to\tlocal"]),
        (
            ["table", "VII"],
            ["row\tmethods\tprinciples\tclaims", "Rem/Shap\tRem, Shap\tkeeps-sum\tremoval/violates/keeps-sum, shapley/violates/keeps-sum"],
        ),
        (["table", "V"], ["row\trationale\tlimitations", "Sensitivity\tsensitivity-rationale\tSaturation hides change."]),
        (
            ["table", "figure-4"],
            [
                "row\tfamily\tmethods\tticks", "Grad/MG\tlocal\tGrad, MG\tPath: MG", "Rem\tmasking\tRem\tCoalition: Rem",
                "Shap\tmasking\tShap\tPath: Shap; Coalition: Shap",
            ],
        ),
    ],
)  # fmt: skip
def test_printed_lines(atlas_command, arguments, lines):
    assert atlas_command(*arguments) == (0, "\n".join(lines) + "\n", "")


def test_show(atlas_command):
    _, out, _ = atlas_command("show", "mg")
    lines = out.splitlines()
    assert lines[:2] == ["Mean gradient (MG)\tmethod", "The gradient averaged along the way from a baseline."]
    assert "reformulates-as\tpath\tproved\tholds\tTable III, row Path; Fig. 4, row Grad/MG, column Path" in lines
    assert "generalises\tstraight-path\t\t\tEq. 3" in lines
    assert "violates\tkeeps-both\tderived\t\tverdict on others members" in lines


def test_table_of_evaluations(atlas_command):
    _, out, _ = atlas_command("table", "VI")
    assert [line.split("\t")[-1] for line in out.splitlines()[1:]] == [
        "satisfies: Shap; violates: others", "satisfies: —; violates: all", "context-dependent: depends on smoothness",
    ]  # fmt: skip


class TestJson:
    def test_show_has_relations(self, atlas_command):
        data = json.loads(atlas_command("show", "Grad", "--json")[1])
        assert data["id"] == "gradient"
        assert {"relation": "belongs-to", "direction": "out", "id": "local", "derived": False} in data["relations"]

    def test_why_has_the_whole_proof(self, atlas_command):
        data = json.loads(atlas_command("why", "removal", "violates", "efficiency", "--json")[1])
        assert data["rule"] == "another name"
        assert [premise["fact"] for premise in data["premises"]] == [
            ["removal", "violates", "keeps-sum"],
            ["keeps-sum", "corresponds-to", "efficiency"],
        ]
        assert data["premises"][0]["asserted"][0]["sources"][0] == {
            "work": "deng2025attribution", "at": "Table VII, row Rem/Shap", "printed": "Rem", "ref": [], "note": None,
        }  # fmt: skip

    def test_graph_counts(self, atlas_command):
        data = json.loads(atlas_command("graph", "--json")[1])
        assert data["total"]["records"] == sum(data["kind"].values()) == 36
        assert data["total"]["asserted relations"] == sum(data["relation"].values())
        assert data["total"]["derived facts"] == sum(data["deduction rule"].values())
        assert data["evidence"] == {"fails": 1, "holds": 1}

    def test_check_lists_problems(self, atlas_command, invalid):
        code, out, err = atlas_command("check", "--json", kb=invalid("several"))
        assert (code, err) == (1, "")
        assert {problem["rule"] for problem in json.loads(out)} >= {"yaml", "unknown-field", "dangling-reference", "locator"}


class TestClaims:
    def test_table_and_totals(self, atlas_command):
        lines = atlas_command("claims")[1].splitlines()
        assert lines[0] == "claim\tstanding\tcheck"
        assert "mean-gradient/reformulates-as/path\tholds\tpath/straight-line" in lines
        totals = dict(line.split("\t") for line in lines[lines.index("standing\tclaims") + 1 :])
        assert list(totals) == ["holds", "holds under condition", "fails", "empirical", "definitional", "cited", "not run", "open"]
        assert sum(map(int, totals.values())) == lines.index("standing\tclaims") - 1

    def test_refuted_claims_come_with_condition_and_counterexample(self, atlas_command):
        lines = atlas_command("claims", "--status", "fails")[1].splitlines()
        assert lines[0].split("\t") == ["claim", "standing", "check", "holds if", "counterexample"]
        assert lines[1].split("\t")[:2] == ["mean-gradient/reformulates-as/coalition", "fails"]
        assert lines[2] == "standing\tclaims"

    def test_reason_of_what_no_run_decides(self, atlas_command):
        lines = atlas_command("claims", "--status", "definitional")[1].splitlines()
        assert lines[0].split("\t")[-1] == "reason"
        assert any(line.endswith("The relation `includes` names or sorts things.") for line in lines)

    def test_standing_with_hyphens_and_method_by_any_name(self, atlas_command):
        assert atlas_command("claims", "--status", "not-run")[0] == 0
        data = json.loads(atlas_command("claims", "--method", "MG", "--json")[1])
        assert data["totals"]["fails"] == 1
        assert data["claims"]
        assert all("mean-gradient" in claim["claim"].split("/") for claim in data["claims"])

    def test_unknown_names(self, atlas_command):
        assert "standings: holds, " in atlas_command("claims", "--status", "wrong")[2]
        assert atlas_command("claims", "--status", "wrong")[0] == 2
        assert atlas_command("claims", "--method", "gradien")[0] == 1


class TestVerify:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--jobs", "0"], "--jobs must be at least 1"),
            (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler goes with `--backend dask`"),
            (["--backend", "threads"], "invalid choice: 'threads'"),
        ],
    )
    def test_wrong_calls(self, atlas_command, arguments, message):
        pytest.importorskip("torch")
        code, out, err = atlas_command("verify", *arguments)
        assert (code, out) == (2, "")
        assert message in err


def test_why_not_is_told_where_a_fact_does_not_follow(atlas_command):
    code, out, _ = atlas_command("why", "deeplift-revealcancel", "violates", "output-sensitivity", kb=None)
    assert code == 0
    assert "no source says so, and it does not follow" in out
    assert "run: holds under condition" in out
    assert "would follow (verdict on all members) from" in out
    assert "but a run refutes `deeplift-revealcancel reformulates-as nonnegative-backprop`" in out


class TestCheck:
    def test_clean(self, atlas_command, valid):
        assert atlas_command("check", "--strict") == (0, "", f"atlas check: 0 errors, 0 warnings, 0 notes in {valid}\n")

    def test_text(self, atlas_command, invalid):
        code, out, err = atlas_command("check", kb=invalid("wrong-kind"))
        assert code == 1
        assert out.startswith("kb/methods/shapley-sampling.yaml:6:9: error: ")
        assert err.startswith("atlas check: 1 error, 0 warnings, 0 notes in ")

    def test_annotations(self, atlas_command, invalid):
        _, out, _ = atlas_command("check", "--format", "github", kb=invalid("wrong-kind"))
        assert out.startswith("::error file=kb/methods/shapley-sampling.yaml,line=6,col=9,title=wrong-kind::")

    @pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--strict"], 1)])
    def test_warnings_count_when_strict(self, atlas_command, invalid, arguments, code):
        assert atlas_command("check", *arguments, kb=invalid("record-without-source"))[0] == code


class TestFailures:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["show", "shaply"], "did you mean `shapley`"),
            (["find", "shaply"], "did you mean `shapley`"),
            (["list", "methods"], "did you mean `method`"),
            (["list", "--family", "lokal"], "did you mean `local`"),
            (["why", "shapley", "violate", "stable"], "did you mean `violates`"),
            (["why", "shapley", "satisfies", "stable"], "but `shapley violates stable` is"),
            (["table", "IX"], "no table `IX`"),
            (["graph", "gradient", "model"], "no path joins"),
        ],
    )
    def test_what_does_not_exist_is_exit_code_1(self, atlas_command, arguments, message):
        code, out, err = atlas_command(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith("atlas: ")
        assert message in err

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["bogus"],
            ["show"],
            ["why", "a", "b"],
            ["check", "--format", "xml"],
            ["list", "--bogus"],
            ["graph", "gradient"],
            ["list", "axiom", "--family", "local"],
        ],
    )
    def test_a_wrong_call_is_exit_code_2(self, atlas_command, arguments):
        code, out, err = atlas_command(*arguments)
        assert (code, out) == (2, "")
        assert "atlas" in err


def test_help_names_every_command(atlas_command):
    code, out, _ = atlas_command("--help", kb=None)
    assert code == 0
    assert all(f"\n    {name}" in out for name in ("list", "show", "find", "why", "table", "check", "graph", "claims", "verify", "schema"))


def test_schema_writes_into_the_record_folder(atlas_command, kb):
    code, out, _ = atlas_command("schema", kb=kb)
    assert code == 0
    assert "wrote method.json" in out
    assert (kb / "schema" / "method.json").is_file()
    assert atlas_command("schema", kb=kb)[1] == "the schemas are up to date\n"
    assert json.loads(atlas_command("schema", "--json", kb=kb)[1]) == []


def test_own_records_by_default(atlas_command):
    code, out, _ = atlas_command("show", "integrated-gradients", kb=None)
    assert code == 0
    assert out.startswith("Integrated Gradients (IG)\tmethod\n")


COMMAND = [sys.executable, "-m", "taxonomy.cli"]
SCRIPT = Path(sys.executable).with_name("atlas")


def test_terminal_gets_colours_and_pipe_does_not(valid):
    master, slave = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "120"}
    call = [*COMMAND, "show", "MG", "--kb", str(valid)]
    process = subprocess.Popen(call, stdout=slave, stderr=subprocess.DEVNULL, env=environment)
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the other side was closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    assert process.wait() == 0
    assert ESCAPE.encode() in seen
    assert b"Mean gradient (MG)" in seen
    assert ESCAPE not in subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.parametrize("arguments", [["list"], ["show", "MG", "--json"], ["graph"]])
def test_a_closed_pipe_is_no_error(valid, arguments):
    process = subprocess.Popen([*COMMAND, *arguments, "--kb", str(valid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed in this environment")
def test_a_terminal_without_greek_letters_gets_escapes(valid):
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    call = [*COMMAND, "compare", "integrated-gradients", "shapley-value"]
    done = subprocess.run(call, capture_output=True, env=environment, check=True)
    assert rb"\u2260" in done.stdout  # the sign of what differs
    done = subprocess.run([*COMMAND, "show", "\u03b1", "--kb", valid], capture_output=True, env=environment)
    assert (done.returncode, b"Traceback" in done.stderr, rb"`\u03b1`" in done.stderr) == (1, False, True)


def test_console_script(valid):
    done = subprocess.run([SCRIPT, "list", "axiom", "--json", "--kb", str(valid)], capture_output=True, text=True, check=True)
    assert [record["id"] for record in json.loads(done.stdout)] == ["efficiency", "equal-names", "symmetry"]
