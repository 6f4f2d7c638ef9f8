"""The gallery of `kb/evidence/gallery.json`: small SVG files for the pages of methods, and the data of the page where all can be chosen.

Colours carry an opacity and stand on nothing, so that the same file serves the light and the dark scheme; a digit is inverted by the style sheet.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from atlas_pages.claims import to
from atlas_pages.context import Site, html_address
from atlas_pages.indexes import by_equation
from atlas_pages.markup import attribute, bullets, escape, paragraphs, section
from atlas_pages.parts import index_front
from taxonomy.records import Record

POSITIVE, NEGATIVE, INK = "#d9822b", "#3f6fd1", "#1c2126"
LEVELS = 12
DATA = "pictures/data.js"
STILL = (0, 2, 4)
"""The digits of the page without scripting."""
ON_HOME_PAGE = ("gradient", "integrated-gradients", "grad-cam", "lrp-epsilon", "shapley-value")
MAIN_NETWORK = "convolutional"
WHERE = {"scenes": "on composed scenes", "sentences": "on sentences"}

Grid = Sequence[Sequence[float]]


def heatmap(values: Grid) -> str:
    """Attributions as squares: orange for what raises the output, blue for what lowers it, stronger for more."""
    top = max((abs(v) for row in values for v in row), default=0.0) or 1.0
    return _squares(values, lambda v: (POSITIVE if v > 0 else NEGATIVE, round(LEVELS * abs(v) / top)))


def digit(values: Grid) -> str:
    """An image as ink on nothing."""
    top = max((v for row in values for v in row), default=0.0) or 1.0
    return _squares(values, lambda v: (INK, round(LEVELS * max(v, 0.0) / top)))


def _squares(values: Grid, paint: Any) -> str:
    shapes: dict[tuple[str, int], list[str]] = defaultdict(list)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            colour, level = paint(value)
            if level:
                shapes[colour, level].append(f"M{x} {y}h1v1h-1z")
    height, width = len(values), max((len(row) for row in values), default=0)
    paths = "".join(
        f'<path fill="{colour}" fill-opacity="{level / LEVELS:.2f}" d="{"".join(cells)}"/>' for (colour, level), cells in sorted(shapes.items())
    )
    frame = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" shape-rendering="crispEdges"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>{paths}</svg>\n'


def files(gallery: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Every picture of the gallery as (path, SVG)."""
    if not gallery:
        return
    for number, image in enumerate(gallery["images"]):
        yield f"pictures/digit-{number}.svg", digit(image["pixels"])
    for method, maps in gallery["attributions"].items():
        for number, values in enumerate(maps):
            yield f"pictures/{method}-{number}.svg", heatmap(values)


def _image(path: str, alt: str, css: str = "", *, lazy: bool = False) -> str:
    late = ' loading="lazy"' if lazy else ""
    return f'<img class="pixels{" " + css if css else ""}" src="@/{path}" alt="{attribute(alt)}" width="96" height="96"{late}>'


def _digit(gallery: dict[str, Any], number: int) -> str:
    return _image(f"pictures/digit-{number}.svg", f"handwritten digit {gallery['images'][number]['label']}", "digit")


def _map(site: Site, method: str, number: int, label: int, *, lazy: bool = False) -> str:
    return _image(f"pictures/{method}-{number}.svg", f"{site.records[method].name} of the digit {label}", lazy=lazy)


def methods_shown(site: Site) -> list[str]:
    """Methods with pictures, in the order of the gallery."""
    return [method for method in (site.gallery or {}).get("attributions", {}) if method in site.records]


def strip(site: Site, limit: int = 4) -> str:
    """The home page's picture: a few digits under a few methods."""
    gallery, methods = site.gallery, [method for method in ON_HOME_PAGE if method in methods_shown(site)]
    if not gallery or not methods:
        return ""
    head = '<th scope="col">Digit</th>' + "".join(_column(site.records[method]) for method in methods)
    rows = []
    for number, image in enumerate(gallery["images"][:limit]):
        cells = "".join(f"<td>{_map(site, method, number, image['label'])}</td>" for method in methods)
        rows.append(f"<tr><td>{_digit(gallery, number)}</td>{cells}</tr>")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    more = f' <a href="@/pictures/index.html">{len(methods_shown(site))} methods on digits, scenes and sentences</a>.'
    return f'<figure class="gallery"><div class="scroll">{table}</div><figcaption>{legend(gallery)}{more}</figcaption></figure>'


def _column(record: Record) -> str:
    name = getattr(record, "abbreviation", None) or record.name
    return f'<th scope="col"><a href="{html_address(record)}">{attribute(name)}</a></th>'


def legend(gallery: dict[str, Any]) -> str:
    """What the pictures show."""
    score = f", test accuracy {_accuracy(gallery['model'])}" if gallery.get("model") else ""
    return f"Real handwritten digits, read by a small convolutional network{score}. {_scale()}"


def _scale() -> str:
    return (
        '<span class="swatch plus"></span> raises the score of the class explained, <span class="swatch minus"></span> lowers it; '
        "each picture is scaled by its own largest absolute value."
    )


def _accuracy(model: dict[str, Any]) -> str:
    return f"{100 * model['accuracy']:.1f}%"


def _sum(gallery: dict[str, Any], method: str, number: int) -> str:
    """What the attributions add up to, beside what they are held against."""
    found = gallery.get("completeness", {}).get(method)
    return f"<br>sum {found['sums'][number]:.2f}, expected {found['expected'][number]:.2f}" if found else ""


def _model(gallery: dict[str, Any], method: str) -> dict[str, Any] | None:
    """The network of a method that does not run on the one all others explain."""
    found: dict[str, Any] | None = gallery.get("other-models", {}).get(gallery.get("models", {}).get(method))
    return found


def of_method(site: Site, method: str) -> str:
    """One method's attributions on every digit of the gallery."""
    gallery = site.gallery
    if not gallery or method not in gallery["attributions"]:
        return ""
    other, cells = _model(gallery, method), []
    for number, image in enumerate(gallery["images"]):
        sure = (other or {}).get("probabilities", [])[number] if other else image["probability"]
        caption = f"for class {gallery['targets'][number]}, {100 * sure:.0f}% sure" + _sum(gallery, method, number)
        cells.append(f'<div class="pair">{_digit(gallery, number)}{_map(site, method, number, image["label"])}<small>{caption}</small></div>')
    text = f"Real handwritten digits. {_network(other)} {_scale()}" if other else legend(gallery)
    caption = f"{text} {_settings(gallery, method)} {_elsewhere(gallery, method)}"
    return f'<figure class="gallery"><div class="pairs">{"".join(cells)}</div><figcaption>{caption}</figcaption></figure>'


def _elsewhere(gallery: dict[str, Any], method: str) -> str:
    """Where the method stands chosen beside the others: on these digits, and on scenes and sentences if it runs there."""
    start = gallery.get("models", {}).get(method, MAIN_NETWORK)
    links = {start: "beside all other methods, for other classes"}
    for place in gallery.get("maps", {}).get(method, {}):
        kind = gallery["places"][place]["data"]
        if kind != "digits" and WHERE[kind] not in links.values():
            links[place] = WHERE[kind]
    shown = [
        f'<a href="@/pictures/index.html#?{"" if place == MAIN_NETWORK else f"model={place}&amp;"}methods={method}">{text}</a>'
        for place, text in links.items()
    ]
    return f'<span class="picture-links">In the gallery: {", ".join(shown)}.</span>'


def _network(model: dict[str, Any]) -> str:
    return f"Network: {attribute(model['description'])}; test accuracy {_accuracy(model)}."


def _settings(gallery: dict[str, Any], method: str) -> str:
    settings = gallery.get("settings", {}).get(method, "")
    text = f"Settings: {attribute(settings)}." if settings else ""
    found = gallery.get("completeness", {}).get(method)
    return text + (f" Expected sum: {attribute(found['compared'])}." if found else "")


# -- the page of all pictures ----------------------------------------------------------------------------------------------------------------

DESCRIPTION = "The same digits, scenes and sentences explained by every method: choose network, input and class, and read each value."


def album(site: Site) -> str:
    """The page on which the script shows any network, input and class; without it, every method on three digits."""
    front = index_front("Gallery", DESCRIPTION, hide=("navigation", "toc"))
    gallery = site.gallery
    if not gallery:
        return paragraphs(front, "No pictures have been made; `atlas verify` makes them.") + "\n"
    groups = _by_family(site)
    tables = [f'<h2 id="{family}">{attribute(name)}</h2>\n{_table(site, groups[family])}' for family, name in _families(site) if groups[family]]
    return paragraphs(
        front,
        *_opening(gallery, len(methods_shown(site))),
        '<div id="gallery-live" hidden></div>',
        f'<div id="gallery-still">\n<p>{_still(gallery)}</p>\n{"".join(tables)}\n</div>',
        section("Without a picture", _absent(site), anchor="absent"),
        '<script src="data.js" defer></script>\n<script src="../assets/js/gallery.js" defer></script>',
    ) + "\n"  # fmt: skip


def data(site: Site) -> str:
    """What the script draws: the recorded maps as they are, and the methods with names, pages and families."""
    gallery = site.gallery
    if not gallery or "maps" not in gallery:
        return "window.atlasGallery = null;\n"
    order = [family for family, _ in _families(site)]
    methods = sorted((_named(site, method) for method in gallery["maps"] if method in site.records), key=lambda m: order.index(m["family"]))
    kept = {key: gallery[key] for key in ("data", "places", "missing", "maps")}
    value = {"families": [{"id": family, "name": name} for family, name in _families(site)], "methods": methods} | kept
    return f"window.atlasGallery = {json.dumps(value, ensure_ascii=False, separators=(',', ':'))};\n"


def _named(site: Site, method: str) -> dict[str, str]:
    record = site.records[method]
    return {
        "id": method, "name": record.name, "short": getattr(record, "abbreviation", None) or record.name,
        "url": html_address(record).replace("@/", "../"), "family": _family(site, method) or "other",
    }  # fmt: skip


def _families(site: Site) -> list[tuple[str, str]]:
    """Families with their names in the order of their equations; what is in none last."""
    return [*((record.id, record.name) for record in by_equation(site, "formulation-family")), ("other", "Outside the seven families")]


def _by_family(site: Site) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for method in methods_shown(site):
        groups[_family(site, method) or "other"].append(method)
    return groups


def _family(site: Site, method: str) -> str:
    """The formulation family that a source names, or else the one under which the method is implemented; nothing if that is none either."""
    named = [s.fact.object for s in site.outgoing(method, "belongs-to") if s.edges]
    if named:
        return named[0]
    module = (getattr(site.records[method], "implementation", None) or "").partition(":")[0]
    family = module.rpartition(".")[2].replace("_", "-")
    return family if family in site.records else ""


def _opening(gallery: dict[str, Any], count: int) -> tuple[str, ...]:
    return (
        f"{count} methods explain what small trained networks make of handwritten digits, composed scenes and sentences. {_scale()} Two "
        "pictures can therefore not be compared in strength, and a picture of noise is as vivid as any other; "
        "the numbers can be compared.",
        "Some methods return no signed contributions: masks, probabilities, attention weights and the mean outputs of RISE are never blue. A method "
        "that no source puts into a family stands with the family under which it is implemented here. All values were computed beforehand, "
        "and a map is stored in steps of 1/127 of its largest value.",
    )


def _still(gallery: dict[str, Any]) -> str:
    networks = "; ".join(
        f"{name}: {attribute(model['description'][0].lower() + model['description'][1:])}; test accuracy {_accuracy(model)}"
        for name, model in ((MAIN_NETWORK, gallery["model"]), *gallery.get("other-models", {}).items())
    )
    return (
        "With scripting, network, input and class can be chosen here; without it, these are three digits, each explained for the class read. The "
        f"network is {MAIN_NETWORK} unless another is named. {networks}."
    )


def _table(site: Site, methods: Sequence[str]) -> str:
    gallery = site.gallery
    assert gallery is not None
    images = [(number, gallery["images"][number]) for number in STILL if number < len(gallery["images"])]
    digits = "".join(f'<th scope="col">{_digit(gallery, number)}</th>' for number, _ in images)
    rows = []
    for method in methods:
        record = site.records[method]
        network = gallery.get("models", {}).get(method)
        words = attribute(gallery.get("settings", {}).get(method, "")) + (f"; network: {attribute(network)}" if network else "")
        head = f'<a href="{html_address(record)}">{attribute(record.name)}</a><small>{words}</small>'
        cells = "".join(f"<td>{_map(site, method, n, image['label'], lazy=True)}</td>" for n, image in images)
        rows.append(f'<tr><th scope="row">{head}</th>{cells}</tr>')
    return f'<table class="album"><thead><tr><th scope="col">Method and settings</th>{digits}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _absent(site: Site) -> str:
    gallery = site.gallery
    assert gallery is not None
    reasons: dict[str, list[str]] = defaultdict(list)
    for method, reason in gallery.get("absent", {}).items():
        if method in site.records:
            reasons[reason].append(to(site.records[method]))
    return bullets(f"{', '.join(names)}: {escape(reason[0].lower() + reason[1:])}" for reason, names in reasons.items())
