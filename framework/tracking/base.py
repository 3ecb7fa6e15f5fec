"""The contract of everything that records a run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Num, UInt8

Status = Literal["FINISHED", "FAILED", "KILLED"]
Entered = TypeVar("Entered", bound="Tracker")


class Unavailable(Exception):
    """The tracker can take nothing just now; the same call may be made again later."""


class Tracker(ABC):
    """Takes what a run has to say. Steps are environment steps, action repeats counted; times are seconds since 1970.

    Whoever calls gives its arrays and mappings away: a tracker may read them later, from another thread.
    Used in a `with` statement it closes itself: KILLED on Ctrl-C, FAILED on another exception, else FINISHED.
    """

    run_id: str | None = None
    url: str | None = None

    @abstractmethod
    def params(self, values: Mapping[str, object]) -> None:
        """Record settings, one flat name each."""

    @abstractmethod
    def tags(self, values: Mapping[str, str]) -> None:
        """Record facts about the run that may change."""

    @abstractmethod
    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        """Record numbers at a step, now unless a time is given."""

    @abstractmethod
    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        """Record one picture."""

    @abstractmethod
    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        """Record one video."""

    @abstractmethod
    def file(self, path: Path, folder: str = "") -> None:
        """Record a copy of a file, in a folder of the run's artifacts."""

    @abstractmethod
    def text(self, name: str, content: str) -> None:
        """Record a text as a file of that name."""

    @abstractmethod
    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        """Record the policy in a checkpoint, with an example: two observations, and the actions for them.

        Aliases name this version of the policy, `best` for one; `latest` always names the last, without being asked for.
        """

    @abstractmethod
    def flush(self) -> None:
        """Send what was held back to be sent together."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """Say how the run ended and let go of everything."""

    def __enter__(self: Entered) -> Entered:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(status_of(kind))


def status_of(error: type[BaseException] | None) -> Status:
    """How a run ended that was left by this kind of exception."""
    if error is None:
        return "FINISHED"
    return "KILLED" if issubclass(error, KeyboardInterrupt) else "FAILED"
