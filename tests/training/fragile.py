"""An environment whose process dies, once, when it is told to."""

import os
from pathlib import Path

import dm_env
import numpy as np

from framework import environments
from framework.environments.base import Seekable
from framework.environments.counting import Counting


@environments.register
class Fragile(Seekable):
    """Counts, and ends its process from its step `after` on while the file `fuse` is there, which it removes."""

    def __init__(self, *, seed: int, fuse: str, after: int = 4) -> None:
        self.inner, self.fuse, self.after, self.count = Counting(seed=seed), Path(fuse), after, 0

    def seek(self, episode: int) -> None:
        self.inner.seek(episode)

    def reset(self) -> dm_env.TimeStep:
        return self.inner.reset()

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        self.count += 1
        if self.count >= self.after and self.fuse.exists():
            self.fuse.unlink(missing_ok=True)
            os._exit(3)
        return self.inner.step(action)

    def observation_spec(self) -> object:
        return self.inner.observation_spec()

    def action_spec(self) -> object:
        return self.inner.action_spec()
