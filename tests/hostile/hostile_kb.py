"""The project's records, and among them strangers whose every field holds what the loader lets through and a careless page would run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from taxonomy.records import KINDS

PWN = "window.__pwned=1"
# Plain names may hold signs of Markdown, of templates, of scripts; only tags are refused.
NAME = f"'-{PWN}-' \");{PWN};// [x](javascript:{PWN}) **b** `c` ${{{PWN}}} {{{{ 7*7 }}}} {{% raw %}} | $x"
PROSE = (
    f"Words with `<script>{PWN}</script>` and ``<img src=x onerror={PWN}>`` and `</script><svg onload={PWN}>` in code, "
    f"&lt;script&gt;{PWN}&lt;/script&gt; "
    f"as references, $\\text{{</script><script>alert(1)</script>}}$ and $a<b$ in mathematics, `{{{{ config }}}}`, "
    f"[words](https://example.org/?q={PWN}), "
    f'"onmouseover="{PWN}" \'{PWN}\' javascript:{PWN} | cell | and \\$5.\n\n- an item with `"><b>`\n- *another*'
)
LATEX = r"\text{</script><img src=x onerror=alert(1)>} \lt x"
SOURCES = [{"work": "deng2025attribution", "at": "Sec. I", "printed": NAME, "note": PROSE}]


def claim(to: str) -> list[dict[str, Any]]:
    return [{"to": to, "as": PROSE, "sources": SOURCES, "note": PROSE}]


def records() -> dict[str, dict[str, Any]]:
    """The strangers, by kind; their ids are names that objects of JavaScript have already."""
    common = {"name": NAME[:150], "aliases": [f"alias {NAME}"], "summary": PROSE, "sources": SOURCES, "references": ["evil2020"]}
    symbols = [{"symbol": LATEX, "meaning": PROSE}]
    method = {
        "abbreviation": f"Z {NAME}"[:60],
        "reference": "evil2020",
        "explains": ["input features"],
        "formula": LATEX,
        "symbols": symbols,
        "idea": PROSE,
        "misleads": PROSE,
        "parameters": [{"name": NAME, "symbol": LATEX, "meaning": PROSE, "usual": f'"><b> {PWN}'}],
        "needs": {"access": "outputs", "model": "any", "baseline": "none"},
        "cost": {"forward": LATEX, "evaluations": "2**n", "note": PROSE},
        "satisfies": claim("completeness"),
        "variant-of": claim("lime"),
        "belongs-to": claim("local-surrogate"),
        "unchecked": PROSE,
    }
    found: dict[str, dict[str, Any]] = {
        "method": method,
        "principle": {"category": "robustness", "formula": LATEX, "symbols": symbols, "unchecked": PROSE},
        "axiom": {"tradition": "SHAP", "formula": LATEX, "unchecked": PROSE},
        "theorem": {
            "type": "claim",
            "formula": LATEX,
            "equation": "Eq. 1",
            "conditions": [PROSE],
            "unstated": [PROSE],
            "concerns": ["lime", "constructor"],
            "unchecked": PROSE,
        },
        "insight": {"type": "trap", "concerns": ["constructor", "lime"]},
        "symbol": {"symbol": LATEX, "concerns": ["lime"]},
        "example": {
            "formula": LATEX,
            "values": {"columns": [NAME, "b"], "rows": [[f'"><b>{PWN}', f"$x$ `<b>`{PWN}"]]},
            "concerns": ["lime"],
            "unchecked": PROSE,
        },
        "study": {"setup": PROSE, "finding": PROSE, "unspecified": [PROSE], "values": {"columns": [NAME], "rows": [[NAME.replace("$", "S")]]}},
        "metric": {"formula": LATEX, "better": "lower", "unchecked": PROSE},
        "discrepancy": {
            "between": [{"work": "deng2025attribution", "at": "Sec. I", "says": PROSE}] * 2,
            "type": "claim",
            "severity": "minor",
            "meaning": PROSE,
            "resolution": PROSE,
            "concerns": ["constructor"],
        },
        "library": {
            "package": "x" + NAME,
            "version": NAME,
            "licence": NAME,
            "homepage": f"https://example.org/?q={PWN}",
            "provides": [{"method": "constructor", "name": NAME, "note": PROSE}],
        },
    }
    ids = {"method": "constructor", "principle": "valueof", "theorem": "prototype", "axiom": "hasownproperty", "library": "tostring"}
    return {kind: {"id": ids.get(kind, f"evil-{kind}"), **common, "name": f"{kind} {NAME}"[:150], **fields} for kind, fields in found.items()}


BIBTEX = f"""
@article{{evil2020,
  title   = {{"onmouseover="{PWN} {{[}}x](javascript:{PWN}) `c` ${PWN}$}},
  author  = {{Evil, "'> {PWN}}},
  journal = {{'-{PWN}-' | cell | {{{{x}}}}}},
  year    = {{2020}},
  note    = {{x [a](javascript:{PWN})}},
  url     = {{https://example.org/?q={PWN}}},
}}
"""


def write(kb: Path, real: Path) -> Path:
    """Copy the real records to `kb` and put the strangers among them."""
    shutil.copytree(real, kb)
    for kind, values in records().items():
        path = kb / KINDS[kind].folder / f"{values['id']}.yaml"
        path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    with (kb / "references.bib").open("a", encoding="utf-8") as file:
        file.write(BIBTEX)
    run = {
        "claim": "constructor/satisfies/completeness",
        "check": "evil/check",
        "status": "fails",
        "statement": PROSE,
        "condition": PROSE,
        "finding": PROSE,
        "domain": NAME.replace("$", "S"),
        "trials": 2,
        "seed": 0,
        "measurements": [{"name": NAME.replace("$", "S"), "value": 1.0, "note": PROSE}],
        "counterexample": {"description": PROSE, "data": {"</script>": f"<img src=x onerror={PWN}>"}, "code": f"</code></pre><script>{PWN}</script>"},
        "controls": [{"description": PROSE, "value": 1.0, "bound": 1.0, "detected": True}],
        "parameters": {NAME: f"</script>{NAME}"},
        "versions": {NAME: NAME},
        "digest": f"<b>{NAME}",
    }
    path = kb / "evidence" / "constructor" / "satisfies" / "completeness.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(run), encoding="utf-8")
    return kb


def pages() -> list[str]:
    """Addresses of the strangers' pages."""
    return [f"{KINDS[kind].folder}/{values['id']}.html" for kind, values in records().items()]
