"""An environment that takes its time, another at each step."""

import random
import time
from typing import ClassVar

import dm_env
import numpy as np

from framework import environments
from framework.environments.base import Seekable
from framework.environments.counting import Counting


@environments.register
class Dawdling(Seekable):
    """Counts, and takes up to `seconds` for a step, as no seed says."""

    derived: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(self, *, seed: int, seconds: float = 0.01) -> None:
        self.inner, self.seconds, self.whim = Counting(seed=seed), seconds, random.SystemRandom()

    def seek(self, episode: int) -> None:
        self.inner.seek(episode)

    def reset(self) -> dm_env.TimeStep:
        return self.inner.reset()

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        time.sleep(self.whim.uniform(0, self.seconds))
        return self.inner.step(action)

    def observation_spec(self) -> object:
        return self.inner.observation_spec()

    def action_spec(self) -> object:
        return self.inner.action_spec()
