"""The contract of everything that records a run."""

import time as clock
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking import events
from framework.tracking.events import Event

Status = Literal["FINISHED", "FAILED", "KILLED"]
Entered = TypeVar("Entered", bound="Tracker")


class Unavailable(Exception):
    """The tracker accepts no records at the moment; the same call may be repeated later."""


class Tracker(ABC):
    """Records the events of a run. Steps are environment steps, action repeats counted; times are seconds since 1970.

    A tracker may read an array later, from another thread: the caller must not change it. As a context manager it closes itself:
    KILLED after Ctrl-C, FAILED after another exception, else FINISHED.
    """

    run_id: str | None = None
    url: str | None = None

    @abstractmethod
    def record(self, event: Event) -> None:
        """Record one event."""

    def flush(self) -> None:  # noqa: B027 -- most trackers hold nothing back
        """Deliver the events that were held back to be sent together."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """Record how the run ended, and release every resource."""

    def params(self, values: Mapping[str, object]) -> None:
        """Record settings, one flat name each."""
        self.record(events.ParamsEvent(dict(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record facts about the run that may change."""
        self.record(events.TagsEvent(dict(values)))

    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        """Record numbers at a step, with the present time unless one is given."""
        self.record(events.MetricsEvent(step, dict(values), clock.time() if time is None else time))

    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        """Record one picture."""
        self.record(events.PictureEvent(name, step, image))

    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        """Record one video."""
        self.record(events.VideoEvent(name, step, frames, fps))

    def file(self, path: Path, folder: str = "") -> None:
        """Record a copy of a file, in a folder of the run's artifacts."""
        self.record(events.FileEvent(path, folder))

    def text(self, name: str, content: str) -> None:
        """Record a text as a file of that name."""
        self.record(events.TextEvent(name, content))

    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        """Record the policy in a checkpoint, with two observations and their actions as an example.

        Aliases name this version of the policy, for example `best`; `latest` always names the last version.
        """
        self.record(events.PolicyEvent(checkpoint, step, dict(observation), action, tuple(aliases)))

    def __enter__(self: Entered) -> Entered:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")
