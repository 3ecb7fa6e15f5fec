"""The record of a sweep."""

from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import UserError
from framework.sweeps.record import RECORD, Cell, SweepRecord, read_sweep


@pytest.fixture
def record(tmp_path: Path) -> SweepRecord:
    cell = Cell(key="tiny-seed=1", recipe="tiny", bindings=("Trainer.steps=5",), grid={}, task="counting", seed=1)
    sweep = SweepRecord(
        folder=tmp_path / "sizes",
        name="sizes",
        command="dream sweep tiny",
        framework_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        tracking_uri="sqlite:///mlflow.db",
        parent_run_id=None,
        cells=(cell, replace(cell, key="tiny-seed=2", seed=2)),
    )
    sweep.folder.mkdir()
    sweep.write()
    return sweep


def test_reads_what_it_wrote(record: SweepRecord) -> None:
    changed = record.with_cell(replace(record.cells[1], status="failed", attempts=3, error="ValueError: é", folder="tiny-1"))
    changed.write()
    assert read_sweep(record.folder) == changed
    assert [each.status for each in changed.cells] == ["waiting", "failed"]


def test_names_the_sweeps_that_are_there_where_one_is_unknown(record: SweepRecord) -> None:
    with pytest.raises(UserError, match=r"^There is no sweep 'size' in .*; the sweeps there are: sizes\.$"):
        read_sweep(record.folder.parent / "size")


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"cells": [{}]}', '{"cells": 3}'])
def test_refuses_a_damaged_record_in_one_sentence(record: SweepRecord, damage: str) -> None:
    (record.folder / RECORD).write_text(damage)
    with pytest.raises(UserError, match=r"damaged .*; restore it from a copy\.$"):
        read_sweep(record.folder)
