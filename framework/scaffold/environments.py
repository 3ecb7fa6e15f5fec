"""An environment of your own: a point on a line that is to come to rest at zero."""

from typing import Any, final

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import SeededEpisodes
from framework.errors import UserError


@final
@environments.register
class MyComponent(SeededEpisodes):
    """A point begins anywhere in [-1, 1]; an action in [-1, 1] is its acceleration, and the reward is `exp(-x^2)`.

    An episode ends by time, after `length` steps: the last one has discount 1. Any `dm_env.Environment` can be registered instead; this
    base makes episodes that depend on seed, index and actions alone, so that a run resumes exactly.
    """

    def __init__(self, *, seed: int, length: int = 100) -> None:
        super().__init__(seed=seed)
        if length < 1:
            raise UserError(f"MyComponent.length = {length} is no length of an episode: bind 1 or more.")
        self._length = length

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"motion": specs.Array((2,), np.float32, name="motion")}

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._steps, self._speed = 0, 0.0
        self._position = np.random.default_rng(entropy).uniform(-1, 1)
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self._steps += 1
        self._speed = 0.9 * self._speed + 0.1 * float(action[0])
        self._position += self._speed
        reward = float(np.exp(-(self._position**2)))
        return dm_env.truncation(reward, None) if self._steps == self._length else dm_env.transition(reward, None)

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        return {"motion": np.array([self._position, self._speed], np.float32)}
