"""Environments of any kind that step together, each in a worker process or all in this one."""

from collections.abc import Sequence
from typing import Any, Literal, final

import dm_env
import numpy as np

from framework import vector_environments
from framework.data import Factory, Specs
from framework.environments.base import Environment
from framework.environments.server import EnvironmentServer
from framework.vector_environments.base import EnvironmentSnapshot, VectorEnvironment, VectorStep
from framework.vector_environments.workers import ProcessWorker, cores

Mode = Literal["process", "serial"]


@vector_environments.register
@final
class WorkerEnvironments(VectorEnvironment):
    """Steps `count` environments, each in a worker process or all in this one.

    The seed of each environment derives from `seed` and its index, so that both modes show the same. A worker unpickles `environment`.
    Raises `UserError` where a worker raised, died, or has not answered for `timeout` seconds; the snapshot keeps the actions in flight.
    """

    def __init__(self, *, environment: Factory[Environment], count: int, seed: int, mode: Mode = "process", timeout: float = 120.0) -> None:
        self._workers: list[EnvironmentServer | ProcessWorker] = []
        try:
            for index, core in enumerate(cores(count)):
                derived = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
                if mode == "serial":
                    self._workers.append(EnvironmentServer(environment, derived))
                else:
                    name = f"environment worker {index} of {count}"
                    self._workers.append(ProcessWorker(environment, derived, name=name, timeout=timeout, core=core))
            description, *_ = [worker.receive() for worker in self._workers]
        except BaseException:
            self.close()
            raise
        specs = Specs(observation=description.observation, action=description.action)
        super().__init__(specs=specs, count=count, action_repeat=description.action_repeat, seekable=description.seekable)
        self._actions: list[list[np.ndarray]] = [[] for _ in range(count)]

    def _reset(self) -> VectorStep:
        answers = self._request([("reset",)] * self.count)
        return self._advance(answers, np.zeros((self.count, self.specs.action_size), np.float32))

    def _start(self, actions: np.ndarray) -> None:
        for worker, action in zip(self._workers, actions, strict=True):
            worker.send("step", action)

    def _finish(self, actions: np.ndarray) -> VectorStep:
        return self._advance([worker.receive() for worker in self._workers], actions)

    def snapshot(self) -> tuple[EnvironmentSnapshot, ...]:
        size = self.specs.action_size
        sent = [None] * self.count if self._sent is None else self._sent
        return tuple(
            EnvironmentSnapshot(episode=max(int(episode), 0), actions=np.array(actions, np.float32).reshape(-1, size), sent=action)
            for episode, actions, action in zip(self._episodes, self._actions, sent, strict=True)
        )

    def _seek(self, snapshots: Sequence[EnvironmentSnapshot]) -> VectorStep:
        answers = self._request([("restore", each.episode, each.actions) for each in snapshots])
        self._actions = [list(each.actions) for each in snapshots]
        return self._stack(answers)

    def close(self) -> None:
        while self._workers:
            self._workers.pop().close()

    def _request(self, requests: Sequence[tuple[Any, ...]]) -> list[dm_env.TimeStep]:
        for worker, request in zip(self._workers, requests, strict=True):
            worker.send(*request)
        return [worker.receive() for worker in self._workers]

    def _advance(self, answers: list[dm_env.TimeStep], actions: np.ndarray) -> VectorStep:
        """Count episodes, and keep the actions of the current ones for snapshots."""
        for index, answer in enumerate(answers):
            if answer.first():
                self._episodes[index] += 1
                self._actions[index] = []
            else:
                self._actions[index].append(actions[index])
        return self._stack(answers)

    def _stack(self, answers: list[dm_env.TimeStep]) -> VectorStep:
        zero = np.zeros(self.specs.action_size, np.float32)
        return VectorStep(
            observation={name: np.stack([answer.observation[name] for answer in answers]) for name in self.specs.observation},
            action=np.stack([actions[-1] if actions else zero for actions in self._actions]),
            reward=np.array([answer.reward or 0.0 for answer in answers], np.float32),
            is_first=np.array([answer.first() for answer in answers]),
            is_last=np.array([answer.last() for answer in answers]),
            is_terminal=np.array([answer.last() and answer.discount == 0.0 for answer in answers]),
            episode=self._episodes.copy(),
        )
