"""Names shared out among patterns."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def share_out(names: Iterable[str], patterns: Iterable[str]) -> dict[str, list[str]]:
    """What each pattern takes, in order; the first that fits a name takes it, and what fits none is left out."""
    shares: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for name in names:
        fitting = next((pattern for pattern in shares if fnmatchcase(name, pattern)), None)
        if fitting is not None:
            shares[fitting].append(name)
    return shares
