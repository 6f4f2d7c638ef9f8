"""The record types: one class per kind, one folder of `kb/` per class."""

from taxonomy.records.base import Claim, Model, Record, Source, kebab
from taxonomy.records.document import Discrepancy, Document, Example, Insight, Metric, Notation, Study
from taxonomy.records.method import FormulationFamily, Group, Library, Method, ReformulationFamily
from taxonomy.records.theory import Axiom, Evaluation, Paradigm, Principle, Rationale, Theorem, Verdict

KINDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        Method,
        FormulationFamily,
        ReformulationFamily,
        Group,
        Paradigm,
        Rationale,
        Principle,
        Axiom,
        Evaluation,
        Theorem,
        Example,
        Metric,
        Study,
        Insight,
        Discrepancy,
        Notation,
        Document,
        Library,
    )
}

__all__ = [
    "KINDS", "Axiom", "Claim", "Discrepancy", "Document", "Evaluation", "Example", "FormulationFamily", "Group", "Insight", "Library", "Method",
    "Metric", "Model", "Notation", "Paradigm", "Principle", "Rationale", "Record", "ReformulationFamily", "Source", "Study", "Theorem", "Verdict",
    "kebab",
]  # fmt: skip
