"""The fields of records that can be asked for: read off the record types, so that a new field needs no word here."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from taxonomy import records as record_types
from taxonomy.problems import did_you_mean
from taxonomy.querying.truth import Truth, known, unknown

if TYPE_CHECKING:
    from taxonomy.records import Record

LEVELS = ("outputs", "gradients", "internals", "training")
"""Access to a model, least first; each includes those before it."""
NEEDS = {
    "outputs": "the model's outputs", "gradients": "the model's gradients", "internals": "the model's layers", "training": "the model's training",
    "baseline": "a baseline", "data": "background data", "auxiliary-training": "an auxiliary model to be trained",
}  # fmt: skip
"""What `needs` can be asked for, in words."""


@dataclass(frozen=True, slots=True)
class Options:
    """A field with a closed list of values."""

    name: str
    values: tuple[str, ...]
    path: tuple[str, ...]


def _values_of(annotation: Any) -> tuple[str, ...]:
    """The values of the `Literal` in an annotation, within optional and repeated fields too; empty if there is none."""
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    return next((found for part in get_args(annotation) if (found := _values_of(part))), ())


@functools.cache
def choices(kind: str) -> dict[str, Options]:
    """The fields of a kind that take one of a few values, by name.

    Examples
    --------
    >>> choices("principle")["category"].values
    ('faithfulness', 'robustness')
    """
    record_type = record_types.KINDS[kind]
    found = {}
    for name, info in record_type.model_fields.items():
        if values := _values_of(info.annotation):
            found[record_types.kebab(name)] = Options(record_types.kebab(name), values, (name,))
    if kind == "method":
        from taxonomy.records.method import Needs

        for name in ("model", "baseline"):
            found[name] = Options(name, _values_of(Needs.model_fields[name].annotation), ("needs", name))
        found["access"] = Options("access", LEVELS, ("needs", "access"))
    return found


@functools.cache
def flags(kind: str) -> dict[str, str]:
    """Fields of a kind that are either so or not, by name: the attribute of each."""
    fields = record_types.KINDS[kind].model_fields
    found = {record_types.kebab(name): name for name, info in fields.items() if info.annotation is bool}
    return found | ({"implemented": "implementation"} if "implementation" in fields else {})


def value_named(kind: str, field: str, value: str) -> str:
    """The value of a field as the records write it.

    Raises
    ------
    KeyError
        If the field does not take that value; the message lists those it takes.
    """
    values = choices(kind)[field].values
    found = next((known_ for known_ in values if known_.casefold() == value.casefold()), None)
    if found is None:
        noun = "access level" if field == "access" else field
        raise KeyError(f"no {noun} `{value}`; {'levels' if field == 'access' else 'one of'}: {', '.join(values)}")
    return found


def need(value: str) -> str:
    """A word of `NEEDS`; raises KeyError with the list of them."""
    if value not in NEEDS:
        raise KeyError(f"nothing is known of a need `{value}`; {did_you_mean(value, NEEDS) or 'one of: ' + ', '.join(NEEDS)}")
    return value


def value_of(record: Record, path: Iterable[str]) -> Any:
    """What stands at a path of attributes; None where nothing does."""
    found: Any = record
    for name in path:
        found = getattr(found, name, None)
    return found


def judge_field(record: Record, field: str, value: str) -> Truth:
    """Whether a field of a record has a value; for `access`, whether that access suffices."""
    choice = choices(record.kind)[field]
    found = value_of(record, choice.path)
    if found is None or found == ():
        return _unwritten(record, field)
    if field == "access":
        return known(LEVELS.index(found) <= LEVELS.index(value), f"needs {NEEDS[found]}")
    held = found if isinstance(found, tuple) else (found,)
    return known(value in held, f"{field}: {', '.join(map(str, held))}")


def _unwritten(record: Record, field: str) -> Truth:
    if record.status == "stub" or field in ("access", "model", "baseline"):
        return unknown(f"the record of {record.id} does not say ({field})")
    return known(False, f"{field}: none")


def judge_flag(record: Record, flag: str) -> Truth:
    """Whether something is so that is either so or not."""
    held = bool(getattr(record, flags(record.kind)[flag]))
    return known(held, f"{'' if held else 'not '}{flag}")


def judge_need(record: Record, needed: str) -> Truth:
    """Whether a method needs something; access to gradients includes access to outputs, and so on."""
    needs = getattr(record, "needs", None)
    if needs is None:
        return unknown(f"the record of {record.id} does not say what it needs")
    if needed in LEVELS:
        return known(LEVELS.index(needs.access) >= LEVELS.index(needed), f"needs {NEEDS[needs.access]}")
    if needed == "baseline":
        return known(needs.baseline in ("zero", "one", "distribution"), f"baseline: {needs.baseline}")
    held = needs.data if needed == "data" else needs.training
    return known(held, f"{'needs' if held else 'does not need'} {NEEDS[needed]}")


def judge_mention(record: Record, text: str) -> Truth:
    """Whether a record's id, names or summary contain a text; letter case does not matter."""
    wanted = text.casefold()
    places = {"id": record.id, "name": record.title, "alias": "\n".join(record.aliases), "summary": record.summary}
    found = next((place for place, held in places.items() if wanted in held.casefold()), None)
    return known(found is not None, f"`{text}` in its {found}" if found else f"nowhere mentions `{text}`")
