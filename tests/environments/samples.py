"""A user's own environments, good and bad, at the top level of a module so that they can be pickled."""

import os
import sys
import time
from typing import Literal

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import Seekable
from framework.environments.counting import Counting


class Plain(dm_env.Environment):
    """A lone float64 observation: the last action as it arrived. It ignores the seed, cannot seek, and ends after 3 steps."""

    def __init__(self, *, seed: int) -> None:
        self._count = 3

    def reset(self) -> dm_env.TimeStep:
        self._count = 0
        return dm_env.restart(np.zeros(2))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._count == 3:
            return self.reset()
        self._count += 1
        taken = np.array(action, np.float64)
        return dm_env.transition(1.0, taken) if self._count < 3 else dm_env.termination(1.0, taken)

    def observation_spec(self) -> specs.Array:
        return specs.Array((2,), np.float64)

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((2,), np.float64, [0.0, -1.0], [10.0, 3.0])


class Discrete(Plain):
    """The same, with a choice of four instead."""

    def step(self, action: int) -> dm_env.TimeStep:
        return super().step(np.array([action, action]))

    def action_spec(self) -> specs.Array:
        return specs.DiscreteArray(4)


class Switches(Seekable):
    """A square of choices with two, three, four and one options, counted from 5; it ends after `length` steps.

    It shows the sum of its choices so far, each step weighted by its number, with the seed and the episode.
    """

    def __init__(self, *, seed: int, length: int = 1000) -> None:
        self._seed, self._length, self._episode = seed, length, -1
        self._chosen: list[np.ndarray] = []

    def seek(self, episode: int) -> None:
        self._episode = episode - 1

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        self._chosen = []
        return dm_env.restart(self._observe())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if len(self._chosen) == self._length:
            return self.reset()
        self.action_spec().validate(action)
        self._chosen.append(action)
        last = len(self._chosen) == self._length
        return dm_env.truncation(1.0, self._observe()) if last else dm_env.transition(1.0, self._observe())

    def observation_spec(self) -> specs.Array:
        return specs.Array((6,), np.int64)

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((2, 2), np.int16, 5, [[6, 7], [8, 5]])

    def _observe(self) -> np.ndarray:
        total = sum(((time + 1) * chosen for time, chosen in enumerate(self._chosen)), np.zeros((2, 2), np.int64))
        return np.array([*total.ravel(), self._seed % 1000, self._episode])


class Misbehaving(Plain):
    """Fails at its first step, or when it is made."""

    def __init__(self, *, seed: int, how: Literal["raise", "exit", "hang", "unmade"]) -> None:
        if how == "unmade":
            raise ValueError("cannot be made")
        super().__init__(seed=seed)
        self._how = how

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._how == "raise":
            raise ZeroDivisionError("the pole is in two places")
        if self._how == "exit":
            print("the driver gave up", file=sys.stderr, flush=True)
            os._exit(3)
        time.sleep(60)
        return super().step(action)


@environments.register
class Reticent(environments.Environment):
    """Counts and cannot seek."""

    derived = ("seed",)

    def __init__(self, *, seed: int) -> None:
        self.inner = Counting(seed=seed)

    def reset(self) -> dm_env.TimeStep:
        return self.inner.reset()

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        return self.inner.step(action)

    def observation_spec(self) -> object:
        return self.inner.observation_spec()

    def action_spec(self) -> object:
        return self.inner.action_spec()
