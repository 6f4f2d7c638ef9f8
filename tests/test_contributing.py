"""CONTRIBUTING.md, the forms and workflows of the repository, and the environments for editors: that they parse, agree and are safe."""

import argparse
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from taxonomy import cli
from taxonomy.authoring import forms
from taxonomy.records import KINDS, Claim
from taxonomy.relations import RELATIONS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
EVERYTHING = [
    ROOT / "CONTRIBUTING.md", ROOT / ".pre-commit-config.yaml", ROOT / ".devcontainer" / "devcontainer.json",
    *(path for path in (ROOT / ".github").rglob("*") if path.is_file()),
]  # fmt: skip
BY_NAME = {"ids": lambda path: path.name}


def workflow(path):
    """A workflow with its keys as written: YAML 1.1 takes `on` for true."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)


def steps(path):
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


class TestGuide:
    def test_from_fork_to_merged_in_five_commands(self):
        block = re.search(r"## From fork to merged.*?```sh\n(.*?)```", GUIDE, re.DOTALL).group(1)
        assert 1 <= len(block.strip().splitlines()) <= 5

    def test_targets_exist(self):
        targets = set(re.findall(r"^([\w$()/.]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        named = {word for line in re.findall(r"(?:^|`)make ([^`\n&]+)", GUIDE, re.MULTILINE) for word in line.split()}
        assert named - {".venv/ready"} <= targets
        assert "$(FULL)/ready" in targets

    def test_commands_and_flags_exist(self):
        commands = next(action for action in cli.build_parser()._actions if isinstance(action, argparse._SubParsersAction)).choices
        used = re.findall(r"atlas ([a-z]+)((?:[^`\n]|\\\n)*)", GUIDE)
        assert len(used) > 8
        for command, rest in used:
            assert command in commands, command
            parser = commands[command]
            if command == "new":
                kinds = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
                word = rest.split()[0] if rest.split() else "KIND"
                assert word in {*kinds, "KIND"}, word
                parser = kinds.get(word, parser)
            flags = {flag for action in parser._actions for flag in action.option_strings}
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= flags, (command, rest)

    def test_links_and_paths_exist(self):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
            assert (ROOT / target).exists(), target
        for path in re.findall(r"`((?:kb|tests|executable|\.devcontainer|\.pre-commit)[\w./-]*)`", GUIDE):
            assert (ROOT / path).exists(), path

    def test_standings_are_those_of_the_schema(self):
        for status in forms.options(Claim, "status"):
            assert f"`{status}`" in GUIDE

    def test_kinds_that_can_be_written_are_named(self):
        from taxonomy.authoring.command import KINDS as WORDS

        assert all(f"`{word}`" in GUIDE for word in WORDS)


class TestForms:
    def test_up_to_date(self):
        for path, text in forms.forms().items():
            assert (ROOT / path).read_text(encoding="utf-8") == text, f"run `atlas schema` ({path})"

    def test_written_once_and_then_left_alone(self, tmp_path):
        assert forms.write_forms_beside(tmp_path / "kb") == []
        (tmp_path / ".github").mkdir()
        assert forms.write_forms_beside(tmp_path / "kb") == list(forms.forms())
        assert forms.write_forms_beside(tmp_path / "kb") == []
        (tmp_path / ".github" / "ISSUE_TEMPLATE" / "bug.yml").write_text("old", encoding="utf-8")
        assert forms.write_forms_beside(tmp_path / "kb") == [".github/ISSUE_TEMPLATE/bug.yml"]

    @pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], **BY_NAME)
    def test_form_is_one_that_github_takes(self, path):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        ids = [item["id"] for item in form["body"]]
        labels = [item["attributes"]["label"] for item in form["body"]]
        assert len(set(ids)) == len(ids)
        assert len(set(labels)) == len(labels)
        for item in form["body"]:
            assert item["type"] in {"input", "textarea", "dropdown"}
            assert re.fullmatch(r"[\w-]+", item["id"])
            assert isinstance(item["validations"]["required"], bool)
            if item["type"] == "dropdown":
                choices = item["attributes"]["options"]
                assert choices
                assert all(isinstance(choice, str) and choice not in {"", "None", "none "} for choice in choices)
                assert len(set(choices)) == len(choices)

    def test_lists_are_those_of_the_schema(self):
        def listed(name, id_):
            form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
            return next(item for item in form["body"] if item["id"] == id_)["attributes"]["options"]

        schema = json.loads((ROOT / "kb" / "schema" / "method.json").read_text(encoding="utf-8"))
        needs = schema["$defs"]["Needs"]["properties"]
        for name in ("access", "model", "baseline"):
            assert listed("new-method.yml", name) == needs[name]["enum"]
        discrepancy = json.loads((ROOT / "kb" / "schema" / "discrepancy.json").read_text(encoding="utf-8"))["properties"]
        for name in ("type", "severity"):
            assert listed("claim-or-discrepancy.yml", name) == discrepancy[name]["enum"]
        assert set(listed("claim-or-discrepancy.yml", "relation")[1:]) <= set(RELATIONS)
        families = {path.stem for path in (ROOT / "kb" / "formulation-families").glob("*.yaml")}
        assert set(listed("new-method.yml", "family")[:-1]) == families

    def test_what_the_schema_requires_is_required(self):
        form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "new-method.yml").read_text(encoding="utf-8"))
        required = {item["id"] for item in form["body"] if item["validations"]["required"]}
        assert {name for name, info in KINDS["method"].model_fields.items() if info.is_required()} - {"id"} <= required

    def test_a_field_without_a_list_has_no_options(self):
        with pytest.raises(KeyError, match="no list of values"):
            forms.options(KINDS["method"], "name")


@pytest.mark.parametrize("path", WORKFLOWS, **BY_NAME)
class TestWorkflows:
    def test_runs_on_pull_requests_and_main_alone(self, path):
        events = workflow(path)["on"]
        assert set(events) <= {"pull_request", "push"}
        assert events["push"] == {"branches": ["main"]}

    def test_least_permissions(self, path):
        found = workflow(path)
        assert found["permissions"] == {"contents": "read"}
        wider = {name: job["permissions"] for name, job in found["jobs"].items() if "permissions" in job}
        assert wider == ({"deploy": {"pages": "write", "id-token": "write"}} if path.name == "pages.yml" else {})
        assert not wider or "pull_request" not in found["on"]

    def test_actions_are_pinned_by_commit_with_their_version(self, path):
        used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
        assert used
        for action in used:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action

    def test_one_action_has_one_pin(self, path):
        pins = {}
        for other in WORKFLOWS:
            for name, pin in re.findall(r"uses: ([\w/-]+)@(\S+)", other.read_text(encoding="utf-8")):
                assert pins.setdefault(name, pin) == pin

    def test_no_secrets_and_no_text_of_strangers_in_commands(self, path):
        text = path.read_text(encoding="utf-8")
        assert "secrets." not in text
        assert "pull_request_target" not in text
        assert "workflow_run" not in text
        for step in steps(path):
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"

    def test_every_job_ends(self, path):
        assert all(int(job["timeout-minutes"]) <= 60 for job in workflow(path)["jobs"].values())

    def test_commands_name_targets_that_exist(self, path):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(LIGHT)", ".venv-site").replace("$(FULL)", ".venv")
        targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
        for step in steps(path):
            for line in re.findall(r"(?<![\w-])make ([^&|\n]+)", step.get("run", "")):
                assert set(line.split()) <= targets, line


def test_pull_requests_are_checked_in_all_four_ways():
    jobs = workflow(ROOT / ".github" / "workflows" / "checks.yml")["jobs"]
    commands = {name: " ".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert "atlas check --strict --format github" in commands["records"]
    assert "make test" in commands["test"]
    assert "atlas verify --strict" in commands["verify"]
    assert "make site" in commands["site"]
    assert any(step.get("with", {}).get("path") == "public" for step in jobs["site"]["steps"])


def test_dependabot_looks_after_what_is_there():
    found = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    assert found["version"] == 2
    assert {update["package-ecosystem"] for update in found["updates"]} == {"github-actions", "pip", "devcontainers"}


def test_hooks_run_tools_that_the_project_has():
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in found["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in found["repos"]} == {"local"}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for hook in hooks:
        command = hook["entry"].split()
        assert command[0] in {".venv/bin/python", *(f".venv/bin/{name}" for name in scripts)}
        if command[0].endswith("atlas"):
            cli.build_parser().parse_args(command[1:])


def test_container_for_editors():
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert found["postCreateCommand"].startswith("make .venv/ready")
    assert "redhat.vscode-yaml" in found["customizations"]["vscode"]["extensions"]


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_one_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(^|[\s`(\"'=])/(work|tmp|home|root|Users)/", text)
    assert text.endswith("\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def transcript():
    spec = importlib.util.spec_from_file_location("transcript", ROOT / "site" / "transcript.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestTranscript:
    """The page with the recorded terminal session."""

    def test_the_quick_commands_print_what_is_recorded(self, transcript, tmp_path):
        page = transcript.PAGE.read_text(encoding="utf-8")
        again = transcript.recorded(page, transcript.copy_of_the_repository(tmp_path), quick=True)
        assert again.splitlines() == page.splitlines(), "record it again: python site/transcript.py --quick"

    def test_five_mistakes_each_explained_where_it_was_made(self, transcript):
        page = transcript.PAGE.read_text(encoding="utf-8")
        files = {block["file"]: block["text"].splitlines() for block in transcript.BLOCK.finditer(page) if block["file"]}
        found = re.findall(r"^(kb/\S+?):(\d+):(\d+): error: .*`?.* \[(\S+)\]", page, re.MULTILINE)
        assert len(found) == 5
        for file, line, column, field in found:
            assert re.split(r"[\[.]", field)[-1].rstrip("]").isdigit() or re.split(r"[\[.]", field)[-1] in files[file][int(line) - 1]
            assert int(column) <= len(files[file][int(line) - 1])

    def test_every_kind_of_command_is_shown_and_no_path_of_a_machine(self, transcript):
        page = transcript.PAGE.read_text(encoding="utf-8")
        assert {"atlas new", "atlas check", "atlas audit"} <= set(re.findall(r"^\$ (atlas \w+)", page, re.MULTILINE))
        assert not re.search(r"(^|[\s`(\"'=])/(work|tmp|home|root|Users)/", page)
        audit = re.search(r"^\$ atlas audit.*\n((?:(?!```).*\n)*)```", page, re.MULTILINE)
        assert audit[1].count("\n") > 10, "python site/transcript.py records it"

    @pytest.mark.parametrize("page", ["```console\n$ rm -rf x\n```", '```text title="../x"\nx\n```'])
    def test_nothing_else_is_run_and_nothing_written_elsewhere(self, transcript, tmp_path, page):
        with pytest.raises(ValueError, match=r"only `atlas` is run|leads out of the copy"):
            transcript.recorded(page, tmp_path / "copy")
