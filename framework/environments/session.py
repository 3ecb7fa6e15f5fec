"""One environment as the vector sees it, in this process or in a worker."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, final

import dm_env
import numpy as np
from dm_env import specs

from framework.environments import normalization
from framework.environments.base import Environment, Seekable
from framework.errors import UserError

REQUESTS: Final = ("describe", "reset", "step", "restore")


@final
@dataclass(frozen=True)
class Step:
    """What one environment answers: a first step has reward 0, and a terminal one discount 0."""

    observation: dict[str, np.ndarray]
    reward: float
    is_first: bool
    is_last: bool
    is_terminal: bool

    @staticmethod
    def of(time_step: dm_env.TimeStep) -> "Step":
        return Step(
            observation=normalization.observation(time_step.observation),
            reward=0.0 if time_step.first() else float(time_step.reward),
            is_first=time_step.first(),
            is_last=time_step.last(),
            is_terminal=time_step.last() and time_step.discount == 0.0,
        )


@final
@dataclass(frozen=True)
class Description:
    """What one environment shows and takes, whether it can be resumed exactly, and its control steps to a step."""

    observation: dict[str, specs.Array]
    action: specs.Array
    seekable: bool
    action_repeat: int


@final
class Session:
    """Normalizes what one environment shows and takes."""

    def __init__(self, factory: Callable[..., Environment], seed: int) -> None:
        self._environment = factory(seed=seed)
        native = self._environment.action_spec()
        if not isinstance(native, specs.Array):
            raise UserError(f"{type(self._environment).__name__} takes {native!r}, and an action must be one array; wrap it.")
        self._action = normalization.action_form(native)

    def perform(self, request: str, *arguments: Any) -> Any:
        """Answer one of `REQUESTS`."""
        if request not in REQUESTS:
            raise ValueError(f"unknown request {request!r}")
        return getattr(self, request)(*arguments)

    def describe(self) -> Description:
        seekable = isinstance(self._environment, Seekable)
        return Description(
            observation=normalization.observation_spec(self._environment.observation_spec()),
            action=self._action.spec,
            seekable=seekable,
            action_repeat=self._environment.action_repeat if isinstance(self._environment, Seekable) else 1,
        )

    def reset(self) -> Step:
        return Step.of(self._environment.reset())

    def step(self, action: np.ndarray) -> Step:
        return Step.of(self._environment.step(self._action.native(action)))

    def restore(self, episode: int, actions: Iterable[np.ndarray]) -> Step:
        """Replay an episode; an environment that cannot seek starts a new one instead."""
        if not isinstance(self._environment, Seekable):
            return self.reset()
        return Step.of(self._environment.replay(episode, [self._action.native(action) for action in actions]))

    def close(self) -> None:
        self._environment.close()
