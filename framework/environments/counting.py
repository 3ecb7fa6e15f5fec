"""An environment in closed form, for tests of alignment."""

from typing import ClassVar, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import Seekable


@environments.register
@final
class Counting(Seekable):
    """Counts its own steps: the observation and the reward at step t of an episode are functions of t, whatever the actions were.

    `count` is [t]. Every pixel is (t mod 256, t div 256, (seed + episode) mod 256). The reward at step t is t.
    An episode has `length` steps after the first and ends by a time limit or a termination.
    """

    derived: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(
        self,
        *,
        seed: int,
        length: int = 10,
        ending: Literal["time_limit", "termination"] = "time_limit",
        action_size: int = 2,
        size: int = 8,
    ) -> None:
        self._seed = seed
        self._length = length
        self._last_discount = 1.0 if ending == "time_limit" else 0.0
        self._action_size = action_size
        self._size = size
        self._episode = -1
        self._count = length

    def seek(self, episode: int) -> None:
        self._episode = episode - 1
        self._count = self._length

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        self._count = 0
        return dm_env.restart(self._observe())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._count >= self._length:
            return self.reset()
        self._count += 1
        if self._count < self._length:
            return dm_env.transition(float(self._count), self._observe())
        return dm_env.TimeStep(dm_env.StepType.LAST, float(self._count), self._last_discount, self._observe())

    def observation_spec(self) -> dict[str, specs.Array]:
        return {
            "count": specs.Array((1,), np.float32, name="count"),
            "pixels": specs.BoundedArray((self._size, self._size, 3), np.uint8, 0, 255, name="pixels"),
        }

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((self._action_size,), np.float32, -1.0, 1.0, name="action")

    def _observe(self) -> dict[str, np.ndarray]:
        color = (self._count % 256, self._count // 256, (self._seed + self._episode) % 256)
        pixels = np.empty((self._size, self._size, 3), np.uint8)
        pixels[:] = color
        return {"count": np.array([self._count], np.float32), "pixels": pixels}
