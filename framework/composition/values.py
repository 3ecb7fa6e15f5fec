"""The values of bindings: literals, references and macros inside lists, tuples and dicts.

The `repr` of a value is the text that gin reads, since every kind of leaf has its gin text as its `repr`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from framework.signatures import Component

REQUIRED: Final = "gin.REQUIRED"


@final
@dataclass(frozen=True, repr=False)
class Reference:
    """`@scope/family.Name`, or with `()` if `called`."""

    scope: str
    selector: str
    called: bool

    def __repr__(self) -> str:
        return f"@{self.scope}{'/' if self.scope else ''}{self.selector}{'()' if self.called else ''}"


@final
@dataclass(frozen=True, repr=False)
class Macro:
    """`%NAME`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@final
@dataclass(frozen=True, repr=False)
class Unreadable:
    """The value of a binding with a syntax error. It marks the parameter as bound, so that nothing reports it as missing."""

    def __repr__(self) -> str:
        return "?"


@final
@dataclass(frozen=True, repr=False)
class Target:
    """A reference whose component exists."""

    component: Component
    scope: str

    def __repr__(self) -> str:
        return repr(Reference(self.scope, self.component.selector, called=False))


@final
@dataclass(frozen=True, repr=False)
class PythonDefault:
    """A default that gin cannot write, such as infinity: Python's own holds."""

    text: str

    def __repr__(self) -> str:
        return self.text


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The value with each leaf replaced by the function's result, inside lists, tuples, and the keys and values of dicts."""
    match value:
        case list() | tuple():
            return type(value)(map_leaves(function, each) for each in value)
        case dict():
            return {map_leaves(function, key): map_leaves(function, each) for key, each in value.items()}
    return function(value)


def leaves(value: Any) -> list[Any]:
    """All leaves of a value, in order."""
    collected: list[Any] = []
    map_leaves(collected.append, value)
    return collected
