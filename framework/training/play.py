"""A policy acting in an environment: the loop of whole episodes."""

import logging
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any, Final, final

import dm_env
import numpy as np
from dm_env import specs

from framework.environments import gymnasium_spaces
from framework.environments.base import Seekable
from framework.environments.server import EnvironmentServer
from framework.errors import UserError
from framework.specs import Specs
from framework.training.evaluation import Evaluated, frame, require_fitting
from framework.training.policy import Policy
from framework.visualization.figures import to_rgb

MOST_STEPS: Final = 10_000
log = logging.getLogger(__name__)


def play(policy: Policy, environment: Any, episodes: int = 1, *, seed: int = 0, max_steps: int = MOST_STEPS) -> Evaluated:
    """Play whole episodes with the mode of a policy; returns, lengths, and the images of the first episode if it shows any.

    `environment` is one of dm_env or of Gymnasium, or the factory of one, such as `run.environment`, which is called with `seed=` and
    whose environment is closed at the end. An environment that is made already is left open: Gymnasium's is seeded at each episode, a
    `Seekable` one goes back to its first episode, and any other goes on with its own random numbers.

    Observations come to the policy in its own form, and its actions to the environment in the environment's: `Policy.act`.
    An episode is cut at `max_steps` environment steps, with the return so far, and that is logged.
    Raises `UserError` where the environment does not fit the policy.
    """
    if episodes < 1 or max_steps < 1:
        raise UserError(f"`play` has episodes = {episodes} and max_steps = {max_steps}; give at least 1 of each.")
    is_made = isinstance(environment, dm_env.Environment) or _is_gymnasium(environment)
    made = environment if is_made else _made(environment, seed)
    with nullcontext() if is_made else closing(made):
        adapted = GymnasiumEpisodes(made, seed) if _is_gymnasium(made) else made
        if isinstance(adapted, Seekable):
            adapted.seek(0)
        server = EnvironmentServer(lambda seed: adapted, seed)
        description = server.describe()
        require_fitting("The environment", Specs(observation=description.observation, action=description.action), policy.agent.specs)
        played = [_episode(policy, server, max_steps // description.action_repeat or 1) for _ in range(episodes)]
    if cut := sum(not ended for *_, ended in played):
        log.warning("%d of %d episodes did not end within max_steps = %d environment steps, and were cut there.", cut, episodes, max_steps)
    frames = played[0][2]
    return Evaluated(
        returns=[total for total, *_ in played],
        lengths=[length * description.action_repeat for _, length, *_ in played],
        frames=to_rgb(np.stack(frames)) if frames else None,
    )


def _episode(policy: Policy, server: EnvironmentServer, most: int) -> tuple[float, int, list[np.ndarray], bool]:
    """The return, length and images of one episode, and whether it ended by itself."""
    policy.reset()
    time_step, total, length, frames = server.reset(), 0.0, 0, list[np.ndarray]()
    while True:
        image = frame({name: value[None] for name, value in time_step.observation.items()})
        frames += [] if image is None else [image]
        if time_step.last() or length == most:
            return total, length, frames, time_step.last()
        time_step = server.step(policy.act(time_step.observation))
        total, length = total + time_step.reward, length + 1


@final
class GymnasiumEpisodes(dm_env.Environment):
    """An environment of Gymnasium that is made already, as one of dm_env; each episode begins with a seed of its own."""

    def __init__(self, environment: Any, seed: int) -> None:
        self._environment, self._seed, self._name = environment, seed, str(environment)
        self._form = gymnasium_spaces.observation_form(self._name, environment.observation_space, None)
        self._action = gymnasium_spaces.array_spec(self._name, "action", environment.action_space)

    def observation_spec(self) -> Any:
        return self._form.spec

    def action_spec(self) -> specs.Array:
        return self._action

    def reset(self) -> dm_env.TimeStep:
        answer = self._environment.reset(seed=self._seed)
        self._seed += 1
        return dm_env.restart(self._form.normalize(gymnasium_spaces.first_observation(self._name, answer)))

    def step(self, action: Any) -> dm_env.TimeStep:
        observation, reward, terminated, truncated = gymnasium_spaces.outcome(self._name, self._environment.step(action))
        kind = dm_env.StepType.LAST if terminated or truncated else dm_env.StepType.MID
        return dm_env.TimeStep(kind, float(reward), 0.0 if terminated else 1.0, self._form.normalize(observation))


def _is_gymnasium(environment: Any) -> bool:
    return "gymnasium" in sys.modules and isinstance(environment, sys.modules["gymnasium"].Env)


def _made(factory: Callable[..., Any], seed: int) -> Any:
    made = factory(seed=seed) if callable(factory) else factory
    if isinstance(made, dm_env.Environment) or _is_gymnasium(made):
        return made
    raise UserError(f"`play` takes an environment of dm_env or Gymnasium, or a factory of one, not {made!r}.")
