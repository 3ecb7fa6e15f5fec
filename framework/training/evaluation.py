"""Evaluation: whole episodes with the mode of the policy, in separate environments."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np

from framework.agent import Agent
from framework.data import Factory
from framework.environments.base import Environment
from framework.errors import UserError
from framework.registry import parts
from framework.specs import Specs
from framework.training.actor import Actor
from framework.training.runtime import Runtime, derive
from framework.training.tolerance import Tolerance
from framework.vector_environments.base import VectorEnvironment, VectorStep
from framework.vector_environments.worker_environments import MOST_WORKERS, Mode, WorkerEnvironments
from framework.visualization.figures import to_rgb

Stop = Callable[[], bool]
Played = tuple[float, int, bool]
"""The return and the length of an episode, and whether it was cut."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluated:
    """The return and the length (in environment steps) of each episode, and the frames of the first, `[T, Y, X, 3]`, if it has any."""

    returns: list[float]
    lengths: list[int]
    frames: np.ndarray | None = field(repr=False)

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))


def never() -> bool:
    return False


@final
@parts.register
class Evaluation:
    """Runs `episodes` episodes every `every` environment steps, the same ones each time: their seeds derive from the run's.

    Each of the `environments` runs an equal share of them, in the run's own environment or in another `environment` with the same
    observations and actions, for example with other distractors. An episode is cut at `max_steps` environment steps, with the return so
    far, and that is logged. An interrupt ends an evaluation without a result, and so do the `Trainer.minutes`; the last one of a run may
    take a tenth of them more.
    """

    def __init__(
        self,
        *,
        every: int = 10_000,
        episodes: int = 10,
        environments: int = 1,
        environment: Factory[Environment] | None = None,
        max_steps: int = 10_000,
    ) -> None:
        if every < 1 or episodes < 1 or environments < 1 or max_steps < 1:
            raise UserError(
                f"Evaluation.every = {every}, Evaluation.episodes = {episodes}, Evaluation.environments = {environments} and "
                f"Evaluation.max_steps = {max_steps} must all be at least 1."
            )
        if environments > MOST_WORKERS:
            raise UserError(f"Evaluation.environments = {environments} must be at most {MOST_WORKERS}: each is a process.")
        self.every, self.episodes, self.environments, self.environment = every, episodes, environments, environment
        self.max_steps = max_steps

    def run(
        self,
        *,
        agent: Agent,
        runtime: Runtime,
        environment: Callable[..., Environment],
        seed: int,
        episodes: int | None = None,
        timeout: float = 120.0,
        tolerance: Tolerance | None = None,
        stop: Stop = never,
    ) -> Evaluated | None:
        """Evaluate an agent; the training environments are not used. None where it was stopped before the last episode ended."""
        count = episodes or self.episodes
        size = min(self.environments, count)
        mode: Mode = "serial" if size == 1 else "process"
        with WorkerEnvironments(
            environment=self.environment or environment, count=size, seed=derive(seed, 900), mode=mode, timeout=timeout
        ) as vector:
            require_fitting("Evaluation.environment", vector.specs, agent.specs)
            player = Player(
                agent=agent, runtime=runtime, vector=vector, seed=seed, tolerance=tolerance or Tolerance(), max_steps=self.max_steps
            )
            return player.play(episodes=count, stop=stop)


def require_fitting(owner: str, evaluated: Specs, trained: Specs) -> None:
    """Refuse an environment of other observations or actions than those that an agent learned from."""
    shapes, trained_shapes = ({name: spec.shape for name, spec in each.observation.items()} for each in (evaluated, trained))
    if shapes != trained_shapes or evaluated.model_action != trained.model_action:
        raise UserError(
            f"{owner} shows {shapes} and takes {evaluated.model_action}, and the agent learned from {trained_shapes} and "
            f"gives {trained.model_action}; take one that fits."
        )


@final
class Player:
    """Plays episodes with the mode of a policy.

    Each environment plays its share of them: the first to end, in whichever environment, would be the short ones. An environment whose
    episode is cut waits until all have played their share, or wait too; then they are reset together. An episode that an error ends does
    not count.
    """

    def __init__(
        self, *, agent: Agent, runtime: Runtime, vector: VectorEnvironment, seed: int, tolerance: Tolerance, max_steps: int
    ) -> None:
        self.vector, self.tolerance, self.max_steps = vector, tolerance, max_steps
        self._actor = Actor(agent=agent, runtime=runtime, count=vector.count, mode="mode", generator=runtime.generator(seed, 901))
        self._total, self._length = np.zeros(vector.count), np.zeros(vector.count, int)
        self._waiting = np.zeros(vector.count, bool)
        self._frames: list[np.ndarray | None] = []

    def play(self, *, episodes: int, stop: Stop = never) -> Evaluated | None:
        """The returns of some episodes; None where `stop` or an interrupt ends them."""
        shares = np.bincount(np.arange(episodes) % self.vector.count)
        ended: list[list[Played]] = [[] for _ in range(self.vector.count)]
        steps = self._taken(self.vector.reset)
        while steps is not None and (missing := np.array([len(own) for own in ended]) < shares).any():
            if stop():
                return None
            if not (missing & ~self._waiting).any():
                steps = self._taken(self.vector.reset)
                continue
            self.vector.send(self._actor.act(steps.observation, steps.is_first))
            steps = self._taken(self.vector.receive)
            for index in [] if steps is None else self._ended(steps):
                ended[index].append((float(self._total[index]), int(self._length[index]), bool(self._waiting[index])))
        return None if steps is None else self._evaluated([each for own, share in zip(ended, shares, strict=True) for each in own[:share]])

    def _taken(self, take: Callable[[], VectorStep]) -> VectorStep | None:
        """The step; returns and lengths are those of its episodes so far."""
        steps = self.tolerance.take(self.vector, take)
        if steps is not None:
            self._total = np.where(steps.is_first, 0.0, self._total + steps.reward)
            self._length = np.where(steps.is_first, 0, self._length + self.vector.action_repeat)
            self._waiting &= ~steps.is_first
            if steps.episode[0] == 0:
                self._frames.append(frame(steps.observation))
        return steps

    def _ended(self, steps: VectorStep) -> list[int]:
        """The environments whose episode ends with this step, or is cut there."""
        cut = ~steps.is_last & ~self._waiting & (self._length >= self.max_steps)
        ended = np.flatnonzero(cut | (steps.is_last & ~self._waiting))
        self._waiting |= cut
        return ended.tolist()

    def _evaluated(self, played: list[Played]) -> Evaluated:
        returns, lengths, cut = zip(*played, strict=True)
        if any(cut):
            log.warning(
                "%d of the evaluation's episodes did not end within Evaluation.max_steps = %d environment steps, and were cut there.",
                sum(cut),
                self.max_steps,
            )
        images = [frame for frame in self._frames if frame is not None]
        return Evaluated(returns=list(returns), lengths=list(lengths), frames=to_rgb(np.stack(images)) if images else None)


def frame(observation: dict[str, np.ndarray]) -> np.ndarray | None:
    """The first image among the observations of several environments, if there is any: that of the first environment."""
    images = [value for value in observation.values() if value.ndim == 4 and value.dtype == np.uint8]
    return images[0][0] if images else None
