"""What a constructor made, without being run."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from framework.composition.reading.unknown import UNKNOWN, NotKnown
from framework.signatures import Lineage, facts_of

Member = Callable[["Read", Lineage, str], Any]
"""Gives the method or property of that name, or None."""


class Read:
    """What a constructor made, as far as it is known: its attributes, its methods and the literals of its class."""

    def __init__(self, member: Member, ancestry: Lineage, facts: Mapping[str, Any]) -> None:
        self.__member, self.__ancestry, self.__facts = member, ancestry, facts

    def __getattr__(self, name: str) -> Any:
        found = self.__member(self, self.__ancestry, name)
        return self.__facts.get(name, UNKNOWN) if found is None else found

    def __bool__(self) -> bool:
        raise NotKnown

    def __eq__(self, other: object) -> bool:
        raise NotKnown

    @staticmethod
    def has(made: Any, method: str) -> bool:
        """Whether its own source has that method; those of torch change nothing that is known here."""
        if not isinstance(made, Read):
            return False
        return any(isinstance(each, ast.FunctionDef) and each.name == method for _, node in made.__ancestry for each in node.body)

    @staticmethod
    def loosen(made: "Read") -> None:
        """Something was left out that may have changed it: nothing of it is known any more."""
        member = made.__member
        vars(made).clear()
        made.__member, made.__ancestry, made.__facts = member, (), {}

    @staticmethod
    def descends(made: "Read", cls: "Class") -> bool:
        """Whether a class is among those that it was made of; it may have others, which are not read."""
        return cls.ancestry[0][1] in [node for _, node in made.__ancestry]


@final
@dataclass(frozen=True)
class Class:
    """A class that is called or asked about, and not imported."""

    construct: Callable[[Lineage, Mapping[str, Any], Sequence[Any], Mapping[str, Any]], Any]
    ancestry: Lineage

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.construct(self.ancestry, facts_of(self.ancestry), given, named)

    def __getattr__(self, name: str) -> Any:
        return UNKNOWN


@final
class Parent:
    """What `super()` gives."""

    def __init__(self, member: Member, made: Read, ancestry: Lineage) -> None:
        self._found = partial(member, made, ancestry)

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, "_found")(name)
        return UNKNOWN if found is None else found


def loosen(values: Iterable[Any]) -> None:
    """Forget what is known of each that was read."""
    for each in values:
        if isinstance(each, Read):
            Read.loosen(each)
