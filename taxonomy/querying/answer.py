"""The answer to a query: what belongs to it, what does not, and what is not known, each with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taxonomy.querying.truth import STANDINGS, Reason, Standing

if TYPE_CHECKING:
    from taxonomy.querying.frames import DataFrame
    from taxonomy.querying.impossibility import Impossibility
    from taxonomy.querying.judging import Basis
    from taxonomy.records import Record

R = TypeVar("R", bound="Record", covariant=True)


@dataclass(frozen=True, slots=True)
class Judged(Generic[R]):
    """One record and how it stands to a query."""

    record: R
    standing: Standing
    reasons: tuple[Reason, ...]
    said: bool = False
    """Whether something speaks for it, whatever speaks against it."""

    @property
    def because(self) -> str:
        """The reasons in one line."""
        return "; ".join(map(str, self.reasons))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        reasons = [reason.as_json() for reason in self.reasons]
        return {"id": self.record.id, "kind": self.record.kind, "name": self.record.name, "standing": self.standing, "reasons": reasons}


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """Every record of the kind asked for, with its standing. `str()` prints members, open cells and, if there is one, the proof of impossibility."""

    query: str
    basis: Basis
    judged: tuple[Judged[R], ...]
    obstacles: tuple[Impossibility, ...] = ()
    """What stands in the way: combinations of requirements that contradict what is known of requirements."""
    impossible: bool = False
    """Whether they leave no way for any method."""

    def of_standing(self, standing: Standing) -> tuple[Judged[R], ...]:
        """The records with one standing.

        Raises
        ------
        KeyError
            If there is no such standing; the message lists them.
        """
        if standing not in STANDINGS:
            raise KeyError(f"no standing `{standing}`; one of: {', '.join(STANDINGS)}")
        return tuple(item for item in self.judged if item.standing == standing)

    @property
    def members(self) -> tuple[Judged[R], ...]:
        """Records of which it is known, and nothing speaks against it."""
        return self.of_standing("yes")

    @property
    def contested(self) -> tuple[Judged[R], ...]:
        """Records of which it is said, and against which a source, a deduction or a run speaks as well."""
        return self.of_standing("contested")

    @property
    def unknown(self) -> tuple[Judged[R], ...]:
        """Records of which nothing is known either way; the reasons name the cells that are open."""
        return self.of_standing("unknown")

    @property
    def excluded(self) -> tuple[Judged[R], ...]:
        """Records of which the contrary is known."""
        return self.of_standing("no")

    @property
    def counts(self) -> dict[Standing, int]:
        """Number of records with each standing."""
        return {standing: len(self.of_standing(standing)) for standing in STANDINGS}

    def __str__(self) -> str:
        lines = [self.query, "  " + ", ".join(f"{standing}: {number}" for standing, number in self.counts.items())]
        for obstacle in self.obstacles:
            lines += [f"  {'impossible' if self.impossible else 'note'}: {obstacle}".replace("\n", "\n  ")]
        lines += [f"  {item.standing}: {item.record.title} ({item.because})" for item in (*self.members, *self.contested)]
        if self.unknown:
            lines.append(f"  unknown: {', '.join(item.record.id for item in self.unknown)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "query": self.query, "basis": self.basis, "counts": self.counts, "impossible": self.impossible,
            "obstacles": [obstacle.as_json() for obstacle in self.obstacles], "records": [item.as_json() for item in self.judged],
        }  # fmt: skip

    def rows(self) -> list[dict[str, str]]:
        """One flat row per record, for tables and CSV."""
        return [
            {"id": item.record.id, "kind": item.record.kind, "name": item.record.name, "standing": item.standing, "because": item.because}
            for item in self.judged
        ]

    def to_pandas(self) -> DataFrame:
        """One row per record, indexed by id.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from taxonomy.querying.frames import frame

        return frame(self.rows(), ("id", "kind", "name", "standing", "because"), index="id")

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import answer_html

        return answer_html(self)
