"""Mistakes of a user, and the places in files that they come from."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, order=True)
class Place:
    """A line of a file, or an option of the command line and its number."""

    file: str
    line: int

    @property
    def on_command_line(self) -> bool:
        return self.file.startswith("-")

    def __str__(self) -> str:
        return self.file if self.on_command_line else f"{self.file}:{self.line}"


@final
class UserError(Exception):
    """A mistake that the user can mend, in one sentence: what is wrong, where, and what mends it.

    `place` is the binding that caused it, where a recipe did. `is_lasting`: another try would end in it again. The command line prints the
    text alone and exits with status 2.
    """

    def __init__(self, message: str, *, place: Place | None = None, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.place = place
        self.is_lasting = is_lasting

    @property
    def message(self) -> str:
        """The text without the place."""
        return super().__str__()

    def __str__(self) -> str:
        return self.message if self.place is None else f"{self.place}: {self.message}"
