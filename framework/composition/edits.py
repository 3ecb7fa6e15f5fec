"""Changes of a part of a value, which the command line can write."""

from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class Append:
    """`Component.list += value`: an element, or each of several, is added to the value before."""

    def __call__(self, before: Any, value: Any, key: str) -> Any:
        if not isinstance(before, list | tuple):
            mend = f"set one key, as in {key}['name']=value" if isinstance(before, dict) else "bind a value with ="
            raise EditMistake(f"+= adds to a list, and the value is {before!r}; {mend}")
        return type(before)([*before, *(value if isinstance(value, list | tuple) else [value])])


@final
@dataclass(frozen=True)
class SetKey:
    """`Component.dictionary['key'] = value`: one key of the value before."""

    name: str | int | float

    def __call__(self, before: Any, value: Any, key: str) -> Any:
        if not isinstance(before, dict):
            mend = f"add to it, as in {key}+=value" if isinstance(before, list | tuple) else "bind a value without the brackets"
            raise EditMistake(f"[{self.name!r}] is a key of a dictionary, and the value is {before!r}; {mend}")
        return before | {self.name: value}


Edit = Append | SetKey


@final
class EditMistake(ValueError):
    """A value that a binding of the command line cannot change in its way."""
