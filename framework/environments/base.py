"""The contract of an environment is `dm_env.Environment`; `Seekable` is what an exact resume asks for on top."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import dm_env
import numpy as np

Environment = dm_env.Environment


class Seekable(dm_env.Environment):
    """An environment of which (seed, episode index, actions so far) determine everything that it shows.

    It is built with `seed`. Its first `reset()` starts episode 0, and each later one the next.
    """

    derived: ClassVar[tuple[str, ...]] = ("seed",)
    action_repeat: int = 1
    """How many control steps of the simulator one `step` takes."""

    @abstractmethod
    def seek(self, episode: int) -> None:
        """Let the next `reset()` start this episode."""

    def replay(self, episode: int, actions: Iterable[np.ndarray]) -> dm_env.TimeStep:
        """Take an episode's actions again and return the step that they lead to."""
        self.seek(episode)
        time_step = self.reset()
        for action in actions:
            time_step = self.step(action)
        return time_step
