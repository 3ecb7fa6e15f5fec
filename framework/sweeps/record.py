"""The record of a sweep, `sweep.json` in its folder: its cells, and how far each is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, final

from framework import files
from framework.errors import UserError
from framework.text import display, read_json

RECORD: Final = "sweep.json"
CellStatus = Literal["waiting", "running", "finished", "failed", "stopped"]


@final
@dataclass(frozen=True)
class Cell:
    """One run of a sweep: a recipe with the values of the grid and a seed.

    `key` is its name in the sweep and in MLflow, and the beginning of its run folder. `bindings` are those of the command line and of the
    grid, as `-b` takes them; `grid` has the grid's values as they are shown. `folder` is the run folder, relative to the sweep's; None
    before the run began. `attempts` counts the failures in a row, and `error` says why the cell failed or was stopped.
    """

    key: str
    recipe: str
    bindings: tuple[str, ...]
    grid: Mapping[str, str]
    task: str
    seed: int
    folder: str | None = None
    status: CellStatus = "waiting"
    attempts: int = 0
    error: str | None = None

    def is_same_run(self, other: "Cell") -> bool:
        """Whether another record of a cell is of the same run; its recipe may have moved."""
        return (self.key, self.bindings, self.seed) == (other.key, other.bindings, other.seed)


@final
@dataclass(frozen=True)
class SweepRecord:
    """A sweep in its folder; `created` in ISO 8601, `parent_run_id` the MLflow run above those of the cells."""

    folder: Path
    name: str
    command: str
    framework_version: str
    created: str
    tracking_uri: str
    parent_run_id: str | None
    cells: Sequence[Cell] = field(default_factory=tuple)

    def with_cell(self, cell: Cell) -> "SweepRecord":
        """The record with the cell of that key replaced."""
        return replace(self, cells=tuple(cell if each.key == cell.key else each for each in self.cells))

    def write(self) -> None:
        """Write `sweep.json`, whole or not at all."""
        values = asdict(self)
        del values["folder"]
        files.write(self.folder / RECORD, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def read_sweep(folder: Path) -> SweepRecord:
    """The record of the sweep in a folder. Raises `UserError` where there is none, naming those beside it, or where it is damaged."""
    if not (folder / RECORD).is_file():
        names = ", ".join(sorted(path.parent.name for path in folder.parent.glob(f"*/{RECORD}"))) or "none"
        raise UserError(f"There is no sweep '{folder.name}' in {display(folder.parent)}; the sweeps there are: {names}.")
    values = read_json(folder / RECORD)
    try:
        return SweepRecord(folder=folder.absolute(), **values | {"cells": tuple(map(_cell, values["cells"]))})
    except (KeyError, TypeError) as error:
        raise UserError(f"{display(folder / RECORD)} is damaged ({error}); restore it from a copy.") from error


def _cell(values: dict[str, Any]) -> Cell:
    return Cell(**values | {"bindings": tuple(values["bindings"])})
