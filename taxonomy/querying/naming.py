"""From the words of a query to conditions: every name is looked up, and an unknown one is a KeyError that names close matches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from taxonomy import records as record_types
from taxonomy.problems import did_you_mean
from taxonomy.querying import fields
from taxonomy.querying.conditions import Condition, Field, Flag, Mentions, Needs, Not, Related
from taxonomy.relations import ANY, INVERSES, RELATIONS

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

SHORT = {"family": "belongs-to", "reformulation": "reformulates-as", "rationale": "grounded-in"}
"""Short names of relations of methods."""


def kind_named(name: str) -> str:
    """A kind by its name or the name of its folder (`method`, `methods`).

    Raises
    ------
    KeyError
        If there is none; the message names close matches.
    """
    folders = {record_type.folder: kind for kind, record_type in record_types.KINDS.items()}
    kind = name if name in record_types.KINDS else folders.get(name)
    if kind is None:
        known = [*record_types.KINDS, *folders]
        raise KeyError(f"no kind `{name}`; {did_you_mean(name, known) or 'kinds: ' + ', '.join(record_types.KINDS)}")
    return kind


def relations_of(kind: str) -> dict[str, tuple[str, ...]]:
    """What a record of a kind can be related by, as written in a query, and the kinds at the other end."""
    found: dict[str, tuple[str, ...]] = {}
    everything = tuple(record_types.KINDS)
    for relation in RELATIONS.values():
        if relation.starts_at(kind):
            found[relation.name] = everything if ANY in relation.to_kinds else _in_order(relation.to_kinds)
        if relation.ends_at(kind) and not relation.symmetric:
            found[relation.inverse] = _in_order(relation.from_kinds)
    if kind == "method":
        found["belongs-to"] = (*found["belongs-to"], "group")
    return found


def _in_order(kinds: Iterable[str]) -> tuple[str, ...]:
    held = set(kinds)
    return tuple(kind for kind in record_types.KINDS if kind in held)


def words_of(kind: str) -> list[str]:
    """Every word with which a condition on records of a kind can begin."""
    needs = ["needs"] if kind == "method" else []
    short = SHORT if kind == "method" else {}
    return [*relations_of(kind), *short, *fields.choices(kind), *fields.flags(kind), *needs, "mentions"]


def word_named(kind: str, word: str) -> str:
    """The word with which a condition begins, as `words_of` has it.

    Raises
    ------
    KeyError
        If records of the kind have nothing of that name; the message names close matches.
    """
    name = word.casefold().replace("_", "-")
    if name not in words_of(kind):
        if name in RELATIONS or name in INVERSES:
            raise KeyError(f"no {kind} {name} anything; relations of `{kind}`: {', '.join(relations_of(kind))}")
        hint = did_you_mean(name, words_of(kind)) or "one of: " + ", ".join(words_of(kind))
        raise KeyError(f"nothing of a {kind} is called `{word}`; {hint}")
    return name


def condition_named(atlas: Atlas, kind: str, word: str, value: str) -> Condition:
    """The condition that a word and its value make, names replaced by ids.

    Raises
    ------
    KeyError
        If the word or the value is unknown; the message names close matches.
    """
    name = word_named(kind, word)
    name = SHORT.get(name, name) if kind == "method" else name
    if name == "mentions":
        return Mentions(value)
    if name in (relations := relations_of(kind)):
        kinds = relations[name]
        return Related(name, (atlas.find(value) if len(kinds) == len(record_types.KINDS) else atlas._find_among(value, kinds)).id)
    if name == "needs":
        return Needs(fields.need(value.casefold()))
    if name in fields.flags(kind):
        raise KeyError(f"`{name}` takes no value")
    return Field(name, fields.value_named(kind, name, value))


def conditions_of(atlas: Atlas, kind: str, filters: dict[str, str | bool | Iterable[str] | None]) -> list[Condition]:
    """The conditions that keyword filters make; None filters nothing, and of several values each is a condition.

    Raises
    ------
    KeyError
        If a filter or a value is unknown.
    TypeError
        If a value is of another type than the filter takes.
    """
    found: list[Condition] = []
    for word, given in filters.items():
        name = word_named(kind, word)
        if given is None:
            continue
        if name in fields.flags(kind):
            if not isinstance(given, bool):
                raise TypeError(f"`{word}` is True or False, not {given!r}")
            found.append(Flag(name) if given else Not(Flag(name)))
            continue
        values = [given] if isinstance(given, str) else given
        if isinstance(values, bool) or not isinstance(values, Iterable):
            raise TypeError(f"`{word}` takes a name or several, not {given!r}")
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"`{word}` takes names, not {value!r}")
            found.append(condition_named(atlas, kind, name, value))
    return found
