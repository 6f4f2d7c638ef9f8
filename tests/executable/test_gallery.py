"""The pictures of the site: which methods have one, and what each has to show."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict

import pytest
import torch

import taxonomy
from executable import gallery as module
from executable.gallery import decoded, gallery_digest, make_gallery, scene_of, write_gallery
from executable.gallery_methods import ABSENT, CONSERVED, NO_SIGN, TABLE
from executable.gallery_places import DIGITS, PLACES, SENTENCES, SHOWN
from executable.gallery_scene import Remembered, change, output
from executable.testbeds import sentences
from executable.testbeds.digits import load_digits_split
from taxonomy.disk import put
from taxonomy.evidence import GALLERY, to_json
from taxonomy.store import packaged_kb

CHEAP = ["word-convolution"]
RANDOM = ["smoothgrad", "gradient-shap", "randomised-path-ig", "shapley-sampling", "rise", "lime", "s-lime", "information-bottleneck"]
PLACE = {place.name: place for place in PLACES}


@pytest.fixture(scope="module")
def gallery():
    """What is recorded, which is what the site shows."""
    path = packaged_kb() / "evidence" / GALLERY
    if not path.is_file():
        pytest.skip("nothing is recorded")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def maps(gallery):
    """Recorded maps of each method and place, shape (inputs, classes, rows, columns)."""
    found = defaultdict(dict)
    for method, places in gallery["maps"].items():
        for place, entry in places.items():
            values = [decoded(text, top, entry["grid"]) for text, top in zip(entry["maps"], entry["tops"], strict=True)]
            found[method][place] = torch.tensor(values).reshape(-1, PLACE[place].classes, *entry["grid"])
    return found


@pytest.fixture(scope="module")
def made():
    """A few methods in one cheap place, computed twice."""
    return [make_gallery([*RANDOM, "integrated-gradients", "shapley-value", "gradient"], CHEAP, jobs=1) for _ in range(2)]


def test_every_implemented_method_has_pictures_or_a_reason():
    shown = [entry.method for entry in TABLE]
    assert len(set(shown)) == len(shown)
    assert not set(shown) & set(ABSENT)
    implemented = {record.id for record in taxonomy.load().records.values() if record.kind == "method" and record.implementation}
    assert {*shown, *ABSENT} == implemented


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_method_has_maps_in_a_place_or_a_reason(gallery, place):
    shown = {method for method, places in gallery["maps"].items() if place.name in places}
    missing = gallery["missing"][place.name]
    assert missing == dict(place.absent)
    assert not shown & set(missing)
    assert shown | set(missing) == {entry.method for entry in TABLE}
    count = len(gallery["places"][place.name]["explained"]) * place.classes
    for method in shown:
        entry = gallery["maps"][method][place.name]
        assert len(entry["maps"]) == len(entry["tops"]) == count, method
        assert entry["settings"], method
        assert "{" not in entry["settings"], method


def test_every_method_runs_somewhere(gallery):
    assert all(gallery["maps"][entry.method] for entry in TABLE)


@pytest.mark.parametrize("name", ["word-convolution", "softplus"])
def test_reasons_are_reasons(name):
    """What is said not to run for want of attention, feature maps or ReLU is refused by the method itself."""
    scene, *_ = scene_of(PLACE[name])
    wanted = ("attention, and", "feature maps, and", "ReLU alone")
    # A layer is given, though there is no suitable one: what refuses it is to be the method.
    scene = dataclasses.replace(scene, layers=dict.fromkeys(("maps", "raw", "first"), "0") | dict(scene.layers))
    asked = [entry for entry in TABLE if any(words in PLACE[name].absent.get(entry.method, "") for words in wanted)]
    assert len(asked) > 5
    for entry in asked:
        with pytest.raises((NotImplementedError, ValueError)):
            entry.attributions(scene)


def test_digits_are_read_rightly_by_a_margin():
    data = load_digits_split()
    images, labels = data.test_images[list(DIGITS)], data.test_labels[list(DIGITS)]
    assert tuple(labels.tolist()) == SHOWN
    with torch.no_grad():
        logits = torch.stack([place.train().model(images) for place in PLACES if place.data == "digits"])
    right = logits.gather(2, labels.expand(len(logits), -1).unsqueeze(2)).squeeze(2)
    others = logits.masked_fill(torch.nn.functional.one_hot(labels, 10).bool(), -torch.inf).amax(dim=2)
    assert bool((right - others > 0.5).all())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no place: 'nonsense'; there are convolutional, "):
        make_gallery(places=["nonsense"])
    with pytest.raises(ValueError, match="no method of the gallery: 'faith-shap'"):
        make_gallery(["lime", "faith-shap"], ["softplus"])


def test_classes_are_read_runner_up_and_another(gallery):
    for name, place in gallery["places"].items():
        for logits, explained in zip(place["logits"], place["explained"], strict=True):
            ranked = sorted(range(len(logits)), key=lambda k: -logits[k])
            assert explained[:2] == ranked[:2]
            assert len(set(explained)) == len(explained) == PLACE[name].classes >= 2
        labels = [item["label"] for item in gallery["data"][place["data"]]["items"]]
        if place["data"] != "sentences":
            assert [explained[0] for explained in place["explained"]] == labels[: len(place["explained"])]


def test_what_is_shown(gallery):
    digits, scenes, texts = (gallery["data"][kind]["items"] for kind in ("digits", "scenes", "sentences"))
    assert [item["label"] for item in digits] == gallery["targets"] == [0, 2, 3, 5, 8, 9]
    assert len({item["label"] for item in scenes}) == len(scenes) == 4
    assert [" ".join(item["words"]) for item in texts] == list(SENTENCES)
    for item in (*digits, *scenes):
        assert all(0 <= value <= item["top"] for row in item["pixels"] for value in row)
    for item in scenes:
        top, left, height, width = item["box"]
        inside = sum(sum(row[left : left + width]) for row in item["pixels"][top : top + height])
        assert inside > 0.3 * sum(map(sum, item["pixels"]))


def test_the_overview_is_the_class_read_on_the_first_network_that_serves(gallery):
    assert set(gallery["attributions"]) == {entry.method for entry in TABLE}
    for method, shown in gallery["attributions"].items():
        place = gallery["models"].get(method, "convolutional")
        entry = gallery["maps"][method][place]
        classes = PLACE[place].classes
        for number, values in enumerate(shown):
            expected = decoded(entry["maps"][number * classes], entry["tops"][number * classes], entry["grid"])
            assert torch.tensor(values).allclose(torch.tensor(expected), rtol=1e-2, atol=1e-9), method
    assert gallery["models"]["cam"] == "pooled"
    assert set(gallery["models"].values()) == set(gallery["other-models"]) == {"pooled", "transformer"}


def test_few_pictures_are_blank(maps):
    """A class that the network excludes may leave nothing to show; the class read must."""
    for method, places in maps.items():
        for place, values in places.items():
            strength = values[:, 0].abs().flatten(1)
            blank = (strength.amax(dim=1) == 0).sum()
            assert blank <= 2, (method, place)
            if place == "convolutional":
                marked = (strength > 0.05 * strength.amax(dim=1, keepdim=True)).sum(dim=1)
                assert (marked >= 2).all(), (method, place)


def test_signs(gallery, maps):
    for method, places in maps.items():
        for place, values in places.items():
            unsigned = gallery["maps"][method][place].get("unsigned", False)
            assert unsigned <= (method in NO_SIGN or PLACE[place].data == "sentences")
            assert unsigned >= (method in NO_SIGN and bool((values >= 0).all())), (method, place)
            assert unsigned <= bool((values >= 0).all()), (method, place)
    assert (maps["gradient"]["convolutional"] < 0).any()
    assert (maps["integrated-gradients"]["word-transformer"] < 0).any()


def test_sums(gallery):
    complete = {method for method, places in gallery["maps"].items() if any("sums" in entry for entry in places.values())}
    assert {"integrated-gradients", "deeplift-rescale", "deep-shap", "shapley-value", "kernel-shap"} <= complete
    assert not {"gradient", "occlusion-1", "grad-cam", "rise", "banzhaf-value", "lime"} & complete
    for method in complete:
        for place, entry in gallery["maps"][method].items():
            if entry.get("compared", CONSERVED) == CONSERVED:
                continue
            scale = max(map(abs, entry["expected"]))
            tolerance = 0.05 * scale if method in ("randomised-path-ig", "path-integrated-gradients", "expected-gradients") else 0.02 * scale
            for total, expected in zip(entry["sums"], entry["expected"], strict=True):
                assert abs(total - expected) < tolerance, (method, place)


def test_recorded_maps_add_up_to_the_recorded_sums(gallery, maps):
    for method, places in gallery["maps"].items():
        for place, entry in places.items():
            if "sums" in entry:
                values = maps[method][place].flatten(0, 1).flatten(1)
                steps = torch.tensor(entry["tops"]) * values.shape[1] / 127
                assert ((values.sum(dim=1) - torch.tensor(entry["sums"])).abs() <= steps).all(), (method, place)


def test_values_that_have_to_agree(maps):
    def largest_difference(first, second, place="convolutional"):
        one, other = maps[first][place][:, 0], maps[second][place][:, 0]
        return float((one - other).abs().max() / one.abs().max())

    assert torch.equal(maps["integrated-gradients"]["convolutional"], maps["aumann-shapley-value"]["convolutional"])
    assert largest_difference("grad-times-input", "lrp-0") < 2e-2
    assert largest_difference("shapley-sampling", "kernel-shap") < 0.15
    assert largest_difference("shapley-value", "glime") < 0.2
    assert largest_difference("shapley-value", "kernel-shap", "word-transformer") < 0.02
    assert largest_difference("integrated-gradients", "gradient") > 0.3


def test_attention_is_the_same_for_every_class(gallery):
    assert gallery["maps"]["raw-attention"]["transformer"]["same-for-every-class"]
    assert "same-for-every-class" not in gallery["maps"]["integrated-gradients"]["transformer"]


def test_equal_bytes_every_time(made):
    first, second = (to_json(one) for one in made)
    assert first == second
    assert "integrated-gradients" in first


def test_what_is_recorded_is_what_is_computed(gallery, made):
    for method, places in made[0]["maps"].items():
        entry, recorded = places["word-convolution"], gallery["maps"][method]["word-convolution"]
        assert entry["settings"] == recorded["settings"]
        for k, (text, top) in enumerate(zip(entry["maps"], entry["tops"], strict=True)):
            found, expected = (torch.tensor(decoded(*one, entry["grid"])) for one in ((text, top), (recorded["maps"][k], recorded["tops"][k])))
            assert (found - expected).abs().max() <= 0.03 * top, method


def test_up_to_date_and_small(gallery, tmp_path):
    assert gallery["digest"] == gallery_digest(), "run `atlas verify`"
    put(tmp_path / GALLERY, to_json(gallery))
    assert not write_gallery(tmp_path)
    assert (tmp_path / GALLERY).stat().st_size < 900_000


def test_an_old_or_broken_file_is_made_anew(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(module, "make_gallery", lambda: calls.append(1) or {"digest": gallery_digest()})
    for text in ("", "[]", '{"digest": "old"}'):
        (tmp_path / GALLERY).write_text(text)
        assert write_gallery(tmp_path)
        assert not write_gallery(tmp_path)
    assert write_gallery(tmp_path, force=True)
    assert len(calls) == 4


def test_expected_sums_are_taken_at_the_explained_class():
    scene, network, logits, classes = scene_of(PLACE["word-convolution"])
    with torch.no_grad():
        empty = network.model(torch.zeros_like(scene.images[:1]))[0]
    targets = [k for row in classes for k in row]
    for row, target in enumerate(targets):
        assert output(scene)[row] == pytest.approx(float(logits[row // 3, target]), abs=1e-5)
        assert change(scene)[row] == pytest.approx(float(logits[row // 3, target] - empty[target]), abs=1e-5)


def test_a_player_is_stored_once():
    scene, *_ = scene_of(PLACE["softplus"])
    spread = scene.patches.float().expand(2, 1, 8, 8)
    assert scene.grid(spread, "patches").flatten(1).tolist() == [list(range(16))] * 2
    assert scene.grid(scene.blocks.float().expand(1, 1, 8, 8), "blocks").flatten().tolist() == list(range(8))
    assert scene.grid(torch.arange(32.0).reshape(2, 16), "entries").shape == (2, 4, 4)


def test_a_word_takes_the_sum_or_the_length_of_its_coordinates():
    scene, *_ = scene_of(PLACE["word-convolution"])
    values = torch.ones(1, sentences.WIDTH, sentences.LENGTH)
    assert scene.grid(values, "entries").unique().tolist() == [sentences.WIDTH]
    assert scene.grid(-values, "slopes").unique().tolist() == pytest.approx([sentences.WIDTH**0.5])
    assert scene.grid(values, "units").unique().tolist() == [1.0]


def test_the_remembered_network_answers_as_the_network():
    network = torch.nn.Linear(3, 2)
    remembered = Remembered(network).eval()
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    with torch.no_grad():
        assert torch.equal(remembered(first), network(first))
        assert torch.equal(remembered(second), network(second))
        network.weight.zero_()
        assert torch.equal(remembered(first), remembered(first.clone()))
        assert not torch.equal(remembered(first), network(first))


@pytest.mark.parametrize(
    ("words", "expected"),
    [("the film was very good", 2), ("the film was not very good", 0), ("the cast was never dull", 2), ("the plot is hardly new", 1),
     ("this story is slow but moving", 2), ("this story is moving but slow", 1)],
)  # fmt: skip
def test_the_grammar_reads_negation_and_degree(words, expected):
    assert sentences.label(words) == expected


def test_sentences_are_refused_or_filled_up():
    assert sentences.encode("the film").tolist()[2:] == [0] * 6
    for wrong in ("the cat sat", "the the the the the the the the the"):
        with pytest.raises(ValueError, match="not a sentence"):
            sentences.encode(wrong)


@pytest.mark.parametrize("name", list(sentences.NETWORKS))
def test_networks_of_sentences_are_trained(name):
    trained = sentences.trained_sentences(name)
    assert trained.accuracy > 0.8
    assert trained.vectors[0].abs().max() == 0
    assert sentences.trained_sentences(name) is trained
