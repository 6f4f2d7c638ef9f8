"""The guide in a terminal: asking the questions, and printing the choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taxonomy import output
from taxonomy.guide.choice import Choice, Ranked
from taxonomy.guide.questions import Question, questions
from taxonomy.guide.ruling import count
from taxonomy.guide.scoring import CRITERIA
from taxonomy.guide.usage import Usage, usage

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas


def ask(atlas: Atlas, read: Callable[[str], str] = input) -> dict[str, str | list[str]]:
    """Ask every question; an empty answer leaves it open."""
    answers: dict[str, str | list[str]] = {}
    output.plain("Answer with a number, or press Enter to leave a question open. Control-C stops.")
    for question in questions(atlas):
        chosen = _ask(question, read)
        if chosen:
            answers[question.id] = chosen if question.several else chosen[0]
    return answers


def _ask(question: Question, read: Callable[[str], str]) -> list[str]:
    output.plain(f"\n{question.ask}" + (f" {question.help}" if question.help else ""))
    for number, option in enumerate(question.options, 1):
        output.plain(f"  {number:>2}  {option.label}" + (f" ({option.help})" if option.help else ""))
    many = " (several, with spaces between)" if question.several else ""
    while True:
        words = read(f"1-{len(question.options)}{many}: ").split()
        if len(words) > 1 and not question.several:
            output.plain("One number, please.")
        elif all(word.isdecimal() and 1 <= int(word) <= len(question.options) for word in words):
            return [question.options[int(word) - 1].id for word in words]
        else:
            output.plain(f"A number from 1 to {len(question.options)}, please, or nothing.")


def show(atlas: Atlas, choice: Choice, *, everything: bool = False) -> None:
    """Print a choice: the ranking, how to use the first method, and what is ruled out."""
    if not choice.ranked:
        output.plain("No method passes. Each is ruled out by at least one answer:")
        everything = True
    else:
        output.table(("method", "score", *CRITERIA, "evaluations"), [_row(item) for item in choice.ranked])
        first = choice.ranked[0]
        output.heading(first.name, "first choice")
        output.table(("points", "for"), [(f"{point.value:+g}", point.text) for point in first.points])
        _show_usage(usage(atlas, first.method))
    if everything:
        rows = [(item.name, "; ".join(f"{reason.question}: {reason.text}" for reason in item.reasons)) for item in choice.ruled_out]
        output.table(("ruled out", "because"), rows)
    elif choice.ruled_out:
        output.plain(f"{len(choice.ruled_out)} methods are ruled out; --all says why.")


def _row(item: Ranked) -> tuple[str, ...]:
    parts = {name: sum(point.value for point in item.points if point.criterion == name) for name in CRITERIA}
    cost = count(item.evaluations) if item.evaluations is not None else "?"
    return (item.name, f"{item.score:g}", *(f"{value:+g}" if value else "0" for value in parts.values()), cost)


def _show_usage(found: Usage) -> None:
    for title, lines in (("Use it well", found.advice), ("What it cannot tell you", found.limits)):
        if lines:
            output.plain(f"\n{title}")
            for line in lines:
                output.paragraph(line)
    output.plain("\nCode\n" + found.code)
    for name in found.peers:
        output.plain(f"  elsewhere: {name}")
