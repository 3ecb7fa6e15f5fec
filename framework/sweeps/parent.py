"""The MLflow run above those of a sweep's cells."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from framework.errors import UserError
from framework.sweeps.record import SweepRecord
from framework.tracking import provenance, store
from framework.tracking.base import Event, FileEvent, ParamsEvent, Status, TagsEvent, Tracker
from framework.tracking.tracking import Tracking

log: Final = logging.getLogger(__name__)


@final
class Parent:
    """The parent run, in the store that the cells are recorded in; a store that does not work holds no sweep up."""

    def __init__(self, *, record: SweepRecord, folder: Path, experiment: str | None, parameters: Mapping[str, object]) -> None:
        chosen = store.chosen_uri(folder)
        uri = store.working_uri(chosen, folder)
        self.uri, self.url = store.masked(chosen), None
        self.run_id: str | None = None
        self._run: Tracker | None = None
        with self._tolerant("has no parent run for the sweep"):
            from framework.tracking.mlflow import MLflow

            name = Tracking(folder=str(folder), experiment=experiment).experiment_name(uri)
            earlier = record.parent_run_id
            run = MLflow(uri=uri, experiment=name, name=record.name, run_id=earlier, system_seconds=None)
            self._run, self.run_id, self.url = run, run.run_id, run.url
        texts = {name: store.masked(str(value)) for name, value in parameters.items()}
        self._record([TagsEvent(provenance.facts(Path.cwd()) | {"sweep": record.name}), ParamsEvent(texts)])

    def close(self, status: Status, files: Sequence[Path]) -> None:
        """Record files and the end of the sweep."""
        self._record([FileEvent(path) for path in files])
        with self._tolerant("lacks the end of the sweep"):
            if self._run is not None:
                self._run.close(status)

    def _record(self, events: Sequence[Event]) -> None:
        with self._tolerant("lacks something of the sweep's parent run"):
            for event in events:
                if self._run is not None:
                    self._run.record(event)

    @contextmanager
    def _tolerant(self, what: str) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # whatever is wrong with a store, it must not stop a sweep
            reason = store.masked(str(error).split("\n")[0][:300])
            log.warning("MLflow at %s %s (%s: %s).", self.uri, what, type(error).__name__, reason)
