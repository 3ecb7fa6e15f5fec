"""The part `Tracking`, which starts the trackers of a run, and the one that passes its events to all."""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from framework.errors import UserError
from framework.registry import parts
from framework.tracking import provenance, store
from framework.tracking.base import Event, FileEvent, ParamsEvent, Status, TagsEvent, Tracker
from framework.tracking.console import Console
from framework.tracking.jsonl import MIRROR, Jsonl
from framework.tracking.runs import RUN, RunRecord, new_folder, read_run
from framework.tracking.sync import send_missing
from framework.tracking.writer import Writer

if TYPE_CHECKING:
    from framework.tracking.mlflow import MLflow

CONTEXT: Final = "MLFLOW_RUN_CONTEXT"
MIRROR_CAPACITY: Final = 1_000_000
"""Records that may wait for the disk; whatever cannot wait for MLflow is read from the mirror."""
log: Final = logging.getLogger("framework.tracking")


@final
class RunTracker(Tracker):
    """Passes every event of one run to several trackers; run id and address are those of the last."""

    def __init__(self, *, run_folder: Path, trackers: Sequence[Tracker]) -> None:
        self.run_folder, self.trackers = run_folder, trackers
        self.run_id, self.url = trackers[-1].run_id, trackers[-1].url

    def record(self, event: Event) -> None:
        if isinstance(event, (ParamsEvent, TagsEvent)):
            event = replace(event, values={name: store.masked(str(value)) for name, value in event.values.items()})
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
        git_diff: also record the difference of the working directory to its commit, which may hold secrets; its hash is always recorded.
    """

    def __init__(
        self,
        *,
        folder: str = "runs",
        experiment: str | None = None,
        name: str | None = None,
        console_seconds: float = 10.0,
        flush_seconds: float = 2.0,
        git_diff: bool = False,
    ) -> None:
        self.git_diff = git_diff
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
        total_updates: int | None = None,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        files: Sequence[Path] = (),
        resume_step: int | None = None,
    ) -> RunTracker:
        """Begin to record a run, or continue the one in this folder at `resume_step`.

        The mirror drops the records of later steps; MLflow keeps its metrics, and those steps are not sent to it again. If a store
        cannot be opened, the local store takes its place, or else the mirror alone. A run that continues is compared with its mirror, and
        what the store lacks is sent. The run goes on below its earlier one in MLflow if this folder is a copy, or if other settings
        contradict the points that the store has after `resume_step`.

        What `MLFLOW_RUN_CONTEXT` holds, an object of JSON, becomes tags of the run, as in MLflow itself (`mlflow.parentRunId` is the run
        above it), and all but MLflow's own names become parameters too.
        """
        context = _context()
        run_folder.mkdir(parents=True, exist_ok=True)
        earlier = read_run(run_folder) if (run_folder / RUN).exists() else None
        if earlier and resume_step is None:
            raise ValueError(f"{run_folder} holds a run already: give the step at which it continues as resume_step")
        mlflow = self._open_store(run_folder, earlier, parameters, resume_step or 0)
        mirror = Writer(
            tracker=Jsonl(run_folder=run_folder, resume_step=resume_step),
            name=MIRROR,
            capacity=MIRROR_CAPACITY,
            flush_seconds=self.flush_seconds,
            deadline=10.0,
        )
        first, seconds = resume_step or 0, self.console_seconds
        console = Console(total_steps=total_steps, total_updates=total_updates, first_step=first, seconds=seconds)
        trackers: list[Tracker] = [console, mirror]
        if mlflow:
            catch_up = partial(send_missing, run_folder, mlflow, written=partial(mirror.wait, 10.0))
            remedy = f"; `dream sync {run_folder.name}` sends what {MIRROR} has"
            remote = Writer(
                tracker=mlflow, name="MLflow", catch_up=catch_up, remedy=remedy, flush_seconds=self.flush_seconds, deadline=60.0
            )
            trackers.append(remote)
            if earlier:
                remote.put(catch_up)
        tracker = RunTracker(run_folder=run_folder, trackers=trackers)
        tracker.record(ParamsEvent({name: value for name, value in context.items() if not name.startswith("mlflow.")} | dict(parameters)))
        tracker.record(TagsEvent({"run_folder": str(run_folder.absolute())} | provenance.facts(Path.cwd()) | dict(tags) | context))
        for path in [*files, *self._difference(run_folder)]:
            tracker.record(FileEvent(path, (Path("recipe") / path.relative_to(run_folder).parent).as_posix()))
        return tracker

    def _difference(self, run_folder: Path) -> list[Path]:
        """The file of the difference to the commit, where it is asked for and there is one."""
        difference = provenance.difference(Path.cwd()) if self.git_diff else ""
        path = run_folder / "git.diff"
        if difference:
            path.write_text(difference, encoding="utf-8")
        return [path] if difference else []

    def _open_store(self, run_folder: Path, earlier: RunRecord | None, parameters: Mapping[str, object], step: int) -> "MLflow | None":
        """The run in the first store that works, with `run.json` written; `None` if no store works."""
        chosen = earlier.chosen_uri if earlier and not store.is_chosen() else store.chosen_uri(self.folder)
        working, local = store.working_uri(chosen, self.folder), store.local_uri(self.folder)
        record = earlier or RunRecord(
            folder=run_folder.absolute(),
            name=run_folder.name if self.name else os.environ.get("MLFLOW_RUN_NAME") or run_folder.name,
            experiment=self.experiment_name(working if working == chosen else None),
            tracking_uri=store.masked(chosen),
            run_id=None,
            started=datetime.now().astimezone().isoformat(),
        )
        record = replace(record, chosen_uri=store.masked(chosen))
        _refuse_another_run(record.run_id)
        for uri in dict.fromkeys((working, local)):
            try:
                from framework.tracking.resumption import open_in_mlflow

                tracker, _ = open_in_mlflow(record, uri, parameters=parameters, step=step)
            except Exception as error:  # whatever is wrong with a store, it must not stop a run
                reason = store.masked(str(error).split("\n")[0][:300])
                log.warning("MLflow cannot open %s (%s: %s).", store.masked(uri), type(error).__name__, reason)
                continue
            if earlier:
                log.info("The run goes on as %s in %s.", tracker.run_id, store.masked(uri))
            return tracker
        log.warning("MLflow cannot record this run; %s records it, and a resume or `dream sync` sends it.", run_folder / MIRROR)
        record.write()
        return None

    def experiment_name(self, uri: str | None) -> str:
        """The experiment of a new run; its id is looked up in the chosen store, unless that is away (None)."""
        name, identifier = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
        if self.experiment or not (identifier and uri):
            return self.experiment or name or "dream"
        try:
            from framework.tracking.mlflow_store import experiment_name

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


def _context() -> dict[str, str]:
    """The tags in `MLFLOW_RUN_CONTEXT`."""
    text = os.environ.get(CONTEXT) or "{}"
    try:
        return {name: str(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{CONTEXT} = {text} is no object of JSON that holds tags ({error}): mend or unset it.") from error


def _refuse_another_run(run_id: str | None) -> None:
    wanted = os.environ.get("MLFLOW_RUN_ID")
    if wanted and wanted != run_id:
        raise UserError(
            f"MLFLOW_RUN_ID = {wanted} names a run to be continued, and this one is {run_id or 'a new one'}: unset it; `dream resume` "
            "continues a run from its folder."
        )
