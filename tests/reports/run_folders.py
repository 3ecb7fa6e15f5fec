"""Run folders as trainings leave them, with chosen returns, written by the real trackers."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from framework.sweeps.record import Cell, SweepRecord
from framework.tracking.base import MetricsEvent, ParamsEvent, Status, TagsEvent
from framework.tracking.jsonl import Jsonl
from framework.tracking.runs import RunRecord

SETTINGS = {
    "Run.environment": "@environments.DMControl",
    "Run.seed": "0",
    "DMControl.observe": "pixels",
    "Evaluation.every": "10000",
    "Evaluation.episodes": "10",
    "Trainer.steps": "1000000",
    "Tracking.folder": "runs",
}


def write_run(
    folder: Path,
    name: str,
    returns: Mapping[int, float],
    *,
    recipe: str = "quickstart",
    task: str = "cartpole_swingup",
    seed: int = 0,
    status: Status | None = "FINISHED",
    estimate: float | None = None,
    is_lower_bound: bool = True,
    steps_per_minute: float = 10_000.0,
    **settings: str,
) -> Path:
    """A run with these returns at these steps, a log line at each of them, and no end where `status` is None."""
    home = folder.absolute() / name
    home.mkdir(parents=True)
    RunRecord(home, name, "dream", "", None, datetime.now().astimezone().isoformat()).write()
    tracker = Jsonl(run_folder=home)
    own = SETTINGS | {"DMControl.task": task, "Run.seed": str(seed)} | {key.replace("__", "."): value for key, value in settings.items()}
    tracker.record(ParamsEvent({key: value for key, value in own.items() if value}))
    command = f"dream train {recipe} --seed {seed}"
    tags = {"recipe": f"{recipe}.gin", "seed": str(seed), "host": "vm", "device": "cpu", "command": command}
    for commit, changed in (("0123456789abcdef", "false"), ("fedcba9876543210", "true")):  # of the start, and of a resume
        tracker.record(TagsEvent(tags | {"git.commit": commit, "git.changed": changed}))
    for step, value in returns.items():
        log = {"time/minutes": step / steps_per_minute, "time/updates_per_second": 7.5}
        if estimate is not None:
            log |= {"contrastive/estimate": estimate + value / 500, "contrastive/is_lower_bound": float(is_lower_bound)}
        tracker.record(MetricsEvent(step, log))
        tracker.record(MetricsEvent(step, {"eval/return": value, "eval/return_std": 9.0, "eval/episodes": 10.0}))
    if status is not None:
        tracker.close(status)
    return home


def write_sweep(folder: Path, cells: list[Cell], **values: str | None) -> SweepRecord:
    """The record of a sweep whose runs are in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"command": f"dream sweep quickstart --name {folder.name}", "tracking_uri": "", "parent_run_id": None} | values
    record = SweepRecord(
        folder=folder.absolute(), name=folder.name, framework_version="0.1.0", created="2026-01-01T12:00:00+00:00", cells=cells, **facts
    )
    record.write()
    return record
