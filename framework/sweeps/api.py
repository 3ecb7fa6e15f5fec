"""`framework.sweep`: read a sweep, check its cells, run them, and give their table."""

import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, final

import framework
from framework.composition import Overrides
from framework.errors import UserError
from framework.sweeps.cells import PlannedCell, plan_cells
from framework.sweeps.display import live_display
from framework.sweeps.execution import Execution
from framework.sweeps.launch import RayLauncher, start_here
from framework.sweeps.parent import Parent
from framework.sweeps.record import RECORD, SweepRecord, read_sweep
from framework.sweeps.result import SweepResult
from framework.sweeps.source import SweepSource, read_source
from framework.text import display
from framework.tracking import store
from framework.tracking.base import Status
from framework.tracking.provenance import command
from framework.training.interrupt import Interrupt
from framework.training.lock import run_lock

LONGEST_NAME: Final = 80

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class PreparedSweep:
    """A sweep whose cells are all sound, and the record of them in its folder, or a new one."""

    source: SweepSource
    planned: Sequence[PlannedCell]
    record: SweepRecord

    def slots(self) -> int:
        """How many cells train at the same time on this machine."""
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        return self.source.sweep.processes or max(1, cores // max(each.threads for each in self.planned))

    def run(self, *, ray: str | None = None, gpus: float = 0.0, stop_below: Literal["median"] | None = None) -> SweepResult:
        """Run the cells that are not finished, in processes of this machine or on the Ray cluster at an address."""
        start, slots, folder = start_here, self.slots(), self.record.folder
        if ray is not None:
            start = RayLauncher(address=ray, threads=max(each.threads for each in self.planned), gpus=gpus).start
            slots = self.source.sweep.processes or len(self.planned)  # Ray has a queue
        folder.mkdir(parents=True, exist_ok=True)
        with run_lock(folder, "sweep"), Interrupt() as interrupt, live_display() as show:
            sweep = self.source.sweep
            parent = Parent(
                record=self.record,
                folder=folder.parent,
                experiment=self.planned[0].parameters["Tracking.experiment"],
                parameters={"recipes": sweep.recipes, "seeds": sweep.seeds, "grid": sweep.grid, "bindings": sweep.bindings},
            )
            record = replace(self.record, tracking_uri=parent.uri, parent_run_id=parent.run_id or self.record.parent_run_id)
            execution = Execution(
                record=record,
                planned=self.planned,
                source=self.source,
                start=start,
                slots=slots,
                stop_below=stop_below is not None,
                uri=store.chosen_uri(folder.parent),
            )
            try:
                execution.run(interrupt, show)
            finally:
                done = execution.counts().keys() <= {"finished", "stopped"}
                status: Status = "KILLED" if interrupt.requested else "FINISHED" if done else "FAILED"
                result = SweepResult(execution.record, execution.progress, status, parent.url)
                parent.close(status, [result.write(), folder / RECORD])
        return result if interrupt.requested else replace(result, report=_report(folder))


def prepare(source: SweepSource, *, name: str | None = None, folder: str | Path = "runs") -> PreparedSweep:
    """Check the cells of a sweep, and change nothing. Raises `UserError` with everything that is wrong."""
    name = name or source.name
    if Path(name).name != name or len(name) > LONGEST_NAME:
        raise UserError(f"'{name}' cannot be the name of a folder of {LONGEST_NAME} characters at most: give another with --name.")
    planned = plan_cells(source)
    return PreparedSweep(source, planned, _record(Path(folder).absolute() / name, planned))


def sweep(
    recipes: str | Path | Sequence[str | Path],
    bindings: Overrides = (),
    *,
    seeds: int | Sequence[int] | None = None,
    grid: Mapping[str, Sequence[object]] | None = None,
    zip: bool = False,
    name: str | None = None,
    processes: int | None = None,
    imports: Iterable[str] = (),
    trust: bool = False,
    folder: str | Path = "runs",
    ray: str | None = None,
    gpus: float = 0.0,
    stop_below: Literal["median"] | None = None,
) -> SweepResult:
    """Train every recipe with every combination of the grid's values and every seed, or the sweep of a file.

        framework.sweep("quickstart", seeds=3, grid={"task": ["cartpole_swingup", "ball_in_cup_catch"]}, name="tasks").table

    Bindings and the values of the grid are as in `framework.compose`: the text "@negatives.InBatch" is a component. The same call again
    goes on: what is finished is skipped, what broke is resumed, what is missing is begun.
    """
    source = read_source(recipes, bindings, seeds=seeds, grid=grid, zip=zip, processes=processes, imports=imports, trust=trust)
    return prepare(source, name=name, folder=folder).run(ray=ray, gpus=gpus, stop_below=stop_below)


def _report(folder: Path) -> Path | None:
    """Write the report of a sweep, and make it an artifact; where no cell was evaluated there is none, and a sentence says so."""
    try:
        return framework.report(folder.name, folder=folder.parent).page
    except UserError as error:
        log.warning("There is no report: %s", error)
        return None


def _record(folder: Path, planned: Sequence[PlannedCell]) -> SweepRecord:
    """The record in the folder of a sweep with the cells that it does not have yet; a new one if there is none."""
    earlier = read_sweep(folder) if (folder / RECORD).exists() else None
    recorded = {cell.key: cell for cell in earlier.cells} if earlier else {}
    planned_cells = {each.cell.key: each.cell for each in planned}
    other = [key for key, cell in recorded.items() if key not in planned_cells or not cell.is_same_run(planned_cells[key])]
    if earlier and other:
        raise UserError(
            f"The sweep '{folder.name}' in {display(folder.parent)} has cells that this one has not ({other[0]}): give another --name, or "
            f"all of its recipes, seeds, values and bindings, to which more may be added; it was begun by `{earlier.command}`."
        )
    return SweepRecord(
        folder=folder,
        name=folder.name,
        command=command(),
        framework_version=framework.__version__,
        created=earlier.created if earlier else datetime.now().astimezone().isoformat(timespec="seconds"),
        tracking_uri=earlier.tracking_uri if earlier else "",
        parent_run_id=earlier.parent_run_id if earlier else None,
        cells=tuple(replace(recorded.get(key, cell), recipe=cell.recipe) for key, cell in planned_cells.items()),
    )
