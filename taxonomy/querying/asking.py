"""The questions of an atlas that select records: a base of `Atlas`, so that what they need lives in this package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

if TYPE_CHECKING:
    import networkx as nx

    from taxonomy.atlas import Atlas
    from taxonomy.querying.frames import DataFrame
    from taxonomy.querying.selection import Selection
    from taxonomy.records import Method, Record

R = TypeVar("R", bound="Record")


class Asking:
    """What can be asked of an atlas about many records at once."""

    @overload
    def select(self, kind: Literal["method"] = "method") -> Selection[Method]: ...
    @overload
    def select(self, kind: type[R]) -> Selection[R]: ...
    @overload
    def select(self, kind: str) -> Selection[Record]: ...
    def select(self, kind: str | type[Record] = "method") -> Selection[Any]:
        """All records of a kind, to be narrowed down by `where` and `without`.

        Parameters
        ----------
        kind
            A kind (`"principle"`) or a record type (`taxonomy.records.Principle`), which type checkers follow.

        Raises
        ------
        KeyError
            If the kind is unknown.

        Examples
        --------
        >>> import taxonomy
        >>> from taxonomy.records import Principle
        >>> atlas = taxonomy.load()
        >>> robust = atlas.select(Principle).where(category="robustness")
        >>> "input-perturbation-robustness" in robust.where(violated_by="IG")
        True
        """
        from taxonomy.querying.naming import kind_named
        from taxonomy.querying.selection import Selection

        return Selection(cast("Atlas", self), kind_named(kind if isinstance(kind, str) else kind.kind))

    def query(self, text: str) -> Selection[Record]:
        """The selection that a query describes; see `taxonomy.querying.expressions` for the language.

        Raises
        ------
        taxonomy.querying.QueryError
            If the text cannot be read or names something unknown; the message shows where.

        Examples
        --------
        >>> import taxonomy
        >>> atlas = taxonomy.load()
        >>> "integrated-gradients" in atlas.query("methods access gradients and satisfies completeness")
        True
        """
        from taxonomy.querying.expressions import parse
        from taxonomy.querying.selection import Selection

        found = parse(cast("Atlas", self), text)
        return Selection(cast("Atlas", self), found.kind, found.condition)

    def methods(
        self,
        *,
        family: str | None = None,
        reformulation: str | None = None,
        rationale: str | None = None,
        satisfies: str | Iterable[str] = (),
        violates: str | Iterable[str] = (),
        access: str | None = None,
        explains: str | None = None,
        implemented: bool | None = None,
        status: str | None = None,
    ) -> list[Method]:
        """Methods that pass every filter given.

        It goes by what sources say and what follows, also where a run or another source contradicts it; `select` tells these apart.

        Parameters
        ----------
        family, reformulation, rationale
            Formulation family or group, reformulation family, rationale (any name `find` knows).
        satisfies, violates
            One or several principles or axioms, asserted or derived.
        access
            Access available: a method passes if it needs no more (`outputs` < `gradients` < `internals` < `training`).
        explains
            What is to receive attributions, e.g. `interactions`.
        implemented
            Whether a reference implementation is linked.
        status
            `full` or `stub`.

        Raises
        ------
        KeyError
            If a filter names something unknown.
        """
        filters = {
            "family": family, "reformulation": reformulation, "rationale": rationale, "satisfies": satisfies, "violates": violates,
            "access": access, "explains": explains, "implemented": implemented, "status": status,
        }  # fmt: skip
        return self.select("method").by("sources").where(**filters).supported

    def subgraph(self, *names: str, relations: Iterable[str] | None = None, depth: int = 1, derived: bool = True) -> nx.MultiDiGraph[str]:
        """The part of the graph around some records.

        Parameters
        ----------
        names
            Records by any name `find` knows.
        relations
            Relations to follow, in both directions, by name or inverse name; all by default.
        depth
            How many relations away a record may be; 0 keeps the records named only.
        derived
            Whether derived relations count.

        Returns
        -------
        networkx.MultiDiGraph
            A graph of its own; nodes and edges hold what they hold in `Atlas.graph`.

        Raises
        ------
        KeyError
            If a record or a relation is unknown.
        ValueError
            If `depth` is negative.

        Examples
        --------
        >>> import taxonomy
        >>> graph = taxonomy.load().subgraph("local-accuracy", relations=["comprises"])
        >>> sorted(graph)
        ['axiomatic-fidelity', 'local-accuracy']
        """
        from taxonomy.querying.subgraphs import subgraph

        return subgraph(cast("Atlas", self), names, relations=relations, depth=depth, derived=derived)

    def path(self, first: str, second: str, *, relations: Iterable[str] | None = None) -> list[tuple[str, str, str]]:
        """A shortest path between two records as steps (record, relation, record); a relation walked backwards has its inverse name.

        Parameters
        ----------
        first, second
            Records by any name `find` knows.
        relations
            Relations to walk, in both directions, by name or inverse name; all by default.

        Raises
        ------
        KeyError
            If a record or a relation is unknown, or if no path joins them.

        Examples
        --------
        >>> import taxonomy
        >>> taxonomy.load().path("local-accuracy", "missingness", relations=["comprises"])
        [('local-accuracy', 'part-of', 'axiomatic-fidelity'), ('axiomatic-fidelity', 'comprises', 'missingness')]
        """
        if relations is not None:
            from taxonomy.querying.subgraphs import path_along

            return path_along(cast("Atlas", self), first, second, relations)
        from taxonomy.graph import path

        return path(cast("Atlas", self), first, second)

    def to_pandas(self, table: str = "records") -> DataFrame:
        """A data frame of `records`, `facts`, `claims`, or of the records of one kind (`method`), with its fields.

        Raises
        ------
        KeyError
            If there is no such table.
        ImportError
            If pandas is not installed.
        """
        from taxonomy.querying.frames import table_frame

        return table_frame(cast("Atlas", self), table)

    def _repr_html_(self) -> str:
        from taxonomy.querying.notebook import atlas_html

        return atlas_html(cast("Atlas", self))
