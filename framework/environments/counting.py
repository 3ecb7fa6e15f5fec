"""An environment in closed form, for tests of alignment."""

from typing import Any, Final, Literal, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import SeededEpisodes
from framework.errors import UserError

LARGEST: Final = 2**12
"""The step from which two bytes no longer hold its number."""


@environments.register
@final
class Counting(SeededEpisodes):
    """Counts its own steps: the observation and the reward at step t of an episode are functions of t, whatever the actions were.

    `count` is [t]. Every pixel is (t mod 256, t div 256, (seed + episode) mod 256). The reward at step t is t.
    An episode has `length` steps after the first and ends by a time limit or a termination.
    """

    def __init__(
        self,
        *,
        seed: int,
        length: int = 10,
        ending: Literal["time_limit", "termination"] = "time_limit",
        action_size: int = 2,
        size: int = 8,
    ) -> None:
        for name, value in (("length", length), ("action_size", action_size), ("size", size)):
            if not 1 <= value <= LARGEST:
                raise UserError(f"Counting.{name} = {value} must be between 1 and {LARGEST}.")
        super().__init__(seed=seed)
        self._length, self._action_size, self._size = length, action_size, size
        self._last_discount = 1.0 if ending == "time_limit" else 0.0

    def observation_spec(self) -> dict[str, specs.Array]:
        return {
            "count": specs.Array((1,), np.float32, name="count"),
            "pixels": specs.BoundedArray((self._size, self._size, 3), np.uint8, 0, 255, name="pixels"),
        }

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((self._action_size,), np.float32, -1.0, 1.0, name="action")

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._count = 0
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self._count += 1
        if self._count < self._length:
            return dm_env.transition(float(self._count), None)
        return dm_env.TimeStep(dm_env.StepType.LAST, float(self._count), self._last_discount, None)

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        pixels = np.empty((self._size, self._size, 3), np.uint8)
        pixels[:] = (self._count % 256, self._count // 256, (self._seed + self._episode) % 256)
        return {"count": np.array([self._count], np.float32), "pixels": pixels}
