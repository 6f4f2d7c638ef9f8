"""What the guide asks. Every answer acts by itself, so that a page can combine answers that were worked out one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy.problems import did_you_mean

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

Answers = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Option:
    """One answer."""

    id: str
    label: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Leaving it open rules nothing out."""

    id: str
    ask: str
    options: tuple[Option, ...]
    several: bool = False
    """Whether several answers may be given at once."""
    help: str = ""

    def option(self, id_: str) -> Option:
        """The answer of that id; raises KeyError with close matches."""
        for option in self.options:
            if option.id == id_:
                return option
        known = [option.id for option in self.options]
        raise KeyError(f"`{self.id}` has no answer `{id_}`; {did_you_mean(id_, known) or 'answers: ' + ', '.join(known)}")


FEATURES = {"10": 10, "20": 20, "100": 100, "1000": 1000, "50000": 50_000}
"""Numbers of features that the guide distinguishes; costs are worked out for each."""
BUDGETS = {"10": 10, "100": 100, "1000": 1000, "10000": 10_000, "1000000": 1_000_000}
"""Model evaluations that one explanation may cost."""

_FIXED = (
    Question(
        "access",
        "What of the model can you reach?",
        (
            Option("outputs", "Its outputs", "a black box: you send inputs and read answers"),
            Option("gradients", "Its gradients too", "you can differentiate an output with respect to the input"),
            Option("internals", "Its layers", "you can read and change what happens inside"),
            Option("training", "Its training", "you can train it, or a copy of it, again"),
        ),
    ),
    Question(
        "model",
        "What kind of model is it?",
        (
            Option("mlp", "Fully connected network"),
            Option("cnn", "Convolutional network"),
            Option("transformer", "Transformer"),
            Option("graph", "Graph network"),
            Option("diffusion", "Diffusion model that draws images"),
            Option("other", "Something that has no gradient", "trees, rules, a service behind an interface"),
        ),
    ),
    Question(
        "activations",
        "Which activations does it use?",
        (Option("relu", "ReLU alone"), Option("other", "Others too", "GELU, tanh, sigmoid, softplus, attention")),
        help="Some rules of propagation are defined for ReLU networks only.",
    ),
    Question(
        "explains",
        "What is to receive the attributions?",
        (
            Option("input features", "Input features", "pixels, columns of a table"),
            Option("patches", "Patches", "regions of an image"),
            Option("tokens", "Tokens"),
            Option("feature maps", "Feature maps inside the network"),
            Option("interactions", "Interactions", "how much two or more variables contribute together"),
            Option("subset", "A decisive subset", "which part suffices, instead of a number for each"),
        ),
    ),
    Question(
        "scope",
        "Is one prediction to be explained, or the whole model?",
        (Option("one", "One prediction"), Option("whole", "The whole model", "how much its accuracy owes to each feature")),
    ),
    Question(
        "baseline",
        "Do you know an input that stands for “nothing there”?",
        (
            Option("none", "No"),
            Option("one", "Yes, one baseline", "an input that carries no information: a grey image, an average row"),
            Option("data", "I have data to draw from", "rows that say what a feature could have been"),
        ),
    ),
    Question("training", "May an auxiliary model be trained?", (Option("no", "No"), Option("yes", "Yes"))),
    Question(
        "features",
        "How many features (or patches, or tokens) does an input have?",
        (
            Option("10", "Up to 10"), Option("20", "Up to 20"), Option("100", "Up to 100"), Option("1000", "Up to 1,000"),
            Option("50000", "More, up to 50,000"),
        ),
    ),
    Question(
        "budget",
        "How many model evaluations may one explanation cost?",
        (
            Option("10", "10"), Option("100", "100"), Option("1000", "1,000"), Option("10000", "10,000"), Option("1000000", "A million"),
        ),
        help="A pass backwards counts as one more. Without a number of features the fewest are assumed.",
    ),
    Question(
        "purpose",
        "What is the explanation for?",
        (
            Option("understand", "To understand or check the model"),
            Option("discover", "To learn about the world", "which group of atoms, which site, which region is behind an effect"),
        ),
    ),
    Question(
        "stakes",
        "How much depends on the explanation?",
        (Option("ordinary", "It is one hint among others"), Option("high", "Decisions will rest on it")),
    ),
)  # fmt: skip


ANSWERS = {question.id: [option.id for option in question.options] for question in _FIXED}
"""Answers to the questions that do not depend on the records."""


def questions(atlas: Atlas) -> tuple[Question, ...]:
    """All questions; the properties that can be demanded are those of the records.

    Examples
    --------
    >>> import taxonomy
    >>> [question.id for question in questions(taxonomy.load())][:3]
    ['access', 'model', 'activations']
    """
    simple = [record for kind in ("principle", "axiom") for record in atlas.of_kind(kind) if not atlas.parts_of(record.id)]
    options = tuple(Option(record.id, record.name) for record in simple)
    return (*_FIXED, Question("requires", "Which properties must hold?", options, several=True))


def checked(atlas: Atlas, answers: Answers) -> dict[str, tuple[str, ...]]:
    """The answers with every name looked up; a question left open is left out.

    Raises
    ------
    KeyError
        If a question or an answer is unknown; the message names close matches.
    """
    known = {question.id: question for question in questions(atlas)}
    found: dict[str, tuple[str, ...]] = {}
    for name, given in answers.items():
        if name not in known:
            raise KeyError(f"the guide does not ask for `{name}`; {did_you_mean(name, known) or 'it asks for ' + ', '.join(known)}")
        chosen = (given,) if isinstance(given, str) else tuple(given)
        question = known[name]
        if len(chosen) > 1 and not question.several:
            raise KeyError(f"`{name}` takes one answer, not {len(chosen)}: {', '.join(chosen)}")
        if name == "requires":
            chosen = tuple(_requirement(atlas, item) for item in chosen)
        for item in chosen:
            question.option(item)
        if chosen:
            found[name] = chosen
    return {question.id: found[question.id] for question in known.values() if question.id in found}


def _requirement(atlas: Atlas, name: str) -> str:
    """A principle or axiom by any of its names."""
    for kind in ("principle", "axiom"):
        try:
            return atlas.find(name, kind).id
        except KeyError:
            continue
    return name
