"""The part `Tracking`: what a run starts to be recorded everywhere at once."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, final

from framework.registry import parts
from framework.tracking import provenance, store
from framework.tracking.base import Tracker
from framework.tracking.console import Console
from framework.tracking.jsonl import MIRROR, Jsonl, read
from framework.tracking.run_tracker import RunTracker
from framework.tracking.runs import RUN, RunRecord, new_folder, open_run, read_run
from framework.tracking.sync import replay
from framework.tracking.writer import Writer

log: Final = logging.getLogger("framework.tracking")


@parts.register
@final
class Tracking:
    """Where runs are recorded: in MLflow, in the run's own folder, and on the terminal.

    Args:
        folder: holds the run folders and the default store, `mlflow.db`. `MLFLOW_TRACKING_URI` names another store.
        experiment: the MLflow experiment.
        name: of the run; the recipe's name if not given. The run folder is `<folder>/<name>-<timestamp>-<seed>`.
        console_seconds: between two lines where standard output is not a terminal.
        flush_seconds: how long numbers are held back to reach MLflow together.
    """

    def __init__(
        self,
        *,
        folder: str = "runs",
        experiment: str = "dream",
        name: str | None = None,
        console_seconds: float = 10.0,
        flush_seconds: float = 2.0,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.experiment = experiment
        self.name = name
        self.console_seconds = console_seconds
        self.flush_seconds = flush_seconds

    def new_run_folder(self, *, recipe: str, seed: int) -> Path:
        """Make the folder of a new run."""
        return new_folder(self.folder, self.name or recipe, seed)

    def discard_unbegun(self, folder: Path) -> None:
        """Remove the folder of a run of which nothing was recorded."""
        if not (folder / RUN).exists():
            shutil.rmtree(folder)

    def open_run(self, run: str) -> RunRecord:
        """Find a run by `latest`, its folder, its MLflow id, its name, or the beginning of either."""
        return open_run(run, self.folder)

    def start(
        self,
        *,
        run_folder: Path,
        total_steps: int,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        files: Sequence[Path] = (),
        resume_step: int | None = None,
    ) -> RunTracker:
        """Begin to record a run, or go on with the one in this folder: what it recorded after `resume_step` is dropped.

        A store that cannot be had does not stop the run: the local one takes its place, or else the mirror alone.
        """
        run_folder.mkdir(parents=True, exist_ok=True)
        earlier = read_run(run_folder) if (run_folder / RUN).exists() else None
        if earlier and resume_step is None:
            raise ValueError(f"{run_folder} holds a run already: give the step at which it goes on as resume_step")
        mlflow = self._open_store(run_folder, earlier, resume_step)
        remote = Writer(tracker=mlflow, name="MLflow", flush_seconds=self.flush_seconds, deadline=60.0) if mlflow else None
        jsonl = Jsonl(run_folder=run_folder, resume_step=resume_step, forward=remote)
        mirror = Writer(tracker=jsonl, name=MIRROR, flush_seconds=self.flush_seconds, deadline=10.0)
        console = Console(total_steps=total_steps, first_step=resume_step or 0, seconds=self.console_seconds)
        tracker = RunTracker(run_folder=run_folder, console=console, mirror=mirror, remote=remote)
        if mlflow and earlier and mlflow.run_id != earlier.run_id and remote:
            remote.put(partial(replay, list(read(run_folder)), mlflow, run_folder))
        tracker.params(parameters)
        tracker.tags({"run_folder": str(run_folder.absolute())} | provenance.facts(Path.cwd()) | dict(tags))
        tracker.text("git.diff", provenance.difference(Path.cwd()))
        for path in files:
            tracker.file(path, "recipe")
        return tracker

    def _open_store(self, run_folder: Path, earlier: RunRecord | None, resume_step: int | None) -> Tracker | None:
        """The run in the first store that works, and `run.json` to say so; `None` if none does."""
        local = store.local_uri(self.folder)
        wanted = earlier.tracking_uri if earlier else store.chosen_uri(self.folder)
        record = earlier or RunRecord(
            folder=run_folder.absolute(),
            name=run_folder.name,
            experiment=self.experiment,
            tracking_uri=wanted,
            run_id=None,
            started=datetime.now().astimezone().isoformat(),
        )
        for uri in dict.fromkeys((store.working_uri(wanted, self.folder), local)):
            tracker = self._try(uri, record, resume_step)
            if tracker is not None:
                _moved(record, uri, tracker.run_id).write()
                return tracker
        log.warning("MLflow cannot record this run; %s records it, and framework.tracking.sync sends it.", run_folder / MIRROR)
        record.write()
        return None

    def _try(self, uri: str, record: RunRecord, resume_step: int | None) -> Tracker | None:
        try:
            from framework.tracking.mlflow import MLflow

            return MLflow(
                uri=uri,
                folder=self.folder,
                experiment=record.experiment,
                name=record.name,
                run_id=record.id_in(uri),
                keep_until=-1 if resume_step is None else resume_step,
            )
        except Exception as error:  # whatever is wrong with a store, it must not stop a run
            log.warning("MLflow cannot open %s (%s: %s).", uri, type(error).__name__, str(error).split("\n")[0][:300])
            return None


def _moved(record: RunRecord, uri: str, run_id: str | None) -> RunRecord:
    """The record of a run that goes on in this store; where it was before is kept."""
    earlier = dict(record.earlier)
    if record.run_id is not None and record.tracking_uri != uri:
        earlier[record.tracking_uri] = record.run_id
    return replace(record, tracking_uri=uri, run_id=run_id, earlier=earlier)
