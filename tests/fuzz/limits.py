"""The limits of one input: an error is a `UserError`, a second is long, a gigabyte is too much."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import psutil

from framework.errors import UserError

SECONDS = 20.0
MEGABYTES = 1_000


def failures(inputs: Iterable[tuple[object, Callable[[], object]]]) -> list[str]:
    """The inputs whose call raised anything but a `UserError`, took too long, or took too much memory."""
    failed = []
    for name, call in inputs:
        start, before = time.monotonic(), _peak()
        try:
            with _memory(4 * MEGABYTES):
                call()
        except UserError:
            pass
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
        if time.monotonic() - start > SECONDS or _peak() - before > MEGABYTES:
            failed.append(f"{name}: {time.monotonic() - start:.0f} s, {_peak() - before} MB more")
    return failed


def shards(count: int, size: int) -> Sequence[range]:
    """The seeds of each test, so that they run on several processors."""
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextmanager
def _memory(megabytes: int) -> Iterator[None]:
    """Let the process have no more than this beside what it has, so that a mistake of ours does not take the machine down."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + (megabytes << 20), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
