"""The options, the progress and the output that `lab` and `bench` share."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from framework.cli import output
from framework.cli.options import Command

if TYPE_CHECKING:
    from framework.measurement.report import Progress, Report

as_json_file: Final = click.option(
    "--json", "json_to", metavar="FILE|-", help="Write JSON to a file, or to standard output in place of the table."
)


def with_options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator for several options, listed in the order of the help."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """A bar on standard error where that is a terminal, from the first report on, and nothing elsewhere."""
    from framework.measurement.report import silent

    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)

    def report(done: int, total: int, part: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, description=part)

    try:
        yield report
    finally:
        bar.stop()


def show(report: "Report", json_to: str | None) -> None:
    """Print the table with its notes, and write JSON where it is asked for; with `-` print JSON alone."""
    text = json.dumps(report.json(), indent=2, default=str, allow_nan=False)
    if json_to == "-":
        click.echo(text)
        return
    click.echo(f"{output.wrapped(report.title)}\n")
    output.table(*report.table())
    if notes := report.notes():
        click.echo()
        output.pairs(notes)
    if json_to is not None:
        path = Path(json_to)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        click.echo(f"Written: {path}", err=True)
