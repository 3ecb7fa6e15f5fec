"""The runs that a report is about: those of a sweep, or chosen by name and by tag."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from framework.errors import UserError
from framework.reports.history import RunHistory, read_history
from framework.sweeps.record import RECORD, Cell, SweepRecord, read_sweep
from framework.text import display
from framework.tracking import store
from framework.tracking.jsonl import MIRROR
from framework.tracking.runs import RunRecord, open_run, runs
from framework.training.lock import is_locked

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Selection:
    """Runs with their histories. `sweep` is the one that they are, and `waiting` has its cells without metrics."""

    title: str
    histories: Sequence[RunHistory]
    sweep: SweepRecord | None = None
    waiting: Sequence[Cell] = ()


def select(names: Sequence[str], tags: Mapping[str, str], folder: Path) -> Selection:
    """The runs of these names, of sweeps or of runs, that have all these tags; without names, all runs in the folder and its sweeps.

    Raises `UserError` where a name or the tags fit nothing.
    """
    if not names and not tags:
        raise UserError("Nothing is named: `dream report SWEEP`, `dream report RUN RUN ..` or `dream report --tag KEY=VALUE`.")
    if len(names) == 1 and not tags and (home := _sweep_folder(names[0], folder)):
        return _of_sweep(read_sweep(home))
    if names:
        records = [record for name in names for record in _named(name, folder)]
    else:
        records = [*reversed(runs(folder)), *(record for home in _sweeps(folder) for record in _runs_of_sweep(home))]
    by_folder = {record.folder: record for record in records if (record.folder / MIRROR).is_file()}
    histories = [read_history(home) for home in by_folder]
    if tags:
        in_mlflow = _tagged_in_mlflow(tags, folder)
        wanted = " and ".join(f"{key}={value}" for key, value in tags.items())
        histories = [each for each in histories if _has(each, tags) or in_mlflow & _ids(by_folder[each.folder])]
        if not histories:
            where = "of those named" if names else f"in {display(folder)}"
            raise UserError(f"No run {where} has the tag {wanted}; `dream ui` shows the tags that MLflow has.")
        return Selection(title=" ".join([*names, wanted]), histories=histories)
    return Selection(title=" ".join(names) if len(names) < 3 else f"{len(histories)} runs", histories=histories)


def _of_sweep(sweep: SweepRecord) -> Selection:
    if os.access(sweep.folder, os.W_OK) and not is_locked(sweep.folder):  # a sweep that was killed could not say that its cells run no more
        cells = (replace(cell, status="waiting") if cell.status == "running" else cell for cell in sweep.cells)
        sweep = replace(sweep, cells=tuple(cells))
    begun = [cell for cell in sweep.cells if cell.folder and (sweep.folder / cell.folder / MIRROR).is_file()]
    return Selection(
        title=sweep.name,
        histories=[read_history(sweep.folder / str(cell.folder), cell) for cell in begun],
        sweep=sweep,
        waiting=[cell for cell in sweep.cells if cell not in begun],
    )


def _sweeps(folder: Path) -> list[Path]:
    """The folders of the sweeps in a folder."""
    return sorted(path.parent for path in folder.glob(f"*/{RECORD}"))


def _sweep_folder(name: str, folder: Path) -> Path | None:
    return next((home for home in (Path(name), folder / name) if (home / RECORD).is_file()), None)


def _named(name: str, folder: Path) -> Iterable[RunRecord]:
    """The runs of a sweep, or the run of this name."""
    if home := _sweep_folder(name, folder):
        return _runs_of_sweep(home)
    try:
        return [open_run(name, folder)]
    except UserError as error:
        sweeps = ", ".join(home.name for home in _sweeps(folder)) or "none"
        raise UserError(f"{error.message.removesuffix('.')}; the sweeps there are: {sweeps}.") from error


def _runs_of_sweep(home: Path) -> list[RunRecord]:
    """The runs of its cells, without one that was begun anew since it had no checkpoint."""
    folders = {cell.folder for cell in read_sweep(home).cells}
    return [record for record in reversed(runs(home)) if record.folder.name in folders]


def _has(history: RunHistory, tags: Mapping[str, str]) -> bool:
    own = {**history.tags, "recipe": history.recipe, "task": history.task, "seed": str(history.seed)}
    return all(value in (own.get(key), history.tags.get(key)) for key, value in tags.items())


def _ids(record: RunRecord) -> set[str]:
    return {run_id for run_id in (record.run_id, *record.run_ids.values()) if run_id}


def _tagged_in_mlflow(tags: Mapping[str, str], folder: Path) -> set[str]:
    """The ids of the runs that have these tags in the chosen store; none where it does not exist or does not answer."""
    uri = store.chosen_uri(folder)
    path = store.database(uri)
    if path is not None and not path.is_file():
        return set()
    try:
        from framework.tracking.mlflow_store import find_tagged

        return find_tagged(uri, tags)
    except Exception as error:  # whatever is wrong with a store, the tags in the run folders are there
        log.warning("MLflow cannot search %s (%s); only the tags in the run folders count.", store.masked(uri), type(error).__name__)
        return set()
