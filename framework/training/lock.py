"""The lock of a run folder: one process at a time trains a run."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from framework.errors import UserError

LOCK: Final = ".lock"
OWNER: Final = ".lock.json"


@contextmanager
def run_lock(folder: Path, what: str = "run") -> Iterator[None]:
    """Hold the lock of the folder of a run or a sweep, which the operating system releases when the process ends, however it ends.

    The thread that holds it may take it again. Raises `UserError` where another process holds it, with the number of that process and
    its machine.
    """
    from framework import files  # imports torch, which a listing of runs does not need

    lock = FileLock(folder / LOCK, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"The {what} in {folder} is being trained by {_owner(folder)}; stop that process, or wait until it ends."
        ) from error
    try:
        owner = {
            "process": os.getpid(),
            "machine": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        files.write(folder / OWNER, json.dumps(owner).encode())
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process trains the run in a folder."""
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _owner(folder: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        owner = json.loads((folder / OWNER).read_text())
        return f"process {owner['process']} on {owner['machine']} (since {owner['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
