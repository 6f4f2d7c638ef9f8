"""The public names of the packages, each with the page of the API reference where it stands."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from atlas_pages import source_code
from atlas_pages.source_code import Item

FOLDER = "reference"


@dataclass(frozen=True)
class Page:
    """A page of the reference: its group, its name, and the modules whose public names it lists."""

    group: str
    name: str
    modules: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it stands on the site."""
        return f"{FOLDER}/{self.name}.md"

    def anchor(self, module: str, name: str) -> str:
        """The anchor of a name; with several modules on a page it begins with the module."""
        return name if len(self.modules) == 1 else f"{module.rpartition('.')[2]}.{name}"


def _below(package: str, *modules: str) -> tuple[str, ...]:
    return tuple(f"{package}.{module}" for module in modules)


GROUPS: dict[str, tuple[str, ...]] = {
    "The records and what follows from them": (
        "taxonomy", *_below("taxonomy", "atlas", "querying", "records", "relations", "deduction", "explaining", "evidence", "coverage", "comparison",
                            "guide", "conformance", "reproduction", "audit", "export"),
    ),
    "Methods": (
        "executable", *_below("executable.methods", "gradient_times_input", "layerwise_backprop", "perturbation", "attention", "influential_subset",
                              "local_surrogate", "modified_gradient", "composition"),
        "executable.interactions", "executable.first_principles",
    ),
    "Theory as code": (
        "executable.frameworks", "executable.rationales", "executable.principles", "executable.checks.axioms", "executable.metrics",
    ),
    "Tools": ("executable.auditing", "executable.verify", "executable.removal", "executable.coalitions"),
}  # fmt: skip
_PARTS = {
    "executable.frameworks": ("feature_additive", "feature_removal", "game_theoretic", "modified_gradient_times_input", "nonnegative_backprop",
                              "path_integral", "taylor_interaction"),
    "executable.rationales": ("causal_attribution", "deep_taylor", "first_order_taylor", "gradient_sensitivity", "information_theory",
                              "interaction_effect_allocation", "surrogate_approximation"),
    "executable.principles": ("base", "allocation", "faithfulness", "robustness"),
}  # fmt: skip
"""Packages of small modules that share a page."""
PAGES = tuple(Page(group, name, _below(name, *_PARTS[name]) if name in _PARTS else (name,)) for group, names in GROUPS.items() for name in names)


@dataclass(frozen=True)
class Entry:
    """A public name with its page; `elsewhere` if that page only says where the full entry is."""

    page: Page
    module: str
    item: Item
    elsewhere: bool = False

    @property
    def anchor(self) -> str:
        """Its anchor on the page."""
        return self.page.anchor(self.module, self.item.name)

    @property
    def address(self) -> str:
        """Where it stands, for links."""
        return f"@/{self.page.path}#{self.anchor}"


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Every public name on every page.

    Raises
    ------
    LookupError
        If a module says that a name is public and it is nowhere in the source.
    """
    found: list[Entry] = []
    homes: set[tuple[str, str]] = set()
    # The full entry stands where the name is nearest to its definition: `executable` repeats the names of its parts.
    for page in sorted(PAGES, key=lambda page: page.name in {"executable", "taxonomy"}):
        for module in page.modules:
            for name in source_code.public_names(module):
                item = source_code.find(module, name)
                if item is None:
                    raise LookupError(f"{module}.{name} is public and has no source")
                found.append(Entry(page, module, item, elsewhere=item.place in homes))
                homes.add(item.place)
    return tuple(found)


@functools.cache
def by_place() -> dict[tuple[str, str], Entry]:
    """The full entry of each definition."""
    return {entry.item.place: entry for entry in entries() if not entry.elsewhere}


@functools.cache
def by_path() -> dict[str, Entry]:
    """Entries by their dotted path, in full and as the module exports them."""
    return {f"{entry.module}.{entry.item.name}": by_place()[entry.item.place] for entry in entries()}


def entry_of(link_: str) -> Entry | None:
    """The entry of an `implementation:` link, `module:function`; None if the function is not on a page."""
    module, _, name = link_.partition(":")
    item = source_code.find(module, name)
    return by_place().get(item.place) if item else None
