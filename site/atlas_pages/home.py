"""The home page."""

from __future__ import annotations

from atlas_pages import pictures
from atlas_pages.claims import run_badge
from atlas_pages.context import Site, sources_of
from atlas_pages.markup import box, paragraphs, plural
from atlas_pages.parts import front_matter

DESCRIPTION = (
    "A knowledge base of the theory of feature attribution, in which every claim is data with its source, and claims are tested by running them."
)


HERO = (
    "Feature attribution says which parts of an input a network's answer rests on. The methods disagree, and so do the papers about them. "
    "This atlas holds **every claim as data with its source**, and **tests claims by running them**, with the result beside the claim."
)
STATUSES = ("holds", "holds under condition", "fails")


def home(site: Site) -> str:
    """What this is, a picture, the ways in, the counts."""
    legend = "Standing when run: " + " ".join(run_badge(status) for status in STATUSES) + " – [how to read a page](@/reading.md)"
    page = paragraphs(
        front_matter(title=site.name, description=DESCRIPTION, hide=["navigation", "toc"]),
        "# What do attributions *mean*?",
        box("opening", paragraphs(box("hero", HERO), pictures.strip(site))),
        box("cards entry", "\n\n".join(box("card", f"**[{title}](@/{path})**\n\n{text}") for title, path, text in _entries(site))),
        box("counts", _counts(site)),
        box("legend", legend),
    )
    return page + "\n"


def _entries(site: Site) -> list[tuple[str, str, str]]:
    n = {kind: len(records) for kind, records in site.by_kind.items()}
    places = plural(n["discrepancy"], "place")
    return [
        ("Which method?", "guide/index.md", "Say what matters; see what remains, in order, with every reason and its source."),
        ("The matrix", "matrix/index.md", "Every method against families, properties and libraries: what is said, and what a run found."),
        ("The explorer", "explorer/index.md", "The graph of methods, families, rationales and principles; paths between any two."),
        ("Methods", "methods/index.md", f"{plural(n['method'], 'method')}: what each computes, the idea behind it, where it misleads."),
        (
            "Fig. 4, alive",
            "tables/figure-4.md",
            "Which method can be rewritten in which of seven forms, tick by tick, with the result of running it.",
        ),
        ("Tables II to VII", "tables/index.md", "Families, rationales, evaluations: the survey's tables, each cell a link to its claim."),
        ("Findings", "findings/index.md", "Claims that fail as printed, claims that need a condition, and contradictions."),
        ("Theorems", "theorems/index.md", f"{plural(n['theorem'], 'statement')} with their conditions, also those the sources leave out."),
        ("Discrepancies", "discrepancies/index.md", f"{places} where the sources disagree with each other or with themselves."),
    ]


def _counts(site: Site) -> str:
    claims = sum(1 for s in site.statements.values() for edge in s.edges if edge.sources)
    located = sum(1 for record in site.records.values() for _ in sources_of(record))
    derived = len(site.atlas.derived)
    run = len(site.atlas.evidence)
    items = [
        (len(site.records), "records"), (claims, "claims with a source"), (located, "locators"), (derived, "derived facts"), (run, "claims run"),
        (len(site.atlas.bibliography), "works cited"),
    ]  # fmt: skip
    return "<dl>" + "".join(f"<div><dt>{label}</dt><dd>{count:,}</dd></div>" for count, label in items) + "</dl>"
