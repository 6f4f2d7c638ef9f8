"""The pictures of the site: every method that scores features explains what trained networks make of digits, composed scenes and sentences.

A map is stored as whole numbers from -127 to 127, as signed bytes in base64, with its largest absolute value: the number n stands for n / 127 of it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from torch import Tensor

from executable.digest import digest
from executable.gallery_methods import ABSENT, CONSERVED, NO_SIGN, TABLE
from executable.gallery_places import DIGITS, OTHER, PLACES, SCENES, SENTENCES, SHOWN, Network, Place
from executable.gallery_scene import Scene, Shown
from executable.reproductions.scenes import trained_on_scenes
from executable.testbeds import sentences
from executable.testbeds.digits import SEED, load_digits_split, one_thread
from taxonomy.disk import put
from taxonomy.evidence import GALLERY, to_json

__all__ = ["decoded", "gallery_digest", "make_gallery", "write_gallery"]

LEVELS = 127
DATA = {
    "digits": "scikit-learn digits: 8 x 8 pixels, grey values from 0 to 1. Of each class shown, a test image that all networks read rightly, by a "
    "clear margin.",
    "scenes": "Composed scenes of 16 x 16 pixels: a handwritten digit at a random place, a grating, noise, and a small shape that means nothing. "
    "The first test scenes of different digits that the network reads rightly.",
    "sentences": "Film reviews of up to eight words from a small grammar with negation and degree; the class is what the grammar says.",
}


def gallery_digest() -> str:
    """Hash of all that the pictures depend on."""
    return digest((__name__,))


def make_gallery(methods: Collection[str] | None = None, places: Collection[str] | None = None, *, jobs: int | None = None) -> dict[str, Any]:
    """Compute the pictures of all methods, or of some, in all places, or in some.

    The answer has, beside an overview in plain numbers for the pages of methods, `data` (what is explained), `places` (networks, classes explained,
    logits), `missing` (why a method has no picture in a place) and `maps`: by method and place the settings, the grid, the maps as text, one for
    each class of each input, with their largest absolute values, and where the method promises it the sums and what they should be.

    Networks and attributions are in single precision; each place is computed on one thread, so that its numbers are the same every time.

    Parameters
    ----------
    methods, places : collections of str, optional
        Ids of records, and names of `executable.gallery_places.PLACES`.
    jobs : int, optional
        Processes; two, or as many as there are processors, where left out.

    Raises
    ------
    ValueError
        If a method has no pictures, or there is no such place.
    """
    _check_known("method of the gallery", methods, [shown.method for shown in TABLE])
    _check_known("place", places, [place.name for place in PLACES])
    chosen = [place for place in PLACES if places is None or place.name in places]
    jobs = jobs or min(2, os.cpu_count() or 1)
    # The longest first, so that both processes end at about the same time.
    order = sorted(chosen, key=lambda place: _COST.get(place.name, 0), reverse=True)
    found = dict(zip((p.name for p in order), Parallel(n_jobs=jobs)(delayed(_place)(p.name, methods) for p in order), strict=True))
    return {
        "digest": gallery_digest(),
        **_overview(found, methods),
        "data": {
            kind: {"description": DATA[kind], "items": next(found[place.name]["items"] for place in chosen if place.data == kind)}
            for kind in DATA
            if any(place.data == kind for place in chosen)
        },
        "places": {place.name: found[place.name]["place"] for place in chosen},
        "missing": {place.name: dict(place.absent) for place in chosen},
        "maps": {
            shown.method: {place.name: found[place.name]["maps"][shown.method] for place in chosen if shown.method in found[place.name]["maps"]}
            for shown in TABLE
            if methods is None or shown.method in methods
        },
    }


def _check_known(what: str, names: Collection[str] | None, known: Collection[str]) -> None:
    wrong = sorted(set(names or ()) - set(known))
    if wrong:
        raise ValueError(f"no {what}: {', '.join(map(repr, wrong))}; there are {', '.join(known)}")


def _overview(found: dict[str, Any], methods: Collection[str] | None) -> dict[str, Any]:
    """What the page of a method shows: each digit for the class read, by the first network of digits on which the method runs."""
    networks = [place for place in PLACES if place.data == "digits" and place.name in found]
    if not networks:
        return {}
    home = {
        shown.method: place
        for shown in TABLE
        if (methods is None or shown.method in methods)
        for place in reversed(networks)
        if shown.method in found[place.name]["maps"]
    }
    main, *others = networks
    described = {place.name: found[place.name]["place"] | {"probabilities": _sure(found[place.name]["place"])} for place in networks}
    entries = {method: found[place.name]["maps"][method] for method, place in home.items()}
    of_read = {method: slice(None, None, home[method].classes) for method in entries}
    sure = described[main.name].pop("probabilities")
    return {
        "model": described[main.name],
        "other-models": {place.name: described[place.name] for place in others if place in home.values()},
        "settings": {method: entry["settings"] for method, entry in entries.items()},
        "models": {method: place.name for method, place in home.items() if place is not main},
        "absent": ABSENT,
        "images": [item | {"probability": p} for item, p in zip(found[main.name]["items"], sure, strict=True)],
        "targets": list(SHOWN),
        "attributions": {
            method: [_rounded(decoded(text, top, entry["grid"])) for text, top in _pairs(entry, of_read[method])] for method, entry in entries.items()
        },
        "completeness": {
            method: {"compared": entry["compared"]} | {key: entry[key][of_read[method]] for key in ("sums", "expected")}
            for method, entry in entries.items()
            if "sums" in entry
        },
    }


def _pairs(entry: dict[str, Any], chosen: slice) -> list[tuple[str, float]]:
    return list(zip(entry["maps"][chosen], entry["tops"][chosen], strict=True))


def _sure(place: dict[str, Any]) -> list[float]:
    """How sure the network is of each class read."""
    return [_short(max(torch.tensor(row).softmax(dim=0).tolist())) for row in place["logits"]]


def _rounded(values: list[list[float]]) -> list[list[float]]:
    return [[_short(value, 3) for value in row] for row in values]


_COST = {"convolutional": 9, "transformer": 8, "word-transformer": 7, "composed": 6, "pooled": 5, "word-convolution": 4, "softplus": 3}


# -- what is explained -----------------------------------------------------------------------------------------------------------------------


def _scene_places() -> list[int]:
    """The first test scenes of different digits of which the network is sure, and right."""
    found = trained_on_scenes()
    with torch.no_grad():
        sure = found.model(found.test.images).softmax(dim=1).gather(1, found.test.labels.unsqueeze(1)).squeeze(1)
    chosen: dict[int, int] = {}
    for place, label in enumerate(found.test.labels.tolist()):
        if sure[place] > 0.5:
            chosen.setdefault(label, place)
    return sorted(chosen.values())[:SCENES]


def _items(kind: str) -> list[dict[str, Any]]:
    if kind == "sentences":
        return [{"words": text.split(), "label": sentences.label(text)} for text in SENTENCES]
    if kind == "digits":
        data = load_digits_split()
        return [
            {"index": k, "label": label, "top": 16, "pixels": (16 * data.test_images[k, 0]).round().int().tolist()}
            for k, label in zip(DIGITS, SHOWN, strict=True)
        ]
    test = trained_on_scenes().test
    return [
        {
            "index": k,
            "label": int(test.labels[k]),
            "top": 99,
            "pixels": (99 * test.images[k, 0]).round().int().tolist(),
            "box": _box(test.boxes[k, 0]),
        }
        for k in _scene_places()
    ]


def _box(inside: Tensor) -> list[int]:
    """Top, left, height and width."""
    rows, columns = (inside.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    return [rows[0], columns[0], len(rows), len(columns)]


def inputs_of(place: Place, network: Network) -> Tensor:
    """What a place explains, each input once."""
    if place.data == "sentences":
        found = sentences.trained_sentences(place.name.removeprefix("word-"))
        return found.embed(torch.stack([sentences.encode(text) for text in SENTENCES]))
    return network.data.test_images[list(DIGITS) if place.data == "digits" else _scene_places()]


def explained_classes(place: Place, logits: Tensor) -> list[list[int]]:
    """For each input the class read, the runner-up, and one that is neither; all three where there are no more."""
    ranked: list[list[int]] = logits.argsort(dim=1, descending=True, stable=True).tolist()
    if logits.shape[1] == place.classes:
        return ranked
    return [[*row[:2], *(other for other in OTHER if other not in row[:2])][: place.classes] for row in ranked]


def scene_of(place: Place) -> tuple[Scene, Network, Tensor, list[list[int]]]:
    """The scene of a place, each input once for each class explained; its network, its logits, and those classes."""
    network = place.train()
    inputs = inputs_of(place, network)
    with torch.no_grad():
        logits = network.model(inputs)
    classes = explained_classes(place, logits)
    images = inputs.repeat_interleave(place.classes, dim=0)
    words = {**place.words, "few": place.words[place.few]}
    return Scene(network.model, images, torch.tensor(classes).flatten(), network.data, words, place.layers, place.few), network, logits, classes


# -- computing -------------------------------------------------------------------------------------------------------------------------------


def _place(name: str, methods: Collection[str] | None) -> dict[str, Any]:
    """All maps of a place, and the place."""
    place = next(place for place in PLACES if place.name == name)
    with one_thread(SEED):
        scene, network, logits, classes = scene_of(place)
        maps = {
            shown.method: _maps(shown, scene, place)
            for shown in TABLE
            if shown.method not in place.absent and (methods is None or shown.method in methods)
        }
    return {"maps": maps, "place": _described(place, network, logits, classes), "items": _items(place.data)}


def _maps(shown: Shown, scene: Scene, place: Place) -> dict[str, Any]:
    values = scene.grid(shown.attributions(scene).detach(), shown.grain)
    tops = values.flatten(1).abs().amax(dim=1)
    found: dict[str, Any] = {
        "settings": shown.settings.format_map(scene.words),
        "grid": list(values.shape[1:]),
        "tops": [_short(top, 3) for top in tops.tolist()],
        "maps": [_encoded(one, float(top)) for one, top in zip(values, tops, strict=True)],
    }
    # A negative score handed down, for a class that is not read, makes even relevance without negative parts negative.
    if (shown.method in NO_SIGN or (shown.grain == "slopes" and scene.is_text)) and bool((values >= 0).all()):
        found["unsigned"] = True
    by_class = values.reshape(-1, place.classes, *values.shape[1:])
    if bool((by_class == by_class[:, :1]).all()):
        found["same-for-every-class"] = True
    if shown.complete is not None and (place.conserves or shown.compared != CONSERVED):
        found["compared"] = shown.compared.format_map(scene.words)
        found["sums"] = _list(values.flatten(1).sum(dim=1))
        found["expected"] = _list(shown.complete(scene))
    return found


def _described(place: Place, network: Network, logits: Tensor, classes: list[list[int]]) -> dict[str, Any]:
    return {
        "data": place.data,
        "description": place.description,
        "accuracy": _short(network.accuracy),
        "parameters": sum(parameter.numel() for parameter in network.model.parameters()),
        "train": len(network.data.train_labels),
        "test": len(network.data.test_labels),
        **place.facts,
        "classes": list(sentences.CLASSES) if place.data == "sentences" else [str(k) for k in range(logits.shape[1])],
        "explained": classes,
        "logits": [_list(row) for row in logits],
    }


# -- numbers ---------------------------------------------------------------------------------------------------------------------------------


def _encoded(values: Tensor, top: float) -> str:
    levels = (values / top * LEVELS).round() if top else torch.zeros_like(values)
    return base64.b64encode(levels.to(torch.int8).numpy().tobytes()).decode("ascii")


def decoded(text: str, top: float, grid: Sequence[int]) -> list[list[float]]:
    """The numbers of a stored map, rows by columns.

    >>> decoded("fwCB", 2.0, (1, 3))
    [[2.0, 0.0, -2.0]]
    """
    levels = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.int8).reshape(*grid)
    found: list[list[float]] = (levels.double() / LEVELS * top).tolist()
    return found


def _short(value: float, figures: int = 4) -> float:
    return float(f"{value:.{figures}g}")


def _list(values: Tensor) -> list[float]:
    return [_short(value) for value in values.tolist()]


# -- the file --------------------------------------------------------------------------------------------------------------------------------


def write_gallery(folder: Path, *, force: bool = False) -> bool:
    """Write `gallery.json` below the evidence folder unless it is up to date; returns whether it was computed."""
    path = folder / GALLERY
    if not force and _recorded_digest(path) == gallery_digest():
        return False
    put(path, to_json(make_gallery()))
    return True


def _recorded_digest(path: Path) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("digest")
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None
