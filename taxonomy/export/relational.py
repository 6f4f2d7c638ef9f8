"""The content as tables with keys, for the data package and the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from taxonomy.export.whole import VERSIONS, Values

Cell = str | int | float | bool | None
Row = tuple[Cell, ...]
Type = Literal["string", "integer", "number", "boolean"]


@dataclass(frozen=True)
class Column:
    """A column. `references` names the table whose key it holds; an `optional` cell may be empty."""

    name: str
    meaning: str
    type: Type = "string"
    references: str | None = None
    optional: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: what a row is, the columns, those that make up the key, and where the rows come from."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows_of: Callable[[Values], Iterable[Row]]

    def rows(self, whole: Values) -> list[Row]:
        """The rows in the order of the export."""
        return list(self.rows_of(whole))


def _text(value: Any) -> str | None:
    """Prose on one line."""
    return " ".join(str(value).split()) if value else None


def _about(whole: Values) -> Iterator[Row]:
    for name in (*VERSIONS, "homepage", "licence"):
        yield name, str(whole[name])


def _records(whole: Values) -> Iterator[Row]:
    for record in whole["records"].values():
        # A summary keeps its lines: it is Markdown with paragraphs.
        yield record["id"], record["kind"], record["name"], record.get("status", "full"), record["summary"].strip(), _check(record)


def _check(record: Values) -> str | None:
    return record.get("check")


def _aliases(whole: Values) -> Iterator[Row]:
    for record in whole["records"].values():
        for alias in dict.fromkeys(record.get("aliases", ())):
            yield record["id"], alias


def _methods(whole: Values) -> Iterator[Row]:
    for record in whole["records"].values():
        if record["kind"] == "method":
            needs, cost = record.get("needs", {}), record.get("cost", {})
            yield (
                record["id"], record.get("abbreviation"), record.get("reference"), _text(", ".join(record.get("explains", ()))),
                record.get("formula"), needs.get("access"), needs.get("model"), needs.get("baseline"),
                needs.get("data", False) if needs else None, needs.get("training", False) if needs else None,
                cost.get("forward"), cost.get("backward"), cost.get("evaluations"), record.get("implementation"),
            )  # fmt: skip


def _record_sources(whole: Values) -> Iterator[Row]:
    for record in whole["records"].values():
        for number, source in enumerate(record.get("sources", ()), 1):
            yield record["id"], number, source["work"], source["at"], source.get("printed")


def _record_references(whole: Values) -> Iterator[Row]:
    for record in whole["records"].values():
        for work in dict.fromkeys(record.get("references", ())):
            yield record["id"], work


def _works(whole: Values) -> Iterator[Row]:
    for key, work in whole["bibliography"].items():
        yield key, work["type"], work.get("title"), _text("; ".join(work.get("authors", ()))), work.get("venue"), work.get("year"), work.get("url")


def _relations(whole: Values) -> Iterator[Row]:
    for name, relation in whole["relations"].items():
        yield name, relation["inverse"], relation["meaning"], relation["symmetric"], relation["transitive"]


def _facts(whole: Values) -> Iterator[Row]:
    for fact in whole["facts"]:
        yield fact["id"], fact["subject"], fact["relation"], fact["object"], fact["basis"], fact.get("run")


def _numbered_assertions(whole: Values) -> Iterator[tuple[int, Values, Values]]:
    assertions = ((fact, assertion) for fact in whole["facts"] for assertion in fact.get("assertions", ()))
    for number, (fact, assertion) in enumerate(assertions, 1):
        yield number, fact, assertion


def _assertions(whole: Values) -> Iterator[Row]:
    for number, fact, said in _numbered_assertions(whole):
        yield number, fact["id"], said["by"], said.get("status"), _text(said.get("as")), _text(said.get("condition")), _text(said.get("note"))


def _assertion_sources(whole: Values) -> Iterator[Row]:
    for assertion, _, said in _numbered_assertions(whole):
        for number, source in enumerate(said.get("sources", ()), 1):
            yield assertion, number, source["work"], source["at"], source.get("printed")


def _assertion_works(whole: Values) -> Iterator[Row]:
    for assertion, _, said in _numbered_assertions(whole):
        for role in ("proof", "disputed-by"):
            for work in dict.fromkeys(said.get(role, ())):
                yield assertion, role, work


def _proofs(whole: Values) -> Iterator[Row]:
    for fact in whole["facts"]:
        if proof := fact.get("proof"):
            yield fact["id"], proof["rule"], proof.get("ground"), _text(" And: ".join(proof.get("conditions", ())))


def _premises(whole: Values) -> Iterator[Row]:
    for fact in whole["facts"]:
        for number, premise in enumerate(fact.get("proof", {}).get("premises", ()), 1):
            yield fact["id"], number, premise


def _claims(whole: Values) -> Iterator[Row]:
    for claim in whole["claims"]:
        yield claim["id"], claim["subject"], claim["standing"], claim.get("check"), _text(claim.get("reason"))


def _evidence(whole: Values) -> Iterator[Row]:
    for claim, found in whole["evidence"].items():
        example = found.get("counterexample", {})
        yield (
            claim, found["check"], found["status"], _text(found["statement"]), _text(found.get("condition")), _text(found.get("finding")),
            _text(found["domain"]), found["trials"], found["seed"], _text(example.get("description")), example.get("code"),
            found.get("digest") or None,
        )  # fmt: skip


def _measurements(whole: Values) -> Iterator[Row]:
    for claim, found in whole["evidence"].items():
        for number, item in enumerate(found.get("measurements", ()), 1):
            yield claim, number, item["name"], item["value"], item.get("relation"), item.get("bound"), _text(item.get("note"))


def _controls(whole: Values) -> Iterator[Row]:
    for claim, found in whole["evidence"].items():
        for number, item in enumerate(found.get("controls", ()), 1):
            yield claim, number, _text(item["description"]), item["value"], item["bound"], item["detected"]


def _conformance(whole: Values) -> Iterator[Row]:
    for library, found in whole["conformance"].items():
        for item in found["methods"]:
            yield library, item["method"], item["name"], item["verdict"], found["version"], len(item["cases"])


def _audit_verdicts(whole: Values) -> Iterator[Row]:
    for method, audit in whole["audits"].items():
        for number, item in enumerate(audit.get("verdicts", ()), 1):
            yield method, number, item["principle"], item["reading"], item["outcome"], item.get("statistic"), item.get("bound"), _text(item["why"])


def _c(name: str, meaning: str, type_: Type = "string", to: str | None = None, *, optional: bool = False, of: tuple[str, ...] = ()) -> Column:
    return Column(name, meaning, type_, to, optional, of)


_RECORD, _CLAIM = _c("record", "the record", to="records"), _c("claim", "the claim tested", to="claims")
_NUMBER = _c("number", "place in the list, from 1", "integer")
_SOURCE = (
    _c("work", "the source", to="records"), _c("place", "where in it, such as `Table III, row Path Integral`"),
    _c("printed", "the label as printed there, if it differs from the name", optional=True),
)  # fmt: skip

TABLES: tuple[Table, ...] = (
    Table("about", "A fact about these tables: a version, the licence.", (_c("name", "what it is"), _c("value", "the version, or an address")),
          ("name",), _about),
    Table("works", "A work of the bibliography.", (
        _c("key", "BibTeX key"), _c("type", "BibTeX type"), _c("title", "title", optional=True),
        _c("authors", "names, separated by semicolons", optional=True), _c("venue", "journal, proceedings or archive", optional=True),
        _c("year", "year of publication", optional=True), _c("url", "where to read it", optional=True),
    ), ("key",), _works),
    Table("records", "A record: a method, a family, a principle, a theorem, a source and so on.", (
        _c("id", "stable id"), _c("kind", "kind of record"), _c("name", "name"), _c("status", "whether it is written", of=("full", "stub")),
        _c("summary", "Markdown with formulas between dollar signs"), _c("check_id", "check that runs what the record states", optional=True),
    ), ("id",), _records),
    Table("aliases", "Another name of a record.", (_RECORD, _c("alias", "the name")), ("record", "alias"), _aliases),
    Table("methods", "What the record of a method says besides its claims.", (
        _c("id", "the record", to="records"), _c("abbreviation", "as the survey prints it", optional=True),
        _c("reference", "work that introduced it", to="works", optional=True), _c("explains", "what receives an attribution", optional=True),
        _c("formula", "the definition, in LaTeX", optional=True), _c("access", "least access to the model", optional=True),
        _c("model", "class of models", optional=True), _c("baseline", "whether a baseline is supplied", optional=True),
        _c("needs_data", "whether background data is needed", "boolean", optional=True),
        _c("needs_training", "whether an auxiliary model is trained", "boolean", optional=True),
        _c("forward", "evaluations of the model, in LaTeX", optional=True), _c("backward", "backward passes, in LaTeX", optional=True),
        _c("evaluations", "evaluations with default settings, in the number n of features", optional=True),
        _c("implementation", "reference function, `module:function`", optional=True),
    ), ("id",), _methods),
    Table("record_sources", "A place that a record is taken from.", (_RECORD, _NUMBER, *_SOURCE), ("record", "number"), _record_sources),
    Table("record_references", "Further reading of a record.", (_RECORD, _c("work", "the work", to="works")), ("record", "work"),
          _record_references),
    Table("relations", "A kind of relation.", (
        _c("name", "name"), _c("inverse", "name read backwards"), _c("meaning", "meaning"), _c("symmetric", "whether it holds both ways", "boolean"),
        _c("transitive", "whether it carries on along a chain", "boolean"),
    ), ("name",), _relations),
    Table("facts", "A relation between two records: asserted by someone, or derived.", (
        _c("id", "`subject/relation/object`"), _c("subject", "the record it starts from", to="records"),
        _c("relation", "the relation", to="relations"), _c("object", "the record it points to", to="records"),
        _c("basis", "whether anyone asserts it", of=("asserted", "derived")), _c("run", "what a run found of it", optional=True),
    ), ("id",), _facts),
    Table("assertions", "Someone asserts a fact.", (
        _c("id", "number within this export", "integer"), _c("fact", "the fact", to="facts"),
        _c("holder", "the record that holds the assertion", to="records"), _c("status", "standing in the literature", optional=True),
        _c("form", "in what form the relation holds", optional=True), _c("condition", "condition it is stated under", optional=True),
        _c("note", "remark", optional=True),
    ), ("id",), _assertions),
    Table("assertion_sources", "A place that makes an assertion.", (_c("assertion", "the assertion", "integer", "assertions"), _NUMBER, *_SOURCE),
          ("assertion", "number"), _assertion_sources),
    Table("assertion_works", "A work that proves or disputes an assertion.", (
        _c("assertion", "the assertion", "integer", "assertions"), _c("role", "what the work does", of=("proof", "disputed-by")),
        _c("work", "the work", to="works"),
    ), ("assertion", "role", "work"), _assertion_works),
    Table("proofs", "How a derived fact follows.", (
        _c("fact", "the fact", to="facts"), _c("rule", "the rule"), _c("ground", "record that states the rule's ground", to="records", optional=True),
        _c("condition", "conditions under which it follows", optional=True),
    ), ("fact",), _proofs),
    Table("premises", "A premise of a proof.", (
        _c("fact", "the fact proved", to="proofs"), _NUMBER, _c("premise", "the premise", to="facts")
    ), ("fact", "number"), _premises),
    Table("claims", "A claim and how it stands.", (
        _c("id", "`subject/relation/object`, or `record/statement`"), _c("subject", "the record that it is about", to="records"),
        _c("standing", "what a run found, or why there is none"), _c("check_id", "check that tests it", optional=True),
        _c("reason", "why no run can or need decide it", optional=True),
    ), ("id",), _claims),
    Table("evidence", "What a run found of a claim.", (
        _CLAIM, _c("check_id", "the check"), _c("status", "outcome"), _c("statement", "exactly what was tested"),
        _c("condition", "least condition found under which it holds", optional=True), _c("finding", "for the reader", optional=True),
        _c("domain", "the testbeds"), _c("trials", "number of trials", "integer"), _c("seed", "seed of the random numbers", "integer"),
        _c("counterexample", "smallest case in which it is false", optional=True), _c("counterexample_code", "code that shows it", optional=True),
        _c("digest", "hash of the code, the parameters and the claim", optional=True),
    ), ("claim",), _evidence),
    Table("measurements", "A number of a run, and the bound it was held against.", (
        _c("claim", "the claim tested", to="evidence"), _NUMBER, _c("name", "what was measured"), _c("value", "the number", "number"),
        _c("relation", "how it has to stand to the bound", optional=True, of=("<=", ">=")), _c("bound", "the bound", "number", optional=True),
        _c("note", "remark", optional=True),
    ), ("claim", "number"), _measurements),
    Table("controls", "The same test put to something for which the outcome is known.", (
        _c("claim", "the claim tested", to="evidence"), _NUMBER, _c("description", "what was tested"), _c("value", "the number", "number"),
        _c("bound", "the bound that decides", "number"), _c("detected", "whether the known outcome came out", "boolean"),
    ), ("claim", "number"), _controls),
    Table("conformance", "How another library's function compares with the reference function.", (
        _c("library", "the library", to="records"), _c("method", "the method", to="records"), _c("name", "dotted path in the library"),
        _c("verdict", "what the cases say together"), _c("version", "version of the library"), _c("cases", "number of cases", "integer"),
    ), ("library", "method", "name"), _conformance),
    Table("audit_verdicts", "What an audit measured of a method: one reading of one requirement.", (
        _c("method", "the method", to="records"), _NUMBER, _c("principle", "the requirement", to="records"), _c("reading", "how it was read"),
        _c("outcome", "outcome", of=("satisfies", "violates", "not applicable")), _c("statistic", "the number that decided", "number", optional=True),
        _c("bound", "the bound", "number", optional=True), _c("why", "reason"),
    ), ("method", "number"), _audit_verdicts),
)  # fmt: skip
"""In an order in which every table comes after those it refers to."""

KEYS = {table.name: table.key[0] for table in TABLES}
"""The column that a reference to a table holds."""


def as_text(value: Cell) -> str:
    """A cell of a CSV file: `true` and `false`, numbers as JSON has them, nothing for what is not set.

    >>> [as_text(value) for value in (True, 0.1, 7, None, "x")]
    ['true', '0.1', '7', '', 'x']
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
