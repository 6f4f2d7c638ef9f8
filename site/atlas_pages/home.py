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
        box("opening", paragraphs(box("hero", "# What do attributions *mean*?\n\n" + HERO), pictures.strip(site))),
        box("cards entry", "\n\n".join(box("card", f"**[{title}](@/{path})**\n\n{text}") for title, path, text in _entries(site))),
        box("counts", _counts(site)),
        box("legend", legend),
    )
    return page + "\n"


def _entries(site: Site) -> list[tuple[str, str, str]]:
    n = {kind: len(records) for kind, records in site.by_kind.items()}
    places = plural(n["discrepancy"], "place")
    written = sum(bool(record.implementation) for record in site.by_kind["method"])
    return [
        ("Which method?", "guide/index.md", "Say what matters; see what remains, in order, with every reason and its source."),
        ("The matrix", "matrix/index.md", "Every method against families, properties and libraries: what is said, and what a run found."),
        ("The explorer", "explorer/index.md", "The graph of methods, families, rationales and principles; paths between any two."),
        ("The gallery", "pictures/index.md", "The same inputs under every method, side by side."),
        ("Methods", "methods/index.md", f"{plural(n['method'], 'method')}: their formulas and ideas, where they mislead; {written} with code."),
        ("Findings", "findings/index.md", "Claims that fail as printed, claims that need a condition, and contradictions."),
        ("Tables II to VII, Fig. 4", "tables/index.md", "The survey's tables as printed and as run, each cell a link to its claim."),
        ("Theorems", "theorems/index.md", f"{plural(n['theorem'], 'statement')} with their conditions, also those the sources leave out."),
        ("Discrepancies", "discrepancies/index.md", f"{places} where the sources disagree with each other or with themselves."),
        ("Tutorials", "tutorials/index.md", "Explain a network and a table, audit a method, query the graph: notebooks that the tests run."),
        ("Other libraries", "implementations/conformance.md", "Whether Captum, SHAP and others compute what they name, and why where they do not."),
        ("Take part", "contributing.md", "How a method, a claim or a correction comes in, with the commands and what they say."),
    ]


def _counts(site: Site) -> str:
    claims = sum(1 for s in site.statements.values() for edge in s.edges if edge.sources)
    located = sum(1 for record in site.records.values() for _ in sources_of(record))
    derived = len(site.atlas.derived)
    run = len(site.atlas.evidence)
    items = [
        (len(site.records), "records"), (claims, "claims with a source"), (located, "locators"), (derived, "derived facts"), (run, "claims run"),
        (len(site.atlas.bibliography), "works in the bibliography"),
    ]  # fmt: skip
    return "<dl>" + "".join(f"<div><dt>{label}</dt><dd>{count:,}</dd></div>" for count, label in items) + "</dl>"
