"""A user's own environments, good and bad, at the top level of a module so that they can be pickled."""

import os
import sys
import time
from typing import Literal

import dm_env
import numpy as np
from dm_env import specs

from framework import environments
from framework.environments.base import SeededEpisodes
from framework.environments.counting import Counting
from framework.environments.staging import Scenic, Staging


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


class Switches(SeededEpisodes):
    """A square of choices with two, three, four and one options, counted from 5; it ends after `length` steps.

    It shows the sum of its choices so far, each step weighted by its number, with the seed and the episode.
    """

    def __init__(self, *, seed: int, length: int = 1000) -> None:
        super().__init__(seed=seed)
        self._length = length

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"observation": specs.Array((6,), np.int64)}

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((2, 2), np.int16, 5, [[6, 7], [8, 5]])

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._count, self._total = 0, np.zeros((2, 2), np.int64)
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self.action_spec().validate(action)
        self._count += 1
        self._total += self._count * action
        return dm_env.truncation(1.0, None) if self._count == self._length else dm_env.transition(1.0, None)

    def _observe(self, observation: None) -> dict[str, np.ndarray]:
        return {"observation": np.array([*self._total.ravel(), self._seed % 1000, self._episode])}


class Scene(SeededEpisodes, Scenic):
    """A black image of 6 x 8 in front of the background that it is staged with; the reward is the action, which it shows too.

    It keeps every staging, and ends after 20 steps.
    """

    colors = np.full((2, 3), 0.5)

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.stagings: list[Staging] = []

    def stage(self, staging: Staging) -> None:
        self.stagings.append(staging)

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"pixels": specs.BoundedArray((6, 8, 3), np.uint8, 0, 255), "taken": specs.Array((1,), np.float64)}

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((1,), np.float64, -1, 1)

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._count = 0
        return dm_env.restart(np.zeros(1))

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self._count += 1
        return (dm_env.termination if self._count == 20 else dm_env.transition)(float(action[0]), action)

    def _observe(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        background = self.stagings[-1].background if self.stagings else None
        return {"pixels": np.zeros((6, 8, 3), np.uint8) if background is None else background, "taken": observation}


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


@environments.register
class Forgetful(Reticent):
    """Begins one episode alone: later resets give steps in its midst, or ends."""

    def __init__(self, *, seed: int, after: Literal["midst", "end"] = "midst") -> None:
        super().__init__(seed=seed)
        self.kind, self.has_begun = {"midst": dm_env.StepType.MID, "end": dm_env.StepType.LAST}[after], False

    def reset(self) -> dm_env.TimeStep:
        step, again = super().reset(), self.has_begun
        self.has_begun = True
        return step._replace(step_type=self.kind, reward=1.0, discount=1.0) if again else step


class Sickly(SeededEpisodes):
    """Shows its time in episodes of 5 steps; the first environment of a vector of seed 0 fails at the second step of episode 1."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._unwell = seed == int(np.random.SeedSequence([0, 0]).generate_state(1)[0])

    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        self._time = 0
        return dm_env.restart(None)

    def _simulate(self, action: np.ndarray) -> dm_env.TimeStep:
        self._time += 1
        if self._unwell and (self._episode, self._time) == (1, 2):
            raise ValueError("unwell")
        return (dm_env.truncation if self._time == 5 else dm_env.transition)(1.0, None)

    def _observe(self, observation: None) -> dict[str, np.ndarray]:
        return {"count": np.array([self._time], np.float32)}

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"count": specs.Array((1,), np.float32)}

    def action_spec(self) -> specs.Array:
        return specs.BoundedArray((2,), np.float32, -1, 1)


class Unseekable(Plain):
    """Shows its seed, and fails at every step."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed

    def reset(self) -> dm_env.TimeStep:
        return dm_env.restart(np.full(2, self._seed % 1000))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        raise ValueError("unwell")
