"""Selections: immutable, lazy sets of records, made by filters and by the operations of sets."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from taxonomy.querying.answer import Answer, Judged
from taxonomy.querying.conditions import Anything, Condition, Every, Not, Some, joined
from taxonomy.querying.expressions import Query, parse
from taxonomy.querying.impossibility import impossibilities
from taxonomy.querying.judging import Basis, Judge, basis_named
from taxonomy.querying.naming import conditions_of
from taxonomy.querying.truth import Reason

if TYPE_CHECKING:
    import networkx as nx

    from taxonomy.atlas import Atlas
    from taxonomy.querying.frames import DataFrame
    from taxonomy.records import Record

R = TypeVar("R", bound="Record")


@dataclass(frozen=True, eq=False)
class Selection(Generic[R]):
    """Records of one kind that meet a condition; made by `Atlas.select`.

    Iterating gives the definite members; `answer()` also says what is contested, what is not known and why, and whether no record can be a member.
    Nothing is looked up before it is asked for, and a selection never changes: `where` and `without` make new ones. Of two selections of one kind,
    `&`, `|` and `-` make the intersection, the union and the difference, and `~` makes the complement. A record of which nothing is known is in
    neither a selection nor its complement.

    Examples
    --------
    >>> import taxonomy
    >>> atlas = taxonomy.load()
    >>> chosen = atlas.select("method").where(family="layerwise-backprop", access="internals").without(status="stub")
    >>> print(chosen)
    method belongs-to layerwise-backprop and access internals and not status stub
    >>> "lrp-0" in chosen, "integrated-gradients" in chosen
    (True, False)
    >>> complete = atlas.select("method").where(satisfies="completeness")
    >>> (complete & ~complete).ids
    ()
    """

    atlas: Atlas
    kind: str
    condition: Condition = Anything()  # noqa: RUF009 (immutable)
    basis: Basis = "runs"

    # Filters

    def where(self, condition: str | Condition | None = None, /, **filters: str | bool | Iterable[str] | None) -> Selection[R]:
        """The members that also meet a condition in the query language, and every filter given.

        Parameters
        ----------
        condition
            For example `"satisfies completeness and not needs internals"`; see `taxonomy.querying.expressions`.
        filters
            Relations (`satisfies`, `reformulates_as`, `satisfied_by`), fields (`access`, `explains`, `category`), `needs`, `mentions`, flags
            (`implemented=True`); for methods also `family`, `reformulation` and `rationale`. Several names must all hold.

        Raises
        ------
        KeyError
            If a filter or a name is unknown; the message names close matches.
        taxonomy.querying.QueryError
            If the condition cannot be read; the message shows where.
        TypeError
            If a value is of another type than the filter takes.
        """
        return replace(self, condition=functools.reduce(joined, self._conditions(condition, filters), self.condition))

    def without(self, condition: str | Condition | None = None, /, **filters: str | bool | Iterable[str] | None) -> Selection[R]:
        """The members that do not meet the condition, nor any of the filters; takes and raises what `where` does."""
        turned = (Not(part) for part in self._conditions(condition, filters))
        return replace(self, condition=functools.reduce(joined, turned, self.condition))

    def _conditions(self, condition: str | Condition | None, filters: dict[str, str | bool | Iterable[str] | None]) -> list[Condition]:
        first = parse(self.atlas, condition, self.kind).condition if isinstance(condition, str) else condition
        return [*([] if first is None else [first]), *conditions_of(self.atlas, self.kind, filters)]

    def by(self, basis: str) -> Selection[R]:
        """The same with another basis.

        `sources` counts what sources say and what follows; `runs` (usual) counts besides what runs refuted; `audits` also what our audit measured
        where no source speaks.

        Raises
        ------
        KeyError
            If there is no such basis.
        """
        return replace(self, basis=basis_named(basis))

    # Set algebra

    def _with(self, other: Selection[R], made: Condition) -> Selection[R]:
        if other.atlas is not self.atlas or other.kind != self.kind or other.basis != self.basis:
            raise ValueError(
                f"selections combine within one atlas, kind and basis, not `{self.kind}` ({self.basis}) and `{other.kind}` ({other.basis})"
            )
        return replace(self, condition=made)

    def __and__(self, other: object) -> Selection[R]:
        return self._with(other, joined(self.condition, other.condition)) if isinstance(other, Selection) else NotImplemented

    def __or__(self, other: object) -> Selection[R]:
        return self._with(other, Some((self.condition, other.condition))) if isinstance(other, Selection) else NotImplemented

    def __sub__(self, other: object) -> Selection[R]:
        return self._with(other, Every((self.condition, Not(other.condition)))) if isinstance(other, Selection) else NotImplemented

    def __invert__(self) -> Selection[R]:
        return replace(self, condition=Not(self.condition))

    # Results

    @functools.cached_property
    def _judged(self) -> tuple[Judged[R], ...]:
        judge = Judge(self.atlas, self.basis)
        found = []
        for record in self.atlas.of_kind(self.kind):
            truth = self.condition.judge(judge, record)
            found.append(Judged(cast("R", record), truth.standing, truth.reasons, truth.said))
        return tuple(found)

    def answer(self) -> Answer[R]:
        """Every record of the kind with its standing and the reasons, and whether the condition is impossible.

        If it is, then of no record it remains unknown: the proof is the reason why it is not a member.

        Examples
        --------
        >>> import taxonomy
        >>> answer = taxonomy.load().query("method satisfies axiomatic-fidelity and not satisfies missingness").answer()
        >>> answer.impossible, [str(premise) for premise in answer.obstacles[0].premises]
        (True, ['axiomatic-fidelity comprises missingness'])
        """
        obstacles, impossible = impossibilities(self.atlas, self.condition) if self.kind == "method" else ((), False)
        judged = self._judged
        if impossible:
            proof = tuple(Reason("derived", str(obstacle).split("\n", 1)[0]) for obstacle in obstacles)
            judged = tuple(replace(item, standing="no", reasons=proof) if item.standing == "unknown" else item for item in judged)
        return Answer(str(self), self.basis, judged, obstacles, impossible)

    @property
    def supported(self) -> list[R]:
        """The records for which something speaks, whatever speaks against them."""
        return [item.record for item in self._judged if item.said]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the definite members, in order."""
        return tuple(record.id for record in self)

    def __iter__(self) -> Iterator[R]:
        return (item.record for item in self._judged if item.standing == "yes")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def __contains__(self, item: object) -> bool:
        """Whether a record, or the record with an id, is a definite member; an unknown id is a KeyError with close matches."""
        id_ = self.atlas.record(item).id if isinstance(item, str) else getattr(item, "id", None)
        return id_ in self.ids

    def __str__(self) -> str:
        return str(Query(self.kind, self.condition))

    def __repr__(self) -> str:
        return f"<Selection: {self}>"

    # Elsewhere

    def to_pandas(self) -> DataFrame:
        """The definite members, one row each, indexed by id: their fields, and for each relation the ids they are related to.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from taxonomy.querying.frames import records_frame

        return records_frame(self.atlas, list(self), self.kind)

    def to_networkx(self, *, depth: int = 0) -> nx.MultiDiGraph[str]:
        """The graph of the definite members and of what is at most `depth` relations away from one of them; see `Atlas.subgraph`."""
        from taxonomy.querying.subgraphs import subgraph

        return subgraph(self.atlas, self.ids, depth=depth)

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import answer_html

        return answer_html(self.answer())
