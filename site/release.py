"""Keep what the records know at a release, so that the page of changes can say what came after it.

python site/release.py [VERSION] [--kb DIR] [--state TEXT] [--force]

To make a release:

1. set the version in `pyproject.toml` and `CITATION.cff`, and the date in the latter;
2. read `changes.html`: what it lists is what the release brings, and belongs in the text of the tag;
3. run this command, which writes `site/releases/VERSION.json`; from then on the page compares with it, and says that nothing has changed;
4. commit both, and tag the commit `vVERSION`.

Snapshots are never changed afterwards. They hold plain data, so they outlive changes of the records' form.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [path for path in (str(HERE), str(ROOT)) if path not in sys.path]

from atlas_pages import metadata, snapshot  # noqa: E402

import taxonomy  # noqa: E402
from taxonomy.disk import put  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Keep what the records know at a release.")
    parser.add_argument("version", nargs="?", help="name of the release (default: the version in CITATION.cff)")
    parser.add_argument("--kb", type=Path, help="record folder (default: kb/)")
    parser.add_argument("--state", default="", help="which state of the records it is, in words for the page")
    parser.add_argument("--folder", type=Path, default=snapshot.FOLDER, help="where snapshots are kept (default: site/releases/)")
    parser.add_argument("--force", action="store_true", help="replace a snapshot that is there already")
    options = parser.parse_args(arguments)
    version = options.version or metadata.release().version
    target = options.folder / f"{version}.json"
    if target.exists() and not options.force:
        print(f"{target} is there already; a release keeps its snapshot (--force replaces it)", file=sys.stderr)
        return 1
    try:
        found = snapshot.snapshot(taxonomy.load(options.kb), version, options.state)
    except (taxonomy.AtlasError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    put(target, snapshot.text(found))
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
