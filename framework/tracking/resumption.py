"""Whether a resumed run may go on in the MLflow run that recorded it before."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from framework.tracking.mlflow_names import latest_settings, texts
from framework.tracking.runs import RUN, read_run

LIMITS: Final = ("Trainer.steps", "Trainer.updates", "Trainer.minutes")
"""Settings that end a run, and change no number before that."""
log: Final = logging.getLogger("framework.tracking")


@final
@dataclass(frozen=True)
class Resumption:
    """A run folder whose run continues after a step, with these settings."""

    run_folder: Path
    parameters: Mapping[str, object]
    step: int

    def parent(self, uri: str, folder: Path, run_id: str) -> str | None:
        """The run below which this one goes on as a new one: its own of before, if it may not be continued."""
        from framework.tracking.mlflow_store import find, has_points_after, open_store

        client = open_store(uri, folder)
        run = find(client, run_id)
        if run is None:
            return None
        changed = self._changed(run.data.params, run.data.tags)
        original = Path(run.data.tags.get("run_folder", self.run_folder))
        if self._is_copy_of(original, run_id):
            reason = f"{self.run_folder} is a copy of {original}, whose run that is"
        elif changed and has_points_after(client, run, self.step):
            reason = f"that has points after step {self.step} of other settings ({', '.join(changed)})"
            if run.info.status == "RUNNING":
                client.set_terminated(run_id, "KILLED")
        else:
            return None
        log.warning("The run goes on as a new one below its MLflow run %s: %s.", run_id, reason)
        return run_id

    def _is_copy_of(self, original: Path, run_id: str) -> bool:
        """Whether another folder has that MLflow run."""
        if not (original / RUN).is_file() or original.resolve() == self.run_folder.resolve():
            return False
        record = read_run(original)
        return run_id in (record.run_id, *record.run_ids.values())

    def _changed(self, params: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
        """The names of the settings with another value than when the run went on last; one of them holds a component that was replaced."""
        earlier, now = latest_settings(params, tags), texts(self.parameters)
        names = sorted(name for name in earlier.keys() & now.keys() if earlier[name] != now[name])
        return [name for name in names if name not in LIMITS and not name.startswith("Tracking.")]
