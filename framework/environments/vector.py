"""Several environments that step together."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from framework.data import ActionSpec, Specs
from framework.environments.base import Environment
from framework.environments.session import Description, Step
from framework.environments.workers import EnvironmentWorker, ProcessWorker, SerialWorker, cores
from framework.errors import UserError

Mode = Literal["process", "serial"]


@final
@dataclass(frozen=True)
class VectorStep:
    """One step of each of `n` environments, every array with leading axis `n`.

    `action` led to the observation, and is zero where `is_first`. `is_last` ends an episode, and `is_terminal` says that it was
    not the time limit that did. `episode` counts within each environment, from 0.
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
    """How far one environment is: its episode, the actions `[k, A]` that were taken in it, and one `[A]` sent and not yet received."""

    episode: int
    actions: np.ndarray
    sent: np.ndarray | None = None


@final
class VectorEnvironment:
    """Steps `count` environments together, each in a worker process or all in this one.

    The step after `is_last` is the first of the next episode, whatever the action. The seed of each environment derives from
    `seed` and its index, so both modes show the same. `factory` is called with `seed=`; a worker must be able to unpickle it.
    `send` and `receive` are the two halves of `step`, for work in between. An error closes every environment; what was sent stays
    on record.
    Raises `UserError` where a worker raised, died, or has not answered for `timeout` seconds.
    """

    def __init__(
        self,
        *,
        factory: Callable[..., Environment],
        count: int,
        seed: int,
        mode: Mode = "process",
        timeout: float = 120.0,
    ) -> None:
        if count < 1:
            raise UserError(f"{count} environments cannot be stepped; give a count of at least 1.")
        self.count = count
        self._hosts: list[EnvironmentWorker] = []
        try:
            for index, core in enumerate(cores(count)):
                derived = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
                name = f"environment worker {index} of {count}"
                if mode == "serial":
                    self._hosts.append(SerialWorker(factory, derived))
                else:
                    self._hosts.append(ProcessWorker(factory, derived, name=name, timeout=timeout, core=core))
            descriptions: list[Description] = [host.receive() for host in self._hosts]
        except BaseException:
            self.close()
            raise
        self.specs = Specs(observation=descriptions[0].observation, action=descriptions[0].action)
        self.action_repeat = descriptions[0].action_repeat
        self.seekable = descriptions[0].seekable
        self._episodes = [-1] * count
        self._actions: list[list[np.ndarray]] = [[] for _ in range(count)]
        self._sent: np.ndarray | None = None

    @property
    def in_flight(self) -> bool:
        """Whether a step was sent and not yet received."""
        return self._sent is not None

    def reset(self) -> VectorStep:
        """Start the next episode everywhere."""
        return self._begin(self._ask([("reset",)] * self.count))

    def step(self, actions: np.ndarray) -> VectorStep:
        """Take one action `[n, A]` in every environment."""
        self.send(actions)
        return self.receive()

    def random_actions(self, random: np.random.Generator) -> np.ndarray:
        """Uniform actions `[n, A]`: numbers in [-1, 1], or one option of each choice."""
        return random_actions(self.specs.model_action, self.count, random)

    def send(self, actions: np.ndarray) -> None:
        """Let every environment begin its step."""
        self._check_rest()
        actions = np.array(actions, np.float32)
        expected = (self.count, self.specs.action_size)
        if actions.shape != expected:
            raise ValueError(f"actions must have shape {expected}, and not {actions.shape}")
        self._sent = actions
        self._send([("step", action) for action in actions])

    def receive(self) -> VectorStep:
        """Wait for the step that `send` began."""
        if self._sent is None:
            raise RuntimeError("`receive` needs a `send` before it")
        answers, actions = self._receive(), self._sent
        self._sent = None
        for index, answer in enumerate(answers):
            self._advance(index, answer, actions[index])
        return self._stack(answers)

    def record(self) -> tuple[EnvironmentSnapshot, ...]:
        """Where every environment stands after the last step received, and what was sent since; `restore` brings it back there."""
        size = self.specs.action_size
        sent = [None] * self.count if self._sent is None else list(self._sent)
        return tuple(
            EnvironmentSnapshot(episode=max(episode, 0), actions=np.array(actions, np.float32).reshape(-1, size), sent=action)
            for episode, actions, action in zip(self._episodes, self._actions, sent, strict=True)
        )

    def restore(self, record: Sequence[EnvironmentSnapshot]) -> VectorStep:
        """Replay what `record` gave, and return the step that every environment stood at, bit for bit; what was in flight is again.

        An environment that is not `Seekable` starts a new episode instead, with a warning, and what was in flight is dropped.
        """
        if len(record) != self.count:
            raise UserError(f"a record of {len(record)} environments cannot be restored into {self.count}; keep the count.")
        if not self.seekable:
            warnings.warn("an environment without `seek` cannot be resumed where it was: it starts a new episode", stacklevel=2)
            self._episodes = [each.episode for each in record]
            return self.reset()
        answers = self._ask([("restore", each.episode, each.actions) for each in record])
        self._episodes = [each.episode for each in record]
        self._actions = [list(each.actions) for each in record]
        sent = [each.sent for each in record if each.sent is not None]
        if sent:
            self.send(np.stack(sent))
        return self._stack(answers)

    def close(self) -> None:
        """End every environment and every worker; a second call does nothing."""
        while self._hosts:
            self._hosts.pop().close()

    def __enter__(self) -> "VectorEnvironment":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, answers: list[Step]) -> VectorStep:
        for index, answer in enumerate(answers):
            self._advance(index, answer, np.zeros(self.specs.action_size, np.float32))
        return self._stack(answers)

    def _advance(self, index: int, answer: Step, action: np.ndarray) -> None:
        if answer.is_first:
            self._episodes[index] += 1
            self._actions[index] = []
        else:
            self._actions[index].append(action)

    def _check_rest(self) -> None:
        if self.in_flight:
            raise RuntimeError("a step is in flight: `receive` it first")

    def _ask(self, requests: Sequence[tuple]) -> list[Step]:
        self._check_rest()
        self._send(requests)
        return self._receive()

    def _send(self, requests: Sequence[tuple]) -> None:
        try:
            for host, request in zip(self._hosts, requests, strict=True):
                host.send(*request)
        except UserError:
            self.close()
            raise

    def _receive(self) -> list[Step]:
        try:
            return [host.receive() for host in self._hosts]
        except Exception:
            self.close()
            raise

    def _stack(self, answers: list[Step]) -> VectorStep:
        zero = np.zeros(self.specs.action_size, np.float32)
        names = self.specs.observation
        return VectorStep(
            observation={name: np.stack([answer.observation[name] for answer in answers]) for name in names},
            action=np.stack([actions[-1] if actions else zero for actions in self._actions]),
            reward=np.array([answer.reward for answer in answers], np.float32),
            is_first=np.array([answer.is_first for answer in answers]),
            is_last=np.array([answer.is_last for answer in answers]),
            is_terminal=np.array([answer.is_terminal for answer in answers]),
            episode=np.array(self._episodes, np.int64),
        )


def random_actions(action: ActionSpec, count: int, random: np.random.Generator) -> np.ndarray:
    """Uniform actions `[n, A]`: numbers in [-1, 1], or one option of each choice."""
    if action.kind == "continuous":
        return random.uniform(-1, 1, (count, action.size)).astype(np.float32)
    groups = [np.eye(size, dtype=np.float32)[random.integers(size, size=count)] for size in action.sizes]
    return np.concatenate(groups, axis=-1)
