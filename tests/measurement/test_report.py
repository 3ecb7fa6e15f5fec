"""Reports as tables, JSON and metrics."""

import math

import pytest

from framework.measurement.report import Report, Row, shown


def report(*rows: Row) -> Report:
    return Report("bounds", "bound", "Bounds.", rows, {"seed": 3}, conditions=("truth", "K"))


ROWS = (
    Row("NWJ", {"truth": 2.0, "K": 64, "mean": 1.5, "mark": "no bound", "is_lower_bound": False, "std": math.nan, "empty": None}, "why"),
    Row("FLO", {"truth": 2.0, "K": None, "mean": None, "ms_per_update": 12.3456}, "why"),
)


def test_the_table_has_a_column_for_each_value_that_some_row_has() -> None:
    columns, cells = report(*ROWS).table()
    assert columns == ["bound", "truth", "K", "mean", "", "std", "ms per update"]
    assert cells == [["NWJ", "2", "64", "1.500", "no bound", "nan", ""], ["FLO", "2", "", "", "", "", "12.346"]]


def test_a_lone_row_of_many_values_stands_upright() -> None:
    columns, cells = report(Row("all", {f"{index}_per_second": index for index in range(20)})).table()
    assert columns == ["bound", "all"]
    assert cells[3] == ["3/s", "3"]


def test_json_has_null_for_numbers_that_are_not_finite() -> None:
    written = report(*ROWS).json()
    assert written["setting"] == {"command": "bounds", "seed": 3}
    first, second = written["rows"]
    assert first == {"bound": "NWJ", **ROWS[0].values, "std": None, "note": "why"}
    assert second["note"] == "why"


def test_metrics_are_named_by_row_and_conditions() -> None:
    assert report(*ROWS).metrics() == {"NWJ/truth_2/K_64/mean": 1.5, "FLO/truth_2/ms_per_update": 12.3456}


def test_a_note_that_rows_share_stands_once_for_each_name() -> None:
    assert report(*ROWS, ROWS[0]).notes() == [("NWJ", "why"), ("FLO", "why")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("log", "log"),
        (7, "7"),
        (2.0, "2"),
        (1.99999, "2.000"),
        (1.23e-5, "1.23e-05"),
        (7870.1, "7,870"),
        (20480, "20,480"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_is_shown_as_people_read_it(value: float | str | None, text: str) -> None:
    assert shown(value) == text
