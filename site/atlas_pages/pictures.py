"""The gallery of `kb/evidence/gallery.json` as small SVG files.

Colours carry an opacity and stand on nothing, so that the same file serves the light and the dark scheme; a digit is inverted by the style sheet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from atlas_pages.context import Site, html_address
from atlas_pages.markup import attribute
from taxonomy.records import Record

POSITIVE, NEGATIVE, INK = "#d9822b", "#3f6fd1", "#1c2126"
LEVELS = 12

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
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" shape-rendering="crispEdges">{paths}</svg>\n'


def files(gallery: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Every picture of the gallery as (path, SVG)."""
    if not gallery:
        return
    for number, image in enumerate(gallery["images"]):
        yield f"pictures/digit-{number}.svg", digit(image["pixels"])
    for method, maps in gallery["attributions"].items():
        for number, values in enumerate(maps):
            yield f"pictures/{method}-{number}.svg", heatmap(values)


def _image(path: str, alt: str, css: str = "") -> str:
    return f'<img class="pixels{" " + css if css else ""}" src="@/{path}" alt="{attribute(alt)}" width="96" height="96">'


def _digit(gallery: dict[str, Any], number: int) -> str:
    return _image(f"pictures/digit-{number}.svg", f"handwritten digit {gallery['images'][number]['label']}", "digit")


def methods_shown(site: Site) -> list[str]:
    """Methods with pictures, in the order of the gallery."""
    return [method for method in (site.gallery or {}).get("attributions", {}) if method in site.records]


def strip(site: Site, limit: int = 4) -> str:
    """The home page's picture: a few digits under every method."""
    gallery, methods = site.gallery, methods_shown(site)
    if not gallery or not methods:
        return ""
    head = '<th scope="col">Digit</th>' + "".join(_column(site.records[method]) for method in methods)
    rows = []
    for number, image in enumerate(gallery["images"][:limit]):
        label = image["label"]
        cells = "".join(f"<td>{_image(f'pictures/{m}-{number}.svg', f'{site.records[m].name} of the digit {label}')}</td>" for m in methods)
        rows.append(f"<tr><td>{_digit(gallery, number)}</td>{cells}</tr>")
    caption = legend(gallery)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<figure class="gallery"><div class="scroll">{table}</div><figcaption>{caption}</figcaption></figure>'


def _column(record: Record) -> str:
    name = getattr(record, "abbreviation", None) or record.name
    return f'<th scope="col"><a href="{html_address(record)}">{attribute(name)}</a></th>'


def legend(gallery: dict[str, Any]) -> str:
    """What the pictures show."""
    accuracy = gallery.get("model", {}).get("accuracy")
    score = f", test accuracy {100 * accuracy:.1f}%" if isinstance(accuracy, float) else ""
    return (
        f"Real handwritten digits, read by a small convolutional network{score}. "
        '<span class="swatch plus"></span> raises the score of the class explained, <span class="swatch minus"></span> lowers it; '
        "each picture is scaled to its own largest value."
    )


def _sum(gallery: dict[str, Any], method: str, number: int) -> str:
    """What the attributions add up to, beside the change of the output they are held against."""
    found = gallery.get("completeness", {})
    sums = found.get("sums", {}).get(method)
    if not sums:
        return ""
    change = found["outputs"][number] - found["outputs-at-baseline"][number]
    return f"<br>sum {sums[number]:.2f}, output change {change:.2f}"


def of_method(site: Site, method: str) -> str:
    """One method's attributions on every digit of the gallery."""
    gallery = site.gallery
    if not gallery or method not in gallery["attributions"]:
        return ""
    name, targets = site.records[method].name, gallery.get("targets", [])
    cells = []
    for number, image in enumerate(gallery["images"]):
        target = targets[number] if number < len(targets) else image["predicted"]
        alt = f"{name} of the digit {image['label']}"
        caption = f"for class {target}" + (f", {100 * image['probability']:.0f}% sure" if target == image["predicted"] else "")
        caption += _sum(gallery, method, number)
        cells.append(f'<div class="pair">{_digit(gallery, number)}{_image(f"pictures/{method}-{number}.svg", alt)}<small>{caption}</small></div>')
    caption = legend(gallery) + _settings(gallery, method)
    return f'<figure class="gallery"><div class="pairs">{"".join(cells)}</div><figcaption>{caption}</figcaption></figure>'


def _settings(gallery: dict[str, Any], method: str) -> str:
    settings = gallery.get("settings", {}).get(method, {})
    text = "; ".join(f"{name.replace('-', ' ')} {value}" for name, value in settings.items())
    return f" Run with {attribute(text)}." if text else ""
