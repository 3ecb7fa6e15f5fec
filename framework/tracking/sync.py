"""Sending a local mirror to a store afterwards: what a server missed while it was away."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.base import Tracker
from framework.tracking.jsonl import read
from framework.tracking.runs import read_run

BATCH: Final = 500
"""Lines whose metrics are sent together."""


def sync(run_folder: Path, tracking_uri: str | None = None) -> str:
    """Send a run's mirror to a store; gives the run's id there. What the store has already is not sent twice.

    The store is the one named, else `MLFLOW_TRACKING_URI`, else the local one. Policies are not sent: a mirror has none.
    """
    record = read_run(run_folder)
    uri = tracking_uri or store.chosen_uri(run_folder.parent)
    if store.is_server(uri) and not store.answers(uri):
        raise UserError(f"The tracking server {uri} does not answer: start it, or name another store.")
    from framework.tracking.mlflow import MLflow

    tracker = MLflow(
        uri=uri,
        folder=run_folder.parent,
        experiment=record.experiment,
        name=record.name,
        run_id=record.id_in(uri),
        start_time=datetime.fromisoformat(record.started).timestamp(),
    )
    assert tracker.run_id is not None
    status = replay(read(run_folder), tracker, run_folder)
    tracker.close(status)
    if record.id_in(uri) != tracker.run_id:
        replace(record, earlier=record.earlier | {uri: tracker.run_id}).write()
    return tracker.run_id


def replay(records: Iterable[dict[str, Any]], tracker: Tracker, run_folder: Path) -> Any:
    """Make the recorded calls again; gives the status of the last `close`, FINISHED if there was none."""
    status = "FINISHED"
    for number, record in enumerate(records):
        if number % BATCH == 0:
            tracker.flush()
        match record["kind"]:
            case "params":
                tracker.params(record["values"])
            case "tags":
                tracker.tags(record["values"])
            case "metrics":
                values = {name: float(value) for name, value in record["values"].items()}
                tracker.metrics(record["step"], values, time=record["time"])
            case "text":
                tracker.text(record["name"], record["content"])
            case "close":
                status = record["status"]
            case "picture" | "video" | "file":
                _file(record, tracker, run_folder / record["path"])
            case _:
                pass
    return status


def _file(record: dict[str, Any], tracker: Tracker, path: Path) -> None:
    if not path.is_file():
        return
    if record["kind"] == "picture":
        tracker.picture(record["name"], record["step"], np.asarray(Image.open(path).convert("RGB")))
    else:
        tracker.file(path, record.get("folder", "video"))
