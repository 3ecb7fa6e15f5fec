"""Run folders, and the search for a run. Imports no mlflow: `run.json` in each folder names the run."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Final, final

from framework.errors import UserError
from framework.text import read_text

RUN: Final = "run.json"
LATEST: Final = "latest"
LISTED: Final = 5


@final
@dataclass(frozen=True)
class RunRecord:
    """One run: its folder, and its place in MLflow. `run_id` is `None` for a run that MLflow does not have."""

    folder: Path
    name: str
    experiment: str
    tracking_uri: str
    run_id: str | None
    started: str

    def write(self) -> None:
        """Write `run.json`, whole or not at all."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        partial = self.folder / f"{RUN}.partial"
        partial.write_text(json.dumps(values, indent=2) + "\n")
        partial.replace(self.folder / RUN)


def new_folder(folder: Path, name: str, seed: int) -> Path:
    """Make `<folder>/<name>-<timestamp>-<seed>/`; a number is appended for a second run within one second."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}-{seed}"
    for number in count(1):
        path = folder.absolute() / (stem if number == 1 else f"{stem}.{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"Cannot make the run folder {path} ({error.strerror}): set Tracking.folder to another.") from error
        break
    return path


def read_run(folder: Path) -> RunRecord:
    """The record in `run.json`, with the folder where it lies now."""
    return RunRecord(folder=folder.absolute(), **json.loads(read_text(folder / RUN)))


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
    names = {record.folder: (record.name, record.folder.name, record.run_id or "") for record in records}
    matches = [record for record in records if run in names[record.folder]]
    matches = matches or [record for record in records if run and any(name.startswith(run) for name in names[record.folder])]
    if len(matches) == 1:
        return matches[0]
    problem = f"{len(matches)} runs fit '{run}'" if matches else f"There is no run '{run}' in {folder.absolute()}"
    raise UserError(f"{problem}; {_listed(matches or records)}")


def runs(folder: Path) -> list[RunRecord]:
    """Every run in a folder, the latest first."""
    records = [read_run(path.parent) for path in folder.glob(f"*/{RUN}")]
    return sorted(records, key=lambda record: (record.started, record.name), reverse=True)


def _listed(records: list[RunRecord]) -> str:
    if not records:
        return "there are no runs at all: start one with `dream train RECIPE`, or name the folder of another."
    names = ", ".join(f"{record.name} ({(record.run_id or 'not in MLflow')[:8]})" for record in records[:LISTED])
    return f"name one by its id, name or folder; the latest are: {names}."
