"""Evaluation: whole episodes with the policy's best action, in environments of their own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np

from framework.agent import Agent
from framework.data import Factory, Specs
from framework.environments.base import Environment
from framework.environments.vector import VectorEnvironment
from framework.errors import UserError
from framework.registry import parts
from framework.training.actor import Actor
from framework.training.runtime import Runtime, derive


@dataclass(frozen=True)
class Evaluated:
    """The return and the length (in environment steps) of each episode, and the frames of the first, `[T, Y, X, 3]`, if it has any."""

    returns: list[float]
    lengths: list[int]
    frames: np.ndarray | None = field(repr=False)

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))


@final
@parts.register
class Evaluation:
    """Runs `episodes` episodes every `every` environment steps, the same ones each time: their seeds derive from the run's.

    They are played in the run's own environment, or in another `environment` that shows and takes the same, such as one with other
    distractors.
    """

    def __init__(
        self, *, every: int = 10_000, episodes: int = 10, environments: int = 1, environment: Factory[Environment] | None = None
    ) -> None:
        if every < 1 or episodes < 1 or environments < 1:
            raise UserError(
                f"Evaluation.every = {every}, Evaluation.episodes = {episodes} and Evaluation.environments = {environments} "
                "must all be at least 1."
            )
        self.every, self.episodes, self.environments, self.environment = every, episodes, environments, environment

    def run(
        self, *, agent: Agent, runtime: Runtime, environment: Callable[..., Environment], seed: int, episodes: int | None = None
    ) -> Evaluated:
        """Evaluate now; the training environments are not touched."""
        count = episodes or self.episodes
        size = min(self.environments, count)
        with VectorEnvironment(
            factory=self.environment or environment, count=size, seed=derive(seed, 900), mode="serial" if size == 1 else "process"
        ) as vector:
            _check_specs(vector.specs, agent.specs)
            return _play(agent=agent, runtime=runtime, vector=vector, episodes=count, seed=seed)


def _check_specs(played: Specs, learned: Specs) -> None:
    shown, wanted = ({name: spec.shape for name, spec in each.observation.items()} for each in (played, learned))
    if shown != wanted or played.model_action != learned.model_action:
        raise UserError(
            f"Evaluation.environment shows {shown} and takes {played.model_action}, and the agent learned from {wanted} and gives "
            f"{learned.model_action}; bind one that fits."
        )


def _play(*, agent: Agent, runtime: Runtime, vector: VectorEnvironment, episodes: int, seed: int) -> Evaluated:
    actor = Actor(agent=agent, runtime=runtime, count=vector.count, mode="mode", generator=runtime.generator(seed, 901))
    steps = vector.reset()
    total, length = np.zeros(vector.count), np.zeros(vector.count, int)
    returns: list[float] = []
    lengths: list[int] = []
    frames = [_frame(steps.observation)]
    while len(returns) < episodes:
        steps = vector.step(actor.act(steps.observation, steps.is_first))
        total, length = np.where(steps.is_first, 0.0, total + steps.reward), np.where(steps.is_first, 0, length + 1)
        if steps.episode[0] == 0:
            frames.append(_frame(steps.observation))
        for index in np.flatnonzero(steps.is_last):
            returns.append(float(total[index]))
            lengths.append(int(length[index]) * vector.action_repeat)
    images = [frame for frame in frames if frame is not None]
    return Evaluated(returns=returns[:episodes], lengths=lengths[:episodes], frames=np.stack(images) if images else None)


def _frame(observation: dict[str, np.ndarray]) -> np.ndarray | None:
    images = [value for value in observation.values() if value.ndim == 4 and value.dtype == np.uint8]
    return images[0][0] if images else None
