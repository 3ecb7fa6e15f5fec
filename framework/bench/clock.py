"""How long something takes: called until there is enough to say."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch

from framework.bench.report import Value

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what is being done."""
WARM_UP: Final = 2
"""Calls that are not counted: the first may compile, fill caches, and choose algorithms."""
MOST: Final = 1_000


def silent(done: int, total: int, what: str) -> None:
    """For a measurement that nobody watches."""


@final
@dataclass(frozen=True)
class Effort:
    """How long to measure: at least `repeats` calls, and at least for so many `seconds`."""

    seconds: float = 5.0
    repeats: int = 5


USUAL: Final = Effort()


@final
@dataclass(frozen=True)
class Times:
    """Seconds of each call."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def at(self, share: float) -> float:
        """The time that this share of the calls kept."""
        return sorted(self.seconds)[min(int(share * len(self.seconds)), len(self.seconds) - 1)]

    def milliseconds(self) -> dict[str, Value]:
        """The median, and the spread: what a tenth of the calls stayed below, and a tenth exceeded."""
        return {
            "median_ms": 1e3 * self.median,
            "low_ms": 1e3 * self.at(0.1),
            "high_ms": 1e3 * self.at(0.9),
            "calls": len(self.seconds),
        }


def clocked(call: Callable[[], object], device: torch.device, effort: Effort, what: str, progress: Progress = silent) -> Times:
    """Time calls one by one, each to its end on the device."""
    for number in range(WARM_UP):
        progress(number, WARM_UP, f"{what}: warming up")
        call()
    found: list[float] = []
    while len(found) < effort.repeats or (sum(found) < effort.seconds and len(found) < MOST):
        progress(len(found), effort.repeats, what)
        found.append(timed(call, device))
    return Times(found)


def timed(call: Callable[[], object], device: torch.device) -> float:
    """The seconds of one call, nothing else under way."""
    wait(device)
    begun = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - begun


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
