"""The part `Tracking`, which starts the trackers of a run, and the one that passes its events to all."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from framework.errors import UserError
from framework.registry import parts
from framework.tracking import provenance, store
from framework.tracking.base import Event, FileEvent, ParamsEvent, Status, TagsEvent, Tracker
from framework.tracking.console import Console
from framework.tracking.jsonl import MIRROR, Jsonl, read, read_event
from framework.tracking.runs import RUN, RunRecord, new_folder, read_run
from framework.tracking.writer import Writer

BATCH: Final = 500
"""Records whose metrics are sent to another store together."""
log: Final = logging.getLogger("framework.tracking")


@final
class RunTracker(Tracker):
    """Passes every event of one run to several trackers; run id and address are those of the last."""

    def __init__(self, *, run_folder: Path, trackers: Sequence[Tracker]) -> None:
        self.run_folder, self.trackers = run_folder, trackers
        self.run_id, self.url = trackers[-1].run_id, trackers[-1].url

    def record(self, event: Event) -> None:
        for tracker in self.trackers:
            tracker.record(event)

    def close(self, status: Status) -> None:
        for tracker in self.trackers:
            tracker.close(status)


@parts.register
@final
class Tracking:
    """Records runs in MLflow, in the run's own folder, and on the terminal.

    Args:
        folder: holds the run folders and the default store, `mlflow.db`. `MLFLOW_TRACKING_URI` names another store.
        experiment: the MLflow experiment; by default that of `MLFLOW_EXPERIMENT_NAME` or `MLFLOW_EXPERIMENT_ID`, else `dream`.
        name: the run's name; by default the recipe's. The run folder is `<folder>/<name>-<timestamp>-<seed>`, which is the run's name in
            MLflow too, unless `MLFLOW_RUN_NAME` gives one.
        console_seconds: seconds between two lines where standard output is not a terminal.
        flush_seconds: how long metrics are held back to be sent to MLflow together.
    """

    def __init__(
        self,
        *,
        folder: str = "runs",
        experiment: str | None = None,
        name: str | None = None,
        console_seconds: float = 10.0,
        flush_seconds: float = 2.0,
    ) -> None:
        self.folder, self.experiment, self.name = Path(os.path.abspath(folder)), experiment, name
        self.console_seconds, self.flush_seconds = console_seconds, flush_seconds

    def new_run_folder(self, *, recipe: str, seed: int) -> Path:
        """Make the folder of a new run."""
        return new_folder(self.folder, self.name or recipe, seed)

    def discard_unbegun(self, folder: Path) -> None:
        """Remove the folder of a run that recorded nothing."""
        if not (folder / RUN).exists():
            shutil.rmtree(folder)

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
        """Begin to record a run, or continue the one in this folder at `resume_step`.

        The mirror drops the records of later steps; MLflow keeps its metrics, and those steps are not sent to it again. If a store
        cannot be opened, the local store takes its place, or else the mirror alone. A run that continues in another store, for example in
        one that was away when it began, is sent there from the mirror first.
        """
        run_folder.mkdir(parents=True, exist_ok=True)
        earlier = read_run(run_folder) if (run_folder / RUN).exists() else None
        if earlier and resume_step is None:
            raise ValueError(f"{run_folder} holds a run already: give the step at which it continues as resume_step")
        mlflow = self._open_store(run_folder, earlier)
        mirror = Jsonl(run_folder=run_folder, resume_step=resume_step)
        trackers: list[Tracker] = [
            Console(total_steps=total_steps, first_step=resume_step or 0, seconds=self.console_seconds),
            Writer(tracker=mirror, name=MIRROR, flush_seconds=self.flush_seconds, deadline=10.0),
        ]
        if mlflow:
            remote = Writer(tracker=mlflow, name="MLflow", flush_seconds=self.flush_seconds, deadline=60.0)
            trackers.append(remote)
            if earlier and mlflow.run_id != earlier.run_id:
                remote.put(partial(_send, list(read(run_folder)), run_folder, mlflow))
        if difference := provenance.difference(Path.cwd()):
            files = [*files, run_folder / "git.diff"]
            files[-1].write_text(difference, encoding="utf-8")
        tracker = RunTracker(run_folder=run_folder, trackers=trackers)
        tracker.record(ParamsEvent(parameters))
        tracker.record(TagsEvent({"run_folder": str(run_folder.absolute())} | provenance.facts(Path.cwd()) | dict(tags)))
        for path in files:
            tracker.record(FileEvent(path, (Path("recipe") / path.relative_to(run_folder).parent).as_posix()))
        return tracker

    def _open_store(self, run_folder: Path, earlier: RunRecord | None) -> Tracker | None:
        """The run in the first store that works, with `run.json` written; `None` if no store works."""
        uri = earlier.tracking_uri if earlier and not os.environ.get(store.TRACKING_URI) else store.chosen_uri(self.folder)
        working, local = store.working_uri(uri, self.folder), store.local_uri(self.folder)
        record = earlier or RunRecord(
            folder=run_folder.absolute(),
            name=run_folder.name if self.name else os.environ.get("MLFLOW_RUN_NAME") or run_folder.name,
            experiment=self._experiment_name(working if working == uri else None),
            tracking_uri=uri,
            run_id=None,
            started=datetime.now().astimezone().isoformat(),
        )
        _refuse_another_run(record.run_id)
        for each in dict.fromkeys((working, local)):
            tracker = self._try(each, record)
            if tracker is not None:
                replace(record, tracking_uri=each, run_id=tracker.run_id).write()
                return tracker
        log.warning("MLflow cannot record this run; %s records it, and a resume sends it.", run_folder / MIRROR)
        record.write()
        return None

    def _experiment_name(self, uri: str | None) -> str:
        """The experiment of a new run; its id is looked up in the chosen store, unless that is away (None)."""
        name, identifier = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
        if self.experiment or not (identifier and uri):
            return self.experiment or name or "dream"
        try:
            from framework.tracking.mlflow import experiment_name

            identified = experiment_name(uri, identifier)
        except UserError:
            raise
        except Exception:  # a store that does not work is replaced, where the id means nothing
            return name or "dream"
        if name and name != identified:
            raise UserError(
                f"MLFLOW_EXPERIMENT_NAME = {name}, but MLFLOW_EXPERIMENT_ID = {identifier} is the experiment '{identified}': unset one."
            )
        return identified

    def _try(self, uri: str, record: RunRecord) -> Tracker | None:
        try:
            from framework.tracking.mlflow import MLflow

            run_id = record.run_id if record.tracking_uri == uri else None
            return MLflow(uri=uri, folder=self.folder, experiment=record.experiment, name=record.name, run_id=run_id)
        except Exception as error:  # whatever is wrong with a store, it must not stop a run
            log.warning("MLflow cannot open %s (%s: %s).", uri, type(error).__name__, str(error).split("\n")[0][:300])
            return None


def _refuse_another_run(run_id: str | None) -> None:
    wanted = os.environ.get("MLFLOW_RUN_ID")
    if wanted and wanted != run_id:
        raise UserError(
            f"MLFLOW_RUN_ID = {wanted} names a run to be continued, and this one is {run_id or 'a new one'}: unset it; `dream resume` "
            "continues a run from its folder."
        )


def _send(records: Sequence[dict[str, Any]], run_folder: Path, tracker: Tracker) -> None:
    """Record the events of a mirror in a tracker, which then has the history of the run but its policies."""
    for number, record in enumerate(records):
        if number % BATCH == 0:
            tracker.flush()
        event = read_event(record, run_folder)
        if event is not None:
            tracker.record(event)
