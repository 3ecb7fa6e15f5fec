"""Streams that say which step they are, so that one row out of place fails a test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.data import Batch, Specs
from framework.replay.replay import Replay

SPECS = Specs(
    observation={
        "count": specs.Array((1,), np.float64),
        "pixels/front": specs.BoundedArray((4, 4, 3), np.uint8, 0, 255),
    },
    action=specs.BoundedArray((2,), np.float32, -1, 1),
)


@dataclass(frozen=True)
class Steps:
    observation: dict[str, np.ndarray]
    action: np.ndarray
    reward: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray
    is_terminal: np.ndarray
    episode: np.ndarray


def counted(streams: int, time: int) -> Steps:
    """Step `time` of every stream counts `1000 * stream + time`; the episodes of stream `s` last `5 + s` steps, odd ones terminate."""
    stream = np.arange(streams)
    count, length = 1000 * stream + time, 5 + stream
    is_first, is_last, episode = time % length == 0, time % length == length - 1, time // length
    return Steps(
        observation={
            "count": count[:, None].astype(np.float64),
            "pixels/front": np.broadcast_to((count % 256)[:, None, None, None], (streams, 4, 4, 3)).astype(np.uint8),
        },
        action=np.where(is_first, 0, count)[:, None].repeat(2, axis=1).astype(np.float32),
        reward=count.astype(np.float32),
        is_first=is_first,
        is_last=is_last,
        is_terminal=is_last & (episode % 2 == 1),
        episode=episode,
    )


def fill(replay: Replay, first: int, last: int) -> None:
    for time in range(first, last):
        replay.add(counted(replay.streams, time))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Replay]:
    """A replay of small steps; `added` counted steps are in each of its streams."""

    def build(*, added: int = 0, **changes: Any) -> Replay:
        settings = {"capacity": 60, "batch": 8, "length": 6, "streams": 2, "seed": 0, "storage": "memory"} | changes
        folder = tmp_path / f"memmap{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        replay = Replay(specs=SPECS, device=torch.device("cpu"), folder=folder, **settings)
        fill(replay, 0, added)
        return replay

    return build


@pytest.fixture
def extend() -> Callable[[Replay, int, int], None]:
    return fill


@pytest.fixture
def counted_steps() -> Callable[..., Steps]:
    return lambda streams, time, **changes: replace(counted(streams, time), **changes)


@pytest.fixture
def same() -> Callable[[Batch, Batch], bool]:
    """Whether two batches agree to the bit."""

    def equal(left: Batch, right: Batch) -> bool:
        one, other = (batch.__dict__ | dict(batch.observation) for batch in (left, right))
        names = one.keys() - {"observation", "draws"}
        return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in names)

    return equal
