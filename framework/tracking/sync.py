"""Sending a local mirror to a store afterwards, for example to a server that was away."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.base import Status, Tracker
from framework.tracking.jsonl import read, read_event
from framework.tracking.runs import read_run

BATCH: Final = 500
"""Lines whose metrics are sent together."""


def sync(run_folder: Path, tracking_uri: str | None = None) -> str:
    """Send a run's mirror to a store, and return the run's id there. Records that the store has are not sent again.

    The store is the given one, else `MLFLOW_TRACKING_URI`, else the local one. Policies are not sent: a mirror has none.
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
        system_seconds=None,
    )
    assert tracker.run_id is not None
    tracker.close(send(read(run_folder), run_folder, tracker))
    if record.id_in(uri) != tracker.run_id:
        replace(record, earlier=record.earlier | {uri: tracker.run_id}).write()
    return tracker.run_id


def send(records: Iterable[dict[str, Any]], run_folder: Path, tracker: Tracker) -> Status:
    """Record the events of a mirror in a tracker, and return the run's last status; FINISHED if it has none."""
    status: Status = "FINISHED"
    for number, record in enumerate(records):
        if number % BATCH == 0:
            tracker.flush()
        event = read_event(record, run_folder)
        if event is not None:
            tracker.record(event)
        status = record.get("status", status)
    return status
