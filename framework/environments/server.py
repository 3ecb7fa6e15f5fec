"""One environment behind requests, normalized, in this process or in a worker."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, final

import dm_env
import numpy as np
from dm_env import specs

from framework.environments import normalization
from framework.environments.base import Environment, Seekable
from framework.errors import UserError


@final
@dataclass(frozen=True)
class EnvironmentDescription:
    """The specs of one environment, whether it can be resumed exactly, and its simulator's control steps per step."""

    observation: dict[str, specs.Array]
    action: specs.Array
    seekable: bool
    action_repeat: int


@final
class EnvironmentServer:
    """Normalizes the observations and actions of one environment."""

    def __init__(self, environment: Callable[..., Environment], seed: int) -> None:
        self._environment = environment(seed=seed)
        native = self._environment.action_spec()
        if not isinstance(native, specs.Array):
            raise UserError(f"{type(self._environment).__name__} takes {native!r}, and an action must be one array; wrap it.")
        self._action = normalization.action_form(native)

    def answer(self, request: str, *arguments: Any) -> Any:
        """The answer to the request of this name: `describe`, `reset`, `step` or `restore`."""
        return getattr(self, request)(*arguments)

    def describe(self) -> EnvironmentDescription:
        return EnvironmentDescription(
            observation=normalization.observation_spec(self._environment.observation_spec()),
            action=self._action.spec,
            seekable=isinstance(self._environment, Seekable),
            action_repeat=self._environment.action_repeat if isinstance(self._environment, Seekable) else 1,
        )

    def reset(self) -> dm_env.TimeStep:
        return _normalized(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        return _normalized(self._environment.step(self._action.native(action)))

    def restore(self, episode: int, actions: Iterable[np.ndarray]) -> dm_env.TimeStep:
        """Replay an episode of a `Seekable` environment."""
        assert isinstance(self._environment, Seekable)
        return _normalized(self._environment.replay(episode, [self._action.native(action) for action in actions]))

    def close(self) -> None:
        self._environment.close()


def _normalized(time_step: dm_env.TimeStep) -> dm_env.TimeStep:
    return time_step._replace(observation=normalization.observation(time_step.observation))


def describe(environment: Callable[..., Environment], seed: int = 0) -> EnvironmentDescription:
    """The description of an environment, which is constructed for it and closed; nothing is rendered."""
    with closing(EnvironmentServer(environment, seed)) as server:
        return server.describe()


def try_out(environment: Callable[..., Environment], seed: int = 0) -> None:
    """Reset an environment once: a missing renderer is an error before a run begins, and a renderer that works serves the workers too."""
    with closing(EnvironmentServer(environment, seed)) as server:
        server.reset()
