"""Ctrl-C handled between two steps, so that a run stops in a whole state."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, final


@final
class Interrupt:
    """While entered, the first Ctrl-C (or SIGTERM) only sets `requested`; a second one raises `KeyboardInterrupt`."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
