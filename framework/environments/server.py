"""One environment behind requests, with normalized observations and actions, in this process or in a worker."""

import traceback
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, final

import dm_env
import numpy as np
from dm_env import specs

from framework.environments.actions import action_form
from framework.environments.base import Environment, Seekable
from framework.environments.observations import REWARD, ObservationForm, agreed
from framework.errors import UserError
from framework.signatures import source_of


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
    """Answers at `receive` what was requested at `send`: `describe` (at first), `reset`, `step` or `restore`.

    Raises `UserError` where the environment gives other observations, rewards or step types than it declared.
    """

    def __init__(self, environment: Callable[..., Environment], seed: int) -> None:
        self._environment = environment(seed=seed)
        self._name = type(self._environment).__name__
        self._action = action_form(self._name, self._environment.action_spec())
        self._observation = ObservationForm(self._name, self._environment.observation_spec())
        self._request: tuple[Any, ...] = ("describe",)
        self._over = True

    def send(self, request: str, *arguments: Any) -> None:
        self._request = (request, *arguments)

    def receive(self) -> Any:
        request, *arguments = self._request
        return getattr(self, request)(*arguments)

    def describe(self) -> EnvironmentDescription:
        return EnvironmentDescription(
            observation=self._observation.spec,
            action=self._action.spec,
            seekable=isinstance(self._environment, Seekable),
            action_repeat=self._environment.action_repeat if isinstance(self._environment, Seekable) else 1,
        )

    def reset(self) -> dm_env.TimeStep:
        return self._compared(self._environment.reset(), first=True)

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        if self._over:
            return self.reset()
        return self._compared(self._environment.step(self._action.native(action)), first=False)

    def restore(self, episode: int, actions: Iterable[np.ndarray]) -> dm_env.TimeStep:
        """Replay an episode of a `Seekable` environment."""
        assert isinstance(self._environment, Seekable)
        native = [self._action.native(action) for action in actions]
        return self._compared(self._environment.replay(episode, native), first=not native)

    def try_out(self) -> None:
        """The first step of an episode, with an action of zeros."""
        self.reset()
        self.step(np.zeros(self._action.size))

    def close(self) -> None:
        self._environment.close()

    def _compared(self, time_step: Any, *, first: bool) -> dm_env.TimeStep:
        if not isinstance(time_step, dm_env.TimeStep) or time_step.first() != first:
            expected = "begins an episode (step_type FIRST)" if first else "continues its episode (step_type MID or LAST)"
            file, line = source_of(type(self._environment))
            given = f"one of {time_step.step_type.name}" if isinstance(time_step, dm_env.TimeStep) else f"a {type(time_step).__name__}"
            message = f"{self._name} ({file}:{line}) must give a dm_env.TimeStep that {expected}, and gives {given}."
            raise UserError(message, is_lasting=True)
        self._over = time_step.last()
        time_step = time_step._replace(observation=self._observation.normalize(time_step.observation))
        if first:
            return time_step
        reward, discount = (float(agreed(self._name, name, REWARD, getattr(time_step, name))) for name in ("reward", "discount"))
        return time_step._replace(reward=reward, discount=discount)


def reason(error: BaseException) -> str:
    """The words of an error: its sentence if it is a `UserError`, else its type and its traceback too."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"


def lasts(error: BaseException) -> bool:
    """Whether another environment of the kind would end in the same error."""
    return isinstance(error, UserError) and error.is_lasting


def describe(environment: Callable[..., Environment], seed: int = 0) -> EnvironmentDescription:
    """The description of an environment, which is constructed for it and closed; nothing is rendered."""
    with closing(EnvironmentServer(environment, seed)) as server:
        return server.describe()


def try_out(environment: Callable[..., Environment], seed: int = 0) -> None:
    """Try the first step of an environment before a run begins: what it gives is compared, and a renderer that works serves workers too."""
    with closing(EnvironmentServer(environment, seed)) as server:
        server.try_out()
