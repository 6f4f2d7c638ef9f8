"""Build the site: records -> Markdown, JSON and SVG under build/docs -> MkDocs -> public/.

python site/build.py [--kb DIR] [--out public] [--docs build/docs] [--strict] [--docs-only]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [path for path in (str(HERE), str(ROOT)) if path not in sys.path]

import yaml  # noqa: E402
from atlas_pages import output  # noqa: E402
from atlas_pages.context import Site  # noqa: E402

import taxonomy  # noqa: E402
from taxonomy import gallery  # noqa: E402
from taxonomy.disk import replaced  # noqa: E402
from taxonomy.store import without_collection  # noqa: E402

# MkDocs writes the date of the build into its site map; a fixed one makes equal input give equal bytes.
EPOCH = "1735689600"

BENCHMARKS = ROOT / "benchmarks" / "results.json"


def make_site(kb: Path | None, *, cache: bool = True) -> Site:
    """Load the records, the gallery, and the address of the repository from mkdocs.yml."""
    atlas = taxonomy.load(kb, cache=cache)
    pictures = gallery.load(kb or ROOT / "kb")
    benchmarks = json.loads(BENCHMARKS.read_text(encoding="utf-8")) if BENCHMARKS.exists() else None
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return Site(atlas, str(settings.get("repo_url", "")).rstrip("/"), pictures, benchmarks)


def mkdocs_config(docs: Path, out: Path, *, strict: bool) -> Any:
    """The configuration in mkdocs.yml with the folders of this build, and the names of the site's own folders for the page of unknown addresses."""
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(docs.resolve()), site_dir=str(out.resolve()), strict=strict)
    config["extra"]["folders"] = sorted(path.name for path in docs.iterdir() if path.is_dir())
    return config


def render(docs: Path, out: Path, *, strict: bool) -> None:
    """Run MkDocs on the written pages; `out` is replaced once the build has succeeded."""
    with replaced(out) as folder:
        render_into(folder, mkdocs_config(docs, folder, strict=strict))


def render_into(folder: Path, config: Any) -> None:
    """Run MkDocs with this configuration, which names `folder` as its own."""
    from mkdocs.commands.build import build

    os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    config.plugins.on_shutdown()
    # Without an address of the site the map is empty.
    for name in ("sitemap.xml", "sitemap.xml.gz"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "templates", ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the site of the Attribution Atlas.")
    parser.add_argument("--kb", type=Path, help="record folder (default: kb/)")
    parser.add_argument("--out", type=Path, default=ROOT / "public", help="folder of the finished site (default: public/)")
    parser.add_argument("--docs", type=Path, default=ROOT / "build" / "docs", help="folder of the generated Markdown (default: build/docs/)")
    parser.add_argument("--strict", action="store_true", help="treat MkDocs warnings (broken links and anchors) as errors")
    parser.add_argument("--docs-only", action="store_true", help="write the Markdown, do not run MkDocs")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        site = make_site(options.kb)
    except (taxonomy.AtlasError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    with without_collection():  # a fifth faster, and next to nothing is left for the collector
        count = output.write(site, options.docs)
    written = time.perf_counter()
    print(f"{count:,} files from {len(site.records):,} records in {written - start:.1f} s: {options.docs}")
    if not options.docs_only:
        from mkdocs.exceptions import MkDocsException

        try:
            render(options.docs, options.out, strict=options.strict)
        except (MkDocsException, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"rendered in {time.perf_counter() - written:.1f} s: {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
