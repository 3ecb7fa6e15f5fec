"""The running of a sweep: some cells at a time, and the next one when one ends."""

import json
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from framework.sweeps.cells import PlannedCell, SweepSource
from framework.sweeps.launch import Job, OtherJob, Start
from framework.sweeps.progress import RunProgress, below_median, run_folder
from framework.sweeps.record import Cell, CellStatus, SweepRecord
from framework.tracking import store
from framework.tracking.tracking import CONTEXT
from framework.training.interrupt import Interrupt
from framework.training.lock import is_locked

LOGS: Final = "logs"
"""The folder in that of the sweep with what each cell printed."""
PARENT: Final = "mlflow.parentRunId"
MOST_ATTEMPTS: Final = 3
POLL_SECONDS: Final = 0.2


@final
class Execution:
    """The cells of a sweep and their processes.

    What ended is judged by the folder of its run, so that whatever died meanwhile, this process included, is found as it is. `slots` is
    how many cells are started at the same time; `stop_below` asks for cells below the median of their task to be stopped.
    """

    def __init__(
        self,
        *,
        record: SweepRecord,
        planned: Sequence[PlannedCell],
        source: SweepSource,
        start: Start,
        slots: int,
        stop_below: bool,
        uri: str,
    ) -> None:
        self.source, self.start, self.slots, self.stop_below, self.uri = source, start, slots, stop_below, uri
        self.progress = {each.cell.key: RunProgress(each) for each in planned}
        self.record = replace(record, cells=tuple(self._taken_over(cell, record.folder) for cell in record.cells))
        self.record.write()
        self._waiting = deque(cell.key for cell in self.record.cells if cell.status == "waiting")
        self._jobs: dict[str, Job] = {}
        self._stopping: set[str] = set()

    def cell(self, key: str) -> Cell:
        return next(each for each in self.record.cells if each.key == key)

    def counts(self) -> Counter[CellStatus]:
        """The number of cells of each status."""
        return Counter(cell.status for cell in self.record.cells)

    def seconds_left(self) -> float | None:
        """Seconds until the last cell ends; None before every running one has an estimate and the waiting ones are like them."""
        estimates = {key: seconds for key in self._jobs if (seconds := self.progress[key].seconds_left()) is not None}
        if not estimates or len(estimates) < len(self._jobs):
            return None
        whole = [60 * self.progress[key].minutes + seconds for key, seconds in estimates.items()]
        rest = len(self._waiting) * sum(whole) / len(whole)
        return max(*estimates.values(), (sum(estimates.values()) + rest) / min(self.slots, len(estimates)))

    def run(self, interrupt: Interrupt, show: Callable[["Execution"], None]) -> None:
        """Run until every cell has ended, or, after an interrupt, until those that train have written their checkpoints."""
        try:
            while self._jobs or (self._waiting and not interrupt.requested):
                while self._waiting and len(self._jobs) < self.slots and not interrupt.requested:
                    self._start(self.cell(self._waiting.popleft()))
                for key in [*self._jobs]:
                    if interrupt.requested:
                        self._stop(key)
                    self._look_at(self.cell(key), interrupt)
                show(self)
                time.sleep(POLL_SECONDS)
        finally:
            for key, job in self._jobs.items():  # after a second Ctrl-C, which does not wait for them
                job.stop()
                self._put(replace(self.cell(key), status="waiting"))

    def _taken_over(self, cell: Cell, sweep_folder: Path) -> Cell:
        """A cell as an earlier call of the command left it: what is finished or was stopped stays, and all else waits."""
        progress, folder = self.progress[cell.key], run_folder(sweep_folder, cell.key)
        progress.read(folder)
        cell = replace(cell, folder=folder.name if folder else None)
        if folder and progress.ended == "FINISHED" and not is_locked(folder):
            return replace(cell, status="finished", error=None)
        if cell.status == "stopped" and self.stop_below:
            return cell
        return replace(cell, status="waiting", attempts=0, error=None)

    def _start(self, cell: Cell) -> None:
        """Begin a cell, resume it from its checkpoint, or wait for the process of another that trains it."""
        folder = run_folder(self.record.folder, cell.key)
        if folder and is_locked(folder):
            self._jobs[cell.key] = OtherJob(folder)
        else:
            self._jobs[cell.key] = self.start(self._command(cell, folder), self._environment(cell), self._log(cell))
        status: CellStatus = "running" if self._jobs[cell.key].has_begun else "waiting"
        self._put(replace(cell, status=status, folder=folder.name if folder else None))

    def _command(self, cell: Cell, folder: Path | None) -> list[str]:
        program, trust = [sys.executable, "-m", "framework"], ["--trust"] if self.source.trust else []
        if folder:
            return [*program, "resume", str(folder), *trust]
        bindings = [part for binding in cell.bindings for part in ("-b", binding)]
        imports = [part for module in self.source.imports for part in ("--import", module)]
        place = ["--seed", str(cell.seed), "--name", cell.key, "--folder", str(self.record.folder)]
        return [*program, "train", str(self.progress[cell.key].planned.recipe), *bindings, *imports, *trust, *place]

    def _environment(self, cell: Cell) -> Mapping[str, str]:
        planned, parent = self.progress[cell.key].planned, self.record.parent_run_id
        tags = {"sweep": self.record.name, "recipe": planned.recipe.stem, "task": cell.task, "seed": str(cell.seed), **cell.grid}
        context = json.loads(os.environ.get(CONTEXT) or "{}") | tags | ({PARENT: parent} if parent else {})
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(planned.threads))
        return {CONTEXT: json.dumps(context), store.TRACKING_URI: self.uri, **threads}

    def _log(self, cell: Cell) -> Path:
        return self.record.folder / LOGS / f"{cell.key}.log"

    def _look_at(self, cell: Cell, interrupt: Interrupt) -> None:
        """Take in how far a cell is; stop it if it is below the median; settle it if its process ended."""
        progress, job = self.progress[cell.key], self._jobs[cell.key]
        status = job.poll()
        folder = self.record.folder / cell.folder if cell.folder else run_folder(self.record.folder, cell.key)
        progress.read(folder)
        if (folder and not cell.folder) or (cell.status == "waiting" and job.has_begun):
            cell = replace(cell, folder=folder.name if folder else None, status="running")
            self._put(cell)
        if status is None and self.stop_below and cell.key not in self._stopping:
            of_task = [each for each in self.progress.values() if each.planned.cell.task == cell.task]
            if reason := below_median(progress, of_task):
                self._put(replace(cell, error=reason))
                self._stop(cell.key)
        elif status is not None and (isinstance(job, OtherJob) or not (folder and is_locked(folder))):  # a task of Ray ends before its run
            self._put(self._settled(cell, job, status, interrupt))
            del self._jobs[cell.key]
            self._stopping.discard(cell.key)

    def _stop(self, key: str) -> None:
        if key not in self._stopping:
            self._stopping.add(key)
            self._jobs[key].stop()

    def _settled(self, cell: Cell, job: Job, status: int, interrupt: Interrupt) -> Cell:
        """A cell whose process has ended."""
        if self.progress[cell.key].ended == "FINISHED":
            return replace(cell, status="finished", error=None)
        if interrupt.requested:
            return replace(cell, status="waiting", error=None)
        if cell.key in self._stopping:
            return replace(cell, status="stopped")
        if not isinstance(job, OtherJob):
            cell = replace(cell, attempts=cell.attempts + 1, error=job.error or self._last_words(cell, status))
        if cell.attempts >= MOST_ATTEMPTS:
            return replace(cell, status="failed")
        self._waiting.append(cell.key)
        return replace(cell, status="waiting")

    def _last_words(self, cell: Cell, status: int) -> str:
        """Why a process ended: the signal that killed it, or the last line that it printed."""
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        if status == 0:
            return f"its run cannot be seen in {self.record.folder}: give a --folder that all machines share"
        lines = self._log(cell).read_text(encoding="utf-8", errors="replace").split("\n") if self._log(cell).exists() else []
        return next((line.removeprefix("Error: ") for line in reversed(lines) if line.strip()), f"ended with status {status}")

    def _put(self, cell: Cell) -> None:
        """Change the record of a cell, and write it."""
        self.record = self.record.with_cell(cell)
        self.record.write()
