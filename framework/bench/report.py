"""What a measurement comes to: rows of numbers, and all that they depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

Value = float | int | str | None


@final
@dataclass(frozen=True)
class Row:
    """One thing that was measured; the key of each number ends in its unit."""

    name: str
    values: Mapping[str, Value]


@final
@dataclass(frozen=True)
class Report:
    """All the rows of one command; `setting` is what they hold for: recipe, sizes, machine, versions, commit."""

    command: str
    title: str
    rows: Sequence[Row]
    setting: Mapping[str, Any]
    notes: Sequence[str] = ()

    def json(self) -> dict[str, Any]:
        rows = [{self.command: row.name, **row.values} for row in self.rows]
        return {"rows": rows, "setting": {"command": self.command, **self.setting}, "notes": list(self.notes)}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells. A lone row stands upright, one number to a line."""
        keys = list(dict.fromkeys(key for row in self.rows for key, value in row.values.items() if value is not None))
        if len(self.rows) == 1:
            (row,) = self.rows
            return [self.command, row.name], [[spoken(key), shown(row.values.get(key))] for key in keys]
        cells = [[row.name, *(shown(row.values.get(key)) for key in keys)] for row in self.rows]
        return [self.command, *map(spoken, keys)], cells


def spoken(key: str) -> str:
    """A key as a column is headed."""
    return key.replace("_per_second", "/s").replace("_per_update", " per update").replace("_", " ")


def shown(value: Value) -> str:
    """A number as people read it: three or four digits, and thousands apart."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
