"""Pictures of evidence gathered: the page of all counterexamples that are drawn, and on a method's page the figures with its curves."""

from __future__ import annotations

from collections.abc import Iterator

from atlas_pages import diagrams
from atlas_pages.claims import run_badge, short
from atlas_pages.context import Site, address
from atlas_pages.markup import box, bullets, escape, paragraphs, plural, section
from atlas_pages.parts import index_front, named_fold
from taxonomy.evidence import Evidence
from taxonomy.records import Record

LEAD = "Violations and refutations that can be seen without reading a proof: small networks, games and functions with what the methods give."
KEY = (
    "Circles are units, with the value that flows through them at the input; dashed circles are inputs, double ones outputs, and each line carries "
    "its weight. Boxes of a game hold its value when the named variables are present, and each line says what changes when one more joins. The "
    "columns at the left, lettered as in the legend, hold the attributions of the inputs beside them."
)
ANCHOR = "figures"


def album(site: Site) -> str:
    """Every counterexample that has a diagram; claims that fail come first."""
    found = [site.atlas.evidence[claim] for claim in diagrams.claims() if claim in site.atlas.evidence]
    fails = [evidence for evidence in found if evidence.status == "fails"]
    others = [evidence for evidence in found if evidence.status != "fails"]
    return paragraphs(
        index_front("Counterexamples in pictures", LEAD),
        f"{LEAD} {plural(len(found), 'counterexample')}.",
        KEY,
        section("Of claims that fail as printed", paragraphs(*(_entry(site, evidence) for evidence in fails)), anchor="fails"),
        section("Of other claims", paragraphs(*(_entry(site, evidence) for evidence in others)), anchor="others"),
    ) + "\n"  # fmt: skip


def _entry(site: Site, evidence: Evidence) -> str:
    subject, _, rest = evidence.claim.partition("/")
    record, (relation, _, object_) = site.records[subject], rest.partition("/")
    said = f"{relation.replace('-', ' ')} {short(site.records[object_])}" if object_ in site.records else ""
    name = f"{short(record)} {said}" if said else record.title
    anchor = "evidence-" + rest.replace("/", "-", 1)
    lead = f"{run_badge(evidence.status)} [{escape(name)}]({address(record, anchor)})"
    return box("drawn", paragraphs(lead, diagrams.drawn(site, evidence)))


def figures_of(site: Site, record: Record) -> str:
    """On a method's page, below its picture: the figures elsewhere in which one of the curves is its own."""
    items = list(_figures(site, record)) if record.kind == "method" else []
    return named_fold(f"{plural(len(items), 'figure')} elsewhere with its curve", box("data", bullets(items)) if items else "", anchor=ANCHOR)


def _figures(site: Site, record: Record) -> Iterator[str]:
    for name, study in sorted(site.atlas.reproductions.items()):
        holder = site.records.get(name)
        if holder is None or holder is record:
            continue
        for chart in study.charts:
            if any(series.method == record.id for series in chart.series):
                yield f"[{escape(chart.title)}]({address(holder, f'chart-{chart.id}')}), on the page of {escape(holder.title)}"
