"""Printing of facts: tables and text that fit a terminal; elsewhere aligned text that nothing wraps or cuts, and JSON on demand."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

import click

SPACE_BETWEEN: Final = 2
"""Spaces between two columns."""
SHORTEST: Final = 16
"""Letters of a word up to which it is never cut."""
HANGING: Final = 2
"""Spaces before the further lines of a paragraph that is wrapped by `sentence`."""


def as_json(facts: Any) -> None:
    """Print facts as JSON; paths become texts."""
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))


def terminal_width() -> int | None:
    """The columns of the terminal; None where standard output is none, or a dumb one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else None


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their columns; a table that is too wide for the terminal becomes a paragraph for each row."""
    rows, width = list(rows), terminal_width()
    if width is None:
        lines = [[name.upper() for name in columns], *rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    elif (least := _least_widths(columns, rows, room := width - SPACE_BETWEEN * (len(columns) - 1))) is not None:
        _draw(columns, rows, least, room)
    else:
        for first, *others in rows:
            click.echo(first)
            pairs([(f"  {name}", cell) for name, cell in zip(columns[1:], others, strict=True)])


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print a name and its value on each line; an empty value is left out."""
    kept = [(name, value) for name, value in rows if value]
    width, columns = max((len(name) for name, _ in kept), default=0), terminal_width()
    for name, value in kept:
        click.echo(_filled(f"{name.ljust(width)}  {value}", columns, width + 2))


def sentence(text: object) -> None:
    """Print a sentence, such as a mistake with its place."""
    click.echo(wrapped(str(text), HANGING))


def wrapped(text: str, hanging: int = 0) -> str:
    """A text whose lines fit the terminal, the further lines of each indented by `hanging` more."""
    columns = terminal_width()
    return "\n".join(_filled(line, columns, hanging + len(line) - len(line.lstrip())) for line in text.split("\n"))


def docstring(text: str) -> str:
    """A docstring whose paragraphs fit the terminal; lines with an indentation, such as equations, stay apart."""
    if terminal_width() is None:
        return text
    lines = list[str]()
    for line in text.split("\n"):
        continues = bool(lines and lines[-1] and line) and not line.startswith(" ") and not lines[-1].startswith(" ")
        lines[-1:] = [f"{lines[-1]} {line}"] if continues else [*lines[-1:], line]
    return wrapped("\n".join(lines))


def _filled(line: str, columns: int | None, hanging: int) -> str:
    if columns is None or len(line) <= columns:
        return line
    indent = " " * min(hanging, columns // 2)
    return textwrap.fill(line, columns, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _least_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """The least width of each column: its longest word, or less where the room needs it; None where it is too little."""
    words = [[word for cell in cells for word in cell.split()] or [""] for cells in zip(columns, *rows, strict=True)]
    longest = [max(map(len, each)) for each in words]
    for most in range(max([SHORTEST, *longest]), SHORTEST - 1, -1):
        least = [min(length, most) for length in longest]
        if sum(least) <= room:
            return least
    return None


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], least: Sequence[int], room: int) -> None:
    """Draw a table whose cells wrap between words; the room that is left goes to the columns that lack most."""
    widths, whole = list(least), [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for _ in range(room - sum(widths)):
        lacking = [size - width for size, width in zip(whole, widths, strict=True)]
        widths[lacking.index(max(lacking))] += max(lacking) > 0
    for line in _lines(columns, widths):
        click.secho(line, bold=True)
    click.echo("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (sum(widths) + SPACE_BETWEEN * (len(widths) - 1)))
    for row in rows:
        for line in _lines(row, widths):
            click.echo(line)


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The lines of one row of a table."""
    columns = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells, widths, strict=True)]
    for parts in zip_longest(*columns, fillvalue=""):
        yield (" " * SPACE_BETWEEN).join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
