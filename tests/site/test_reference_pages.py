"""The API reference: read without importing, complete, right, and linked with the records in both directions."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from atlas_pages import api, docstrings, reference, source_code

import taxonomy

ROOT = Path(__file__).resolve().parents[2]


def implemented(site) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return {record.id: link for record in site.records.values() if (link := getattr(record, "implementation", None))}


def test_every_implementation_has_an_entry_that_leads_back(built) -> None:  # type: ignore[no-untyped-def]
    found = implemented(built.site)
    assert len(found) > 100
    for id_, link in found.items():
        entry = api.entry_of(link)
        assert entry is not None, (id_, link)
        page = f"{built.site.records[id_].folder}/{id_}"
        html = built.html(entry.page.path.replace(".md", ".html"))
        own = html[html.index(f'id="{entry.anchor}"') :].split('class="api-name"')[0]
        assert f'href="../{page}.html"' in own, id_
        assert f'href="../reference/{entry.page.name}.html#{entry.anchor}"' in built.html(f"{page}.html"), id_


@pytest.mark.parametrize("package", ["taxonomy", "executable"])
def test_every_public_name_has_an_entry(package: str) -> None:
    if package == "executable":
        pytest.importorskip("torch")
    names = __import__(package).__all__
    assert source_code.public_names(package) == list(names)
    for name in names:
        assert api.entry_of(f"{package}:{name}") is not None, name


def test_the_methods_of_the_atlas_are_described() -> None:
    entry = api.entry_of("taxonomy.atlas:Atlas")
    assert entry is not None
    described = {member.name for member in entry.item.methods}
    public = {name for name, value in vars(taxonomy.atlas.Atlas).items() if not name.startswith("_") and getattr(value, "__doc__", None)}
    assert public <= described
    assert {"find", "why", "table", "compare", "choose"} <= described


def test_signatures_are_those_of_the_functions() -> None:
    pytest.importorskip("torch")
    import executable

    compared = 0
    for name in executable.__all__:
        value = getattr(executable, name)
        item = source_code.find("executable", name)
        assert item is not None
        if not inspect.isfunction(value):
            continue
        compared += 1
        inner = item.signature[len(name) + 1 : item.signature.rindex(")")].replace("\n    ", " ").strip().rstrip(",")
        namespace: dict[str, object] = {}
        exec(f"from __future__ import annotations\ndef {name}({inner}): pass", vars(sys.modules[value.__module__]).copy(), namespace)
        read = inspect.signature(namespace[name])  # type: ignore[arg-type]
        real = inspect.signature(value)
        assert [(p.name, p.kind) for p in read.parameters.values()] == [(p.name, p.kind) for p in real.parameters.values()], name
        assert [repr(p.default) for p in read.parameters.values()] == [repr(p.default) for p in real.parameters.values()], name
    assert compared > 60


def test_nothing_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.path[:0] = [{str(ROOT / 'site')!r}, {str(ROOT)!r}]\n"
        "from atlas_pages import api\n"
        "assert len(api.entries()) > 300\n"
        "assert not any(name.startswith('executable') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_pages_say_where_a_name_is_described_that_several_packages_export(built) -> None:  # type: ignore[no-untyped-def]
    html = built.html("reference/executable.html")
    assert 'href="executable.methods.perturbation.html#shapley_value"' in html
    assert 'id="shapley_value"' not in html


def test_every_page_of_the_reference_is_in_its_index(built) -> None:  # type: ignore[no-untyped-def]
    index = built.html("reference/index.html")
    for page in api.PAGES:
        assert f'href="{page.name}.html"' in index


def test_names_are_followed_through_imports_and_aliases() -> None:
    efficiency = source_code.find("executable.checks.axioms", "efficiency")
    assert efficiency is not None
    assert efficiency.file == "executable/checks/axioms.py"
    assert source_code.find("executable.checks.axioms", "completeness") == efficiency
    exported = source_code.find("executable", "shapley_value")
    assert exported is not None
    assert exported.file == "executable/methods/perturbation/shapley.py"
    assert source_code.find("executable", "no_such_name") is None
    with pytest.raises(LookupError, match=r"no module executable\.nowhere"):
        source_code.module_doc("executable.nowhere")


DOC = """Sum of `x` & <b>y</b>.

a = 1            (Eq. 1)
b = 22           (Eq. 2)

- one
- two
  goes on

Parameters
----------
x : Tensor of shape (batch, n)
    The $input | itself.
y

Returns
-------
Tensor of shape (n,)
    See `shapley_value`.

Example
-------
>>> f(1)
2

>>> f(2)
4
"""


def test_docstrings_become_html() -> None:
    text = docstrings.rendered(DOC, lambda name: f"[{name}]")
    assert "<p>Sum of [x] &amp; &lt;b&gt;y&lt;/b&gt;.</p>" in text
    assert '<pre class="doc-lines">a = 1    (Eq. 1)\nb = 22   (Eq. 2)</pre>' in text
    assert "<ul><li>one</li><li>two goes on</li></ul>" in text
    assert '<dt><code>x</code> <span class="type">Tensor of shape (batch, n)</span></dt>' in text
    assert "<dd><p>The &#36;input &#124; itself.</p></dd><dt><code>y</code></dt><dd></dd>" in text
    assert '<dt><span class="type">Tensor of shape (n,)</span></dt><dd><p>See [shapley_value].</p></dd>' in text
    assert "```pycon\n>>> f(1)\n2\n\n>>> f(2)\n4\n```" in text


def test_code_spans_link_to_what_they_name() -> None:
    page = next(page for page in api.PAGES if page.name == "executable.methods.perturbation")
    linked = reference._linker(page, page.name)
    assert linked("shapley_value") == '<a href="@/reference/executable.methods.perturbation.html#shapley_value"><code>shapley_value</code></a>'
    assert linked("taxonomy.load()").startswith('<a href="@/reference/taxonomy.html#load">')
    assert linked("x < 1") == "<code>x &lt; 1</code>"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark"), (360, "light")])
def test_pages_fit_the_window(opened, width: int, scheme: str) -> None:  # type: ignore[no-untyped-def]
    for path in (
        "reference/executable.metrics.html",
        "reference/taxonomy.atlas.html",
        "glossary.html",
        "sources/coverage.html",
        "tables/table-6.html",
    ):
        page = opened(path, width=width, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
