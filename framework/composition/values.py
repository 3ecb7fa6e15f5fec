"""The values of bindings: literals, references and macros inside lists, tuples and dicts.

The `repr` of a value is the text that gin reads, since every kind of leaf has its gin text as its `repr`.
"""

import ast
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, NewType, final

from framework.signatures import Component

REQUIRED: Final = "gin.REQUIRED"
Edit = Callable[[Any, Any, str], Any]
"""A change of a part of a value: gives the new one from the one before, the value that is bound, and the key of the binding."""
Written = NewType("Written", object)
"""The annotation of a value that stays as it is written, its references unresolved: it belongs to another recipe."""


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


def literal(default: str) -> Any:
    """The value of a default's source text."""
    try:
        return ast.literal_eval(default)
    except (SyntaxError, ValueError):
        return PythonDefault(default)


@final
class ValueMistake(ValueError):
    """A key that cannot be in its dictionary, or a value that a binding of the command line cannot change in its way."""


def key_mistake(key: object, earlier: Collection[object]) -> str:
    """Why a dictionary cannot have a key after the earlier ones; empty if it can."""
    try:
        hash(key)
    except TypeError:
        return f"{key!r} cannot be a key of a dictionary; write a text or a number"
    return f"the key {key!r} stands twice in one dictionary; keep one of the two" if key in earlier else ""


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The value with each leaf replaced by the function's result, inside lists, tuples, and the keys and values of dicts.

    Raises `ValueMistake` where two keys become equal, or one becomes a list.
    """
    match value:
        case list() | tuple():
            return type(value)(map_leaves(function, each) for each in value)
        case dict():
            mapped: dict[Any, Any] = {}
            for key, each in value.items():
                new = map_leaves(function, key)
                if mistake := key_mistake(new, mapped):
                    raise ValueMistake(mistake)
                mapped[new] = map_leaves(function, each)
            return mapped
    return function(value)


def leaves(value: Any) -> list[Any]:
    """All leaves of a value, in order."""
    match value:
        case list() | tuple():
            return [leaf for each in value for leaf in leaves(each)]
        case dict():
            return [leaf for pair in value.items() for leaf in leaves(pair)]
    return [value]
