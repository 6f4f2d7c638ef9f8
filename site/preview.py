"""A finished site that is kept up to date while the records change.

Every page is generated anew after a change, since any page may speak of any record; generating takes two seconds. What takes long is MkDocs, which is
asked only for those pages whose Markdown came out different. The result equals a whole build byte for byte. The exports, which no page shows, follow
by `finish`.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atlas_pages import output
from atlas_pages.context import Site
from material.plugins.search.plugin import SearchPlugin
from mkdocs.commands.build import _build_page, _populate_page
from mkdocs.plugins import BasePlugin

import build
from taxonomy.store import without_collection


class Kept(BasePlugin):
    """A plugin that keeps what MkDocs makes of the configuration and of the pages."""

    def on_nav(self, nav: Any, /, *, config: Any, files: Any) -> None:
        """The menu."""
        self.nav = nav

    def on_env(self, env: Any, /, *, config: Any, files: Any) -> None:
        """The templates and the files."""
        self.env, self.files = env, files


@dataclass(frozen=True)
class Update:
    """What was done to bring the site up to date."""

    files: tuple[str, ...] = ()
    """Paths of the generated files that came out different."""
    pages: int = 0
    """How many of them MkDocs rendered."""
    whole: bool = False
    """Whether everything was built anew."""


@dataclass
class Preview:
    """A site in the folder `out` with its Markdown in `docs`, both of which belong to it alone."""

    kb: Path | None
    docs: Path
    out: Path
    _rendered: Rendered | None = None
    _unfinished: Site | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _finishing: threading.Lock = field(default_factory=threading.Lock)

    def update(self) -> Update:
        """Bring the site up to date with the records and the hand-written pages and assets; everything but the exports, which `finish` writes.

        Raises
        ------
        taxonomy.AtlasError
            If the records have errors; the site stays as it is.
        """
        self._stop.set()
        with self._finishing, without_collection():
            self._stop.clear()
            site = build.make_site(self.kb, cache=False)  # each state is seen once
            rendered, self._rendered = self._rendered, None  # what fails from here on is built as a whole next time
            files = [*output.assets(), *output.encoded(site)] if rendered else []
            if rendered is None or {path for path, _ in files} != _paths(self.docs):
                output.write(site, self.docs)
                self._unfinished, self._rendered = None, Rendered(self.docs, self.out)
                found = Update(whole=True)
            else:
                self._unfinished = site
                changed = output.update(files, self.docs)
                found = Update(tuple(changed), rendered.refresh(changed))
                self._rendered = rendered
            return found

    @staticmethod
    def is_late(path: str) -> bool:
        """Whether a file is one of the exports."""
        return path.startswith(output.LATE)

    def finish(self) -> bool:
        """Bring the exports up to date; False if the next update began meanwhile, which leaves them to the `finish` that follows it."""
        with self._finishing:
            site, rendered = self._unfinished, self._rendered
            if site is None or rendered is None:
                return site is None
            for file in output.late(site):
                if self._stop.is_set():
                    return False
                rendered.refresh(output.update([file], self.docs))
            self._unfinished = None
        gc.collect()
        return True


class Rendered:
    """What MkDocs made of the pages, from which single ones can be rendered again."""

    def __init__(self, docs: Path, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.config = build.mkdocs_config(docs, out, strict=False)
        self.kept = Kept()
        self.config.plugins["kept"] = self.kept
        build.render_into(out, self.config)
        self.search = next(plugin for plugin in self.config.plugins.values() if isinstance(plugin, SearchPlugin))
        self.entries: dict[str, list[Any]] = {}
        self._index(self.search.search_index.entries)
        gc.collect()
        gc.freeze()  # all this stays; looking through it for garbage would take long each time

    def _index(self, entries: Iterable[Any]) -> None:
        """File the entries of the search index under the addresses of their pages."""
        for entry in entries:
            self.entries.setdefault(entry["location"].partition("#")[0], []).append(entry)

    def refresh(self, paths: Iterable[str]) -> int:
        """Bring up to date what MkDocs makes of these files, which existed before; returns the number of pages among them."""
        files, config = self.kept.files, self.config
        changed = [files.get_file_from_path(path) for path in paths]
        pages = [file for file in changed if file.is_documentation_page()]
        for file in changed:
            if not file.is_documentation_page():
                file.copy_file()
        if not pages:
            return 0
        every = files.documentation_pages()
        for file in pages:
            _populate_page(file.page, config, files)
        self.search.search_index.entries = []
        for file in pages:
            self.entries.pop(file.url, None)
            _build_page(file.page, config, every, self.kept.nav, self.kept.env)
        for file in every:
            file.page.validate_anchor_links(files=files, log_level=config.validation.links.anchors)
        self._index(self.search.search_index.entries)
        self.search.search_index.entries = [entry for file in every for entry in self.entries.get(file.url, ())]
        config.plugins.on_post_build(config=config)
        return len(pages)


def _paths(docs: Path) -> set[str]:
    """Paths of the files below `docs`, the exports left out."""
    found = (path.relative_to(docs).as_posix() for path in docs.rglob("*") if path.is_file())
    return {path for path in found if not path.startswith(output.LATE)}
