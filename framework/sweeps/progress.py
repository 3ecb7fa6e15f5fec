"""How far the run of a cell is, read from its folder as that grows."""

import glob
import os
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

from framework.sweeps.cells import PlannedCell
from framework.tracking.jsonl import MIRROR, parse
from framework.training.manifest import PROGRESS
from framework.training.run import CHECKPOINTS

FEWEST: Final = 3
"""Evaluations at one step whose median stops a cell."""


def run_folder(sweep_folder: Path, key: str) -> Path | None:
    """The latest run of a cell that can be resumed, or, if none can, None."""
    name = re.compile(rf"{re.escape(key)}-\d{{8}}-\d{{6}}-\d+(\.\d+)?")
    runs = sorted(path for path in sweep_folder.glob(f"*/{CHECKPOINTS}") if name.fullmatch(path.parent.name))
    return next((path.parent for path in reversed(runs) if any(path.glob(f"*/{PROGRESS}"))), None)


@final
class RunProgress:
    """The step, the returns and the end of a run. `read` takes in what its mirror has gained.

    `evaluations` are the returns by their step, and `late` the steps of those after half of the run's budget.
    """

    def __init__(self, planned: PlannedCell) -> None:
        self.planned = planned
        self.folder: Path | None = None
        self._forget()

    def _forget(self) -> None:
        self.step, self.updates, self.minutes = 0, 0.0, 0.0
        self.returned: float | None = None
        self.evaluations: dict[int, float] = {}
        self.late: set[int] = set()
        self.ended: str | None = None
        self._inode, self._offset = 0, 0
        self._since: tuple[float, float] | None = None

    def read(self, folder: Path | None) -> None:
        """Read what is new in the mirror of the run in this folder, or all of it where a resume has cut it."""
        if folder != self.folder:
            self._forget()
        self.folder = folder
        if folder is None or not (folder / MIRROR).exists():
            return
        with (folder / MIRROR).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._forget()
            self._inode = status.st_ino
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if record := parse(line):
                    self._take(record)

    def _take(self, record: dict[str, Any]) -> None:
        self.ended = record["status"] if record["kind"] == "close" else None
        if record["kind"] != "metrics":
            return
        values, self.step = record["values"], max(self.step, record["step"])
        self.minutes = float(values.get("time/minutes", self.minutes))
        self.updates = float(values.get("train/updates", self.updates))
        if "train/return" in values:
            self.returned = float(values["train/return"])
        if "eval/return" in values:
            self.evaluations[record["step"]] = float(values["eval/return"])
            self.late |= {record["step"]} if self.share >= 0.5 else set()

    @property
    def evaluation(self) -> float | None:
        """The return of the last evaluation."""
        return self.evaluations[max(self.evaluations)] if self.evaluations else None

    @property
    def share(self) -> float:
        """The share of the run's budget that is used: of its steps, minutes or updates, whichever ends it first."""
        limits = self.planned.parameters
        used = {"Trainer.steps": self.step, "Trainer.minutes": self.minutes, "Trainer.updates": self.updates}
        return min(1.0, max(amount / limits[name] for name, amount in used.items() if limits.get(name)))

    def seconds_left(self) -> float | None:
        """Seconds until the end, at the speed since this process first saw the run; None before there is one."""
        now, share = time.monotonic(), self.share
        since, first = self._since = self._since or (now, share)
        return (1.0 - share) * (now - since) / (share - first) if share > first else None

    def return_at(self, step: int) -> float | None:
        """The return of the last evaluation up to a step that the evaluations have reached."""
        earlier = [each for each in self.evaluations if each <= step]
        return self.evaluations[max(earlier)] if earlier and max(self.evaluations) >= step else None


def below_median(progress: RunProgress, of_task: Sequence[RunProgress]) -> str | None:
    """Why a cell is to be stopped: after half of its budget, its evaluation is below the median of its task at the same step.

    They are compared at the last step that enough runs of the task have reached.
    """
    for step in sorted(progress.late, reverse=True):
        returns = [value for each in of_task if (value := each.return_at(step)) is not None]
        if len(returns) >= FEWEST:
            value, median = progress.evaluations[step], statistics.median(returns)
            place = f"after {step:,} steps is below the median of its task there, {median:.1f} of {len(returns)} runs"
            return f"stopped early: its evaluation return of {value:.1f} {place}" if value < median else None
    return None


def minutes_left(planned: PlannedCell, sweep_folder: Path) -> float | None:
    """The minutes that a cell is expected to take from here on.

    They are measured on the latest run of its recipe in this sweep, or beside it, and bounded by its own minutes; None without either.
    """
    own, other = RunProgress(planned), RunProgress(planned)
    own.read(run_folder(sweep_folder, planned.cell.key))
    if own.ended == "FINISHED":
        return 0.0
    stem = glob.escape(planned.recipe.stem)
    per_step: float | None = None
    for folder in [*sorted(sweep_folder.glob(f"{stem}-*/")), *sorted(sweep_folder.parent.glob(f"{stem}-[0-9]*/"))][::-1]:
        other.read(folder)
        if other.step and other.minutes:
            per_step = other.minutes / other.step
            break
    bounds = [per_step and planned.steps * per_step, planned.parameters["Trainer.minutes"]]
    expected = min((bound for bound in bounds if bound is not None), default=None)
    return None if expected is None else expected * (1.0 - own.share)
