"""Sending what an MLflow store lacks from the mirror of a run: at each resume, after an outage, and as `dream sync`."""

import logging
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.base import Status
from framework.tracking.jsonl import MIRROR, read, read_event
from framework.tracking.runs import RunRecord

if TYPE_CHECKING:
    from framework.tracking.mlflow import MLflow

BATCH: Final = 1000
"""Metrics that are sent together."""
log: Final = logging.getLogger("framework.tracking")


def send_missing(run_folder: Path, tracker: "MLflow", *, written: Callable[[], bool] = lambda: True) -> int:
    """Record what a store lacks of the mirror of a run: parameters, tags, metrics, pictures, videos, files and policies.

    Returns how many events were refused, which hold up nothing behind them. An `OSError` says that the store is away, and the call may be
    repeated: nothing is sent twice.

    Args:
        written: whether the mirror has all that was recorded so far.
    """
    if not written():
        raise OSError(f"{MIRROR} is not written yet")
    tracker.compare()
    refused = 0
    count = sum(1 for _ in read(run_folder))  # a run that goes on writes more meanwhile
    for record in islice(read(run_folder), count):
        try:
            if event := read_event(record, run_folder):
                tracker.restore(event)
            if tracker.pending >= BATCH:
                tracker.flush()
        except OSError:
            raise
        except Exception as error:  # of what is damaged, or of what MLflow does not take
            refused += 1
            if refused == 1:
                log.warning("MLflow: a record of %s was refused and left out: %s", MIRROR, store.masked(str(error)))
    tracker.flush()
    return refused


def sync(record: RunRecord) -> tuple[RunRecord, int]:
    """Send what the store of a run lacks, and return the run's record and how many events were refused.

    The store is that of `MLFLOW_TRACKING_URI`, else the one in which the run was to be recorded. The run keeps its start, its end and its
    status there.

    Raises:
        UserError: the store cannot be reached or written.
    """
    uri = store.chosen_uri(record.folder.parent) if store.is_chosen() else record.chosen_uri
    reason = store.problem(uri) if store.is_server(uri) else None
    if reason:
        raise UserError(f"The tracking server {store.masked(uri)} does not answer ({reason}): start it, or name another store.")
    status, end = _end(record.folder)
    try:
        from framework.tracking.resumption import open_in_mlflow

        tracker, record = open_in_mlflow(record, uri, parameters={}, step=0, system_seconds=None)
        refused = send_missing(record.folder, tracker)
        tracker.close(status, end)
    except Exception as error:  # whatever is wrong with a store
        raise UserError(f"{store.masked(uri)} does not take the run ({store.masked(str(error))}): sync it again when it does.") from error
    return record, refused


def _end(run_folder: Path) -> tuple[Status, float | None]:
    """How and when a run ended; a run whose mirror does not say was killed at its last record."""
    last = deque(read(run_folder), maxlen=1)
    return (cast(Status, last[0].get("status", "KILLED")), last[0]["time"]) if last else ("KILLED", None)
