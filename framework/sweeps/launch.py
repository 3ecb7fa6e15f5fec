"""The processes that train cells: on this machine, or as tasks of a Ray cluster."""

import ctypes
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from framework.environments.worker import PR_SET_PDEATHSIG
from framework.errors import UserError
from framework.training.lock import is_locked

ADDRESS: Final = re.compile(r"(?:ray://)?([\w.-]+):(\d+)")
LIBC: Final = ctypes.CDLL(None)
"""Loaded before a fork, which may only call it."""


class Job(ABC):
    """A cell that is being trained. `error` says why it could not be, where its process could not say so itself."""

    error: str | None = None

    @property
    def has_begun(self) -> bool:
        """Whether its process was started; false in a queue."""
        return True

    @abstractmethod
    def poll(self) -> int | None:
        """The exit status of its process; None while it runs, negative after a signal."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to write a checkpoint and end."""


Start = Callable[[Sequence[str], Mapping[str, str], Path], Job]
"""Begins a command with these variables added to the environment; what it prints is appended to the file."""


def begin(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process in a session of its own, which no Ctrl-C reaches but ours; on Linux it checkpoints and ends if this thread dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@final
class LocalJob(Job):
    """A process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        self.process.terminate()


def start_here(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Job:
    """Begin a cell as a process of this machine."""
    return LocalJob(begin(command, environment, log))


@final
class OtherJob(Job):
    """A run that a process trains which is not ours: of a sweep that was killed a moment ago, or of a user."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.left = folder, False

    def poll(self) -> int | None:
        return None if is_locked(self.folder) and not self.left else 0

    def stop(self) -> None:
        """Leave it alone."""
        self.left = True


@final
class RayJob(Job):
    """A task of Ray."""

    def __init__(self, task: Any, log: Path) -> None:
        self.task, self.log = task, log

    @property
    def has_begun(self) -> bool:
        return self.log.exists()

    def poll(self) -> int | None:
        import ray

        if not ray.wait([self.task], timeout=0)[0]:
            return None
        try:
            return int(ray.get(self.task))
        except ray.exceptions.TaskCancelledError:
            return -signal.SIGTERM
        except ray.exceptions.RayError as error:  # its worker or its node died
            self.error = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return 1

    def stop(self) -> None:
        import ray

        self.log.parent.mkdir(parents=True, exist_ok=True)
        stop_file(self.log).touch()
        ray.cancel(self.task, force=False)  # if it waits for a node


@final
class RayLauncher:
    """Starts cells as tasks of the Ray cluster at an address, each with `threads` processors and a share of an accelerator.

    The folder of the sweep is one that all nodes share under one path, and each node has this package and what the recipes import.
    """

    def __init__(self, *, address: str, threads: int, gpus: float) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError("Ray is not installed: run `pip install 'dream-framework[ray]'`, here and on each node.") from error
        if not ray.is_initialized():
            try:
                if match := ADDRESS.fullmatch(address):  # which Ray would try for minutes
                    socket.create_connection((match[1], int(match[2])), timeout=5.0).close()
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"There is no Ray cluster at '{address}' ({reason}); start one with `ray start --head`.") from error
        self._run = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(run_in_task)

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Job:
        settings = {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "DREAM_"))}
        stop_file(log).unlink(missing_ok=True)
        return RayJob(self._run.remote(list(command[1:]), {**settings, **environment}, log, Path.cwd()), log)


def stop_file(log: Path) -> Path:
    """The file in the sweep's folder that asks a task of Ray to stop."""
    return log.with_suffix(".stop")


def run_in_task(arguments: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> int:
    """Run a command of this Python in a worker of Ray, until it ends or its stop file is there; returns its exit status."""
    with suppress(OSError):  # a node may lack the folder in which the sweep was started
        os.chdir(folder)
    process = begin([sys.executable, *arguments], environment, log)
    stop, stopping = stop_file(log), False
    while True:
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # Ray may interrupt a canceled task, and does not always
            return process.wait(timeout=1.0)
        if stop.exists() and not stopping:
            stopping = True
            process.terminate()
