"""What a sweep gave, as a table and as runs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from framework import files
from framework.sweeps.progress import RunProgress
from framework.sweeps.record import Cell, SweepRecord
from framework.tracking.base import Status
from framework.tracking.runs import RunRecord, read_run

if TYPE_CHECKING:
    import pandas as pd

SUMMARY: Final = "summary.csv"


@final
@dataclass(frozen=True)
class SweepResult:
    """The record of a sweep, and how far each of its runs is, by the key of the cell.

    `url` is where MLflow shows the parent run, `report` the page over the cells, if one was made.
    """

    record: SweepRecord
    progress: Mapping[str, RunProgress]
    status: Status
    url: str | None
    report: Path | None = None

    @property
    def runs(self) -> list[RunRecord]:
        """The run of each cell that has begun, in the order of the cells."""
        return [read_run(self.record.folder / cell.folder) for cell in self.record.cells if cell.folder]

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each cell: recipe, task, seed, the grid's values, status, step, minutes, last and best evaluation, run and error.

        Returns are the means of an evaluation's episodes.
        """
        import pandas as pd

        return pd.DataFrame([self._row(cell) for cell in self.record.cells])

    def how_far(self) -> str:
        """How far the cells are, in a sentence: how many ended, and the share of each one that has begun."""
        cells, counts = self.record.cells, Counter(cell.status for cell in self.record.cells)
        ended = ", ".join(f"{counts[status]} {status}" for status in ("failed", "stopped") if counts[status])
        begun = ", ".join(f"{cell.key} ({self.progress[cell.key].share:.0%})" for cell in cells if cell.status == "waiting" and cell.folder)
        parts = [f"{counts['finished']} of {len(cells)} cells are finished", ended, f"begun are {begun}" if begun else ""]
        return ", ".join(part for part in parts if part) + "."

    def write(self) -> Path:
        """Write the table beside `sweep.json`."""
        path = self.record.folder / SUMMARY
        files.write(path, self.table.to_csv(index=False).encode())
        return path

    def _row(self, cell: Cell) -> dict[str, Any]:
        progress = self.progress[cell.key]
        return {
            "cell": cell.key,
            "recipe": progress.planned.recipe.stem,
            "task": cell.task,
            "seed": cell.seed,
            **cell.grid,
            "status": cell.status,
            "step": progress.step,
            "minutes": round(progress.minutes, 2),
            "return": progress.evaluation,
            "best": max(progress.evaluations.values(), default=None),
            "run": cell.folder,
            "run_id": read_run(self.record.folder / cell.folder).run_id if cell.folder else None,
            "error": cell.error,
        }
