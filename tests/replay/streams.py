"""Steps that name their place in their stream, and comparisons of batches."""

import numpy as np
import torch
from dm_env import specs
from torch import Tensor

from framework.data import Batch
from framework.replay.replay import Replay
from framework.specs import Specs
from framework.vector_environments.base import VectorStep

SPECS = Specs(
    observation={
        "count": specs.Array((1,), np.float64),
        "pixels/front": specs.BoundedArray((4, 4, 3), np.uint8, 0, 255),
    },
    action=specs.BoundedArray((2,), np.float32, -1, 1),
)


def counted(streams: int, time: int) -> VectorStep:
    """Step `time` of every stream counts `1000 * stream + time`; the episodes of stream `s` last `5 + s` steps, odd ones terminate."""
    stream = np.arange(streams)
    count, length = 1000 * stream + time, 5 + stream
    is_first, is_last, episode = time % length == 0, time % length == length - 1, time // length
    return VectorStep(
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


def extend(replay: Replay, first: int, last: int) -> None:
    """Add the counted steps `first` to `last - 1` of every stream."""
    for time in range(first, last):
        replay.add(counted(replay.streams, time))


def windows(replay: Replay) -> Batch:
    """Every sequence that can be drawn."""
    return replay.windows(torch.arange(len(replay)))


def count(batch: Batch) -> Tensor:
    return batch.observation["count"][..., 0].long()


def tensors(batch: Batch) -> dict[str, Tensor]:
    """Every tensor of a batch by name."""
    extra = vars(batch.extra) | batch.extra.observation if batch.extra else {}
    fields = vars(batch) | batch.observation | {f"extra {name}": value for name, value in extra.items()}
    return {name: value for name, value in fields.items() if isinstance(value, Tensor)}


def same(left: Batch, right: Batch) -> bool:
    """Whether two batches agree to the bit."""
    one, other = tensors(left), tensors(right)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
