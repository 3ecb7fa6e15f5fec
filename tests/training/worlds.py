"""Environments that fail, or whose steps and episodes last unevenly long."""

import ctypes
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import SeededEpisodes, Seekable
from tests.environments.samples import Reticent


@environments.register
class Fragile(Reticent, Seekable):
    """The counting environment; it ends its process from its step `after` on while the file `fuse` exists, which it removes."""

    def __init__(self, *, seed: int, fuse: str, after: int = 4) -> None:
        super().__init__(seed=seed)
        self.fuse, self.after, self.count = Path(fuse), after, 0

    def seek(self, episode: int) -> None:
        self.inner.seek(episode)

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        self.count += 1
        if self.count >= self.after and self.fuse.exists():
            self.fuse.unlink(missing_ok=True)
            os._exit(3)
        return super().step(action)


@environments.register
class Uneven(SeededEpisodes):
    """Episodes of one of the `lengths`, about half of which terminate, and steps of any duration up to `pause` seconds.

    `count` is the sum of the episode's actions; the reward at step t is t.
    """

    def __init__(self, *, seed: int, lengths: Sequence[int] = tuple(range(3, 10)), pause: float = 0.005) -> None:
        super().__init__(seed=seed)
        self.lengths, self.pause = lengths, pause

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        generator = np.random.default_rng(entropy)
        self.length, self.discount = int(generator.choice(self.lengths)), float(generator.integers(2))
        self.time, self.sum = 0, 0.0
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        time.sleep(random.SystemRandom().uniform(0, self.pause))
        self.time += 1
        self.sum += float(np.sum(action))
        if self.time < self.length:
            return dm_env.transition(float(self.time), None)
        return dm_env.TimeStep(dm_env.StepType.LAST, float(self.time), self.discount, None)

    def _observe(self, observation: None) -> dict[str, np.ndarray]:
        return {"count": np.array([self.sum], np.float32), "pixels": np.full((8, 8, 3), self.time, np.uint8)}

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"count": specs.Array((1,), np.float32), "pixels": specs.BoundedArray((8, 8, 3), np.uint8, 0, 255)}

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((2,), np.float32, -1.0, 1.0)


@environments.register
class Faulty(SeededEpisodes):
    """Counts, and fails at one step of some episodes (None: of all): `hang` returns to Python now and then, `freeze` never does.

    With `endless` no episode ends.
    """

    def __init__(
        self,
        *,
        seed: int,
        how: Literal["raise", "exit", "hang", "freeze", "nan", "nan reward", "shape", "endless"],
        episodes: Sequence[int] | None = (2,),
        at: int = 4,
    ) -> None:
        super().__init__(seed=seed)
        self.how, self.episodes, self.at, self.length = how, episodes, at, 10**9 if how == "endless" else 10

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self.time = 0
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self.time += 1
        if self.faulty("raise"):
            raise ZeroDivisionError("the pole is in two places")
        if self.faulty("exit"):
            os._exit(3)
        while self.faulty("hang"):
            time.sleep(60)
        if self.faulty("freeze"):
            ctypes.PyDLL(None).sleep(600)
        reward = np.nan if self.faulty("nan reward") else float(self.time)
        return (dm_env.truncation if self.time == self.length else dm_env.transition)(reward, None)

    def _observe(self, observation: None) -> dict[str, np.ndarray]:
        count = np.array([np.nan if self.faulty("nan") else self.time] * (2 if self.faulty("shape") else 1), np.float32)
        return {"count": count, "pixels": np.full((8, 8, 3), self.time % 256, np.uint8)}

    def faulty(self, how: str) -> bool:
        return self.how == how and self.time == self.at and (self.episodes is None or self._episode in self.episodes)

    observation_spec, action_spec = Uneven.observation_spec, Uneven.action_spec
