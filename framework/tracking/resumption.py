"""The MLflow run of a run folder: the one that recorded it before, or a new one below that where it may not go on there."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from framework.tracking.mlflow import MLflow
from framework.tracking.mlflow_names import latest_settings, texts
from framework.tracking.mlflow_store import find, has_points_after, open_store
from framework.tracking.runs import RUN, RunRecord, read_run

LIMITS: Final = ("Trainer.steps", "Trainer.updates", "Trainer.minutes")
"""Settings that end a run, and change no number before that."""
log: Final = logging.getLogger("framework.tracking")


def open_in_mlflow(
    record: RunRecord, uri: str, *, parameters: Mapping[str, object], step: int, system_seconds: float | None = 10.0
) -> tuple[MLflow, RunRecord]:
    """Open the MLflow run of a record in a store, and write the record, which names it then.

    The run continues after `step` with these parameters. It goes on below its run of before if its folder is a copy, or if other settings
    contradict the points that the store has after the step.
    """
    run_id, name = record.id_in(uri), record.name
    parent = _parent(record.folder, uri, run_id, texts(parameters), step) if run_id else None
    if parent:
        run_id, name = None, record.folder.name
    run = MLflow(
        uri=uri,
        experiment=record.experiment,
        name=name,
        run_id=run_id,
        parent=parent,
        started=datetime.fromisoformat(record.started).timestamp(),
        system_seconds=system_seconds,
    )
    record = replace(record.at(uri, run.run_id), name=name)
    record.write()
    return run, record


def _parent(run_folder: Path, uri: str, run_id: str, settings: Mapping[str, str], step: int) -> str | None:
    """The run of before, if the run folder may not go on in it, with the reason as a warning."""
    client = open_store(uri)
    run = find(client, run_id)
    if run is None:
        return None
    changed = _changed(latest_settings(run.data.params, run.data.tags), settings)
    original = Path(run.data.tags.get("run_folder", run_folder))
    if _has_run(original, run_id) and original.resolve() != run_folder.resolve():
        reason = f"{run_folder} is a copy of {original}, whose run that is"
    elif changed and has_points_after(client, run, step):
        reason = f"that has points after step {step} of other settings ({', '.join(changed)})"
        if run.info.status == "RUNNING":
            client.set_terminated(run_id, "KILLED")
    else:
        return None
    log.warning("The run goes on as a new one below its MLflow run %s: %s.", run_id, reason)
    return run_id


def _has_run(folder: Path, run_id: str) -> bool:
    """Whether a folder is that of an MLflow run."""
    if not (folder / RUN).is_file():
        return False
    record = read_run(folder)
    return run_id in (record.run_id, *record.run_ids.values())


def _changed(earlier: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of the settings with another value than when the run went on last; one of them holds a component that was replaced."""
    names = sorted(name for name in earlier.keys() & now.keys() if earlier[name] != now[name])
    return [name for name in names if name not in LIMITS and not name.startswith("Tracking.")]
