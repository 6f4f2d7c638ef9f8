"""Pages about the code behind the methods: which function, what proves it right, how other libraries compare, how fast it is."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import networkx

from atlas_pages.claims import short, to
from atlas_pages.context import Site, address
from atlas_pages.markup import badge, box, bullets, code, escape, few, fold, link, one_line, paragraphs, plural, section, table
from atlas_pages.parts import index_front
from taxonomy.authoring.listings import UNAUDITED
from taxonomy.conformance import ComparedCase, ComparedMethod, Verdict
from taxonomy.coverage import method_status
from taxonomy.records import Method

MOST_SHOWN = 5
"""Names in a cell of the audits' table; the rest opens on demand."""

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "agrees": ("holds", "the same numbers in every setting tried"),
    "agrees under options": ("holds-under-condition", "the same numbers once the library's options are set as given"),
    "agrees in part": ("empirical", "the same numbers on some models or inputs; on others no option tried helps"),
    "differs": ("fails", "other numbers in every setting tried"),
}


def verdict_badge(verdict: Verdict) -> str:
    """Badge of a comparison's outcome."""
    css, meaning = VERDICTS[verdict]
    return badge(verdict, f"run {css}", title=meaning)


def implementations(site: Site) -> str:
    """Every method with its function, what proves it right, and the libraries it was compared with."""
    found = method_status(site.atlas)
    rows = []
    for item in sorted(found, key=lambda item: site.records[item.id].name.casefold()):
        record = site.records[item.id]
        function = code(item.function.partition(":")[2]) if item.function else badge(item.status, item.status) if item.status == "stub" else "–"
        peers = "<br>".join(f"{code(name)} {verdict_badge(verdict)}" for name, verdict in item.peers.items())  # type: ignore[arg-type]
        rows.append([to(record), function, ", ".join(item.oracles) or "–", peers or "–"])
    written = sum(item.function is not None for item in found)
    return paragraphs(
        index_front("Implementations", "Every method with its function and what proves that function right.", hide=["navigation", "toc"]),
        f"{written} of {plural(len(found), 'method')} have a reference function in PyTorch. Each is proven by something other than itself: a closed "
        "form, a brute-force or symbolic computation, a rule written out in matrix form, or an independent library. `atlas methods --status` prints "
        f"this table. More on {link('how other libraries compare', '@/implementations/conformance.md')} and on "
        f"{link('speed', '@/implementations/speed.md')}.",
        box("scroll functions", table(["Method", "Function", "Proven by", "Other libraries"], rows)),
    ) + "\n"  # fmt: skip


def audits(site: Site) -> str:
    """What the audit takes each reference function for, by its numbers alone: the confusion table."""
    rows = []
    for record in sorted((site.records[name] for name in site.atlas.audits), key=lambda record: record.name.casefold()):
        report = site.atlas.audits[record.id]
        taken = ", ".join(to(site.records[other]) for other in report.identified) or "none"
        partly = sorted({item.method for item in report.coincidences if item.relation == "equal"} - set(report.identified))
        some = few([to(site.records[other], text=short(site.records[other])) for other in partly], MOST_SHOWN)
        cost = "; ".join(f"{c.evaluations:,g} + {c.gradients:,g}" for c in report.cost[:1]) or "–"
        rows.append([to(record), taken, some, cost])
    found = sum(name in report.identified for name, report in site.atlas.audits.items())
    taken = {name: set(report.identified) for name, report in site.atlas.audits.items()}
    mutual = networkx.Graph((name, other) for name in taken for other in taken[name] if other != name and name in taken.get(other, ()))
    classes = sorted(sorted(names) for names in networkx.find_cliques(mutual))
    left: dict[str, list[str]] = defaultdict(list)
    for name, why in UNAUDITED.items():
        if name in site.records:
            left[why].append(to(site.records[name]))
    return paragraphs(
        index_front("Audited", "What the audit takes each reference function for, by its numbers alone.", hide=["navigation"]),
        "`atlas audit package.module:function` puts any attribution function through the axioms and principles, reads off its weights, and "
        "compares its numbers with those of every reference function on some forty small settings. Names and code are not looked at. Here it was "
        f"put to the reference functions themselves: {found} of {len(rows)} were recognised.",
        section("Methods it cannot ask", bullets(f"{why.rstrip('.')}: {', '.join(names)}" for why, names in left.items()), anchor="unaudited"),
        section("Methods taken for each other", bullets(", ".join(to(site.records[m]) for m in names) for names in classes), anchor="classes"),
        section(
            "Each function and what it was taken for",
            box("scroll", table(["Function of", "Taken for", "The same on some testbeds", "Evaluations + gradients"], rows)),
            anchor="table",
        ),
    ) + "\n"  # fmt: skip


def compared(site: Site) -> dict[str, dict[str, list[ComparedMethod]]]:
    """What was compared, by method and library."""
    found: dict[str, dict[str, list[ComparedMethod]]] = defaultdict(lambda: defaultdict(list))
    for library in site.atlas.conformance.values():
        for item in library.methods:
            found[item.method][library.library].append(item)
    return found


def conformance(site: Site) -> str:
    """Methods by libraries, then every case."""
    by_method = compared(site)
    libraries = sorted(site.atlas.conformance)
    heads = [f"{to(site.records[name])} {escape(site.atlas.conformance[name].version)}" for name in libraries]
    rows = []
    for method, by_library in sorted(by_method.items()):
        cells = ["<br>".join(link(item.verdict, f"#{_anchor(item)}", css=f"verdict .mark .{VERDICTS[item.verdict][0]}", title=item.name)
                          for item in by_library.get(name, [])) for name in libraries]  # fmt: skip
        rows.append([to(site.records[method]), *cells])
    cases = sum(len(item.cases) for by_library in by_method.values() for items in by_library.values() for item in items)
    meaning = bullets(f"{verdict_badge(verdict)} – {text}." for verdict, (_, text) in VERDICTS.items())
    torch = ", ".join(sorted({found.torch for found in site.atlas.conformance.values()}))
    return paragraphs(
        index_front("Other libraries", "Which library computes which method as it is defined, and where they differ.", hide=["navigation"]),
        "The same models and inputs were put to the reference functions and to the libraries that have the method, in double precision. A "
        "difference counts relative to the largest attribution; two computations agree within $10^{-6}$, Monte Carlo estimates within five standard "
        f"errors. Every difference has been traced to its cause. {plural(cases, 'case')}, torch {escape(torch)}; `atlas conformance` reruns them.",
        meaning,
        section("At a glance", box("scroll", table(["Method", *heads], rows)) if rows else "Nothing has been compared yet.", anchor="table"),
        *(_method_cases(site, method, by_library) for method, by_library in sorted(by_method.items())),
    ) + "\n"  # fmt: skip


def _anchor(item: ComparedMethod) -> str:
    return f"{item.method}-{item.name.replace('.', '-').lower()}"


def _method_cases(site: Site, method: str, by_library: dict[str, list[ComparedMethod]]) -> str:
    parts = []
    for items in by_library.values():
        for item in items:
            head = f'<span id="{_anchor(item)}"></span>{code(item.name)} {verdict_badge(item.verdict)}'
            parts.append(paragraphs(head, fold(plural(len(item.cases), "case"), box("scroll cases", cases_table(item)))))
    return section(escape(site.records[method].name), paragraphs(*parts), anchor=method, searched=False)


def cases_table(item: ComparedMethod) -> str:
    """Setting, options, error and reason of every case."""
    rows = [[one_line(case.setting), one_line(case.options) if case.options else "defaults", _error(case), one_line(case.because or "")]
            for case in item.cases]  # fmt: skip
    return table(["Model and input", "Called with", "Error", "Why it differs"], rows)


def _error(case: ComparedCase) -> str:
    if case.agrees:
        return f"{badge('agrees', 'run holds')} ≤ {_power(case.tolerance)}"
    return f"{badge('differs', 'run fails')} {'not finite' if case.error is None else _power(case.error)}"


def _power(value: float) -> str:
    return f"{value:.2g}" if 1e-3 <= value < 1e4 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def proofs(site: Site, record: Method) -> list[str]:
    """What proves a method's function right, one line each, for the method's page."""
    root = f"{site.repository}/blob/main/" if site.repository else ""
    lines = []
    for oracle in record.oracles:
        file, _, test = oracle.test.partition("::")
        name = f"[{code(test)}]({root}{file})" if root else code(test)
        lines.append(f"{escape(oracle.kind)}: {one_line(oracle.what)} ({name})")
    return lines


def in_libraries(site: Site, record: Method) -> str:
    """How other libraries compare with a method's function, for the method's page."""
    parts = []
    for library, items in sorted(compared(site).get(record.id, {}).items()):
        version = escape(site.atlas.conformance[library].version)
        for item in items:
            head = f"{to(site.records[library])} {version}, {code(item.name)}: {verdict_badge(item.verdict)}"
            parts.append(paragraphs(head, fold(plural(len(item.cases), "case"), box("scroll cases", cases_table(item)))))
    body = paragraphs(*parts, _only_named(site, record))
    return box("data", body) if body else ""


def _only_named(site: Site, record: Method) -> str:
    done = {(library, item.name) for library, items in compared(site).get(record.id, {}).items() for item in items}
    rest = [
        f"{to(library)} {code(item.name)}"
        for library in site.of_kind("library") for item in library.provides if item.method == record.id and (library.id, item.name) not in done
    ]  # fmt: skip
    return f"Also in {', '.join(rest)}; not compared." if rest else ""


WHERE_THE_TIME_GOES = (
    "Averages of gradients are forward and backward passes of the model and little else, in every library. What differs is how many rows are "
    "given to the model at once: few enough to stay in fast memory here, all steps of an input at once in Captum unless told otherwise. How "
    "close Captum comes with its best batching stands beside each network.",
    "Occlusion is forward passes. They alone take as long as Captum with its best setting, so that nothing is left to gain.",
    "Rules of relevance that look at the weights need the layers' parts of either sign, a second or third pass over every layer.",
    "Of the games, most of the time is the evaluation of the coalitions; the rest goes into the masks and the sums over coalitions.",
)


def speed(site: Site) -> str:
    """The recorded benchmark as tables."""
    found: dict[str, Any] | None = site.benchmarks
    if not found:
        body = "No benchmark has been recorded; `make bench` runs them."
    else:
        body = paragraphs(
            f"Measured on {escape(found['machine'])} with {plural(found['threads'], 'thread')}, torch {escape(found['torch'])}. Contenders ran in "
            "turn; the table gives medians. A ratio below 1 means that the reference function is faster. The floor is the bare forward and backward "
            "passes that the definition needs. A goal that is missed is shown as missed.",
            bullets(WHERE_THE_TIME_GOES),
            *(_speed_table(site, name, rows) for name, rows in found["tables"].items()),
        )  # fmt: skip
    return paragraphs(
        index_front("Speed", "Times of the reference functions against other libraries and against the floor.", hide=["navigation"]),
        "Ratios of times measured side by side on one machine; absolute times elsewhere will differ.",
        body,
    ) + "\n"  # fmt: skip


def _speed_table(site: Site, name: str, rows: list[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        record = site.records.get(row["method"])
        what = f"[{escape(row['work'])}]({address(record)})" if record else escape(row["work"])
        against = [f"{escape(peer['name'])} {peer['ratio']:.2f}" if peer.get("ratio") is not None else escape(peer["name"]) for peer in row["peers"]]
        floor = f"{row['floor']:.2f}" if row.get("floor") is not None else "–"
        ours = f"{row['ours']:.3g}" if "unit" in row else f"{row['ours']:.1f}"
        cells.append([what, ours, floor, "<br>".join(against) or "–", one_line(row["goal"]), row["met"]])
    return section(
        escape(name), box("scroll", table(["Work", f"Ours ({rows[0].get('unit', 'ms')})", "To the floor", "To peers", "Goal", "Met"], cells))
    )
