"""Names, references, duplicates, and the YAML and Python text that new records are made of."""

import ast
import random
import string
from pathlib import Path

import pytest
import yaml

from taxonomy.authoring import listings, names
from taxonomy.authoring.citation import CitationError, doi_of, formatted, proposed_key, recognise, with_entry
from taxonomy.authoring.code import code_for
from taxonomy.authoring.duplicates import likely
from taxonomy.authoring.exports import ExportError, exported, with_export, with_import
from taxonomy.authoring.files import UnreadableError, tree_of
from taxonomy.authoring.order import field_order, in_order
from taxonomy.authoring.plan import AuthoringError, plain_text
from taxonomy.authoring.yaml_text import alike, entry, item, quoted, record_text
from taxonomy.bibliography import parse
from taxonomy.loading import RESERVED, read_folder
from taxonomy.records import KINDS
from taxonomy.store import packaged_kb

ROOT = Path(__file__).parents[2]
ENTRY = "@article{x, author={Öztürk, Ada and de la Cruz, Bo}, title={The {LIME}s of Émile}, year={2021}, doi={10.5555/ABC.1}}"


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Guided Integrated Gradients", "guided-integrated-gradients"), ("LRP-ε", "lrp-epsilon"), ("Grad×Input", "grad-times-input"),
            ("L2X: (new)", "l2x-new"), ("Éclair & Øre", "eclair-and-ore"), ("  -- ", ""), ("../../etc/passwd", "etc-passwd"),
        ],
    )  # fmt: skip
    def test_slug(self, name, expected):
        assert names.slug(name) == expected
        assert not expected or names.faulty_id(expected) is None

    @pytest.mark.parametrize(
        "id_",
        [
            "",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "A",
            "a--b",
            "-a",
            "a-",
            "a b",
            "a\n",
            "a.yaml",
            "C:x",
            "con",
            "lpt1",
            "index",
            "a" * 81,
            "ｇrad",
            "grаd",
            "a\u200bb",
            "a\x00",
        ],
    )
    def test_what_is_no_id(self, id_):
        assert names.faulty_id(id_)

    def test_a_strange_letter_is_named(self):
        assert "CYRILLIC SMALL LETTER A" in names.faulty_id("gr\u0430d")

    def test_every_slug_is_an_id_or_empty(self):
        chance = random.Random(0)
        letters = string.printable + "éßøЖ漢×ε\u202e\u200b🙂"
        for _ in range(2000):
            slug = names.slug("".join(chance.choices(letters, k=chance.randrange(100))))
            assert slug == "" or names.faulty_id(slug) is None or slug in RESERVED

    def test_what_is_reserved_is_no_id_here_and_no_record_there(self, kb):
        for id_ in RESERVED:
            assert "is reserved" in names.faulty_id(id_)
        (kb / "methods" / "index.yaml").write_text((kb / "methods" / "removal.yaml").read_text().replace("id: removal", "id: index"))
        assert "`index` is reserved" in "\n".join(problem.message for problem in read_folder(kb).problems)

    @pytest.mark.parametrize(
        "text", ["a\u202eb", "a\u200bb", "a\x1b[31m", "a\nb", "a\ufeffb", "Grаdient", "Αttention", "Ｇradient", "", "a  b", "a\u0301"]
    )
    def test_what_is_no_name(self, text):
        with pytest.raises(AuthoringError, match="alias: "):
            plain_text("alias", text)

    @pytest.mark.parametrize("text", ["LRP-ε", "Grad×Input", "Aumann–Shapley value", "α-β rule", "Éclair"])
    def test_names_in_use(self, text):
        assert plain_text("name", text) == text

    def test_functions(self):
        assert names.function_name("lrp-0") == "lrp_0"
        assert names.function_name("lambda") == "lambda_"
        assert names.function_name("2-step") == "method_2_step"
        assert names.faulty_function("os.system") is not None
        assert names.faulty_function("class") is not None


class TestReferences:
    def test_known_by_key_and_doi(self):
        known = parse("@misc{a2020b, author={A, B}, title={C}, year={2020}, doi={10.1234/AbC}}")
        assert recognise("a2020b", known).key == "a2020b"
        for text in ("10.1234/abc", "https://doi.org/10.1234/ABC", "doi: 10.1234/abc."):
            assert recognise(text, known).key == "a2020b"

    def test_new_entry_gets_a_key_of_the_house(self):
        found = recognise(ENTRY, {})
        assert found.key == "ozturk2021limes"
        assert parse(found.added)[found.key].title == "The LIMEs of Émile"

    def test_work_that_is_there_is_not_added_again(self):
        known = {"other2021key": parse(ENTRY.replace("{x,", "{other2021key,"))["other2021key"]}
        for text in (ENTRY, ENTRY.replace(", doi={10.5555/ABC.1}", ""), ENTRY.replace("The {LIME}s of Émile", "Another title")):
            found = recognise(text, known)
            assert (found.key, found.added) == ("other2021key", "")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("10.9999/none", "no entry of references.bib has the DOI 10.9999/none; nothing is looked up"),
            ("ozturk2021lime", "did you mean `ozturk2021limes`"),
            ("@article{x, title={T", "does not parse"),
            ("@article{x, title={T}, year={2020}}", "lacks author"),
            (ENTRY + ENTRY.replace("{x,", "{y,"), "one BibTeX entry is expected, not 2"),
        ],
    )
    def test_errors(self, text, message):
        with pytest.raises(CitationError, match=message):
            recognise(text, {"ozturk2021limes": parse("@misc{k, author={A}, title={B}, year={2000}}")["k"]})

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("The {LIME}s", "<b>The</b> limes", "markup `<b` is not allowed in references.bib; write plain text, and a formula between dollar signs"),
            ("doi={10.5555/ABC.1}", "url={ftp://x.org/a}", "is no address; a `url` begins with https:// or http://"),
            ("doi={10.5555/ABC.1}", "crossref={other}", "field `crossref` is not allowed; write the fields out"),
            ("doi={10.5555/ABC.1}", "doi={10.5555/a b}", "holds a sign that no address has"),
            ("@article", "@string{a={b}}\n@article", "`@string` is not allowed"),
            ("The {LIME}s", "The\u200bLIMEs", "ZERO WIDTH SPACE"),
        ],
    )
    def test_what_the_check_would_refuse_is_not_taken(self, old, new, message):
        assert old in ENTRY
        with pytest.raises(CitationError, match=r"cannot stand in references\.bib: ") as error:
            recognise(ENTRY.replace(old, new), {})
        assert message in str(error.value)

    def test_an_entry_that_does_not_parse_is_no_error_in_the_records(self):
        with pytest.raises(CitationError) as error:
            recognise("@article{x, title={T", {})
        assert str(error.value) == "the entry cannot be read: BibTeX does not parse: syntax error in line 1: premature end of file"

    def test_a_key_of_another_form_is_made_anew(self):
        found = recognise(ENTRY.replace("{x,", "{Öz/2021,"), {})
        assert (found.key, "its key becomes" in found.note) == ("ozturk2021limes", True)
        assert recognise(ENTRY.replace("{x,", "{ozturk2021limes,"), {}).note == ""

    def test_works_of_one_issue_with_older_dois_are_two(self):
        doi = "10.1002/(SICI)1097-0258(19980815)17:15<{}::AID-SIM968>3.0.CO;2-2"
        first, second = (ENTRY.replace("10.5555/ABC.1", doi.format(page)).replace("Émile", page) for page in ("1661", "1703"))
        known = {"first": parse(recognise(first, {}).added).popitem()[1]}
        assert recognise(second, known).added
        assert recognise(first, known).added == ""
        assert recognise(f"see https://doi.org/{doi.format('1661')}.", known).note.startswith("DOI ")

    def test_entry_without_a_key(self):
        assert recognise(ENTRY.replace("{x,", "{,"), {}).key == "ozturk2021limes"

    def test_most_keys_of_the_base_are_made_so(self):
        entries = parse((packaged_kb() / "references.bib").read_text(encoding="utf-8"))
        agree = sum(proposed_key(entry, {}) == key for key, entry in entries.items())
        assert agree > 0.9 * len(entries)

    def test_every_entry_of_the_base_survives_formatting(self):
        entries = parse((packaged_kb() / "references.bib").read_text(encoding="utf-8"))
        for key, one in entries.items():
            again = parse(formatted(one, key))[key]
            assert (again.fields, again.authors, again.type) == (one.fields, one.authors, one.type)

    def test_put_in_by_its_key(self):
        text = "@misc{a, x={1}}\n\n@misc{c, x={1}}\n"
        assert with_entry(text, "b", "@misc{b}\n") == "@misc{a, x={1}}\n\n@misc{b}\n\n@misc{c, x={1}}\n"
        assert with_entry(text, "d", "@misc{d}\n") == text + "\n@misc{d}\n"
        assert with_entry("", "d", "@misc{d}\n") == "@misc{d}\n"

    def test_doi(self):
        assert doi_of("see https://dx.doi.org/10.1000/X.y-1, p. 3") == "10.1000/x.y-1"
        assert doi_of("10.x") is None


class TestDuplicates:
    @pytest.mark.parametrize(
        ("name", "id_", "certain"),
        [
            ("Integrated gradients", "integrated-gradients", True), ("InteGrads", "integrated-gradients", True),
            ("Integrated-Gradients!", "integrated-gradients", True), ("Integratd Gradients", "integrated-gradients", False),
        ],
    )  # fmt: skip
    def test_by_name(self, kb_atlas, name, id_, certain):
        found = {one.id: one.certain for one in likely("method", [name], None, kb_atlas.records)}
        assert found.get(id_) is certain

    def test_by_reference(self, kb_atlas):
        found = likely("method", ["Something else entirely"], "sundararajan2017axiomatic", kb_atlas.records)
        assert "integrated-gradients" in [one.id for one in found]
        assert not any(one.certain for one in found)

    def test_another_kind_is_another_thing(self, kb_atlas):
        assert likely("library", ["Integrated Gradients"], None, kb_atlas.records) == []


class TestYaml:
    @pytest.mark.parametrize(
        "value",
        [
            "plain", "a: b", "# x", "- x", "it's", '"q"', "yes", "{x", "[1]", "*a", "&a", "!t", "%d", "@x", "`x`", "a #b", "a_i = \\frac{1}{2}",
            "x: ", "1.0", "é", "|", ">",
        ],
    )  # fmt: skip
    def test_every_text_comes_back(self, value):
        assert yaml.load(entry("name", value), yaml.BaseLoader) == {"name": value}
        assert yaml.load(item({"a": value, "b": [value]}, ""), yaml.BaseLoader) == [{"a": value, "b": [value]}]

    def test_long_prose_is_folded_and_keeps_its_paragraphs(self):
        value = "word " * 80 + "end.\n\n" + "other " * 70 + "end."
        text = entry("summary", value)
        assert max(map(len, text.splitlines())) <= 150
        assert alike(yaml.load(text, yaml.BaseLoader)["summary"], value)

    @pytest.mark.parametrize("value", ["x" * 200, "word " * 60 + "end"])
    def test_long_text_gains_no_line_end(self, value):
        assert yaml.load(entry("name", value), yaml.BaseLoader) == {"name": value}

    def test_two_texts_are_not_alike(self):
        assert not alike("a b", "ab")
        assert not alike("a\n\nb", "a b")
        assert not alike({"a": "1"}, {"b": "1"})

    def test_names_that_need_quotes(self):
        assert quoted("a: b") == "'a: b'"
        assert quoted("Table III", in_flow=True) == "Table III"
        assert quoted("Table III, row x", in_flow=True) == "'Table III, row x'"

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_record_names_every_field(self, kind):
        text = record_text(kind, {"id": "x", "name": "X", "summary": "S."})
        fields = {info.alias or name for name, info in KINDS[kind].model_fields.items()}
        for field in fields - {"status", "definitional", "check"}:
            assert f"\n# {field}: " in text or f"\n{field}: " in text, field
        uncommented = [line.removeprefix("# ") for line in text.splitlines() if ": " in line and line.startswith("# ") and line[2].islower()]
        for line in uncommented:
            if line.split(":")[0] in fields:
                yaml.load(line, yaml.BaseLoader)

    @pytest.mark.parametrize("kind", KINDS)
    def test_order_has_every_field_once(self, kind):
        fields = [info.alias or name for name, info in KINDS[kind].model_fields.items()]
        assert sorted(set(field_order(kind))) == sorted(fields)
        assert field_order(kind)[:2] == ("id", "name")
        assert in_order(kind, ["unknown", "summary", "id"]) == ["id", "summary", "unknown"]


class TestExports:
    PATHS = sorted(path.relative_to(ROOT) for path in (ROOT / "executable" / "methods").glob("*/__init__.py"))

    @pytest.mark.parametrize("path", [Path("executable/__init__.py"), Path("executable/methods/__init__.py"), *PATHS], ids=str)
    @pytest.mark.parametrize("name", ["aaa_first", "mmm_middle", "zzz_last"])
    def test_own_packages(self, path, name):
        before = (ROOT / path).read_text(encoding="utf-8")
        package = ".".join(path.parts[:-1])
        module = {"executable": "executable.methods", "executable.methods": "executable.methods.perturbation"}.get(package, f"{package}.{name}_x")
        after = with_export(before, module, name)
        assert f"from {module} import" in after
        tree = ast.parse(after)
        listed = next(node for node in tree.body if isinstance(node, ast.Assign)).value
        assert name in [constant.value for constant in listed.elts]
        removed = [line for line in before.splitlines() if line not in after.splitlines()]
        assert all("import" in line or "__all__" in line for line in removed)
        assert max(map(len, after.splitlines())) <= 150

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("from a.b import x\n__all__ = ['x']\n", "is defined there already"),
            ("__all__ = ['y']\n", "no imports"),
            ("from a.b import y\n", "no `__all__`"),
            ("from a.b import y\n__all__ = [*y]\n", "no `__all__`"),
            ("from a.b import y as z\n__all__ = ['z']\n", "renames"),
        ],
    )
    def test_what_is_left_to_its_author(self, text, message):
        with pytest.raises(ExportError, match=message):
            with_export(text, "a.b", "x")

    @pytest.mark.parametrize(("text", "line"), [("\ndef (", 2), ("x = 1\0", 1), ("(" * 100_000, 1)])
    def test_what_is_no_python(self, text, line):
        for read in (tree_of, exported, lambda text: with_export(text, "a.b", "x"), lambda text: with_import(text, "a.b", "x")):
            with pytest.raises(UnreadableError, match=rf"^line {line}: not valid Python: .") as error:
                read(text)
            assert error.value.line == line

    def test_a_file_that_cannot_be_read_is_left_to_its_author_with_the_reason(self, tmp_path):
        for file, content in (("executable/__init__.py", b"x = 1\ny = (\n"), (listings.GALLERY, b"x = (\n"), (listings.CATALOGUE, b"x = 1\n\xff\n")):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(content)
        words = {"id_": "new-one", "name": "New one", "function": "new_one", "module": "new_one_method", "citation": "X, Y, 2020", "access": None}
        left = code_for(tmp_path, family="perturbation", **words).left
        missing = [f"{file}/__init__.py: import `new_one`" for file in ("executable/methods/perturbation", "executable/methods")]
        reasons = [
            "No such file",
            "No such file",
            "line 2: not valid Python: '(' was never closed",
            "line 1: not valid Python",
            "line 2: not UTF-8: byte 0xff",
        ]
        files = [*missing, "executable/__init__.py: import", listings.GALLERY, listings.CATALOGUE]
        assert all(text.startswith(file) and reason in text for text, file, reason in zip(left, files, reasons, strict=True))
