"""Assignment of observation names to the patterns of a recipe."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def assign_to_patterns(names: Iterable[str], patterns: Iterable[str]) -> dict[str, list[str]]:
    """The names that each pattern takes, in order. The first pattern that matches a name takes it; names without a match are left out."""
    assigned: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for name in names:
        match = next((pattern for pattern in assigned if fnmatchcase(name, pattern)), None)
        if match is not None:
            assigned[match].append(name)
    return assigned
