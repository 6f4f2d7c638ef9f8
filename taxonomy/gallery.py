"""`kb/evidence/gallery.json`: the same digits under every method, and what must be true of the file before pages are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from taxonomy.evidence import GALLERY
from taxonomy.problems import AtlasError, Problem
from taxonomy.recorded import fault_in, parsed
from taxonomy.records.base import Id

Matrix = Annotated[tuple[Annotated[tuple[float, ...], Field(min_length=1, max_length=64)], ...], Field(min_length=1, max_length=64)]
Line = Annotated[str, Field(min_length=1, max_length=2000)]


class _Part(BaseModel):
    # What is not named here may be there; the pages do not use it.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Network(_Part):
    """A network whose predictions are explained."""

    description: Line
    accuracy: float = Field(ge=0, le=1)
    probabilities: tuple[float, ...] = ()


class Digit(_Part):
    """A picture that is explained."""

    label: int
    probability: float
    pixels: Matrix


class Sums(_Part):
    """What a method's attributions add up to, beside what they are held against."""

    compared: Line
    sums: tuple[float, ...]
    expected: tuple[float, ...]


class Gallery(_Part):
    """What the pages need of the file."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    model: Network
    other_models: dict[Id, Network] = {}
    settings: dict[Id, str] = {}
    models: dict[Id, Id] = {}
    absent: dict[Id, Line] = {}
    images: tuple[Digit, ...] = Field(min_length=1, max_length=100)
    targets: tuple[int, ...]
    attributions: dict[Id, tuple[Matrix, ...]]
    completeness: dict[Id, Sums] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.images)
        lengths = {"targets": len(self.targets), **{f"attributions.{name}": len(maps) for name, maps in self.attributions.items()}}
        for name, sums in self.completeness.items():
            lengths |= {f"completeness.{name}.sums": len(sums.sums), f"completeness.{name}.expected": len(sums.expected)}
        for method, network in self.models.items():
            if network not in self.other_models:
                raise ValueError(f"`models.{method}` names the network `{network}`, which is not among `other-models`")
            lengths[f"other-models.{network}.probabilities"] = len(self.other_models[network].probabilities)
        for name, length in lengths.items():
            if length != count:
                raise ValueError(f"`{name}` has {length} entries for {count} images")
        return self


def load(kb: Path) -> dict[str, Any] | None:
    """The file's values, or None if there is none.

    Raises
    ------
    taxonomy.AtlasError
        If the file is not what the pages need.
    """
    import json

    problems = check(kb)
    if problems:
        raise AtlasError(problems)
    path = kb / "evidence" / GALLERY
    values: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
    return values


def check(kb: Path) -> list[Problem]:
    """What is wrong with the file; nothing if there is none."""
    path = kb / "evidence" / GALLERY
    if not path.exists() and not path.is_symlink():
        return []
    try:
        parsed(Gallery, path, "gallery")
    except ValueError as error:
        return [Problem("gallery", fault_in(path, error), f"{kb.name}/evidence/{GALLERY}", suggestion="delete the file and run `atlas verify`")]
    return []
