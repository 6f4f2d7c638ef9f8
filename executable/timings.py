"""How long each check took on this machine: kept in the user's cache, so that a run in several processes can begin with the longest."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from executable.check_runs import CheckedClaim
from taxonomy.disk import put
from taxonomy.store import _cache_folder


def longest_first(claims: Iterable[CheckedClaim]) -> list[CheckedClaim]:
    """The claims in the order to begin them in: those never timed, then the longest; a long one begun last would keep all others waiting."""
    known = _recall()
    return sorted(claims, key=lambda claim: (-known.get(claim.id, math.inf), claim.id))


def remember(seconds: Mapping[str, float]) -> None:
    """Keep how long claims took; a cache that cannot be written changes nothing but an order."""
    path = _path()
    if path is None or not seconds:
        return
    with contextlib.suppress(OSError):
        put(path, json.dumps({**_recall(), **{claim: round(time, 2) for claim, time in seconds.items()}}, sort_keys=True))


def _path() -> Path | None:
    folder = _cache_folder()
    return None if folder is None else folder / "seconds.json"


def _recall() -> dict[str, float]:
    path = _path()
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {str(claim): float(time) for claim, time in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
