"""The settings of glibc's allocator."""

import ctypes
import sys
from typing import Final

TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's `mallopt`, by their numbers in `malloc.h`."""
LARGEST: Final = 2**30
"""Bytes above which a tensor is mapped by itself, such as a replay; glibc's own limit is at most 32 MiB."""


def keep_freed_memory() -> bool:
    """Stop glibc from returning freed memory to the system; whether that was possible.

    Otherwise the system clears every page of the next large tensor again: on a CPU that is a fifth of a large update. The process keeps
    about the peak of its allocations.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, -1)))
