"""Serve the site at http://127.0.0.1:8000 while the records are edited; a page in the browser reloads when it has changed.

python site/serve.py [--kb DIR] [--port 8000] [--folder build/serve] [--poll]

A changed record, recorded result, hand-written page or asset is taken up in seconds (see `preview`); a change of what makes the pages (`*.py`, the
templates, mkdocs.yml) starts the program anew. While the records have errors, every page shows them.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.livereload import LiveReloadServer
from watchdog import events
from watchdog.observers import Observer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [path for path in (str(HERE), str(ROOT)) if path not in sys.path]

HOST = "127.0.0.1"
MADE_FROM = ("site", "taxonomy", "executable", "benchmarks/results.json", "mkdocs.yml", "CITATION.cff")
"""What the pages are made from besides the records."""
TAKEN_UP = ("site/assets/", "site/pages/", "benchmarks/results.json")
"""Parts of it that are read again at every update; a change of the others starts the program anew."""
Stamps = dict[str, tuple[int, int]]


def stamps(places: Iterable[Path]) -> Stamps:
    """Time and size of every file in these places by path, but for byte code and what editors leave lying about."""
    return {str(path): (found.st_mtime_ns, found.st_size) for place in places for path, found in _files(place)}


def _files(place: Path) -> Iterator[tuple[Path, os.stat_result]]:
    if place.is_file():
        yield place, place.stat()
        return
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith(("~", ".pyc")):
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # gone since
                    yield path, path.stat()


class Written(Observer):  # type: ignore[misc, valid-type]
    """Tells of files that were written, while MkDocs's own looks at thousands of files twice a second; that files are read is no news."""

    def schedule(self, event_handler: Any, path: str, **options: Any) -> Any:
        """Watch a folder."""
        kinds = [events.FileCreatedEvent, events.FileModifiedEvent, events.FileDeletedEvent, events.FileMovedEvent]
        return super().schedule(event_handler, path, **options, event_filter=kinds)


class Server(LiveReloadServer):
    """Serves a folder, keeps it up to date, and shows what is wrong while it cannot be."""

    def __init__(self, kb: Path | None, folder: Path, port: int, *, poll: bool = False) -> None:
        super().__init__(builder=self.rebuild, host=HOST, port=port, root=str(folder / "public"))
        if not poll:
            self.observer = Written()
        self.kb, self.folder = kb, folder
        self.places = [(kb or ROOT / "kb").resolve(), *(ROOT / name for name in MADE_FROM)]
        self.preview: Any = None
        self.trouble = ""
        self.code: set[str] = set()
        """Files that have changed and need a new start, which waits until all of them parse."""
        self.seen = stamps(self.places)
        for place in self.places:
            # Not a file itself: editors put a new one in its place.
            self.watch(str(place if place.is_dir() else place.parent), recursive=place.is_dir())

    def _build_loop(self) -> None:
        # What changed before the observer began to look is no event of its own.
        with self._rebuild_cond:
            self._want_rebuild = True
        super()._build_loop()

    # -- building --------------------------------------------------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Take up what has changed since the last look."""
        before, self.seen = self.seen, stamps(self.places)
        changed = sorted(path for path in before.keys() | self.seen.keys() if before.get(path) != self.seen.get(path))
        self.code |= {path for path in changed if self._starts_anew(path)}
        if self.code:
            self._start_anew()
        elif changed:
            self.bring_up_to_date(changed)

    def _starts_anew(self, path: str) -> bool:
        if Path(path).is_relative_to(self.places[0]):
            return False
        inside = Path(path).relative_to(ROOT).as_posix()
        return not inside.startswith(TAKEN_UP)

    def _start_anew(self) -> None:
        for path in sorted(self.code):
            if path.endswith(".py") and Path(path).is_file():
                try:
                    compile(Path(path).read_bytes(), path, "exec")
                except (SyntaxError, ValueError) as error:
                    self._say_trouble(f"{path}: {error}")
                    return
        print("The program has changed; it starts anew.", flush=True)
        os.execv(sys.executable, [sys.executable, *sys.argv])

    def bring_up_to_date(self, changed: Iterable[str] = ()) -> None:
        """Build what has to be built, or take down why it cannot be."""
        start = time.perf_counter()
        try:
            found = self._preview().update()
        except Exception as error:
            # The records may be wrong, or a page cannot be made of them; either way the next change may mend it.
            self._say_trouble(str(error) if type(error).__name__ == "AtlasError" else traceback.format_exc())
            return
        self.trouble = ""
        seconds = time.perf_counter() - start
        names = ", ".join(_short(path, self.places[0]) for path in changed)
        what = "the whole site" if found.whole else f"{len(found.files)} files, {found.pages} of them pages,"
        print(f"{f'{names}: ' if names else ''}{what} in {seconds:.1f} s", flush=True)
        if not found.whole:
            threading.Thread(target=self.preview.finish, daemon=True).start()

    def _preview(self) -> Any:
        if self.preview is None:
            # Here, and not above, so that also a program that cannot be imported is shown in the browser.
            from preview import Preview

            self.preview = Preview(self.kb, self.folder / "docs", self.folder / "public")
        return self.preview

    def _say_trouble(self, text: str) -> None:
        self.trouble = text
        print(text, file=sys.stderr, flush=True)

    # -- serving ---------------------------------------------------------------------------------------------------------------------------

    def serve_request(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """A file of the site as it is after the last change, or what is wrong."""
        path = environ["PATH_INFO"]
        if path.startswith("/livereload/"):
            return super().serve_request(environ, start_response)
        with self._epoch_cond:
            self._epoch_cond.wait_for(lambda: self._visible_epoch == self._wanted_epoch)
            epoch = self._visible_epoch
        if self.trouble and path.endswith(("/", ".html")):
            start_response("500 Internal Server Error", [("Content-Type", "text/html; charset=utf-8")])
            return [self._inject_js_into_html(trouble_page(self.trouble), epoch)]
        if self.preview is not None and self.preview.is_late(path.lstrip("/")):
            self.preview.finish()
        return super().serve_request(environ, start_response)


def trouble_page(text: str) -> bytes:
    """A page that shows what is wrong."""
    style = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}pre{white-space:pre-wrap}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>The site cannot be built</title><style>{style}</style></head><body><h1>The site cannot be built</h1>"
        f"<p>This page reloads as soon as the files are in order.</p><pre>{html.escape(text)}</pre></body></html>"
    ).encode()


def _short(path: str, kb: Path) -> str:
    """A path as one would name it."""
    for start in (kb.parent, ROOT):
        if Path(path).is_relative_to(start):
            return Path(path).relative_to(start).as_posix()
    return path


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Serve the site and keep it up to date with the records.")
    parser.add_argument("--kb", type=Path, help="record folder (default: kb/)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--poll", action="store_true", help="look at the files again and again, where the system tells of no changes")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "serve", help="folder of the site that is served (default: build/serve/)")
    options = parser.parse_args(arguments)
    if _is_taken(options.port):
        print(f"port {options.port} is taken; choose another: --port {options.port + 1}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the shell that started this ignores the keys
        signal.signal(number, signal.default_int_handler)
    server = Server(options.kb, options.folder, options.port, poll=options.poll)
    try:
        server.bring_up_to_date()
        print(f"Serving at {server.url}; Ctrl-C ends it.", flush=True)
        server.serve()
    except KeyboardInterrupt:
        print("\nEnded.")
    finally:
        server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
