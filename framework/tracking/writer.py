"""A thread between training and a tracker that may be slow, unavailable or broken."""

import logging
import queue
import threading
import time as clock
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, final

from framework.tracking.base import ArtifactError, Event, Status, Tracker
from framework.tracking.store import masked

log: Final = logging.getLogger("framework.tracking")
FIRST_WAIT: Final = 0.5
KILLED_SECONDS: Final = 4.0
"""Time for `close` where a signal ended the run, which is itself killed soon."""
Call = Callable[[], object]
Outcome = Literal["done", "refused", "unavailable"]


@final
class Writer(Tracker):
    """Passes every call to another tracker from a thread, so that the caller never waits and never sees its errors.

    A storage that is away is logged once and tried again with growing pauses; any other error drops that one call and counts it. Beyond
    `capacity` calls, none is queued until the queue is empty: those are then delivered by `catch_up`, or else are lost and counted.
    `close` logs how many were not delivered, and never takes longer than its deadline.

    Args:
        tracker: does the work.
        name: names the tracker in messages.
        catch_up: delivers from elsewhere whatever the tracker lacks; may be repeated after an `OSError`.
        remedy: what mends a delivery that is not complete, for the message of `close`.
        flush_seconds: how long the tracker may hold events back to send them together.
        longest_wait: seconds between two tries at most.
        deadline: seconds that `close` may take.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        name: str,
        catch_up: Call | None = None,
        remedy: str = "",
        capacity: int = 10_000,
        flush_seconds: float = 2.0,
        longest_wait: float = 60.0,
        deadline: float = 30.0,
    ) -> None:
        self.tracker, self.name, self.capacity = tracker, name, capacity
        self.run_id, self.url = tracker.run_id, tracker.url
        self.flush_seconds, self.longest_wait, self.deadline = flush_seconds, longest_wait, deadline
        self.catch_up, self.remedy, self.last_error = catch_up, remedy, ""
        self._spilled, self._lock = 0, threading.Lock()
        self._submitted = self._recorded = self._delivered = 0
        self._status: Status = "FINISHED"
        self._closing, self._closed = threading.Event(), threading.Event()
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"tracking-{name}", daemon=True)
        self._thread.start()

    @property
    def undelivered(self) -> int:
        """Calls that were dropped or refused, wait in the queue, or are held back by the tracker."""
        return self._submitted - self._delivered

    def record(self, event: Event) -> None:
        self.put(partial(self.tracker.record, event))

    def close(self, status: Status) -> None:
        """Deliver the waiting calls within the deadline, of a killed run within seconds, and log how many were lost.

        A second call may change the status of what is not closed yet.
        """
        if self._closed.is_set():
            return
        self._status = status
        if not self._closing.is_set():
            self._calls.put(None)
            self._closing.set()
        seconds = min(self.deadline, KILLED_SECONDS) if status == "KILLED" else self.deadline
        if not self._closed.wait(seconds):  # unlike a `join`, it may be interrupted and repeated
            self.last_error = self.last_error or f"no answer within {seconds:g} s"
        if self.undelivered:
            log.warning("%s: %d records were not delivered (%s)%s.", self.name, self.undelivered, self.last_error, self.remedy)

    def put(self, call: Call) -> None:
        """Queue any call for the thread."""
        with self._lock:
            self._submitted += 1
            if self._closing.is_set():
                self.last_error = "the tracker was closed before"
            elif self._spilled or self._calls.qsize() >= self.capacity:
                self._spilled += self.catch_up is not None
                self.last_error = self.last_error or "too many records waited"
            else:
                self._calls.put(call)

    def wait(self, seconds: float) -> bool:
        """Wait until the thread has made all calls so far; false if that takes longer."""
        if self._closing.is_set():
            return self._closed.wait(seconds)
        made = threading.Event()
        self.put(made.set)
        return made.wait(seconds)

    def _work(self) -> None:
        flushed = clock.monotonic()
        while (call := self._next()) is not None:
            outcome = self._attempt(call)
            self._recorded += call is not _idle and outcome == "done"
            if outcome != "unavailable" and clock.monotonic() - flushed >= self.flush_seconds:
                outcome, flushed = self._deliver(self.tracker.flush), clock.monotonic()
            if outcome != "unavailable" and self._spilled and self._calls.empty():
                outcome = self._recover()
            if outcome == "unavailable":  # only once the run is closing
                break
        else:
            if not self._spilled or self._recover() != "unavailable":
                self._deliver(lambda: self.tracker.close(self._status))
        self._closed.set()

    def _recover(self) -> Outcome:
        """Deliver what was not queued, from elsewhere; later calls are queued again."""
        assert self.catch_up is not None
        with self._lock:
            spilled, self._spilled = self._spilled, 0
        outcome = self._deliver(self.catch_up)
        if outcome == "done":
            self._delivered = self._recorded = self._recorded + spilled
        return outcome

    def _next(self) -> Call | None:
        try:
            return self._calls.get(timeout=self.flush_seconds)
        except queue.Empty:
            return _idle

    def _deliver(self, call: Call) -> Outcome:
        """Make a call after which the tracker holds nothing back; events that it refuses then are lost."""
        outcome = self._attempt(call)
        if outcome == "done":
            self._delivered = self._recorded
        elif outcome == "refused":
            self._recorded = self._delivered
        return outcome

    def _attempt(self, call: Call) -> Outcome:
        """Make one call until it is done or refused; give up an unavailable tracker only once the run is closing."""
        wait = FIRST_WAIT
        while True:
            closing = self._closing.is_set()
            try:
                call()
            except Exception as error:  # whatever a tracker raises, training must not see it
                text = masked(str(error))
                reason = text if isinstance(error, ArtifactError) else f"{type(error).__name__}: {text}"
                refused = not isinstance(error, OSError) or isinstance(error, FileNotFoundError)
                if refused and reason != self.last_error:
                    log.warning("%s: a record was refused and dropped: %s", self.name, reason)
                elif not refused and wait == FIRST_WAIT:
                    log.warning("%s: %s; training goes on, and this is tried again.", self.name, error)
                self.last_error = reason if refused else str(error)
                if refused or closing:
                    return "refused" if refused else "unavailable"
            else:
                if wait > FIRST_WAIT:
                    log.warning("%s: works again.", self.name)
                return "done"
            self._closing.wait(wait)
            wait = min(2 * wait, self.longest_wait)


def _idle() -> None:
    """Stands for a call while the queue is empty."""
