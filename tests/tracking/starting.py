"""Runs that tests of the whole tracker start, and what a store has of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from framework.tracking.base import MetricsEvent, PictureEvent
from framework.tracking.tracking import RunTracker, Tracking


def begin(folder: Path, run_folder: Path | None = None, *, rate: int = 1, git_diff: bool = False, **arguments: Any) -> RunTracker:
    tracking = Tracking(folder=str(folder), flush_seconds=0.1, git_diff=git_diff)
    run_folder = run_folder or tracking.new_run_folder(recipe="quickstart", seed=1)
    start: dict[str, Any] = {"parameters": {"Adam.rate": rate}, "tags": {"seed": "1"}} | arguments
    return tracking.start(run_folder=run_folder, total_steps=1000, **start)


def recorded(folder: Path, *steps: int, run_folder: Path | None = None, pictures: int = 0, **arguments: Any) -> RunTracker:
    """A finished run with a return at these steps, and pictures at the first ones."""
    with begin(folder, run_folder, **arguments) as tracker:
        for step in range(pictures):
            tracker.record(PictureEvent("model/picture", step, np.zeros((8, 8, 3), np.uint8)))
        for step in steps:
            tracker.record(MetricsEvent(step, {"train/return": float(step)}))
    return tracker


def points(client: Any, run_id: str | None, metric: str = "train/return") -> list[int]:
    """The steps at which a store has a metric of a run."""
    return sorted(point.step for point in client.get_metric_history(run_id, metric))


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()
