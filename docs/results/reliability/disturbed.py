"""An environment that fails when a file asks it to."""

import os
import time
from pathlib import Path

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import SeededEpisodes


@environments.register
class Disturbed(SeededEpisodes):
    """A point that the action moves in a square; the reward is largest in the middle. An episode has `length` steps of `pause` seconds.

    The first environment that finds the file in the variable `FAULT` takes it away, and fails in the way that it names: `raise`, `hang`,
    `nan`, `shape` (or `exit`).
    """

    def __init__(self, *, seed: int, length: int = 100, pause: float = 0.01) -> None:
        super().__init__(seed=seed)
        self.length, self.pause, self.how = length, pause, ""
        self.file = Path(os.environ["FAULT"]) if "FAULT" in os.environ else None

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self.time, self.place = 0, np.random.default_rng(entropy).uniform(-1, 1, 2)
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        time.sleep(self.pause)
        self.how = self._asked()
        if self.how == "raise":
            raise ZeroDivisionError("the pole is in two places")
        if self.how == "exit":
            os._exit(3)
        while self.how == "hang":
            time.sleep(60)
        self.time += 1
        self.place = np.clip(self.place + 0.1 * np.asarray(action), -1, 1)
        reward = 1 - float(np.abs(self.place).mean())
        return (dm_env.truncation if self.time == self.length else dm_env.transition)(reward, None)

    def _observe(self, observation: None) -> dict[str, np.ndarray]:
        pixels = np.zeros((8, 8, 3), np.uint8)
        row, column = ((self.place + 1) * 3.99).astype(int)
        pixels[row, column] = 255
        place = self.place * (np.nan if self.how == "nan" else 1)
        return {"pixels": pixels, "place": place[: 1 if self.how == "shape" else 2].astype(np.float32)}

    def _asked(self) -> str:
        """The way to fail, of the first that takes the file away."""
        if self.file is None or not self.file.exists():
            return ""
        taken = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        try:
            self.file.rename(taken)
        except FileNotFoundError:
            return ""
        how = taken.read_text()
        taken.unlink()
        return how

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"pixels": specs.BoundedArray((8, 8, 3), np.uint8, 0, 255), "place": specs.Array((2,), np.float32)}

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((2,), np.float32, -1.0, 1.0)
