"""The contract of an environment: `dm_env.Environment`, and `Seekable` for runs that resume exactly."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, final

import dm_env
import numpy as np

Environment = dm_env.Environment


class Seekable(dm_env.Environment):
    """An environment whose time steps are a function of its seed, the episode index and the actions so far.

    It is constructed with `seed`. Its first `reset()` starts episode 0, and each later one the next.
    """

    derived: ClassVar[tuple[str, ...]] = ("seed",)
    action_repeat: int = 1
    """Control steps of the simulator in one `step`."""

    @abstractmethod
    def seek(self, episode: int) -> None:
        """Start this episode at the next `reset()`."""

    def replay(self, episode: int, actions: Iterable[Any]) -> dm_env.TimeStep:
        """Take the actions of an episode again and return the last step."""
        self.seek(episode)
        time_step = self.reset()
        for action in actions:
            time_step = self.step(action)
        return time_step


class SeededEpisodes(Seekable):
    """An environment that restarts from the index of an episode. Observations are made after the simulation: `replay` makes one.

    `observation_spec`, a dict of arrays by name, and `action_spec` are those of `dm_env.Environment`.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._episode = -1
        self._over = True

    @final
    def seek(self, episode: int) -> None:
        self._episode = episode - 1
        self._over = True

    @final
    def reset(self) -> dm_env.TimeStep:
        return self._observed(self._begin())

    @final
    def step(self, action: Any) -> dm_env.TimeStep:
        return self.reset() if self._over else self._observed(self._advance(action))

    def replay(self, episode: int, actions: Iterable[Any]) -> dm_env.TimeStep:
        self.seek(episode)
        time_step = self._begin()
        for action in actions:
            time_step = self._advance(action)
        return self._observed(time_step)

    @abstractmethod
    def _restart(self, entropy: np.random.SeedSequence) -> dm_env.TimeStep:
        """The first step of the episode `_episode`, with the simulator's own observation; `entropy` is of the seed and the episode."""

    @abstractmethod
    def _simulate(self, action: Any) -> dm_env.TimeStep:
        """One step, with the simulator's own observation."""

    @abstractmethod
    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        """The named observation of the simulator's present state; `observation` is the simulator's own."""

    def _begin(self) -> dm_env.TimeStep:
        self._episode += 1
        self._over = False
        return self._restart(np.random.SeedSequence([self._seed, self._episode]))

    def _advance(self, action: Any) -> dm_env.TimeStep:
        time_step = self._simulate(action)
        self._over = time_step.last()
        return time_step

    def _observed(self, time_step: dm_env.TimeStep) -> dm_env.TimeStep:
        return time_step._replace(observation=self._observe(time_step.observation))
