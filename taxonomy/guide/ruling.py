"""Hard requirements: which answer rules out which method, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy.guide.cost import evaluations
from taxonomy.guide.questions import BUDGETS, FEATURES
from taxonomy.guide.standing import UNMET, requirement
from taxonomy.records import Method

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas
    from taxonomy.records.method import Needs

CAUTION = "caution-with-weak-support"
"""The survey's advice to be careful with methods that violate certain principles; it names them."""
_LEVELS = ("outputs", "gradients", "internals", "training")
_ACCESS = {
    "outputs": "the model's outputs", "gradients": "its gradients", "internals": "its layers", "training": "its training",
}  # fmt: skip
_RUNS_ON = {
    "mlp": {"any", "differentiable", "feedforward", "relu-network"},
    "cnn": {"any", "differentiable", "feedforward", "relu-network", "convolutional"},
    "transformer": {"any", "differentiable", "attention"},
    "graph": {"any", "differentiable", "graph"},
    "diffusion": {"any", "differentiable", "diffusion"},
    "other": {"any", "tree"},
}
_MODELS = {
    "any": "any model", "differentiable": "differentiable models", "relu-network": "ReLU networks", "feedforward": "feed-forward networks",
    "convolutional": "convolutional networks", "attention": "models with attention", "graph": "graph networks", "diffusion": "diffusion models",
    "tree": "tree ensembles",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an answer rules a method out."""

    question: str
    option: str
    text: str
    claim: str | None = None
    """Id of the claim it rests on, if it is one."""


def rulings(atlas: Atlas, method: Method) -> dict[tuple[str, str], Reason]:
    """Every answer that rules the method out, with the reason, by question and option.

    A budget depends on the number of features: its options read `<budget>|<features>`.
    """
    found: dict[tuple[str, str], Reason] = {}
    for reason in (*_needs(method), *_explains(method), *_budgets(method), *_properties(atlas, method), *_stakes(atlas, method)):
        found.setdefault((reason.question, reason.option), reason)
    return found


def _needs(method: Method) -> Iterator[Reason]:
    needs = method.needs
    if needs is None:
        return
    for level in _LEVELS[: _LEVELS.index(needs.access)]:
        yield Reason("access", level, f"needs {_ACCESS[needs.access]}")
    for kind, classes in _RUNS_ON.items():
        if needs.model not in classes:
            yield Reason("model", kind, f"is defined on {_MODELS[needs.model]}")
    if needs.model == "relu-network":
        yield Reason("activations", "other", "is defined on ReLU networks")
    yield from _baselines(needs)
    if needs.training:
        yield Reason("training", "no", "trains an auxiliary model")


def _baselines(needs: Needs) -> Iterator[Reason]:
    if needs.baseline == "distribution":
        for option in ("none", "one"):
            yield Reason("baseline", option, "draws what replaces a feature from data")
    elif needs.baseline in ("one", "zero"):
        what = "zero as the baseline" if needs.baseline == "zero" else "a baseline"
        yield Reason("baseline", "none", f"needs {what}, and the result depends on it")
    if needs.data:
        for option in ("none", "one"):
            yield Reason("baseline", option, "needs data beyond the input")


def _explains(method: Method) -> Iterator[Reason]:
    for option in ("input features", "patches", "tokens", "feature maps", "interactions", "subset"):
        # Features can be grouped into patches or tokens; what is given to patches, maps or sets cannot be taken apart again.
        grouped = option in ("patches", "tokens") and "input features" in method.explains
        if option not in method.explains and not grouped:
            yield Reason("explains", option, f"attributes to {' and '.join(method.explains) or 'something else'}")
    whole = "global importance" in method.explains
    if whole and len(method.explains) == 1:
        yield Reason("scope", "one", "explains the whole model, not one prediction")
    if not whole:
        yield Reason("scope", "whole", "explains one prediction at a time")


def _budgets(method: Method) -> Iterator[Reason]:
    for features, n in FEATURES.items():
        needed = evaluations(method, n)
        if needed is None:
            continue
        for budget, allowed in BUDGETS.items():
            if needed > allowed:
                yield Reason("budget", f"{budget}|{features}", f"takes {effort(needed)} for {n:,} features")


def count(number: float) -> str:
    """A number of evaluations in words of a few characters.

    >>> count(12), count(12345), count(2.0**200)
    ('12', '12,345', 'more than a million million')
    """
    return "more than a million million" if number > 1e12 else f"{int(number):,}"


def effort(number: float) -> str:
    """A number of evaluations with its noun.

    >>> effort(1), effort(12345)
    ('1 evaluation', '12,345 evaluations')
    """
    return f"{count(number)} evaluation{'' if number == 1 else 's'}"


def _properties(atlas: Atlas, method: Method) -> Iterator[Reason]:
    for kind in ("principle", "axiom"):
        for record in atlas.of_kind(kind):
            if atlas.parts_of(record.id):
                continue
            satisfied, violated = requirement(atlas, method.id, record.id)
            if violated is not None and violated.support != "refuted":
                yield Reason("requires", record.id, f"violates {record.name.lower()}: {violated.words}", violated.claim)
            elif satisfied is not None and satisfied.support in UNMET:
                name = record.name.lower()
                said = f"is said to satisfy {name}, and does not" if satisfied.support == "refuted" else f"is not found to satisfy {name}"
                yield Reason("requires", record.id, f"{said}: {satisfied.words}", satisfied.claim)
            elif satisfied is None:
                yield Reason("requires", record.id, f"{record.name.lower()}: nothing is known")


def _stakes(atlas: Atlas, method: Method) -> Iterator[Reason]:
    advice = atlas.records.get(CAUTION)
    for id_ in getattr(advice, "concerns", ()):
        if atlas.records[id_].kind != "principle":
            continue
        _, violated = requirement(atlas, method.id, id_)
        if violated is not None and violated.support in ("confirmed", "under condition", "measured"):
            yield Reason("stakes", "high", f"violates {atlas.records[id_].name.lower()}: {violated.words}", violated.claim)
            return
