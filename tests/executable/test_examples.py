"""The tables of worked examples, cell by cell, against what their checks recompute."""

import pytest

from executable.checks import CHECKS
from taxonomy.loading import read_folder
from taxonomy.store import packaged_kb

EXAMPLES = [record for record in read_folder(packaged_kb()).records.values() if record.kind == "example"]


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: record.id)
def test_every_number_of_the_record_is_recomputed(record):
    parameters = CHECKS[record.check](f"{record.id}/statement").parameters
    rows = [] if record.values is None else [list(row) for row in record.values.rows]
    assert parameters.get("values", []) == rows


def test_there_are_examples_with_and_without_a_table():
    assert {record.values is None for record in EXAMPLES} == {True, False}
