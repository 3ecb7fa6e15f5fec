"""Sending what an MLflow store lacks from the mirror of a run: at each resume, after an outage, and as `dream sync`."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, final

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.base import Event, Status
from framework.tracking.jsonl import MIRROR, read, read_event
from framework.tracking.resumption import Resumption
from framework.tracking.runs import RunRecord

if TYPE_CHECKING:
    from framework.tracking.mlflow import MLflow

BATCH: Final = 1000
"""Metrics that are sent together."""
log: Final = logging.getLogger("framework.tracking")


@final
class Backlog:
    """What a store lacks of the mirror of a run: its parameters, tags, metrics, pictures, videos, files and policies.

    Args:
        written: whether the mirror has all that was recorded so far.
    """

    def __init__(self, *, run_folder: Path, tracker: "MLflow", written: Callable[[], bool] = lambda: True) -> None:
        self.run_folder, self.tracker, self.written = run_folder, tracker, written
        self.refused = 0
        self._events: Iterator[Event] | None = None
        self._event: Event | None = None

    def send(self) -> None:
        """Record what is lacking. After an `OSError` the next call goes on with the event that raised it."""
        if self._events is None:
            self._events = self._begin()
        while event := self._event or next(self._events, None):
            self._event = event
            self._attempt(partial(self.tracker.restore, event))
            self._event = None
            if self.tracker.pending >= BATCH:
                self._attempt(self.tracker.flush)
        self._attempt(self.tracker.flush)
        self._events = None

    def _begin(self) -> Iterator[Event]:
        """The events of the mirror, up to what is the last one now."""
        if not self.written():
            raise OSError(f"{MIRROR} is not written yet")
        self.tracker.compare()
        count = sum(1 for _ in read(self.run_folder))
        return filter(None, map(self._read, islice(read(self.run_folder), count)))

    def _read(self, record: dict[str, Any]) -> Event | None:
        try:
            return read_event(record, self.run_folder)
        except (OSError, ValueError) as error:  # a picture that is damaged
            self._refuse(error)
            return None

    def _attempt(self, call: Callable[[], None]) -> None:
        """Make a call of the tracker; what it refuses does not hold up what comes behind."""
        try:
            call()
        except OSError:
            raise
        except Exception as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        if self.refused == 1:
            log.warning("MLflow: a record of %s was refused and left out: %s", MIRROR, store.masked(str(error)))


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
    from framework.tracking.mlflow import MLflow

    folder, run_id, name = record.folder.parent, record.id_in(uri), record.name
    status, end = _end(record.folder)
    try:
        parent = Resumption(record.folder, {}, 0).parent(uri, folder, run_id) if run_id else None
        if parent:
            run_id, name = None, record.folder.name
        started = datetime.fromisoformat(record.started).timestamp()
        place: dict[str, Any] = {"uri": uri, "folder": folder, "experiment": record.experiment}
        tracker = MLflow(**place, name=name, run_id=run_id, parent=parent, started=started, system_seconds=None)
        record = replace(record.at(uri, tracker.run_id), name=name)
        record.write()
        backlog = Backlog(run_folder=record.folder, tracker=tracker)
        backlog.send()
        tracker.close(status, end)
    except Exception as error:  # whatever is wrong with a store
        raise UserError(f"{store.masked(uri)} does not take the run ({store.masked(str(error))}): sync it again when it does.") from error
    return record, backlog.refused


def _end(run_folder: Path) -> tuple[Status, float | None]:
    """How and when a run ended; a run whose mirror does not say was killed at its last record."""
    last = deque(read(run_folder), maxlen=1)
    return (cast(Status, last[0].get("status", "KILLED")), last[0]["time"]) if last else ("KILLED", None)
