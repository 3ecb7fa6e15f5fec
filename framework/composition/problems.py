"""A mistake of a recipe and its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from framework.errors import Place


@final
@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, what is wrong, and what mends it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"

    @property
    def place(self) -> Place:
        return Place(self.file, self.line)

    @staticmethod
    def at(place: Place, message: str) -> "Problem":
        return Problem(place.file, place.line, message)


Report = Callable[[Problem], None]
