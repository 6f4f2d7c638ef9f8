"""The record types: one class per kind, one folder of `kb/` per class.

The modules are imported when a type is first asked for (as SPEC 1 of Scientific Python has it): building the types takes longer than reading a
cached atlas, and not every use of one needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxonomy.records.base import Claim, Model, Record, Source, kebab
    from taxonomy.records.document import Discrepancy, Document, Example, Insight, Metric, Notation, Study
    from taxonomy.records.method import FormulationFamily, Group, Library, Method, ReformulationFamily
    from taxonomy.records.theory import Axiom, Evaluation, Paradigm, Principle, Rationale, Theorem, Verdict

    KINDS: dict[str, type[Record]]

_MODULES = {
    "base": ("Claim", "Model", "Record", "Source", "kebab"),
    "document": ("Discrepancy", "Document", "Example", "Insight", "Metric", "Notation", "Study"),
    "method": ("FormulationFamily", "Group", "Library", "Method", "ReformulationFamily"),
    "theory": ("Axiom", "Evaluation", "Paradigm", "Principle", "Rationale", "Theorem", "Verdict"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_ORDER = (
    "Method", "FormulationFamily", "ReformulationFamily", "Group", "Paradigm", "Rationale", "Principle", "Axiom", "Evaluation", "Theorem", "Example",
    "Metric", "Study", "Insight", "Discrepancy", "Notation", "Document", "Library",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "KINDS":
        value: Any = {record_type.kind: record_type for record_type in map(__getattr__, _ORDER)}
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"taxonomy.records.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


__all__ = [
    "KINDS", "Axiom", "Claim", "Discrepancy", "Document", "Evaluation", "Example", "FormulationFamily", "Group", "Insight", "Library", "Method",
    "Metric", "Model", "Notation", "Paradigm", "Principle", "Rationale", "Record", "ReformulationFamily", "Source", "Study", "Theorem", "Verdict",
    "kebab",
]  # fmt: skip
