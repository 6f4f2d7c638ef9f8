"""Questions in a terminal for what the flags left open."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from taxonomy.authoring import names
from taxonomy.authoring.code import FAMILIES

Ask = Callable[[str], str]


Guess = Callable[[str], str | None]


def complete_method(arguments: argparse.Namespace, ask: Ask = input, guess: Guess = lambda text: None) -> None:
    """Ask for what a method needs and the flags did not give; an empty answer takes the proposal in brackets.

    `guess` proposes a family for a text.
    """
    _common(arguments, ask)
    if arguments.abbreviation is None:
        arguments.abbreviation = ask("Abbreviation, if it has one: ").strip() or None
    if arguments.family is None:
        arguments.family = one_of("Family", FAMILIES, ask, guess(f"{arguments.name} {arguments.summary}"))
    if arguments.access is None:
        arguments.access = one_of("Least access to the model that suffices", ("outputs", "gradients", "internals", "training"), ask)
        arguments.model = arguments.model or ask("Models it is defined on [any]: ").strip() or "any"
        arguments.baseline = arguments.baseline or one_of("Baseline the user supplies", ("none", "zero", "one", "distribution", "optional"), ask)
    if arguments.reference is None and not arguments.source:
        arguments.reference = pasted("Work that introduced it: key, DOI or BibTeX entry", ask)


def complete_record(arguments: argparse.Namespace, required: Sequence[tuple[str, str]], ask: Ask = input) -> None:
    """Ask for the required fields of a record of another kind; `required` are the fields and the form of each."""
    _common(arguments, ask)
    given = {text.partition("=")[0] for text in arguments.set}
    for name, shape in required:
        if name not in given:
            arguments.set.append(f"{name}={answer(f'{name} ({shape})', ask)}")


def _common(arguments: argparse.Namespace, ask: Ask) -> None:
    if arguments.name is None:
        arguments.name = answer("Name", ask)
    if arguments.id is None:
        proposed = names.slug(arguments.name)
        arguments.id = ask(f"Id [{proposed}]: ").strip() or proposed
    if arguments.summary is None:
        arguments.summary = answer("Summary, one or two sentences", ask)


def answer(question: str, ask: Ask) -> str:
    """An answer that is not empty."""
    while not (text := ask(f"{question}: ").strip()):
        pass
    return text


def one_of(question: str, choices: Sequence[str], ask: Ask, proposal: str | None = None) -> str:
    """One of the choices, by number or by name; an empty answer takes the proposal."""
    listed = "".join(f"\n  {number}  {choice}" for number, choice in enumerate(choices, start=1))
    proposed = f" [{proposal}]" if proposal else ""
    while True:
        text = ask(f"{question}{proposed}:{listed}\n> ").strip() or proposal or ""
        if text in choices:
            return text
        if text.isdigit() and 1 <= int(text) <= len(choices):
            return choices[int(text) - 1]


def pasted(question: str, ask: Ask) -> str | None:
    """One line, or a BibTeX entry over several lines until its braces close; None for an empty answer."""
    text = ask(f"{question}: ")
    if text.lstrip().startswith("@"):
        while text.count("{") > text.count("}") or "{" not in text:
            text += "\n" + ask("")
    return text.strip() or None
