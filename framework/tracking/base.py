"""The events of a run, and the contract of everything that records them."""

import threading
import time as clock
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TypeVar, final

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking.media import encode_video

Status = Literal["FINISHED", "FAILED", "KILLED"]
Entered = TypeVar("Entered", bound="Tracker")
ENCODING: Final = threading.Lock()


@final
@dataclass(frozen=True)
class ParamsEvent:
    """Settings, one flat name each."""

    values: Mapping[str, object]


@final
@dataclass(frozen=True)
class TagsEvent:
    """Facts about the run that may change."""

    values: Mapping[str, str]


@final
@dataclass(frozen=True)
class MetricsEvent:
    """Numbers at an environment step, action repeats counted; `time` in seconds since 1970."""

    step: int
    values: Mapping[str, float]
    time: float = field(default_factory=clock.time)


@final
@dataclass(frozen=True)
class PictureEvent:
    """One picture at an environment step."""

    name: str
    step: int
    image: UInt8[np.ndarray, "Y X 3"]


@final
@dataclass(frozen=True)
class VideoEvent:
    """One video at an environment step; `fps` in frames per second. The first tracker that asks for the MP4 encodes it for all."""

    name: str
    step: int
    frames: UInt8[np.ndarray, "T Y X 3"]
    fps: float

    @property
    def mp4(self) -> bytes:
        with ENCODING:
            return self._mp4

    @cached_property
    def _mp4(self) -> bytes:
        return encode_video(self.frames, self.fps)


@final
@dataclass(frozen=True)
class FileEvent:
    """A file to be copied into a folder of the run's artifacts."""

    path: Path
    folder: str = ""


@final
@dataclass(frozen=True)
class PolicyEvent:
    """The policy in the folder of a checkpoint: the packages that it needs, and two observations and their actions as an example.

    Aliases name this version of the policy, for example `best`; `latest` always names the last version.
    """

    checkpoint: Path
    step: int
    requirements: Sequence[str]
    observation: Mapping[str, Num[np.ndarray, "2 *shape"]]
    action: Num[np.ndarray, "2 A"]
    aliases: Sequence[str] = ()


Event = ParamsEvent | TagsEvent | MetricsEvent | PictureEvent | VideoEvent | FileEvent | PolicyEvent


@final
class ArtifactError(Exception):
    """An artifact that cannot be stored where numbers can."""


class Tracker(ABC):
    """Records the events of a run, possibly later and in another thread: the caller must not change what an event holds.

    Each method raises `OSError` where the storage is away at the moment, so that the call may be repeated, and any other exception or
    `FileNotFoundError` where the event itself is refused.
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

    def __enter__(self: Entered) -> Entered:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close as KILLED after Ctrl-C, FAILED after another exception, else FINISHED."""
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")


@final
class NoTracker(Tracker):
    """Records nothing: the tracker of every rank but the first."""

    def record(self, event: Event) -> None:
        return

    def close(self, status: Status) -> None:
        return
