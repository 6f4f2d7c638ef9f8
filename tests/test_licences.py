"""Licences of the locked packages: listed, up to date, allowed; and the workflow that audits the packages."""

import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "licences.md"


@pytest.fixture(scope="module")
def licences():
    spec = importlib.util.spec_from_file_location("licences", ROOT / "docs" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["licences"]


@pytest.fixture(scope="module")
def found(licences):
    return licences.packages()


class Twice(dict):
    """Metadata in which a package names a second licence."""

    def items(self):
        return [*super().items(), ("Classifier", "License :: OSI Approved :: GNU General Public License (GPL)")]


def rows():
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in PAGE.read_text(encoding="utf-8").splitlines()[10:]]


def test_the_list_has_the_names_and_versions_of_the_lock():
    pinned = sorted(line.split("==") for line in LOCK.split())
    assert sorted([name, version] for name, version, *_ in rows()) == pinned, "run `make licences`"


def test_the_list_is_what_the_installed_packages_say(licences, found):
    assert PAGE.read_text(encoding="utf-8") == licences.page(found), "run `make licences`"


def test_every_licence_is_allowed_where_it_is_needed(found):
    assert [item.fault for item in found if item.fault] == []
    copyleft = {item.name for item in found if "GPL" in item.licence}
    assert {item.parts for item in found if item.name in copyleft} <= {("test",)}


def test_classifiers_agree(licences):
    """Where a package says its licence twice, as an expression and as classifiers, the second way of reading finds nothing else of note."""
    for name in licences.locked(LOCK):
        about = metadata.metadata(name)
        classifiers = " ".join(value for value in about.get_all("Classifier", []) if value.startswith("License"))
        if "GPL" in classifiers or "General Public" in classifiers:
            assert "GPL" in licences.licence_of(about), name


@pytest.mark.parametrize(
    ("licence", "parts", "fault"),
    [
        ("MIT", ("core",), ""),
        ("MIT AND (Apache-2.0 WITH LLVM-exception OR 0BSD)", ("torch",), ""),
        ("MIT OR GPL-3.0-only", ("core",), ""),
        ("(GPL-3.0-only OR LGPL-2.1-only) OR (MIT)", ("core",), ""),
        ("BSD-3-Clause AND (GPL-3.0-only OR MIT)", ("core",), ""),
        ("(MIT AND GPL-3.0-only) OR SSPL-1.0 AND AGPL-3.0-only", ("core",), "core: GPL-3.0-only is not"),
        ("MIT OR (GPL-3.0-only", ("core",), ""),
        ("(MIT) AND (GPL-3.0-only)", ("core",), "core: GPL-3.0-only is not"),
        ("GPL-3.0-or-later", ("test",), ""),
        ("GPL-3.0-or-later", ("test", "core"), "p 1, for test, core: GPL-3.0-or-later is not among the allowed licences"),
        ("GPL-3.0-or-later", ("site",), "p 1, for site: GPL-3.0-or-later is not"),
        ("AGPL-3.0-only", ("test",), "AGPL-3.0-only"),
        ("MIT AND SSPL-1.0", ("core",), "core: SSPL-1.0 is not"),
        ("unknown", ("core",), "unknown is not"),
        ("", ("core",), " is not"),
    ],
)
def test_what_is_not_allowed_is_said(licences, licence, parts, fault):
    found = licences.Package("p", "1", licence, parts).fault
    assert bool(found) == bool(fault)
    assert fault in found


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT", "License": "x"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"Classifier": "License :: OSI Approved", "License": "Apache 2.0 License"}, "Apache-2.0"),
        ({"License": "Copyright 2020\nPermission is"}, "Copyright 2020"),
        ({"Classifier": "Typing :: Typed"}, "unknown"),
        (Twice({"Classifier": "License :: OSI Approved :: MIT License"}), "GPL AND MIT"),
    ],
)
def test_how_a_licence_is_told(licences, fields, licence):
    assert licences.licence_of(fields) == licence


def test_what_needs_what(licences):
    parts = licences.parts()
    assert parts["pydantic-core"][0] == "core"
    assert "site" in parts["mkdocs-material-extensions"]
    assert parts["zennit"] == ("test",)
    assert "test" not in parts["scikit-learn"]
    assert "pywin32" not in parts


def test_a_list_that_is_old_is_told_and_nothing_written(licences, tmp_path, monkeypatch, capsys):
    page = tmp_path / "licences.md"
    page.write_text("old", encoding="utf-8")
    monkeypatch.setattr(licences, "PAGE", page)
    monkeypatch.setattr(licences, "ROOT", tmp_path)
    assert licences.main(["--check"]) == 1
    assert "make licences" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "old"
    monkeypatch.setattr(licences, "packages", lambda: [licences.Package("p", "1", "AGPL-3.0-only", ("core",))])
    assert licences.main([]) == 1
    assert "AGPL-3.0-only is not among" in capsys.readouterr().err


@pytest.mark.parametrize(("lock", "said"), [("no-such-package-here==1.0\n", "not installed"), ("pydantic==0.0.1\n", "is locked at 0.0.1")])
def test_a_package_that_is_not_there_is_told(licences, tmp_path, monkeypatch, capsys, lock, said):
    (tmp_path / "requirements.lock").write_text(lock, encoding="utf-8")
    monkeypatch.setattr(licences, "LOCK", tmp_path / "requirements.lock")
    assert licences.main(["--check"]) == 1
    assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def job():
    """The workflow, its keys as written."""
    return yaml.load((ROOT / ".github" / "workflows" / "packages.yml").read_text(encoding="utf-8"), yaml.BaseLoader)


class TestAudit:
    def test_audits_the_lock_itself_with_a_pinned_tool(self, job):
        (steps,) = (found["steps"] for found in job["jobs"].values())
        runs = " ".join(step.get("run", "") for step in steps)
        assert re.search(r"pip-audit==\d+\.\d+\.\d+", runs)
        assert "--requirement requirements.lock" in runs
        assert "--no-deps" in runs
        assert "--strict" in runs

    def test_may_read_and_nothing_else(self, job):
        assert job["permissions"] == {"contents": "read"}
        assert all("permissions" not in found for found in job["jobs"].values())

    def test_no_exception_without_a_reason(self):
        text = (ROOT / ".github" / "workflows" / "packages.yml").read_text(encoding="utf-8")
        for line in text.splitlines():
            if "--ignore-vuln" in line:
                assert "#" in line
