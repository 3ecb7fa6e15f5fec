"""Results of a measurement: rows of named values and the setting that they hold for, as a table, as JSON and as metrics."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

Value = float | int | str | None
Progress = Callable[[int, int, str], None]
"""Called with the number of finished parts, the number of all parts, and the name of the next part."""
UPRIGHT: Final = 12
"""A lone row with more values than this is printed with one value on each line."""


def silent(done: int, total: int, part: str) -> None:
    """Progress that nobody watches."""


@final
@dataclass(frozen=True)
class Row:
    """Values of one component or one configuration, in the order of their columns; `note` explains them, or why there are none."""

    name: str
    values: Mapping[str, Value]
    note: str = ""

    def __getitem__(self, key: str) -> Value:
        """None where the row has no such value."""
        return self.values.get(key)

    def number(self, key: str) -> float:
        """nan where the row has no such number."""
        value = self.values.get(key)
        return float(value) if isinstance(value, int | float) else math.nan


@final
@dataclass(frozen=True)
class Report:
    """All rows of one command. `kind` heads their names; `conditions` are the values under which the others were measured."""

    command: str
    kind: str
    title: str
    rows: Sequence[Row]
    setting: Mapping[str, Any]
    conditions: Sequence[str] = ()

    def json(self) -> dict[str, Any]:
        """Numbers that are not finite become null, since JSON has no others."""
        rows = [{self.kind: row.name, **{key: _finite(row[key]) for key in row.values}, "note": row.note} for row in self.rows]
        return {"rows": rows, "setting": {"command": self.command, **self.setting}}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column titles and rows of cells, without empty columns and without truth values, which the `mark` puts in words."""
        keys = dict.fromkeys(key for row in self.rows for key in row.values)
        flags = {key for row in self.rows for key, value in row.values.items() if isinstance(value, bool)}
        columns = {key: column for key in keys if key not in flags and any(column := [shown(row[key]) for row in self.rows])}
        if len(self.rows) == 1 and len(columns) > UPRIGHT:
            return [self.kind, self.rows[0].name], [[_heading(key), *column] for key, column in columns.items()]
        names = [row.name for row in self.rows]
        return [self.kind, *map(_heading, columns)], [list(cells) for cells in zip(names, *columns.values(), strict=True)]

    def notes(self) -> list[tuple[str, str]]:
        """Names and notes, each pair once."""
        return list(dict.fromkeys((row.name, row.note) for row in self.rows if row.note))

    def metrics(self) -> dict[str, float]:
        """Every finite number, named `row/condition_value/key`."""
        metrics: dict[str, float] = {}
        for row in self.rows:
            conditions = [f"{key}_{shown(row[key])}" for key in self.conditions if row[key] is not None]
            for key in row.values:
                if key not in self.conditions and not isinstance(row[key], bool) and math.isfinite(number := row.number(key)):
                    metrics["/".join([row.name, *conditions, key])] = number
        return metrics


def shown(value: Value) -> str:
    """Three decimals, or three digits below 0.001; whole from 1,000 on, with separated thousands. Integers below 10,000 as such."""
    if value is None or isinstance(value, str):
        return value or ""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 10_000:
        return str(int(value))
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 1e-3 else f"{value:.3g}"


def _heading(key: str) -> str:
    return "" if key == "mark" else key.replace("_per_second", "/s").replace("_per_update", " per update").replace("_", " ")


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
