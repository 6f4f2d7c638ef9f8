"""Diagrams of counterexamples: every number is computed again from the structure, by the method itself where one is named."""

from __future__ import annotations

import importlib
import itertools
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import torch
from atlas_pages import diagram_shapes, diagrams
from atlas_pages.diagrams import Curves, Diagram, Game, Given, Network, Panel, Plane, Unit
from torch import Tensor
from torch.nn.functional import linear

import taxonomy
from taxonomy.evidence import Counterexample, Evidence

ATLAS = taxonomy.load()
DRAWN: dict[str, Diagram] = {claim: diagrams.diagram(ATLAS.evidence[claim]) for claim in diagrams.claims()}  # type: ignore[misc]
PANELS = [pytest.param(claim, k, id=f"{claim}-{k}") for claim, found in DRAWN.items() for k in range(len(found.panels))]
APPLY = {"relu": torch.relu, "abs": torch.abs, "square": torch.square, "cube": lambda z: z**3, "identity": lambda z: z}
NAMESPACE = "{http://www.w3.org/2000/svg}"


def panel_of(claim: str, k: int) -> Panel:
    return DRAWN[claim].panels[k]


def program(panel: Panel, which: int) -> Any:
    """The panel's function in torch, rows to the values that the attribution of this number is about."""

    def network(x: Tensor) -> Tensor:
        assert isinstance(panel, Network)
        at = {name: x.flatten(1)[:, k : k + 1] for k, name in enumerate(panel.inputs)}
        for unit in panel.units:
            weight = torch.tensor([list(unit.of.values())], dtype=x.dtype)
            sources = torch.cat([at[source] for source in unit.of], dim=1)
            bias = torch.tensor([unit.bias], dtype=x.dtype) if unit.bias else None
            at[unit.name] = APPLY[unit.apply](linear(sources, weight, bias))
        return torch.cat([at[name] for name in panel.outputs], dim=1)

    def polynomial(x: Tensor) -> Tensor:
        assert isinstance(panel, Game | Curves)
        terms = (panel.functions[which] if isinstance(panel, Curves) else panel.function).terms
        return sum((c * torch.stack([x[:, i] ** k for i, k in enumerate(powers) if k]).prod(dim=0) for c, powers in terms), 0 * x[:, 0])

    def wave(x: Tensor) -> Tensor:
        assert isinstance(panel, Plane)
        return torch.sin(panel.times * (x[:, 0] - x[:, 1]))

    return network if isinstance(panel, Network) else wave if isinstance(panel, Plane) else polynomial


def computed(panel: Panel, which: int, given: Given) -> Tensor:
    """What the method of an attribution gives on the panel's function."""
    module, _, name = ATLAS.records[str(given.method)].implementation.partition(":")  # type: ignore[union-attr]
    method = getattr(importlib.import_module(module), name)
    x = torch.tensor([panel.input], dtype=torch.float64)
    options = {k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in (given.options or {}).items()}
    if given.method == "guided-feature-inversion":
        return inverted(panel, x, method)
    if isinstance(panel, Network) and len(panel.outputs) > 1:
        options["target"] = panel.outputs.index(str(given.output))
    if given.method == "c-lime":
        options |= {"stdevs": 0.5, "n_samples": 4000}
    if panel.baseline is not None and given.method in {"integrated-gradients", "shapley-value", "deeplift-rescale", "occlusion-1"}:
        options["baselines"] = torch.tensor([panel.baseline], dtype=torch.float64)
    run = program(panel, which)
    found = method(run if "target" in options else lambda z: run(z).reshape(len(z)), x, **options)
    return torch.as_tensor(getattr(found, "passing", found)).reshape(-1)


def inverted(panel: Panel, x: Tensor, method: Any) -> Tensor:
    """The mask over a square image whose only feature map is the image."""
    assert isinstance(panel, Network)
    side = int(len(panel.input) ** 0.5)
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Flatten(), torch.nn.Linear(side * side, 1, bias=False)).double()
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([list(panel.units[-1].of.values())]))  # type: ignore[operator]
    mask: Tensor = method(model, x.reshape(1, 1, side, side), 0, layer="0", mask_layer="0")
    return mask.reshape(-1)


def test_every_claim_that_fails_is_drawn() -> None:
    fails = {claim for claim, found in ATLAS.evidence.items() if found.status == "fails" and found.counterexample}
    assert len(fails) >= 10
    assert fails <= set(DRAWN)
    assert all(DRAWN.values())


@pytest.mark.parametrize(("claim", "k"), PANELS)
def test_values_are_those_of_the_function(claim: str, k: int) -> None:
    panel = panel_of(claim, k)
    generator = torch.Generator().manual_seed(7)
    if isinstance(panel, Network):
        for point in (panel.input, *torch.randn(5, len(panel.input), generator=generator, dtype=torch.float64).tolist()):
            values = panel.values(point)
            expected = program(panel, 0)(torch.tensor([point], dtype=torch.float64))[0]
            assert [values[name] for name in panel.outputs] == pytest.approx(expected.tolist())
    elif isinstance(panel, Game):
        for s, value in panel.values().items():
            row = [panel.input[i] if i in s else panel.baseline[i] for i in range(len(panel.input))]
            assert program(panel, 0)(torch.tensor([row], dtype=torch.float64)).item() == pytest.approx(value)
    elif isinstance(panel, Curves):
        for which, f in enumerate(panel.functions):
            assert program(panel, which)(torch.tensor([panel.input], dtype=torch.float64)).item() == pytest.approx(f(*panel.input))
            step = 1e-6
            assert f.slope(0.3) == pytest.approx((f(0.3 + step) - f(0.3 - step)) / (2 * step), abs=1e-6)
    else:
        assert program(panel, 0)(torch.tensor([[0.4, 0.1]], dtype=torch.float64)).item() == pytest.approx(panel(0.4, 0.1))
        assert panel(*panel.input) == panel(*panel.baseline) == 0


@pytest.mark.parametrize(("claim", "k"), PANELS)
def test_attributions_are_those_of_the_method(claim: str, k: int) -> None:
    panel = panel_of(claim, k)
    for which, given in enumerate(panel.gives):
        if given.method is None:
            assert by_rule(panel, str(given.rule)) == pytest.approx(list(given.values)), given.label
        else:
            # C-LIME draws its neighbours; masks and shares are printed with four digits.
            close = {"abs": 0.1} if given.method == "c-lime" else {"abs": 6e-5} if any(v != round(v, 2) for v in given.values) else {"abs": 1e-6}
            assert computed(panel, which, given).tolist() == pytest.approx(list(given.values), **close), given.label
    if isinstance(panel, Curves) and panel.tangents:
        assert [f.slope(panel.input[0]) for f in panel.functions] == pytest.approx([given.values[0] for given in panel.gives])


def by_rule(panel: Panel, rule: str) -> list[float]:
    assert rule in diagrams.RULES
    n = len(panel.input)
    if rule == "equal parts":
        assert isinstance(panel, Network)
        assert panel.baseline is not None
        (output,) = panel.outputs
        return [(panel.values()[output] - panel.values(panel.baseline)[output]) / n] * n
    assert isinstance(panel, Game)
    values = panel.values()
    return [values[tuple(range(i + 1))] - values[tuple(range(i))] for i in range(n)]


def test_structures_are_the_functions_of_the_recorded_snippets() -> None:
    matched = []
    for claim, found in DRAWN.items():
        recorded = ATLAS.evidence[claim].counterexample
        assert recorded is not None
        known: dict[str, Any] = {}
        exec(recorded.code, known)  # the snippet is the project's own and asserts what it shows
        for panel in found.panels:
            if isinstance(panel, Plane | Curves):
                continue
            name = panel.outputs[0] if isinstance(panel, Network) else panel.function.name
            function = known.get(name, known.get("f") if isinstance(panel, Network) and len(panel.outputs) == 3 else known.get("model"))
            if not callable(function):
                continue
            x = torch.randn(6, len(panel.input), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
            for dtype in (torch.float64, torch.float32):
                try:
                    expected = function(x.to(dtype))
                except RuntimeError:  # the snippet's own weights are of the other type
                    continue
                torch.testing.assert_close(program(panel, 0)(x.to(dtype)).reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
                matched.append(panel.title)
                break
    assert len(matched) >= 20


@pytest.mark.parametrize(("claim", "k"), PANELS)
def test_drawings(claim: str, k: int) -> None:
    panel = panel_of(claim, k)
    text = diagrams.svg(panel)
    assert len(text.encode()) < 6000
    root = ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    assert root.get("role") == "img"
    words = str(root.get("aria-label"))
    shown = [node.text for node in root.iter(f"{NAMESPACE}text")]
    for given in panel.gives:
        assert given.label in words
        assert ", ".join(given.texts) in words
        assert set(given.texts) <= set(shown)
    if isinstance(panel, Network):
        for name, value in panel.values().items():
            assert shown.count(diagram_shapes.plain(value)) >= 1, name
        weights = sorted(diagram_shapes.plain(w) for unit in panel.units for w in unit.of.values())
        assert sorted(str(node.text) for node in root.iter(f"{NAMESPACE}text") if node.get("class") == "weight") == weights
        circles = [(float(str(c.get("cx"))), float(str(c.get("cy")))) for c in root.iter(f"{NAMESPACE}circle") if c.get("class") != "ring"]
        assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 2 * diagram_shapes.RADIUS for a, b in itertools.combinations(circles, 2))
    # Colours come from the style sheet, and whatever has one says the same in a sign or a dash.
    assert not re.search(r'(?:fill|stroke|style)="', text)
    boxes = [str(rect.get("class")) for rect in root.iter(f"{NAMESPACE}rect") if str(rect.get("class")).startswith("share")]
    for css, said in zip(boxes, (said for given in panel.gives for said in given.texts), strict=False):
        assert css == {"+": "share plus", "−": "share minus"}.get(said[0], "share")


def test_the_style_sheet_marks_signs_without_colour() -> None:
    css = (diagrams.FILE.parent / "assets/css/diagrams.css").read_text(encoding="utf-8")
    assert re.search(r"\.minus \{[^}]*stroke-dasharray", css)
    assert re.search(r"\.none \{[^}]*stroke-dasharray", css)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", css)


def test_numbers_are_short() -> None:
    said = [diagram_shapes.signed(v) for v in (2.0, -0.5, 0.0, -2 / 3, 1 / 6, 0.0578, 900.0)]
    assert said == ["+2", "−0.5", "0", "−2/3", "+1/6", "+0.058", "+900"]


def test_a_unit_that_is_changed_changes_what_is_drawn() -> None:
    panel = next(p for p in DRAWN["gradient/violates/implementation-invariance"].panels if isinstance(p, Network))
    other = Network(panel.title, panel.input, (panel.units[0], Unit("f", {"x1": 1.0, "r": -1.0}, 0.0, "relu")), panel.gives)
    assert panel.values()["f"] == 1.0
    assert other.values()["f"] == 2.0
    assert diagrams.svg(panel) != diagrams.svg(other)


def evidence_like(claim: str, **data: Any) -> Evidence:
    found = ATLAS.evidence[claim]
    assert found.counterexample is not None
    return found.model_copy(update={"counterexample": Counterexample(description=".", data=found.counterexample.data | data, code="")})


def test_what_disagrees_with_the_evidence_is_not_drawn() -> None:
    claim = "deeplift-revealcancel/reformulates-as/nonnegative-backprop"
    with pytest.raises(ValueError, match=r"input is \[1.0, 1.0\], in the evidence \[2, 1\]"):
        diagrams.diagram(evidence_like(claim, input=[2, 1]))
    with pytest.raises(LookupError, match=r"nothing at `slopes\.1`"):
        diagrams.diagram(evidence_like("c-lime/reformulates-as/feature-removal", slopes=[1]))
    read = diagrams.diagram(evidence_like(claim, shares=["4/3", "-1/3"]))
    assert read is not None
    assert read.panels[0].gives[0].texts == ["+4/3", "−1/3"]
    bare = ATLAS.evidence[claim].model_copy(update={"counterexample": None})
    assert diagrams.diagram(bare) is None


def test_pages_hold_the_diagrams(built: Any) -> None:
    album = built.html("findings/counterexamples.html")
    for claim, found in DRAWN.items():
        subject, _, rest = claim.partition("/")
        record = built.site.records[subject]
        page = built.html(f"{record.folder}/{subject}.html")
        block = page.split(f'id="evidence-{rest.replace("/", "-", 1)}"')[1]
        for panel in found.panels:
            drawing = diagrams.svg(panel)
            assert drawing in block
            assert drawing in album
        assert f'{record.folder}/{subject}.html#evidence-{rest.replace("/", "-", 1)}"' in album


def test_methods_lead_to_the_figures_with_their_curves(built: Any) -> None:
    page = built.html("methods/shapley-sampling.html").split('id="figures"')[1].split("<h2")[0]
    assert 'href="../studies/shap-sample-efficiency.html#chart-convergence"' in page
    assert 'id="figures"' not in built.html("studies/shap-sample-efficiency.html")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark"), (360, "light")])
def test_the_album_fits(opened: Any, width: int, scheme: str) -> None:
    page = opened("findings/counterexamples.html", width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate("[...document.querySelectorAll('.diagram svg')].map(s => s.getBoundingClientRect().width)")
    assert len(wide) == sum(len(found.panels) for found in DRAWN.values())
    assert min(wide) > 200
    # No text of a drawing reaches beyond it.
    beyond = page.evaluate(
        """[...document.querySelectorAll('.diagram svg')].flatMap(s => { const r = s.getBoundingClientRect();
        return [...s.querySelectorAll('text')].filter(t => { const b = t.getBoundingClientRect();
            return b.left < r.left - 1 || b.right > r.right + 1 || b.top < r.top - 1 || b.bottom > r.bottom + 1; }).map(t => t.textContent); })"""
    )
    assert beyond == []
