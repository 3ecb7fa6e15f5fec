"""Environments around the counting one: mortal, or of uneven speed and episodes."""

import os
import random
import time
from pathlib import Path

import dm_env
import numpy as np

from framework import environments
from framework.environments.base import Seekable
from framework.environments.counting import Counting
from tests.environments.samples import Reticent


class Wrapped(Reticent, Seekable):
    """The counting environment, to be changed step by step."""

    def seek(self, episode: int) -> None:
        self.inner.seek(episode)


@environments.register
class Fragile(Wrapped):
    """Ends its process from its step `after` on while the file `fuse` exists, which it removes."""

    def __init__(self, *, seed: int, fuse: str, after: int = 4) -> None:
        super().__init__(seed=seed)
        self.fuse, self.after, self.count = Path(fuse), after, 0

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        self.count += 1
        if self.count >= self.after and self.fuse.exists():
            self.fuse.unlink(missing_ok=True)
            os._exit(3)
        return super().step(action)


@environments.register
class Uneven(Wrapped):
    """Episodes of 3 to 9 steps, about half of which terminate, and steps of any duration. `count` is the sum of the episode's actions."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed, self._episode, self._done = seed, -1, True

    def seek(self, episode: int) -> None:
        self._episode, self._done = episode - 1, True

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        generator = np.random.default_rng([self._seed, self._episode])
        ending = "termination" if generator.integers(2) else "time_limit"
        self.inner = Counting(seed=self._seed, length=int(generator.integers(3, 10)), ending=ending)
        self._sum, self._done = 0.0, False
        return self._with_sum(self.inner.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._done:
            return self.reset()
        time.sleep(random.SystemRandom().uniform(0, 0.005))
        self._sum += float(np.sum(action))
        time_step = self.inner.step(action)
        self._done = time_step.last()
        return self._with_sum(time_step)

    def _with_sum(self, time_step: dm_env.TimeStep) -> dm_env.TimeStep:
        return time_step._replace(observation=time_step.observation | {"count": np.array([self._sum], np.float32)})
