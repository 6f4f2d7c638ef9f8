"""What a run found: one JSON file per tested claim under `kb/evidence/`, read here so that queries and pages need no torch."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from taxonomy.disk import put
from taxonomy.problems import Problem
from taxonomy.recorded import Plain, parsed
from taxonomy.records.base import Model
from taxonomy.text import Cell, Code, Prose

EvidenceStatus = Literal["holds", "holds under condition", "fails", "empirical", "definitional", "cited"]
GALLERY = "gallery.json"
_NUMBERS = re.compile(r"\[\n\s*((?:-?[\d.eE+-]+,?\s+)+)\]")


class Measurement(Model):
    """One number of a run and the bound it was held against."""

    name: Annotated[Cell, Field(min_length=1)]
    value: float
    bound: float | None = Field(default=None, description="The tolerance, or the threshold the value has to pass.")
    relation: Literal["<=", ">="] | None = Field(default=None, description="How the value has to stand to the bound.")
    note: Prose | None = None

    @property
    def within(self) -> bool:
        """Whether the value keeps its bound; a number without a bound always does."""
        if self.bound is None or self.relation is None:
            return True
        return self.value <= self.bound if self.relation == "<=" else self.value >= self.bound


class Counterexample(Model):
    """The smallest case found in which the printed statement is false."""

    description: Prose
    data: Plain = Field(description="Plain JSON values: inputs, baselines, both sides.")
    code: Code = Field(description="A snippet that runs by itself and shows it.")


class Control(Model):
    """The same test put to something for which the opposite outcome is known: a test that cannot tell them apart proves nothing."""

    description: Prose
    value: float
    bound: float = Field(description="The tolerance that decides.")
    detected: bool = Field(description="Whether the test gave the known outcome; anything but true is a defect of the check.")


class Evidence(Model):
    """Outcome of one check on one claim."""

    claim: str = Field(pattern=r"^[a-z0-9-]+(/[a-z0-9-]+){1,2}$", description="`<subject>/<relation>/<object>`, or `<record>/statement`.")
    check: str = Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")
    status: EvidenceStatus
    statement: Prose = Field(description="Exactly what was tested.")
    condition: Prose | None = Field(default=None, description="The least condition found under which it holds.")
    finding: Prose | None = Field(default=None, description="One or two sentences for the reader.")
    domain: Cell = Field(description="The testbeds, in words.")
    measurements: tuple[Measurement, ...] = ()
    trials: int = Field(ge=0)
    seed: int
    counterexample: Counterexample | None = None
    controls: tuple[Control, ...] = ()
    parameters: Plain = Field(default={})
    versions: dict[str, str] = Field(default={})
    digest: str = Field(default="", description="Hash of the code, the parameters and the claim.")

    def to_json(self) -> str:
        """The file's text: stable order, one final newline."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))


def to_json(value: Any) -> str:
    """JSON as it is stored: two spaces of indent, a list of numbers on one line, no escapes, one final newline.

    >>> print(to_json({"a": [1, 2.5], "b": ["x"]}), end="")
    {
      "a": [1, 2.5],
      "b": [
        "x"
      ]
    }
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return _NUMBERS.sub(lambda match: f"[{', '.join(match.group(1).split())}]".replace(",,", ","), text) + "\n"


def evidence_path(claim: str) -> Path:
    """Path of a claim's evidence relative to `kb/evidence/`.

    >>> evidence_path("integrated-gradients/reformulates-as/path-integral").as_posix()
    'integrated-gradients/reformulates-as/path-integral.json'
    """
    parts = claim.split("/")
    if not all(parts) or any(part in {".", ".."} for part in parts):
        raise ValueError(f"`{claim}` is no claim id: write `<subject>/<relation>/<object>`")
    return Path(*parts[:-1], f"{parts[-1]}.json")


def write(evidence: Evidence, folder: Path) -> Path:
    """Store evidence below `folder` (the `kb/evidence` of a record folder) and return the file's path."""
    path = folder / evidence_path(evidence.claim)
    put(path, evidence.to_json())
    return path


def read(path: Path) -> Evidence:
    """Read one evidence file.

    Raises
    ------
    ValueError
        If the file is not valid evidence; the message begins with the path.
    """
    return parsed(Evidence, path, "evidence file")


def load_evidence(folder: Path | str) -> dict[str, Evidence]:
    """All evidence below `folder`, by claim, in the order of the claims.

    Raises
    ------
    ValueError
        If a file is invalid or lies where another claim's evidence belongs.
    """
    root = Path(folder)
    found = {evidence.claim: evidence for evidence in (_read_in_place(path, root) for path in _files(root))}
    return dict(sorted(found.items()))


def check(folder: Path, name: str) -> list[Problem]:
    """What is wrong with the evidence files below `folder`, reported under `<name>/evidence/`."""
    problems = []
    for path in _files(folder):
        try:
            _read_in_place(path, folder)
        except ValueError as error:
            message = " ".join(str(error).removeprefix(f"{path}: ").split())
            file = f"{name}/evidence/{path.relative_to(folder).as_posix()}"
            problems.append(Problem("evidence", message, file, suggestion="run `atlas verify` again"))
    return problems


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*.json")) if path != root / GALLERY] if not root.is_symlink() else []


def _read_in_place(path: Path, root: Path) -> Evidence:
    evidence = read(path)
    belongs = evidence_path(evidence.claim)
    if belongs != path.relative_to(root):
        raise ValueError(f"{path}: holds evidence for `{evidence.claim}`, which belongs in {belongs.as_posix()}")
    return evidence
