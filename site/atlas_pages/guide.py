"""The guide for choosing a method: what Python worked out for every answer, as data for the page's script, and a table for readers without one."""

from __future__ import annotations

import json
from typing import Any

from atlas_pages.context import Site, address, html_address
from atlas_pages.markup import box, escape, link, paragraphs, plain, plural, table
from atlas_pages.parts import index_front
from taxonomy.deduction import Fact
from taxonomy.guide import choose, questions
from taxonomy.guide.choice import candidates
from taxonomy.guide.cost import evaluations
from taxonomy.guide.questions import FEATURES
from taxonomy.guide.ruling import count, effort, rulings
from taxonomy.guide.scoring import CRITERIA, points
from taxonomy.guide.usage import usage
from taxonomy.records import Method

DATA = "guide/data.js"
DESCRIPTION = "Choose an attribution method by what your model, data and question allow."
LEAD = (
    "Answer what matters to you; leave open what does not. Methods that cannot meet an answer are ruled out, each with its reason. The rest are "
    "ordered by the three criteria of the survey – reformulations a method fits, soundness of its rationales, principles it satisfies – each "
    "counted only as far as our runs and our audit support it, and by what one explanation costs. Every point of a score is shown."
)
CAVEAT = (
    "A score says how much is known in favour of a method, not how true its numbers are: a method that nobody has studied scores low. Half a "
    "point is given for what a run found under a condition, for what was measured by us alone, and for what no run has tested; none for what only "
    "follows, or is asserted only under a condition, and our audit of the reference function finds violated."
)


def guide(site: Site) -> str:
    """The page: the place for the script's form and ranking, and the table that stands there without it."""
    return paragraphs(
        index_front("Which method should I use?", DESCRIPTION, hide=("navigation", "toc")),
        f"{LEAD} {_absent(site)}",
        box("guide", _static(site), anchor="guide"),
        CAVEAT,
        "The same in Python: `taxonomy.load().choose(access=\"gradients\", model=\"cnn\")`; in a terminal: `atlas choose`.",
        '<script src="data.js" defer></script>\n<script src="../assets/js/guide.js" defer></script>',
    ) + "\n"  # fmt: skip


def _absent(site: Site) -> str:
    """Which of the recorded methods cannot be chosen."""
    every, inside = len(site.of_kind("method")), len(candidates(site.atlas))
    if every == inside:
        return ""
    return f"The guide chooses among {inside} of the {every} methods recorded: the other {every - inside} have no reference function."


def _static(site: Site) -> str:
    rows = []
    for item in choose(site.atlas, {}).ranked:
        method = site.records[item.method]
        assert isinstance(method, Method)
        needs = method.needs
        assert needs is not None
        cost = count(item.evaluations) if item.evaluations is not None else "–"
        requires = [needs.access, "any model" if needs.model == "any" else needs.model, f"baseline: {needs.baseline}"]
        requires += ["data"] * needs.data + ["training"] * needs.training
        rows.append((link(item.name, address(method)), f"{item.score:g}", escape(", ".join(requires)), escape(", ".join(method.explains)), cost))
    head = ("Method", "Score", "Needs", "Attributes to", "Evaluations, 10 features")
    return paragraphs(f"{plural(len(rows), 'method')} with all questions left open.", box("scroll", table(head, rows)))


def data(site: Site) -> str:
    """The script's data: questions, and for each method its points, what rules it out, and how it is used. Texts stand once, in a table."""
    texts = _Texts()
    methods = [_method(site, method, texts) for method in candidates(site.atlas)]
    found = {
        "criteria": list(CRITERIA.values()),
        "questions": [
            {"id": q.id, "ask": q.ask, "help": q.help, "several": q.several, "options": [[o.id, o.label, o.help] for o in q.options]}
            for q in questions(site.atlas)
        ],
        "methods": methods,
        "texts": texts.known,
    }
    return f"window.atlasGuide = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"


class _Texts:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.known)
            self.known.append(text)
        return self._numbers[text]


def _method(site: Site, method: Method, texts: _Texts) -> dict[str, Any]:
    names = list(CRITERIA)
    against: dict[str, dict[str, list[int]]] = {}
    for (question, option), reason in rulings(site.atlas, method).items():
        against.setdefault(question, {})[option] = [texts.number(plain(reason.text)), texts.number(_claim_address(site, reason.claim))]
    use = usage(site.atlas, method.id)
    return {
        "id": method.id,
        "name": method.title,
        "url": _from_guide(html_address(method)),
        "points": [
            [
                names.index(p.criterion),
                p.value,
                texts.number(plain(p.text)),
                texts.number(_claim_address(site, p.claim)),
                ":".join(p.when) if p.when else "",
            ]
            for p in points(site.atlas, method)
        ],
        "against": against,
        "cost": {name: effort(needed) for name, n in FEATURES.items() if (needed := evaluations(method, n)) is not None},
        "code": use.code,
        "peers": list(use.peers),
        "advice": [texts.number(plain(line)) for line in use.advice],
        "limits": [texts.number(plain(line)) for line in use.limits],
    }


def _claim_address(site: Site, claim: str | None) -> str:
    """Where a claim stands on the page of its method; the empty string if it has no place of its own."""
    if claim is None:
        return ""
    fact = Fact(*claim.split("/"))
    if fact not in site.statements:
        return _from_guide(html_address(site.records[fact.subject]))
    return _from_guide(html_address(site.records[fact.subject], site.statements[fact].anchor))


def _from_guide(address_: str) -> str:
    return address_.replace("@/", "../", 1)
