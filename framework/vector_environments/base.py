"""The contract of environments that step together."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, final

import numpy as np
from dm_env import specs

from framework.data import Factory
from framework.environments.actions import one_hot
from framework.environments.base import Environment
from framework.environments.observations import FLAG, REWARD, agreed
from framework.environments.server import describe, reason
from framework.errors import UserError
from framework.signatures import source_of
from framework.specs import ActionSpec, Specs

EPISODE: Final = 1000
"""Steps of an episode of the control suite."""


@final
@dataclass(frozen=True)
class VectorStep:
    """One step of each of `n` environments; every array has the leading axis `n`.

    `action` led to the observation and is zero where `is_first`. `is_last` ends an episode; `is_terminal` marks the ends that were not
    time limits. `episode` counts within each environment, from 0.
    """

    observation: dict[str, np.ndarray]
    action: np.ndarray
    reward: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray
    is_terminal: np.ndarray
    episode: np.ndarray


@final
@dataclass(frozen=True)
class EnvironmentSnapshot:
    """The position of one environment: its episode, the actions `[k, A]` taken in it, and one `[A]` in flight."""

    episode: int
    actions: np.ndarray
    sent: np.ndarray | None = None


class VectorEnvironment(AbstractContextManager["VectorEnvironment"]):
    """`count` environments that step together, as a learner sees them.

    The step after `is_last` is the first of the next episode, whatever its action. `send` and `receive` are the two halves of `step`;
    other work may run between them. Where `seekable`, `restore` continues an episode to the bit; elsewhere it begins new ones.

    `reset` and `receive` raise `UserError` where an environment raises, dies, hangs, or gives something else than it declared; `failed`
    holds the indices then, and a step stays in flight. `recover` completes them with fresh environments.

    A registered class is constructed with `environment` (the factory of one environment, called with `seed=`), `count` and `seed`.
    It implements `_reset`, `_finish` and `close`; with simulators elsewhere, `_start`; where `seekable`, `snapshot` and `_seek`; where an
    environment can be replaced, `_recover`.
    """

    derived: ClassVar[tuple[str, ...]] = ("environment", "count", "seed")

    def __init__(self, *, specs: Specs, count: int, action_repeat: int = 1, seekable: bool = False) -> None:
        self.specs, self.count, self.action_repeat, self.seekable = specs, count, action_repeat, seekable
        self._episodes = np.full(count, -1, np.int64)
        self._sent: np.ndarray | None = None
        self._over: np.ndarray | None = None
        """Which environments begin an episode with their next step; None where any may."""
        self.failed: list[int] = []

    @final
    def reset(self) -> VectorStep:
        """Start the next episode in every environment."""
        self._check_rest()
        self._over = np.ones(self.count, bool)
        return self._complete(self._reset)

    @final
    def step(self, actions: np.ndarray) -> VectorStep:
        """Take one action `[n, A]` in every environment."""
        self.send(actions)
        return self.receive()

    @final
    def send(self, actions: np.ndarray) -> None:
        """Start a step with one action `[n, A]` for every environment."""
        self._check_rest()
        actions = np.array(actions, np.float32)
        expected = (self.count, self.specs.action_size)
        if actions.shape != expected:
            raise ValueError(f"actions must have shape {expected}, not {actions.shape}")
        self._sent = actions
        with self._named_errors():
            self._start(actions)

    @final
    def receive(self) -> VectorStep:
        """Return the step that `send` started."""
        if self._sent is None:
            raise RuntimeError("`receive` needs a `send` before it")
        return self._complete(partial(self._finish, self._sent))

    @final
    def recover(self) -> VectorStep:
        """Complete a `reset` or `receive` that raised, with fresh environments in the place of those that failed.

        Their rows are the first steps of their next episodes: the episodes before end there, as if by a time limit.
        """
        return self._complete(self._recover)

    @final
    @property
    def in_flight(self) -> bool:
        """Whether a step was sent and not yet received."""
        return self._sent is not None

    def snapshot(self) -> tuple[EnvironmentSnapshot, ...]:
        """The position of every environment after the last step received, with the actions sent since; elsewhere the episodes alone."""
        empty = np.zeros((0, self.specs.action_size), np.float32)
        return tuple(EnvironmentSnapshot(episode=max(int(episode), 0), actions=empty) for episode in self._episodes)

    @final
    def restore(self, snapshots: Sequence[EnvironmentSnapshot]) -> VectorStep:
        """Return to a snapshot and to the step that was the last one then. Actions in flight are sent again.

        Where not `seekable`, new episodes begin instead, with a warning, and actions in flight are dropped.
        """
        self._check_rest()
        if len(snapshots) != self.count:
            raise UserError(f"a snapshot of {len(snapshots)} environments cannot be restored into {self.count}; keep the count.")
        self._episodes = np.array([each.episode for each in snapshots], np.int64)
        if not self.seekable:
            warnings.warn("an environment without `seek` cannot be resumed where it was: it starts a new episode", stacklevel=2)
            return self.reset()
        self._over = None
        step = self._compared(self._seek(snapshots))
        self._over = step.is_last
        if sent := [each.sent for each in snapshots if each.sent is not None]:
            self.send(np.stack(sent))
        return step

    @final
    def random_actions(self, random: np.random.Generator) -> np.ndarray:
        """Uniform actions `[n, A]`."""
        return random_actions(self.specs.model_action, self.count, random)

    @abstractmethod
    def close(self) -> None:
        """Close every environment; a second call does nothing."""

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _reset(self) -> VectorStep:
        """Start the next episode in every environment."""

    def _start(self, actions: np.ndarray) -> None:
        """Start a step whose simulation runs elsewhere; a simulator in this process steps in `_finish`."""

    @abstractmethod
    def _finish(self, actions: np.ndarray) -> VectorStep:
        """The step with these actions."""

    def _seek(self, snapshots: Sequence[EnvironmentSnapshot]) -> VectorStep:
        """Replay the actions of every environment, and return its last step."""
        raise NotImplementedError

    def _recover(self) -> VectorStep:
        """The step in flight, with the first steps of fresh environments where `failed`."""
        raise UserError(f"{type(self).__name__} cannot begin anew after an error.")

    def _complete(self, work: Callable[[], VectorStep]) -> VectorStep:
        """The step that some work gives, compared; any error of it is a `UserError`, of all environments unless it names the `failed`."""
        with self._named_errors():
            step = self._compared(work())
        self._sent, self._over, self.failed = None, step.is_last, []
        return step

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed = self.failed or [*range(self.count)]
            if isinstance(error, UserError):
                raise
            raise UserError(f"{type(self).__name__} failed: {reason(error)}") from error

    def _compared(self, step: VectorStep) -> VectorStep:
        """The step, if it is what the specs declare: the replay would store other numbers."""
        name, declared = type(self).__name__, self.specs.observation
        if step.observation.keys() != declared.keys():
            raise UserError(f"{name} declares the observations {[*declared]}, and gives {[*step.observation]}; make the two agree.")
        flags = dict.fromkeys(("is_first", "is_last", "is_terminal"), FLAG)
        for entry, spec in {**declared, "reward": REWARD, **flags}.items():
            array = step.observation[entry] if entry in declared else getattr(step, entry)
            unequal = (array.shape, array.dtype) != ((self.count, *spec.shape), spec.dtype)
            if unequal or (array.dtype.kind == "f" and not np.isfinite(array).all()):
                agreed(name, entry, spec, array, (self.count,))
        self._check_begins(step)
        return step

    def _check_begins(self, step: VectorStep) -> None:
        """Refuse an environment that goes on after the end of its episode, or begins one before it; a fresh one may begin any time."""
        if self._over is None:
            return
        wrong = np.setdiff1d(np.flatnonzero(step.is_first != self._over), self.failed)
        if wrong.size:
            file, line = source_of(type(self))
            expected = "is_first, since its episode is over" if self._over[wrong[0]] else "no is_first, since its episode goes on"
            message = f"{type(self).__name__} ({file}:{line}) must give environment {wrong[0]} a step with {expected}."
            raise UserError(message, is_lasting=True)

    def _check_rest(self) -> None:
        if self.in_flight:
            raise RuntimeError("a step is in flight: `receive` it first")


def specs_of(environment: Factory[Environment]) -> Specs:
    """The specs of an environment, without rendering."""
    description = describe(environment)
    return Specs(observation=description.observation, action=description.action)


def random_actions(action: ActionSpec, count: int, random: np.random.Generator) -> np.ndarray:
    """Uniform actions `[n, A]`: numbers in [-1, 1], or one option of each choice."""
    if action.kind == "continuous":
        return random.uniform(-1, 1, (count, action.size)).astype(np.float32)
    return one_hot(np.stack([random.integers(size, size=count) for size in action.sizes], axis=-1), action.sizes)


def random_steps(declared: Specs, streams: int, number: int, random: np.random.Generator) -> VectorStep:
    """One random step of every stream; the first of an episode at every thousandth."""
    first = number % EPISODE == 0

    def draw(spec: specs.Array) -> np.ndarray:
        if spec.dtype == np.uint8:
            return random.integers(0, 256, (streams, *spec.shape), np.uint8)
        return random.standard_normal((streams, *spec.shape)).astype(spec.dtype)

    return VectorStep(
        observation={name: draw(spec) for name, spec in declared.observation.items()},
        action=np.zeros((streams, declared.action_size), np.float32) if first else random_actions(declared.model_action, streams, random),
        reward=np.zeros(streams, np.float32) if first else random.standard_normal(streams).astype(np.float32),
        is_first=np.full(streams, first),
        is_last=np.full(streams, number % EPISODE == EPISODE - 1),
        is_terminal=np.zeros(streams, bool),
        episode=np.full(streams, number // EPISODE, np.int64),
    )
