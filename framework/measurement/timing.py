"""Times of a call, by `torch.utils.benchmark`, which waits for the accelerator at both ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from torch.utils.benchmark import Timer, timer

from framework.measurement.report import Value


@final
@dataclass(frozen=True)
class Effort:
    """The least measuring time: at least `repeats` times, and at least `seconds` in all."""

    seconds: float = 5.0
    repeats: int = 5


USUAL: Final = Effort()


@final
@dataclass(frozen=True)
class Times:
    """Seconds of one call, for each timed block of calls; `calls` is their number in all blocks."""

    seconds: tuple[float, ...]
    calls: int

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def mean(self) -> float:
        return float(np.mean(self.seconds))

    def milliseconds(self) -> dict[str, Value]:
        """The median, and the first and the last decile."""
        low, middle, high = 1e3 * np.quantile(self.seconds, (0.1, 0.5, 0.9))
        return {"median_ms": float(middle), "low_ms": float(low), "high_ms": float(high), "calls": self.calls}


def timed(call: Callable[[], object], effort: Effort = USUAL) -> Times:
    """Time a call after two that are not counted. Calls of microseconds are timed in blocks."""
    call()
    watch = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    first = watch.blocked_autorange(min_run_time=effort.seconds)
    seconds = [*first.times, *(seconds_of(call) for _ in range(len(first.times), effort.repeats))]
    return Times(tuple(seconds), first.number_per_run * len(first.times) + len(seconds) - len(first.times))


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of a single call."""
    begun = timer()
    call()
    return timer() - begun
