"""The thread between training and a tracker that may be slow, away or broken."""

import logging
import queue
import threading
import time as clock
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking.base import Status, Tracker, Unavailable

log: Final = logging.getLogger("framework.tracking")
FIRST_WAIT: Final = 0.5
Call = Callable[[], None]
Outcome = Literal["done", "refused", "unavailable"]


@final
class Writer(Tracker):
    """Hands every call to another tracker, in a thread of its own, so that no caller waits and no failure reaches it.

    `Unavailable` is said once and tried again, ever less often; any other exception drops that one call and is counted.
    Beyond `capacity` waiting calls, new ones are dropped and counted. `close` tells the sum, and never takes longer than
    its deadline.

    Args:
        tracker: who does the work.
        name: what messages call it.
        flush_seconds: how long the tracker may hold records back to send them together.
        longest_wait: seconds between two tries at most.
        deadline: seconds that `close` may take.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        name: str,
        capacity: int = 10_000,
        flush_seconds: float = 2.0,
        longest_wait: float = 60.0,
        deadline: float = 30.0,
    ) -> None:
        self.tracker = tracker
        self.name = name
        self.run_id = tracker.run_id
        self.url = tracker.url
        self.capacity = capacity
        self.flush_seconds = flush_seconds
        self.longest_wait = longest_wait
        self.deadline = deadline
        self.last_error = ""
        self._lock = threading.Lock()
        self._given = 0
        self._taken = 0
        self._safe = 0
        self._status: Status = "FINISHED"
        self._closing = threading.Event()
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"tracking-{name}", daemon=True)
        self._thread.start()

    @property
    def undelivered(self) -> int:
        """Calls that were dropped or refused, or wait, or are held back by the tracker."""
        return self._given - self._safe

    def params(self, values: Mapping[str, object]) -> None:
        self.put(partial(self.tracker.params, dict(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        self.put(partial(self.tracker.tags, dict(values)))

    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        self.put(partial(self.tracker.metrics, step, dict(values), time=clock.time() if time is None else time))

    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        self.put(partial(self.tracker.picture, name, step, image))

    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        self.put(partial(self.tracker.video, name, step, frames, fps))

    def file(self, path: Path, folder: str = "") -> None:
        self.put(partial(self.tracker.file, path, folder))

    def text(self, name: str, content: str) -> None:
        self.put(partial(self.tracker.text, name, content))

    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        call = partial(self.tracker.model, checkpoint, step=step, observation=dict(observation), action=action)
        self.put(partial(call, aliases=tuple(aliases)))

    def flush(self) -> None:
        self.put(self.tracker.flush)

    def close(self, status: Status) -> None:
        """Deliver what waits, within the deadline, and say what could not be delivered. A second call does nothing."""
        if self._closing.is_set():
            return
        self._status = status
        self._calls.put(None)
        self._closing.set()
        self._thread.join(self.deadline)
        if self._thread.is_alive():
            self.last_error = self.last_error or f"no answer within {self.deadline:g} s"
        if self.undelivered:
            log.warning("%s: %d records were not delivered (%s).", self.name, self.undelivered, self.last_error)

    def put(self, call: Call) -> None:
        """Have any call made in the thread, in its turn."""
        with self._lock:
            self._given += 1
        if self._closing.is_set():
            self.last_error = "the tracker was closed before"
        elif self._calls.qsize() >= self.capacity:
            self.last_error = self.last_error or "too many records waited"
        else:
            self._calls.put(call)

    def _work(self) -> None:
        flushed = clock.monotonic()
        while (call := self._next()) is not None:
            if call is not _idle and not self._deliver(call):
                return
            if clock.monotonic() - flushed >= self.flush_seconds:
                if not self._settle(self.tracker.flush):
                    return
                flushed = clock.monotonic()
        self._settle(partial(self.tracker.close, self._status))

    def _next(self) -> Call | None:
        try:
            return self._calls.get(timeout=self.flush_seconds)
        except queue.Empty:
            return _idle

    def _deliver(self, call: Call) -> bool:
        outcome = self._attempt(call)
        self._taken += outcome == "done"
        return outcome != "unavailable"

    def _settle(self, call: Call) -> bool:
        """Make a call after which the tracker holds nothing back; what it refuses then is lost."""
        outcome = self._attempt(call)
        if outcome == "done":
            self._safe = self._taken
        elif outcome == "refused":
            self._taken = self._safe
        return outcome != "unavailable"

    def _attempt(self, call: Call) -> Outcome:
        """Make one call until it is done or refused; give up an unavailable tracker only at closing time."""
        wait = FIRST_WAIT
        while True:
            closing = self._closing.is_set()
            try:
                call()
            except Unavailable as error:
                if wait == FIRST_WAIT:
                    log.warning("%s: %s; training goes on, and this is tried again.", self.name, error)
                self.last_error = str(error)
            except Exception as error:
                return self._refuse(error)
            else:
                if wait > FIRST_WAIT:
                    log.warning("%s: works again.", self.name)
                return "done"
            if closing:
                return "unavailable"
            self._closing.wait(wait)
            wait = min(2 * wait, self.longest_wait)

    def _refuse(self, error: Exception) -> Outcome:
        reason = f"{type(error).__name__}: {error}"
        if reason != self.last_error:
            log.warning("%s: a record was refused and dropped: %s", self.name, reason)
        self.last_error = reason
        return "refused"


def _idle() -> None:
    """The call of a moment in which nothing waits."""
