"""An environment in a worker process or in this one, with the requests of an `EnvironmentServer`: the first answer describes it."""

import contextlib
import os
import pickle
import pickletools
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, final

from framework.environments.base import Environment
from framework.environments.deadline import Overdue, deadline
from framework.environments.server import EnvironmentServer, lasts, reason
from framework.environments.worker import STOPPING
from framework.errors import UserError

ONE_THREAD: Final = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1"}
"""One core for each worker. With Mesa's 0 the calling thread renders; with 1 it starts a second thread and waits for it."""
SHUTDOWN_SECONDS: Final = 2.0
"""Time for a worker to end by itself before it is killed."""
STARTUP_SECONDS: Final = 120.0
"""Least time for a worker to import its environment, from a cold disk, and to construct it."""
STDERR_TAIL: Final = 600
"""Characters of a worker's stderr in an error message."""
SERIAL: Final = "or bind Run.vector = @vector_environments.WorkerEnvironments and WorkerEnvironments.mode = 'serial' to use no workers"


@final
class LocalWorker:
    """Runs the environment in this process.

    `receive` raises `UserError` where the environment raised (with its traceback), or has not answered for `timeout` seconds: in the
    main thread, and once it returns to Python.
    """

    def __init__(self, environment: Callable[..., Environment], seed: int, *, name: str, timeout: float) -> None:
        self._name, self._timeout, startup = name, timeout, max(timeout, STARTUP_SECONDS)
        try:
            with deadline(startup):
                self._server = EnvironmentServer(environment, seed)
        except Overdue as error:
            raise UserError(f"{name} was not made within {startup:g} s.") from error
        self.send = self._server.send

    def receive(self) -> Any:
        try:
            with deadline(self._timeout):
                return self._server.receive()
        except Overdue as error:
            raise UserError(f"{self._name} has not answered for {self._timeout:g} s.") from error
        except Exception as error:
            raise UserError(f"{self._name} failed: {reason(error)}", is_lasting=lasts(error)) from error

    def hang_up(self) -> None:
        """Nothing is to be announced in this process."""

    def close(self, grace: float = SHUTDOWN_SECONDS) -> None:
        """Close the environment, which may have failed, in at most `SHUTDOWN_SECONDS`, since nothing else can end it."""
        with contextlib.suppress(Overdue, Exception), deadline(SHUTDOWN_SECONDS):
            self._server.close()


@final
class ProcessWorker:
    """Runs the environment in a worker process, on the CPU `core` or, with None, on any.

    `receive` raises `UserError` where the worker raised (with its traceback), died (with its exit status and the end of its stderr), or
    has not answered for `timeout` seconds since the request; it never hangs.
    """

    def __init__(self, environment: Callable[..., Environment], seed: int, *, name: str, timeout: float, core: int | None = None) -> None:
        self._name, self._timeout = name, timeout
        start = _pickled(environment, seed)
        parent_end, child_end = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # and so in the worker, until it handles them
        try:
            with child_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "framework.environments.worker", str(child_end.fileno()), str(os.getpid())],
                    env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                    pass_fds=[child_end.fileno()],
                    stdin=subprocess.DEVNULL,
                    stderr=self._stderr,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _pin(self._process.pid, core)
        self._connection = Connection(parent_end.detach())
        self._write(start, max(timeout, STARTUP_SECONDS))

    def send(self, request: str, *arguments: Any) -> None:
        self._write(pickle.dumps((request, *arguments), protocol=pickle.HIGHEST_PROTOCOL), self._timeout)

    def receive(self) -> Any:
        try:
            left = max(0.0, self._due - time.monotonic())
            with deadline(left + 1):  # which only an interrupt brings forward
                answered = self._connection.poll(left)
        except Overdue:
            answered = False
        if not answered:
            raise UserError(f"{self._name} has not answered for {self._patience:g} s{self._stderr_tail()}.")
        try:
            outcome, answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._death() from error
        if outcome != "done":
            raise UserError(f"{self._name} failed: {answer}", is_lasting=outcome == "lasting")
        return answer

    def hang_up(self) -> None:
        """Close the connection, so that the worker ends as soon as its environment answers."""
        self._connection.close()

    def close(self, grace: float = SHUTDOWN_SECONDS) -> None:
        """End the worker: after `grace` seconds by force."""
        self.hang_up()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._stderr.close()

    def _write(self, message: bytes, patience: float) -> None:
        """Send a request; the next `receive` finds out where the worker is dead."""
        self._patience, self._due = patience, time.monotonic() + patience
        with contextlib.suppress(OSError):
            self._connection.send_bytes(message)

    def _death(self) -> UserError:
        try:
            status = self._process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            return UserError(f"{self._name} closed its connection{self._stderr_tail()}.")
        return UserError(f"{self._name} died ({_cause(status)}){self._stderr_tail()}.")

    def _stderr_tail(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - STDERR_TAIL))
        text = self._stderr.read().decode(errors="replace").strip()
        return f"; its stderr ends with:\n{text}\n" if text else ", and its stderr is empty"


def cores(count: int) -> list[int | None]:
    """A CPU core for each of `count` workers, or None for each where the cores of this process cannot be shared evenly.

    The scheduler often wakes two workers on one core while another idles. With fewer workers than cores it finds a free core, and other
    runs on the machine are not disturbed.
    """
    if sys.platform != "linux":
        return [None] * count
    available = sorted(os.sched_getaffinity(0))
    return [available[index % len(available)] for index in range(count)] if count % len(available) == 0 else [None] * count


def _pin(process: int, core: int | None) -> None:
    """Bind a worker to its core, with a policy that does not preempt the process that wakes it."""
    if sys.platform != "linux" or core is None:
        return
    with contextlib.suppress(OSError):  # not permitted, or the worker is dead, which the first answer reports
        os.sched_setaffinity(process, {core})
        os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0))


def _pickled(environment: Callable[..., Environment], seed: int) -> bytes:
    try:
        message = pickle.dumps((environment, seed), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise UserError(
            f"{environment!r} cannot be sent to a worker process ({error}); define the environment at the top level of a module, {SERIAL}."
        ) from error
    if any(argument == "__main__" for _, argument, _ in pickletools.genops(message)):
        raise UserError(
            f"{environment!r} is defined in the script that runs, which worker processes do not import; move the class to a module of its "
            f"own and import it, {SERIAL}."
        )
    return message


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name}, as when the machine is out of memory" if name == "SIGKILL" else name
