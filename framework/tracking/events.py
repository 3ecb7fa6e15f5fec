"""The records of a run as data, so that they can be queued, written to a file and sent again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Num, UInt8


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
    """Numbers at an environment step; `time` in seconds since 1970."""

    step: int
    values: Mapping[str, float]
    time: float


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
    """One video at an environment step; `fps` in frames per second."""

    name: str
    step: int
    frames: UInt8[np.ndarray, "T Y X 3"]
    fps: float


@final
@dataclass(frozen=True)
class FileEvent:
    """A file to be copied into a folder of the run's artifacts."""

    path: Path
    folder: str = ""


@final
@dataclass(frozen=True)
class TextEvent:
    """A text to be stored as a file of that name."""

    name: str
    content: str


@final
@dataclass(frozen=True)
class PolicyEvent:
    """The policy in a checkpoint's folder, with two observations and their actions as an example."""

    checkpoint: Path
    step: int
    observation: Mapping[str, Num[np.ndarray, "2 *shape"]]
    action: Num[np.ndarray, "2 A"]
    aliases: Sequence[str] = ()


Event = ParamsEvent | TagsEvent | MetricsEvent | PictureEvent | VideoEvent | FileEvent | TextEvent | PolicyEvent
