"""Everything that moves while a run trains: environments, replay, agent, and where each source of randomness stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from framework.agent import Agent
from framework.data import Batch, Metrics
from framework.environments.vector import EnvironmentSnapshot, VectorEnvironment, VectorStep
from framework.replay.replay import Replay
from framework.training.actor import Actor
from framework.training.runtime import Runtime, derive

RANDOM, ACTING, LEARNING, LOOKING = 1, 2, 3, 4
"""The streams of randomness of one run; the replay and the environments have their own, by the same derivation."""


@dataclass
class Progress:
    """How far a run is. Steps are environment steps, action repeats counted; seconds are of training, over every resume."""

    step: int = 0
    updates: int = 0
    episodes: int = 0
    seconds: float = 0.0
    best: float | None = None
    logged: int = 0
    evaluated: int = 0


@dataclass(frozen=True)
class Finished:
    """One training episode that ended: its return, and its length in environment steps."""

    value: float
    length: int


@final
class Diverged(Exception):
    """A loss or a gradient is no number any more; carries the batch on which it was seen."""

    def __init__(self, metrics: Mapping[str, float], batch: Batch) -> None:
        super().__init__(", ".join(sorted(metrics)))
        self.metrics, self.batch = metrics, batch


@final
@dataclass
class Learner:
    """Collects one step at a time, in two halves, and learns one update at a time; the trainer decides when.

    Between the halves a step is in flight: its actions are chosen, and what they lead to is not in the replay.
    """

    agent: Agent
    runtime: Runtime
    vector: VectorEnvironment
    replay: Replay
    seed: int
    progress: Progress = field(default_factory=Progress)

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
        self.totals = np.zeros(self.vector.count)
        self.lengths = np.zeros(self.vector.count, np.int64)
        self.batch: Batch | None = None
        self.steps: VectorStep | None = None

    def begin(self) -> None:
        """Reset the environments, and store what they show."""
        self.steps = self.vector.reset()
        self.replay.add(self.steps)

    def collect(self, *, randomly: bool) -> list[Finished]:
        """Take one action in every environment, store what comes, and say which episodes ended."""
        self.send(randomly=randomly)
        return self.receive()

    def send(self, *, randomly: bool) -> None:
        """Choose an action for every environment, and let the step begin; one that is in flight already stays as it is."""
        assert self.steps is not None, "call begin() or load() first"
        if self.vector.in_flight:
            return
        if randomly:
            action = self.vector.random_actions(self.random)
            self.actor.observe(self.steps.observation, self.steps.is_first, action)
        else:
            action = self.actor.act(self.steps.observation, self.steps.is_first)
        self.vector.send(action)

    def receive(self) -> list[Finished]:
        """Wait for the step in flight, store it, and say which episodes ended."""
        self.steps = self.vector.receive()
        self.replay.add(self.steps)
        self.progress.step += self.vector.action_repeat * int((~self.steps.is_first).sum())
        return self._count(self.steps)

    def update(self) -> Metrics:
        """One gradient step of every part of the agent, on a fresh batch."""
        self.batch = self.replay.sample()
        with self.runtime.autocast():
            metrics = self.update_agent(self.batch, self.agent.draw_noise(self.batch, self.generator))
        self.progress.updates += 1
        if self.runtime.synchronous:
            self.check(metrics)
        return metrics

    def check(self, metrics: Metrics) -> None:
        """Raise `Diverged` where a loss or a gradient norm is not finite."""
        values = {name: float(value) for name, value in metrics.items() if name.startswith("train/")}
        bad = {name: value for name, value in values.items() if not np.isfinite(value)}
        if bad and self.batch is not None:
            raise Diverged(bad, self.batch)

    def diagnose(self) -> Metrics:
        """Metrics too expensive for every update, on the batch trained on last; training does not notice."""
        if self.batch is None:
            return {}
        with self.runtime.autocast():
            return self.agent.diagnose(self.batch, self.runtime.generator(self.seed, LOOKING))

    def pictures(self) -> dict[str, Tensor]:
        """Pictures of the batch trained on last."""
        if self.batch is None:
            return {}
        with self.runtime.autocast():
            return self.agent.pictures(self.batch, self.runtime.generator(self.seed, LOOKING))

    def state_dict(self) -> dict[str, Any]:
        """All that `load` needs to go on exactly, one file each; the replay writes itself."""
        return {
            "agent": self.agent.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.agent.optimizers.items()},
            "actor": self.actor.state_dict(),
            "environments": [vars(record) for record in self.vector.record()],
            "progress": {
                **vars(self.progress),
                "totals": self.totals,
                "lengths": self.lengths,
                "generator": self.generator.get_state(),
                "random": _dump_random(self.random),
            },
        }

    def load(self, content: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was called; the replay is loaded by itself, and before.

        Where environments cannot be brought back, the new episodes that they begin are stored as such.
        """
        self.agent.load_state_dict(content["agent"])
        for name, optimizer in self.agent.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        self.actor.load(content["actor"])
        progress = dict(content["progress"])
        self.totals, self.lengths = progress.pop("totals").numpy(), progress.pop("lengths").numpy()
        self.generator.set_state(progress.pop("generator"))
        _load_random(self.random, progress.pop("random"))
        self.progress = Progress(**progress)
        self.steps = self.vector.restore([_record(**record) for record in content["environments"]])
        if not self.vector.seekable:
            self.replay.add(self.steps)
            self._count(self.steps)

    def _count(self, steps: VectorStep) -> list[Finished]:
        self.totals = np.where(steps.is_first, 0.0, self.totals + steps.reward)
        self.lengths = np.where(steps.is_first, 0, self.lengths + self.vector.action_repeat)
        ended = np.flatnonzero(steps.is_last)
        self.progress.episodes += len(ended)
        return [Finished(float(self.totals[index]), int(self.lengths[index])) for index in ended]


def _record(*, episode: int, actions: Tensor, sent: Tensor | None) -> EnvironmentSnapshot:
    return EnvironmentSnapshot(episode=episode, actions=actions.numpy(), sent=None if sent is None else sent.numpy())


def _dump_random(generator: np.random.Generator) -> dict[str, Any]:
    content = generator.bit_generator.state
    return {
        "state": str(content["state"]["state"]),
        "inc": str(content["state"]["inc"]),
        "has_uint32": content["has_uint32"],
        "uinteger": content["uinteger"],
    }


def _load_random(generator: np.random.Generator, content: Mapping[str, Any]) -> None:
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": int(content["state"]), "inc": int(content["inc"])},
        "has_uint32": content["has_uint32"],
        "uinteger": content["uinteger"],
    }


def batch_content(batch: Batch) -> dict[str, Any]:
    """A batch as plain tensors, to be saved and looked at."""
    return {
        "observation": {name: value.cpu() for name, value in batch.observation.items()},
        "action": batch.action.cpu(),
        "reward": batch.reward.cpu(),
        "is_first": batch.is_first.cpu(),
        "is_terminal": batch.is_terminal.cpu(),
        "episode": batch.episode.cpu(),
    }


def mean_of(history: list[Metrics]) -> dict[str, float]:
    """The mean of each metric over several updates, read from the device at once."""
    if not history:
        return {}
    names = list(history[0])
    stacked = torch.stack([torch.stack([metrics[name].float() for name in names]) for metrics in history])
    return dict(zip(names, stacked.mean(dim=0).tolist(), strict=True))
