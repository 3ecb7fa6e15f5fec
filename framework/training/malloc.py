"""Memory that a process keeps, in place of asking the system for it again with every tensor."""

import ctypes
import sys
from typing import Final

TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's `mallopt`, by their numbers in `malloc.h`."""
LARGEST: Final = 2**30
"""Bytes from which on a tensor has pages of its own, as a replay has; glibc's own limit is 32 MiB at most."""


def keep_freed_memory() -> bool:
    """Let freed memory be used again; whether this C library, glibc, could be told so.

    glibc gives what a large tensor held back to the system, which clears every page of the next one while it is written: on a CPU that is
    a fifth of a large update. What is kept is about the peak of what was held at once.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    try:
        settings = library.mallopt
    except AttributeError:  # another C library has no such settings
        return False
    return all(settings(parameter, value) == 1 for parameter, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, -1)))
