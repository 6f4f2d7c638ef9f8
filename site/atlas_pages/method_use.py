"""When to use a method and when not, and what it costs: worked out from its record, its claims with their runs, and the survey's advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atlas_pages.claims import mark_of, to
from atlas_pages.context import Site
from atlas_pages.markup import attribute, box, bullets, escape, inline_math, link, one_line, paragraphs, section, table
from taxonomy.deduction import Fact
from taxonomy.guide.cost import evaluations
from taxonomy.guide.questions import FEATURES, questions
from taxonomy.guide.ruling import CAUTION, Reason, count, effort, rulings
from taxonomy.guide.standing import OURS, UNMET, Standing, requirement
from taxonomy.records import Insight, Method, Record
from taxonomy.records.document import Advice
from taxonomy.records.method import Needs, Parameter

ACCESS = {
    "outputs": "You can ask the model for **outputs** and need not look inside.",
    "gradients": "You can **differentiate** the model’s output; that is all it needs.",
    "internals": "You can read, and where the method asks for it change, what happens in the model’s **layers**.",
    "training": "You can **train** the model, or a copy of it, again.",
}
NO_ACCESS = {
    "gradients": "You see only the model’s outputs: it needs gradients.",
    "internals": "You cannot look inside the model: it needs the layers.",
    "training": "You cannot train the model: it needs models trained anew.",
}
MODELS = {
    "any": "The model may be **anything** that maps inputs to outputs",
    "differentiable": "The model is **differentiable**",
    "relu-network": "The model is a **ReLU network**",
    "feedforward": "The model is a **feed-forward network**, built of layers",
    "convolutional": "The model is **convolutional**",
    "attention": "The model has **attention**",
    "graph": "The model reads **graphs**",
    "diffusion": "The model is a **diffusion model**",
    "tree": "The model is built of **trees**",
}
KINDS = {
    "mlp": "fully connected", "cnn": "convolutional", "transformer": "transformer", "graph": "graph network", "diffusion": "diffusion model",
    "other": "without gradient",
}  # fmt: skip
"""The kinds of model that the guide asks for."""
OTHER_MODELS = {
    "differentiable": "The model has no gradient: trees, rules, a service behind an interface.",
    "relu-network": "The model uses other activations than ReLU.",
    "feedforward": "The model is no feed-forward network: the method is defined layer by layer.",
    "convolutional": "The model has no convolutional maps.",
    "attention": "The model has no attention.",
    "graph": "The model does not read graphs.",
    "diffusion": "The model is no diffusion model.",
    "tree": "The model is not built of trees.",
}
NO_BASELINE = {
    "one": "No input stands for “nothing there”: it needs a baseline, and the result depends on it.",
    "zero": "Zero does not stand for “nothing there”: it takes zero as the baseline.",
    "distribution": "There are no data to draw from: what replaces a feature comes from a distribution.",
}
QUICK, SLOW, MANY = 10, 10_000, 20
"""Evaluations that count as quick, and that count as too many for so many features."""


@dataclass(frozen=True)
class _Known:
    """What rules a method out, and how it stands to every requirement: worked out once for a page."""

    rulings: dict[tuple[str, str], Reason]
    requirements: list[tuple[Standing | None, Standing | None]]


# -- when to use it ------------------------------------------------------------------------------------------------------------------------


def use(site: Site, record: Method) -> str:
    """Two short lists, then where the method misleads; no lists for a stub, of which too little is known."""
    misleads = section("Where it misleads", record.misleads or "", level=3, anchor="misleads")
    if record.needs is None:
        return misleads
    known = _Known(rulings(site.atlas, record), _requirements(site, record))
    sides = "\n\n".join(
        box("side", f'<p class="side-title">{title}</p>\n\n{bullets(lines)}')
        for title, lines in (("Use it when", list(_for(site, record, known))), ("Do not use it when", list(_against(site, record, known))))
        if lines
    )
    return paragraphs(box("sides", sides), misleads)


def _for(site: Site, record: Method, known: _Known) -> Iterator[str]:
    if needs := record.needs:
        yield f"{ACCESS[needs.access]} {_guide(f'access={needs.access}')}"
        fits = [kind for kind in KINDS if ("model", kind) not in known.rulings]
        links = ", ".join(_guide(f"model={kind}", KINDS[kind]) for kind in fits)
        yield f"{MODELS[needs.model]}: {links}." if len(fits) > 1 else f"{MODELS[needs.model]}. {_guide(f'model={fits[0]}')}"
        if needs.baseline == "none" and not needs.data:
            yield f"No baseline is known: it needs none, and no data besides the input. {_guide('baseline=none')}"
    if record.explains == ("global importance",):
        yield f"The whole model is to be explained, not one prediction. {_guide('scope=whole')}"
    yield from _kept(site, known)
    for statement in site.outgoing(record.id, "approximates"):
        if statement.run not in {"holds", "holds under condition"}:
            continue
        target = site.records[statement.fact.object]
        yield f"You want the {to(target)} and it costs too much: this [estimates](#{statement.anchor}) it.{mark_of(statement)}"
    few = evaluations(record, FEATURES["10"])
    if few is not None and few <= QUICK and not (record.needs and record.needs.training):
        yield f"It has to be quick: {effort(few)} for ten features ([cost](#costs))."
    for insight, advice in _advice(site):
        # Advice for a family says nothing for a member that the same answer rules out.
        if _favours(site, record, advice) and not advice.when.items() & known.rulings.keys():
            yield f"{_when(site, advice)}: {_because(site, insight, advice)}."


def _kept(site: Site, known: _Known) -> Iterator[str]:
    """What it satisfies, as far as a run confirms it."""
    for support, words in (
        ("confirmed", "These must hold, and a run confirmed them"),
        ("under condition", "These must hold, under a condition that a run found"),
    ):
        found = [kept for kept, _ in known.requirements if kept is not None and kept.support == support]
        if found:
            yield f"{words}: {', '.join(_claim(site, standing) for standing in found)}."


def _against(site: Site, record: Method, known: _Known) -> Iterator[str]:
    if needs := record.needs:
        yield from _unmet(needs, [kind for kind in KINDS if ("model", kind) in known.rulings])
    broken = [broken for _, broken in known.requirements if broken is not None and broken.support != "refuted"]
    unmet = [kept for kept, _ in known.requirements if kept is not None and kept.support in UNMET]
    refuted = [standing for standing in unmet if standing.support == "refuted"]
    doubted = [standing for standing in unmet if standing.support != "refuted"]
    said = [standing for standing in broken if standing.support not in OURS]
    found = _found_alone(site, record)
    ours = [standing for standing in broken if standing.support in OURS and standing.fact not in {s.fact for s in found}]
    if said:
        yield f"One of these must hold, which it violates: {_listed(site, said)}."
    if refuted:
        yield f"One of these must hold, which it is said to satisfy and does not: {_listed(site, refuted)}."
    if doubted:
        yield (
            "One of these must hold, which follows for it under a condition alone and which our "
            f"[audit](@/implementations/audits.md) found violated: {', '.join(_claim(site, s) for s in doubted)}."
        )
    if found:
        yield f"One of these must hold, which a run found violated and no source speaks of: {', '.join(_claim(site, s) for s in found)}."
    if ours:
        names = ", ".join(to(site.records[s.fact.object], text=site.records[s.fact.object].name.lower()) for s in ours)
        yield f"One of these must hold, which our [audit](@/implementations/audits.md) found violated: {names}."
    caution = known.rulings.get(("stakes", "high"))
    if caution is not None and CAUTION in site.records:
        yield f"Decisions will rest on it: the survey [advises caution]({_address(site, CAUTION)}) with a method that violates what it names."
    needed = evaluations(record, MANY)
    if needed is not None and needed > SLOW:
        yield f"There are many features: for {MANY} of them it takes {effort(needed)} ([cost](#costs))."
    if record.explains and "global importance" not in record.explains:
        yield f"The whole model is to be explained: it explains one prediction at a time. {_guide('scope=whole')}"
    if record.explains == ("global importance",):
        yield f"One prediction is to be explained: it speaks of the whole model. {_guide('scope=one')}"
    for insight, advice in _advice(site):
        if advice.rather_than == record.id:
            others = ", ".join(to(site.records[id_]) for id_ in advice.favours)
            yield f"{_when(site, advice)}: rather use {others}, {_because(site, insight, advice)}."


def _unmet(needs: Needs, excluded: list[str]) -> Iterator[str]:
    if needs.access in NO_ACCESS:
        less = {"gradients": "outputs", "internals": "gradients", "training": "internals"}[needs.access]
        yield f"{NO_ACCESS[needs.access]} {_guide(f'access={less}')}"
    if needs.model in OTHER_MODELS:
        state = "activations=other" if needs.model == "relu-network" else f"model={excluded[-1]}"
        yield f"{OTHER_MODELS[needs.model]} {_guide(state)}"
    if needs.baseline in NO_BASELINE:
        yield f"{NO_BASELINE[needs.baseline]} {_guide('baseline=none')}"
    elif needs.data:
        yield f"There are no data besides the input: it needs some. {_guide('baseline=none')}"
    if needs.training:
        yield f"No auxiliary model may be trained. {_guide('training=no')}"


def _guide(state: str, text: str = "in the guide") -> str:
    """A link to the guide with that answer given: it shows the methods that remain then."""
    css = ' class="more"' if text == "in the guide" else ""
    return f'<a{css} href="@/guide/index.html#?{state}">{text}</a>'


def _requirements(site: Site, record: Method) -> list[tuple[Standing | None, Standing | None]]:
    """How it stands to every principle and axiom that is not made of others; two names of one requirement count as two."""
    found = []
    for kind in ("principle", "axiom"):
        for other in site.of_kind(kind):
            if not site.atlas.parts_of(other.id):
                found.append(requirement(site.atlas, record.id, other.id))
    return found


def _found_alone(site: Site, record: Method) -> list[Standing]:
    """Violations that a check found, that no source asserts, and that do not follow."""
    statements = [s for s in site.outgoing(record.id, "violates") if s.evidence and not s.edges and s.proof is None]
    return [Standing(s.fact, "measured", ()) for s in statements if s.run in {"holds", "holds under condition"}]


def _listed(site: Site, standings: list[Standing]) -> str:
    return "; ".join(f"{_claim(site, standing)} ({_words(standing)})" for standing in standings)


def _claim(site: Site, standing: Standing) -> str:
    statement = site.statements.get(Fact(*standing.fact))
    name = site.records[standing.fact.object].name.lower()
    return f"[{escape(name)}](#{statement.anchor}){mark_of(statement)}" if statement else to(site.records[standing.fact.object], text=name)


def _words(standing: Standing) -> str:
    """Sources and run; a place of a theorem may hold a formula."""
    return one_line(standing.words) if "$" in standing.words else escape(standing.words)


def _advice(site: Site) -> Iterator[tuple[Insight, Advice]]:
    for record in site.of_kind("insight"):
        for advice in record.advice:
            yield record, advice


def _favours(site: Site, record: Method, advice: Advice) -> bool:
    families = {s.fact.object for relation in ("belongs-to", "reformulates-as") for s in site.outgoing(record.id, relation) if s.edges}
    return bool(({record.id} | families) & set(advice.favours))


def _when(site: Site, advice: Advice) -> str:
    known = {question.id: question for question in questions(site.atlas)}
    return escape("; ".join(known[question].option(option).label for question, option in advice.when.items()))


def _because(site: Site, insight: Insight, advice: Advice) -> str:
    places = "; ".join(site.atlas.cite(source) for source in insight.sources)
    return f"{one_line(advice.because)} ({escape(places)}, {link('advice', _address(site, insight.id))})"


def _address(site: Site, id_: str) -> str:
    record: Record = site.records[id_]
    return f"@/{record.folder}/{id_}.md"


# -- what it costs -------------------------------------------------------------------------------------------------------------------------


def costs(site: Site, record: Method) -> str:
    """Evaluations as a formula and as numbers, times measured, and the parameters that decide."""
    lines = []
    if cost := record.cost:
        for name, latex in (("Model evaluations", cost.forward), ("Forward and backward passes", cost.backward)):
            if latex:
                lines.append(f"**{name}**: {inline_math(latex)}.")
        if cost.note:
            lines.append(one_line(cost.note))
    if needs := record.needs:
        also = [what for needed, what in ((needs.data, "background data"), (needs.training, "the training of an auxiliary model")) if needed]
        if also:
            lines.append(f"It also needs {' and '.join(also)}.")
    if measured := _measured(site, record):
        lines.append(f"**Measured** beside other libraries: {measured} ([speed](@/implementations/speed.md)).")
    return paragraphs(bullets(lines), _numbers(record), section("Parameters", _parameters(record.parameters), level=3, anchor="parameters"))


def _numbers(record: Method) -> str:
    """Evaluations for growing numbers of features, with the default settings."""
    found = [(n, evaluations(record, n)) for n in FEATURES.values()]
    if any(needed is None for _, needed in found):
        return ""
    if len({needed for _, needed in found}) == 1:
        return f"With default settings {effort(found[0][1] or 0)}, whatever the number of features; a pass backwards counts as one more."
    pairs = ((f"{n:,} features", count(needed or 0)) for n, needed in found)
    cells = "".join(f"<div><dt>{attribute(name)}</dt><dd>{attribute(value)}</dd></div>" for name, value in pairs)
    lead = "Evaluations with default settings, a pass backwards counted as one more"
    return f'<p class="list-title">{lead}</p>\n\n<dl class="facts numbers">{cells}</dl>'


def _measured(site: Site, record: Method) -> str:
    found: dict[str, Any] = site.benchmarks or {}
    said = []
    for rows in found.get("tables", {}).values():
        for row in rows:
            if row["method"] == record.id and "unit" not in row:
                said.append(f"{escape(row['work'])}: {_time(row['ours'])}" + (f", {row['floor']:.2f} of the floor" if row.get("floor") else ""))
    return "; ".join(said[:3])


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


def _parameters(parameters: tuple[Parameter, ...]) -> str:
    if not parameters:
        return ""
    rows = [
        [escape(p.name) + (f" {inline_math(p.symbol)}" if p.symbol else ""), one_line(p.meaning), _plain_or_math(p.usual or "")] for p in parameters
    ]
    head = ["Parameter", "Meaning", "Usual value"]
    wide = len(head) if any(p.usual for p in parameters) else 2
    return box("scroll", table(head[:wide], [row[:wide] for row in rows]))


def _plain_or_math(text: str) -> str:
    return one_line(text) if "$" in text else escape(text)
