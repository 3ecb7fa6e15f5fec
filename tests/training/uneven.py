"""An environment whose episodes end at different times, and which shows what was done to it."""

from typing import ClassVar

import dm_env
import numpy as np

from framework import environments
from framework.environments.base import Seekable
from framework.environments.counting import Counting


@environments.register
class Uneven(Seekable):
    """Counts, in episodes of 3 to 9 steps, about half of which end by themselves. `count` is the sum of the episode's actions."""

    derived: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(self, *, seed: int) -> None:
        self._seed, self._episode, self._done = seed, -1, True
        self._inner = Counting(seed=seed)

    def seek(self, episode: int) -> None:
        self._episode, self._done = episode - 1, True

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        random = np.random.default_rng([self._seed, self._episode])
        ending = "termination" if random.integers(2) else "time_limit"
        self._inner = Counting(seed=self._seed, length=int(random.integers(3, 10)), ending=ending)
        self._sum, self._done = 0.0, False
        return self._show(self._inner.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._done:
            return self.reset()
        self._sum += float(np.sum(action))
        time_step = self._inner.step(action)
        self._done = time_step.last()
        return self._show(time_step)

    def observation_spec(self) -> object:
        return self._inner.observation_spec()

    def action_spec(self) -> object:
        return self._inner.action_spec()

    def _show(self, time_step: dm_env.TimeStep) -> dm_env.TimeStep:
        return time_step._replace(observation=time_step.observation | {"count": np.array([self._sum], np.float32)})
