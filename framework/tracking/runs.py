"""Run folders, and the search for a run. Imports no mlflow: `run.json` in each folder names the run."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, final

from framework.errors import UserError
from framework.text import display, read_json
from framework.tracking.store import local_uri, masked

RUN: Final = "run.json"
LATEST: Final = "latest"
LISTED: Final = 5

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class RunRecord:
    """One run: its folder, and its place in MLflow.

    `chosen_uri` is the store in which it was to be recorded, `tracking_uri` the one that records it: the local one, while the chosen one is
    away. `run_id` is its id there, `None` for a run that MLflow does not have, and `run_ids` holds those in all stores. No address has
    credentials. A local store moves with the folder.
    """

    folder: Path
    name: str
    experiment: str
    tracking_uri: str
    run_id: str | None
    started: str
    chosen_uri: str = ""
    run_ids: Mapping[str, str] = field(default_factory=dict)

    def id_in(self, uri: str) -> str | None:
        """The run's id in a store."""
        return self.run_id if masked(uri) == self.tracking_uri else self.run_ids.get(masked(uri))

    def at(self, uri: str, run_id: str | None) -> "RunRecord":
        """The record of a run that goes on in a store."""
        uri = masked(uri)
        return replace(self, tracking_uri=uri, run_id=run_id, run_ids={**self.run_ids, uri: run_id} if run_id else self.run_ids)

    def write(self) -> None:
        """Write `run.json`, whole or not at all."""
        values = asdict(self)
        values["folder"] = str(values.pop("folder"))
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
    """The record in `run.json`, with the folder where it lies now, and the local store beside that.

    Raises `UserError` for one that is damaged.
    """
    values = read_json(folder / RUN)
    try:
        return _record(folder.absolute(), values)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{display(folder / RUN)} is damaged ({error}); restore it from a copy.") from error


def _record(folder: Path, values: dict[str, Any]) -> RunRecord:
    earlier = Path(values.pop("folder", folder))
    # A laboratory's runs lie one folder deeper than its store.
    moved = {local_uri(old): local_uri(new) for old, new in zip(earlier.parents[:2], folder.parents[:2], strict=False)}
    uri = values.pop("tracking_uri")
    chosen_uri = values.pop("chosen_uri", uri)
    run_ids = {moved.get(each, each): run_id for each, run_id in values.pop("run_ids", {}).items()}
    record = RunRecord(
        folder=folder, tracking_uri=moved.get(uri, uri), chosen_uri=moved.get(chosen_uri, chosen_uri), run_ids=run_ids, **values
    )
    for name, value in asdict(record).items():
        if name not in ("folder", "run_ids") and not isinstance(value, str | None):
            raise TypeError(f"{name} is no text")
    return record


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
    """Every run in a folder whose record can be read, the latest first."""
    records = []
    for path in folder.glob(f"*/{RUN}"):
        try:
            records.append(read_run(path.parent))
        except UserError as error:
            log.warning("Passing over a run: %s", error)
    return sorted(records, key=lambda record: (record.started, record.name), reverse=True)


def _listed(records: list[RunRecord]) -> str:
    if not records:
        return "there are no runs at all: start one with `dream train RECIPE`, or name the folder of another."
    names = ", ".join(f"{record.name} ({(record.run_id or 'not in MLflow')[:8]})" for record in records[:LISTED])
    return f"name one by its id, name or folder; the latest are: {names}."
