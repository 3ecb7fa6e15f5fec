"""What is wrong with a recipe, and where."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, order=True)
class Place:
    """A line of a file; or an option of the command line and its number."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file} (number {self.line})" if self.file.startswith("-") else f"{self.file}:{self.line}"


@final
@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, what it is, and what would mend it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{Place(self.file, self.line)}: {self.message}"

    @staticmethod
    def at(place: Place, message: str) -> "Problem":
        return Problem(place.file, place.line, message)
