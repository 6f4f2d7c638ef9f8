"""The order in which the fields of a record are written: who it is, what it says, where it is said, what it claims, what tests it."""

from __future__ import annotations

from collections.abc import Iterable

_ORDER = {
    "method": """id name abbreviation aliases status reference references explains summary formula symbols idea misleads parameters needs unchecked
        definitional cost implementation oracles sources belongs-to reformulates-as grounded-in satisfies violates variant-of special-case-of
        approximates check""",
    "formulation-family": """id name label aliases status summary sources formula equation symbols key-difference proof idea vacuous references
        implementation check definitional unchecked""",
    "reformulation-family": """id name label aliases status summary sources formula equation symbols key-difference proof idea vacuous references
        implementation check definitional unchecked""",
    "group": "id name aliases status summary sources includes references check definitional unchecked",
    "paradigm": "id name aliases status summary sources references check definitional unchecked",
    "rationale": """id name aliases status summary sources formula equation symbols gist proof limitations in-paradigm underlies grounds-members-of
        references implementation check definitional unchecked""",
    "principle": """id name aliases status category informal summary sources formula symbols references comprises corresponds-to implies
        implementation check definitional unchecked""",
    "axiom": """id name aliases status tradition summary sources references formula symbols corresponds-to implies implementation check definitional
        unchecked""",
    "evaluation": "id name aliases status summary sources evaluates tests verdicts references check definitional unchecked",
    "theorem": """id name aliases status type summary sources formula equation symbols conditions unstated unchecked definitional standing proof
        disputed-by between unconditional references characterises assumes concerns implementation check""",
    "example": "id name aliases status summary formula values sources concerns references check definitional unchecked",
    "metric": """id name aliases status summary formula equation better reference sources concerns references implementation check definitional
        unchecked""",
    "study": """id name aliases status metric summary setup finding values unspecified sources concerns references check definitional unchecked""",
    "insight": "id name aliases status type summary sources concerns references advice check definitional unchecked",
    "discrepancy": """id name aliases status summary between type severity meaning resolution concerns sources references check definitional
        unchecked""",
    "symbol": "id name aliases status symbol summary sources concerns references check definitional unchecked",
    "source": """id name aliases status short form summary sections references equations theorems propositions footnotes exhibits bibliography
        sources check definitional unchecked""",
    "library": """id name aliases status package version licence homepage summary references provides sources check definitional unchecked""",
}


def field_order(kind: str) -> tuple[str, ...]:
    """The fields of a kind as they follow one another in a file; a field this list does not name comes last.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    from taxonomy.records import KINDS

    listed = _ORDER[kind].split()
    known = [info.alias or name for name, info in KINDS[kind].model_fields.items()]
    return (*listed, *(name for name in known if name not in listed))


def in_order(kind: str, names: Iterable[str]) -> list[str]:
    """`names` in the order of the kind's files."""
    place = {name: number for number, name in enumerate(field_order(kind))}
    return sorted(names, key=lambda name: place.get(name, len(place)))
