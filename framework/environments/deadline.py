"""A deadline on work in this process."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, final

AGAIN: Final = 1.0
"""Seconds after which `Overdue` is raised again, where other code has swallowed it."""


@final
class Overdue(BaseException):
    """A deadline is over. No `Exception`, so that the code under the deadline does not handle it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `Overdue` after some seconds, wherever Python is then, by SIGALRM; a call that never returns to Python is not ended.

    Only the main thread has signals: in another one there is no deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, started = signal.signal(signal.SIGALRM, _overdue), time.monotonic()
    before, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(before - (time.monotonic() - started), 1e-6), interval)


def hasten(seconds: float) -> None:
    """Bring the present deadline forward, if there is one, to this many seconds from now. May be called by a handler of signals."""
    if signal.getsignal(signal.SIGALRM) is _overdue and signal.getitimer(signal.ITIMER_REAL)[0] > seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)


def _overdue(number: int, frame: FrameType | None) -> None:
    raise Overdue
