"""The query language: one line of text, read by a small parser that says where it stopped and what it expected there.

::

    query     = [kind] [condition]              method satisfies completeness
    condition = both {"or" both}
    both      = one {("and" | "but") one}       satisfies completeness but not violates linearity
    one       = "not" one | "(" condition ")" | "anything"
              | relation name                   reformulates-as "path integral"; satisfied-by IG
              | field value                     access gradients; category robustness
              | flag                            implemented
              | "needs" need                    needs internals; needs baseline
              | "mentions" text                 mentions "Shapley"

A kind is written as `method` or `methods`; without one, methods are meant. Names are ids, names, abbreviations or aliases; one of several words
stands in quotes. Every relation may be written under its inverse name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxonomy import records as record_types
from taxonomy.problems import did_you_mean
from taxonomy.querying import fields
from taxonomy.querying.conditions import Anything, Condition, Every, Flag, Not, Some
from taxonomy.querying.naming import condition_named, kind_named, word_named, words_of

if TYPE_CHECKING:
    from taxonomy.atlas import Atlas

_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[^\s()"'\\]+)|(?P<wrong>\S))""", re.DOTALL)
_DEPTH = 100
"""Brackets and `not`s within each other: more is a mistake, and would exhaust the stack."""


class QueryError(ValueError):
    """A query that cannot be read. `position` counts characters from 0; `str()` shows the place with a caret."""

    def __init__(self, message: str, text: str, position: int) -> None:
        self.message, self.text, self.position = message, text, position
        start = text.rfind("\n", 0, position) + 1
        line = text[start:].split("\n", 1)[0]
        super().__init__(f"{message}\n  {line.replace(chr(9), ' ')}\n  {' ' * (position - start)}^")

    def __reduce__(self) -> tuple[type[QueryError], tuple[str, str, int]]:
        return type(self), (self.message, self.text, self.position)


@dataclass(frozen=True, slots=True)
class Query:
    """A kind of record and a condition on it; `str()` writes it so that it can be read again."""

    kind: str
    condition: Condition

    def __str__(self) -> str:
        return self.kind if isinstance(self.condition, Anything) else f"{self.kind} {self.condition}"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    position: int
    shape: str

    def is_(self, *words: str) -> bool:
        return self.shape in ("word", "bracket") and self.text.casefold() in words


def parse(atlas: Atlas, text: str, kind: str | None = None) -> Query:
    """Read a query; names are looked up in the atlas.

    Parameters
    ----------
    atlas
        Where names are looked up.
    text
        The query.
    kind
        The kind of record, if the text is a condition only.

    Raises
    ------
    QueryError
        If the text is no query, or names something unknown; the message points at the place.

    Examples
    --------
    >>> import taxonomy
    >>> atlas = taxonomy.load()
    >>> print(parse(atlas, "satisfies Completeness but not needs internals"))
    method satisfies completeness and not needs internals
    >>> try:
    ...     parse(atlas, "methods that satisfies completeness")
    ... except QueryError as error:
    ...     print(str(error).splitlines()[-1].index("^"), error.position)
    10 8
    """
    reader = _Reader(atlas, text)
    if kind is None:
        kind = reader.kind()
    condition = reader.whole(kind_named(kind))
    return Query(kind_named(kind), condition)


class _Reader:
    def __init__(self, atlas: Atlas, text: str) -> None:
        self.atlas, self.text = atlas, text
        self.tokens = list(_tokens(text))
        self.next = 0
        self.depth = 0

    def error(self, message: str, token: _Token) -> QueryError:
        return QueryError(message, self.text, token.position)

    @property
    def token(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        self.next += 1
        return self.tokens[self.next - 1]

    def kind(self) -> str:
        """The kind named first; methods if the query begins with a condition."""
        first = self.token
        name = first.text.casefold()
        if first.shape != "word" or name in (*words_of("method"), "not", "anything"):
            return "method"
        try:
            kind = kind_named(name)
        except KeyError:
            # Neither a kind nor the beginning of a condition: what was meant can be either.
            known = [*words_of("method"), *record_types.KINDS]
            hint = did_you_mean(name, known) or f"a kind is one of: {', '.join(record_types.KINDS)}"
            raise self.error(f"expected a kind of record or a condition on methods, found `{first.text}`; {hint}", first) from None
        self.take()
        return kind

    def whole(self, kind: str) -> Condition:
        condition: Condition = Anything()
        if self.token.shape != "end":
            condition = self.either(kind)
        if self.token.shape != "end":
            hint = " (a name of several words stands in quotes)" if self.token.shape in ("word", "quoted") else ""
            raise self.error(f"expected `and`, `or` or the end, found `{self.token.text}`{hint}", self.token)
        return condition

    def either(self, kind: str) -> Condition:
        parts = [self.both(kind)]
        while self.token.is_("or"):
            self.take()
            parts.append(self.both(kind))
        return Some(tuple(parts)) if len(parts) > 1 else parts[0]

    def both(self, kind: str) -> Condition:
        parts = [self.one(kind)]
        while self.token.is_("and", "but"):
            self.take()
            parts.append(self.one(kind))
        return Every(tuple(parts)) if len(parts) > 1 else parts[0]

    def one(self, kind: str) -> Condition:
        token = self.take()
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(f"more than {_DEPTH} brackets and `not`s within each other", token)
        try:
            if token.is_("not"):
                return Not(self.one(kind))
            if token.is_("("):
                return self.bracket(kind, token)
            if token.is_("anything"):
                return Anything()
            return self.simple(kind, token)
        finally:
            self.depth -= 1

    def bracket(self, kind: str, opened: _Token) -> Condition:
        inner = self.either(kind)
        if not self.token.is_(")"):
            found = f"found `{self.token.text}`" if self.token.shape != "end" else "found the end"
            raise self.error(f"expected `and`, `or` or the `)` that closes the bracket at column {opened.position + 1}, {found}", self.token)
        self.take()
        return inner

    def simple(self, kind: str, token: _Token) -> Condition:
        if token.shape != "word" or token.is_("and", "but", "or"):
            found = f"`{token.text}`" if token.shape != "end" else "the end"
            raise self.error(f"expected a condition on a {kind} (such as `{_EXAMPLES.get(kind, 'status full')}`), found {found}", token)
        try:
            word = word_named(kind, token.text)
        except KeyError as error:
            raise self.error(error.args[0], token) from None
        if word in fields.flags(kind):
            return Flag(word)
        value = self.take()
        if value.shape not in ("word", "quoted") or value.is_("and", "but", "or", "not"):
            found = f"`{value.text}`" if value.shape != "end" else "the end"
            raise self.error(f"expected a {'text' if word == 'mentions' else 'name or value'} after `{word}`, found {found}", value)
        try:
            return condition_named(self.atlas, kind, word, value.text)
        except KeyError as error:
            raise self.error(error.args[0], value) from None


_EXAMPLES = {"method": "satisfies completeness", "principle": "category robustness", "rationale": "grounds IG"}


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while match := _TOKEN.match(text, position):
        shape = str(match.lastgroup)
        found, start, position = match[shape], match.start(shape), match.end()
        if shape == "wrong":
            closed = "this quote is never closed" if found in "\"'" else f"`{found}` stands outside quotes"
            raise QueryError(closed, text, start)
        if shape == "quoted":
            found = re.sub(r"\\(.)", r"\1", found[1:-1], flags=re.DOTALL)
        tokens.append(_Token(found, start, shape))
    return [*tokens, _Token("", len(text), "end")]
