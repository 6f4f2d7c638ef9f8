"""What an audit found, as a draft of claims for a record: the contributor keeps what a source states and gives it its place."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from taxonomy.audit import AuditReport, Coincidence

HEAD = """\
Drafted from an audit of `{function}`. A claim says what a source says: keep what one states, give it its place in `sources`, and delete the rest.
What the audit found is no source; it is recorded beside the claims. A requirement with several readings stands under each outcome it had."""
COINCIDES = {
    "equal": "the numbers of", "absolute value": "the absolute values of", "proportional": "multiples of the numbers of",
    "times x - b": "up to the factor x - b the numbers of", "divided by x - b": "up to the divisor x - b the numbers of",
}  # fmt: skip
INCOMPLETE = "    sources: []  # - {work: KEY, at: Sec. 1, printed: the name there}"


def proposed_claims(report: AuditReport) -> str:
    """The claims that an audit suggests, as YAML in the form of a record's fields.

    Every claim names what was measured in a comment and has an empty list of sources, which `atlas check` refuses until it is filled.

    Parameters
    ----------
    report
        What `executable.audit` found.

    Returns
    -------
    str
        YAML with the fields `satisfies`, `violates` and `reformulates-as`, as far as there is something to say; known methods with the same numbers
        stand in comments, since what they are to each other is for the contributor to say.

    Examples
    --------
    >>> import taxonomy
    >>> report = taxonomy.load().audits["occlusion-1"]
    >>> text = proposed_claims(report)
    >>> [line for line in text.splitlines() if not line.startswith((" ", "#"))]
    ['satisfies:', 'violates:', 'reformulates-as:']
    """
    lines = _comment(HEAD.format(function=report.function))
    for relation in ("satisfies", "violates"):
        lines += _field(relation, list(_verdicts(report, relation)))
    lines += _field("reformulates-as", [(fit.family, f"{fit.form}: {fit.why}") for fit in report.families if fit.fits and fit.family])
    for found in report.coincidences:
        lines += _comment(_same(found)) if found.everywhere and found.method != report.method else []
    return "\n".join(lines) + "\n"


def _verdicts(report: AuditReport, outcome: str) -> Iterator[tuple[str, str]]:
    """Requirements with an outcome, each once, with the readings that had it."""
    found: dict[str, list[str]] = {}
    for verdict in report.verdicts:
        if verdict.outcome == outcome:
            found.setdefault(verdict.principle, []).append(f"{verdict.reading}: {verdict.why}")
    yield from ((principle, "\n".join(whys)) for principle, whys in found.items())


def _field(name: str, claims: list[tuple[str, str]]) -> list[str]:
    lines = [f"{name}:"] if claims else []
    for to, why in claims:
        lines += [f"  - to: {to}", *(f"    {line}" for line in _comment(why)), INCOMPLETE]
    return lines


def _same(found: Coincidence) -> str:
    return (
        f"Wherever both run, on {len(found.domains)} testbeds, these are {COINCIDES[found.relation]} `{found.method}`, up to {found.error:.1g} of "
        "the largest: is it another name (`aliases`), a `variant-of` it, or `equivalent-to` it?"
    )


def _comment(text: str) -> list[str]:
    """Lines of a comment; line ends of the text stay."""
    return [f"# {line}" for paragraph in text.splitlines() for line in textwrap.wrap(" ".join(paragraph.split()), 140)]
