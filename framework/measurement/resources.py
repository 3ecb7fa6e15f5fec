"""Time and peak memory of a call."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, final

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer, timer

from framework.measurement.report import Value

MEBIBYTE: Final = 2**20


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
    """Time a call after two that are not counted. Calls of microseconds are timed in blocks; the accelerator is waited for at both ends."""
    call()
    watch = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    first = watch.blocked_autorange(min_run_time=effort.seconds)
    more = [seconds_of(call) for _ in range(len(first.times), effort.repeats)]
    return Times((*first.times, *more), first.number_per_run * len(first.times) + len(more))


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of a single call."""
    begun = timer()
    call()
    return timer() - begun


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """The largest sum of bytes that `call` had allocated at any moment, gradients and temporary buffers of kernels included.

    On CUDA by `torch.cuda.max_memory_allocated`. On the CPU from every allocation and release that torch's allocator reports to its
    profiler, without the workspace of a matrix library; blocks from before are not counted when they are released.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate((event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())), initial=0))
