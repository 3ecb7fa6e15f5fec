"""The names that a constructor may use: of Python itself those without side effect, and of torch what only holds."""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from framework.composition.reading.made import Class, Read
from framework.composition.reading.unknown import UNKNOWN, NotKnown, Unknown

LONGEST: Final = 10_000
"""A setting may be the length of a loop."""


def same(left: Any, right: Any) -> bool:
    """`left is right`, which cannot be overridden and would say that `UNKNOWN` is not None."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        raise NotKnown
    return left is right


def _isinstance(value: Any, kind: Any) -> bool:
    if isinstance(kind, Class) and isinstance(value, Read) and Read.descends(value, kind):
        return True
    if not isinstance(value, PLAIN) or not (kind in PLAIN or (isinstance(kind, tuple) and set(kind) <= {*PLAIN})):
        raise NotKnown
    return isinstance(value, kind)


def _range(*ends: Any) -> range:
    found = range(*ends)
    if len(found) > LONGEST:
        raise NotKnown
    return found


def _type(value: Any) -> type:
    if isinstance(value, Unknown):
        raise NotKnown
    return type(value)


@final
class _Containers:
    """Of `torch.nn`, what holds others is what it holds."""

    ModuleList, ModuleDict = list, dict

    def __getattr__(self, name: str) -> Any:
        return UNKNOWN


def imported(source: str, name: str) -> Any:
    """What a name means that comes from outside this package."""
    if (source, name) == ("torch", "nn"):
        return _Containers()
    return getattr(importlib.import_module(source), name) if source in STANDARD else UNKNOWN


STANDARD: Final = ("math", "fnmatch", "itertools", "typing")
"""Modules whose functions have no side effect and need nothing."""
PLAIN: Final = (int, float, bool, str, tuple, list, dict, type(None))
PURE: Final[Sequence[Callable[..., Any]]] = (
    *(abs, all, any, bool, dict, enumerate, float, int, iter, len, list, max, min),
    *(next, reversed, round, set, sorted, str, sum, tuple, zip),
)
BUILTINS: Final = {each.__name__: each for each in PURE} | {"isinstance": _isinstance, "range": _range, "type": _type, "math": math}
