"""Where an environment runs: in this process, or in a worker of its own. Requests are sent first and answered later."""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, final

from framework.environments.base import Environment
from framework.environments.session import Session
from framework.errors import UserError

ONE_THREAD: Final = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1"}
"""Software rendering and numpy each take one core in a worker: the workers are the parallelism. Mesa's 0 draws in the thread that asks,
where 1 starts another to hand each image to."""
FAREWELL: Final = 2.0
"""Seconds that a worker gets to end by itself."""
WELCOME: Final = 120.0
"""Seconds that a worker gets at least to import its environment, from a cold disk, and to make it."""
LAST_WORDS: Final = 600
"""Characters of a worker's stderr that an error tells."""


class EnvironmentWorker(ABC):
    """Holds one environment. The first answer describes it, each later one is to the request before."""

    @abstractmethod
    def send(self, request: str, *arguments: Any) -> None: ...

    @abstractmethod
    def receive(self) -> Any: ...

    @abstractmethod
    def close(self) -> None: ...


@final
class SerialWorker(EnvironmentWorker):
    """Runs the environment here, when the answer is asked for."""

    def __init__(self, factory: Callable[..., Environment], seed: int) -> None:
        self._session = Session(factory, seed)
        self._request: tuple[Any, ...] = ("describe",)

    def send(self, request: str, *arguments: Any) -> None:
        self._request = (request, *arguments)

    def receive(self) -> Any:
        return self._session.perform(*self._request)

    def close(self) -> None:
        self._session.close()


@final
class ProcessWorker(EnvironmentWorker):
    """Runs the environment in a worker process.

    Raises `UserError`, never hangs: where the worker raised (with its traceback), died (with its exit status and last words), or
    has not answered for `timeout` seconds. `core` is where it stays, any where it is None.
    """

    def __init__(self, factory: Callable[..., Environment], seed: int, *, name: str, timeout: float, core: int | None = None) -> None:
        self._name = name
        self._timeout = timeout
        self._patience = max(timeout, WELCOME)
        start = _pickled(factory, seed)
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "framework.environments.worker", str(theirs.fileno())],
                env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self._errors,
            )
        _settle(self._process.pid, core)
        self._connection = Connection(ours.detach())
        self._write(start)

    @property
    def process_id(self) -> int:
        return self._process.pid

    def send(self, request: str, *arguments: Any) -> None:
        self._write(pickle.dumps((request, *arguments), protocol=pickle.HIGHEST_PROTOCOL))

    def receive(self) -> Any:
        try:
            if not self._connection.poll(self._patience):
                raise UserError(f"{self._name} has not answered for {self._patience:g} s{self._last_words()}.")
            outcome, answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._death() from error
        self._patience = self._timeout
        if outcome == "failed":
            raise UserError(f"{self._name} failed: {answer}")
        return answer

    def close(self) -> None:
        self._connection.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()
        self._errors.close()

    def _write(self, message: bytes) -> None:
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def _death(self) -> UserError:
        try:
            status = self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            return UserError(f"{self._name} closed its connection{self._last_words()}.")
        return UserError(f"{self._name} died ({_cause(status)}){self._last_words()}.")

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - LAST_WORDS))
        words = self._errors.read().decode(errors="replace").strip()
        return f"; its last words were:\n{words}\n" if words else ", without a word"


def cores(count: int) -> list[int | None]:
    """For each of so many workers a core of its own, or its share of one, where this process's cores come out even; else None.

    Woken together, two workers are often put on one core while another idles, and both wait for the slower. With fewer workers than
    cores, the system finds a free one, and the runs beside this one are not in the way.
    """
    if sys.platform != "linux":
        return [None] * count
    ours = sorted(os.sched_getaffinity(0))
    return [ours[index % len(ours)] for index in range(count)] if count % len(ours) == 0 else [None] * count


def _settle(process: int, core: int | None) -> None:
    """Keep a worker on its core, and from interrupting the process that wakes it before all of them are awake."""
    if sys.platform != "linux" or core is None:
        return
    with contextlib.suppress(OSError):  # where the system forbids it, or the worker is dead, which the first answer tells
        os.sched_setaffinity(process, {core})
        os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0))


def _pickled(factory: Callable[..., Environment], seed: int) -> bytes:
    try:
        return pickle.dumps((factory, seed), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise UserError(
            f"{factory!r} cannot be sent to a worker process ({error}): define the environment at the top level of a module, "
            f"or run environments with mode 'serial'."
        ) from error


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name}, as when the machine is out of memory" if name == "SIGKILL" else name
