"""The state of a training: environments, replay, agent and random generators."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from framework.agent import Agent
from framework.data import Batch, Metrics, Pictures, UpdateNoise
from framework.errors import UserError
from framework.functional import ranks
from framework.replay.replay import Replay
from framework.training.actor import Actor
from framework.training.changes import optimizer_entries, require_fit
from framework.training.contract import contract
from framework.training.runtime import Runtime, derive, freeing_cycles
from framework.training.tolerance import Tolerance
from framework.vector_environments.base import EnvironmentSnapshot, VectorEnvironment, VectorStep

RANDOM, ACTING, LEARNING, LOOKING = 1, 2, 3, 4
"""The random streams of one run; the replay and the environments derive their own in the same way."""


@dataclass
class Progress:
    """The counters of a run. Steps are environment steps of all ranks, action repeats counted; seconds are of training, over every resume.

    `owed` is the number of replayed time steps that training still owes for the environment steps up to `counted`.
    """

    step: int = 0
    counted: int = 0
    owed: float = 0.0
    pretrained: bool = False
    updates: int = 0
    episodes: int = 0
    environment_errors: int = 0
    seconds: float = 0.0
    best: float | None = None
    logged: int = 0
    evaluated: int = 0


@dataclass(frozen=True)
class Finished:
    """The return of a finished training episode, and its length in environment steps."""

    value: float
    length: int


@final
class Diverged(Exception):
    """A loss or a gradient norm of the last update is not finite; holds these metrics."""

    def __init__(self, metrics: Mapping[str, float]) -> None:
        super().__init__(", ".join(sorted(metrics)))
        self.metrics = metrics


@final
@dataclass
class Learner:
    """Collects one step at a time, in two halves, and makes one update at a time, as the trainer schedules them.

    Between `send` and `receive` a step is in flight: its actions are chosen, and its outcome is not in the replay.
    """

    agent: Agent
    runtime: Runtime
    vector: VectorEnvironment
    replay: Replay
    seed: int
    progress: Progress = field(default_factory=Progress)
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        self.actor = Actor(
            agent=self.agent,
            runtime=self.runtime,
            count=self.vector.count,
            mode="explore",
            generator=self.runtime.generator(self.seed, ACTING),
        )
        self.update_agent = self.runtime.update(self.agent)
        self.generator = self.runtime.generator(self.seed, LEARNING)
        self.random = np.random.default_rng(derive(self.seed, RANDOM))
        self.totals, self.lengths = np.zeros(self.vector.count), np.zeros(self.vector.count, np.int64)
        self.batch: Batch | None = None
        self._noise: UpdateNoise | None = None
        self._tensors = {name: value for name, value in self.agent.state_dict().items() if isinstance(value, Tensor)}
        self._before = [torch.empty_like(tensor) for tensor in self._tensors.values()]
        self.steps: VectorStep | None = None
        self._errors = 0

    def begin(self) -> None:
        """Reset the environments, and store their first steps."""
        self.steps = self._take(self.vector.reset)
        if self.steps is None:
            raise KeyboardInterrupt
        self.replay.add(self.steps)
        self._advance(0, 0)

    def collect(self, *, randomly: bool) -> list[Finished]:
        """Take one action in every environment, store the step, and return the finished episodes."""
        self.send(randomly=randomly)
        return self.receive()

    def prefill(self, steps: int) -> None:
        """Collect at least so many environment steps with random actions; the first call begins."""
        if self.steps is None:
            self.begin()
        until = self.progress.step + steps
        while self.progress.step < until:
            self.collect(randomly=True)

    def send(self, *, randomly: bool) -> None:
        """Choose an action for every environment, and start the step, unless one is in flight."""
        assert self.steps is not None, "call begin() or load_state_dict() first"
        if self.vector.in_flight:
            return
        if randomly:
            action = self.vector.random_actions(self.random)
            self.actor.observe(self.steps.observation, self.steps.is_first, action)
        else:
            action = self.actor.act(self.steps.observation, self.steps.is_first)
        self.vector.send(action)

    def receive(self) -> list[Finished]:
        """Wait for the step in flight, store it, and return the finished episodes; an interrupt leaves it in flight."""
        steps = self._take(self.vector.receive)
        if steps is None:
            self._advance(0, 0)
            return []
        self.steps = steps
        self.replay.add(self.steps)
        finished = self._count(self.steps)
        self._advance(self.vector.action_repeat * int((~self.steps.is_first).sum()), len(finished))
        return finished

    def catch_up(self) -> list[Finished]:
        """Receive a step that an interrupt left in flight on this rank and not on all, so that all ranks have taken as many."""
        in_flight = sum(ranks.totals(self.vector.in_flight))
        if in_flight in (0, ranks.size()):
            return []
        if self.vector.in_flight:
            return self.receive()
        self._advance(0, 0)
        return []

    @property
    def update_size(self) -> int:
        """The replayed time steps of one update, on all ranks."""
        return self.replay.batch * self.replay.length * ranks.size()

    def update(self) -> Metrics:
        """One update of the agent on a new batch."""
        self.batch = self.replay.sample()
        self._noise = self.agent.draw_noise(self.batch, self.generator)
        with torch.no_grad():
            torch._foreach_copy_(self._before, [*self._tensors.values()])
        with self.runtime.autocast(), self._examined():
            metrics = self.update_agent(self.batch, self._noise)
        self.progress.updates += 1
        self.progress.owed -= self.update_size
        if self.runtime.synchronous:
            self.check(metrics)
        return metrics

    def _examined(self) -> AbstractContextManager[None]:
        """Check in the first update of a run what components give. A captured one cannot read scores; `dream check --deep` does."""
        if self.progress.updates or self.runtime.capture != "off":
            return nullcontext()
        return contract(self.agent, (self.replay.batch, self.replay.length))

    def check(self, metrics: Metrics) -> None:
        """Raise `Diverged` where a loss or a gradient norm is not finite."""
        if wrong := not_finite(metrics):
            raise Diverged(wrong)

    def last_update(self) -> dict[str, Any]:
        """What the last update was made of: the agent before it, its batch and its random numbers."""
        if self.batch is None or self._noise is None:
            raise UserError("No update was made since the run was resumed.")
        agent = dict(zip(self._tensors, self._before, strict=True))
        return {"agent": agent, "batch": self.batch.state_dict(), "noise": vars(self._noise)}

    def diagnose(self) -> Metrics:
        """Metrics too expensive for every update, of the last batch; training is not affected."""
        return self._of_last_batch(self.agent.diagnose)

    def pictures(self) -> Pictures:
        """Pictures of the last batch."""
        with freeing_cycles():
            return self._of_last_batch(self.agent.pictures)

    def _of_last_batch(self, function: Callable[[Batch, torch.Generator], dict[str, Tensor]]) -> dict[str, Tensor]:
        if self.batch is None:
            return {}
        with self.runtime.autocast():
            return function(self.batch, self.runtime.generator(self.seed, LOOKING))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the replay with which training continues exactly, one file for each key."""
        return {
            "agent": self.agent.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.agent.optimizers.items()},
            "actor": self.actor.state_dict(),
            "batch": {} if self.batch is None else self.batch.state_dict(),
            "environments": [vars(snapshot) for snapshot in self.vector.snapshot()],
            "progress": {
                **vars(self.progress),
                "totals": self.totals,
                "lengths": self.lengths,
                "generator": self.generator.get_state(),
                "random": self.random.bit_generator.state,
            },
        }

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`; the replay is loaded separately, and before.

        Environments that cannot be restored begin new episodes, which are stored. Raises `UserError` where sizes differ.
        """
        self._require_fit(content)
        self.agent.load_state_dict(content["agent"])
        for name, optimizer in self.agent.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        self.actor.load_state_dict(content["actor"])
        progress = dict(content["progress"])
        self.totals, self.lengths = progress.pop("totals").numpy(), progress.pop("lengths").numpy()
        self.generator.set_state(progress.pop("generator"))
        self.random.bit_generator.state = progress.pop("random")
        self.progress = Progress(**progress)
        self.batch = Batch.of(content["batch"]).to(self.runtime.device) if content["batch"] else None
        self.steps = self.vector.restore([_snapshot(**snapshot) for snapshot in content["environments"]])
        if not self.vector.seekable:
            self.replay.add(self.steps)
            self._count(self.steps)

    def _require_fit(self, content: Mapping[str, Any]) -> None:
        parts = (each["agent"] | {"carry": each["actor"]} | optimizer_entries(each["optimizers"]) for each in (content, self.state_dict()))
        require_fit(*parts)

    def _take(self, step: Callable[[], VectorStep]) -> VectorStep | None:
        before = self.tolerance.total
        try:
            return self.tolerance.take(self.vector, step)
        except UserError:
            self.progress.environment_errors += self.tolerance.total - before
            raise
        finally:
            self._errors = self.tolerance.total - before

    def _advance(self, steps: int, episodes: int) -> None:
        """Count what all ranks did: steps, episodes that ended, and the errors of the last step."""
        counts = ranks.totals(steps, episodes, self._errors)
        self.progress.step += int(counts[0])
        self.progress.episodes += int(counts[1])
        self.progress.environment_errors += int(counts[2])

    def _count(self, steps: VectorStep) -> list[Finished]:
        self.totals = np.where(steps.is_first, 0.0, self.totals + steps.reward)
        self.lengths = np.where(steps.is_first, 0, self.lengths + self.vector.action_repeat)
        ended = np.flatnonzero(steps.is_last)
        return [Finished(float(self.totals[index]), int(self.lengths[index])) for index in ended]


def not_finite(metrics: Metrics) -> dict[str, float]:
    """The losses and gradient norms that are nan or infinite."""
    values = {name: float(value) for name, value in metrics.items() if name.startswith("train/")}
    return {name: value for name, value in values.items() if not np.isfinite(value)}


def _snapshot(*, episode: int, actions: Tensor, sent: Tensor | None) -> EnvironmentSnapshot:
    return EnvironmentSnapshot(episode=episode, actions=actions.numpy(), sent=None if sent is None else sent.numpy())
