"""What a run calls: one tracker that stands for all."""

import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking.base import Status, Tracker
from framework.tracking.readings import Readings


@final
class RunTracker(Tracker):
    """One run, recorded by several trackers; nothing that the caller does waits for any of them."""

    def __init__(self, *, run_folder: Path, console: Tracker, mirror: Tracker, remote: Tracker | None) -> None:
        self.run_folder = run_folder
        self.mirror = mirror
        self.trackers = [console, mirror] + ([remote] if remote else [])
        self.run_id = remote.run_id if remote else None
        self.url = remote.url if remote else None
        self.readings = Readings()

    def params(self, values: Mapping[str, object]) -> None:
        for tracker in self.trackers:
            tracker.params(values)

    def tags(self, values: Mapping[str, str]) -> None:
        for tracker in self.trackers:
            tracker.tags(values)

    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        values, time = {**values, **self.readings.take()}, clock.time() if time is None else time
        for tracker in self.trackers:
            tracker.metrics(step, values, time=time)

    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        for tracker in self.trackers:
            tracker.picture(name, step, image)

    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        """The mirror encodes it, and forwards the file."""
        self.mirror.video(name, step, frames, fps)

    def file(self, path: Path, folder: str = "") -> None:
        for tracker in self.trackers:
            tracker.file(path, folder)

    def text(self, name: str, content: str) -> None:
        for tracker in self.trackers:
            tracker.text(name, content)

    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        for tracker in self.trackers:
            tracker.model(checkpoint, step=step, observation=observation, action=action, aliases=aliases)

    def flush(self) -> None:
        for tracker in self.trackers:
            tracker.flush()

    def close(self, status: Status) -> None:
        """In order: the mirror hands its last videos on before the store is closed."""
        for tracker in self.trackers:
            tracker.close(status)
