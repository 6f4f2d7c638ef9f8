"""The files of rerun studies: read as written, and checked against the records."""

import json

import pytest
from pydantic import ValidationError

import taxonomy
from taxonomy.cli import main
from taxonomy.reproduction import Chart, Grid, Reproduction, ResultTable, Series, load, read, survey, write


def made(study="fitting-error-study", **changes):
    return Reproduction(**({
        "study": study, "script": "a:b", "question": "Why?", "setup": "S.", "finding": "F.", "seed": 1, "not_comparable": ("All.",),
        "charts": (Chart(id="c", title="C", caption="C.", x_label="x", y_label="y", series=(Series(name="s", method="lime", x=(1,), y=(2,)),)),),
        "grids": (Grid(id="g", title="G", caption="G.", columns=("a", "b"), rows=("r",), cells=((((1.0,),), None),)),),
        "tables": (ResultTable(id="t", title="T", caption="T.", columns=("a", "b"), rows=(("x", None), ("3", 1.5))),),
    } | changes))  # fmt: skip


def test_what_is_written_is_read_again(tmp_path):
    path = write(made(), tmp_path)
    assert path == tmp_path / "reproductions" / "fitting-error-study.json"
    assert read(path) == made()
    assert load(tmp_path) == {"fitting-error-study": made()}
    text = json.loads(path.read_text(encoding="utf-8"))
    assert text["charts"][0]["x-label"] == "x"
    assert text["grids"][0]["cells"] == [[[[1.0]], None]]
    assert text["tables"][0]["rows"] == [["x", None], ["3", 1.5]]


def test_strangers_and_misplaced_files_are_problems(tmp_path):
    records = taxonomy.load().records
    write(made(), tmp_path)
    assert survey(tmp_path, records) == ({made().study: made()}, [])
    write(made("fitting-eror-study"), tmp_path)
    chart = made().charts[0]
    strange = chart.model_copy(update={"series": (Series(name="s", method="limee", x=(1,), y=(1,)),)})
    write(made("infidelity-study", charts=(strange,)), tmp_path)
    (tmp_path / "reproductions" / "lime.json").write_text(made().to_json(), encoding="utf-8")
    (tmp_path / "reproductions" / "rise.json").write_text('{"study": "rise"}', encoding="utf-8")
    found = {problem.file.rpartition("/")[2]: problem.message for problem in survey(tmp_path, records)[1]}
    assert "did you mean" in found["fitting-eror-study.json"]
    assert "no method `limee`" in found["infidelity-study.json"]
    assert "belongs in fitting-error-study.json" in found["lime.json"]
    assert "not a valid reproduction" in found["rise.json"]
    assert len(found) == 4


def test_recorded_ones_are_found_by_any_name(capsys):
    assert main(["reproduce", "--recorded", "nope"]) == 1
    assert "no record is known as `nope`; try `atlas list`" in capsys.readouterr().err
    assert main(["reproduce", "--recorded", "lime"]) == 1
    assert "no reproduction of `lime` is recorded; " in capsys.readouterr().err
    name = taxonomy.load().record("infidelity-study").name
    assert main(["reproduce", "--recorded", name]) == 0
    assert capsys.readouterr().out.startswith("infidelity-study\treproduction\n")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Series(name="s", x=(1, 2), y=(1,)),
        lambda: Series(name="s", x=(1,), y=(1,), low=(1,)),
        lambda: Grid(id="g", title="G", caption="G.", columns=("a",), rows=("r",), cells=((None, None),)),
        lambda: ResultTable(id="t", title="T", caption="T.", columns=("a", "b"), rows=(("x",),)),
    ],
)
def test_shapes_must_fit(build):
    with pytest.raises(ValidationError):
        build()
