"""Run folders, and finding a run again. Imports no mlflow: `run.json` in each folder says which run it is."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, final

from framework.errors import UserError

RUN: Final = "run.json"
LATEST: Final = "latest"
SHOWN: Final = 5


@final
@dataclass(frozen=True)
class RunRecord:
    """One run: its folder, and where MLflow has it. `run_id` is `None` for a run that MLflow does not have.

    `earlier` holds the id in every other store that had a part of the run, by the store's URI.
    """

    folder: Path
    name: str
    experiment: str
    tracking_uri: str
    run_id: str | None
    started: str
    earlier: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write `run.json`, whole or not at all."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        partial = self.folder / f"{RUN}.partial"
        partial.write_text(json.dumps(values, indent=2) + "\n")
        partial.replace(self.folder / RUN)

    def id_in(self, tracking_uri: str) -> str | None:
        """The run's id in a store, if that store has it."""
        return self.run_id if tracking_uri == self.tracking_uri else self.earlier.get(tracking_uri)


def new_folder(folder: Path, name: str, seed: int) -> Path:
    """Make `<folder>/<name>-<timestamp>-<seed>/`, a new one even for two runs in one second."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}-{seed}"
    number = 1
    while True:
        path = folder.absolute() / (stem if number == 1 else f"{stem}.{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"Cannot make the run folder {path} ({error.strerror}): set Tracking.folder to another.") from error
        else:
            return path


def read_run(folder: Path) -> RunRecord:
    """What `run.json` says; the run is wherever its folder is now."""
    return RunRecord(folder=folder.absolute(), **json.loads((folder / RUN).read_text()))


def open_run(run: str, folder: Path) -> RunRecord:
    """Find a run by `latest`, its folder, its MLflow id, its name, or the beginning of either.

    Raises:
        UserError: no run fits, or several do.
    """
    if (Path(run) / RUN).is_file():
        return read_run(Path(run))
    records = runs(folder)
    if run == LATEST and records:
        return records[0]
    exact = [record for record in records if run in (record.run_id, record.name)]
    found = exact or [record for record in records if _begins(record, run)]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} runs fit '{run}'" if found else f"There is no run '{run}' in {folder.absolute()}"
    raise UserError(f"{problem}; {_listed(found or records)}")


def runs(folder: Path) -> list[RunRecord]:
    """Every run in a folder, the latest first."""
    records = [read_run(path.parent) for path in folder.glob(f"*/{RUN}")]
    return sorted(records, key=lambda record: (record.started, record.name), reverse=True)


def _begins(record: RunRecord, run: str) -> bool:
    return bool(run) and (record.name.startswith(run) or (record.run_id or "").startswith(run))


def _listed(records: list[RunRecord]) -> str:
    if not records:
        return "there are no runs at all: start one with `dream train RECIPE`, or name the folder of another."
    names = ", ".join(f"{record.name} ({(record.run_id or 'not in MLflow')[:8]})" for record in records[:SHOWN])
    return f"name one by its id, name or folder; the latest are: {names}."
