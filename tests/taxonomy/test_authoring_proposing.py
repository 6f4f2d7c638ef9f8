"""Claims drafted from an audit: YAML that a record takes once a source is named, and refuses before."""

import shutil
from pathlib import Path

import pytest
import yaml

import taxonomy
from taxonomy.authoring.proposing import proposed_claims
from taxonomy.cli import main

ATLAS = taxonomy.load()
KINDS = {"satisfies": {"axiom", "principle"}, "violates": {"axiom", "principle"}, "reformulates-as": {"reformulation-family"}}


@pytest.mark.parametrize("method", sorted(ATLAS.audits))
def test_a_draft_holds_what_the_audit_found_and_no_source(method):
    report = ATLAS.audits[method]
    draft = yaml.safe_load(proposed_claims(report)) or {}
    assert set(draft) <= set(KINDS)
    for relation, claims in draft.items():
        names = [claim["to"] for claim in claims]
        assert len(set(names)) == len(names)
        assert {ATLAS.records[name].kind for name in names} <= KINDS[relation]
        assert all(claim["sources"] == [] for claim in claims)
    for relation in ("satisfies", "violates"):
        assert {claim["to"] for claim in draft.get(relation, [])} == {v.principle for v in report.verdicts if v.outcome == relation}
    assert [claim["to"] for claim in draft.get("reformulates-as", [])] == [fit.family for fit in report.families if fit.fits and fit.family]


def test_every_reading_is_told_and_known_methods_are_named():
    report = ATLAS.audits["occlusion-1"]
    text = " ".join(line.strip().removeprefix("# ") for line in proposed_claims(report).splitlines())
    for verdict in report.verdicts:
        if verdict.outcome != "not applicable":
            assert f"{verdict.reading}: {verdict.why}" in text
    assert "`individual-causal-effect`" in text
    assert "`occlusion-1`" not in text


def test_a_record_takes_a_claim_once_it_has_a_source(tmp_path, capsys):
    kb = Path(shutil.copytree(Path(taxonomy.__file__).parent.parent / "kb", tmp_path / "kb"))
    record = kb / "methods" / "owen-value.yaml"
    draft = proposed_claims(ATLAS.audits["owen-value"])
    record.write_text(f"{record.read_text(encoding='utf-8')}{draft}", encoding="utf-8")
    assert main(["check", "--kb", str(kb)]) == 1
    said = capsys.readouterr().out
    assert "owen-value.yaml" in said
    assert "sources" in said
    block = draft[draft.index("satisfies:") : draft.index("  - to: ", draft.index("  - to: ") + 1)]
    filled = block.replace("[]", "[{work: blog2026attribution, at: Sec. Theoretical Axioms (The Main Innovation)}]")
    record.write_text((Path(taxonomy.__file__).parent.parent / "kb/methods/owen-value.yaml").read_text(encoding="utf-8") + filled, encoding="utf-8")
    assert main(["check", "--kb", str(kb)]) == 0


def test_the_command_writes_each_form(monkeypatch, tmp_path, capsys):
    import executable.auditing

    report = ATLAS.audits["occlusion-1"]
    monkeypatch.setattr(executable.auditing, "audit", lambda *_, **__: report)
    written = {"claims": proposed_claims(report), "json": report.to_json(), "markdown": report.to_markdown()}
    for style, text in written.items():
        assert main(["audit", "executable:occlusion_1", "--format", style]) == 0
        assert capsys.readouterr().out.rstrip() == text.rstrip()
    assert main(["audit", "executable:occlusion_1", "--format", "claims", "--output", str(tmp_path / "draft.yaml")]) == 0
    assert (tmp_path / "draft.yaml").read_text(encoding="utf-8") == written["claims"]
