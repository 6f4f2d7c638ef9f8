"""The stability promise: what is public is listed with its signatures in `public_api.txt`, and an accidental change fails here.

A change that is meant: `python tests/taxonomy/test_querying_api.py` writes the list anew; a line that goes away or changes needs an entry under
"Changes" in `site/pages/python.md`.
"""

import argparse
import dataclasses
import importlib
import inspect
import re
import sys
from pathlib import Path

from taxonomy import cli
from taxonomy.atlas import Atlas
from taxonomy.disk import put
from taxonomy.export import FORMATS
from taxonomy.querying.naming import words_of
from taxonomy.records import KINDS
from taxonomy.relations import RELATIONS

PACKAGES = ("taxonomy", "taxonomy.querying", "taxonomy.export", "taxonomy.guide", "taxonomy.records")
LIST = Path(__file__).parent / "public_api.txt"
PAGE = (Path(__file__).parents[2] / "site" / "pages" / "python.md").read_text(encoding="utf-8")


def signature(function):
    """A signature without the types it gives back in full: what a caller has to know."""
    found = inspect.signature(function)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    return re.sub(r"=<[^>]*>", "=...", str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty)))


def members(name, kind):
    """The public attributes of a class as lines."""
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set(getattr(kind, "model_fields", ()))
    yield from (f"{name}.{field}" for field in sorted(fields) if not field.startswith("_"))
    own = {member for base in kind.__mro__ if base.__module__.startswith("taxonomy") for member in vars(base)}
    for member in sorted(own - fields):
        value = inspect.getattr_static(kind, member)
        if member.startswith(("_", "model_")):
            continue
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        yield f"{name}.{member}{signature(value)}" if inspect.isfunction(value) else f"{name}.{member}"


def public_names():
    """Everything that a program may rely on, one to a line."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in sorted(module.__all__):
            item, path = getattr(module, name), f"{package}.{name}"
            if inspect.isclass(item):
                yield path
                yield from members(path, item)
            else:
                yield f"{path}{signature(item)}" if inspect.isfunction(item) else path
    yield from members("Atlas", Atlas)
    yield from (f"relation {name} / {relation.inverse}" for name, relation in sorted(RELATIONS.items()))
    for kind in KINDS:
        yield from (f"query {kind}: {word}" for word in sorted(words_of(kind)))
    yield from (f"format {name} ({item.standard})" for name, item in sorted(FORMATS.items()))
    yield from commands(cli.build_parser(), "atlas")


def commands(parser, path):
    """The options of a command, and its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in sorted(action.choices.items()):
                yield from commands(inner, f"{path} {name}")
        elif action.dest != "help":
            yield f"{path} {', '.join(action.option_strings) or action.dest.upper()}"


def text():
    return "\n".join(dict.fromkeys(public_names())) + "\n"


def test_nothing_public_changed_unnoticed():
    listed, found = LIST.read_text(encoding="utf-8").splitlines(), text().splitlines()
    gone, new = [line for line in listed if line not in found], [line for line in found if line not in listed]
    assert not gone, f"a promise is broken: say so under Changes in site/pages/python.md, then run {__file__}"
    assert not new, f"list it: python {__file__}"


def test_the_list_holds_what_the_page_promises():
    listed = LIST.read_text(encoding="utf-8")
    for name in ("taxonomy.load(kb=None, *, cache=True)", "taxonomy.check(kb=None)", "Atlas.find(self, name, kind=None)", "atlas export --all"):
        assert name in listed, name
    promised = PAGE.split("## What stays as it is")[1]
    for name in ("taxonomy.load", "taxonomy.check", "taxonomy.records", "Selection", "Answer", "the query language", "`atlas`"):
        assert name in promised
    assert "public_api.txt" in promised


def test_a_change_would_be_noticed(monkeypatch):
    before = text()
    monkeypatch.setattr(Atlas, "find", lambda self, name: None)
    assert "Atlas.find(self, name, kind=None)" in before
    assert "Atlas.find(self, name, kind=None)" not in text()


def test_the_list_is_the_same_in_every_process():
    assert not re.search(r" at 0x[0-9a-f]+", LIST.read_text(encoding="utf-8"))


if __name__ == "__main__":
    put(LIST, text())
    sys.exit(print(f"wrote {LIST}"))
