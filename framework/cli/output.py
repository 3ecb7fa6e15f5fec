"""Printing of facts: tables on a terminal, aligned text elsewhere, JSON on demand."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

SPACE_BETWEEN: Final = 3
"""Spaces that rich puts between two columns."""


def as_json(facts: Any) -> None:
    """Print facts as JSON; paths become texts."""
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their columns; in a file or a pipe as plain text, never cut."""
    rows = list(rows)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _draw(columns, rows)
    else:
        lines = [[name.upper() for name in columns], *rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print a name and its value on each line; an empty value is left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        click.echo(f"{name.ljust(width)}  {value}")


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table whose cells wrap between words; no word is cut, even where lines become wider than the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn, console, width = Table(box=SIMPLE_HEAD, pad_edge=False), Console(), 0
    for name, *cells in zip(columns, *rows, strict=True):
        longest = max(len(word) for cell in (name, *cells) for word in cell.split() or [""])
        drawn.add_column(name, overflow="fold", min_width=longest)
        width += longest + SPACE_BETWEEN
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn, width=max(console.width, width), crop=False)
