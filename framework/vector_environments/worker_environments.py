"""Environments of any kind that step together, each in a worker process or all in this one."""

import time
from collections.abc import Sequence
from typing import Any, Final, Literal, final

import dm_env
import numpy as np

from framework import vector_environments
from framework.data import Factory
from framework.environments.base import Environment
from framework.environments.server import lasts, reason
from framework.errors import UserError
from framework.specs import Specs
from framework.vector_environments.base import EnvironmentSnapshot, VectorEnvironment, VectorStep
from framework.vector_environments.workers import SHUTDOWN_SECONDS, LocalWorker, ProcessWorker, cores

Mode = Literal["process", "serial"]
MOST_WORKERS: Final = 1024
"""The most processes that a run may ask for."""


@vector_environments.register
@final
class WorkerEnvironments(VectorEnvironment):
    """Steps `count` environments, each in a worker process or all in this one.

    The seed of each environment derives from `seed` and its index, so that both modes show the same. A worker unpickles `environment`.
    `reset` and `receive` raise `UserError` where an environment raised, gave something else than it declared, or has not answered for
    `timeout` seconds, or its worker died; the snapshot keeps the actions in flight. In this process the limit ends Python's own work,
    in the main thread; a simulator that never returns to Python is ended in a worker alone.
    """

    def __init__(self, *, environment: Factory[Environment], count: int, seed: int, mode: Mode = "process", timeout: float = 120.0) -> None:
        if timeout <= 0:
            raise UserError(f"WorkerEnvironments.timeout = {timeout} must be more than 0 seconds.")
        self._environment, self._seed, self._mode, self._timeout = environment, seed, mode, timeout
        self._cores, self._workers = cores(count), list[LocalWorker | ProcessWorker]()
        try:
            for index in range(count):
                self._workers.append(self._worker(index, count, np.random.SeedSequence([seed, index])))
            description, *_ = [worker.receive() for worker in self._workers]
        except BaseException:
            self.close()
            raise
        specs = Specs(observation=description.observation, action=description.action)
        super().__init__(specs=specs, count=count, action_repeat=description.action_repeat, seekable=description.seekable)
        self._actions: list[list[np.ndarray]] = [[] for _ in range(count)]
        self._ended = np.ones(count, bool)
        self._answers: dict[int, dm_env.TimeStep] = {}
        self._next: dict[int, int] = {}

    def _worker(self, index: int, count: int, entropy: np.random.SeedSequence) -> LocalWorker | ProcessWorker:
        seed = int(entropy.generate_state(1)[0])
        if self._mode == "serial":
            return LocalWorker(self._environment, seed, name=f"environment {index} of {count}", timeout=self._timeout)
        name = f"environment worker {index} of {count}"
        return ProcessWorker(self._environment, seed, name=name, timeout=self._timeout, core=self._cores[index])

    def _reset(self) -> VectorStep:
        self._ended[:] = True
        self._send([("reset",)] * self.count)
        return self._advance(self._gather(), np.zeros((self.count, self.specs.action_size), np.float32))

    def _start(self, actions: np.ndarray) -> None:
        self._send([("step", action) for action in actions])

    def _finish(self, actions: np.ndarray) -> VectorStep:
        return self._advance(self._gather(), actions)

    def _recover(self) -> VectorStep:
        """Seekable environments are made with the same seed and go to their next episode; others are made with another seed."""
        for index in self.failed:
            self._workers[index].close(grace=0.0)
            entropy = [self._seed, index] if self.seekable else [self._seed, index, self._next[index]]
            try:
                self._workers[index] = self._worker(index, self.count, np.random.SeedSequence(entropy))
                self._workers[index].receive()
            except Exception as error:
                raise self._failure(index, error) from error
            if self.seekable:
                self._workers[index].send("restore", self._next[index], [])
            else:
                self._workers[index].send("reset")
        actions = np.zeros((self.count, self.specs.action_size), np.float32) if self._sent is None else self._sent
        return self._advance(self._gather(), actions)

    def snapshot(self) -> tuple[EnvironmentSnapshot, ...]:
        size = self.specs.action_size
        sent = [None] * self.count if self._sent is None else self._sent
        return tuple(
            EnvironmentSnapshot(episode=max(int(episode), 0), actions=np.array(actions, np.float32).reshape(-1, size), sent=action)
            for episode, actions, action in zip(self._episodes, self._actions, sent, strict=True)
        )

    def _seek(self, snapshots: Sequence[EnvironmentSnapshot]) -> VectorStep:
        self._send([("restore", each.episode, each.actions) for each in snapshots])
        answers = [worker.receive() for worker in self._workers]
        self._actions = [list(each.actions) for each in snapshots]
        return self._stack(answers)

    def close(self) -> None:
        for worker in self._workers:
            worker.hang_up()
        until = time.monotonic() + SHUTDOWN_SECONDS
        while self._workers:
            self._workers.pop().close(grace=max(0.0, until - time.monotonic()))

    def _send(self, requests: Sequence[tuple[Any, ...]]) -> None:
        self._answers = {}
        for worker, request in zip(self._workers, requests, strict=True):
            worker.send(*request)

    def _gather(self) -> list[dm_env.TimeStep]:
        """Every answer, kept until all are there. Raises `UserError` where some are not, with the reasons."""
        errors = []
        for index, worker in enumerate(self._workers):
            try:
                self._answers[index] = self._answers.get(index) or worker.receive()
            except UserError as error:
                errors.append(self._failure(index, error))
        if errors:
            self.failed = [index for index in range(self.count) if index not in self._answers]
            raise UserError("\n".join(map(str, errors)), is_lasting=any(map(lasts, errors))) from errors[0]
        return [self._answers[index] for index in range(self.count)]

    def _failure(self, index: int, error: Exception) -> UserError:
        """The error of an environment, which names the step, counted in actions; a fresh one then begins the episode after that."""
        episode = self._next.get(index, self._episodes[index] + self._ended[index])
        step = 0 if index in self._next or self._ended[index] else len(self._actions[index]) + 1
        self._next[index] = int(episode) + 1
        return UserError(f"Step {step} of episode {episode}: {reason(error)}", is_lasting=lasts(error))

    def _advance(self, answers: list[dm_env.TimeStep], actions: np.ndarray) -> VectorStep:
        """Count episodes, and keep the actions of the current ones for snapshots."""
        for index, answer in enumerate(answers):
            if answer.first():
                self._episodes[index] = self._next.pop(index, self._episodes[index] + 1)
                self._actions[index] = []
            else:
                self._actions[index].append(actions[index])
        return self._stack(answers)

    def _stack(self, answers: list[dm_env.TimeStep]) -> VectorStep:
        zero = np.zeros(self.specs.action_size, np.float32)
        self._ended = np.array([answer.last() for answer in answers])
        return VectorStep(
            observation={name: np.stack([answer.observation[name] for answer in answers]) for name in self.specs.observation},
            action=np.stack([actions[-1] if actions else zero for actions in self._actions]),
            reward=np.array([answer.reward or 0.0 for answer in answers], np.float32),
            is_first=np.array([answer.first() for answer in answers]),
            is_last=self._ended.copy(),
            is_terminal=np.array([answer.last() and answer.discount == 0.0 for answer in answers]),
            episode=self._episodes.copy(),
        )
