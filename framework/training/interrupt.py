"""Signals that stop a run, handled between two steps, so that it stops in a whole state."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, final

from framework.environments.deadline import Overdue, deadline, hasten
from framework.errors import UserError
from framework.tracking.base import Status, Tracker

log = logging.getLogger(__name__)
GRACE: Final = 2.0
"""Seconds that an environment, or a tracker that closes, may still take after a signal."""
UNBOUNDED: Final = 1e6
"""Seconds of work that nothing but a signal ends."""
ONE_GESTURE: Final = 1.0
"""Seconds within which a Ctrl-C is the same as the one before, which reaches a process twice if its group and itself are signaled."""


@final
class Interrupt:
    """While entered, SIGINT (Ctrl-C), SIGTERM and SIGHUP only set `requested`, and hasten the deadline of what the process waits for.

    `name` is that of the first signal. A second Ctrl-C raises `KeyboardInterrupt`; a `UserError` after a signal becomes one, which has the
    name too. A SIGHUP that was ignored before, as under `nohup`, still is.
    """

    def __init__(self) -> None:
        self.requested, self.name = False, ""
        self._since = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.requested and isinstance(error, UserError):
            log.warning("Stopped, and then: %s", error)
        if self.requested and isinstance(error, UserError | KeyboardInterrupt):
            raise KeyboardInterrupt(self.name) from error

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Raise `KeyboardInterrupt` in work that may be left half done, at once after a signal before it, and soon after one within it."""
        try:
            if self.requested:
                raise KeyboardInterrupt
            with deadline(UNBOUNDED):
                yield
        except Overdue as error:
            raise KeyboardInterrupt from error

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.requested:
            self.requested, self._since = True, now
            self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        elif number == signal.SIGINT and now - self._since > ONE_GESTURE:
            raise KeyboardInterrupt
        hasten(GRACE)


def close_tracker(tracker: Tracker, status: Status, interrupt: Interrupt) -> Status:
    """Close a tracker; after an interrupt as KILLED, and soon. Returns the status that was recorded."""
    try:
        with interrupt.stopping():
            tracker.close(status)
    except KeyboardInterrupt:
        status = "KILLED"
        tracker.close(status)
    return status
