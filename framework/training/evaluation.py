"""Evaluation: whole episodes with the mode of the policy, in separate environments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np

from framework.agent import Agent
from framework.data import Factory, Specs
from framework.environments.base import Environment
from framework.errors import UserError
from framework.registry import parts
from framework.training.actor import Actor
from framework.training.runtime import Runtime, derive
from framework.vector_environments.base import VectorEnvironment
from framework.vector_environments.worker_environments import MOST_WORKERS, WorkerEnvironments
from framework.visualization.figures import to_rgb


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

    Each of the `environments` runs an equal share of them, in the run's own environment or in another `environment` with the same
    observations and actions, for example with other distractors.
    """

    def __init__(
        self, *, every: int = 10_000, episodes: int = 10, environments: int = 1, environment: Factory[Environment] | None = None
    ) -> None:
        if every < 1 or episodes < 1 or environments < 1:
            raise UserError(
                f"Evaluation.every = {every}, Evaluation.episodes = {episodes} and Evaluation.environments = {environments} "
                "must all be at least 1."
            )
        if environments > MOST_WORKERS:
            raise UserError(f"Evaluation.environments = {environments} must be at most {MOST_WORKERS}: each is a process.")
        self.every, self.episodes, self.environments, self.environment = every, episodes, environments, environment

    def run(
        self, *, agent: Agent, runtime: Runtime, environment: Callable[..., Environment], seed: int, episodes: int | None = None
    ) -> Evaluated:
        """Evaluate an agent; the training environments are not used."""
        count = episodes or self.episodes
        size = min(self.environments, count)
        with WorkerEnvironments(
            environment=self.environment or environment, count=size, seed=derive(seed, 900), mode="serial" if size == 1 else "process"
        ) as vector:
            _check_specs(vector.specs, agent.specs)
            return run_episodes(agent=agent, runtime=runtime, vector=vector, episodes=count, seed=seed)


def _check_specs(evaluated: Specs, trained: Specs) -> None:
    shapes, trained_shapes = ({name: spec.shape for name, spec in each.observation.items()} for each in (evaluated, trained))
    if shapes != trained_shapes or evaluated.model_action != trained.model_action:
        raise UserError(
            f"Evaluation.environment shows {shapes} and takes {evaluated.model_action}, and the agent learned from {trained_shapes} and "
            f"gives {trained.model_action}; bind one that fits."
        )


def run_episodes(*, agent: Agent, runtime: Runtime, vector: VectorEnvironment, episodes: int, seed: int) -> Evaluated:
    """Each environment runs its share of the episodes: the first to end, in whichever environment, would be the short ones."""
    actor = Actor(agent=agent, runtime=runtime, count=vector.count, mode="mode", generator=runtime.generator(seed, 901))
    shares = np.bincount(np.arange(episodes) % vector.count)
    ended: list[list[tuple[float, int]]] = [[] for _ in range(vector.count)]
    total, length = np.zeros(vector.count), np.zeros(vector.count, int)
    steps = vector.reset()
    frames = [_frame(steps.observation)]
    while any(len(own) < share for own, share in zip(ended, shares, strict=True)):
        steps = vector.step(actor.act(steps.observation, steps.is_first))
        total, length = np.where(steps.is_first, 0.0, total + steps.reward), np.where(steps.is_first, 0, length + vector.action_repeat)
        if steps.episode[0] == 0:
            frames.append(_frame(steps.observation))
        for index in np.flatnonzero(steps.is_last):
            ended[index].append((float(total[index]), int(length[index])))
    returns, lengths = zip(*(each for own, share in zip(ended, shares, strict=True) for each in own[:share]), strict=True)
    images = [frame for frame in frames if frame is not None]
    return Evaluated(returns=list(returns), lengths=list(lengths), frames=to_rgb(np.stack(images)) if images else None)


def _frame(observation: dict[str, np.ndarray]) -> np.ndarray | None:
    images = [value for value in observation.values() if value.ndim == 4 and value.dtype == np.uint8]
    return images[0][0] if images else None
